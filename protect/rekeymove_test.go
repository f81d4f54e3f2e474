package protect_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/protect"
	"sallyport/token"
)

// movedRows is a table of integers and uuids that moves in and out beside sessions that give its rows other primary keys. In the place of serve stands a fake that
// writes down what it is told.
type movedRows struct {
	turned
	states protect.States
	calls  int
	moving func(call int) // called whenever a range was gone through while rows move, the last with them
	enters func() error   // called when states are to hold that are on record
	ends   func()         // called before the end is on record
}

const movedTable = `CREATE SCHEMA support; CREATE TABLE support.codes (region text COLLATE "C", "no" int, account bigint UNIQUE, tax int, device uuid, PRIMARY KEY (region, "no"))`

func newMovedRows(tb testing.TB, table string) *movedRows {
	tb.Helper()
	m := &movedRows{turned: turned{database: emptyDatabase(tb), values: map[string][3]string{}}}
	m.admin = connect(tb, cluster.SuperDSN(m.database))
	m.exec(tb, table)
	m.exec(tb, fmt.Sprintf(`INSERT INTO support.codes SELECT (ARRAY['a', 'B', 'ä', 'O''x'])[1 + i %% 4], i, i * 7919 - 1000, CASE WHEN i %% 5 > 0 THEN i %% 17 END, md5(i::text)::uuid FROM generate_series(0, %d) AS i`, turnedRows-1))
	rows, err := m.admin.Query(tb.Context(), `SELECT region || ' ' || "no", account::text, device::text, coalesce(tax::text, '') FROM support.codes`)
	if err != nil {
		tb.Fatal(err)
	}
	var key string
	var v [3]string
	if _, err := pgx.ForEachRow(rows, []any{&key, &v[0], &v[1], &v[2]}, func() error { m.values[key] = v; return nil }); err != nil {
		tb.Fatal(err)
	}
	ring := newRing(tb, 1)
	for _, c := range []struct {
		name   string
		scheme sallyport.Scheme
	}{{"account", sallyport.Int8}, {"device", sallyport.UUID}, {"tax", sallyport.Int4}} {
		codec, err := ring.Codec(token.Spec{Column: column("support.codes." + c.name), Scheme: c.scheme, Group: "ids"})
		if err != nil {
			tb.Fatal(err)
		}
		m.columns = append(m.columns, protect.Column{Column: column("support.codes." + c.name), Codec: codec})
	}
	return m
}

const movedRange = 40 // rows

func (m *movedRows) options(tb testing.TB) protect.Options {
	tb.Helper()
	return protect.Options{
		DSN: cluster.SuperDSN(m.database), Columns: m.columns, RecordID: recordID, Random: rand.Reader, Connections: 1, RangeRows: movedRange,
		Reader: protect.Reader{User: "sallyport_reader", Password: protect.NewPassword("reader-password")},
		Progress: func(string, int64, int64) {
			if m.calls++; m.moving != nil && len(m.states.Moving)+len(m.states.Leaving) > 0 {
				m.moving(m.calls)
			}
		},
		Live: &protect.Live{
			Serving: func(ctx context.Context) (protect.Serving, error) {
				rows, err := m.admin.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'sallyport protect'")
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
				if len(s.Moving)+len(s.Leaving) == 0 && m.ends != nil {
					m.ends()
				}
				m.states, m.calls = s, 0
				return nil
			},
			Enter: func(context.Context) ([]string, error) {
				if m.enters != nil {
					return nil, m.enters()
				}
				return nil, nil
			},
			Now: time.Now,
		},
	}
}

// move moves everything in or out.
func (m *movedRows) move(tb testing.TB, out bool) {
	tb.Helper()
	do := protect.MoveIn
	if out {
		do = protect.MoveOut
	}
	if _, err := do(tb.Context(), m.options(tb)); err != nil {
		tb.Fatal(err)
	}
	m.holds(tb, fmt.Sprint(!out))
}

