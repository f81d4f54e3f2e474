package protect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// bond is a set of columns that foreign keys hold equal: what one references, and all that reference it. A value of theirs changes in all of
// them at once, by one statement: a foreign key is looked at when a statement has ended, so that each holds at every moment, without being
// deferred, altered or taken off, and whatever it does ON UPDATE finds nothing to do (docs/decisions/0016-foreign-keys-by-value.md).
type bond struct{ columns []*column }

const selectBonds = `SELECT k.conrelid, p.here, k.confrelid, p.there FROM pg_constraint k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS p (here, there)
	WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY ($1) AND k.confrelid = ANY ($1)`

// tie finds the bonds among the columns of the run. What is bound to a column that does not move with it was reported before.
func (r *run) tie(ctx context.Context) (problems []string, err error) {
	if r.estimates { // a sample has no foreign keys
		return nil, nil
	}
	rows, err := r.main.Query(ctx, selectBonds, r.oids())
	if err != nil {
		return nil, fmt.Errorf("look for foreign keys: %w", err)
	}
	var here, there uint32
	var number, other int16
	_, err = pgx.ForEachRow(rows, []any{&here, &number, &there, &other}, func() error {
		if a, b := r.column(here, number), r.column(there, other); a != nil && b != nil && a != b {
			join(a, b)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for foreign keys: %w", err)
	}
	for _, t := range r.tables {
		for _, c := range t.columns {
			if c.bond != nil && !c.indexed && t.parted {
				problems = append(problems, fmt.Sprintf("%s: a foreign key stands on it and no index, so that each value would be looked for in all rows; CREATE INDEX on it first, which cannot be done CONCURRENTLY for a partitioned table", c))
			}
		}
	}
	return problems, nil
}

func (r *run) column(relation uint32, number int16) *column {
	for _, t := range r.tables {
		for _, c := range t.columns {
			if t.oid == relation && c.number == number {
				return c
			}
		}
	}
	return nil
}

// join makes one bond of those of two columns.
func join(a, b *column) {
	if a.bond == nil {
		a.bond = &bond{columns: []*column{a}}
	}
	switch b.bond {
	case a.bond:
	case nil:
		b.bond = a.bond
		a.bond.columns = append(a.bond.columns, b)
	default:
		gone := b.bond
		a.bond.columns = append(a.bond.columns, gone.columns...)
		for _, c := range gone.columns {
			c.bond = a.bond
		}
	}
}

// byTable are the columns of a bond, table by table.
func (b *bond) byTable() (list [][]*column) {
	for _, c := range b.columns {
		i := slices.IndexFunc(list, func(of []*column) bool { return of[0].table == c.table })
		if i < 0 {
			list, i = append(list, nil), len(list)
		}
		list[i] = append(list[i], c)
	}
	return list
}

// several tells whether a table has two columns of the bond, as one that refers to itself.
func (b *bond) several() bool {
	return slices.ContainsFunc(b.byTable(), func(of []*column) bool { return len(of) > 1 })
}

// equals is the equality of a type: that of the extension citext is in no schema that we search.
func equals(kind string) string {
	if schema, ok := strings.CutSuffix(kind, ".citext"); ok {
		return "OPERATOR(" + schema + ".=)"
	}
	return "OPERATOR(pg_catalog.=)"
}

// updateSQL changes values wherever they stand. $1 are they, $2 what each becomes. For each table comes back how many rows were changed, and how
// many were to be.
func (b *bond) updateSQL() string {
	with := []string{"pairs (was, becomes) AS (SELECT * FROM unnest($1::text[], $2::text[]))"}
	var counts []string
	for i, columns := range b.byTable() {
		name := "t" + strconv.Itoa(i)
		if len(columns) == 1 {
			c := columns[0]
			with = append(with, fmt.Sprintf("%s AS (UPDATE %s AS t SET %s = p.becomes::%s FROM pairs p WHERE t.%s %s p.was::%s RETURNING 1)",
				name, c.table.sql(), c.sql(), c.kind, c.sql(), equals(c.kind), c.kind))
			counts = append(counts, fmt.Sprintf("(SELECT count(*) FROM %s), 0", name))
			continue
		}
		with = append(with, severalSQL(name, columns)...)
		counts = append(counts, fmt.Sprintf("(SELECT count(*) FROM %s), (SELECT count(*) FROM %s_rows)", name, name))
	}
	return "WITH " + strings.Join(with, ",\n") + "\nSELECT " + strings.Join(counts, ", ")
}

// severalSQL is the part of updateSQL about a table with several columns of the bond: a statement changes a row but once.
func severalSQL(name string, columns []*column) []string {
	t := columns[0].table
	var keys, hits, olds, joins, sets, same []string
	for _, k := range t.key {
		keys = append(keys, k.name)
		same = append(same, fmt.Sprintf("t.%s = x.%s", k.name, k.name))
	}
	for i, c := range columns {
		var of []string
		for _, k := range keys {
			of = append(of, "q."+k)
		}
		hits = append(hits, fmt.Sprintf("SELECT %s FROM %s q JOIN pairs p ON q.%s %s p.was::%s", strings.Join(of, ", "), t.sql(), c.sql(), equals(c.kind), c.kind))
		olds = append(olds, fmt.Sprintf("s.%s AS sallyport_old%d, p%d.becomes::%s AS sallyport_new%d", c.sql(), i, i, c.kind, i))
		joins = append(joins, fmt.Sprintf("LEFT JOIN pairs p%d ON s.%s %s p%d.was::%s", i, c.sql(), equals(c.kind), i, c.kind))
		sets = append(sets, fmt.Sprintf("%s = coalesce(x.sallyport_new%d, t.%s)", c.sql(), i, c.sql()))
		same = append(same, fmt.Sprintf("t.%s IS NOT DISTINCT FROM x.sallyport_old%d", c.sql(), i))
	}
	all := strings.Join(keys, ", ")
	return []string{
		fmt.Sprintf("%s_rows AS MATERIALIZED (SELECT %s, %s FROM (%s) AS hit JOIN %s s USING (%s) %s)", name, all, strings.Join(olds, ", "), strings.Join(hits, " UNION "), t.sql(), all, strings.Join(joins, " ")),
		fmt.Sprintf("%s AS (UPDATE %s AS t SET %s FROM %s_rows x WHERE %s RETURNING 1)", name, t.sql(), strings.Join(sets, ", "), name, strings.Join(same, " AND ")),
	}
}

// exchange changes values of the bond in all its columns, within the worker's transaction. missed are rows that somebody changed meanwhile.
func (b *bond) exchange(ctx context.Context, conn *pgconn.PgConn, pairs map[string]string) (changed []int64, missed int64, err error) {
	if b.several() {
		if err := exec(ctx, conn, "SET LOCAL enable_hashjoin = on"); err != nil {
			return nil, 0, err
		}
	}
	var olds, news textArray
	for _, old := range slices.Sorted(maps.Keys(pairs)) { // in one order, so that two who change the same do not wait for each other crosswise
		olds.append([]byte(old))
		news.append([]byte(pairs[old]))
	}
	result := conn.ExecParams(ctx, b.updateSQL(), [][]byte{olds.encode(), news.encode()}, []uint32{textArrayOID, textArrayOID}, []int16{1}, nil).Read()
	if result.Err != nil {
		return nil, 0, withoutValues(result.Err)
	}
	for i, columns := range b.byTable() {
		n, err := strconv.ParseInt(string(result.Rows[0][2*i]), 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("read how many rows changed: %w", err)
		}
		changed = append(changed, n)
		if len(columns) > 1 {
			wanted, err := strconv.ParseInt(string(result.Rows[0][2*i+1]), 10, 64)
			if err != nil {
				return nil, 0, fmt.Errorf("read how many rows were to change: %w", err)
			}
			missed += wanted - n
		}
	}
	return changed, missed, nil
}

// moved counts what exchange changed, to the first column of each table.
func (b *bond) moved(changed []int64) {
	for i, columns := range b.byTable() {
		columns[0].moved.Add(changed[i])
	}
}

// makeBondIndexes makes an index on each column of a bond that has none: a value is looked for in all of them, by us and by the server.
func (r *run) makeBondIndexes(ctx context.Context) error {
	for _, t := range r.tables {
		for _, c := range t.columns {
			if c.bond == nil || c.indexed {
				continue
			}
			if err := r.concurrently(ctx, t, c, pgx.Identifier{t.bondIndex(c)}.Sanitize(), c.sql()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *table) bondIndex(c *column) string {
	return fmt.Sprintf("sallyport_bond_%d_%d", t.oid, c.number)
}

// dropBondIndexes removes them.
func (r *run) dropBondIndexes(ctx context.Context) error {
	for _, t := range r.tables {
		for _, c := range t.columns {
			if c.bond == nil {
				continue
			}
			if err := r.dropIndex(ctx, c, pgx.Identifier{t.Schema, t.bondIndex(c)}.Sanitize()); err != nil {
				return err
			}
		}
	}
	return nil
}
