package serve

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"sallyport/config"
	"sallyport/protect"
)

// LetReaderShred grants the reader's role what shredding takes.
func LetReaderShred(c *config.Config, ctx context.Context, owner string) error {
	ring, err := c.FormRing()
	if err != nil {
		return err
	}
	columns, err := c.Codecs(ring)
	if err != nil {
		return err
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
	for _, sql := range protect.ShredGrants(columns, c.Upstream.Reader.User) {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("let the reader shred: %w", err)
		}
	}
	return nil
}
