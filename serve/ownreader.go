package serve

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/config"
	"sallyport/entrance"
	"sallyport/protect"
)

// isMarked tells whether the configured database is one that protect began with, as its owner sees it.
func isMarked(c *config.Config, ctx context.Context, owner string) (bool, error) {
	conn, err := pgx.Connect(ctx, c.OwnerDSN(owner))
	if err != nil {
		return false, errors.New("connect as the tables' owner: nobody answers, or he is not let in") // the error might quote the address
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	_, marked, err := protect.ReadMark(ctx, conn)
	return marked, err
}

// ownReader refuses to give the reader's role another password where it is there already, with one that is not the file's, and this
// database is not protected yet: then it is the reader of another database of this server, whose gateway would be locked out.
func ownReader(c *config.Config, ctx context.Context, owner string) error {
	conn, err := pgx.Connect(ctx, c.OwnerDSN(owner))
	if err != nil {
		return nil //nolint:nilerr // protect tells of it, with its hint
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	_, marked, err := protect.ReadMark(ctx, conn)
	if err != nil || marked {
		return nil //nolint:nilerr // likewise; and a reader whose file was lost gets a new password
	}
	there := false
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", c.Upstream.Reader.User).Scan(&there); err != nil {
		return fmt.Errorf("look for the role of upstream.reader: %w", err)
	}
	if !there {
		return nil
	}
	server, err := c.Server(config.Place{})
	if err != nil {
		return err
	}
	reader, err := entrance.Reader(c, server)
	if err != nil {
		return err
	}
	own, err := pgx.ConnectConfig(ctx, reader)
	if err == nil {
		return own.Close(ctx)
	}
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == "28P01" {
		return config.Usagef("the role %s is there already, with another password than the one in %s: it is the reader of another database of this server, which could not be served any more. "+
			"Bring that gateway's password file here, or expected another role in upstream.reader.user", reader.User, c.Path(c.Upstream.Reader.PasswordFile))
	}
	return nil // what else there is about the way to the server, serve tells
}

// asReader connects to the database as the role that only reads.
func (s *Server) asReader(ctx context.Context) (*pgx.Conn, error) {
	s.mu.Lock()
	g := s.guard
	s.mu.Unlock()
	if g == nil || g.reader == nil {
		return nil, errors.New("it is not served yet")
	}
	return pgx.ConnectConfig(ctx, g.reader)
}
