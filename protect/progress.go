package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Which key ranges are done stands in the mark's schema and changes with the rows themselves. A token says of itself that it is one, but
// reading all rows again to find that out takes as long as half the work; and schemes whose tokens have no form need it to be known.
const createRanges = `
CREATE TABLE IF NOT EXISTS sallyport.ranges (
    relation oid    NOT NULL,
    number   int    NOT NULL,  -- in the order of keys
    after    text[],           -- null: from the first key on
    up_to    text[],           -- null: to the last
    rows     bigint NOT NULL,  -- when it was cut
    done     bool   NOT NULL DEFAULT false,
    PRIMARY KEY (relation, number)
);
ALTER TABLE sallyport.ranges ADD COLUMN IF NOT EXISTS tokens boolean NOT NULL DEFAULT false, -- of columns without a form: its rows hold tokens
    ADD COLUMN IF NOT EXISTS outward boolean NOT NULL DEFAULT false -- tokens become plain values`

// resume takes up the ranges of a run that was cut, with what is done of them.
func (r *run) resume(ctx context.Context) error {
	var there bool
	if err := r.main.QueryRow(ctx, "SELECT to_regclass('sallyport.ranges') IS NOT NULL").Scan(&there); err != nil {
		return fmt.Errorf("look for the progress of an earlier run: %w", err)
	}
	if !there {
		return nil
	}
	if _, err := r.main.Exec(ctx, createRanges); err != nil { // an older version left out some columns
		return fmt.Errorf("read the progress of an earlier run: %w", withoutValues(err))
	}
	var noted bool
	if err := r.main.QueryRow(ctx, "SELECT to_regclass('sallyport.written') IS NOT NULL").Scan(&noted); err != nil {
		return fmt.Errorf("look for the progress of an earlier run: %w", err)
	}
	for _, t := range r.tables {
		t.noted = noted && len(t.formless()) > 0
		if len(r.states.Moving)+len(r.states.Leaving) == 0 && !slices.ContainsFunc(t.columns, func(c *column) bool { return c.under }) {
			continue
		}
		// Where the run before this one went the other way, nothing is done.
		rows, err := r.main.Query(ctx, "SELECT number, after, up_to, rows, done AND outward = $2, tokens FROM sallyport.ranges WHERE relation = $1 ORDER BY number", t.oid, r.out)
		if err != nil {
			return fmt.Errorf("read the progress of an earlier run: %w", err)
		}
		var kept []keyRange
		var number int
		var after, upTo []string
		var count int64
		var done, tokens bool
		_, err = pgx.ForEachRow(rows, []any{&number, &after, &upTo, &count, &done, &tokens}, func() error {
			kept = append(kept, keyRange{number: number, after: keyOf(after), upTo: keyOf(upTo), rows: count, done: done, tokens: tokens})
			return nil
		})
		if err != nil {
			return fmt.Errorf("read the progress of an earlier run: %w", err)
		}
		if len(kept) > 0 {
			t.ranges, t.kept = kept, true
		}
	}
	return nil
}

func keyOf(parts []string) [][]byte {
	if parts == nil {
		return nil
	}
	key := make([][]byte, len(parts))
	for i, p := range parts {
		key[i] = []byte(p)
	}
	return key
}

func partsOf(key [][]byte) []string {
	if key == nil {
		return nil
	}
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = string(k)
	}
	return parts
}

// keepRanges writes down how the tables were cut.
func (r *run) keepRanges(ctx context.Context) error {
	if _, err := r.main.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS sallyport; "+createRanges); err != nil {
		return fmt.Errorf("keep the progress of this run: %w", err)
	}
	// serve looks for the mark in the schema from now on.
	_, err := r.main.Exec(ctx, "GRANT USAGE ON SCHEMA sallyport TO "+pgx.Identifier{r.Reader.User}.Sanitize())
	if err = withoutValues(err); err != nil && !refusedBy(err, "42704") { // undefined_object: the reader is made later
		return fmt.Errorf("keep the progress of this run: %w", err)
	}
	for _, t := range r.tables {
		if t.kept {
			if _, err := r.main.Exec(ctx, "UPDATE sallyport.ranges SET done = false, outward = $2 WHERE relation = $1 AND outward <> $2", t.oid, r.out); err != nil {
				return fmt.Errorf("keep the progress of this run: %w", withoutValues(err))
			}
			continue
		}
		err := pgx.BeginFunc(ctx, r.main, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "DELETE FROM sallyport.ranges WHERE relation = $1", t.oid); err != nil {
				return err
			}
			_, err := tx.CopyFrom(ctx, pgx.Identifier{"sallyport", "ranges"}, []string{"relation", "number", "after", "up_to", "rows", "tokens", "outward"},
				pgx.CopyFromSlice(len(t.ranges), func(i int) ([]any, error) {
					k := t.ranges[i]
					return []any{t.oid, int32(k.number), partsOf(k.after), partsOf(k.upTo), k.rows, k.tokens, r.out}, nil //nolint:gosec // a few thousand
				}))
			return err
		})
		if err != nil {
			return fmt.Errorf("keep the progress of this run: %w", withoutValues(err))
		}
	}
	return nil
}

