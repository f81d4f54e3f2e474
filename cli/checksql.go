package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"sallyport/catalog"
	"sallyport/config"
	"sallyport/identity"
	"sallyport/protect"
	"sallyport/serve"
)

// printSQL prints what the tables' owner or a superuser runs: the statements that help the protected columns, where somebody can look at the
// database, and what is installed for the configured reader: the notes of changes and the function through which log-ins are verified. All
// that is no comment MUST run as it is. What destroys or switches off something stands in comments, and what needs a reader that is not there
// yet is left out, with a comment that says so.
func (m *Main) printSQL(ctx context.Context, path, owner string) error {
	settings, err := config.Load(path)
	if err != nil {
		return err
	}
	role := settings.Upstream.Reader.User
	if role == "" || settings.VerifierDatabase() == "" {
		return config.Usagef("%s names nobody who would call the function; expected upstream.reader, and upstream.verifiers or upstream.database", path)
	}
	ctx, cancel := context.WithTimeout(ctx, serve.DatabaseTimeout)
	defer cancel()
	conn, err := serve.WatcherSoon(settings, ctx, owner)
	if err != nil && owner != "" {
		return err
	}
	if err == nil {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	}
	if settings.Protects() {
		if err := m.printHelp(ctx, settings, conn); err != nil {
			return err
		}
	}
	there, err := hasReader(settings, ctx, conn)
	if err != nil {
		return err
	}
	quoted := pgx.Identifier{role}.Sanitize()
	if !there {
		_, err = fmt.Fprintf(m.Stdout, "-- More stands here once there is the role %s, which 'sallyport protect' makes: run this command once more then.\n", serve.Printable(quoted))
		return err
	}
	if err := m.printPass(ctx, settings, conn); err != nil {
		return err
	}
	if err := m.printNotes(ctx, settings, conn, quoted); err != nil {
		return err
	}
	_, err = io.WriteString(m.Stdout, identity.FunctionSQL(quoted))
	return err
}

// hasReader tells whether there is a role to give something to. Where nobody can look, the mark tells whether protect has made it; without
// protection somebody else makes it, and what is printed says whom it is for.
func hasReader(c *config.Config, ctx context.Context, conn *pgx.Conn) (there bool, err error) {
	if conn != nil {
		err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", c.Upstream.Reader.User).Scan(&there)
		if err != nil {
			return false, fmt.Errorf("look for the role of upstream.reader: %w", err)
		}
		return there, nil
	}
	if !c.Protects() {
		return true, nil
	}
	server, err := c.Server(config.Place{})
	if err != nil {
		return false, err
	}
	marked, err := serve.SenseSoon(ctx, server)
	return marked || err != nil, nil // a server that cannot be asked may have it
}

// printHelp prints the statements that help.
func (m *Main) printHelp(ctx context.Context, config *config.Config, conn *pgx.Conn) error {
	if conn == nil {
		fmt.Fprintln(m.Stdout, "-- Nobody has looked at the tables: with --owner, the DSN of their owner, statements that help stand here.")
		return nil
	}
	obstacles, err := serve.Survey(config, ctx, conn)
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
	fmt.Fprintf(m.Stdout, "-- %s: %s\n", serve.Printable(o.Where), serve.Printable(o.What))
	for _, sql := range o.SQL {
		fmt.Fprintln(m.Stdout, sql)
	}
	for _, sql := range o.Never {
		fmt.Fprintln(m.Stdout, "-- "+serve.Printable(sql))
	}
	fmt.Fprintln(m.Stdout)
}

// printPass prints what has the reader see rows that row security hides from it.
func (m *Main) printPass(ctx context.Context, config *config.Config, conn *pgx.Conn) error {
	if conn == nil || !config.Protects() {
		return nil
	}
	tables, _, err := serve.HiddenRows(config, ctx, conn)
	if err != nil || len(tables) == 0 {
		return err
	}
	_, err = fmt.Fprintf(m.Stdout, "-- Run as a superuser: row security hides rows from the reader, in which reasons are looked up.\n%s;\n\n", protect.PassSQL(config.Upstream.Reader.User))
	return err
}

// printNotes prints what has a protected database note its changes, where it does not: an owner who is no superuser could not install it.
func (m *Main) printNotes(ctx context.Context, config *config.Config, conn *pgx.Conn, role string) error {
	if conn == nil || !config.Protects() {
		return nil
	}
	if _, marked, err := protect.ReadMark(ctx, conn); err != nil || !marked {
		return err // before that protect makes the notes too
	}
	noted, err := catalog.Noted(ctx, conn)
	if err != nil || noted {
		return err
	}
	_, err = fmt.Fprintln(m.Stdout, catalog.NoteSQL(role))
	return err
}
