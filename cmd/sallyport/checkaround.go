package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// checkAround looks for ways around the gateway as the owner or, without one, as the reader. It is asked where everything else
// is in order: before that, there is nothing to go around.
func checkAround(ctx context.Context, path, owner string, sound bool) ([]detour, error) {
	ways := []detour{}
	if !sound {
		return ways, nil
	}
	config, err := LoadConfig(path)
	if err != nil {
		return nil, err
	}
	if !config.guards() {
		return ways, nil
	}
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	conn, err := config.watcher(ctx, owner)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	a := &surroundings{config: config, conn: conn}
	found, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	return append(append(ways, found...), detour{
		Kind: "unseen", What: "sessions around the gateway and changed passwords are seen by a running serve only", Next: "Its log and its record (kind around) tell of them.",
	}), nil
}

// watcherSoon is watcher, in the time in which a server that is there answers.
func (c *Config) watcherSoon(ctx context.Context, owner string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return c.watcher(ctx, owner)
}

// watcher is the connection to look from.
func (c *Config) watcher(ctx context.Context, owner string) (*pgx.Conn, error) {
	if owner != "" {
		dsn, err := pgx.ParseConfig(owner)
		if err != nil {
			return nil, usagef("no DSN that can be read; expected --owner postgres://ROLE@HOST:PORT/%s", c.Upstream.Database)
		}
		if dsn.Database != c.Upstream.Database {
			return nil, usagef("--owner leads to database %q; expected %q", dsn.Database, c.Upstream.Database)
		}
		conn, err := pgx.ConnectConfig(ctx, dsn)
		if err != nil {
			return nil, fmt.Errorf("connect as the owner (password: PGPASSWORD or ~/.pgpass): %w", err)
		}
		return conn, nil
	}
	server, err := c.server(place{})
	if err != nil {
		return nil, err
	}
	reader, err := c.reader(server)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, reader)
	if err != nil {
		return nil, fmt.Errorf("connect as %s: %w", reader.User, err)
	}
	return conn, nil
}
