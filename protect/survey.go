package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/token"
)

// Obstacle is something in a database that does not go with protected columns.
type Obstacle struct {
	Where  string // schema.table.column, or schema.table
	Kind   ObstacleKind
	What   string
	Blocks bool     // protect refuses, or would fail
	SQL    []string // statements that help, for the owner to run; empty where only he knows what is right
	Never  []string // statements that would help and destroy or switch off something: to be read, not run
}

// ObstacleKind tells obstacles apart.
type ObstacleKind string

// The kinds of obstacles.
const (
	ObstacleMissing     ObstacleKind = "missing"
	ObstacleType        ObstacleKind = "type"
	ObstacleWidth       ObstacleKind = "width"
	ObstacleGenerated   ObstacleKind = "generated"
	ObstacleKey         ObstacleKind = "key"
	ObstacleForeign     ObstacleKind = "foreign key"
	ObstacleUnique      ObstacleKind = "unique"
	ObstacleIndex       ObstacleKind = "index"
	ObstacleCheck       ObstacleKind = "check"
	ObstacleDefault     ObstacleKind = "default"
	ObstacleTrigger     ObstacleKind = "trigger"
	ObstacleRule        ObstacleKind = "rule"
	ObstaclePolicy      ObstacleKind = "policy"
	ObstacleInherit     ObstacleKind = "inheritance"
	ObstaclePartition   ObstacleKind = "partition key"
	ObstacleCollation   ObstacleKind = "collation"
	ObstaclePublication ObstacleKind = "publication"
	ObstacleNarrow      ObstacleKind = "narrow foreign key"
	ObstacleTwins       ObstacleKind = "twins" // of values, which FindTwins reads and Survey does not
)

// Survey lists what stands against protecting the columns, and what will not work afterwards. It reads the catalogue and no rows, and needs
// a role that may see the tables; the connection's search_path MUST be pg_catalog, so that names are printed whole.
func Survey(ctx context.Context, conn *pgx.Conn, columns []Column) ([]Obstacle, error) {
	s := &surveyor{conn: conn, columns: columns}
	tables := map[uint32]Table{}
	for i := range columns {
		oid, err := s.column(ctx, &columns[i])
		if err != nil {
			return nil, err
		}
		if oid != 0 {
			tables[oid] = Table{columns[i].Column.Schema, columns[i].Column.Table}
		}
	}
	oids := make([]uint32, 0, len(tables))
	for oid := range tables {
		oids = append(oids, oid)
	}
	slices.Sort(oids)
	for _, oid := range oids {
		if err := s.table(ctx, oid, tables[oid]); err != nil {
			return nil, err
		}
	}
	return s.found, nil
}

// surveyor gathers obstacles.
type surveyor struct {
	conn    *pgx.Conn
	columns []Column
	found   []Obstacle
}

// surveyed is what the catalogue says about one column.
type surveyed struct {
	Column
	oid                      uint32
	number                   int16
	kind, table, name        string // the type without its length; both quoted
	width                    int
	generated, collated, key bool
	hasDefault, identity     bool
}

func (s *surveyor) report(c *surveyed, kind ObstacleKind, blocks bool, what string, args ...any) *Obstacle {
	s.found = append(s.found, Obstacle{Where: c.Column.Column.String(), Kind: kind, Blocks: blocks, What: fmt.Sprintf(what, args...)})
	return &s.found[len(s.found)-1]
}

const surveyColumn = `SELECT c.oid, a.attnum, format_type(a.atttypid, NULL), format('%I.%I', n.nspname, c.relname), quote_ident(a.attname),
		CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END,
		a.attgenerated <> '', coalesce(NOT l.collisdeterministic, false),
		EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)), a.atthasdef, a.attidentity <> ''
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_collation l ON l.oid = a.attcollation
	WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped`

// column looks at one column and what hangs on it alone. It returns its table, 0 where there is no such column.
func (s *surveyor) column(ctx context.Context, column *Column) (uint32, error) {
	c := &surveyed{Column: *column}
	at := column.Column
	err := s.conn.QueryRow(ctx, surveyColumn, at.Schema, at.Table, at.Name).
		Scan(&c.oid, &c.number, &c.kind, &c.table, &c.name, &c.width, &c.generated, &c.collated, &c.key, &c.hasDefault, &c.identity)
	if errors.Is(err, pgx.ErrNoRows) {
		s.report(c, ObstacleMissing, true, "there is no such column in a table of this database")
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look at column %s: %w", at, withoutValues(err))
	}
	for _, step := range []func(context.Context, *surveyed) error{
		s.form, s.foreign, s.unique, s.indexes, s.checks, s.generatedFrom,
	} {
		if err := step(ctx, c); err != nil {
			return 0, fmt.Errorf("look at what hangs on %s: %w", at, withoutValues(err))
		}
	}
	return c.oid, nil
}

