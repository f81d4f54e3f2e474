package serve

import (
	"context"
	"crypto/rand"
	"errors"

	"sallyport/catalog"
	"sallyport/vault"
)

// openVault opens the vault where a column has one, and gives up where the database has none.
func (g *guard) openVault(ctx context.Context) error {
	wanted := false
	for _, c := range g.s.O.Config.Protect.Columns {
		wanted = wanted || c.Overflow == catalog.Vault
	}
	if !wanted || g.s.O.Observe != nil {
		return nil
	}
	v, err := vault.Open(g.reader, rand.Reader) //nolint:contextcheck // its connections outlive this call
	if err != nil {
		return &hopeless{err}
	}
	if err := v.Ready(ctx); err != nil && !(errors.Is(err, vault.ErrMissing) && !g.vaults()) {
		v.Close()
		if errors.Is(err, vault.ErrMissing) {
			return &hopeless{err}
		}
		return err
	}
	g.vault = v
	return nil
}

// vaults tells whether a column that has a vault is no longer plain: protect makes the vault before that.
func (g *guard) vaults() bool {
	states := g.states()
	for name, c := range g.s.O.Config.Protect.Columns {
		if c.Overflow == catalog.Vault && states[name] != catalog.Plain && states[name] != catalog.Parted {
			return true
		}
	}
	return false
}

// awaitVault says what is missing of the vault, once it is needed.
func (g *guard) awaitVault(ctx context.Context) error {
	if g.vault == nil || !g.vaults() {
		return nil
	}
	return g.vault.Ready(ctx)
}