// holds holds each row to its value. tokens is SQL about a row t.
func (m *movedRows) holds(tb testing.TB, tokens string) {
	tb.Helper()
	for i, c := range m.columns {
		rows, err := m.admin.Query(tb.Context(), fmt.Sprintf(`SELECT t.region || ' ' || t."no", coalesce(t.%[1]s::text, ''), coalesce(%[2]s, false) FROM support.codes t`, c.Column.Name, strings.ReplaceAll(tokens, "column", c.Column.Name)))
		if err != nil {
			tb.Fatal(err)
		}
		var key, stored string
		var is bool
		seen := 0
		_, err = pgx.ForEachRow(rows, []any{&key, &stored, &is}, func() error {
			seen++
			plain := []byte(stored)
			if is && stored != "" {
				if plain, err = c.Codec.Reveal(nil, plain); err != nil {
					return err
				}
			}
			if string(plain) != m.values[key][i] {
				tb.Errorf("%s of row %s, a token: %v, is %s, want %s", c.Column, key, is, plain, m.values[key][i])
			}
			return nil
		})
		if err != nil || seen != len(m.values) {
			tb.Fatalf("%d rows, %v", seen, err)
		}
	}
}

// saidOf is what the database says of a row t while columns move.
const saidOf = `coalesce((SELECT w.tokens FROM sallyport.written w WHERE w.relation = 'support.codes'::regclass AND w.name = 'column' AND w.key = jsonb_build_array(t.region, t."no")::text),
	(SELECT g.tokens FROM sallyport.ranges g WHERE g.relation = 'support.codes'::regclass AND (g.after IS NULL OR (t.region, t."no") > (g.after[1], g.after[2]::int)) AND (g.up_to IS NULL OR (t.region, t."no") <= (g.up_to[1], g.up_to[2]::int))))`

// TestMoveWaitsForRekeyed: a row that its range waits for gets a key in a range that is done or in one that is not, or has its own again, or another row has it.
func TestMoveWaitsForRekeyed(t *testing.T) {
	const away, done = `UPDATE support.codes SET region = 'zz' WHERE region = 'a' AND "no" = 12`, `UPDATE support.codes SET region = 'a', "no" = 12 WHERE region = 'B' AND "no" = 5`
	for name, c := range map[string]struct {
		first, then string
		keys        []string
	}{
		"not done":       {away, "", []string{"a 12", "zz 12"}},
		"done":           {`UPDATE support.codes SET region = 'A' WHERE region = 'a' AND "no" = 12`, "", []string{"a 12", "A 12"}},
		"back":           {away, `UPDATE support.codes SET region = 'a' WHERE region = 'zz'`, nil},
		"from not done":  {away, `UPDATE support.codes SET "no" = 12 WHERE region = 'a' AND "no" = 16`, []string{"a 12", "zz 12", "a 16", "a 12"}},
		"from done":      {away, done, []string{"a 12", "zz 12", "B 5", "a 12"}},
		"exchanged":      {away, done + `; UPDATE support.codes SET region = 'B', "no" = 5 WHERE region = 'zz'`, []string{"a 12", "zz 12", "B 5", "a 12", "zz 12", "B 5"}},
		"at one's place": {`DELETE FROM support.codes WHERE region = 'a' AND "no" = 12`, done, []string{"B 5", "a 12"}},
	} {
		for _, out := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, out %v", name, out), func(t *testing.T) {
				m := newMovedRows(t, movedTable)
				if out {
					m.move(t, false)
				}
				met := false
				var behind chan struct{}
				m.moving = func(int) {
					var moved int
					if err := m.admin.QueryRow(t.Context(), "SELECT count(*) FROM sallyport.ranges WHERE done").Scan(&moved); err != nil {
						t.Error(err)
					}
					if moved < 2 || met {
						return
					}
					met, behind = true, make(chan struct{})
					m.holds(t, saidOf)
					holder, tx := m.begins(t, pgx.ReadCommitted, c.first)
					looks := connect(t, cluster.SuperDSN(m.database))
					go func() {
						defer close(behind)
						awaitBlocked(t, looks, holder)
						txExec(t, tx, c.then)
						commit(t, tx)
					}()
					for i := 0; i < len(c.keys); i += 2 {
						m.rekeyed(c.keys[i], c.keys[i+1])
					}
				}
				m.move(t, out)
				if !met {
					t.Fatal("nothing came between")
				}
				<-behind
				m.moving = nil
				m.move(t, !out)
			})
		}
	}
}

