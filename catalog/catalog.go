// Package catalog knows what is protected in this database: which tables, partitions, views and functions there are, which of
// their columns hold tokens, and which customer a row belongs to. It hands query the schema and the gateway the meaning of a
// result's columns.
//
// It refuses to read a single row of anybody's data, needs no more than USAGE on the schemas, and guesses nothing: a view's output
// that cannot be traced back to a column is opaque as soon as the view has to do with a protected one.
// Its invariant: a column that was protected stays so as long as it exists, whatever it or its table is renamed to; a database
// error leaves the last good snapshot in place.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// Catalog holds the current Snapshot and replaces it when the database changes. It is safe for use by several goroutines.
type Catalog struct {
	config  Config
	facts   FactTables
	connect *pgx.ConnConfig
	current atomic.Pointer[Snapshot]

	begun    atomic.Uint64           // questions of Fresh
	moments  atomic.Pointer[moments] // those of known, for Holds
	mu       sync.Mutex              // guards the rest; one refresh at a time
	conn     *pgx.Conn               // nil after an error
	known    version                 // of the current snapshot; without a moment: not known
	noted    bool                    // the database notes its changes (NoteSQL)
	answered uint64                  // the last question of Fresh that was answered
}

// FactTables name the tables (schema.table) whose committed writes become facts. Either may be empty.
type FactTables struct{ Ticket, Contact string }

// Open reads the first snapshot. The connection is of the role upstream.reader; it is kept for Refresh.
func Open(ctx context.Context, connect *pgx.ConnConfig, config Config, facts FactTables) (*Catalog, error) {
	c := &Catalog{config: config, facts: facts, connect: connect}
	if _, err := c.Refresh(ctx); err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	return c, nil
}

// Snapshot is the current one: an atomic load, so that each statement may ask.
func (c *Catalog) Snapshot() *Snapshot { return c.current.Load() }

// Refresh reads the catalogue again if it changed since the current snapshot, and swaps it. It sees everything that was committed
// before the call, whether the database notes its changes or not. On an error the old snapshot stays.
func (c *Catalog) Refresh(ctx context.Context) (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ask(ctx, true)
}

// Close ends the connection. The last snapshot stays readable.
func (c *Catalog) Close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close(ctx)
	c.conn = nil
	if err != nil {
		return fmt.Errorf("close the catalogue's connection: %w", err)
	}
	return nil
}

// lockTimeout bounds how long a view that somebody holds locked keeps the catalogue from being read: everybody waits for it, and so may he.
const lockTimeout = "2s"

// reader is the kept connection, or a new one when that broke. c.mu is held.
func (c *Catalog) reader(ctx context.Context) (*pgx.Conn, error) {
	if c.conn != nil && !c.conn.IsClosed() {
		return c.conn, nil
	}
	connect := c.connect.Copy()
	connect.RuntimeParams["lock_timeout"] = lockTimeout
	conn, err := pgx.ConnectConfig(ctx, connect)
	if err != nil {
		return nil, fmt.Errorf("connect to read the catalogue: %w", err)
	}
	c.conn = conn
	c.know(version{}) // it may be another server
	return conn, nil
}

// Load reads one snapshot over a connection of one's own; the session's search_path is empty afterwards. What does not fit the
// configuration comes back as Problems.
func Load(ctx context.Context, conn *pgx.Conn, config Config, facts FactTables) (*Snapshot, error) {
	v, err := readVersion(ctx, conn)
	if err != nil {
		return nil, err
	}
	snapshot, _, err := load(ctx, conn, config, facts, v, nil)
	return snapshot, err
}

// maxAttempts bounds how often a catalogue is read that somebody keeps changing.
const maxAttempts = 5

// load reads until nothing changed between the beginning and the end, so that no snapshot is half old and half new.
func load(ctx context.Context, conn *pgx.Conn, config Config, facts FactTables, v version, previous *Snapshot) (*Snapshot, version, error) {
	if problems := config.Check(); len(problems) > 0 {
		return nil, v, Problems(problems)
	}
	for range maxAttempts {
		snapshot, err := build(ctx, conn, config, facts, previous)
		after, versionErr := readVersion(ctx, conn)
		if versionErr != nil {
			return nil, v, errors.Join(err, versionErr)
		}
		if after.sum == v.sum {
			if err != nil {
				return nil, v, err
			}
			snapshot.version = v.sum
			return snapshot, after, nil
		}
		v = after
	}
	return nil, v, errors.New("read the catalogue: it kept changing while it was read; the next refresh tries again")
}
