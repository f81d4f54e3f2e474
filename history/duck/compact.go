package duck

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"sallyport/history"
)

// compactRows is how many fresh rows are sorted in together. When a day is over a part of that is enough: fewer are found quickly where they are.
const (
	compactRows = 1 << 20
	partOfRows  = 8
)

// sorting is a compaction that goes on beside what is added, on a connection of its own: it moves the rows that were fresh when it began.
type sorting struct {
	rows  int // that it moves
	ended chan error
}

// sort begins a compaction. One that is under way still is awaited: what is added must not run away from it.
func (s *Store) sort(ctx context.Context) error {
	if err := s.sorted(ctx, true); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	x := &sorting{ended: make(chan error, 1)}
	if _, err := s.sorter.ExecContext(ctx, "BEGIN TRANSACTION"); err != nil {
		return broken("compact history", err)
	}
	// From here on the transaction sees what is there now, and nobody writes meanwhile.
	if err := s.sorter.QueryRowContext(ctx, "SELECT count(*) FROM fresh").Scan(&x.rows); err != nil {
		_, back := s.sorter.ExecContext(ctx, "ROLLBACK")
		return broken("compact history", errors.Join(err, back))
	}
	run, steps := s.run+1, s.compaction()
	go func() {
		err := finish(ctx, s.sorter, func() error { return errors.Join(runSteps(ctx, s.sorter, steps), s.repack(ctx)) })
		if err == nil && run%mergeRuns == 0 {
			err = merge(ctx, s.sorter, run-mergeRuns)
		}
		x.ended <- err
	}()
	s.beside, s.due = x, false
	return nil
}

// sorted takes in what became of a compaction, where it has ended or is waited for.
func (s *Store) sorted(ctx context.Context, wait bool) error {
	x := s.beside
	if x == nil {
		return nil
	}
	var err error
	if wait {
		err = <-x.ended
	} else {
		select {
		case err = <-x.ended:
		default:
			return nil
		}
	}
	s.beside = nil
	if err != nil {
		return broken("compact history", errors.Join(err, s.reload(context.WithoutCancel(ctx))))
	}
	s.fresh, s.run = s.fresh-x.rows, s.run+1
	return s.checkpoint(ctx)
}

// compact sorts everything that is fresh, and waits for it.
func (s *Store) compact(ctx context.Context) error {
	return cmp.Or(s.sort(ctx), s.sorted(ctx, true))
}

// compaction is what moves fresh rows to where they are found quickly: sorted by customer, with a small number in place of the value's digest, which
// stands once for each customer and column in held.
func (s *Store) compaction() []string {
	run := strconv.Itoa(int(s.run) + 1)
	steps := []string{
		`CREATE OR REPLACE TEMP TABLE fresh_values AS SELECT DISTINCT customer, field, hi, lo FROM fresh WHERE hi <> 0 OR lo <> 0`,
		`CREATE OR REPLACE TEMP TABLE fresh_held AS SELECT h.customer, h.field, h.nth, h.hi, h.lo FROM held h SEMI JOIN (SELECT DISTINCT customer FROM fresh_values) v ON h.customer = v.customer`,
		`CREATE OR REPLACE TEMP TABLE fresh_new AS
			SELECT v.customer, v.field, (coalesce(t.top, 0) + row_number() OVER (PARTITION BY v.customer, v.field ORDER BY v.hi, v.lo))::INTEGER AS nth, v.hi, v.lo
			FROM (SELECT * FROM fresh_values v ANTI JOIN fresh_held h ON v.customer = h.customer AND v.field = h.field AND v.hi = h.hi AND v.lo = h.lo) v
			LEFT JOIN (SELECT customer, field, max(nth) AS top FROM fresh_held GROUP BY customer, field) t ON t.customer = v.customer AND t.field = v.field`,
	}
	steps = append(steps, `INSERT INTO held SELECT `+run+`, * FROM fresh_new ORDER BY customer, field, hi`)
	if fields := s.dict.telling(); len(fields) > 0 {
		steps = append(steps, sharing(fields)...)
	}
	steps = append(steps,
		`INSERT INTO seen SELECT `+run+`, DATE '1970-01-01' + f.day, f.customer, f.field, coalesce(v.nth, 0), f.person, f.entry
			FROM fresh f LEFT JOIN (SELECT * FROM fresh_held UNION ALL SELECT * FROM fresh_new) v
				ON v.customer = f.customer AND v.field = f.field AND v.hi = f.hi AND v.lo = f.lo
			ORDER BY f.customer, f.entry, f.field`,
		`INSERT INTO customers SELECT DISTINCT id, key FROM fresh_keys f WHERE NOT EXISTS (FROM customers c WHERE c.id = f.id) ORDER BY id`,
		`DELETE FROM fresh`,
		`DELETE FROM fresh_keys`,
		`DELETE FROM position WHERE entry < (SELECT max(entry) FROM position)`,
		`DROP TABLE fresh_values`, `DROP TABLE fresh_held`, `DROP TABLE fresh_new`,
	)
	return steps
}

