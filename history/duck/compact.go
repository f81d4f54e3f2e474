package duck

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/history"
)

// compactRows is how many fresh rows are sorted in together. Fewer come when a day is over.
const compactRows = 1 << 20

// compact moves fresh rows to where they are found quickly: sorted by customer, with a small number in place of the value's digest, which
// stands once for each customer and column in held.
func (s *Store) compact(ctx context.Context) error {
	defer func(began time.Time) { s.compacting += time.Since(began) }(time.Now())
	steps := []string{
		`CREATE OR REPLACE TEMP TABLE fresh_values AS SELECT DISTINCT customer, field, hi, lo FROM fresh WHERE hi <> 0 OR lo <> 0`,
		`CREATE OR REPLACE TEMP TABLE fresh_held AS SELECT h.customer, h.field, h.nth, h.hi, h.lo FROM held h SEMI JOIN fresh_values v ON h.customer = v.customer`,
		`CREATE OR REPLACE TEMP TABLE fresh_new AS
			SELECT v.customer, v.field, (coalesce(t.top, 0) + row_number() OVER (PARTITION BY v.customer, v.field ORDER BY v.hi, v.lo))::INTEGER AS nth, v.hi, v.lo
			FROM (SELECT * FROM fresh_values v ANTI JOIN fresh_held h ON v.customer = h.customer AND v.field = h.field AND v.hi = h.hi AND v.lo = h.lo) v
			LEFT JOIN (SELECT customer, field, max(nth) AS top FROM fresh_held GROUP BY customer, field) t ON t.customer = v.customer AND t.field = v.field`,
		`INSERT INTO held SELECT * FROM fresh_new ORDER BY customer, field, nth`,
		`INSERT INTO holders SELECT hi, field, customer FROM fresh_new ORDER BY hi`,
		`INSERT INTO seen SELECT DATE '1970-01-01' + f.day, f.customer, f.field, coalesce(v.nth, 0), f.person, f.entry
			FROM fresh f LEFT JOIN (SELECT * FROM fresh_held UNION ALL SELECT * FROM fresh_new) v
				ON v.customer = f.customer AND v.field = f.field AND v.hi = f.hi AND v.lo = f.lo
			ORDER BY f.day, f.customer, f.field, f.entry`,
		`INSERT INTO customers SELECT DISTINCT id, key FROM fresh_keys f WHERE NOT EXISTS (FROM customers c WHERE c.id = f.id) ORDER BY id`,
		`DELETE FROM fresh`,
		`DELETE FROM fresh_keys`,
		`DROP TABLE fresh_values`, `DROP TABLE fresh_held`, `DROP TABLE fresh_new`,
	}
	err := s.transact(ctx, func() error { return s.run(ctx, steps) })
	if err != nil {
		return broken("compact history", err)
	}
	s.fresh = 0
	return s.checkpoint(ctx)
}

func (s *Store) run(ctx context.Context, steps []string) error {
	for _, step := range steps {
		if _, err := s.writer.ExecContext(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint moves what was written into the file. Where a question is being answered it comes later.
func (s *Store) checkpoint(ctx context.Context) error {
	if _, err := s.writer.ExecContext(ctx, "CHECKPOINT"); err != nil && errors.Is(broken("", err), history.ErrBroken) {
		return broken("write history", err)
	}
	return nil
}

// Forget is history.Store's. What nothing refers to any more goes, too: values, and who had part in it.
func (s *Store) Forget(ctx context.Context, f history.Forgetting) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var steps []string
	if !f.Before.IsZero() {
		day := dayOf(f.Before)
		var oldest *int32
		err := s.writer.QueryRowContext(ctx, `SELECT min(day) - DATE '1970-01-01' FROM (SELECT min(day) AS day FROM batches UNION ALL SELECT min(day) FROM acts)`).Scan(&oldest)
		if err != nil {
			return broken("let days of history go", err)
		}
		if oldest == nil || *oldest >= day {
			return nil
		}
		before := fmt.Sprintf("day < DATE '1970-01-01' + %d", day)
		steps = append(steps, fmt.Sprintf("DELETE FROM fresh WHERE day < %d", day))
		for _, table := range []string{"seen", "batches", "acts", "actors", "reasons", "boxes"} {
			steps = append(steps, "DELETE FROM "+table+" WHERE "+before)
		}
	}
	if len(f.Entries) > 0 {
		steps = append(steps, "CREATE OR REPLACE TEMP TABLE erased (entry BIGINT)")
		for _, some := range chunks(f.Entries, 1000) {
			steps = append(steps, "INSERT INTO erased VALUES "+tuples(some))
		}
		for _, table := range []string{"fresh", "seen", "batches", "acts"} {
			steps = append(steps, "DELETE FROM "+table+" WHERE entry IN (SELECT entry FROM erased)")
		}
		steps = append(steps, "DROP TABLE erased",
			"DELETE FROM actors WHERE id NOT IN (SELECT actor FROM batches UNION SELECT actor FROM acts)",
			"DELETE FROM reasons WHERE id NOT IN (SELECT reason FROM batches UNION SELECT reason FROM acts)")
	}
	steps = append(steps,
		`DELETE FROM held h WHERE NOT EXISTS (FROM seen r WHERE r.customer = h.customer AND r.field = h.field AND r.nth = h.nth)`,
		`DELETE FROM holders o WHERE NOT EXISTS (FROM held h WHERE h.customer = o.customer AND h.field = o.field AND h.hi = o.hi)`,
		`DELETE FROM fresh_keys k WHERE id NOT IN (SELECT customer FROM fresh)`,
		`DELETE FROM customers c WHERE id NOT IN (SELECT customer FROM seen WHERE customer < 0)`,
		`DELETE FROM people WHERE id NOT IN (SELECT person FROM actors UNION SELECT via FROM actors UNION SELECT person FROM seen UNION SELECT person FROM fresh)`,
	)
	err := s.transact(ctx, func() error { return s.run(ctx, steps) })
	if err != nil {
		return broken("let go of history", err)
	}
	if err := s.reload(ctx); err != nil {
		return broken("let go of history", err)
	}
	return s.checkpoint(ctx)
}
