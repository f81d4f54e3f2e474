package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"sallyport"
	"sallyport/catalog"
	"sallyport/keys"
	"sallyport/token"
)

// OwnGroupsOf are the join groups of a table's columns whose values have keys of their own.
func (c *Config) OwnGroupsOf(table catalog.Table) (groups []string) {
	for _, group := range c.OwnGroups() {
		if slices.ContainsFunc(c.GroupColumns(group), func(of sallyport.Column) bool { return of.Schema == table.Schema && of.Table == table.Name }) {
			groups = append(groups, group)
		}
	}
	return groups
}

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

// GroupColumns are the protected columns of a join group, in order.
func (c *Config) GroupColumns(group string) []sallyport.Column {
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

// GroupOf is the join group of a protected column.
func (c *Config) GroupOf(name string) string {
	settings := c.Protect.Columns[name]
	return cmp.Or(settings.Group, string(settings.Scheme))
}

// NeedsKeyFile tells whether keys are opened by a file that the command line names.
func (c *Config) NeedsKeyFile() bool {
	return c.Keys.Provider == "" || c.Keys.Provider == keys.AgeProvider
}

// Groups are the join groups of the protected columns.
func (c *Config) Groups() []string {
	groups := map[string]bool{}
	for _, settings := range c.Protect.Columns {
		if settings.Group == "" {
			settings.Group = string(settings.Scheme)
		}
		groups[settings.Group] = true
	}
	return slices.Sorted(maps.Keys(groups))
}

// OwnGroups are the join groups of columns whose values have keys of their own.
func (c *Config) OwnGroups() []string {
	groups := map[string]bool{}
	for _, settings := range c.Protect.Columns {
		if settings.Shred != "" {
			groups[cmp.Or(settings.Group, string(settings.Scheme))] = true
		}
	}
	return slices.Sorted(maps.Keys(groups))
}

// Ring makes the token ring of this configuration.
func (c *Config) Ring(secrets token.Keys) (*token.Ring, error) {
	return token.NewKeyedRing(secrets, token.Settings{EmailDomain: c.Protect.EmailDomain})
}

// checkKeys holds the section keys to sense.
func (c *Config) checkKeys(r *Document) {
	if err := keys.CheckProvider(c.Keys.Provider); err != nil {
		r.problemAt("keys.provider", "%s", innermost(err))
	}
	if c.Keys.Rate < 0 {
		r.problemAt("keys.rate", "a rate below 0; expected rows a second, or 0 for %d", UsualRate)
	}
	if c.Keys.BackupDays < 0 {
		r.problemAt("keys.backup_days", "a number below 0; expected days, or 0 to say nothing")
	}
	if !strings.HasPrefix(c.Keys.Provider, "vault:") && (c.Keys.TokenFile != "" || c.Keys.CA != "") {
		r.problemAt("keys", "token_file and ca are a Vault's; expected provider: vault://HOST:PORT/transit/KEY")
	}
}

// UsualRate is how many rows a second a rotation writes where nothing is said.
const UsualRate = 2000
