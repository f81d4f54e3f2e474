package config

import (
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/policy"
	"sallyport/staff"
)

// World is what policies can speak of: the columns and the people of the configuration.
func (c *Config) World() *policy.World {
	if c.Roster != nil {
		return c.worldOf(c.Roster)
	}
	return c.worldOf(staff.NewState().Roster(c.Own(), c.Rules(), time.Time{}))
}

// worldOf is what policies can speak of when everybody is where a roster says.
func (c *Config) worldOf(roster *staff.Roster) *policy.World {
	w := &policy.World{Roles: Roles(), Teams: c.teams()}
	for _, team := range roster.Teams() {
		if !slices.Contains(w.Teams, team) {
			w.Teams = append(w.Teams, team)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(roster.People)) {
		p := roster.People[id]
		w.Staff = append(w.Staff, policy.Member{ID: id, Team: p.Place.Team, Role: p.Place.Role, Manager: p.Manager, Employment: p.Employment, Firm: p.Firm})
	}
	for _, id := range slices.Sorted(maps.Keys(c.Services)) {
		w.Services = append(w.Services, policy.Service{ID: sallyport.Staff(id), Team: c.Services[id].Team, Owner: sallyport.Staff(c.Services[id].Owner)})
	}
	copiers := c.Copiers()
	columns := map[string]catalog.ColumnConfig{}
	for _, more := range []map[string][]sallyport.Staff{copiers.Configured, copiers.Attesters} {
		for name := range more {
			columns[name] = catalog.ColumnConfig{}
		}
	}
	for table, path := range c.Protect.Paths {
		column, _, _ := strings.Cut(path, "->")
		columns[table+"."+strings.TrimSpace(column)] = catalog.ColumnConfig{}
	}
	maps.Copy(columns, c.Protect.Columns)
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		if column, ok := policy.ParseColumn(name); ok {
			w.Columns = append(w.Columns, policy.Column{Column: column, Class: columns[name].Class, Scheme: columns[name].Scheme})
		}
	}
	return w
}

// PolicyFolder is where the policies stand; empty: the program's own hold.
func (c *Config) PolicyFolder() string {
	if c.Policies == "" {
		return ""
	}
	return c.Path(c.Policies)
}

// WantedColumns are the columns of a name or a class; all where nothing is named.
func (c *Config) WantedColumns(about string) (out []sallyport.Column, err error) {
	var known []string
	for _, column := range c.World().Columns {
		if about == "" || about == column.String() || about == string(column.Class) {
			out = append(out, column.Column)
		}
		known = append(known, column.String(), string(column.Class))
	}
	if len(out) == 0 {
		return nil, Usagef("no column or class %q; expected %s", about, OneOf(about, known))
	}
	return out, nil
}