// TestMoveRekeyedAcross: rows exchange places between ranges that are done and ranges that are not, behind each range.
func TestMoveRekeyedAcross(t *testing.T) {
	m, round := newMovedRows(t, movedTable), 0
	m.moving = func(int) {
		if round++; round > 60 {
			return
		}
		for i := range 7 {
			from, no := []string{"B", "O'x", "a", "ä"}[(round+i)%4], []int{1, 3, 0, 2}[(round+i)%4]+4*((round*3+i)%100)
			to := fmt.Sprintf("%c", "AZz~"[(round*7+i)%4])
			key, next := fmt.Sprint(from, " ", no), fmt.Sprint(to, " ", 1000*round+i)
			if _, there := m.values[key]; !there {
				continue
			}
			m.exec(t, fmt.Sprintf(`UPDATE support.codes SET region = '%s', "no" = %d WHERE region = '%s' AND "no" = %d`, to, 1000*round+i, strings.ReplaceAll(from, "'", "''"), no))
			m.rekeyed(key, next)
		}
		m.exec(t, fmt.Sprintf(`DELETE FROM support.codes WHERE region = 'z' AND "no" = %d`, 1000*round))
		delete(m.values, fmt.Sprint("z ", 1000*round))
		m.holds(t, saidOf)
	}
	for _, out := range []bool{false, true, false} {
		round = 0
		m.move(t, out)
	}
}

// TestMoveRekeyedByAnOlderSnapshot: who sees no moved row yet gives none another key. Transactions that began before the columns were on their way have ended by then.
func TestMoveRekeyedByAnOlderSnapshot(t *testing.T) {
	m := newMovedRows(t, movedTable)
	var older pgx.Tx
	met := false
	m.moving = func(int) {
		var moved int
		if err := m.admin.QueryRow(t.Context(), "SELECT count(*) FROM sallyport.ranges WHERE done").Scan(&moved); err != nil {
			t.Error(err)
		}
		if older == nil {
			_, older = m.begins(t, pgx.RepeatableRead, "SELECT FROM support.codes")
		}
		if moved < 2 || met {
			return
		}
		met = true
		txExec(t, older, `SAVEPOINT a; UPDATE support.codes SET region = 'zz' WHERE region = 'a' AND "no" = 12`) // it has not moved
		if _, err := older.Exec(t.Context(), `UPDATE support.codes SET region = 'zz' WHERE region = 'B' AND "no" = 201`); codeOf(err) != "40001" {
			t.Errorf("a row that has moved since got another key: %v", err)
		}
		txExec(t, older, `ROLLBACK TO a; UPDATE support.codes SET region = 'A' WHERE region = 'a' AND "no" = 16`)
		commit(t, older)
		m.rekeyed("a 16", "A 16")
		m.holds(t, saidOf)
	}
	m.move(t, false)
	if !met || older == nil {
		t.Fatal("nothing came between")
	}
}

