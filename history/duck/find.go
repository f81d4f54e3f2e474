package duck

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sallyport"
	"sallyport/history"
)

// Find is history.Store's.
func (s *Store) Find(ctx context.Context, w history.Wanted) (history.Found, error) {
	var f history.Found
	err := s.reading(ctx, func(conn *sql.Conn) error {
		q := &finding{question{s: s, ctx: ctx, conn: conn}, w, map[uint64]bool{}}
		return q.find(&f)
	})
	if err != nil {
		return history.Found{}, broken("ask history", err)
	}
	return f, nil
}

// reading does something in one transaction that only reads.
func (s *Store) reading(ctx context.Context, do func(*sql.Conn) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION READ ONLY"); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // it only read
	return do(conn)
}

// finding is a Find that is being answered.
type finding struct {
	question
	w     history.Wanted
	found map[uint64]bool
}

// mostFound is how many entries are named.
const mostFound = 4_000_000

// perList is how many numbers stand in one IN.
const perList = 4000

func (q *finding) find(f *history.Found) error {
	if err := q.conn.QueryRowContext(q.ctx, "SELECT (SELECT max(entry) FROM position), (SELECT coalesce(max(v::UBIGINT), 1) FROM meta WHERE k = 'since')").Scan(&f.To, &f.From); err != nil {
		return err
	}
	q.w.After = max(q.w.After, f.From-1)
	if err := q.each("SELECT name FROM mentions ORDER BY name", func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		f.Tables = append(f.Tables, name)
		return err
	}); err != nil {
		return err
	}
	for _, step := range []func() error{q.ofStaff, q.ofFacts, q.underPurposes, q.shown} {
		if err := step(); err != nil {
			return err
		}
	}
	if len(q.found) > mostFound {
		f.To = 0 // it is quicker to read them all than to be told which
		return nil
	}
	f.Entries = slices.Sorted(maps.Keys(q.found))
	return nil
}

// take adds the entries that a query gives.
func (q *finding) take(query string) error {
	return q.each(query, func(scan func(...any) error) error {
		var entry int64
		err := scan(&entry)
		q.add(entry)
		return err
	})
}

func (q *finding) add(entry int64) {
	if n := uint64(entry); n > q.w.After { //nolint:gosec // there and back
		q.found[n] = true
	}
}

// after is the condition that entries come later than the ones that are passed over.
func (q *finding) after() string { return "entry > " + strconv.FormatUint(q.w.After, 10) }

// numbers of those of some people whom history knows.
func (q *finding) numbers(staff []sallyport.Staff) (ids []int32) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	for _, who := range staff {
		if id, known := q.s.dict.people[who]; known && id > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

func (q *finding) ofStaff() error {
	ids := q.numbers(q.w.Staff)
	if len(ids) == 0 {
		return nil
	}
	his := "(person IN (" + list(ids) + ") OR via IN (" + list(ids) + "))"
	return q.take("SELECT entry FROM marks WHERE " + q.after() + " AND " + his +
		" UNION ALL SELECT entry FROM batches WHERE " + q.after() + " AND actor IN (SELECT id FROM actors WHERE " + his + ")" +
		" UNION ALL SELECT entry FROM acts WHERE " + q.after() + " AND actor IN (SELECT id FROM actors WHERE " + his + ")")
}

func (q *finding) ofFacts() error {
	if q.w.Facts {
		return q.take("SELECT entry FROM marks WHERE what > 0 AND " + q.after())
	}
	ids := q.numbers(q.w.FactsOf)
	if len(ids) == 0 {
		return nil
	}
	return q.take("SELECT entry FROM marks WHERE what = " + literal(int16(markFacts)) + " AND person IN (" + list(ids) + ") AND " + q.after())
}

// perNames is how many names stand in one IN: each question goes through all reasons.
const perNames = 50_000

func (q *finding) underPurposes() error {
	for some := range slices.Chunk(q.w.Purposes, perNames) {
		names := make([]string, len(some))
		for i, text := range some {
			names[i] = "'" + strings.ReplaceAll(q.s.o.Names.Purpose(text), "'", "''") + "'"
		}
		err := q.take("SELECT entry FROM batches WHERE kind = " + literal(int16(kindReveal)) + " AND " + q.after() +
			" AND reason IN (SELECT id FROM (SELECT id, unnest(string_split(purposes, ',')) AS one FROM reasons WHERE purposes <> '') WHERE one IN (" + strings.Join(names, ",") + "))")
		if err != nil {
			return err
		}
	}
	return nil
}

// spot is one value of a customer, as seen has it.
type spot struct {
	customer int64
	field    int16
	nth      int32
}

// shown finds where values stand under others than under whom they were shown.
func (q *finding) shown() error {
	under := map[sallyport.Digest]int64{}
	for _, v := range q.w.Shown {
		under[v.Digest] = customerID(v.Under)
	}
	elsewhere := func(customer, hi, lo int64) bool {
		had, is := under[whole(hi, lo)]
		return is && customer != had && customer != nobody
	}
	spots := map[spot]bool{}
	for some := range slices.Chunk(q.w.Shown, perList) {
		his := make([]int64, len(some))
		for i, v := range some {
			his[i], _ = halves(v.Digest)
		}
		err := q.each("SELECT customer, hi, lo, entry FROM fresh WHERE hi IN ("+list(his)+") AND "+q.after(), func(scan func(...any) error) error {
			var customer, hi, lo, entry int64
			err := scan(&customer, &hi, &lo, &entry)
			if elsewhere(customer, hi, lo) {
				q.add(entry)
			}
			return err
		})
		if err != nil {
			return err
		}
		err = q.each("SELECT customer, field, nth, hi, lo FROM held WHERE hi IN ("+list(his)+")", func(scan func(...any) error) error {
			var at spot
			var hi, lo int64
			err := scan(&at.customer, &at.field, &at.nth, &hi, &lo)
			if elsewhere(at.customer, hi, lo) {
				spots[at] = true
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return q.atSpots(spots)
}

func (q *finding) atSpots(spots map[spot]bool) error {
	customers := map[int64]bool{}
	for at := range spots {
		customers[at.customer] = true
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(customers)), perList) {
		err := q.each("SELECT customer, field, nth, entry FROM seen WHERE customer IN ("+list(some)+") AND "+q.after(), func(scan func(...any) error) error {
			var at spot
			var entry int64
			err := scan(&at.customer, &at.field, &at.nth, &entry)
			if spots[at] {
				q.add(entry)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