// form holds type, width, collation and default to what tokens need.
func (s *surveyor) form(ctx context.Context, c *surveyed) (err error) {
	fits := slices.Contains(wantKinds(c.Codec), plainKind(c.kind))
	switch need := longestToken(c.Codec, c.width); {
	case c.generated:
		s.report(c, ObstacleGenerated, true, "it is generated from other columns; protect those, and let programs make it of what they read")
	case !fits:
		o := s.report(c, ObstacleType, true, "its type is %s; tokens of the scheme %s need %s", c.kind, c.Codec.Spec().Scheme, strings.Join(wantKinds(c.Codec), " or "))
		if to, using := betterType(c); to != "" {
			o.SQL, err = s.retype(ctx, c, to, using)
		} else {
			err = s.domain(ctx, c, o)
		}
	case c.width > 0 && need > c.width:
		o := s.report(c, ObstacleWidth, true, "it holds %d characters, and a value that fills it has a token of up to %d", c.width, need)
		o.SQL, err = s.retype(ctx, c, "text", "")
	}
	if err != nil {
		return err
	}
	if c.key {
		s.report(c, ObstacleKey, true, "it is part of the primary key, by which rows are found while they change; expected another key")
	}
	if c.collated {
		o := s.report(c, ObstacleCollation, false, "its collation takes different texts for equal, so two tokens could be taken for one")
		if o.SQL, err = s.retype(ctx, c, c.kind, `COLLATE pg_catalog."default"`); err != nil {
			return err
		}
	}
	s.byDefault(c)
	return nil
}

