package protect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	dice "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/protect"
	"sallyport/token"
)

// turned is a table with columns whose tokens have no form, of epoch 1, and keys of two epochs.
type turned struct {
	database string
	admin    *pgx.Conn
	ring     *token.Ring
	columns  []protect.Column
	values   map[string][3]string // by key; empty: NULL
}

const turnedRows = 400

func formlessKeys(tb testing.TB, epochs ...int) token.Keys {
	tb.Helper()
	keys := token.Keys{Groups: map[string][]token.DataKey{}}
	for _, epoch := range epochs {
		secret, err := token.NewSecret(bytes.Repeat([]byte{byte(epoch)}, 32))
		if err != nil {
			tb.Fatal(err)
		}
		keys.Record = secret
		keys.Groups["ids"] = append(keys.Groups["ids"], token.DataKey{Epoch: epoch, Secret: secret})
	}
	if first, err := token.NewSecret(bytes.Repeat([]byte{9}, 32)); err == nil {
		keys.Record = first
	}
	return keys
}

const turnedTable = `CREATE SCHEMA support; CREATE TABLE support.codes (region text, "no" int, account bigint UNIQUE, tax int, device uuid, note text, PRIMARY KEY (region, "no") INCLUDE (note))`

func newTurned(tb testing.TB, table string) *turned {
	tb.Helper()
	w := &turned{database: emptyDatabase(tb), values: map[string][3]string{}}
	w.admin = connect(tb, cluster.SuperDSN(w.database))
	w.exec(tb, table)
	var err error
	if w.ring, err = token.NewKeyedRing(formlessKeys(tb, 1), token.Settings{}); err != nil {
		tb.Fatal(err)
	}
	for name, scheme := range map[string]sallyport.Scheme{"account": sallyport.Int8, "device": sallyport.UUID, "tax": sallyport.Int4} {
		codec, err := w.ring.Codec(token.Spec{Column: column("support.codes." + name), Scheme: scheme, Group: "ids"})
		if err != nil {
			tb.Fatal(err)
		}
		w.columns = append(w.columns, protect.Column{Column: column("support.codes." + name), Codec: codec})
	}
	slices.SortFunc(w.columns, func(a, b protect.Column) int { return strings.Compare(a.Column.Name, b.Column.Name) })
	for i := range turnedRows {
		region, v := []string{"a", "B", "ä", "O'x"}[i%4], [3]string{fmt.Sprint(i*7919 - 1000), fmt.Sprintf("f47ac10b-58cc-4372-a567-%012d", i), fmt.Sprint(i % 17)}
		if i%5 == 0 {
			v[2] = ""
		}
		if i%50 == 3 {
			v = [3]string{}
		}
		w.values[fmt.Sprintf("%s %d", region, i)] = v
		row := []any{region, i}
		for j, c := range w.columns { // account, device, tax
			if v[j] == "" {
				row = append(row, nil)
				continue
			}
			tok, err := c.Codec.Tokenise(nil, []byte(v[j]), nil)
			if err != nil {
				tb.Fatal(err)
			}
			row = append(row, string(tok))
		}
		if _, err := w.admin.Exec(tb.Context(), `INSERT INTO support.codes (region, "no", account, device, tax) VALUES ($1, $2, $3::text::bigint, $4::text::uuid, $5::text::int)`, row...); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.ring.Rekey(formlessKeys(tb, 2, 1)); err != nil {
		tb.Fatal(err)
	}
	return w
}

func (w *turned) exec(tb testing.TB, sql string) {
	tb.Helper()
	if _, err := w.admin.Exec(tb.Context(), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

func (w *turned) turn(tb testing.TB, pass string) *protect.Turn {
	tb.Helper()
	return &protect.Turn{Conn: connect(tb, cluster.SuperDSN(w.database)), Table: protect.Table{Schema: "support", Name: "codes"}, Group: "ids", Columns: w.columns, Epoch: 2, Pass: pass}
}

// check holds every row to what it was, all tokens being of the newer key.
func (w *turned) check(tb testing.TB) {
	tb.Helper()
	rows, err := w.admin.Query(tb.Context(), `SELECT region || ' ' || "no", account::text, device::text, tax::text FROM support.codes`)
	if err != nil {
		tb.Fatal(err)
	}
	seen := 0
	var key string
	stored := make([]*string, 3)
	_, err = pgx.ForEachRow(rows, []any{&key, &stored[0], &stored[1], &stored[2]}, func() error {
		seen++
		for i, c := range w.columns {
			got := ""
			if stored[i] != nil {
				plain, err := c.Codec.Reveal(nil, []byte(*stored[i]))
				if err != nil {
					return err
				}
				got = string(plain)
			}
			if got != w.values[key][i] {
				return fmt.Errorf("%s of row %s is %q, want %q", c.Column, key, got, w.values[key][i])
			}
		}
		return nil
	})
	if err != nil || seen != len(w.values) {
		tb.Errorf("%d rows, want %d: %v", seen, len(w.values), err)
	}
}

func codeOf(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Code
	}
	return ""
}

// TestTurn turns a table that others work with, cut again and again, and holds every row to what it was.
func TestTurn(t *testing.T) {
	w := newTurned(t, turnedTable)
	first := w.turn(t, "one")
	if _, err := first.Take(t.Context()); err == nil || !strings.Contains(err.Error(), "--owner") {
		t.Errorf("taken without triggers: %v", err)
	}
	if problems, err := first.Unfit(t.Context()); err != nil || len(problems) != 1 || !strings.Contains(problems[0], "--owner") {
		t.Errorf("without triggers: %q, %v", problems, err)
	}
	for range 2 {
		if err := protect.Prepare(t.Context(), w.admin, cluster.Superuser, []*protect.Turn{w.turn(t, "")}); err != nil {
			t.Fatal(err)
		}
	}
	if problems, err := first.Unfit(t.Context()); err != nil || len(problems) != 0 {
		t.Errorf("with triggers: %q, %v", problems, err)
	}
	w.exec(t, `UPDATE support.codes SET device = device, "no" = "no" WHERE "no" = 1`)
	w.exec(t, `BEGIN; UPDATE support.codes SET account = 5 WHERE "no" = 1; ROLLBACK`) // nobody is held off yet
	if begun, err := first.Take(t.Context()); err != nil || !begun {
		t.Fatalf("begun %v, %v", begun, err)
	}
	for _, sql := range []string{
		`UPDATE support.codes SET account = 5 WHERE "no" = 1`,
		`INSERT INTO support.codes (region, "no", tax) VALUES ('c', 1, 2)`, `UPDATE support.codes SET tax = tax + 1 WHERE tax IS NOT NULL`,
	} {
		if _, err := w.admin.Exec(t.Context(), sql); codeOf(err) != "55006" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	w.exec(t, `UPDATE support.codes SET note = 'x', account = account WHERE "no" % 3 = 0; INSERT INTO support.codes (region, "no") VALUES ('A', 9001), ('z', 9002); DELETE FROM support.codes WHERE "no" = 8`)
	w.values["A 9001"], w.values["z 9002"] = [3]string{}, [3]string{}
	delete(w.values, "a 8")

	turn, cuts := first, 0
	for done := false; !done; {
		ctx, cut := context.WithCancel(t.Context())
		if dice.IntN(4) == 0 && cuts < 25 {
			cuts++
			if dice.IntN(2) == 0 { // in the middle of a transaction
				turn.Dead, turn.List = func(protect.Column, string) bool { return true }, func([]sallyport.Digest) error { cut(); return ctx.Err() }
			} else {
				_ = turn.Conn.Close(t.Context())
			}
		}
		var err error
		_, done, err = turn.Step(ctx, 1+dice.IntN(20))
		cut()
		if err == nil {
			continue
		}
		before := turn
		turn = w.turn(t, fmt.Sprint("again", cuts))
		if begun, err := turn.Take(t.Context()); err != nil || begun {
			t.Fatalf("going on: begun %v, %v", begun, err)
		}
		before.Conn, before.Dead = connect(t, cluster.SuperDSN(w.database)), nil
		if _, _, err := before.Step(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "taken it over") {
			t.Fatalf("one that was taken over went on: %v", err)
		}
	}
	t.Logf("cut %d times", cuts)
	w.check(t)
	if at, err := turn.Progress(t.Context()); err != nil || !at.Done || at.Rows < turnedRows {
		t.Errorf("progress %+v, %v", at, err)
	}
	w.exec(t, `BEGIN; UPDATE support.codes SET account = 5 WHERE "no" = 1; ROLLBACK`) // all are of the newer key, and nothing is announced any more
	if err := protect.Release(t.Context(), w.admin, "ids"); err != nil {
		t.Fatal(err)
	}
	w.exec(t, `BEGIN; UPDATE support.codes SET account = 5 WHERE "no" = 1; ROLLBACK`)
	if epoch, done, known, err := protect.Turned(t.Context(), w.admin, w.columns[0].Column, "ids"); err != nil || epoch != 2 || !done || !known {
		t.Errorf("turned to %d, %v, %v, %v", epoch, done, known, err)
	}
	if _, _, known, err := protect.Turned(t.Context(), w.admin, column("support.codes.other"), "ids"); err != nil || known {
		t.Errorf("another column is known: %v", err)
	}
}

// TestTurnParted turns a table in parts. A row that would go to another part would change its key.
func TestTurnParted(t *testing.T) {
	w := newTurned(t, `CREATE SCHEMA support; CREATE TABLE support.codes (region text, "no" int, account bigint, tax int, device uuid, note text, PRIMARY KEY ("no", region)) PARTITION BY RANGE ("no");
		CREATE TABLE support.codes_1 PARTITION OF support.codes FOR VALUES FROM (0) TO (150); CREATE TABLE support.codes_2 PARTITION OF support.codes DEFAULT`)
	if err := protect.Prepare(t.Context(), w.admin, cluster.Superuser, []*protect.Turn{w.turn(t, "")}); err != nil {
		t.Fatal(err)
	}
	turn := w.turn(t, "one")
	if _, err := turn.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`UPDATE support.codes SET "no" = 1000 WHERE "no" = 2`, `UPDATE support.codes_1 SET account = 5 WHERE "no" = 2`, `INSERT INTO support.codes_2 (region, "no", tax) VALUES ('c', 1000, 2)`,
	} {
		if _, err := w.admin.Exec(t.Context(), sql); codeOf(err) != "55006" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for done := false; !done; {
		var err error
		if _, done, err = turn.Step(t.Context(), 37); err != nil {
			t.Fatal(err)
		}
	}
	w.check(t)
}

// TestTurnBusy: a row that somebody holds is waited for a moment, and nothing of the step is done.
func TestTurnBusy(t *testing.T) {
	w := newTurned(t, turnedTable)
	turn := w.turn(t, "one")
	if err := protect.Prepare(t.Context(), w.admin, cluster.Superuser, []*protect.Turn{w.turn(t, "")}); err != nil {
		t.Fatal(err)
	}
	if _, err := turn.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := turn.Conn.Exec(t.Context(), "SET lock_timeout = '50ms'"); err != nil {
		t.Fatal(err)
	}
	other := connect(t, cluster.SuperDSN(w.database))
	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE support.codes SET note = 'mine' WHERE "no" = 4`); err != nil {
		t.Fatal(err)
	}
	if running, err := protect.Running(t.Context(), turn.Conn); err != nil || !slices.ContainsFunc(running, func(r protect.Writer) bool { return r.Who == fmt.Sprint("process ", other.PgConn().PID()) }) {
		t.Errorf("running are %+v, %v", running, err)
	}
	if _, _, err := turn.Step(t.Context(), 1000); !errors.Is(err, protect.ErrRowsLocked) {
		t.Errorf("a locked row: %v", err)
	}
	if at, err := turn.Progress(t.Context()); err != nil || at.Rows != 0 || at.Done {
		t.Errorf("progress %+v, %v", at, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if changed, done, err := turn.Step(t.Context(), 1000); err != nil || !done || changed != turnedRows-turnedRows/50 {
		t.Errorf("%d rows, %v, %v", changed, done, err)
	}
	w.check(t)
}

// TestTurnDead: what was drawn at random for a shredded customer becomes what no value does, and is listed before.
func TestTurnDead(t *testing.T) {
	w := newTurned(t, turnedTable)
	turn := w.turn(t, "one")
	if err := protect.Prepare(t.Context(), w.admin, cluster.Superuser, []*protect.Turn{w.turn(t, "")}); err != nil {
		t.Fatal(err)
	}
	var random string
	if err := w.admin.QueryRow(t.Context(), `SELECT account::text FROM support.codes WHERE "no" = 7`).Scan(&random); err != nil {
		t.Fatal(err)
	}
	listed := map[sallyport.Digest]bool{}
	turn.Dead = func(c protect.Column, tok string) bool { return c.Column.Name == "account" && tok == random }
	turn.List = func(list []sallyport.Digest) error {
		for _, d := range list {
			listed[d] = true
		}
		return nil
	}
	if _, err := turn.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, done, err := turn.Step(t.Context(), 1000); err != nil || !done {
		t.Fatalf("%v, %v", done, err)
	}
	rows, err := w.admin.Query(t.Context(), `SELECT "no" = 7, account::text FROM support.codes WHERE account IS NOT NULL`)
	if err != nil {
		t.Fatal(err)
	}
	var dead bool
	var stored string
	if _, err := pgx.ForEachRow(rows, []any{&dead, &stored}, func() error {
		if listed[w.columns[0].Codec.ListDigest([]byte(stored))] != dead {
			t.Errorf("a token is listed: %v, want %v", !dead, dead)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(listed) != 1 {
		t.Errorf("%d tokens are listed", len(listed))
	}
	w.check(t)
}

// TestTurnUnfit names what stands against it.
func TestTurnUnfit(t *testing.T) {
	w := newTurned(t, turnedTable)
	w.exec(t, `CREATE UNIQUE INDEX ON support.codes (region, "no", tax); CREATE TABLE support.other (account bigint REFERENCES support.codes (account))`)
	if err := protect.Prepare(t.Context(), w.admin, cluster.Superuser, []*protect.Turn{w.turn(t, "")}); err != nil {
		t.Fatal(err)
	}
	turn := w.turn(t, "one")
	problems, err := turn.Unfit(t.Context())
	if err != nil || len(problems) != 2 || !strings.Contains(problems[0], "foreign key stands on support.codes.account") || !strings.Contains(problems[1], "a unique index holds support.codes.tax behind other columns") {
		t.Errorf("%q, %v", problems, err)
	}
	w.exec(t, "ALTER TABLE support.codes DISABLE TRIGGER USER")
	if _, err := turn.Take(t.Context()); err == nil {
		t.Error("taken with triggers that are off")
	}
	w.exec(t, "CREATE TABLE support.bare (account bigint)")
	bare := w.turn(t, "")
	bare.Table.Name = "bare"
	if err := protect.Prepare(t.Context(), w.admin, cluster.Superuser, []*protect.Turn{bare}); err == nil || !strings.Contains(err.Error(), "no primary key") {
		t.Errorf("a table without a key: %v", err)
	}
}
