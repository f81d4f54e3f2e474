package discover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Limits bound what Read takes from the server.
type Limits struct {
	Rows      int           // of each table; 0: 1,000
	Statement time.Duration // for one table's sample; 0: 10 s
	Whole     time.Duration // for all samples; what is not sampled by then is judged by its name; 0: 5 min
	Bytes     int           // of all samples together, likewise; 0: 512 MiB
	Progress  func(done, total int, table string)
	Clock     func() time.Time // required
}

const (
	usualRows      = 1000
	usualStatement = 10 * time.Second
	usualWhole     = 5 * time.Minute
	usualBytes     = 512 << 20
	tableBytes     = 2 << 20 // of one table's sample: wide rows are fewer
	maxValue       = 4000    // characters of a value that are looked at
	maxTables      = 5000
)

// Read reads what Propose needs. It changes nothing: every transaction is read-only, waits for no lock longer than a second and ends
// with the limits. The connection is left with these settings and is to be closed.
func Read(ctx context.Context, conn *pgx.Conn, limits Limits) (*Database, error) {
	r := &reader{conn: conn, limits: limits}
	if r.limits.Rows <= 0 {
		r.limits.Rows = usualRows
	}
	if r.limits.Statement <= 0 {
		r.limits.Statement = usualStatement
	}
	if r.limits.Whole <= 0 {
		r.limits.Whole = usualWhole
	}
	if r.limits.Bytes <= 0 {
		r.limits.Bytes = usualBytes
	}
	_, err := conn.Exec(ctx, `SET default_transaction_read_only = on; SET lock_timeout = '1s'; SET idle_in_transaction_session_timeout = '60s';
		SET search_path = pg_catalog; SET DateStyle = ISO; SET bytea_output = hex; SET statement_timeout = '60s'`)
	if err != nil {
		return nil, fmt.Errorf("prepare to read the database: %w", withoutValues(err))
	}
	db := &Database{Name: conn.Config().Database, Year: limits.Clock().Year()}
	if err := r.schema(ctx, db); err != nil {
		return nil, fmt.Errorf("read the schema: %w", withoutValues(err))
	}
	if db.Logins, err = r.logins(ctx); err != nil {
		return nil, fmt.Errorf("read the log-ins: %w", withoutValues(err))
	}
	return db, r.samples(ctx, db)
}

type reader struct {
	conn   *pgx.Conn
	limits Limits
	bytes  int // of the samples so far
}

// withoutValues is an error of the server's without what it may quote.
func withoutValues(err error) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("the server answers with SQLSTATE %s", server.Code)
	}
	return err
}

// Tables and roots of partitioned ones; no catalogues, no partitions, nothing of extensions, and not Sallyport's own.
const selectTables = `SELECT c.oid, n.nspname::text, c.relname::text, c.reltuples::float8,
		coalesce((SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_index i, LATERAL unnest(i.indkey) WITH ORDINALITY k (attnum, place)
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum WHERE i.indrelid = c.oid AND i.indisprimary), '{}'),
		has_table_privilege(c.oid, 'SELECT'), c.relpages::int8
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\_%'
		AND n.nspname NOT IN ('information_schema', 'sallyport')
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
	ORDER BY n.nspname, c.relname LIMIT $1`

const selectColumns = `SELECT a.attrelid, a.attname::text, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), NULL),
		CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END,
		a.attnotnull, a.attgenerated <> '',
		EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indkey[0] = a.attnum AND i.indnkeyatts = 1),
		EXISTS (SELECT FROM pg_constraint k WHERE k.contype IN ('p', 'f') AND k.conrelid = a.attrelid AND a.attnum = ANY (k.conkey)
			OR k.contype = 'f' AND k.confrelid = a.attrelid AND a.attnum = ANY (k.confkey)),
		coalesce((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = a.atttypid), '{}'),
		coalesce((SELECT string_agg(pg_get_constraintdef(k.oid), ' ') FROM pg_constraint k WHERE k.contype = 'c' AND k.conrelid = a.attrelid AND k.conkey = ARRAY[a.attnum]), ''),
		coalesce(s.n_distinct, 0)::float8
	FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
		AND s.inherited = (c.relkind = 'p')
	WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum`