// TestMoveWrittenAtItsEnds: until sessions have heard that columns move they write as before, also where the run that told them was cut; and once the end is on
// record they write as they will, though the run has not let go yet. What they write then is what it is taken for, and nothing is refused.
func TestMoveWrittenAtItsEnds(t *testing.T) {
	errCut := errors.New("cut")
	for _, out := range []bool{false, true} {
		m := newMovedRows(t, movedTable)
		if out {
			m.move(t, false)
		}
		write := func(key string, value int, token bool) {
			t.Helper()
			text := fmt.Sprint(value)
			if token {
				made, err := m.columns[0].Codec.Tokenise(nil, []byte(text), nil)
				if err != nil {
					t.Fatal(err)
				}
				text = string(made)
			}
			region, no, _ := strings.Cut(key, " ")
			m.exec(t, fmt.Sprintf(`UPDATE support.codes SET account = %s WHERE region = '%s' AND "no" = %s`, text, region, no))
			v := m.values[key]
			v[0] = fmt.Sprint(value)
			m.values[key] = v
		}
		do := protect.MoveIn
		if out {
			do = protect.MoveOut
		}
		next := 1
		m.enters = func() error {
			write("a 12", next, out)
			next++
			return errCut
		}
		for range 2 { // before anybody has heard, by two runs
			if _, err := do(t.Context(), m.options(t)); !errors.Is(err, errCut) {
				t.Fatal(err)
			}
		}
		m.enters = func() error {
			if len(m.states.Moving)+len(m.states.Leaving) > 0 {
				write("a 12", next, out)
				return nil
			}
			write("B 5", 77, !out) // by a session that announces nothing any more
			return nil
		}
		m.ends = func() { write("B 9", 78, !out) }
		m.move(t, out)
	}
}

// TestMoveNull: NULL is the same in both forms, whoever writes it, and what is written over it is announced.
func TestMoveNull(t *testing.T) {
	m, done := newMovedRows(t, movedTable), false
	m.moving = func(int) {
		if done {
			return
		}
		done = true
		for _, key := range []string{"B 5", "a 12"} { // in a range that is done, and in one that is not
			region, no, _ := strings.Cut(key, " ")
			where := fmt.Sprintf(`WHERE region = '%s' AND "no" = %s`, region, no)
			m.exec(t, `UPDATE support.codes SET account = NULL, tax = NULL `+where)
			if _, err := m.admin.Exec(t.Context(), `UPDATE support.codes SET account = 7 `+where); codeOf(err) != "55006" {
				t.Errorf("what nobody announced is written over NULL in row %s: %v", key, err)
			}
			made, err := m.columns[2].Codec.Tokenise(nil, []byte("3"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if said, err := protect.Announce(t.Context(), m.admin, protect.Announcement{Column: m.columns[2].Column, Value: string(made), Tokens: true}); err != nil || !said.Ready {
				t.Fatal(said, err)
			}
			m.exec(t, `UPDATE support.codes SET "no" = "no" + 100000, tax = `+string(made)+" "+where)
			m.values[fmt.Sprintf("%s %s", region, map[string]string{"5": "100005", "12": "100012"}[no])] = [3]string{"", m.values[key][1], "3"}
			delete(m.values, key)
		}
		m.holds(t, saidOf)
	}
	m.move(t, false)
	if !done {
		t.Fatal("nothing came between")
	}
}

// TestMoveRekeyedOntoWhatIsForgotten: a row that has not moved gets the key of one that is gone, of which it is noted that it has not, when that note is forgotten.
func TestMoveRekeyedOntoWhatIsForgotten(t *testing.T) {
	m := newMovedRows(t, movedTable)
	var behind chan struct{}
	begun := false
	m.moving = func(int) {
		var moved, all int
		if err := m.admin.QueryRow(t.Context(), "SELECT count(*) FILTER (WHERE done), count(*) FROM sallyport.ranges").Scan(&moved, &all); err != nil {
			t.Error(err)
		}
		switch {
		case moved == 2 && !begun:
			begun = true
			m.exec(t, `UPDATE support.codes SET region = 'A' WHERE region = 'a' AND "no" IN (12, 16); DELETE FROM support.codes WHERE region = 'A' AND "no" = 12`)
			delete(m.values, "a 12")
			m.rekeyed("a 16", "A 16")
		case moved == all && behind == nil:
			behind = make(chan struct{})
			looks := connect(t, cluster.SuperDSN(m.database))
			holder, tx := m.begins(t, pgx.ReadCommitted, `UPDATE support.codes SET "no" = 12 WHERE region = 'A' AND "no" = 16`)
			m.rekeyed("A 16", "A 12")
			go func() {
				defer close(behind)
				awaitBlocked(t, looks, holder)
				commit(t, tx)
			}()
		}
	}
	m.move(t, false)
	if behind == nil {
		t.Fatal("nothing came between")
	}
	<-behind
}
