package protect

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// StandingRow is a text of a column on its way, and what the database says of its row; empty: nothing.
type StandingRow struct{ Text, Stands string }

// Standing reads which of some texts stand in a column on its way, and in rows of which state. All but texts is SQL about a table t0 (catalog.Stands).
func Standing(ctx context.Context, pool *pgxpool.Pool, table, column, kind, how string, texts []string) ([]StandingRow, error) {
	rows, err := pool.Query(ctx, fmt.Sprintf("SELECT DISTINCT %s::pg_catalog.text, coalesce(%s, '') FROM %s t0 WHERE %s = ANY ($1::pg_catalog.text[]::%s[])", column, how, table, column, kind), texts)
	if err != nil {
		return nil, fmt.Errorf("look for values of a column on its way: %w", withoutValues(err))
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StandingRow])
	if err != nil {
		return nil, fmt.Errorf("look for values of a column on its way: %w", withoutValues(err))
	}
	return found, nil
}