const selectForeign = `SELECT k.conrelid, a.attname::text, n.nspname::text || '.' || c.relname::text, b.attname::text
	FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
	JOIN pg_class c ON c.oid = k.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1]
	WHERE k.contype = 'f' AND cardinality(k.conkey) = 1 AND k.conrelid = ANY ($1) ORDER BY k.conrelid, k.conkey[1], k.oid`

// found is a table with what reading it takes.
type found struct {
	oid      uint32
	readable bool
}

// schema reads tables, columns and keys into db.
func (r *reader) schema(ctx context.Context, db *Database) error {
	at, oids := map[uint32]int{}, []uint32{}
	var more []found
	rows, err := r.conn.Query(ctx, selectTables, maxTables+1)
	if err != nil {
		return err
	}
	var t Table
	var f found
	_, err = pgx.ForEachRow(rows, []any{&f.oid, &t.Schema, &t.Name, &t.Rows, &t.Key, &f.readable, &t.pages}, func() error {
		at[f.oid] = len(db.Tables)
		db.Tables, more, oids = append(db.Tables, t), append(more, f), append(oids, f.oid)
		t.Key = nil
		return nil
	})
	if err != nil {
		return err
	}
	if len(db.Tables) > maxTables {
		db.Tables, more, oids = db.Tables[:maxTables], more[:maxTables], oids[:maxTables]
		db.Notes = append(db.Notes, fmt.Sprintf("there are more than %d tables, and only these were looked at; the last one is %s", maxTables, &db.Tables[maxTables-1]))
	}
	if err := r.columns(ctx, db, at, oids); err != nil {
		return err
	}
	if rows, err = r.conn.Query(ctx, selectForeign, oids); err != nil {
		return err
	}
	var oid uint32
	var k Foreign
	_, err = pgx.ForEachRow(rows, []any{&oid, &k.Column, &k.Table, &k.References}, func() error {
		table := &db.Tables[at[oid]]
		table.Foreign = append(table.Foreign, k)
		return nil
	})
	for i := range more {
		if !more[i].readable {
			db.Tables[i].Note = "its rows may not be read by this role; judged by names alone"
		}
	}
	return err
}

func (r *reader) columns(ctx context.Context, db *Database, at map[uint32]int, oids []uint32) error {
	rows, err := r.conn.Query(ctx, selectColumns, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var c Column
	var checks string
	_, err = pgx.ForEachRow(rows, []any{
		&oid, &c.Name, &c.Type, &c.Width, &c.NotNull, &c.Generated, &c.Unique, &c.Keyed, &c.Choices, &checks, &c.Distinct,
	}, func() error {
		column := c
		if strings.HasSuffix(column.Type, ".citext") { // the extension may be in any schema
			column.Type = "citext"
		}
		if len(column.Choices) == 0 {
			column.Choices = choicesOf(checks)
		}
		table := &db.Tables[at[oid]]
		table.Columns = append(table.Columns, column)
		c.Choices = nil
		return nil
	})
	return err
}

// choicesOf reads CHECK (state = ANY (ARRAY['open'::text, …])) as PostgreSQL prints it.
func choicesOf(check string) (choices []string) {
	if !strings.Contains(check, "ANY ((ARRAY[") && !strings.Contains(check, "ANY (ARRAY[") {
		return nil
	}
	parts := strings.Split(check, "'")
	for i := 1; i < len(parts); i += 2 {
		choices = append(choices, parts[i])
	}
	return choices
}

const selectLogins = `SELECT r.rolname::text, r.rolsuper, r.rolreplication,
		coalesce((WITH RECURSIVE up (oid) AS (SELECT m.roleid FROM pg_auth_members m WHERE m.member = r.oid
			UNION SELECT m.roleid FROM pg_auth_members m JOIN up ON m.member = up.oid)
			SELECT array_agg(g.rolname::text ORDER BY g.rolname) FROM up JOIN pg_roles g ON g.oid = up.oid WHERE g.rolname NOT LIKE 'pg\_%'), '{}')
	FROM pg_roles r WHERE r.rolcanlogin ORDER BY r.rolname`

func (r *reader) logins(ctx context.Context) ([]Login, error) {
	rows, err := r.conn.Query(ctx, selectLogins)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Login])
}
