package serve

import (
	"context"
	"maps"
	"slices"
	"strings"

	"sallyport/api"
	"sallyport/policy"
)

// holdings answers what is protected, and who may ever see what.
func (s *Server) holdings() func(context.Context) api.Holdings {
	if !s.O.Config.Guards() {
		return nil
	}
	return func(ctx context.Context) api.Holdings {
		c := s.O.Config
		h := api.Holdings{Database: c.Upstream.Database, Customers: c.Protect.Customer.Table, Tables: s.dataTables(ctx), Drift: []api.DataDrift{}, Reach: s.reach()}
		if key := c.Protect.Customer.Key; key != "" {
			h.Customers += " (" + key + ")"
		}
		s.mu.Lock()
		g := s.guard
		s.mu.Unlock()
		if g == nil || g.catalog == nil {
			h.Missing = "The database is not served here, so nobody compares it with the configuration."
			return h
		}
		for _, p := range g.catalog.Snapshot().Drift {
			h.Drift = append(h.Drift, api.DataDrift{Where: p.Path, What: p.Text})
		}
		return h
	}
}

// tablesShown answers how far columns are; nil where nothing is protected.
func (s *Server) tablesShown() func(context.Context) []api.DataTable {
	if !s.O.Config.Guards() {
		return nil
	}
	return s.dataTables
}

// dataTables are the protected and the masked columns, by table.
func (s *Server) dataTables(ctx context.Context) []api.DataTable {
	c := s.O.Config
	protected, known := s.State.Protects(c.Upstream.Database)
	moving, leaving := s.State.Moving(c.Upstream.Database)
	through := s.movedShares(ctx, len(moving)+len(leaving) > 0)
	byTable := map[string][]api.DataColumn{}
	add := func(name string, column api.DataColumn) {
		at := strings.LastIndexByte(name, '.')
		column.Column = name[at+1:]
		byTable[name[:at]] = append(byTable[name[:at]], column)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Protect.Columns)) {
		x := c.Protect.Columns[name]
		state := "protected"
		_, begun := protected[name]
		switch {
		case slices.Contains(leaving, name):
			state = "moving out"
		case slices.Contains(moving, name):
			state = "moving in"
		case !begun && (known || s.O.MovingIn):
			state = "plain"
		}
		group := x.Group
		if group == "" {
			group = string(x.Scheme)
		}
		column := api.DataColumn{Class: string(x.Class), Scheme: string(x.Scheme), Group: group, State: state}
		if share, ok := through[name[:strings.LastIndexByte(name, '.')]]; ok && strings.HasPrefix(state, "moving") {
			column.Moved = &share
		}
		add(name, column)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Mask.Columns)) {
		add(name, api.DataColumn{State: "masked"})
	}
	tables := []api.DataTable{}
	for _, name := range slices.Sorted(maps.Keys(byTable)) {
		path := c.Protect.Paths[name]
		if name == c.Protect.Customer.Table {
			path = c.Protect.Customer.Key
		}
		tables = append(tables, api.DataTable{Table: name, Path: path, Columns: byTable[name]})
	}
	return tables
}

// mostInGroup is how many of a group are told by name.
const mostInGroup = 12

// reach is who may ever see which column in plain, as 'policy who-can reveal' has it.
func (s *Server) reach() []api.Reach {
	out := []api.Reach{}
	set := s.policies.current()
	if set == nil {
		return out
	}
	roster := s.staffing.now()
	ways := func(list []policy.Way) []api.ReachWay {
		out := []api.ReachWay{}
		for _, w := range list {
			out = append(out, api.ReachWay{Policy: w.Policy, If: w.If})
		}
		return out
	}
	classes := s.O.Config.Classes()
	for _, a := range set.WhoCan(policy.ActionReveal) {
		x := api.Reach{Roles: []string{}, Count: len(a.Who), Service: a.Service, Column: a.Column.String(), Class: classes[a.Column.String()], Ways: ways(a.Ways), Unless: ways(a.Unless)}
		x.Who = a.Who[:min(len(a.Who), mostInGroup)]
		for _, who := range a.Who {
			if role := roster.People[who].Place.Role; role != "" && !slices.Contains(x.Roles, role) {
				x.Roles = append(x.Roles, role)
			}
		}
		slices.Sort(x.Roles)
		out = append(out, x)
	}
	return out
}
