package protect_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/protect"
)

// Rows get other primary keys while their columns are on their way. Each test stops two sessions at the point at which one could miss what the other does.

// awaitBlocked waits until somebody waits for a session.
func awaitBlocked(tb testing.TB, admin, holder *pgx.Conn) {
	tb.Helper()
	waitFor(tb, func() bool {
		var waits bool
		err := admin.QueryRow(tb.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1::int = ANY (pg_blocking_pids(pid)))", int32(holder.PgConn().PID())).Scan(&waits) //nolint:gosec // a process
		return err == nil && waits
	})
}

// rekeyed notes that a row has another key.
func (w *turned) rekeyed(from, to string) {
	w.values[to] = w.values[from]
	delete(w.values, from)
}

// begins is a session in a transaction that has run a statement.
func (w *turned) begins(tb testing.TB, level pgx.TxIsoLevel, sql string) (*pgx.Conn, pgx.Tx) {
	tb.Helper()
	conn := connect(tb, cluster.SuperDSN(w.database))
	tx, err := conn.BeginTx(tb.Context(), pgx.TxOptions{IsoLevel: level})
	if err != nil {
		tb.Fatal(err)
	}
	txExec(tb, tx, sql)
	return conn, tx
}

func txExec(tb testing.TB, tx pgx.Tx, sql string) {
	tb.Helper()
	if _, err := tx.Exec(tb.Context(), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

func commit(tb testing.TB, tx pgx.Tx) {
	tb.Helper()
	if err := tx.Commit(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// taken is a rotation that has begun.
func (w *turned) taken(tb testing.TB) *protect.Turn {
	tb.Helper()
	if err := protect.Prepare(tb.Context(), w.admin, cluster.Superuser, []*protect.Turn{w.turn(tb, "")}); err != nil {
		tb.Fatal(err)
	}
	turn := w.turn(tb, "one")
	if _, err := turn.Take(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return turn
}

// steps turns rows until it is done; most are how many at a time.
func steps(tb testing.TB, turn *protect.Turn, most int) {
	tb.Helper()
	for range 10 * turnedRows {
		_, done, err := turn.Step(tb.Context(), most)
		if err != nil && !strings.Contains(err.Error(), protect.ErrRowsLocked.Error()) {
			tb.Fatal(err)
		}
		if done {
			return
		}
	}
	tb.Fatal("it comes to no end")
}

// collatedTable is a table whose key is compared as C does: capitals are in front.
const collatedTable = `CREATE SCHEMA support; CREATE TABLE support.codes (region text COLLATE "C", "no" int, account bigint UNIQUE, tax int, device uuid, note text, PRIMARY KEY (region, "no"))`

// TestTurnWaitsForRekeyed: the last row of a step, which waits for it, gets a key ahead of the border or behind it, or has its own again, or another row has it.
func TestTurnWaitsForRekeyed(t *testing.T) {
	const away, ahead = `UPDATE support.codes SET region = 'zz' WHERE region = 'a' AND "no" = 12`, `UPDATE support.codes SET region = 'zz' WHERE region = 'B' AND "no" = 5`
	for name, c := range map[string]struct {
		first, then string
		keys        []string
	}{
		"ahead":        {away, "", []string{"a 12", "zz 12"}},
		"behind":       {`UPDATE support.codes SET region = 'A' WHERE region = 'a' AND "no" = 12`, ahead, []string{"a 12", "A 12", "B 5", "zz 5"}},
		"back":         {away, `UPDATE support.codes SET region = 'a' WHERE region = 'zz' AND "no" = 12`, nil},
		"from ahead":   {away, `UPDATE support.codes SET "no" = 12 WHERE region = 'a' AND "no" = 16`, []string{"a 12", "zz 12", "a 16", "a 12"}},
		"from behind":  {away, `UPDATE support.codes SET region = 'a', "no" = 12 WHERE region = 'B' AND "no" = 5`, []string{"a 12", "zz 12", "B 5", "a 12"}},
		"exchanged":    {away, `UPDATE support.codes SET region = 'a', "no" = 12 WHERE region = 'B' AND "no" = 5; UPDATE support.codes SET region = 'B', "no" = 5 WHERE region = 'zz'`, []string{"a 12", "zz 12", "B 5", "a 12", "zz 12", "B 5"}},
		"behind again": {ahead + `; UPDATE support.codes SET region = 'A' WHERE region = 'a' AND "no" = 12`, `UPDATE support.codes SET region = 'A' WHERE region = 'zz'`, []string{"B 5", "A 5", "a 12", "A 12"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTurned(t, collatedTable)
			turn := w.taken(t)
			if changed, _, err := turn.Step(t.Context(), turnedRows/2); err != nil || changed == 0 { // all of B and O'x
				t.Fatal(changed, err)
			}
			holder, tx := w.begins(t, pgx.ReadCommitted, c.first)
			ended := make(chan error, 1)
			go func() {
				_, _, err := turn.Step(context.WithoutCancel(t.Context()), 4) // from 0 to 12 of a
				ended <- err
			}()
			awaitBlocked(t, w.admin, holder)
			txExec(t, tx, c.then)
			commit(t, tx)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(c.keys); i += 2 {
				w.rekeyed(c.keys[i], c.keys[i+1])
			}
			w.stand(t)
			steps(t, turn, 7)
			w.check(t)
		})
	}
}

// TestTurnRekeyedAcross: rows exchange places across the border while nobody turns any.
func TestTurnRekeyedAcross(t *testing.T) {
	w := newTurned(t, collatedTable)
	turn := w.taken(t)
	for round := range 20 {
		if _, _, err := turn.Step(t.Context(), turnedRows/25); err != nil {
			t.Fatal(err)
		}
		for i := range 7 { // each is older or newer by now
			from := []string{"B", "O'x", "a", "ä"}[(round+i)%4]
			no, to := []int{1, 3, 0, 2}[(round+i)%4]+4*(round*3+i), fmt.Sprintf("%c", "AZz~"[(round*7+i)%4])
			key, next := fmt.Sprint(from, " ", no), fmt.Sprint(to, " ", 1000*round+i)
			if _, there := w.values[key]; !there {
				continue
			}
			w.exec(t, fmt.Sprintf(`UPDATE support.codes SET region = '%s', "no" = %d WHERE region = '%s' AND "no" = %d`, to, 1000*round+i, strings.ReplaceAll(from, "'", "''"), no))
			w.rekeyed(key, next)
		}
		w.stand(t)
	}
	steps(t, turn, 11)
	w.check(t)
	if err := protect.Release(t.Context(), w.admin, "ids"); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := w.admin.QueryRow(t.Context(), "SELECT count(*) FROM sallyport.turning_written").Scan(&left); err != nil || left > 0 {
		t.Errorf("%d notes are left, %v", left, err)
	}
}

// TestTurnRekeyedByAnOlderSnapshot: who sees no turned row yet gives none another key.
func TestTurnRekeyedByAnOlderSnapshot(t *testing.T) {
	w := newTurned(t, collatedTable)
	turn := w.taken(t)
	_, tx := w.begins(t, pgx.RepeatableRead, "SELECT FROM support.codes")
	if _, _, err := turn.Step(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE support.codes SET region = 'zz' WHERE region = 'B' AND "no" = 5`); codeOf(err) != "40001" {
		t.Errorf("a row that has turned since got another key: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, tx = w.begins(t, pgx.RepeatableRead, "SELECT FROM support.codes")
	if _, _, err := turn.Step(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	txExec(t, tx, `UPDATE support.codes SET region = 'zz' WHERE region = 'B' AND "no" = 9; UPDATE support.codes SET region = 'A' WHERE region = 'a' AND "no" = 12`)
	commit(t, tx)
	w.rekeyed("B 9", "zz 9")
	w.rekeyed("a 12", "A 12")
	w.stand(t)
	steps(t, turn, 50)
	w.check(t)
}

// TestTurnKeepsDeferrableKeys: where two rows may have one key for a moment none gets another.
func TestTurnKeepsDeferrableKeys(t *testing.T) {
	w := newTurned(t, strings.Replace(collatedTable, `PRIMARY KEY (region, "no")`, `PRIMARY KEY (region, "no") DEFERRABLE`, 1))
	w.taken(t)
	if _, err := w.admin.Exec(t.Context(), `UPDATE support.codes SET region = 'zz' WHERE region = 'B' AND "no" = 9`); codeOf(err) != "55006" {
		t.Errorf("given another key: %v", err)
	}
}

// stand holds every row to its value, by the key of which the database says that its tokens are.
func (w *turned) stand(tb testing.TB) {
	tb.Helper()
	for i, c := range w.columns {
		rows, err := w.admin.Query(tb.Context(), fmt.Sprintf(`SELECT t.region || ' ' || t."no", t.%[1]s::text, coalesce((SELECT w.epoch > 0 FROM sallyport.turning_written w WHERE w.name = 'support.codes.%[1]s' AND w.key = jsonb_build_array(t.region, t."no")::text),
			(t.region, t."no") <= (g.after[1], g.after[2]::int), false) FROM support.codes t, sallyport.turning g WHERE t.%[1]s IS NOT NULL`, c.Column.Name))
		if err != nil {
			tb.Fatal(err)
		}
		var key, stored string
		var newer bool
		_, err = pgx.ForEachRow(rows, []any{&key, &stored, &newer}, func() error {
			epoch := 1
			if newer {
				epoch = 2
			}
			if plain, err := c.Codec.RevealEpoch(nil, []byte(stored), epoch); err != nil || string(plain) != w.values[key][i] {
				tb.Errorf("%s of row %s, by key %d, is %s, want %s, %v", c.Column, key, epoch, plain, w.values[key][i], err)
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}
