package purpose

import (
	"context"
	"fmt"
	"time"

	"sallyport/catalog"
)

// Holds tells whether the rows of a table (schema.table) that have a key are there and all hold a stored text in a column, in
// committed state. What cannot be found out is no.
func (r *Resolver) Holds(ctx context.Context, table, key, value, column, stored string) bool {
	sql, protected, ok := holdsQuery(r.catalog(), table, key, column)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout+time.Second)
	defer cancel()
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return false
	}
	defer conn.Release()
	var b batch
	b.add(sql, value, textArray(r.forms(protected, stored)))
	results, err := b.run(ctx, conn.Conn())
	return err == nil && len(results) == 1 && len(results[0].Rows) == 1 && string(results[0].Rows[0][0]) == "t"
}

func holdsQuery(s *catalog.Snapshot, table, key, column string) (sql string, protected *catalog.Protected, ok bool) {
	t, err := newColumns(s, table, "t")
	if err != nil {
		return "", nil, false
	}
	sql = fmt.Sprintf("SELECT coalesce(pg_catalog.bool_and(%s OPERATOR(pg_catalog.=) ANY ($2::pg_catalog.text[])), false) FROM %s t WHERE %s", t.text(column), t.relation.SQL, t.is(key, 1))
	return sql, t.find(column).Protected, t.err == nil
}

// Held is what the one row of a table (schema.table) that has a key holds in a column, as text, in committed state; false where there
// is not exactly one, or nothing in it. What it is compared with may be a plain value, which the database must not learn.
func (r *Resolver) Held(ctx context.Context, table, key, value, column string) (stored string, ok bool) {
	t, err := newColumns(r.catalog(), table, "t")
	if err != nil {
		return "", false
	}
	sql := fmt.Sprintf("SELECT %s FROM %s t WHERE %s LIMIT 2", t.text(column), t.relation.SQL, t.is(key, 1))
	if t.err != nil {
		return "", false
	}
	row, ok := r.oneRow(ctx, sql, value)
	if !ok {
		return "", false
	}
	return string(row[0]), true
}

// HeldApart is Held of an integer or a uuid on its way, read together with what the database says of the row.
func (r *Resolver) HeldApart(ctx context.Context, table, key, value, column string) (Apart, bool) {
	s := r.catalog()
	t, err := newColumns(s, table, "t0")
	if err != nil || r.options.Apart == nil {
		return Apart{}, false
	}
	p := t.find(column).Protected
	stands, ok := s.Stands(p)
	sql := fmt.Sprintf("SELECT %s, %s FROM %s t0 WHERE %s LIMIT 2", t.text(column), stands.How, t.relation.SQL, t.is(key, 1))
	if t.err != nil || !ok {
		return Apart{}, false
	}
	row, ok := r.oneRow(ctx, sql, value)
	if !ok || row[1] == nil {
		return Apart{}, false
	}
	return r.options.Apart(p, string(row[0]), string(row[1]))
}

// HeldPlain is Held of a column that is not protected any more, and tells what cannot be found out from what is not there.
func (r *Resolver) HeldPlain(ctx context.Context, table, key, value, column string) (stored string, found bool, err error) {
	t, err := newColumns(r.catalog(), table, "t")
	if err != nil {
		return "", false, err
	}
	sql := fmt.Sprintf("SELECT %s FROM %s t WHERE %s LIMIT 2", t.text(column), t.relation.SQL, t.is(key, 1))
	if t.err != nil {
		return "", false, t.err
	}
	rows, err := r.rowsOf(ctx, sql, value)
	if err != nil || len(rows) != 1 || rows[0][0] == nil {
		return "", false, err
	}
	return string(rows[0][0]), true, nil
}

// oneRow is the only row that a query finds; false where there is not exactly one, or nothing in its first field.
func (r *Resolver) oneRow(ctx context.Context, sql, value string) ([][]byte, bool) {
	rows, err := r.rowsOf(ctx, sql, value)
	if err != nil || len(rows) != 1 || rows[0][0] == nil {
		return nil, false
	}
	return rows[0], true
}

// rowsOf are the rows that a query finds.
func (r *Resolver) rowsOf(ctx context.Context, sql, value string) ([][][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout+time.Second)
	defer cancel()
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	var b batch
	b.add(sql, value)
	results, err := b.run(ctx, conn.Conn())
	if err != nil || len(results) != 1 {
		return nil, err
	}
	return results[0].Rows, nil
}
