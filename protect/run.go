package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/vault"
)

// run is one run of Run.
type run struct {
	Options
	main    *pgx.Conn // asks, locks and marks
	workers []*pgconn.PgConn
	keeper  *pgx.Conn // of the vault: what goes into it is committed before the row that holds its token
	vault   *vault.Vault
	marked  bool // an earlier run began here
	known   Set  // which columns it began with; nil: not known
	tables  []*table

	out       bool     // tokens become plain values
	states    States   // on record when a live run began
	all       []Column // of the configuration; Columns are those that move
	remains   []Remainder
	steps     []Step
	estimates bool // nothing is moved

	paceMu        sync.Mutex // guards what follows, and main while rows move
	paced, looked time.Time
	written       []moment

	bound sync.Mutex // held while a range of a table with columns under foreign keys moves whose values have no form: two would wait for each other crosswise

	mu   sync.Mutex // guards done, and calls of Progress
	done map[*table]int64
}

// lockKey keeps two runs on one database apart: "sallyport" as a number.
const lockKey = 0x73616c6c79

func (r *run) connect(ctx context.Context) error {
	config, err := pgx.ParseConfig(r.DSN)
	if err != nil {
		return errors.New("connect to the database to protect: its address is malformed") // the error might quote the password
	}
	config.RuntimeParams["application_name"] = "sallyport protect"
	config.RuntimeParams["datestyle"] = "ISO"
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["synchronous_commit"] = "off" // the mark's own commit waits for all
	config.RuntimeParams["search_path"] = "pg_catalog"
	config.RuntimeParams["row_security"] = "off"           // an error instead of rows that we do not see
	config.RuntimeParams["maintenance_work_mem"] = "256MB" // an index's entries are sorted, and dead rows remembered, in one go
	r.main, err = pgx.ConnectConfig(ctx, config)
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && refused.Code == "28P01" { // invalid_password
		return fmt.Errorf("connect to the database to protect: %w; the password is read from PGPASSWORD or ~/.pgpass", err)
	}
	if err != nil {
		return fmt.Errorf("connect to the database to protect: %w", err)
	}
	worker := config.Config.Copy()
	// A range is found by its key and never by reading the whole table once more.
	for _, off := range []string{"enable_hashjoin", "enable_mergejoin", "enable_seqscan"} {
		worker.RuntimeParams[off] = "off"
	}
	if r.Live != nil {
		worker.RuntimeParams["lock_timeout"] = "500ms" // rather than keep others waiting behind us, or be taken for their deadlock, a range is tried again
	}
	worker.RuntimeParams["jit"] = "off" // statements of milliseconds
	for range r.Connections {
		conn, err := pgconn.ConnectConfig(ctx, worker)
		if err != nil {
			return fmt.Errorf("connect to the database to protect: %w", err)
		}
		r.workers = append(r.workers, conn)
	}
	return r.connectVault(ctx, config)
}

func (r *run) close(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, conn := range r.workers {
		conn.Close(ctx)
	}
	for _, conn := range []*pgx.Conn{r.main, r.keeper} {
		if conn != nil {
			conn.Close(ctx)
		}
	}
}

// excludeOthers takes the lock of all runs and refuses if anybody else is connected: he could write plain values behind us.
func (r *run) excludeOthers(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	return r.refuseSessions(ctx)
}

// lock keeps other runs away.
func (r *run) lock(ctx context.Context) error {
	// The server may take a moment to notice that a run before this one has hung up.
	const patience = "2s"
	if _, err := r.main.Exec(ctx, "SET lock_timeout = '"+patience+"'"); err != nil {
		return fmt.Errorf("lock the database against other runs: %w", err)
	}
	_, err := r.main.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(lockKey))
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && refused.Code == "55P03" { // lock_not_available
		return ErrBusy
	}
	if err != nil {
		return fmt.Errorf("lock the database against other runs: %w", err)
	}
	if _, err := r.main.Exec(ctx, "RESET lock_timeout"); err != nil {
		return fmt.Errorf("lock the database against other runs: %w", err)
	}
	return nil
}

// ErrBusy says that another run is at work on this database.
var ErrBusy = errors.New("another protect is at work on this database; wait until it has ended")

// ErrConnected says that others are connected.
var ErrConnected = errors.New("others are connected to the database; end these sessions first")

// pids are the server's processes behind this run's own connections.
func (r *run) pids() []int32 {
	pids := []int32{int32(r.main.PgConn().PID())}
	if r.keeper != nil {
		pids = append(pids, int32(r.keeper.PgConn().PID()))
	}
	for _, conn := range r.workers {
		pids = append(pids, int32(conn.PID()))
	}
	return pids
}