// mergeRuns is how many runs are sorted together into one: a question has to look into each.
const mergeRuns = 8

// merge sorts the runs after one into a single one, which has the number of that one: so they can be told from it, and are read once.
func merge(ctx context.Context, conn *sql.Conn, after int32) error {
	var steps []string
	for table, order := range map[string]string{"seen": "customer, entry, field", "held": "customer, field, hi"} {
		steps = append(steps,
			fmt.Sprintf("INSERT INTO %s SELECT * REPLACE (%d AS run) FROM %s WHERE run > %d ORDER BY %s", table, after, table, after, order),
			fmt.Sprintf("DELETE FROM %s WHERE run > %d", table, after))
	}
	if err := transact(ctx, conn, func() error { return runSteps(ctx, conn, steps) }); err != nil {
		return fmt.Errorf("merge what was compacted: %w", err)
	}
	return nil
}

// sharing notes which new values of columns that identify somebody another customer has, too, and which older ones a new value now shares.
// Values of one form alone can be equal, so names, which many share, are not compared with each other.
// held has the new ones by then, and is read once. Halves of digests are found by one of them, which takes a third of the time that both take,
// and compared by the other.
func sharing(fields []int16) []string {
	in := list(fields)
	return []string{
		`CREATE OR REPLACE TEMP TABLE fresh_pairs AS
			SELECT h.customer AS one, h.field AS its, n.customer AS other, n.field AS theirs, n.hi, n.lo FROM held h JOIN fresh_new n ON h.hi = n.hi
			WHERE xor(h.lo, n.lo) = 0 AND h.customer <> n.customer AND (h.field IN (` + in + `) OR n.field IN (` + in + `))`,
		`INSERT INTO shared SELECT * FROM (
				SELECT one AS customer, its AS field, hi, lo FROM fresh_pairs WHERE its IN (` + in + `) UNION SELECT other, theirs, hi, lo FROM fresh_pairs WHERE theirs IN (` + in + `)) f
			WHERE NOT EXISTS (FROM shared s WHERE s.customer = f.customer AND s.field = f.field AND s.hi = f.hi AND s.lo = f.lo)`,
		`DROP TABLE fresh_pairs`,
	}
}

// repack puts the names of many small boxes, one for each moment, into full ones.
func (s *Store) repack(ctx context.Context) error {
	type small struct {
		day   time.Time
		kind  int8
		names *boxed
	}
	var boxes []small
	err := each(ctx, s.sorter, "SELECT day, kind, first, box FROM fresh_boxes ORDER BY kind, day, first", func(scan func(...any) error) error {
		var b small
		var first int32
		var box []byte
		if err := scan(&b.day, &b.kind, &first, &box); err != nil {
			return err
		}
		names, err := openBox(s.o.Names, box, boxPlace(b.kind, first))
		b.names = names
		boxes = append(boxes, b)
		return err
	})
	if err != nil {
		return err
	}
	err = s.append(s.sorter, func(b *batch) error {
		w := b.boxer("boxes")
		for _, old := range boxes {
			for i, id := range old.names.IDs {
				if err := w.put(old.kind, dayOf(old.day), id, old.names.Texts[i]...); err != nil {
					return err
				}
			}
		}
		return w.end()
	})
	if err != nil {
		return err
	}
	_, err = s.sorter.ExecContext(ctx, "DELETE FROM fresh_boxes")
	return err
}

