package protect

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/token"
)

// Twins are rows that a unique index holds apart now, and that become one value once case and spelling are evened out.
type Twins struct {
	Column sallyport.Column
	Index  string   // its name
	Groups int64    // of rows that become one
	Keys   []string // primary keys of the first groups: "3 = 17"; places (ctid) where a key is missing or protected itself
}

// Sentence says so, by key and never by value.
func (t *Twins) Sentence() string {
	more := ""
	if t.Groups > int64(len(t.Keys)) {
		more = " …"
	}
	return fmt.Sprintf("the unique index %s holds apart what is one value once case and spelling are evened out, %d times: in the rows %s%s; mend one of each", t.Index, t.Groups, strings.Join(t.Keys, ", "), more)
}

// FindTwins reads every value of those columns under a unique index whose equal values have equal tokens. It keeps nothing: what it writes down, a
// digest and a key for each value that is not spelt evenly, goes into a temporary table that is rolled back.
func FindTwins(ctx context.Context, conn *pgx.Conn, columns []Column) (found []Twins, err error) {
	for _, c := range columns {
		if !c.Codec.Deterministic() || !c.Codec.Recognisable() {
			continue
		}
		indexes, err := uniqueIndexes(ctx, conn, c.Column)
		if err != nil {
			return nil, fmt.Errorf("look for unique indexes of %s: %w", c.Column, withoutValues(err))
		}
		for _, index := range indexes {
			index.anonymise(c.Column, columns)
			twins, err := index.twins(ctx, conn, c)
			if err != nil {
				return nil, fmt.Errorf("compare the values of %s: %w", c.Column, withoutValues(err))
			}
			if twins.Groups > 0 {
				found = append(found, twins)
			}
		}
	}
	return found, nil
}

// twins are what FindTwins says of the run's columns, unless an earlier run has asked. Where examine met nothing that is not spelt evenly, the unique
// index itself says that there are none.
func (r *run) twins(ctx context.Context) (problems []string, err error) {
	if len(r.states.Moving) > 0 {
		return nil, nil
	}
	var uneven []Column
	for _, t := range r.tables {
		for _, c := range t.columns {
			if c.uneven.Load() {
				uneven = append(uneven, r.Columns[c.index])
			}
		}
	}
	found, err := FindTwins(ctx, r.main, uneven)
	for _, t := range found {
		problems = append(problems, fmt.Sprintf("%s: %s", t.Column, t.Sentence()))
	}
	return problems, err
}

// uniqueIndex is an index that holds values of a column apart.
type uniqueIndex struct {
	name, table, kind string
	first             bool     // the column stands in front
	condition         string   // of a partial one
	keys, others      []string // names, quoted: of the primary key, and of the index but for the column
}

const selectUniqueIndexes = `SELECT i.indexrelid::regclass::text, format('%I.%I', n.nspname, t.relname), format_type(a.atttypid, NULL), i.indkey[0] = a.attnum, coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'),
	ARRAY(SELECT quote_ident(b.attname) FROM pg_index p CROSS JOIN LATERAL unnest(p.indkey::int2[]) WITH ORDINALITY k (col, at) JOIN pg_attribute b ON b.attrelid = p.indrelid AND b.attnum = k.col
		WHERE p.indrelid = t.oid AND p.indisprimary ORDER BY k.at),
	ARRAY(SELECT quote_ident(b.attname) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (col, at) JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = k.col WHERE k.at <= i.indnkeyatts AND k.col <> a.attnum ORDER BY k.at)
FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND NOT a.attisdropped JOIN pg_index i ON i.indrelid = t.oid
WHERE n.nspname = $1 AND t.relname = $2 AND a.attname = $3 AND i.indisunique AND a.attnum = ANY (i.indkey::int2[]) AND NOT 0 = ANY (i.indkey::int2[]) ORDER BY 1`

func uniqueIndexes(ctx context.Context, conn *pgx.Conn, c sallyport.Column) ([]uniqueIndex, error) {
	rows, err := conn.Query(ctx, selectUniqueIndexes, c.Schema, c.Table, c.Name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (u uniqueIndex, err error) {
		return u, row.Scan(&u.name, &u.table, &u.kind, &u.first, &u.condition, &u.keys, &u.others)
	})
}

// anonymise has rows named by their place where there is no primary key, and where it holds values that nobody is to be told.
func (u *uniqueIndex) anonymise(of sallyport.Column, columns []Column) {
	secret := len(u.keys) == 0
	for _, c := range columns {
		same := c.Column.Schema == of.Schema && c.Column.Table == of.Table
		secret = secret || same && (slices.Contains(u.keys, c.Column.Name) || slices.Contains(u.keys, pgx.Identifier{c.Column.Name}.Sanitize()))
	}
	if secret {
		u.keys = []string{"ctid"}
	}
}

