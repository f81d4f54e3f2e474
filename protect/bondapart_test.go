package protect_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/protect"
	"sallyport/token"
)

// boundRows are tables that refer to each other by integers and uuids, and move in and out together. In the place of serve stands a fake that writes down what it is told and
// has the database take the form that is on record.
type boundRows struct {
	database string
	admin    *pgx.Conn
	serves   *pgx.Conn
	columns  []protect.Column
	values   map[string]map[string]string // column → key → value
	states   protect.States
	wrote    []string // states that were put on record
	calls    int
	moving   func(call int) // called whenever a range was gone through while rows move
	enters   func() error   // called when states are to hold that are on record
}

const boundAccounts, boundRange = 120, 25

const boundTables = `CREATE SCHEMA support;
CREATE TABLE support.accounts (id bigint PRIMARY KEY, number bigint UNIQUE, parent bigint REFERENCES support.accounts (number), device uuid UNIQUE, note text);
CREATE TABLE support.payments (id bigint PRIMARY KEY, account bigint NOT NULL REFERENCES support.accounts (number), device uuid REFERENCES support.accounts (device) ON UPDATE CASCADE, note text);
CREATE TABLE support.cards (id bigint PRIMARY KEY, payer bigint REFERENCES support.accounts (number) ON UPDATE RESTRICT, payee bigint REFERENCES support.accounts (number) DEFERRABLE INITIALLY DEFERRED, note text);
CREATE INDEX ON support.payments (account)`

func newBoundRows(tb testing.TB) *boundRows {
	tb.Helper()
	m := &boundRows{database: emptyDatabase(tb), values: map[string]map[string]string{}}
	m.admin, m.serves = connect(tb, cluster.SuperDSN(m.database)), connect(tb, cluster.SuperDSN(m.database))
	m.exec(tb, boundTables)
	m.exec(tb, fmt.Sprintf(`INSERT INTO support.accounts SELECT i, i * 7919 - 1000, CASE WHEN i > 1 THEN (i / 2) * 7919 - 1000 END, md5(i::text)::uuid FROM generate_series(1, %[1]d) AS i;
		INSERT INTO support.payments SELECT i, (1 + i * 31 %% %[1]d) * 7919 - 1000, CASE WHEN i %% 3 > 0 THEN md5((1 + i * 31 %% %[1]d)::text)::uuid END FROM generate_series(1, 3 * %[1]d) AS i;
		INSERT INTO support.cards SELECT i, (1 + i * 17 %% %[1]d) * 7919 - 1000, CASE WHEN i %% 4 > 0 THEN (1 + i * 13 %% %[1]d) * 7919 - 1000 END FROM generate_series(1, 2 * %[1]d) AS i`, boundAccounts))
	ring := newRing(tb, 1)
	for _, c := range []struct {
		name   string
		scheme sallyport.Scheme
	}{
		{"accounts.number", sallyport.Int8},
		{"accounts.parent", sallyport.Int8},
		{"accounts.device", sallyport.UUID},
		{"payments.account", sallyport.Int8},
		{"payments.device", sallyport.UUID},
		{"cards.payer", sallyport.Int8},
		{"cards.payee", sallyport.Int8},
	} {
		codec, err := ring.Codec(token.Spec{Column: column("support." + c.name), Scheme: c.scheme, Group: "ids"})
		if err != nil {
			tb.Fatal(err)
		}
		m.columns = append(m.columns, protect.Column{Column: column("support." + c.name), Codec: codec})
		m.values[c.name] = m.read(tb, c.name, "false")
		for key, v := range m.values[c.name] {
			m.values[c.name][key] = v[strings.IndexByte(v, ' ')+1:]
		}
	}
	return m
}

