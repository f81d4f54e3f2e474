// Package refdb loads a made-up organisation into a PostgreSQL database: the reference schema, its rows, and a log-in role
// for each member of staff and each service. The demonstration, the benchmarks and the tests of the path share it.
//
// It refuses a database that already has the schema. It is for databases made to be thrown away: passwords go to the server
// in clear, and rows are loaded without waiting for the disk.
package refdb

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/sim"
)

// Options say what to load and where.
type Options struct {
	DSN      string    // a superuser's, in the database to fill
	Org      *sim.Org  // required
	Random   io.Reader // passwords are drawn from it; required
	Progress func(table string, done, total int64)
}

// connections is how many load at once; more do not help on two cores.
const connections = 2

// chunkRows is how many rows one COPY carries.
const chunkRows = 25_000

// Load fills the database and returns the password of each log-in. On an error the database is to be thrown away.
func Load(ctx context.Context, o Options) (map[sallyport.Staff]string, error) {
	if o.Org == nil || o.Random == nil {
		return nil, errors.New("load reference database: no organisation or no source of randomness given")
	}
	l := &loader{org: o.Org, random: o.Random, progress: o.Progress}
	for range connections {
		conn, err := pgx.Connect(ctx, o.DSN)
		if err != nil {
			return nil, fmt.Errorf("connect to load reference database: %w", err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if _, err := conn.Exec(ctx, "SET synchronous_commit = off"); err != nil {
			return nil, fmt.Errorf("prepare to load reference database: %w", err)
		}
		l.conns = append(l.conns, conn)
	}
	return l.load(ctx)
}

// loader loads one database.
type loader struct {
	org      *sim.Org
	random   io.Reader
	conns    []*pgx.Conn
	mu       sync.Mutex // guards calls of progress and the counts given to it
	progress func(table string, done, total int64)
}

// load is the whole way: constraints and indexes are taken off while rows come in, since building them after is several
// times faster than keeping them.
func (l *loader) load(ctx context.Context) (map[sallyport.Staff]string, error) {
	main := l.conns[0]
	if _, err := main.Exec(ctx, sim.Schema+";RESET search_path"); err != nil {
		return nil, fmt.Errorf("create reference schema: %w", err)
	}
	constraints, err := readConstraints(ctx, main)
	if err != nil {
		return nil, err
	}
	if err := runAll(ctx, main, drops(constraints)); err != nil {
		return nil, err
	}
	if err := l.copyRows(ctx); err != nil {
		return nil, err
	}
	if err := l.restore(ctx, constraints); err != nil {
		return nil, err
	}
	return l.hire(ctx)
}

// constraint is a key, a foreign key or an index of the schema, as the server describes it.
type constraint struct {
	table         string // quoted, with its schema
	name          string // quoted
	kind          string // p, u, f; i for an index that is none of these
	add, onlyDrop string
}

func readConstraints(ctx context.Context, conn *pgx.Conn) ([]constraint, error) {
	const query = `
SELECT conrelid::regclass::text, quote_ident(conname), contype::text,
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)),
       format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint
WHERE connamespace = 'support'::regnamespace AND contype IN ('p', 'u', 'f')
UNION ALL
SELECT x.indrelid::regclass::text, quote_ident(c.relname), 'i', pg_get_indexdef(x.indexrelid),
       format('DROP INDEX %s', x.indexrelid::regclass)
FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
WHERE c.relnamespace = 'support'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u'))`
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read constraints of reference schema: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c constraint, err error) {
		return c, row.Scan(&c.table, &c.name, &c.kind, &c.add, &c.onlyDrop)
	})
	if err != nil {
		return nil, fmt.Errorf("read constraints of reference schema: %w", err)
	}
	return list, nil
}

// drops takes foreign keys off before the keys that they need.
func drops(list []constraint) (statements []string) {
	for _, kinds := range []string{"f", "pui"} {
		for _, c := range list {
			if strings.Contains(kinds, c.kind) {
				statements = append(statements, c.onlyDrop)
			}
		}
	}
	return statements
}

