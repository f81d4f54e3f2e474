package protect

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"sallyport/token"
	"sallyport/vault"
)

// connectVault opens a connection for the vault, where a column has one.
func (r *run) connectVault(ctx context.Context, config *pgx.ConnConfig) (err error) {
	wanted := false
	for _, c := range r.Columns {
		wanted = wanted || c.Overflow != nil
	}
	if !wanted {
		return nil
	}
	config = config.Copy()
	config.RuntimeParams["synchronous_commit"] = "on"
	if r.keeper, err = pgx.ConnectConfig(ctx, config); err != nil {
		return fmt.Errorf("connect to the database to protect: %w", err)
	}
	r.vault = vault.Over(r.keeper, r.Random)
	return nil
}

// exchanges appends what takes the place of a stored text: its token, or of a token its value.
type exchanges func(dst []byte, c *column, stored []byte) ([]byte, error)

// exchanging is what a run does.
func (r *run) exchanging(ctx context.Context) exchanges {
	if r.out {
		return func(dst []byte, c *column, tok []byte) ([]byte, error) { return r.reveal(ctx, dst, c, tok) }
	}
	return func(dst []byte, c *column, value []byte) ([]byte, error) { return r.tokenise(ctx, dst, c, value) }
}

// pretend makes tokens for an estimate, and keeps nothing.
func (r *run) pretend(dst []byte, c *column, value []byte) ([]byte, error) {
	made, err := c.codec.Tokenise(dst, value, r.Random)
	if c.over == nil || !errors.Is(err, token.ErrDomain) || errors.Is(err, token.ErrAlreadyToken) {
		return made, err
	}
	return c.overflowing(dst, value, r.Random)
}

// tokenise appends the token of a value. What its scheme has none for is kept in the vault first, where the column has one.
func (r *run) tokenise(ctx context.Context, dst []byte, c *column, value []byte) ([]byte, error) {
	made, err := c.codec.Tokenise(dst, value, r.Random)
	if c.over == nil || !errors.Is(err, token.ErrDomain) || errors.Is(err, token.ErrAlreadyToken) {
		return made, err
	}
	tok, _, err := r.vault.Keep(ctx, c.over, value)
	return append(dst, tok...), err
}

// reveal appends the value of a token, from the vault where it is kept there.
func (r *run) reveal(ctx context.Context, dst []byte, c *column, tok []byte) ([]byte, error) {
	if r.stays(c, tok) {
		return append(dst, tok...), nil
	}
	if c.over == nil || !c.codec.Overflowed(tok) {
		return c.codec.Reveal(dst, tok)
	}
	return r.vault.Reveal(ctx, c.over, dst, tok)
}

// stays tells whether a token stands for nothing, since a customer was shredded: it stays as it is, on the way in and on the way out.
func (r *run) stays(c *column, tok []byte) bool {
	return r.Dead != nil && r.Dead(r.Columns[c.index], string(tok))
}

// overflowing appends a token as long as that of a value which the vault would keep, without keeping it.
func (c *column) overflowing(dst, value []byte, random io.Reader) ([]byte, error) {
	if _, err := c.over.Canonical(nil, value); err != nil {
		return dst, err
	}
	return c.over.New(dst, random)
}