func (m *boundRows) exec(tb testing.TB, sql string) {
	tb.Helper()
	if _, err := m.admin.Exec(tb.Context(), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// read is what stands in a column by the key of its row, behind whether that is a token. tokens is SQL about a row t.
func (m *boundRows) read(tb testing.TB, name, tokens string) map[string]string {
	tb.Helper()
	table, c, _ := strings.Cut(name, ".")
	rows, err := m.admin.Query(tb.Context(), fmt.Sprintf("SELECT t.id::text, coalesce(%s, false)::text || ' ' || coalesce(t.%s::text, '') FROM support.%s t", tokens, c, table))
	if err != nil {
		tb.Fatal(err)
	}
	found := map[string]string{}
	var key, stored string
	if _, err := pgx.ForEachRow(rows, []any{&key, &stored}, func() error { found[key] = stored; return nil }); err != nil {
		tb.Fatal(err)
	}
	return found
}

// holds holds each row to its value. said: by what the database says of it, else all are tokens, or none.
func (m *boundRows) holds(tb testing.TB, said string) {
	tb.Helper()
	if _, err := m.admin.Exec(tb.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ"); err != nil {
		tb.Fatal(err)
	}
	defer m.exec(tb, "COMMIT")
	for _, c := range m.columns {
		name := c.Column.Table + "." + c.Column.Name
		tokens := said
		if said == "" {
			tokens = fmt.Sprintf(`coalesce((SELECT w.tokens FROM sallyport.written w WHERE w.relation = 'support.%[1]s'::regclass AND w.name = '%[2]s' AND w.key = jsonb_build_array(t.id)::text),
				(SELECT g.tokens FROM sallyport.ranges g WHERE g.relation = 'support.%[1]s'::regclass AND (g.after IS NULL OR t.id > g.after[1]::bigint) AND (g.up_to IS NULL OR t.id <= g.up_to[1]::bigint)))`, c.Column.Table, c.Column.Name)
		}
		found := m.read(tb, name, tokens)
		if len(found) != len(m.values[name]) {
			tb.Fatalf("%s has %d rows, want %d", name, len(found), len(m.values[name]))
		}
		for key, want := range m.values[name] {
			is, stored, _ := strings.Cut(found[key], " ")
			plain := []byte(stored)
			if is == "true" && stored != "" {
				var err error
				if plain, err = c.Codec.Reveal(nil, plain); err != nil {
					tb.Fatal(err)
				}
			}
			if string(plain) != want {
				tb.Errorf("%s of row %s, a token: %s, is %s, want %s", name, key, is, plain, want)
			}
		}
	}
	for _, join := range []string{"payments t JOIN support.accounts a ON a.number = t.account", "cards t JOIN support.accounts a ON a.number = t.payer", "payments t JOIN support.accounts a ON a.device = t.device"} {
		table, _, _ := strings.Cut(join, " ")
		var joined, all int
		condition := join[strings.LastIndexByte(join, ' ')+1:]
		if err := m.admin.QueryRow(tb.Context(), fmt.Sprintf("SELECT (SELECT count(*) FROM support.%s), (SELECT count(*) FROM support.%s t WHERE %s IS NOT NULL)", join, table, condition)).Scan(&joined, &all); err != nil || joined != all {
			tb.Errorf("%s: %d of %d rows, %v", join, joined, all, err)
		}
	}
}

func (m *boundRows) options(tb testing.TB) protect.Options {
	tb.Helper()
	return protect.Options{
		DSN: cluster.SuperDSN(m.database), Columns: m.columns, RecordID: recordID, Random: rand.Reader, Connections: 2, RangeRows: boundRange,
		Reader: protect.Reader{User: "sallyport_reader", Password: protect.NewPassword("reader-password")},
		Progress: func(string, int64, int64) {
			if m.calls++; m.moving != nil && len(m.states.Moving)+len(m.states.Leaving) > 0 {
				m.moving(m.calls)
			}
		},
		Live: &protect.Live{
			Serving: func(ctx context.Context) (protect.Serving, error) {
				rows, err := m.serves.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'sallyport protect'")
				if err != nil {
					return protect.Serving{}, err
				}
				pids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
				return protect.Serving{RecordID: recordID, Backends: pids, States: m.states}, err
			},
			Record: func(ctx context.Context, s protect.States) error {
				if len(s.Moving)+len(s.Leaving) == 0 && len(s.Columns) > 0 {
					if open, err := protect.Unconstrained(ctx, m.admin, m.columns); err != nil || len(open) > 0 {
						return fmt.Errorf("plain values may stand in %v: %w", open, err)
					}
				}
				m.states, m.calls = s, 0
				m.wrote = append(m.wrote, fmt.Sprintf("%d entering, %d moving, %d leaving", len(s.Entering), len(s.Moving), len(s.Leaving)))
				return nil
			},
			Enter: func(ctx context.Context) ([]string, error) {
				if m.enters != nil {
					if err := m.enters(); err != nil {
						return nil, err
					}
				}
				err := protect.SetWritten(ctx, m.admin, m.forms())
				if errors.Is(err, protect.ErrWriting) {
					return []string{err.Error()}, nil
				}
				return nil, err
			},
			Now: time.Now,
		},
	}
}

// forms are which columns are written as tokens, by the record.
func (m *boundRows) forms() map[sallyport.Column]bool {
	forms := map[sallyport.Column]bool{}
	for name := range m.states.Columns {
		in := func(list []string) bool { return strings.Contains(" "+strings.Join(list, " ")+" ", " "+name+" ") }
		if in(m.states.Moving) || in(m.states.Leaving) {
			forms[column(name)] = in(m.states.Moving) && !in(m.states.Entering)
		}
	}
	return forms
}

// move moves everything in or out.
func (m *boundRows) move(tb testing.TB, out bool) {
	tb.Helper()
	if err := m.tryMove(tb, out); err != nil {
		tb.Fatal(err)
	}
	m.holds(tb, fmt.Sprint(!out))
	var left int
	if err := m.admin.QueryRow(tb.Context(), "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'sallyport' AND relname IN ('formless', 'written', 'announced', 'written_as')").Scan(&left); err != nil || left > 0 {
		tb.Errorf("%d tables of the way are left, %v", left, err)
	}
}

func (m *boundRows) tryMove(tb testing.TB, out bool) error {
	tb.Helper()
	return m.cutMove(tb.Context(), tb, out)
}

// TestMoveBoundApart: at every moment of the way in and out each row holds its value by what the database says of it, and joins find it.
func TestMoveBoundApart(t *testing.T) {
	m := newBoundRows(t)
	looks := 0
	m.moving = func(int) {
		looks++
		m.holds(t, "")
	}
	m.move(t, false)
	m.move(t, true)
	if looks < 20 {
		t.Errorf("looked %d times only", looks)
	}
	n := len(m.columns)
	want := []string{fmt.Sprintf("%d entering, %d moving, 0 leaving", n, n), fmt.Sprintf("0 entering, %d moving, 0 leaving", n), "0 entering, 0 moving, 0 leaving", fmt.Sprintf("0 entering, %d moving, %d leaving", n, n), fmt.Sprintf("0 entering, 0 moving, %d leaving", n), "0 entering, 0 moving, 0 leaving"}
	if got := strings.Join(m.wrote, "; "); got != strings.Join(want, "; ") {
		t.Errorf("on record were %s", got)
	}
}

// announce tells the database of a value of all columns of the bond that one is in, as serve does.
func (m *boundRows) announce(tb testing.TB, name, text string, tokens bool) {
	tb.Helper()
	for _, c := range m.columns {
		if c.Codec.Spec().Scheme != m.codec(name).Spec().Scheme {
			continue
		}
		if said, err := protect.Announce(tb.Context(), m.admin, protect.Announcement{Column: c.Column, Value: text, Tokens: tokens}); err != nil || !said.Ready {
			tb.Fatal(said, err)
		}
	}
}

func (m *boundRows) codec(name string) *token.Codec {
	for _, c := range m.columns {
		if c.Column.Table+"."+c.Column.Name == name {
			return c.Codec
		}
	}
	return nil
}

func (m *boundRows) tokenOf(tb testing.TB, name, value string) string {
	tb.Helper()
	tok, err := m.codec(name).Tokenise(nil, []byte(value), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return string(tok)
}

// TestWrittenAs: one form is written at a time. Who has written it holds the other off until he has ended, and what comes behind in the former one is refused, also from an older
// snapshot.
func TestWrittenAs(t *testing.T) {
	m := newBoundRows(t)
	const value = "17"
	tok := m.tokenOf(t, "accounts.number", value)
	insert := func(id int, text string) string {
		return fmt.Sprintf("INSERT INTO support.accounts (id, number) VALUES (%d, %s)", id, text)
	}
	other := connect(t, cluster.SuperDSN(m.database))
	looked := 0
	m.enters = func() error {
		entering := len(m.states.Entering) > 0
		if len(m.states.Moving) == 0 {
			return nil
		}
		m.announce(t, "accounts.number", value, false)
		m.announce(t, "accounts.number", tok, true)
		if entering {
			if looked++; looked > 1 {
				return nil
			}
			m.exec(t, "UPDATE sallyport.formless SET open = NULL") // as when all have heard
			if _, err := other.Exec(t.Context(), insert(1001, tok)); codeOf(err) != "55006" {
				t.Errorf("a token before all have heard: %v", err)
			}
			return nil
		}
		if looked > 10 {
			return nil
		}
		looked = 11
		_, tx := m.begins(t, pgx.ReadCommitted, insert(1002, value)) // a statement of before, that has not ended
		old, older := m.begins(t, pgx.RepeatableRead, "SELECT")
		if _, err := older.Exec(t.Context(), "SELECT count(*) FROM support.accounts"); err != nil {
			t.Error(err)
		}
		m.exec(t, "SET lock_timeout = '200ms'")
		if err := protect.SetWritten(t.Context(), m.admin, m.forms()); !errors.Is(err, protect.ErrWriting) {
			t.Errorf("beside a plain value that is not committed tokens begin: %v", err)
		}
		commit(t, tx)
		if err := protect.SetWritten(t.Context(), m.admin, m.forms()); err != nil {
			t.Error(err)
		}
		if _, err := older.Exec(t.Context(), insert(1003, "18")); codeOf(err) != "40001" {
			t.Errorf("an older snapshot writes: %v", err)
		}
		_ = old.Close(context.WithoutCancel(t.Context()))
		m.announce(t, "accounts.number", "19", false)
		if _, err := other.Exec(t.Context(), insert(1003, "19")); codeOf(err) != "55006" {
			t.Errorf("a plain value behind the crossing: %v", err)
		}
		if _, err := other.Exec(t.Context(), "INSERT INTO support.payments (id, account) VALUES (5000, 19)"); codeOf(err) != "23503" {
			t.Errorf("a child of nobody: %v", err)
		}
		for _, c := range []string{"number", "parent", "device"} {
			m.values["accounts."+c]["1002"] = map[string]string{"number": value}[c]
		}
		return nil
	}
	m.move(t, false)
	if looked != 11 {
		t.Error("nobody looked")
	}
}

func (m *boundRows) begins(tb testing.TB, level pgx.TxIsoLevel, sql string) (*pgx.Conn, pgx.Tx) {
	tb.Helper()
	w := &turned{database: m.database}
	return w.begins(tb, level, sql)
}

// TestMoveBoundBetween: what others do while rows of several tables go over together.
func TestMoveBoundBetween(t *testing.T) {
	number := func(i int) string { return fmt.Sprint(i*7919 - 1000) }
	for _, out := range []bool{false, true} {
		t.Run(fmt.Sprintf("out %v", out), func(t *testing.T) {
			m := newBoundRows(t)
			if out {
				m.move(t, false)
			}
			form := func(value string) string { // in which it is written
				if out {
					return value
				}
				return m.tokenOf(t, "accounts.number", value)
			}
			met := 0
			var behind chan struct{}
			m.moving = func(int) {
				var done int
				if err := m.admin.QueryRow(t.Context(), "SELECT count(*) FROM sallyport.ranges WHERE done").Scan(&done); err != nil {
					t.Error(err)
				}
				m.holds(t, "")
				switch {
				case met == 0 && done >= 1: // a child of a row that has not gone over: all of its rows go first
					met++
					id, of := "9001", 119
					m.vacate(t, number(of), form(number(of)), out)
					m.exec(t, fmt.Sprintf("INSERT INTO support.payments VALUES (%s, %s, NULL, 'new')", id, form(number(of))))
					m.values["payments.account"][id], m.values["payments.device"][id] = number(of), ""
					m.holds(t, "")
				case met == 1 && done >= 2: // a row that a range waits for gets another key, and another account
					met++
					behind = make(chan struct{})
					m.announce(t, "accounts.number", form(number(120)), !out)
					m.vacate(t, number(120), form(number(120)), out)
					holder, tx := m.begins(t, pgx.ReadCommitted, "UPDATE support.payments SET id = -id WHERE id IN (60, 250)")
					looks := connect(t, cluster.SuperDSN(m.database))
					go func() {
						defer close(behind)
						awaitBlocked(t, looks, holder)
						txExec(t, tx, "UPDATE support.payments SET account = "+form(number(120))+" WHERE id = -250")
						commit(t, tx)
					}()
					for _, id := range []string{"60", "250"} {
						for _, c := range []string{"payments.account", "payments.device"} {
							m.values[c]["-"+id] = m.values[c][id]
							delete(m.values[c], id)
						}
					}
					m.values["payments.account"]["-250"] = number(120)
					m.moving = nil
				}
			}
			m.move(t, out)
			if met != 2 {
				t.Fatal("nothing came between")
			}
			<-behind
		})
	}
}

// vacate gives the rows that hold a value the form in which it is about to be written, as serve does.
func (m *boundRows) vacate(tb testing.TB, value, becomes string, out bool) {
	tb.Helper()
	stood := value
	if out {
		stood = m.tokenOf(tb, "accounts.number", value)
	}
	m.announce(tb, "accounts.number", becomes, !out)
	v := protect.BoundVacancy{Column: m.columns[0].Column, Becomes: becomes, Stood: stood, Is: func(text, stands string) bool { return text == stood && stands == fmt.Sprint(out) }}
	for _, c := range m.columns {
		if c.Codec.Spec().Scheme != sallyport.Int8 {
			continue
		}
		v.Places = append(v.Places, protect.Place{Column: c.Column, Table: "support." + c.Column.Table, Kind: "bigint", How: fmt.Sprintf(`coalesce((SELECT w.tokens::text FROM sallyport.written w WHERE w.relation = 'support.%[1]s'::regclass AND w.name = '%[2]s' AND w.key = jsonb_build_array(t0.id)::text),
			(SELECT g.tokens::text FROM sallyport.ranges g WHERE g.relation = 'support.%[1]s'::regclass AND (g.after IS NULL OR t0.id > g.after[1]::bigint) AND (g.up_to IS NULL OR t0.id <= g.up_to[1]::bigint)))`, c.Column.Table, c.Column.Name)})
	}
	if err := protect.VacateBound(tb.Context(), m.admin, v); err != nil {
		tb.Fatal(err)
	}
}

// TestMoveBoundDisagree: where two rows that hold one value are not said to hold it in one form, nothing changes.
func TestMoveBoundDisagree(t *testing.T) {
	m := newBoundRows(t)
	spoilt := false
	m.enters = func() error {
		if len(m.states.Moving) > 0 && len(m.states.Entering) == 0 && !spoilt {
			spoilt = true
			m.exec(t, `INSERT INTO sallyport.written SELECT 'support.payments'::regclass, 'account', jsonb_build_array(id)::text, true FROM support.payments WHERE id = 300`)
		}
		return nil
	}
	err := m.tryMove(t, false)
	if err == nil || !strings.Contains(err.Error(), "support.payments.account hold what elsewhere is to change") {
		t.Fatalf("got %v", err)
	}
	m.exec(t, "DELETE FROM sallyport.written WHERE name = 'account' AND key = '[300]'")
	m.move(t, false)
}

// TestBoundIntegersAreRefused: of 32 bits a token could be another parent's value.
func TestBoundIntegersAreRefused(t *testing.T) {
	database := emptyDatabase(t)
	conn := connect(t, cluster.SuperDSN(database))
	if _, err := conn.Exec(t.Context(), "CREATE SCHEMA support; CREATE TABLE support.a (id int PRIMARY KEY, n int UNIQUE); CREATE TABLE support.b (id int PRIMARY KEY, n int REFERENCES support.a (n))"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	waitAlone(t, database)
	o := options(t, database)
	o.Columns = nil
	ring := newRing(t, 1)
	for _, name := range []string{"support.a.n", "support.b.n"} {
		o.Columns = append(o.Columns, newColumn(t, ring, column(name), sallyport.Int4))
	}
	_, err := protect.Run(t.Context(), o)
	wantProblems(t, err, "support.a.n: the foreign key b_n_fkey compares it with support.b.n, and of 32 bits", "support.b.n: the foreign key b_n_fkey compares it with support.a.n")
}

// TestMoveBoundCut: a run that is cut, wherever, leaves each row with its value by what the database says of it, and the next one goes on, in whichever direction.
func TestMoveBoundCut(t *testing.T) {
	m := newBoundRows(t)
	cut := errors.New("cut")
	random := mathrand.New(mathrand.NewPCG(7, 11)) //nolint:gosec // to be the same each time
	cuts := 0
	for round := range 30 {
		out := len(m.states.Columns) > 0 && random.IntN(2) == 0
		left := 1 + random.IntN(6)
		if round%2 == 0 {
			m.enters = func() error {
				if left--; left == 0 {
					return cut
				}
				return nil
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		if round%2 == 1 {
			m.moving = func(call int) {
				if call == 20*left {
					stop()
				}
			}
		}
		err := m.cutMove(ctx, t, out)
		stop()
		m.enters, m.moving = nil, nil
		waitFor(t, func() bool {
			var others int
			err := m.admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sallyport protect'").Scan(&others)
			return err == nil && others == 0
		})
		switch {
		case err == nil:
			m.holds(t, fmt.Sprint(!out))
		case len(m.states.Moving)+len(m.states.Leaving) > 0:
			cuts++
			m.holds(t, "")
		default:
			m.holds(t, fmt.Sprint(len(m.states.Columns) > 0))
		}
		if t.Failed() {
			t.Fatalf("round %d, out %v, %v; on record were %v", round, out, err, m.wrote)
		}
	}
	if len(m.states.Columns) == 0 || len(m.states.Moving)+len(m.states.Leaving) > 0 {
		m.move(t, false)
	}
	m.move(t, true)
	if cuts < 10 {
		t.Errorf("%d runs were cut on the way", cuts)
	}
}

func (m *boundRows) cutMove(ctx context.Context, tb testing.TB, out bool) error {
	tb.Helper()
	do := protect.MoveIn
	if out {
		do = protect.MoveOut
	}
	_, err := do(ctx, m.options(tb))
	return err
}

// TestProtectBound does it with nobody connected, cut on the way.
func TestProtectBound(t *testing.T) {
	m := newBoundRows(t)
	_, _ = m.serves.Close(t.Context()), m.admin.Close(t.Context())
	waitAlone(t, m.database)
	o := m.options(t)
	o.Live = nil
	for cut := 10; ; cut += 10 {
		ctx, stop := context.WithCancel(t.Context())
		calls := 0
		o.Progress = func(string, int64, int64) {
			if calls++; calls == cut {
				stop()
			}
		}
		_, err := protect.Run(ctx, o)
		stop()
		waitAlone(t, m.database)
		if err == nil && calls < cut {
			break
		}
		if cut > 1000 {
			t.Fatal("it comes to no end", err)
		}
	}
	m.admin = connect(t, cluster.SuperDSN(m.database))
	m.holds(t, "true")
}
