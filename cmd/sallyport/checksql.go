package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"sallyport/identity"
	"sallyport/protect"
)

// printSQL prints what the tables' owner or a superuser runs: the statements that help the protected columns, where somebody can look at the
// database, and the function through which log-ins are verified, for the configured reader alone. What destroys or switches off something
// stands in comments.
func (m *Main) printSQL(ctx context.Context, path, owner string) error {
	config, err := LoadConfig(path)
	if err != nil {
		return err
	}
	role := config.Upstream.Reader.User
	if role == "" || config.verifierDatabase() == "" {
		return usagef("%s names nobody who would call the function; expected upstream.reader, and upstream.verifiers or upstream.database", path)
	}
	if config.Protects() {
		if err := m.printHelp(ctx, config, owner); err != nil {
			return err
		}
	}
	_, err = fmt.Fprint(m.Stdout, identity.FunctionSQL(pgx.Identifier{role}.Sanitize()))
	return err
}

// printHelp prints the statements that help.
func (m *Main) printHelp(ctx context.Context, config *Config, owner string) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	conn, err := config.watcher(ctx, owner)
	if err != nil {
		if owner != "" {
			return err
		}
		fmt.Fprintln(m.Stdout, "-- Nobody has looked at the tables: with --owner, the DSN of their owner, statements that help stand here.")
		return nil
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	obstacles, err := config.survey(ctx, conn)
	if err != nil {
		return err
	}
	for _, o := range obstacles {
		m.printObstacle(o)
	}
	return nil
}

func (m *Main) printObstacle(o protect.Obstacle) {
	if len(o.SQL)+len(o.Never) == 0 {
		return
	}
	fmt.Fprintf(m.Stdout, "-- %s: %s\n", printable(o.Where), printable(o.What))
	for _, sql := range o.SQL {
		fmt.Fprintln(m.Stdout, sql)
	}
	for _, sql := range o.Never {
		fmt.Fprintln(m.Stdout, "-- "+printable(sql))
	}
	fmt.Fprintln(m.Stdout)
}