func (r *run) refuseSessions(ctx context.Context) error {
	const query = `
SELECT format('process %s of %s', pid, coalesce(usename, '?')) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> ALL ($1) AND backend_type IN ('client backend', 'walsender')
UNION ALL
SELECT format('prepared transaction of %s', owner) FROM pg_prepared_xacts WHERE database = current_database()`
	ours := r.pids()
	const looks = 20 // two seconds, for a session that has hung up and that the server has not noticed yet
	var others []string
	for range looks {
		rows, err := r.main.Query(ctx, query, ours)
		if err != nil {
			return fmt.Errorf("look for other sessions: %w", err)
		}
		if others, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return fmt.Errorf("look for other sessions: %w", err)
		}
		if len(others) == 0 {
			return nil
		}
		if _, err := r.main.Exec(ctx, "SELECT pg_sleep(0.1)"); err != nil {
			return fmt.Errorf("look for other sessions: %w", err)
		}
	}
	return fmt.Errorf("%w: %s", ErrConnected, strings.Join(others, ", "))
}

// readMark tells a first run from one that goes on, and refuses a database of another record: its tokens have other keys.
func (r *run) readMark(ctx context.Context) error {
	m, found, err := ReadMark(ctx, r.main)
	if err != nil {
		return err
	}
	if found && m.RecordID != r.RecordID {
		return fmt.Errorf("%w: %s", ErrOtherRecord, m.RecordID)
	}
	r.marked, r.known = found, m.Columns
	if r.Live != nil {
		return nil // serve holds the states to each other
	}
	if len(m.Moving)+len(m.Leaving) > 0 {
		return ErrMoving
	}
	return r.refuseNarrower(m.Columns)
}

// began tells whether an earlier run may have made tokens in a column. Elsewhere what looks like a token is none.
func (r *run) began(column sallyport.Column) bool {
	name := column.String()
	if r.Live != nil { // from the moment on that it was on record, what is written is a token
		return r.states.Columns[name] != ""
	}
	return r.marked && (r.known == nil || r.known[name] != "" || r.Recorded[name] != "")
}

// ErrMoving says that columns are on their way, beside a serve.
var ErrMoving = errors.New("columns of this database are moving; start serve, and let protect --online go on beside it")

// ErrOtherRecord says that the database is protected by another record.
var ErrOtherRecord = errors.New("the database is marked by another record; use the data folder that belongs to it")

// piece is a range of one table.
type piece struct {
	t *table
	keyRange
}

// pieces are all ranges, table by table.
func (r *run) pieces() (list []piece) {
	for _, t := range r.tables {
		if len(t.columns) == 0 { // there is nothing to move in it
			continue
		}
		for _, keys := range t.ranges {
			list = append(list, piece{t, keys})
		}
	}
	return list
}

// walk does the work on every range, spread over the workers, and stops at the first error.
func (r *run) walk(ctx context.Context, work func(ctx context.Context, conn *pgconn.PgConn, p piece) error) error {
	pieces := r.pieces()
	return r.spread(ctx, len(pieces), func(ctx context.Context, conn *pgconn.PgConn, i int) error {
		if err := work(ctx, conn, pieces[i]); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		t := pieces[i].t
		r.done[t] += pieces[i].rows
		if r.Progress != nil {
			r.Progress(t.String(), r.done[t], passes*t.rows)
		}
		return nil
	})
}

// passes over every row: examine, move, verify.
const passes = 3

// spread does n pieces of work over the workers.
func (r *run) spread(ctx context.Context, n int, work func(ctx context.Context, conn *pgconn.PgConn, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, conn := range r.workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := work(ctx, conn, int(i)); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// beside does two things at the same time, one of them on the main connection and the other on the workers. Where one fails the other is stopped.
func beside(ctx context.Context, onMain, onWorkers stepFunc) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, do := range []stepFunc{onMain, onWorkers} {
		wg.Go(func() {
			if err := do(ctx); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// exec runs statements without results on a worker.
func exec(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	return withoutValues(conn.Exec(ctx, sql).Close())
}

// withoutValues reduces a server's error to its code and the name of a constraint: its text may quote a row.
func withoutValues(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	where := ""
	if e.ConstraintName != "" {
		where = " by the constraint " + e.ConstraintName
	}
	sentence := "the server refused" + where
	switch e.Code {
	case "23505":
		sentence = "two rows have one value once case and spelling are evened out, which is refused" + where
	case "23514":
		sentence = "a token is refused" + where + ", which expects plain values"
	case "23503":
		sentence = "a value that is referenced is not there, which is refused" + where
	case "40001":
		sentence = "somebody else changed a row meanwhile; run protect again with nobody connected"
	}
	return &serverRefusal{e.Code, sentence}
}

// serverRefusal is what is left of a server's error: its code and a sentence without values.
type serverRefusal struct{ code, sentence string }

func (e *serverRefusal) Error() string { return e.sentence + " (SQLSTATE " + e.code + ")" }

// refusedBy tells whether the server refused with one of these codes.
func refusedBy(err error, codes ...string) bool {
	e, ok := errors.AsType[*serverRefusal](err)
	return ok && slices.Contains(codes, e.code)
}