// byDefault says what a default of the column would write.
func (s *surveyor) byDefault(c *surveyed) {
	drop := "DEFAULT"
	switch {
	case c.identity:
		drop = "IDENTITY"
	case !c.hasDefault || c.generated:
		return
	}
	what := "it has a default, which would be written in plain: statements that leave the column out are refused"
	if !c.Codec.Recognisable() {
		what = "it has a default, which would be written in plain, and nothing would show that it is no token: drop it, and have programs write the value"
	}
	o := s.report(c, ObstacleDefault, !c.Codec.Recognisable(), "%s", what)
	o.SQL = []string{fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s DROP %s;", c.table, c.name, drop)}
}

// betterType is a type for the column that tokens fit in, and how its values become it.
func betterType(c *surveyed) (to, using string) {
	want := wantKinds(c.Codec)
	switch {
	case slices.Contains(want, "text") && (c.kind == "character" || c.kind == "bpchar"):
		return "text", fmt.Sprintf("USING rtrim(%s)", c.name)
	case slices.Contains(want, "text") && c.kind == "name":
		return "text", ""
	case slices.Contains(want, "integer") && c.kind == "smallint":
		return "integer", ""
	}
	return "", ""
}

// longestToken is how many characters the token of a value has that fills the column; 0 where nothing bounds it.
func longestToken(codec *token.Codec, width int) int {
	if width == 0 {
		return 0
	}
	var value string
	switch codec.Spec().Scheme {
	case sallyport.Email:
		const domain, most = "@mail.example", 134 // docs/tokens: a longer address has no token
		value = strings.Repeat("a", max(1, min(width, most)-len(domain))) + domain
	case sallyport.Name, sallyport.Text:
		value = strings.Repeat("a", width)
	case sallyport.Phone:
		value = "+4915112345678"
	default: // a token is as long as its value
		return 0
	}
	made, err := codec.Tokenise(nil, []byte(value), nothing{})
	if err != nil {
		return 0 // no value of this length has a token
	}
	return len(made)
}

// nothing is randomness for tokens that only their length is asked of.
type nothing struct{}

func (nothing) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// foreign looks for foreign keys on the column, in either direction. Where both sides are protected in the same way, they move together.
func (s *surveyor) foreign(ctx context.Context, c *surveyed) error {
	rows, err := s.conn.Query(ctx, `SELECT quote_ident(k.conname), k.conrelid::regclass::text, k.convalidated, o.nspname::text, r.relname::text, b.attname::text
		FROM pg_constraint k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS p (here, there)
		CROSS JOIN LATERAL (VALUES (k.conrelid, p.here, k.confrelid, p.there), (k.confrelid, p.there, k.conrelid, p.here)) AS side (rel, col, other, othercol)
		JOIN pg_class r ON r.oid = side.other JOIN pg_namespace o ON o.oid = r.relnamespace JOIN pg_attribute b ON b.attrelid = side.other AND b.attnum = side.othercol
		WHERE k.contype = 'f' AND k.conparentid = 0 AND side.rel = $1 AND side.col = $2 ORDER BY k.conname`, c.oid, c.number)
	if err != nil {
		return err
	}
	var name, table string
	var valid bool
	var other sallyport.Column
	_, err = pgx.ForEachRow(rows, []any{&name, &table, &valid, &other.Schema, &other.Table, &other.Name}, func() error {
		switch same := s.sameWay(c, other); {
		case same && valid && c.Codec.Spec().Scheme == sallyport.Int4:
			o := s.report(c, ObstacleNarrow, true, "the foreign key %s compares it with %s, and of 32 bits one value's token may be another value in the other table: make both sides bigint, with the scheme int8, or drop it until protect has run", name, other)
			o.Never = []string{fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s;", table, name)}
		case same && valid:
		case same:
			o := s.report(c, ObstacleForeign, true, "the foreign key %s, which compares it with %s, is NOT VALID: a row that it does not hold for could not change; validate it", name, other)
			o.SQL = []string{fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s;", table, name)}
		default:
			o := s.report(c, ObstacleForeign, true, "the foreign key %s compares it with %s, which is not protected in the same way: a token never equals a plain value. "+
				"Protect both with one scheme and group that is not name or text, or give the rows another key", name, other)
			o.Never = []string{fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s;", table, name)}
		}
		return nil
	})
	return err
}

// sameWay tells whether equal values of the two columns have equal tokens.
func (s *surveyor) sameWay(c *surveyed, other sallyport.Column) bool {
	mine := c.Codec.Spec()
	for i := range s.columns {
		if s.columns[i].Column == other {
			theirs := s.columns[i].Codec.Spec()
			return mine.Scheme == theirs.Scheme && mine.Group == theirs.Group && c.Codec.Deterministic()
		}
	}
	return false
}

// unique looks for uniqueness that tokens cannot keep.
func (s *surveyor) unique(ctx context.Context, c *surveyed) error {
	if c.Codec.Deterministic() {
		return nil
	}
	names, err := s.texts(ctx, `SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND NOT i.indisprimary AND $2 = ANY (i.indkey::int2[])
		ORDER BY 1`, c.oid, c.number)
	for _, name := range names {
		s.report(c, ObstacleUnique, false, "%s makes it unique, and two tokens of the scheme %s always differ: equal values would no longer be refused. "+
			"Choose a scheme with equal tokens, or let programs look first", name, c.Codec.Spec().Scheme)
	}
	return err
}

// indexes looks for indexes over expressions or parts of the column, and for those whose operators ask about order or parts.
func (s *surveyor) indexes(ctx context.Context, c *surveyed) error {
	rows, err := s.conn.Query(ctx, `SELECT i.indexrelid::regclass::text,
			NOT ($2 = ANY (i.indkey::int2[])),
			EXISTS (SELECT FROM unnest(i.indkey::int2[], i.indclass::oid[]) AS k (col, class) JOIN pg_opclass o ON o.oid = k.class
				WHERE k.col = $2 AND (o.opcname ~ '(pattern|trgm|fts|tsvector)' OR i.indexrelid IN (SELECT c.oid FROM pg_class c JOIN pg_am m ON m.oid = c.relam WHERE m.amname IN ('gin', 'gist', 'spgist', 'brin'))))
		FROM pg_index i WHERE i.indrelid = $1 AND i.indexrelid::regclass::text !~ 'sallyport_name_'
			AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = $2)
		ORDER BY 1`, c.oid, c.number)
	if err != nil {
		return err
	}
	var name string
	var expression, ordered bool
	_, err = pgx.ForEachRow(rows, []any{&name, &expression, &ordered}, func() error {
		switch {
		case expression:
			o := s.report(c, ObstacleIndex, false, "the index %s is over an expression or a condition of it, which tokens cannot answer: it costs writes and finds nothing; compare the column itself", name)
			o.Never = []string{"DROP INDEX " + name + ";"}
		case ordered:
			o := s.report(c, ObstacleIndex, false, "the index %s is for parts or the order of its values, which tokens do not have: it costs writes and finds nothing", name)
			o.Never = []string{"DROP INDEX " + name + ";"}
		}
		return nil
	})
	return err
}
