package serve

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/keys"
)

// vaultVariable may hold the Vault's token.
const vaultVariable = "VAULT_TOKEN"

// Keyring says where the keys of a data folder are and who opens them.
type Keyring struct {
	Data, KeyFile string
	Getenv        func(string) string // nil: nothing is set
	Clock         func() time.Time
	Assembly      *keys.Assembly  // of a quorum
	fresh         []string        // groups without a token yet
	Reads         bool            // no tokens are made
	Known         *sallyport.Ring // as the record knows it; nil: it knows none
}

// OpenKeys opens the ring with a key for each join group of the configuration; with mayMake it makes what is missing.
func OpenKeys(c *config.Config, ctx context.Context, where Keyring, mayMake bool) (*keys.Keyring, error) {
	provider, err := KeyProvider(c, ctx, where)
	if err != nil {
		return nil, err
	}
	o := keys.Options{Dir: where.Data, Provider: provider, Tenant: c.Keys.Tenant, Groups: c.Groups(), Make: mayMake, Fresh: where.fresh, Now: where.Clock, Known: where.Known}
	if !where.Reads {
		o.Own = c.OwnGroups()
	}
	return keys.Open(ctx, o)
}

// noteRing puts on record which keys a ring has, unless that is what stands there: from then on an older copy of it is refused.
func noteRing(orders *api.Orders, opened *keys.Keyring, now time.Time) error {
	ring, err := opened.Known()
	if err != nil {
		return err
	}
	if known := orders.State().Ring(); known != nil && reflect.DeepEqual(*known, ring) {
		return nil
	}
	return orders.Give(nil, &sallyport.Event{Time: now, Kind: sallyport.KeysSeen, Order: &sallyport.Order{Action: "keys", Ring: &ring}})
}

// KeyProvider is who opens the keys of the data folder.
func KeyProvider(c *config.Config, ctx context.Context, where Keyring) (keys.Provider, error) {
	choice := keys.Choice{Provider: c.Keys.Provider, Dir: where.Data, KeyFile: where.KeyFile, CA: c.Path(c.Keys.CA), Assembly: where.Assembly}
	switch {
	case c.Keys.TokenFile != "":
		var err error
		if choice.Token, err = config.ReadSecretFile(c.Path(c.Keys.TokenFile)); err != nil {
			return nil, fmt.Errorf("read the Vault's token: %w", err)
		}
	case where.Getenv != nil:
		choice.Token = where.Getenv(vaultVariable)
	}
	return keys.Choose(ctx, choice)
}

// keyring says where this serve's keys are.
func (s *Server) keyring() Keyring {
	return Keyring{Data: s.O.Data, KeyFile: s.O.KeyFile, Getenv: s.O.Getenv, Clock: s.O.Clock, Assembly: s.shares.assembly(), fresh: s.fresh(), Known: s.State.Ring()}
}

// fresh are the join groups of which no column is protected yet, by the record.
func (s *Server) fresh() []string {
	config := s.O.Config
	set, known := s.State.Protects(config.Upstream.Database)
	if !known && !s.O.MovingIn {
		return nil // the record knows the database by no name: its columns may be protected
	}
	return slices.DeleteFunc(config.Groups(), func(group string) bool {
		return slices.ContainsFunc(config.GroupColumns(group), func(c sallyport.Column) bool { _, begun := set[c.String()]; return begun })
	})
}