// letReaderFollow lets serve read how far a run is: never the keys at which it stands.
func (r *run) letReaderFollow(ctx context.Context) error {
	if _, err := r.main.Exec(ctx, "GRANT SELECT (relation, rows, done) ON sallyport.ranges TO "+pgx.Identifier{r.Reader.User}.Sanitize()); err != nil {
		return fmt.Errorf("let the reader %s follow this run: %w", r.Reader.User, withoutValues(err))
	}
	return nil
}

// Moved is how far the runs beside serve are, which conn's role may have been allowed to see: table (schema.table) → the share of its rows that are
// through, 0 to 1, by what their ranges held when they were cut. Where no run is under way it is empty.
func Moved(ctx context.Context, conn *pgx.Conn) (map[string]float64, error) {
	shares := map[string]float64{}
	var there bool
	err := conn.QueryRow(ctx, `SELECT pg_catalog.to_regclass('sallyport.ranges') IS NOT NULL AND coalesce(pg_catalog.has_column_privilege(pg_catalog.to_regclass('sallyport.ranges'), 'done', 'SELECT'), false)`).Scan(&there)
	if err != nil || !there {
		return shares, withoutValues(err)
	}
	rows, err := conn.Query(ctx, `SELECT n.nspname OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) c.relname, coalesce(pg_catalog.sum(g.rows) FILTER (WHERE g.done), 0)::float8, pg_catalog.sum(g.rows)::float8, pg_catalog.bool_and(g.done)
		FROM sallyport.ranges g JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) g.relation JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace GROUP BY 1`)
	if err != nil {
		return shares, fmt.Errorf("read how far columns are: %w", withoutValues(err))
	}
	var table string
	var through, total float64
	var all bool
	_, err = pgx.ForEachRow(rows, []any{&table, &through, &total, &all}, func() error {
		switch {
		case all:
			shares[table] = 1
		case total > 0:
			shares[table] = min(through/total, 0.999) // ranges of no rows may be left
		default:
			shares[table] = 0
		}
		return nil
	})
	if err != nil {
		return shares, fmt.Errorf("read how far columns are: %w", withoutValues(err))
	}
	return shares, nil
}

// markDone notes within a range's transaction that it is done.
func (p piece) markDone(ctx context.Context, conn *pgconn.PgConn, out bool) error {
	return exec(ctx, conn, fmt.Sprintf("UPDATE sallyport.ranges SET done = true, tokens = %t WHERE relation = %d AND number = %d", !out, p.t.oid, p.number))
}

// mostRetries is how often a range is tried that others change or lock meanwhile.
const mostRetries = 100

// moveLive is moveRange beside others. Mostly nobody is there; where somebody changes rows of the range meanwhile, they are compared, and what
// others hold for a moment is tried again.
func (r *run) moveLive(ctx context.Context, conn *pgconn.PgConn, p piece) error {
	if p.done {
		return nil
	}
	if err := r.pace(ctx, conn, p.rows); err != nil {
		return err
	}
	return r.insist(ctx, conn, p)
}

// insist changes a range until nobody comes between.
func (r *run) insist(ctx context.Context, conn *pgconn.PgConn, p piece) (err error) {
	for try := range mostRetries {
		var missed int64
		missed, err = r.change(ctx, conn, p, try > 0)
		switch {
		case err == nil && missed == 0:
			return nil
		case err == nil, try == 0 && refusedBy(err, "40001"): // somebody changed a row
			continue
		case !refusedBy(err, "40001", "40P01", "55P03", "23503"): // deadlock, locked, or a row came behind a foreign key: by others, for a moment
			return err
		}
		if err := exec(ctx, conn, fmt.Sprintf("SELECT pg_sleep(%g)", min(1, 0.01*float64(try)))); err != nil {
			return err
		}
	}
	if err == nil {
		err = errors.New("others change the rows faster than they move; fewer rows a transaction help (--range)")
	}
	return err
}

// pace holds back until the rate and the replicas allow more rows, and as long as somebody is connected around the gateway.
func (r *run) pace(ctx context.Context, conn *pgconn.PgConn, rows int64) error {
	r.paceMu.Lock()
	defer r.paceMu.Unlock()
	now := r.Live.Now()
	if r.paced.IsZero() {
		r.paced, r.looked = now, now
		if _, err := r.lag(ctx); err != nil { // it is measured from here
			return err
		}
	}
	if now.Sub(r.looked) >= lookEvery {
		r.looked = now
		if err := r.awaitOthers(ctx); err != nil {
			return err
		}
		if err := r.awaitReplicas(ctx); err != nil {
			return err
		}
	}
	if r.Live.Rate <= 0 {
		return nil
	}
	if r.paced.Before(now) {
		r.paced = now
	}
	wait := r.paced.Sub(now)
	r.paced = r.paced.Add(time.Duration(float64(rows) / float64(r.Live.Rate) * float64(time.Second)))
	if wait <= 0 {
		return nil
	}
	return exec(ctx, conn, "SELECT pg_sleep("+strconv.FormatFloat(wait.Seconds(), 'f', 3, 64)+")")
}

// lookEvery is how often the run looks at replicas and other sessions.
const lookEvery = 2 * time.Second

// again has all ranges moved once more: somebody around the gateway wrote into some that were done.
func (r *run) again(ctx context.Context) error {
	for _, t := range r.tables {
		for i := range t.ranges {
			t.ranges[i].done = false
		}
		r.mu.Lock()
		r.done[t] = 0
		r.mu.Unlock()
	}
	return r.move(ctx)
}
