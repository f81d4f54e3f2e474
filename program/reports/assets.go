package reports

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"sallyport"
	"sallyport/control"
	"sallyport/policy"
	"sallyport/program"
)

// assets are all of them, with what the record says of each.
func (r *Record) assets(ctx context.Context, days int) ([]program.Asset, error) {
	copies := program.NewCopying(r.Now.AddDate(0, 0, -days), r.Now)
	if err := r.accesses(ctx, copies.Access); err != nil {
		return nil, err
	}
	tables := map[string]*program.Asset{}
	r.protected(tables)
	r.reach(tables)
	for name, a := range tables {
		a.Copies = append(copies.Of(name), r.grantsOn(name)...)
		a.Reviewed = program.LastReview(r.Book.Reviews(), name)
	}
	list := []program.Asset{}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		list = append(list, *tables[name])
	}
	beyond, err := r.databases(ctx, copies, tables)
	if err != nil {
		return nil, err
	}
	list = append(list, beyond...)
	for i := range list {
		a := &list[i]
		if known, ok := r.Config.Program.Assets[a.Name]; ok {
			a.Owner, a.Criticality = known.Owner, known.Criticality
		}
		for _, name := range slices.Sorted(maps.Keys(r.Config.Program.Assets)) {
			if known := r.Config.Program.Assets[name]; known.CopyOf == a.Name {
				a.Copies = append(a.Copies, program.Copy{What: "database", Where: name + " at " + cmp.Or(known.Where, "an unknown place"), Plain: known.ProtectedBy == ""})
			}
		}
		for j := range a.Copies {
			if who := a.Copies[j].Who; who != "" {
				a.Copies[j].Who = sallyport.Staff(r.Call(who))
			}
		}
		a.Complete(r.Now)
	}
	program.SortAssets(list)
	return list, nil
}

// protected are the tables that hold protected or masked columns.
func (r *Record) protected(tables map[string]*program.Asset) {
	into, out := r.State.Moving(r.Config.Upstream.Database)
	moving := slices.Concat(into, out)
	table := func(column, protection string) *program.Asset {
		c, ok := policy.ParseColumn(column)
		if !ok {
			return nil
		}
		name := c.Schema + "." + c.Table
		if tables[name] == nil {
			tables[name] = &program.Asset{Name: name, Kind: "table", Where: r.Config.Upstream.Database, Protection: protection}
		}
		tables[name].Columns = append(tables[name].Columns, column)
		return tables[name]
	}
	for column, c := range r.Config.Protect.Columns {
		if a := table(column, program.ProtectedAsset); a != nil {
			a.Classes = append(a.Classes, string(c.Class))
			if slices.Contains(moving, column) {
				a.Protection = program.MovingAsset
			}
		}
	}
	for column := range r.Config.Mask.Columns {
		table(column, program.MaskedAsset)
	}
}

// readers are those who may ever read a column of each table in plain, by today's policies.
func (r *Record) readers() map[string]map[sallyport.Staff]bool {
	may := map[string]map[sallyport.Staff]bool{}
	for _, a := range r.Set.WhoCan(policy.ActionReveal) {
		if len(a.Ways) == 0 || a.Service || slices.ContainsFunc(a.Unless, func(w policy.Way) bool { return w.If == "" && w.Respond == policy.Refuse }) {
			continue
		}
		table := a.Column.Schema + "." + a.Column.Table
		if may[table] == nil {
			may[table] = map[sallyport.Staff]bool{}
		}
		for _, who := range a.Who {
			may[table][who] = true
		}
	}
	return may
}

// reach counts them by team and role.
func (r *Record) reach(tables map[string]*program.Asset) {
	may := r.readers()
	for name, a := range tables {
		groups := map[[2]string]*program.Reach{}
		for who := range may[name] {
			p, ok := r.Roster.People[who]
			if !ok || p.Employment == "left" {
				continue
			}
			key := [2]string{p.Place.Team, p.Place.Role}
			if groups[key] == nil {
				groups[key] = &program.Reach{Team: key[0], Role: key[1]}
			}
			groups[key].People++
			if p.Firm != "" {
				groups[key].Firms++
			}
		}
		for _, key := range slices.SortedFunc(maps.Keys(groups), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
			a.Reach = append(a.Reach, *groups[key])
		}
	}
}

// grantsOn are grants that hold now and name a column of a table.
func (r *Record) grantsOn(table string) (out []program.Copy) {
	names := func(columns []string) bool {
		return slices.ContainsFunc(columns, func(c string) bool { return strings.HasPrefix(c, table+".") })
	}
	for _, g := range r.State.Grants() {
		if g.Status == control.GrantActive && r.Now.Before(g.Until) && names(g.Terms.Columns) {
			out = append(out, program.Copy{What: "grant", Where: g.ID, Who: g.Terms.For, Plain: true, Until: g.Until})
		}
	}
	for _, g := range r.Config.Grants.Standing {
		if r.Now.Before(g.Until) && names(g.Columns) {
			out = append(out, program.Copy{What: "grant", Where: g.ID + " of the configuration", Who: g.For, Plain: true, Until: g.Until})
		}
	}
	return out
}

// databases are the one that serve stands before, and all others that are known.
func (r *Record) databases(ctx context.Context, copies *program.Copying, tables map[string]*program.Asset) ([]program.Asset, error) {
	own := program.Asset{Name: cmp.Or(r.Config.Upstream.Database, "every database of the server"), Kind: "database", Where: r.Config.Upstream.Address, Protection: program.NoProtection, Copies: copies.Of("")}
	if len(tables) > 0 {
		own.Protection = program.ProtectedAsset
		if !r.Config.Protects() {
			own.Protection = program.MaskedAsset
		}
	}
	for _, o := range r.Config.Export {
		own.Copies = append(own.Copies, program.Copy{What: "export", Where: "the record, to " + o.Name})
	}
	list := []program.Asset{own}
	seen := map[string]bool{own.Name: true}
	for _, name := range slices.Sorted(maps.Keys(r.Config.Program.Assets)) {
		known := r.Config.Program.Assets[name]
		if tables[name] != nil || seen[name] {
			continue
		}
		a := program.Asset{Name: name, Kind: "database", Where: known.Where, Protection: program.NoProtection}
		if known.ProtectedBy != "" {
			a.Protection = program.ElsewhereAsset
		}
		list, seen[name] = append(list, a), true
	}
	if r.Beside == nil {
		return list, nil
	}
	others, err := r.Beside(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range others {
		if !seen[name] {
			list = append(list, program.Asset{Name: name, Kind: "database", Where: r.Config.Upstream.Address, Protection: program.NoProtection})
		}
	}
	return list, nil
}
