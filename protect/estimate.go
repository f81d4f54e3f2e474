package protect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Estimate is what moving a table in would take, measured on a sample of its rows.
type Estimate struct {
	Table   Table `json:"-"`
	Rows    int64 `json:"rows"`    // in the table, as the planner knows it
	Sampled int64 `json:"sampled"` // rows that were tried

	// Seconds that it takes: where the two connections overlap wholly, and where not at all.
	Least float64 `json:"least_seconds"`
	Most  float64 `json:"most_seconds"`

	Grows int64 `json:"grows_bytes"` // table and indexes, until old rows are vacuumed
	Log   int64 `json:"log_bytes"`   // write-ahead log; what others write meanwhile is in it
}

// sampleRows is how many rows of a table are tried.
const sampleRows = 20_000

// errRolledBack ends the transaction of a sample.
var errRolledBack = errors.New("rolled back")

// EstimateMove tells what moving in would take. It copies a sample into a table that nobody else ever sees, protects that, and rolls everything
// back: nothing is changed. now measures. Columns MUST NOT be protected yet; any keys will do.
func EstimateMove(ctx context.Context, dsn string, columns []Column, options Options, now func() time.Time) ([]Estimate, error) {
	options.DSN, options.Columns = dsn, columns
	options.RecordID, options.Reader = "00000000000000000000000000000000", Reader{User: "nobody", Password: NewPassword("none")}
	if err := options.check(); err != nil {
		return nil, err
	}
	options.Connections = 1
	r := &run{Options: options, estimates: true}
	defer r.close(ctx)
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	if err := r.inspect(ctx); err != nil {
		return nil, err
	}
	var out []Estimate
	for _, t := range r.tables {
		if len(t.columns) == 0 {
			continue
		}
		e, err := r.estimate(ctx, t, now)
		if err != nil {
			return nil, fmt.Errorf("estimate %s: %w", t, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func (r *run) estimate(ctx context.Context, t *table, now func() time.Time) (e Estimate, err error) {
	e.Table = t.Table
	err = r.main.QueryRow(ctx, `SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $1`, t.oid).Scan(&e.Rows)
	if err != nil {
		return e, err
	}
	if e.Rows == 0 { // never analysed, or empty
		if err := r.main.QueryRow(ctx, "SELECT count(*) FROM "+t.sql()).Scan(&e.Rows); err != nil || e.Rows == 0 {
			return e, err
		}
	}
	err = pgx.BeginFunc(ctx, r.main, func(tx pgx.Tx) error {
		if err := r.trySample(ctx, tx, t, &e, now); err != nil {
			return err
		}
		return errRolledBack
	})
	if !errors.Is(err, errRolledBack) {
		return e, err
	}
	return e, nil
}

// trySample moves a sample within a transaction that will be rolled back.
func (r *run) trySample(ctx context.Context, tx pgx.Tx, t *table, e *Estimate, now func() time.Time) error {
	sample := *t
	sample.Table = Table{t.Schema, fmt.Sprintf("sallyport_sample_%d", t.oid)}
	share := min(100, 200*sampleRows/float64(e.Rows)) // in percent; pages are drawn, and the limit holds
	for _, sql := range []string{
		fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL EXCLUDING IDENTITY EXCLUDING GENERATED EXCLUDING STATISTICS)", sample.sql(), t.sql()),
		fmt.Sprintf("INSERT INTO %s SELECT * FROM %s TABLESAMPLE SYSTEM (%g) LIMIT %d", sample.sql(), t.sql(), share, sampleRows),
		"ANALYZE " + sample.sql(),
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return withoutValues(err)
		}
	}
	var before, after, logged int64
	size := fmt.Sprintf("SELECT pg_total_relation_size('%s'), (pg_current_wal_insert_lsn() - '0/0')::bigint", sample.sql())
	if err := tx.QueryRow(ctx, size).Scan(&before, &logged); err != nil {
		return withoutValues(err)
	}
	conn := tx.Conn().PgConn()
	b, began := newBatch(piece{t: &sample}, false, false), now()
	if err := (piece{t: &sample}).each(ctx, conn, func(key, values [][]byte) error { return b.add(key, values, r.pretend) }); err != nil {
		return err
	}
	read := now()
	if b.rows > 0 {
		if result := conn.ExecParams(ctx, sample.updateSQL(false), b.params(), b.oids(), b.formats(), nil).Read(); result.Err != nil {
			return withoutValues(result.Err)
		}
	}
	written := now()
	start := logged
	if err := tx.QueryRow(ctx, size).Scan(&after, &logged); err != nil {
		return withoutValues(err)
	}
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+sample.sql()).Scan(&e.Sampled); err != nil || e.Sampled == 0 {
		return err
	}
	each := float64(e.Rows) / float64(e.Sampled)
	computes, writes := read.Sub(began).Seconds()*each, written.Sub(read).Seconds()*each
	passes := 2 * computes // every row is examined before, and looked at again afterwards
	e.Least, e.Most = (computes+writes)/2+passes/2, computes+writes+passes
	e.Grows, e.Log = int64(float64(after-before)*each), int64(float64(logged-start)*each)
	return nil
}