// values asks for key, value and the index's other columns, each as one text.
func (u *uniqueIndex) values(column, where string) string {
	key := append([]string{}, u.keys...)
	for i := range key {
		key[i] += "::text"
	}
	others := []string{"''"}
	for _, o := range u.others { // a length in front keeps two columns apart
		others = append(others, fmt.Sprintf("length(%s::text) || ' ' || %s::text", o, o))
	}
	return fmt.Sprintf("SELECT concat_ws('/', %s), %s::text, %s FROM %s WHERE %s IS NOT NULL AND (%s) AND %s",
		strings.Join(key, ", "), column, strings.Join(others, " || "), u.table, column, u.condition, where)
}

// twinsBatch is how many rows are compared at a time.
const twinsBatch = 5000

func (u *uniqueIndex) twins(ctx context.Context, conn *pgx.Conn, c Column) (twins Twins, err error) {
	twins = Twins{Column: c.Column, Index: u.name}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		column := pgx.Identifier{c.Column.Name}.Sanitize()
		for _, sql := range []string{
			"CREATE TEMPORARY TABLE sallyport_twins (digest bytea, key text) ON COMMIT DROP",
			"DECLARE sallyport_values NO SCROLL CURSOR FOR " + u.values(column, "true"),
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		salt := make([]byte, 16)
		_, _ = rand.Read(salt) // it never fails
		w := &twinning{u: u, tx: tx, codec: c.Codec, over: c.Overflow, column: column, salt: salt}
		for {
			n, err := w.batch(ctx)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
		}
		if err := w.groups(ctx, &twins); err != nil {
			return err
		}
		return errRolledBack
	})
	if errors.Is(err, errRolledBack) {
		err = nil
	}
	return twins, err
}

// twinning compares the values under one index.
type twinning struct {
	u      *uniqueIndex
	tx     pgx.Tx
	codec  *token.Codec
	over   *token.Overflow
	column string
	salt   []byte
}

// canonical is how a value is spelt evenly; false: it has no token, or is one.
func (w *twinning) canonical(value string) (string, bool) {
	even, ok := canonical(nil, w.codec, w.over, []byte(value))
	return string(even), ok
}

// canonical appends to dst, whose room it may use all the same.
func canonical(dst []byte, codec *token.Codec, over *token.Overflow, value []byte) (even []byte, ok bool) {
	if codec.IsToken(value) {
		return dst, false
	}
	even, err := codec.Canonical(dst, value)
	if errors.Is(err, token.ErrDomain) && over != nil {
		even, err = over.Canonical(dst, value)
	}
	return even, err == nil
}

// batch notes of the next rows those that may have a twin: what is not spelt evenly, and what it is equal to.
func (w *twinning) batch(ctx context.Context) (n int, err error) {
	rows, err := w.tx.Query(ctx, fmt.Sprintf("FETCH %d FROM sallyport_values", twinsBatch))
	if err != nil {
		return 0, err
	}
	var noted [][]any
	var evenly []string
	var key, value string
	var others *string
	_, err = pgx.ForEachRow(rows, []any{&key, &value, &others}, func() error {
		n++
		even, ok := w.canonical(value)
		if !ok || others == nil { // NULL is never equal
			return nil
		}
		if even != value || !w.u.first {
			noted = append(noted, w.note(key, even, *others))
		}
		if even != value && w.u.first {
			evenly = append(evenly, even)
		}
		return nil
	})
	if err != nil || len(noted) == 0 {
		return n, err
	}
	if noted, err = w.beside(ctx, noted, evenly); err != nil {
		return n, err
	}
	_, err = w.tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "sallyport_twins"}, []string{"digest", "key"}, pgx.CopyFromRows(noted))
	return n, err
}

// beside notes the rows that hold some values evenly spelt.
func (w *twinning) beside(ctx context.Context, noted [][]any, evenly []string) ([][]any, error) {
	if len(evenly) == 0 {
		return noted, nil
	}
	rows, err := w.tx.Query(ctx, w.u.values(w.column, fmt.Sprintf("%s %s ANY ($1::text[]::%s[])", w.column, equals(w.u.kind), w.u.kind)), slices.Compact(slices.Sorted(slices.Values(evenly))))
	if err != nil {
		return nil, err
	}
	var key, value string
	var others *string
	_, err = pgx.ForEachRow(rows, []any{&key, &value, &others}, func() error {
		if even, ok := w.canonical(value); ok && others != nil {
			noted = append(noted, w.note(key, even, *others))
		}
		return nil
	})
	return noted, err
}

func (w *twinning) note(key, even, others string) []any {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s%d %s%s", w.salt, len(even), even, others)))
	return []any{sum[:16], key}
}

// groups reads which rows become one.
func (w *twinning) groups(ctx context.Context, twins *Twins) error {
	rows, err := w.tx.Query(ctx, fmt.Sprintf(`SELECT keys, count(*) OVER () FROM (SELECT string_agg(DISTINCT key, ' = ') AS keys, min(key) AS first FROM pg_temp.sallyport_twins GROUP BY digest HAVING count(DISTINCT key) > 1) g
		ORDER BY length(first), first LIMIT %d`, mostKeys))
	if err != nil {
		return err
	}
	var keys string
	_, err = pgx.ForEachRow(rows, []any{&keys, &twins.Groups}, func() error {
		twins.Keys = append(twins.Keys, keys)
		return nil
	})
	return err
}
