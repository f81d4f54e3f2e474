package throwaway

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
)

// definitions is what a database is made of besides rows: one line of text each.
const definitions = `
SELECT attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || coalesce(' ' || pg_get_expr(adbin, adrelid), '') || ' ' || attnotnull AS line
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND relnamespace IN (TABLE mine)
UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace IN (TABLE mine)
UNION ALL SELECT pg_get_indexdef(oid) FROM pg_class WHERE relkind IN ('i', 'I') AND relnamespace IN (TABLE mine)
UNION ALL SELECT oid::regclass || ' ' || pg_get_viewdef(oid) FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace IN (TABLE mine)
UNION ALL SELECT oid::regclass || ' ' || relacl::text FROM pg_class WHERE relacl IS NOT NULL AND relnamespace IN (TABLE mine)
UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE prokind IN ('f', 'p') AND pronamespace IN (TABLE mine)
UNION ALL SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND relnamespace IN (TABLE mine)
UNION ALL SELECT schemaname || '.' || sequencename || ' ' || coalesce(last_value, 0) FROM pg_sequences
UNION ALL SELECT polrelid::regclass || ' ' || polname || coalesce(' ' || pg_get_expr(polqual, polrelid), '') || coalesce(' ' || pg_get_expr(polwithcheck, polrelid), '') FROM pg_policy
UNION ALL SELECT objoid || ' ' || description FROM pg_description WHERE objoid >= 16384
UNION ALL SELECT loid || ' ' || pageno || ' ' || encode(data, 'escape') FROM pg_largeobject`

const mine = `WITH mine AS (SELECT oid FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%')`

// Dump is everything that a database holds, as text: definitions, and the rows of each table behind the COPY that reads them.
// It is for tests that look for what must not be there or compare before with after, and needs no client program: pg_dump
// refuses servers that are newer than itself.
func Dump(ctx context.Context, dsn string) (string, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", fmt.Errorf("dump database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return "", fmt.Errorf("dump database: %w", err)
	}
	lines, err := column(ctx, tx, mine+"SELECT line FROM ("+definitions+") AS all_lines ORDER BY line COLLATE \"C\"")
	if err != nil {
		return "", err
	}
	tables, err := column(ctx, tx, mine+`SELECT quote_ident(nspname) || '.' || quote_ident(relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE (relkind = 'r' OR relkind = 'm' AND relispopulated) AND relnamespace IN (TABLE mine) ORDER BY 1`)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintln(&b, strings.Join(lines, "\n"))
	for _, table := range tables {
		fmt.Fprintf(&b, "COPY %s\n", table)
		if err := copyOut(ctx, tx, &b, table); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func column(ctx context.Context, tx pgx.Tx, query string) ([]string, error) {
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("dump database: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("dump database: %w", err)
	}
	return list, nil
}

func copyOut(ctx context.Context, tx pgx.Tx, w io.Writer, table string) error {
	if _, err := tx.Conn().PgConn().CopyTo(ctx, w, "COPY (SELECT * FROM "+table+") TO STDOUT"); err != nil {
		return fmt.Errorf("dump %s: %w", table, err)
	}
	return nil
}
