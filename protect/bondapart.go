package protect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

// Bonds of integers and uuids: nothing in a value tells whether it is a token, and it stands in rows of several tables. In all of them it is in one form, whichever,
// and one form at a time is written (sallyport.written_as), so that the rows that hold the other become fewer. Whoever changes a value locks all of them, reads behind
// the locks what is known of each, and changes them together, with a note of each (docs/decisions/0085-tokens-begin-when-all-have-heard.md).

// createWrittenAs makes the list of bound columns by the form that is written at the moment. Triggers hold its rows until their transactions have ended.
const createWrittenAs = `
CREATE TABLE IF NOT EXISTS sallyport.written_as (relation oid NOT NULL, number int2 NOT NULL, tokens boolean NOT NULL, PRIMARY KEY (relation, number));`

// apart tells whether nothing in a value of the bond tells whether it is a token.
func (b *bond) apart() bool { return b != nil && b.columns[0].formless }

// bondsApart tells whether a run has such columns.
func (r *run) bondsApart() bool {
	return slices.ContainsFunc(r.tables, (*table).bondsApart)
}

func (t *table) bondsApart() bool {
	return slices.ContainsFunc(t.columns, func(c *column) bool { return c.bond.apart() })
}

// apartNames are their names.
func (r *run) apartNames() (names []string) {
	for _, t := range r.tables {
		for _, c := range t.columns {
			if c.bond.apart() {
				names = append(names, c.String())
			}
		}
	}
	return names
}

// problem says what stands against a bond of such columns.
func (b *bond) problem(c *column) string {
	if slices.ContainsFunc(b.columns, func(other *column) bool { return other.under != c.under }) {
		return "a foreign key compares it with a column that is on its way already, or not yet; let that one come to its end first, without this one and without the foreign key"
	}
	return ""
}

// stands is an expression over a row t: whether the value of a column is a token, by what is noted of it and else by its range. catalog.Stands has the same.
func (t *table) stands(c *column) string {
	return fmt.Sprintf(`coalesce((SELECT w.tokens FROM sallyport.written w WHERE w.relation = %[1]d AND w.name = '%[2]s' AND w.key = %[3]s),
		(SELECT g.tokens FROM sallyport.ranges g WHERE g.relation = %[1]d AND (g.after IS NULL OR %[4]s) AND (g.up_to IS NULL OR %[5]s)))`,
		t.oid, strings.ReplaceAll(c.Name, "'", "''"), keyText("t.", t.key), t.beside(">", "g.after"), t.beside("<=", "g.up_to"))
}

// exchangeApart changes values wherever they stand, and notes what they are. missed are rows that others changed meanwhile.
func (b *bond) exchangeApart(ctx context.Context, conn *pgconn.PgConn, pairs map[string]string, out bool) (changed []int64, missed int64, err error) {
	var olds, news textArray
	for _, old := range slices.Sorted(maps.Keys(pairs)) {
		olds.append([]byte(old))
		news.append([]byte(pairs[old]))
	}
	if b.several() {
		if err := exec(ctx, conn, "SET LOCAL enable_hashjoin = on"); err != nil {
			return nil, 0, err
		}
	}
	missed, err = b.lockApart(ctx, conn, &olds, out)
	if err != nil {
		return nil, 0, err
	}
	result := conn.ExecParams(ctx, b.updateApartSQL(out), [][]byte{olds.encode(), news.encode()}, []uint32{textArrayOID, textArrayOID}, []int16{1}, nil).Read()
	if result.Err != nil {
		return nil, 0, withoutValues(result.Err)
	}
	for i := range b.byTable() {
		n, err := strconv.ParseInt(string(result.Rows[0][2*i]), 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("read how many rows changed: %w", err)
		}
		values, err := strconv.ParseInt(string(result.Rows[0][2*i+1]), 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("read how many values changed: %w", err)
		}
		changed, missed = append(changed, n), missed-values
	}
	return changed, missed, nil
}

// lockApart locks all rows that hold one of these texts, and then looks whether each holds what is to change. It counts the values.
func (b *bond) lockApart(ctx context.Context, conn *pgconn.PgConn, texts *textArray, out bool) (locked int64, err error) {
	ask := func(sql string) (n int64, err error) {
		result := conn.ExecParams(ctx, sql, [][]byte{texts.encode()}, []uint32{textArrayOID}, []int16{1}, nil).Read()
		if result.Err != nil {
			return 0, withoutValues(result.Err)
		}
		return strconv.ParseInt(string(result.Rows[0][0]), 10, 64)
	}
	columns := slices.SortedFunc(slices.Values(b.columns), func(x, y *column) int { return strings.Compare(x.String(), y.String()) }) // in one order for all
	for _, c := range columns {
		n, err := ask(fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s AS t WHERE t.%s = ANY ($1::text[]::%s[]) FOR NO KEY UPDATE) AS locked", c.table.sql(), c.sql(), c.kind))
		if err != nil {
			return 0, err
		}
		locked += n
	}
	for _, c := range columns {
		others, err := ask(fmt.Sprintf("SELECT count(*) FROM %s AS t WHERE t.%s = ANY ($1::text[]::%s[]) AND %s IS DISTINCT FROM %t", c.table.sql(), c.sql(), c.kind, c.table.stands(c), out))
		switch {
		case err != nil:
			return 0, err
		case others > 0:
			return 0, fmt.Errorf("%d rows of %s hold what elsewhere is to change, and are not said to hold it in the same form; nothing of these rows was changed: end what writes around Sallyport, and if that does not help, put back the copy of the database from before", others, c)
		}
	}
	return locked, nil
}

