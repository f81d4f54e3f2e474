package config

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"sallyport/exposure"
)

// SharedBudgets are those of all who have something in common, by its name; "*" stands for each that has none of its own there. What
// is not known of somebody (device, country, purpose, application) has the name unknown.
type SharedBudgets struct {
	Team        map[string]exposure.Budget `yaml:"team"`        // of people and services
	Service     map[string]exposure.Budget `yaml:"service"`     // of what it reads itself, and for people
	Application map[string]exposure.Budget `yaml:"application"` // by the application_name that a client gives; those that are not named are one, others
	Device      map[string]exposure.Budget `yaml:"device"`      // by the client's certificate: the first DNS name in it, or its key
	Country     map[string]exposure.Budget `yaml:"country"`     // by the file networks
	Purpose     map[string]exposure.Budget `yaml:"purpose"`     // by its kind: ticket, work, call, job
}

// everyOther is the name of a budget that holds for whoever has none of his own.
const everyOther = "*"

// of are the budgets of one scope.
func (s *SharedBudgets) of(scope exposure.Scope) map[string]exposure.Budget {
	switch scope {
	case exposure.Team:
		return s.Team
	case exposure.Service:
		return s.Service
	case exposure.Application:
		return s.Application
	case exposure.Device:
		return s.Device
	case exposure.Country:
		return s.Country
	case exposure.Purpose:
		return s.Purpose
	case exposure.Person, exposure.GrantScope:
	}
	return nil
}

// any tells whether there are some.
func (s *SharedBudgets) any() bool {
	return slices.ContainsFunc(exposure.Scopes(), func(scope exposure.Scope) bool { return len(s.of(scope)) > 0 })
}

// Shared answers for the gateway; nil: nobody shares a budget.
func (c *Config) Shared() func(exposure.Scope, string) (exposure.Budget, bool) {
	s := &c.Budgets.Shared
	if !s.any() {
		return nil
	}
	return func(scope exposure.Scope, name string) (exposure.Budget, bool) {
		if _, service := c.Services[name]; scope == exposure.Service && !service {
			return exposure.Budget{}, false
		}
		all := s.of(scope)
		b, ok := all[name]
		if !ok && (scope != exposure.Application || name == exposure.Unknown || name == othersName) {
			b, ok = all[everyOther]
		}
		return b, ok
	}
}

// othersName is that of all applications that the configuration does not name.
const othersName = "others"

// checkShares holds shared budgets to names that there are.
func (c *Config) checkShares(r *Document) {
	known := map[exposure.Scope][]string{exposure.Service: slices.Sorted(maps.Keys(c.Services))}
	for _, p := range c.People {
		known[exposure.Team] = append(known[exposure.Team], p.Team)
	}
	for _, s := range c.Services {
		known[exposure.Team] = append(known[exposure.Team], s.Team)
	}
	for _, scope := range exposure.Scopes() {
		budgets := c.Budgets.Shared.of(scope)
		for _, name := range slices.Sorted(maps.Keys(budgets)) {
			path := "budgets.shared." + string(scope) + "." + name
			if names, ok := known[scope]; ok && name != everyOther && (name == "" || !slices.Contains(names, name)) {
				names = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(names))), func(s string) bool { return s == "" })
				r.problem(r.Keys[path], "there is no %s %q; expected %s, or \"*\"", scope, name, OneOf(name, names))
			}
			b := budgets[name]
			for window, n := range map[string]int{"hour": b.Hour, "day": b.Day, "month": b.Month} {
				if n < 0 {
					r.problemAt(path+"."+window, "a budget below 0; expected 1 or more, or 0 for none")
				}
			}
		}
	}
	if len(c.Budgets.Shared.Country) > 0 && c.Networks == "" {
		r.problemAt("budgets.shared.country", "nobody knows where an address is; expected networks: a CSV file of network,country")
	}
}

// atlas says in which country a network is.
type atlas struct {
	countries map[netip.Prefix]string
	lengths   [2][]int // of prefixes that there are, the longest first: of IPv4, and of IPv6
}

// mostNetworks bounds the file of networks.
const mostNetworks = 2_000_000

// atlas reads the file of networks; nil: there is none.
func (c *Config) atlas() (*atlas, error) {
	if c.Networks == "" {
		return nil, nil
	}
	path := c.Path(c.Networks)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read networks: %w", err)
	}
	defer f.Close()
	a, err := readAtlas(f)
	if err != nil {
		return nil, fmt.Errorf("read networks %s: %w", path, err)
	}
	return a, nil
}

// readAtlas reads lines of network,country, such as 10.4.0.0/16,DE. A line in front may name the columns.
func readAtlas(from io.Reader) (*atlas, error) {
	r := csv.NewReader(from)
	r.FieldsPerRecord, r.ReuseRecord, r.TrimLeadingSpace, r.Comment = 2, true, true, '#'
	a := &atlas{countries: map[netip.Prefix]string{}}
	seen := [2]map[int]bool{{}, {}}
	for first := true; ; first = false {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if first && strings.EqualFold(row[0], "network") {
			continue
		}
		line, _ := r.FieldPos(0)
		network, err := netip.ParsePrefix(row[0])
		if err != nil {
			return nil, fmt.Errorf("line %d: %q is no network; expected one such as 10.4.0.0/16", line, row[0])
		}
		country := strings.TrimSpace(row[1])
		if country == "" || len(country) > 64 {
			return nil, fmt.Errorf("line %d: no country; expected a name such as DE", line)
		}
		if len(a.countries) >= mostNetworks {
			return nil, fmt.Errorf("line %d: more than %d networks", line, mostNetworks)
		}
		a.countries[network.Masked()] = strings.Clone(country)
		seen[family(network.Addr())][network.Bits()] = true
	}
	for i := range seen {
		a.lengths[i] = slices.Sorted(maps.Keys(seen[i]))
		slices.Reverse(a.lengths[i])
	}
	return a, nil
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// country is where an address is: by the smallest network that holds it. Empty: unknown.
func (a *atlas) country(at netip.Addr) string {
	for _, bits := range a.lengths[family(at)] {
		if network, err := at.Prefix(bits); err == nil {
			if country, ok := a.countries[network]; ok {
				return country
			}
		}
	}
	return ""
}

// Whereabouts is what the gateway asks; nil: nobody knows.
func (c *Config) Whereabouts() (func(netip.Addr) string, error) {
	a, err := c.atlas()
	if a == nil || err != nil {
		return nil, err
	}
	return a.country, nil
}
