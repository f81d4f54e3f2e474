package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/catalog"
	"sallyport/keys"
	"sallyport/token"
)

// Keys says who wraps the key that wraps all others. The zero value is the age identity in the file of --key-file.
type Keys struct {
	// Provider is age; quorum: shares that several people bring together; vault://HOST:PORT/transit/KEY (HashiCorp Vault or OpenBao, over TLS), or a cloud's key service as
	// gocloud.dev/secrets names it: awskms://…, gcpkms://…, azurekeyvault://…. Empty: age.
	Provider string `yaml:"provider"`

	// TokenFile holds the Vault's token in one line; mode 0600. Empty: the environment's VAULT_TOKEN.
	TokenFile string `yaml:"token_file"`

	// CA signs the Vault's certificate, PEM. Empty: the system's authorities.
	CA string `yaml:"ca"`

	// Rate is how many rows a second at most get new tokens after a rotation. 0: 2000.
	Rate int `yaml:"rate"`

	// BackupDays is for how many days backups of the database and of the keys are kept: so long what was shredded can be read with them, which
	// 'sallyport keys shred --list' then says with the date. 0: it is not said.
	BackupDays int `yaml:"backup_days"`

	// Tenant is whose keys they are where several share a ring. Empty: main.
	Tenant string `yaml:"tenant"`
}

// vaultVariable may hold the Vault's token.
const vaultVariable = "VAULT_TOKEN"

// keyring says where the keys of a data folder are and who opens them.
type keyring struct {
	data, keyFile string
	getenv        func(string) string // nil: nothing is set
	clock         func() time.Time
	assembly      *keys.Assembly  // of a quorum
	fresh         []string        // groups without a token yet
	reads         bool            // no tokens are made
	known         *sallyport.Ring // as the record knows it; nil: it knows none
}

// openKeys opens the ring with a key for each join group of the configuration; with mayMake it makes what is missing.
func (c *Config) openKeys(ctx context.Context, where keyring, mayMake bool) (*keys.Keyring, error) {
	provider, err := c.keyProvider(ctx, where)
	if err != nil {
		return nil, err
	}
	o := keys.Options{Dir: where.data, Provider: provider, Tenant: c.Keys.Tenant, Groups: c.groups(), Make: mayMake, Fresh: where.fresh, Now: where.clock, Known: where.known}
	if !where.reads {
		o.Own = c.ownGroups()
	}
	return keys.Open(ctx, o)
}

// makeKeys makes the ring, under the secret of a quorum where there is one.
func (c *Config) makeKeys(ctx context.Context, where keyring, split *keys.Split) (*keys.Keyring, error) {
	if split == nil {
		return c.openKeys(ctx, where, true)
	}
	return keys.Open(ctx, keys.Options{Dir: where.data, Provider: split, Tenant: c.Keys.Tenant, Groups: c.groups(), Own: c.ownGroups(), Make: true, Now: where.clock, Known: where.known})
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

// keyProvider is who opens the keys of the data folder.
func (c *Config) keyProvider(ctx context.Context, where keyring) (keys.Provider, error) {
	choice := keys.Choice{Provider: c.Keys.Provider, Dir: where.data, KeyFile: where.keyFile, CA: c.path(c.Keys.CA), Assembly: where.assembly}
	switch {
	case c.Keys.TokenFile != "":
		var err error
		if choice.Token, err = readSecretFile(c.path(c.Keys.TokenFile)); err != nil {
			return nil, fmt.Errorf("read the Vault's token: %w", err)
		}
	case where.getenv != nil:
		choice.Token = where.getenv(vaultVariable)
	}
	return keys.Choose(ctx, choice)
}

// keyring says where this serve's keys are.
func (s *Server) keyring() keyring {
	return keyring{data: s.o.Data, keyFile: s.o.KeyFile, getenv: s.o.Getenv, clock: s.o.Clock, assembly: s.shares.assembly(), fresh: s.fresh(), known: s.state.Ring()}
}

// fresh are the join groups of which no column is protected yet, by the record.
func (s *Server) fresh() []string {
	config := s.o.Config
	set, known := s.state.Protects(config.Upstream.Database)
	if !known && !s.o.MovingIn {
		return nil // the record knows the database by no name: its columns may be protected
	}
	return slices.DeleteFunc(config.groups(), func(group string) bool {
		return slices.ContainsFunc(config.groupColumns(group), func(c sallyport.Column) bool { _, begun := set[c.String()]; return begun })
	})
}

// groupColumns are the protected columns of a join group, in order.
func (c *Config) groupColumns(group string) []sallyport.Column {
	var columns []sallyport.Column
	for _, name := range slices.Sorted(maps.Keys(c.Protect.Columns)) {
		settings := c.Protect.Columns[name]
		if settings.Group == "" {
			settings.Group = string(settings.Scheme)
		}
		if column, ok := catalog.ParseColumn(name); ok && settings.Group == group {
			columns = append(columns, column)
		}
	}
	return columns
}

// groupOf is the join group of a protected column.
func (c *Config) groupOf(name string) string {
	settings := c.Protect.Columns[name]
	return cmp.Or(settings.Group, string(settings.Scheme))
}

// needsKeyFile tells whether keys are opened by a file that the command line names.
func (c *Config) needsKeyFile() bool {
	return c.Keys.Provider == "" || c.Keys.Provider == keys.AgeProvider
}

// groups are the join groups of the protected columns.
func (c *Config) groups() []string {
	groups := map[string]bool{}
	for _, settings := range c.Protect.Columns {
		if settings.Group == "" {
			settings.Group = string(settings.Scheme)
		}
		groups[settings.Group] = true
	}
	return slices.Sorted(maps.Keys(groups))
}

// ownGroups are the join groups of columns whose values have keys of their own.
func (c *Config) ownGroups() []string {
	groups := map[string]bool{}
	for _, settings := range c.Protect.Columns {
		if settings.Shred != "" {
			groups[cmp.Or(settings.Group, string(settings.Scheme))] = true
		}
	}
	return slices.Sorted(maps.Keys(groups))
}

// ring makes the token ring of this configuration.
func (c *Config) ring(secrets token.Keys) (*token.Ring, error) {
	return token.NewKeyedRing(secrets, token.Settings{EmailDomain: c.Protect.EmailDomain})
}

// checkKeys holds the section keys to sense.
func (c *Config) checkKeys(r *configReader) {
	if err := keys.CheckProvider(c.Keys.Provider); err != nil {
		r.problemAt("keys.provider", "%s", innermost(err))
	}
	if c.Keys.Rate < 0 {
		r.problemAt("keys.rate", "a rate below 0; expected rows a second, or 0 for %d", usualRate)
	}
	if c.Keys.BackupDays < 0 {
		r.problemAt("keys.backup_days", "a number below 0; expected days, or 0 to say nothing")
	}
	if !strings.HasPrefix(c.Keys.Provider, "vault:") && (c.Keys.TokenFile != "" || c.Keys.CA != "") {
		r.problemAt("keys", "token_file and ca are a Vault's; expected provider: vault://HOST:PORT/transit/KEY")
	}
}
