package serve

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"sallyport/config"
	"sallyport/entrance"
)

// WatcherSoon is watcher, in the time in which a server that is there answers.
func WatcherSoon(c *config.Config, ctx context.Context, owner string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return Watcher(c, ctx, owner)
}

// Watcher is the connection to look from.
func Watcher(c *config.Config, ctx context.Context, owner string) (*pgx.Conn, error) {
	if owner != "" {
		dsn, err := pgx.ParseConfig(owner)
		if err != nil {
			return nil, config.Usagef("no DSN that can be read; expected --owner postgres://ROLE@HOST:PORT/%s", c.Upstream.Database)
		}
		if dsn.Database != c.Upstream.Database {
			return nil, config.Usagef("--owner leads to database %q; expected %q", dsn.Database, c.Upstream.Database)
		}
		conn, err := pgx.ConnectConfig(ctx, dsn)
		if err != nil {
			return nil, fmt.Errorf("connect as the owner (password: PGPASSWORD or ~/.pgpass): %w", err)
		}
		return conn, nil
	}
	server, err := c.Server(config.Place{})
	if err != nil {
		return nil, err
	}
	reader, err := entrance.Reader(c, server)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, reader)
	if err != nil {
		return nil, fmt.Errorf("connect as %s: %w", reader.User, err)
	}
	return conn, nil
}
