package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport/purpose/source"
)

// SourceOptions are what a source of the configuration is opened with.
func (c *Config) SourceOptions(name, data string) source.Options {
	kinds := c.Purposes.UsedBy(name)
	return source.Options{
		Path: c.Path, Secret: ReadSecretFile, Folder: filepath.Join(data, "purposes"), Kinds: kinds, Now: time.Now,
		Live: func(state string) bool {
			return slices.ContainsFunc(kinds, func(kind string) bool { k := c.Purposes.Kinds[kind]; return k.Holds(kind, state) })
		},
	}
}

// checkOutside holds sources to the rest of the configuration.
func (c *Config) checkOutside(r *Document) {
	c.checkNames(r)
	named := c.Listing().Named
	found, who := c.Purposes.CheckNames(named)
	for i, path := range found {
		r.problemAt("purposes."+path, "this is a name of %s, whose own word would count for him; expected the name of a program", who[i])
	}
	for name, s := range c.Purposes.Sources {
		if s.SQL.DSN != "" && c.isProtected(s.SQL.DSN) {
			r.problemAt("purposes.sources."+name+".sql.dsn", "this is the protected database, which people write: nothing would say who made a reason there; expected purposes.ticket and purposes.contact for its tables")
		}
	}
	if listen := c.Purposes.Webhooks.Listen; listen != "" {
		checkAddress(r, "purposes.webhooks.listen", listen)
		if c.Purposes.Webhooks.Certificate == "" && !loopback(listen) {
			r.problemAt("purposes.webhooks.listen", "%s is no loopback address; expected webhooks.certificate and key", listen)
		}
	}
}

// checkNames holds names in other systems to one owner each: small and capital letters are the same there.
func (c *Config) checkNames(r *Document) {
	owner := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(c.People)) {
		for _, name := range slices.Concat([]string{id}, c.People[id].Logins) {
			owner[strings.ToLower(name)] = id
		}
	}
	for id, s := range c.Services {
		for _, name := range slices.Concat([]string{id}, s.Logins) {
			owner[strings.ToLower(name)] = id
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.People)) {
		for i, name := range c.People[id].KnownAs {
			first, taken := owner[strings.ToLower(name)]
			switch {
			case strings.TrimSpace(name) == "":
				r.problemAt(fmt.Sprintf("people.%s.known_as[%d]", id, i), "an empty name; expected what another system calls this person")
			case taken && first != id:
				r.problemAt(fmt.Sprintf("people.%s.known_as[%d]", id, i), "%q is %s already; expected one owner for each name", name, first)
			}
			owner[strings.ToLower(name)] = id
		}
	}
}

// isProtected tells whether an address is that of the protected database, or of Sallyport in front of it.
func (c *Config) isProtected(dsn string) bool {
	u, err := url.Parse(dsn)
	if err != nil || strings.Trim(u.Path, "/") != c.Upstream.Database {
		return false
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = u.Query().Get("host")
	}
	if port == "" {
		port = "5432"
	}
	for _, address := range []string{c.Upstream.Address, c.Listen} {
		at, err := ParsePlace(address)
		if err != nil {
			continue
		}
		if at.Network == "unix" {
			if host != "" && strings.HasPrefix(at.Address, host+"/") {
				return true
			}
			continue
		}
		if h, p, err := net.SplitHostPort(at.Address); err == nil && p == port && (strings.EqualFold(h, host) || loopback(net.JoinHostPort(h, p)) && loopback(net.JoinHostPort(host, port))) {
			return true
		}
	}
	return false
}
