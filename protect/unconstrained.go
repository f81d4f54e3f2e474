package protect

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Unconstrained are those of some columns into which the database would let plain values, or which hold some: no CHECK by our name was
// validated, or one was that somebody else made, and a row is not what ours would let in. Each table is read once. Where tokens have no
// form, the progress of protect counts.
func Unconstrained(ctx context.Context, conn *pgx.Conn, columns []Column) (open []string, err error) {
	var tables []Table
	held := map[Table][]Column{}
	for _, c := range columns {
		var holds bool
		if !c.Codec.Recognisable() {
			holds, err = movedWhole(ctx, conn, c.Column)
		} else {
			holds, err = constrained(ctx, conn, c)
		}
		if err != nil {
			return nil, fmt.Errorf("look how far %s is: %w", c.Column, withoutValues(err))
		}
		if !holds {
			open = append(open, c.Column.String())
		} else if c.Codec.Recognisable() {
			t := Table{c.Column.Schema, c.Column.Table}
			if held[t] == nil {
				tables = append(tables, t)
			}
			held[t] = append(held[t], c)
		}
	}
	for _, t := range tables {
		plain, err := plainIn(ctx, conn, t, held[t])
		if err != nil {
			return nil, err
		}
		open = append(open, plain...)
	}
	return open, nil
}

// constrained tells whether a column has a validated CHECK by our name.
func constrained(ctx context.Context, conn *pgx.Conn, c Column) (holds bool, err error) {
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint k
		JOIN pg_catalog.pg_class t ON t.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attname = $3 AND k.conname = 'sallyport_token_' || a.attnum
		WHERE n.nspname = $1 AND t.relname = $2 AND k.contype = 'c' AND k.convalidated AND k.conkey = ARRAY[a.attnum])`,
		c.Column.Schema, c.Column.Table, c.Column.Name).Scan(&holds)
	return holds, err
}

// plainIn are those of a table's columns that hold something plain. One reading answers for all, and the server may read with several processes, which
// it does not where the first row found would end it.
func plainIn(ctx context.Context, conn *pgx.Conn, t Table, columns []Column) (plain []string, err error) {
	outputs, conditions, found := make([]string, len(columns)), make([]string, len(columns)), make([]any, len(columns))
	for i, c := range columns {
		conditions[i] = "NOT (" + checkOf(c.Codec, pgx.Identifier{c.Column.Name}.Sanitize()) + ")"
		outputs[i] = "coalesce(pg_catalog.bool_or(" + conditions[i] + "), false)"
		found[i] = new(bool)
	}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(outputs, ", "), pgx.Identifier{t.Schema, t.Name}.Sanitize(), strings.Join(conditions, " OR "))
	if err := conn.QueryRow(ctx, sql).Scan(found...); err != nil {
		return nil, fmt.Errorf("look for plain values in %s: %w", t, withoutValues(err))
	}
	for i, c := range columns {
		if *found[i].(*bool) {
			plain = append(plain, c.Column.String())
		}
	}
	return plain, nil
}
