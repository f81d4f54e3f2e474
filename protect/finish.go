package protect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/token"
	"sallyport/vault"
)

// readerConnections is how many connections the reader may have at once: gateways resolve reasons on a few of them.
const readerConnections = 40

// makeReader makes the role that resolves reasons. It may read the tables and move the mark forward, and nothing else.
func (r *run) makeReader(ctx context.Context) error {
	secret, err := verifier(r.Reader.Password, r.Random)
	if err != nil {
		return err
	}
	return changingRoles(ctx, r.main, func(tx pgx.Tx) error {
		if err := setRole(ctx, tx, r.Reader.User, readerConnections, secret, true); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, vault.Create); err != nil {
			return fmt.Errorf("make the vault: %w", err)
		}
		grants := r.readerGrants()
		if slices.ContainsFunc(r.tables, func(t *table) bool { return len(t.formless()) > 0 }) {
			to := " TO " + pgx.Identifier{r.Reader.User}.Sanitize()
			grants = append(grants, "GRANT SELECT ON sallyport.ranges, sallyport.written"+to, "GRANT SELECT, INSERT ON sallyport.announced"+to,
				"GRANT SELECT (relation, number) ON sallyport.formless"+to, "GRANT SELECT, UPDATE (tokens) ON sallyport.written_as"+to)
		}
		for _, grant := range grants {
			if _, err := tx.Exec(ctx, grant); err != nil {
				return fmt.Errorf("grant the reader %s what it needs: %w", r.Reader.User, err)
			}
		}
		return passRowSecurity(ctx, tx, r.Reader.User, r.readerTables())
	})
}

// readerTables are those with protected columns and those in which reasons stand.
func (r *run) readerTables() []Table {
	tables := slices.Clone(r.Reader.Tables)
	for _, t := range r.tables {
		tables = append(tables, t.Table)
	}
	return tables
}

func (r *run) readerGrants() []string {
	to := " TO " + pgx.Identifier{r.Reader.User}.Sanitize()
	return append([]string{
		"GRANT USAGE ON SCHEMA sallyport" + to,
		"GRANT SELECT, UPDATE (position, updated_at) ON sallyport.mark" + to,
		"GRANT " + vault.Rights + to,
	}, r.Reader.grants(r.readerTables())...)
}

// grants let the reader read tables.
func (reader Reader) grants(tables []Table) (grants []string) {
	to := " TO " + pgx.Identifier{reader.User}.Sanitize()
	for _, t := range tables {
		grants = append(grants,
			"GRANT USAGE ON SCHEMA "+pgx.Identifier{t.Schema}.Sanitize()+to,
			"GRANT SELECT ON "+pgx.Identifier{t.Schema, t.Name}.Sanitize()+to)
	}
	return grants
}

// PrepareReader makes the reader of a database whose values are plain still, so that serve can observe there. It may read
// reader.Tables, which MUST include those with columns to protect. A later Run takes the role over.
func PrepareReader(ctx context.Context, dsn string, reader Reader, random io.Reader) error {
	secret, err := verifier(reader.Password, random)
	if err != nil {
		return err
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return errors.New("connect to the database to observe: its address is malformed") // the error might quote the password
	}
	config.RuntimeParams["application_name"] = "sallyport"
	config.RuntimeParams["search_path"] = "pg_catalog"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to the database to observe: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the transaction has ended
	return changingRoles(ctx, conn, func(tx pgx.Tx) error {
		if err := setRole(ctx, tx, reader.User, readerConnections, secret, true); err != nil {
			return err
		}
		for _, grant := range reader.grants(reader.Tables) {
			if _, err := tx.Exec(ctx, grant); err != nil {
				return fmt.Errorf("grant the reader %s what it needs: %w", reader.User, err)
			}
		}
		return passRowSecurity(ctx, tx, reader.User, reader.Tables)
	})
}

// rebuild writes the tables anew, so that no plain value stays in dead rows, in indexes or in the planner's statistics,
// makes the indexes that search for names, and refreshes materialised views.
func (r *run) rebuild(ctx context.Context) error {
	err := r.spread(ctx, len(r.tables), func(ctx context.Context, conn *pgconn.PgConn, i int) error {
		return r.tables[i].rebuild(ctx, conn)
	})
	if err != nil {
		return err
	}
	return r.refreshViews(ctx)
}

