package protect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sallyport"
)

// Vacancy is a value that is about to be written into a column which is moving, and which is unique or bound to others by foreign keys.
type Vacancy struct {
	Column  sallyport.Column
	Becomes string   // the text by which it is written
	Forms   []string // others by which it may stand there
	Key     string   // name of the column that pins the row which is written; empty: none does
	Except  string   // what stands in it
	Backend uint32   // the process behind whoever writes

	// Bound are the columns that foreign keys hold equal, with Column among them: the value changes in all of them, in the row that is written
	// too. Empty: there are none.
	Bound []Bound
}

// Bound is a column of a Vacancy.
type Bound struct {
	Column sallyport.Column
	Kind   string // its type, as SQL writes it
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
		"application_name": "sallyport", "search_path": "", "lock_timeout": vacancyPatience, "row_security": "off", "statement_timeout": "5s", "datestyle": "ISO, YMD", "timezone": "UTC",
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
	sql, args := v.sql()
	_, err := conn.Exec(ctx, sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...) // literals of no type become the column's
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "23505" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("settle a value of %s: %w", v.Column, withoutValues(err))
	}
	return nil
}

// sql changes the rows of one table, or those of all whose columns are bound, by one statement: then every foreign key holds when it ends.
func (v *Vacancy) sql() (string, []any) {
	if len(v.Bound) == 0 {
		column := pgx.Identifier{v.Column.Name}.Sanitize()
		sql := fmt.Sprintf("UPDATE %s SET %s = $1 WHERE %s = ANY ($2)", pgx.Identifier{v.Column.Schema, v.Column.Table}.Sanitize(), column, column)
		if v.Key == "" {
			return sql, []any{v.Becomes, v.Forms}
		}
		return sql + " AND " + pgx.Identifier{v.Key}.Sanitize() + "::pg_catalog.text IS DISTINCT FROM $3", []any{v.Becomes, v.Forms, v.Except}
	}
	tables := map[string][]string{}
	for _, b := range v.Bound {
		table, column := pgx.Identifier{b.Column.Schema, b.Column.Table}.Sanitize(), pgx.Identifier{b.Column.Name}.Sanitize()
		tables[table] = append(tables[table], fmt.Sprintf("%s %s ANY ($2::%s[])", column, equals(b.Kind), b.Kind), column)
	}
	var updates []string
	for i, table := range slices.Sorted(maps.Keys(tables)) {
		var sets, where []string
		for pair := range slices.Chunk(tables[table], 2) {
			sets = append(sets, fmt.Sprintf("%s = CASE WHEN %s THEN $1 ELSE %s END", pair[1], pair[0], pair[1]))
			where = append(where, pair[0])
		}
		updates = append(updates, fmt.Sprintf("t%d AS (UPDATE %s SET %s WHERE %s)", i, table, strings.Join(sets, ", "), strings.Join(where, " OR ")))
	}
	return "WITH " + strings.Join(updates, ", ") + " SELECT 1", []any{v.Becomes, v.Forms}
}
