package protect_test

import (
	"context"
	"fmt"
	dice "math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/protect"
)

// besideWriter writes values of the newer key into rows that are about to turn, or have, in transactions of both kinds, of which some are rolled back.
type besideWriter struct {
	w           *turned
	conn        *pgx.Conn
	announces   *pgx.Conn
	next        int
	kept, taken int
}

func (b *besideWriter) work(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := b.step(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return nil
}

func (b *besideWriter) step(ctx context.Context) error {
	b.next++
	tx, err := b.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead}[b.next%2]})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, "SELECT"); err != nil { // the snapshot of the one is taken here, before anything is announced
		return err
	}
	v := [3]string{fmt.Sprint(5_000_000 + b.next), fmt.Sprintf("a47ac10b-58cc-4372-a567-%012d", b.next), fmt.Sprint(b.next)}
	row := []any{[]string{"a", "B", "ä", "O'x"}[b.next%4], 100_000 + b.next}
	sql := `INSERT INTO support.codes (region, "no", account, device, tax) VALUES ($1, $2, $3::text::bigint, $4::text::uuid, $5::text::int)`
	if b.next%3 > 0 {
		row[0], row[1] = []string{"a", "B", "ä", "O'x"}[b.next*7%4], b.next*7%turnedRows
		sql = `UPDATE support.codes SET account = $3::text::bigint, device = $4::text::uuid, tax = $5::text::int WHERE region = $1 AND "no" = $2`
	}
	for i, c := range b.w.columns {
		tok, err := c.Codec.TokenEpoch(nil, []byte(v[i]), 2)
		if err != nil {
			return err
		}
		if said, err := protect.Announce(ctx, b.announces, protect.Announcement{Column: c.Column, Value: string(tok), Group: "ids", Epoch: 2, Older: 1, Newer: 2}); err != nil || !said.Ready {
			return fmt.Errorf("announce a value of %s: %+v, %w", c.Column, said, err)
		}
		row = append(row, string(tok))
	}
	tag, err := tx.Exec(ctx, sql, row...)
	switch {
	case codeOf(err) == "40001":
		return nil
	case err != nil:
		return err
	case dice.IntN(4) == 0:
		b.taken++
		return tx.Rollback(ctx)
	}
	if err := tx.Commit(ctx); err != nil || tag.RowsAffected() == 0 {
		return err
	}
	b.kept++
	b.w.values[fmt.Sprint(row[0], " ", row[1])] = v
	return nil
}

// TestTurnBeside has somebody write through all of a rotation, into rows before the one that turns, behind it and at it. Afterwards each row is what was written.
func TestTurnBeside(t *testing.T) {
	for _, table := range []string{turnedTable, strings.Replace(turnedTable, `bigint UNIQUE`, `bigint`, 1) + ` PARTITION BY LIST (region); CREATE TABLE support.codes_a PARTITION OF support.codes FOR VALUES IN ('a', 'B'); CREATE TABLE support.codes_b PARTITION OF support.codes DEFAULT`} {
		w := newTurned(t, table)
		if err := protect.Prepare(t.Context(), w.admin, cluster.Superuser, []*protect.Turn{w.turn(t, "")}); err != nil {
			t.Fatal(err)
		}
		b := &besideWriter{w: w, conn: connect(t, cluster.SuperDSN(w.database)), announces: connect(t, cluster.SuperDSN(w.database))}
		if said, err := protect.Announce(t.Context(), b.announces, protect.Announcement{Column: w.columns[0].Column, Value: "7", Group: "ids", Epoch: 2, Older: 1, Newer: 2}); err != nil || said.Ready {
			t.Errorf("a token of the newer key is announced before there is a rotation: %+v, %v", said, err)
		}
		turn := w.turn(t, "one")
		if _, err := turn.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		if said, err := protect.Announce(t.Context(), b.announces, protect.Announcement{Column: w.columns[0].Column, Value: "7", Group: "ids", Epoch: 1, Older: 1, Newer: 2}); err != nil || !said.Ready {
			t.Errorf("a token of the older key before the first row has turned: %+v, %v", said, err)
		}
		w.exec(t, `BEGIN; INSERT INTO support.codes (region, "no", account) VALUES ('z', 7, 7); ROLLBACK`)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var failed error
		wg.Go(func() { failed = b.work(ctx) })
		for done := false; !done; {
			var err error
			if _, done, err = turn.Step(t.Context(), 1+dice.IntN(4)); err != nil && !strings.Contains(err.Error(), protect.ErrRowsLocked.Error()) {
				t.Fatal(err)
			}
		}
		stop()
		wg.Wait()
		if failed != nil || b.kept == 0 || b.taken == 0 {
			t.Errorf("%d written, %d taken back: %v", b.kept, b.taken, failed)
		}
		w.check(t)
		if _, err := w.admin.Exec(t.Context(), `INSERT INTO support.codes (region, "no", account) VALUES ('z', 7, 7)`); codeOf(err) != "55006" {
			t.Errorf("a token of the older key is written behind the rows: %v", err)
		}
		t.Logf("%d written, %d taken back", b.kept, b.taken)
	}
}

// BenchmarkWritten is a row with three values, as it is written at any time, and while a rotation goes on: announced, and noted by the trigger.
func BenchmarkWritten(b *testing.B) {
	w := newTurned(b, turnedTable)
	if err := protect.Prepare(b.Context(), w.admin, cluster.Superuser, []*protect.Turn{w.turn(b, "")}); err != nil {
		b.Fatal(err)
	}
	announces, next := connect(b, cluster.SuperDSN(w.database)), 1_000_000
	write := func(b *testing.B, announced bool) {
		for b.Loop() {
			next++
			row := []any{next}
			for i, c := range w.columns {
				tok, err := c.Codec.TokenEpoch(nil, []byte([]string{fmt.Sprint(next), fmt.Sprintf("b47ac10b-58cc-4372-a567-%012d", next), fmt.Sprint(next)}[i]), 2)
				if err != nil {
					b.Fatal(err)
				}
				row = append(row, string(tok))
				if !announced {
					continue
				}
				if said, err := protect.Announce(b.Context(), announces, protect.Announcement{Column: c.Column, Value: string(tok), Group: "ids", Epoch: 2, Older: 1, Newer: 2}); err != nil || !said.Ready {
					b.Fatal(said, err)
				}
			}
			if _, err := w.admin.Exec(b.Context(), `INSERT INTO support.codes (region, "no", account, device, tax) VALUES ('x', $1, $2::text::bigint, $3::text::uuid, $4::text::int)`, row...); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("ever", func(b *testing.B) { write(b, false) })
	if _, err := w.turn(b, "one").Take(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Run("on its way", func(b *testing.B) { write(b, true) })
}
