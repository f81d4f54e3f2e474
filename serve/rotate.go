package serve

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/config"
	"sallyport/protect"
)

// LetReaderRenew grants the reader's role what renewing tokens of a group takes.
func LetReaderRenew(c *config.Config, ctx context.Context, owner, group string) error {
	columns := c.GroupColumns(group)
	if len(columns) == 0 {
		return config.Usagef("no column is of the join group %q; expected %s", group, config.OneOf(group, c.Groups()))
	}
	config, err := pgx.ParseConfig(c.OwnerDSN(owner))
	if err != nil {
		return errors.New("connect as the tables' owner: its address is malformed") // the error might quote the password
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect as the tables' owner: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // whatever was granted is committed
	for _, sql := range renewGrants(c, columns) {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("let the reader change the columns of %s: %w", group, err)
		}
	}
	return protect.Prepare(ctx, conn, c.Upstream.Reader.User, c.Turns(group))
}

// renewGrants are the statements that let the reader change columns.
func renewGrants(c *config.Config, columns []sallyport.Column) []string {
	var grants []string
	for _, column := range columns {
		grants = append(grants, fmt.Sprintf("GRANT SELECT, UPDATE (%s) ON %s TO %s", pgx.Identifier{column.Name}.Sanitize(),
			pgx.Identifier{column.Schema, column.Table}.Sanitize(), pgx.Identifier{c.Upstream.Reader.User}.Sanitize()))
	}
	return grants
}
