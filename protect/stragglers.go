package protect

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Rows that have not moved may come into ranges that are done: written by sessions that worked as before until they had heard, or given another primary
// key. The notes say which they are.

// mostRounds is how often ranges into which such rows came are gone through: as long as there are some others may come.
const mostRounds = 100

// moveNoted moves what is left in ranges that are done. Where no note says that something is, nothing is, and from then on nothing comes: what is written is of
// the form in which all are.
func (r *run) moveNoted(ctx context.Context) error {
	for range mostRounds {
		left := false
		for _, t := range r.tables {
			some, err := r.contrary(ctx, t)
			if err != nil {
				return fmt.Errorf("look for what was left in %s: %w", t, withoutValues(err))
			}
			left = left || some
		}
		if !left {
			return nil
		}
		r.mu.Lock()
		clear(r.done)
		r.mu.Unlock()
		if err := r.move(ctx); err != nil {
			return err
		}
	}
	return errors.New("somebody goes on giving rows other primary keys, or writing around Sallyport; end these sessions and run protect again")
}

// contrary has those ranges moved again of whose rows a note says that they are left, and tells whether there are some. Notes of rows that are gone say nothing.
func (r *run) contrary(ctx context.Context, t *table) (some bool, err error) {
	if len(t.formless()) == 0 {
		return false, nil
	}
	if err := r.forgetGone(ctx, t); err != nil {
		return false, err
	}
	rows, err := r.main.Query(ctx, fmt.Sprintf(`SELECT DISTINCT g.number FROM sallyport.written w JOIN %s t ON %s = w.key JOIN sallyport.ranges g ON g.relation = w.relation AND (g.after IS NULL OR %s) AND (g.up_to IS NULL OR %s)
		WHERE w.relation = $1 AND w.tokens = $2`, t.sql(), keyText("t.", t.key), t.beside(">", "g.after"), t.beside("<=", "g.up_to")), t.oid, r.out)
	if err != nil {
		return false, err
	}
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil || len(numbers) > 0 {
		for _, n := range numbers {
			t.ranges[n].done = false
		}
		return true, err
	}
	err = r.main.QueryRow(ctx, "SELECT EXISTS (SELECT FROM sallyport.written WHERE relation = $1 AND tokens = $2)", t.oid, r.out).Scan(&some)
	return some, err
}

// beside compares the key of a row t with one that is kept as texts.
func (t *table) beside(operator, kept string) string { return t.besideOf("t.", operator, kept) }

func (t *table) besideOf(row, operator, kept string) string {
	var own, others []string
	for i, k := range t.key {
		own, others = append(own, row+k.name), append(others, fmt.Sprintf("%s[%d]::%s", kept, i+1, k.kind))
	}
	return fmt.Sprintf("(%s) %s (%s)", strings.Join(own, ", "), operator, strings.Join(others, ", "))
}

// forgetGone removes notes of rows that are gone. A row may get such a key at this moment, and touches the note then: in one snapshot that is an error, and
// the note is looked at again.
func (r *run) forgetGone(ctx context.Context, t *table) error {
	gone := fmt.Sprintf("DELETE FROM sallyport.written w WHERE w.relation = $1 AND w.tokens = $2 AND NOT EXISTS (SELECT FROM %s t WHERE %s = w.key)", t.sql(), keyText("t.", t.key))
	err := pgx.BeginTxFunc(ctx, r.main, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+patience+"'"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, gone, t.oid, r.out)
		return err
	})
	if refusedBy(withoutValues(err), "40001", "40P01", lockNotAvailable) {
		return nil // it is there still, and looked at again
	}
	return err
}

// eachLocked is each of rows that nobody else changes until the transaction has ended. Their notes are read behind the locks: what was read together with a
// row might be of a moment before. Whoever gives a row another form, another key or a note has locked it, so that all that is known of these rows is what is
// read here. Of rows that come into the range later there is a note.
func (p piece) eachLocked(ctx context.Context, conn *pgconn.PgConn, fn func(key, values [][]byte) error) error {
	where, params := p.bounds()
	outputs := append(p.outputs("t."), keyText("t.", p.t.key))
	found := conn.ExecParams(ctx, fmt.Sprintf("SELECT %s FROM %s AS t%s FOR NO KEY UPDATE", strings.Join(outputs, ", "), p.t.sql(), where), params, nil, nil, nil).Read()
	if found.Err != nil {
		return withoutValues(found.Err)
	}
	notes, err := p.notesOf(ctx, conn, found.Rows)
	if err != nil {
		return err
	}
	list, keys := p.t.formless(), len(p.t.key)
	for _, row := range found.Rows {
		key := row[len(row)-1]
		values := row[keys : len(row)-1 : len(row)-1]
		for _, c := range list {
			values = append(values, notes[noted{c.Name, string(key)}])
		}
		if err := fn(row[:keys], append(values, key)); err != nil {
			return err
		}
	}
	return nil
}

// notesOf are the notes of rows whose keys stand behind their values.
func (p piece) notesOf(ctx context.Context, conn *pgconn.PgConn, rows [][][]byte) (map[noted][]byte, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	var keys, names textArray
	for _, row := range rows {
		keys.append(row[len(row)-1])
	}
	for _, c := range p.t.formless() {
		names.append([]byte(c.Name))
	}
	found := conn.ExecParams(ctx, fmt.Sprintf("SELECT name, key, tokens FROM sallyport.written WHERE relation = %d AND name = ANY ($1::text[]) AND key = ANY ($2::text[])", p.t.oid),
		[][]byte{names.encode(), keys.encode()}, []uint32{textArrayOID, textArrayOID}, []int16{1, 1}, nil).Read()
	if found.Err != nil {
		return nil, withoutValues(found.Err)
	}
	notes := map[noted][]byte{}
	for _, row := range found.Rows {
		notes[noted{string(row[0]), string(row[1])}] = row[2]
	}
	return notes, nil
}
