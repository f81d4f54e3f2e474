package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Hidden are those of some tables whose row security hides rows from a role that is not their owner, unless it passes: then what a reason
// covers, and what is left of an older key, would be missed. passes tells whether the role does; one that is not there does not.
func Hidden(ctx context.Context, conn Querier, role string, tables []Table) (hidden []string, passes bool, err error) {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.String()
	}
	rows, err := conn.Query(ctx, `SELECT DISTINCT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relrowsecurity AND n.nspname || '.' || c.relname = ANY ($1::text[]) ORDER BY 1`, names)
	if err != nil {
		return nil, false, fmt.Errorf("look for row security: %w", withoutValues(err))
	}
	if hidden, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, false, fmt.Errorf("look for row security: %w", withoutValues(err))
	}
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 AND (rolsuper OR rolbypassrls))", role).Scan(&passes); err != nil {
		return nil, false, fmt.Errorf("look for row security: %w", withoutValues(err))
	}
	return hidden, passes, nil
}

// Querier is a connection or a transaction that Hidden asks.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// PassSQL lets a role pass row security: it sees all rows of the tables that it may read. A superuser runs it.
func PassSQL(role string) string {
	return "ALTER ROLE " + pgx.Identifier{role}.Sanitize() + " BYPASSRLS"
}

// passRowSecurity has the reader see all rows of its tables. Policies speak of people; which of its values one may read is the purpose's
// business, and the reader has to know the customer's rows for that.
func passRowSecurity(ctx context.Context, tx pgx.Tx, role string, tables []Table) error {
	hidden, passes, err := Hidden(ctx, tx, role, slices.Clone(tables))
	if err != nil || passes || len(hidden) == 0 {
		return err
	}
	_, err = tx.Exec(ctx, PassSQL(role))
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "42501" {
		return fmt.Errorf("let the role %s see the rows that row security hides in %s: only a superuser may; let one run %s; and run this again", role, strings.Join(hidden, ", "), PassSQL(role))
	}
	if err != nil {
		return fmt.Errorf("let the role %s see the rows that row security hides: %w", role, withoutValues(err))
	}
	return nil
}