func (t *table) rebuild(ctx context.Context, conn *pgconn.PgConn) error {
	moved := false
	for _, c := range t.columns {
		moved = moved || c.moved.Load() > 0
	}
	if moved {
		if err := exec(ctx, conn, "VACUUM (FULL) "+t.sql()); err != nil {
			return fmt.Errorf("write %s anew: %w", t, err)
		}
	}
	for _, c := range t.columns {
		if c.codec.Spec().Scheme != sallyport.Name {
			continue
		}
		index := pgx.Identifier{fmt.Sprintf("sallyport_name_%d_%d", t.oid, c.number)}.Sanitize()
		create := fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (left(%s, %d))", index, t.sql(), c.sql(), token.NamePrefixLen)
		if err := exec(ctx, conn, create); err != nil {
			return fmt.Errorf("make the index that finds names in %s: %w", c, err)
		}
	}
	if err := exec(ctx, conn, "ANALYZE "+t.sql()); err != nil {
		return fmt.Errorf("analyze %s: %w", t, err)
	}
	return nil
}

// refreshViews makes materialised views forget the plain values that they copied, those that others read first.
func (r *run) refreshViews(ctx context.Context) error {
	oids := make([]uint32, len(r.tables))
	for i, t := range r.tables {
		oids[i] = t.oid
	}
	rows, err := r.main.Query(ctx, `
WITH RECURSIVE above (oid, depth) AS (
    SELECT unnest($1::oid[]), 0
    UNION
    SELECT w.ev_class, above.depth + 1 FROM above
        JOIN pg_depend d ON d.refobjid = above.oid AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite w ON w.oid = d.objid AND w.ev_class <> above.oid
        WHERE above.depth < 100 -- views may lie in a circle
)
SELECT format('%I.%I', n.nspname, c.relname) FROM above JOIN pg_class c ON c.oid = above.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' GROUP BY c.oid, n.nspname, c.relname ORDER BY max(above.depth)`, oids)
	if err != nil {
		return fmt.Errorf("look for materialised views: %w", err)
	}
	views, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for materialised views: %w", err)
	}
	for _, view := range views {
		if _, err := r.main.Exec(ctx, "REFRESH MATERIALIZED VIEW "+view); err != nil {
			return fmt.Errorf("refresh materialised view %s: %w", view, withoutValues(err))
		}
	}
	return nil
}

// verify reads everything again: a value that is no token was written by somebody else meanwhile.
func (r *run) verify(ctx context.Context) error {
	if r.Live == nil {
		if err := r.refuseSessions(ctx); err != nil {
			return err
		}
	}
	plain := make([]int64, len(r.Columns))
	err := r.walk(ctx, func(ctx context.Context, conn *pgconn.PgConn, p piece) error {
		tokens, others := make([]int64, len(p.t.columns)), make([]int64, len(p.t.columns))
		err := p.each(ctx, conn, func(_, values [][]byte) error {
			for i, c := range p.t.columns {
				switch r.standing(&p, i, c, values) {
				case asWanted:
					tokens[i]++
				case otherwise:
					others[i]++
				case neither:
				}
			}
			return nil
		})
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, c := range p.t.columns {
			c.tokens.Add(tokens[i])
			plain[c.index] += others[i]
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, n := range plain {
		if n > 0 && r.out {
			return fmt.Errorf("verify %s: %d values are tokens still; run it again", r.Columns[i].Column, n)
		}
		if n > 0 {
			return fmt.Errorf("verify %s: %d values are plain still, written by somebody else meanwhile; run protect again", r.Columns[i].Column, n)
		}
	}
	return nil
}

// standing is how a value stands there after all were moved.
type standing int

const (
	neither   standing = iota // nothing, or what stands for nothing
	asWanted                  // a token, or on the way out a plain value
	otherwise                 // the other
)

func (r *run) standing(p *piece, i int, c *column, values [][]byte) standing {
	switch {
	case values[i] == nil || r.out && r.stays(c, values[i]):
		return neither
	case p.isToken(i, values) != r.out:
		return asWanted
	}
	return otherwise
}