// updateApartSQL is updateSQL with notes. For each table comes back how many rows were changed, and how many values in them.
func (b *bond) updateApartSQL(out bool) string {
	with := []string{"pairs (was, becomes) AS (SELECT * FROM unnest($1::text[], $2::text[]))"}
	var counts, notes []string
	for i, columns := range b.byTable() {
		name, t := "t"+strconv.Itoa(i), columns[0].table
		var hits []string
		if len(columns) == 1 {
			c := columns[0]
			with = append(with, fmt.Sprintf("%s AS (UPDATE %s AS t SET %s = p.becomes::%s FROM pairs p WHERE t.%s = p.was::%s RETURNING %s AS key, true AS hit0)",
				name, t.sql(), c.sql(), c.kind, c.sql(), c.kind, keyText("t.", t.key)))
			hits = []string{"hit0"}
		} else {
			list := severalSQL(name, columns)
			var returning []string
			for j := range columns {
				hits = append(hits, fmt.Sprintf("hit%d", j))
				returning = append(returning, fmt.Sprintf("x.sallyport_new%d IS NOT NULL AS hit%d", j, j))
			}
			last := len(list) - 1
			list[last] = strings.TrimSuffix(list[last], "RETURNING 1)") + fmt.Sprintf("RETURNING %s AS key, %s)", keyText("t.", t.key), strings.Join(returning, ", "))
			with = append(with, list...)
		}
		var values []string
		for j, c := range columns {
			notes = append(notes, fmt.Sprintf("SELECT %d::oid, '%s', key, %t FROM %s WHERE %s", t.oid, strings.ReplaceAll(c.Name, "'", "''"), !out, name, hits[j]))
			values = append(values, fmt.Sprintf("count(*) FILTER (WHERE %s)", hits[j]))
		}
		counts = append(counts, fmt.Sprintf("(SELECT count(*) FROM %s), (SELECT %s FROM %s)", name, strings.Join(values, " + "), name))
	}
	with = append(with, "noted AS (INSERT INTO sallyport.written (relation, name, key, tokens) "+strings.Join(notes, " UNION ALL ")+" ON CONFLICT (relation, name, key) DO UPDATE SET tokens = excluded.tokens)")
	return "WITH " + strings.Join(with, ",\n") + "\nSELECT " + strings.Join(counts, ", ")
}

// holdWritten writes down which form of the bound columns of a table is written, unless that is known.
func (t *table) holdWritten(ctx context.Context, tx pgx.Tx, tokens bool) error {
	for _, c := range t.columns {
		if !c.bond.apart() {
			continue
		}
		if _, err := tx.Exec(ctx, "INSERT INTO sallyport.written_as VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", t.oid, c.number, tokens); err != nil {
			return err
		}
	}
	return nil
}

// gather waits until every session announces what it writes into bound columns, and nobody is left who does not: no statement of a serve that is gone either. Which
// form is written stays as it is. From then on each value that is written is looked for on all sides, which takes their indexes.
func (r *run) gather(ctx context.Context) error {
	if !r.bondsApart() {
		return nil
	}
	for _, do := range []stepFunc{r.makeBondIndexes, r.enter, r.closeUnannounced, r.awaitOthers} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// enters tells whether a bound column has to be entering before it moves: plain values are written into it, or nobody has heard of it yet.
func (r *run) enters(name string) bool {
	return !slices.Contains(r.states.Moving, name) || slices.Contains(r.states.Entering, name)
}

// entering are those columns of a run that are to be entering first.
func (r *run) entering() (names []string) {
	if r.out {
		return nil
	}
	return slices.DeleteFunc(r.apartNames(), func(name string) bool { return !r.enters(name) })
}

// SetWritten says which form of bound columns is written from now on, true: tokens. It waits, as long as the connection waits for locks, for transactions that have written
// the other; columns that the database does not hold are passed over.
func SetWritten(ctx context.Context, conn Beginning, tokens map[sallyport.Column]bool) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, c := range slices.SortedFunc(maps.Keys(tokens), func(x, y sallyport.Column) int { return strings.Compare(x.String(), y.String()) }) {
			_, err := tx.Exec(ctx, `UPDATE sallyport.written_as w SET tokens = $4 FROM pg_catalog.pg_class t, pg_catalog.pg_namespace n, pg_catalog.pg_attribute a
				WHERE t.oid = w.relation AND n.oid = t.relnamespace AND a.attrelid = t.oid AND a.attnum = w.number AND n.nspname = $1 AND t.relname = $2 AND a.attname = $3 AND w.tokens <> $4`,
				c.Schema, c.Table, c.Name, tokens[c])
			if err != nil {
				return err
			}
		}
		return nil
	})
	switch err = withoutValues(err); {
	case refusedBy(err, "42P01", "3F000"): // undefined_table, invalid_schema_name: nothing bound is on its way
		return nil
	case refusedBy(err, lockNotAvailable, "40P01", "57014"): // deadlock_detected, query_canceled
		return ErrWriting
	case err != nil:
		return fmt.Errorf("say which form of columns under foreign keys is written: %w", err)
	}
	return nil
}

// ErrWriting says that transactions that wrote another form have not ended.
var ErrWriting = errors.New("transactions of before that wrote columns under foreign keys have not ended")
