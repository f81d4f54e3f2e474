package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/token"
)

// table is a table with protected columns.
type table struct {
	Table
	oid     uint32
	key     []keyColumn
	columns []*column
	rows    int64
	ranges  []keyRange
	kept    bool // as an earlier run cut them
}

// keyColumn is a part of the primary key.
type keyColumn struct{ name, kind string } // both ready for SQL

// column is one protected column of a table.
type column struct {
	sallyport.Column
	codec  *token.Codec
	over   *token.Overflow // or nil
	index  int             // in Options.Columns
	kind   string
	width  int // characters that fit, 0: any number
	number int16

	unique  bool // its tokens are deterministic, and a unique index holds it
	indexed bool // an index has it in front

	tokens, moved atomic.Int64
	longest       atomic.Int64 // characters of the longest token
	bad           badValues
}

func (t *table) sql() string  { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }
func (c *column) sql() string { return pgx.Identifier{c.Name}.Sanitize() }

// UnfitError lists everything that stands against protecting a database. Nothing has changed.
type UnfitError struct{ Problems []string }

func (e *UnfitError) Error() string {
	return "the database cannot be protected as it is:\n  " + strings.Join(e.Problems, "\n  ")
}

// inspect reads from the catalogue what the tables are like.
func (r *run) inspect(ctx context.Context) error {
	var problems []string
	for i, c := range r.Columns {
		t, err := r.table(ctx, Table{c.Column.Schema, c.Column.Table})
		if err != nil {
			return err
		}
		if t == nil {
			problems = append(problems, fmt.Sprintf("%s: there is no such table in the database %s", c.Column, r.main.Config().Database))
			continue
		}
		found, err := r.inspectColumn(ctx, t, i)
		if err != nil {
			return err
		}
		problems = append(problems, found...)
	}
	for _, t := range r.tables {
		found, err := r.inspectTable(ctx, t)
		if err != nil {
			return err
		}
		problems = append(problems, found...)
	}
	if len(problems) > 0 {
		return &UnfitError{problems}
	}
	if r.estimates {
		return nil
	}
	r.done = map[*table]int64{}
	if err := r.resume(ctx); err != nil {
		return err
	}
	for _, t := range r.tables {
		if err := r.cut(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// table finds a table among those met so far or in the catalogue; nil where there is none.
func (r *run) table(ctx context.Context, name Table) (*table, error) {
	for _, t := range r.tables {
		if t.Table == name {
			return t, nil
		}
	}
	t := &table{Table: name}
	rows, err := r.main.Query(ctx, `SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`, name.Schema, name.Name)
	if err != nil {
		return nil, fmt.Errorf("look for table %s: %w", name, err)
	}
	oids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return nil, fmt.Errorf("look for table %s: %w", name, err)
	}
	if len(oids) == 0 {
		return nil, nil
	}
	t.oid = oids[0]
	r.tables = append(r.tables, t)
	return t, nil
}

// inspectColumn reads one column's type and what else hangs on it.
func (r *run) inspectColumn(ctx context.Context, t *table, index int) (problems []string, err error) {
	spec := r.Columns[index]
	c := &column{Column: spec.Column, codec: spec.Codec, over: spec.Overflow, index: index}
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s: ", c.Column)+fmt.Sprintf(format, args...))
	}
	var generated, isKey bool
	var foreign int
	err = r.main.QueryRow(ctx, `
SELECT a.attnum, format_type(a.atttypid, NULL),
    CASE WHEN a.atttypid = 'varchar'::regtype AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END,
    a.attgenerated <> '',
    EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)),
    (SELECT count(*) FROM pg_constraint k WHERE k.contype = 'f'
        AND (k.conrelid = a.attrelid AND a.attnum = ANY (k.conkey) OR k.confrelid = a.attrelid AND a.attnum = ANY (k.confkey))),
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey)),
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum)
FROM pg_attribute a WHERE a.attrelid = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped`, t.oid, c.Name).
		Scan(&c.number, &c.kind, &c.width, &generated, &isKey, &foreign, &c.unique, &c.indexed)
	c.unique = c.unique && spec.Codec.Deterministic()
	if errors.Is(err, pgx.ErrNoRows) {
		report("there is no such column")
		return problems, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at column %s: %w", c.Column, err)
	}
	switch want := wantKinds(spec.Codec); {
	case !slices.Contains(want, plainKind(c.kind)):
		report("its type is %s; a column of this scheme must be %s", c.kind, strings.Join(want, " or "))
	case generated:
		report("it is generated from other columns")
	case isKey:
		report("it is part of the primary key")
	case foreign > 0:
		report("a foreign key stands on it; its rows cannot change one by one")
	}
	if !c.codec.Recognisable() {
		if len(problems) > 0 {
			return problems, nil
		}
		if r.Live != nil {
			report("a token of the scheme %s looks like any other value of its type: such a column is protected while it is empty and nobody is connected, by protect without --online, and cannot be undone", c.codec.Spec().Scheme)
			return problems, nil
		}
		problem, err := r.setAside(ctx, t, c)
		if problem != "" {
			report("%s", problem)
		}
		return problems, err
	}
	t.columns = append(t.columns, c)
	return problems, nil
}

// plainKind is a type without the schema that it is in, where that is the extension citext: it may be in any.
func plainKind(kind string) string {
	if strings.HasSuffix(kind, ".citext") {
		return "citext"
	}
	return kind
}

// wantKinds are the types that can hold a codec's tokens.
func wantKinds(c *token.Codec) []string {
	switch c.Spec().Scheme {
	case sallyport.Date, sallyport.UUID:
		return []string{string(c.Spec().Scheme)}
	case sallyport.Timestamp:
		return []string{"timestamp without time zone"}
	case sallyport.Timestamptz:
		return []string{"timestamp with time zone"}
	case sallyport.Int4:
		return []string{"integer"}
	case sallyport.Int8:
		return []string{"bigint"}
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Name, sallyport.Text:
	}
	return []string{"text", "character varying", "citext"}
}

// inspectTable reads the primary key and looks for what would copy plain values elsewhere.
func (r *run) inspectTable(ctx context.Context, t *table) (problems []string, err error) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s: ", t)+fmt.Sprintf(format, args...))
	}
	rows, err := r.main.Query(ctx, `
SELECT quote_ident(a.attname), format_type(a.atttypid, NULL) FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1 AND i.indisprimary ORDER BY k.position`, t.oid)
	if err != nil {
		return nil, fmt.Errorf("read primary key of %s: %w", t, err)
	}
	t.key, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k keyColumn, err error) {
		return k, row.Scan(&k.name, &k.kind)
	})
	if err != nil {
		return nil, fmt.Errorf("read primary key of %s: %w", t, err)
	}
	if len(t.key) == 0 {
		report("it has no primary key")
	}
	rows, err = r.main.Query(ctx, `
SELECT format('its trigger %I would see plain values; disable it for this run', tgname) FROM pg_trigger
WHERE tgrelid = $1 AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 16 <> 0
UNION ALL
SELECT format('its rule %I stands in the way', rulename) FROM pg_rewrite WHERE ev_class = $1 AND ev_type <> '1'
UNION ALL
SELECT format('the table %s inherits from it', inhrelid::regclass) FROM pg_inherits JOIN pg_class c ON c.oid = inhparent
WHERE inhparent = $1 AND c.relkind = 'r'`, t.oid)
	if err != nil {
		return nil, fmt.Errorf("look for triggers of %s: %w", t, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for triggers of %s: %w", t, err)
	}
	for _, f := range found {
		report("%s", f)
	}
	return problems, nil
}