// restore puts keys and indexes back, table by table over the connections, then foreign keys one by one, since each locks
// two tables.
func (l *loader) restore(ctx context.Context, list []constraint) error {
	byTable := map[string][]string{}
	var tables, foreign []string
	for _, c := range list {
		if c.kind == "f" {
			foreign = append(foreign, c.add)
			continue
		}
		if byTable[c.table] == nil {
			tables = append(tables, c.table)
		}
		byTable[c.table] = append(byTable[c.table], c.add)
	}
	err := l.spread(ctx, len(tables), func(ctx context.Context, conn *pgx.Conn, i int) error {
		return runAll(ctx, conn, append(byTable[tables[i]], "ANALYZE "+tables[i]))
	})
	if err != nil {
		return err
	}
	return runAll(ctx, l.conns[0], foreign)
}

// copyRows loads all tables in chunks.
func (l *loader) copyRows(ctx context.Context) error {
	type chunk struct {
		table    sim.Table
		from, to int64
	}
	var chunks []chunk
	for _, t := range l.org.Tables() {
		for from := int64(1); from <= t.Rows; from += chunkRows {
			chunks = append(chunks, chunk{t, from, min(t.Rows, from+chunkRows-1)})
		}
	}
	done := map[string]int64{}
	return l.spread(ctx, len(chunks), func(ctx context.Context, conn *pgx.Conn, i int) error {
		c := chunks[i]
		if err := copyChunk(ctx, conn.PgConn(), c.table, c.from, c.to); err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		done[c.table.Name] += c.to - c.from + 1
		if l.progress != nil {
			l.progress(c.table.Name, done[c.table.Name], c.table.Rows)
		}
		return nil
	})
}

// copyChunk streams rows from their maker into the server.
func copyChunk(ctx context.Context, conn *pgconn.PgConn, t sim.Table, from, to int64) error {
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.CloseWithError(t.Copy(w, from, to))
	}()
	_, err := conn.CopyFrom(ctx, r, fmt.Sprintf("COPY %s (%s) FROM STDIN", t.Name, strings.Join(t.Columns, ", ")))
	r.Close()
	<-written
	if err != nil {
		return fmt.Errorf("load rows %d to %d of %s: %w", from, to, t.Name, err)
	}
	return nil
}

// spread does n pieces of work over the connections, in order of their numbers, and stops at the first error.
func (l *loader) spread(ctx context.Context, n int, work func(ctx context.Context, conn *pgx.Conn, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, conn := range l.conns {
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

// hire makes the log-ins.
func (l *loader) hire(ctx context.Context) (map[sallyport.Staff]string, error) {
	passwords := map[sallyport.Staff]string{}
	var statements []string
	for _, p := range l.org.Staff {
		switch p.Role {
		case sim.Agent, sim.Lead:
			statements = append(statements, grant("support_agents", p.ID))
		case sim.Engineer, sim.DBA:
			statements = append(statements, grant("support_engineers", p.ID))
		}
		passwords[p.ID] = ""
	}
	for _, service := range l.org.Services {
		statements = append(statements, grant("support_telephony", service))
		passwords[service] = ""
	}
	for id := range passwords {
		secret := make([]byte, 15)
		if _, err := io.ReadFull(l.random, secret); err != nil {
			return nil, fmt.Errorf("draw password: %w", err)
		}
		passwords[id] = base64.RawURLEncoding.EncodeToString(secret)
		if err := l.makeRole(ctx, string(id), passwords[id]); err != nil {
			return nil, err
		}
	}
	return passwords, runAll(ctx, l.conns[0], statements)
}

// makeRole makes a log-in, or gives the one that another database of the cluster brought a new password.
func (l *loader) makeRole(ctx context.Context, name, password string) error {
	conn := l.conns[0]
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("look for role %s: %w", name, err)
	}
	verb := "CREATE"
	if there {
		verb = "ALTER"
	}
	// The password is base64: it needs no quoting.
	if _, err := conn.Exec(ctx, fmt.Sprintf("%s ROLE %s LOGIN PASSWORD '%s'", verb, pgx.Identifier{name}.Sanitize(), password)); err != nil {
		return fmt.Errorf("make role %s: %w", name, err)
	}
	return nil
}

func grant(group string, to sallyport.Staff) string {
	return fmt.Sprintf("GRANT %s TO %s", group, pgx.Identifier{string(to)}.Sanitize())
}

func runAll(ctx context.Context, conn *pgx.Conn, statements []string) error {
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("prepare reference database: %w", err)
		}
	}
	return nil
}