func runSteps(ctx context.Context, conn *sql.Conn, steps []string) error {
	for _, step := range steps {
		if err := patiently(ctx, conn, step); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint moves what was written into the file. Where a question is being answered it comes later.
func (s *Store) checkpoint(ctx context.Context) error {
	if err := patiently(ctx, s.writer, "CHECKPOINT"); err != nil && errors.Is(broken("", err), history.ErrBroken) {
		return broken("write history", err)
	}
	return nil
}

// Forget is history.Store's. What nothing refers to any more goes, too: values, and who had part in it.
func (s *Store) Forget(ctx context.Context, f history.Forgetting) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.sorted(ctx, true); err != nil {
		return err
	}
	var steps []string
	if !f.Before.IsZero() {
		day := dayOf(f.Before)
		var oldest *int32
		err := s.writer.QueryRowContext(ctx, `SELECT min(day) - DATE '1970-01-01' FROM (SELECT min(day) AS day FROM batches UNION ALL SELECT min(day) FROM acts UNION ALL SELECT min(day) FROM marks)`).Scan(&oldest)
		if err != nil {
			return broken("let days of history go", err)
		}
		if oldest == nil || *oldest >= day {
			return nil
		}
		before := fmt.Sprintf("day < DATE '1970-01-01' + %d", day)
		steps = append(steps, // what is asked of it from here on begins after the last entry that goes
			"CREATE OR REPLACE TEMP TABLE over AS SELECT max(entry) AS last FROM (SELECT entry FROM batches WHERE "+before+" UNION ALL SELECT entry FROM acts WHERE "+before+" UNION ALL SELECT entry FROM marks WHERE "+before+") WHERE entry NOT IN (SELECT entry FROM marks WHERE what = "+literal(int16(markAgain))+")",
			"DELETE FROM meta WHERE k = 'since' AND EXISTS (FROM over WHERE last IS NOT NULL)",
			"INSERT INTO meta SELECT 'since', (last + 1)::VARCHAR FROM over WHERE last IS NOT NULL", "DROP TABLE over",
			fmt.Sprintf("DELETE FROM fresh WHERE day < %d", day))
		for _, table := range []string{"seen", "batches", "acts", "marks", "actors", "reasons", "boxes", "fresh_boxes"} {
			steps = append(steps, "DELETE FROM "+table+" WHERE "+before)
		}
	}
	if len(f.Entries) > 0 {
		steps = append(steps, "CREATE OR REPLACE TEMP TABLE erased (entry BIGINT)")
		for _, some := range chunks(f.Entries, 1000) {
			steps = append(steps, "INSERT INTO erased VALUES "+tuples(some))
		}
		for _, table := range []string{"fresh", "seen", "batches", "acts", "marks"} {
			steps = append(steps, "DELETE FROM "+table+" WHERE entry IN (SELECT entry FROM erased)")
		}
		steps = append(steps, "DROP TABLE erased",
			"DELETE FROM actors WHERE id NOT IN (SELECT actor FROM batches UNION SELECT actor FROM acts)",
			"DELETE FROM reasons WHERE id NOT IN (SELECT reason FROM batches UNION SELECT reason FROM acts)")
	}
	steps = append(steps,
		`DELETE FROM held h WHERE NOT EXISTS (FROM seen r WHERE r.customer = h.customer AND r.field = h.field AND r.nth = h.nth)`,
		`DELETE FROM shared o WHERE NOT EXISTS (FROM held h WHERE h.customer = o.customer AND h.field = o.field AND h.hi = o.hi AND h.lo = o.lo)`,
		`DELETE FROM fresh_keys k WHERE id NOT IN (SELECT customer FROM fresh)`,
		`DELETE FROM customers c WHERE id NOT IN (SELECT customer FROM seen WHERE customer < 0)`,
		`DELETE FROM people WHERE id > 0 AND id NOT IN (SELECT person FROM actors UNION SELECT via FROM actors UNION SELECT person FROM fresh UNION SELECT person FROM marks UNION SELECT via FROM marks)`,
	)
	err := transact(ctx, s.writer, func() error { return runSteps(ctx, s.writer, steps) })
	if err != nil {
		return broken("let go of history", err)
	}
	if err := s.reload(ctx); err != nil {
		return broken("let go of history", err)
	}
	return s.checkpoint(ctx)
}
