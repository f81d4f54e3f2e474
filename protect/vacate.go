package protect

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sallyport"
)

// Vacancy is a value that is about to be written into a unique column which is moving.
type Vacancy struct {
	Column  sallyport.Column
	Becomes string   // the text by which it is written
	Forms   []string // others by which it may stand there
	Key     string   // name of the column that pins the row which is written; empty: none does
	Except  string   // what stands in it
	Backend uint32   // the process behind whoever writes
}

// vacancyPatience is how long a row that somebody else has locked is waited for.
const vacancyPatience = "1s"

// MoverPool prepares the reader's connections on which Vacate writes. It does not connect yet.
func MoverPool(reader *pgx.ConnConfig) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(reader.ConnString())
	if err != nil {
		return nil, errors.New("prepare the mover's connections: their address is malformed")
	}
	config.ConnConfig = reader.Copy()
	params := maps.Clone(config.ConnConfig.RuntimeParams)
	if params == nil {
		params = map[string]string{}
	}
	maps.Copy(params, map[string]string{
		"application_name": "sallyport", "search_path": "", "lock_timeout": vacancyPatience, "row_security": "off", "statement_timeout": "5s", "datestyle": "ISO, YMD",
	})
	config.ConnConfig.RuntimeParams = params
	config.MaxConns, config.MinConns = 2, 0
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("prepare the mover's connections: %w", withoutValues(err))
	}
	return pool, nil
}

// Vacate changes the rows that hold a value in another form than the one in which it is about to be written, so that the unique index tells
// the two for one. Where both forms stand there already, there is nothing to do: the index knows one of them.
func Vacate(ctx context.Context, conn Writing, v Vacancy) error {
	column := pgx.Identifier{v.Column.Name}.Sanitize()
	sql := fmt.Sprintf("UPDATE %s SET %s = $1 WHERE %s = ANY ($2)", pgx.Identifier{v.Column.Schema, v.Column.Table}.Sanitize(), column, column)
	args := []any{pgx.QueryExecModeSimpleProtocol, v.Becomes, v.Forms} // literals of no type become the column's
	if v.Key != "" {
		sql += " AND " + pgx.Identifier{v.Key}.Sanitize() + "::pg_catalog.text IS DISTINCT FROM $3"
		args = append(args, v.Except)
	}
	_, err := conn.Exec(ctx, sql, args...)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "23505" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("settle a value of %s: %w", v.Column, withoutValues(err))
	}
	return nil
}
