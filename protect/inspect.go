package protect

import (
	"context"
	"fmt"
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
	parted  bool // it is partitioned: its rows stand in others
	ranges  []keyRange
	kept    bool // as an earlier run cut them
	noted   bool // there may be notes of what others wrote into columns without a form
}

// keyColumn is a part of the primary key.
type keyColumn struct{ name, kind, collation string } // all ready for SQL; collation is a clause, or empty

// column is one protected column of a table.
type column struct {
	sallyport.Column
	table  *table
	codec  *token.Codec
	over   *token.Overflow // or nil
	index  int             // in Options.Columns
	kind   string
	width  int // characters that fit, 0: any number
	number int16

	unique  bool  // its tokens are deterministic, and a unique index holds it
	indexed bool  // an index of all rows has it in front
	bond    *bond // foreign keys hold it equal to others; nil: none does

	formless bool // its tokens look like any other value
	under    bool // likewise, and an earlier run began with it

	tokens, moved atomic.Int64
	longest       atomic.Int64 // characters of the longest token
	bad           badValues
	uneven        atomic.Bool // unique: examine met a value that is not spelt evenly, or did not look at all
}

func (t *table) sql() string  { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }
func (c *column) sql() string { return pgx.Identifier{c.Name}.Sanitize() }

// UnfitError lists everything that stands against protecting a database. Nothing has changed.
type UnfitError struct{ Problems []string }

func (e *UnfitError) Error() string {
	return "the database cannot be protected as it is:\n  " + strings.Join(e.Problems, "\n  ")
}

// inspect reads from the catalogue what the tables are like, and refuses what stands in the way.
func (r *run) inspect(ctx context.Context) error {
	obstacles, err := Survey(ctx, r.main, r.Columns)
	if err != nil {
		return err
	}
	var problems []string
	for _, o := range obstacles {
		if o.Blocks && o.Kind != ObstacleWidth && (o.Kind != ObstacleDefault || !r.out) { // how long tokens are the values say
			problems = append(problems, o.Where+": "+o.What)
		}
	}
	if len(problems) > 0 {
		return &UnfitError{problems}
	}
	for _, look := range []func(context.Context) ([]string, error){r.inspectColumns, r.tie, r.unnamed} {
		found, err := look(ctx)
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
	if problems := r.formlessProblems(); len(problems) > 0 {
		return &UnfitError{problems}
	}
	for _, t := range r.tables {
		if err := r.cut(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// inspectColumns reads what the run needs to know of columns and keys.
func (r *run) inspectColumns(ctx context.Context) (problems []string, err error) {
	for i := range r.Columns {
		problem, err := r.inspectColumn(ctx, i)
		if err != nil {
			return nil, err
		}
		if problem != "" {
			problems = append(problems, fmt.Sprintf("%s: %s", r.Columns[i].Column, problem))
		}
	}
	for _, t := range r.tables {
		if err := r.readKey(ctx, t); err != nil {
			return nil, err
		}
	}
	return problems, nil
}

// table finds a table among those met so far, or in the catalogue.
func (r *run) table(ctx context.Context, name Table) (*table, error) {
	for _, t := range r.tables {
		if t.Table == name {
			return t, nil
		}
	}
	t := &table{Table: name}
	err := r.main.QueryRow(ctx, `SELECT c.oid, c.relkind = 'p' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`, name.Schema, name.Name).Scan(&t.oid, &t.parted)
	if err != nil {
		return nil, fmt.Errorf("look for table %s: %w", name, err)
	}
	r.tables = append(r.tables, t)
	return t, nil
}

// inspectColumn reads what the run needs to know of one column.
func (r *run) inspectColumn(ctx context.Context, index int) (problem string, err error) {
	spec := r.Columns[index]
	t, err := r.table(ctx, Table{spec.Column.Schema, spec.Column.Table})
	if err != nil {
		return "", err
	}
	c := &column{Column: spec.Column, table: t, codec: spec.Codec, over: spec.Overflow, index: index}
	err = r.main.QueryRow(ctx, `
SELECT a.attnum, format_type(a.atttypid, NULL), CASE WHEN a.atttypid = 'varchar'::regtype AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey)),
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indpred IS NULL AND i.indisvalid
        AND i.indexrelid::regclass::text !~ 'sallyport_bond_')
FROM pg_attribute a WHERE a.attrelid = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped`, t.oid, c.Name).
		Scan(&c.number, &c.kind, &c.width, &c.unique, &c.indexed)
	if err != nil {
		return "", fmt.Errorf("look at column %s: %w", c.Column, err)
	}
	c.unique = c.unique && spec.Codec.Deterministic()
	if !c.codec.Recognisable() {
		aside, problem, err := r.inspectFormless(ctx, c)
		if aside || problem != "" || err != nil {
			return problem, err
		}
	}
	t.columns = append(t.columns, c)
	return "", nil
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

// unnamed are the columns of names in partitioned tables whose index has to be made beforehand: the server makes none there without keeping
// everybody from writing.
func (r *run) unnamed(ctx context.Context) (problems []string, err error) {
	if r.Live == nil || r.out {
		return nil, nil
	}
	for _, t := range r.tables {
		for _, c := range t.columns {
			if !t.parted || c.codec.Spec().Scheme != sallyport.Name {
				continue
			}
			var there bool
			if err := r.main.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", pgx.Identifier{t.Schema}.Sanitize()+"."+t.nameIndex(c)).Scan(&there); err != nil {
				return nil, fmt.Errorf("look for the index of %s: %w", c, err)
			}
			if !there {
				problems = append(problems, fmt.Sprintf("%s: its table is partitioned, and there the index that finds names cannot be made while others write; make it first: CREATE INDEX %s ON %s (left(%s, %d));",
					c, t.nameIndex(c), t.sql(), c.sql(), token.NamePrefixLen))
			}
		}
	}
	return problems, nil
}

// collationOf is the clause by which a column a is compared as ever where its type would be compared otherwise.
const collationOf = `coalesce((SELECT pg_catalog.format(' COLLATE %I.%I', n.nspname, l.collname) FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace
	JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE l.oid = a.attcollation AND l.oid <> t.typcollation), '')`

// readKey reads the primary key of a table.
func (r *run) readKey(ctx context.Context, t *table) error {
	rows, err := r.main.Query(ctx, `
SELECT quote_ident(a.attname), format_type(a.atttypid, NULL), `+collationOf+` FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1 AND i.indisprimary AND k.position <= i.indnkeyatts ORDER BY k.position`, t.oid)
	if err != nil {
		return fmt.Errorf("read primary key of %s: %w", t, err)
	}
	t.key, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k keyColumn, err error) {
		return k, row.Scan(&k.name, &k.kind, &k.collation)
	})
	if err != nil {
		return fmt.Errorf("read primary key of %s: %w", t, err)
	}
	return nil
}
