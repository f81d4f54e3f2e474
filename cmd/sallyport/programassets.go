package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
	"sallyport/policy"
	"sallyport/program"
)

func (m *Main) programAssetsCommand() *cobra.Command {
	var f programFlags
	cmd := &cobra.Command{
		Use:   "assets",
		Short: "List what holds personal data: who answers for it, where copies are, who can read it, when that was reviewed",
		Long: `Each table with protected or masked columns, the database that they stand in, and every other database that the configuration names (program.assets) or that stands
on the same server. A database that nothing protects is shown as such, first. Copies are what the record has of replication and of COPY, grants that hold, and outputs of
the record. Who can read is what today's policies ever permit, whatever the moment.
` + howReports + `

Exit status 0: nothing is missing; 1: something is (no protection, owner, grade, or review); 2: wrong usage.`,
		Example: "  sallyport program assets --as s051\n  sallyport program assets --config sallyport.yaml --data /tmp/copy --key-file key.txt --json",
		Args:    exactly(0, ""),
	}
	f.add(m, cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return m.programReport(cmd, &f, &api.ReportQuestion{Report: "assets"}, func(found json.RawMessage) error {
			list, err := readReport[[]program.Asset](found)
			if err != nil {
				return err
			}
			if f.json {
				err = printJSON(m.Stdout, list)
			} else {
				err = m.printAssets(list)
			}
			if err == nil && slices.ContainsFunc(list, func(a program.Asset) bool { return len(a.Lacks) > 0 }) {
				return errFound
			}
			return err
		})
	}
	return cmd
}

func (m *Main) printAssets(list []program.Asset) error {
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ASSET\tKIND\tPROTECTION\tGRADE\tOWNER\tCOLUMNS\tREAD BY\tREVIEWED\tMISSING")
	for i := range list {
		a := &list[i]
		people, reviewed := 0, ""
		for _, r := range a.Reach {
			people += r.People
		}
		if a.Reviewed != nil {
			reviewed = a.Reviewed.At.Format(time.DateOnly)
		}
		protection := a.Protection
		if protection == program.NoProtection {
			protection = "NONE"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", printable(a.Name), a.Kind, protection, a.Criticality, printable(a.Owner), len(a.Columns), people, reviewed, strings.Join(a.Lacks, "; "))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	for i := range list {
		for _, c := range list[i].Copies {
			how := "as tokens"
			if c.Plain {
				how = "in plain"
			}
			fmt.Fprintf(m.Stdout, "%s: %s, %s, %s%s\n", printable(list[i].Name), c.What, printable(c.Where), how, copyWhen(&c))
		}
	}
	return nil
}

func copyWhen(c *program.Copy) string {
	var b strings.Builder
	if c.Who != "" {
		fmt.Fprintf(&b, ", by %s", c.Who)
	}
	if c.Times > 0 {
		fmt.Fprintf(&b, ", %d times, last on %s (entry %d)", c.Times, c.Last.Format(time.DateOnly), c.Entry)
	}
	if !c.Until.IsZero() {
		fmt.Fprintf(&b, ", until %s", c.Until.Format(time.RFC3339))
	}
	return b.String()
}

// assets are all of them, with what the record says of each.
func (r *programRecord) assets(ctx context.Context, days int) ([]program.Asset, error) {
	copies := program.NewCopying(r.now.AddDate(0, 0, -days), r.now)
	if err := r.accesses(ctx, copies.Access); err != nil {
		return nil, err
	}
	tables := map[string]*program.Asset{}
	r.protected(tables)
	r.reach(tables)
	for name, a := range tables {
		a.Copies = append(copies.Of(name), r.grantsOn(name)...)
		a.Reviewed = program.LastReview(r.book.Reviews(), name)
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
		if known, ok := r.config.Program.Assets[a.Name]; ok {
			a.Owner, a.Criticality = known.Owner, known.Criticality
		}
		for _, name := range slices.Sorted(maps.Keys(r.config.Program.Assets)) {
			if known := r.config.Program.Assets[name]; known.CopyOf == a.Name {
				a.Copies = append(a.Copies, program.Copy{What: "database", Where: name + " at " + cmp.Or(known.Where, "an unknown place"), Plain: known.ProtectedBy == ""})
			}
		}
		for j := range a.Copies {
			if who := a.Copies[j].Who; who != "" {
				a.Copies[j].Who = sallyport.Staff(r.call(who))
			}
		}
		a.Complete(r.now)
	}
	program.SortAssets(list)
	return list, nil
}

// protected are the tables that hold protected or masked columns.
func (r *programRecord) protected(tables map[string]*program.Asset) {
	into, out := r.state.Moving(r.config.Upstream.Database)
	moving := slices.Concat(into, out)
	table := func(column, protection string) *program.Asset {
		c, ok := policy.ParseColumn(column)
		if !ok {
			return nil
		}
		name := c.Schema + "." + c.Table
		if tables[name] == nil {
			tables[name] = &program.Asset{Name: name, Kind: "table", Where: r.config.Upstream.Database, Protection: protection}
		}
		tables[name].Columns = append(tables[name].Columns, column)
		return tables[name]
	}
	for column, c := range r.config.Protect.Columns {
		if a := table(column, program.ProtectedAsset); a != nil {
			a.Classes = append(a.Classes, string(c.Class))
			if slices.Contains(moving, column) {
				a.Protection = program.MovingAsset
			}
		}
	}
	for column := range r.config.Mask.Columns {
		table(column, program.MaskedAsset)
	}
}

// readers are those who may ever read a column of each table in plain, by today's policies.
func (r *programRecord) readers() map[string]map[sallyport.Staff]bool {
	may := map[string]map[sallyport.Staff]bool{}
	for _, a := range r.set.WhoCan(policy.ActionReveal) {
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
func (r *programRecord) reach(tables map[string]*program.Asset) {
	may := r.readers()
	for name, a := range tables {
		groups := map[[2]string]*program.Reach{}
		for who := range may[name] {
			p, ok := r.roster.People[who]
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
func (r *programRecord) grantsOn(table string) (out []program.Copy) {
	names := func(columns []string) bool {
		return slices.ContainsFunc(columns, func(c string) bool { return strings.HasPrefix(c, table+".") })
	}
	for _, g := range r.state.Grants() {
		if g.Status == control.GrantActive && r.now.Before(g.Until) && names(g.Terms.Columns) {
			out = append(out, program.Copy{What: "grant", Where: g.ID, Who: g.Terms.For, Plain: true, Until: g.Until})
		}
	}
	for _, g := range r.config.Grants.Standing {
		if r.now.Before(g.Until) && names(g.Columns) {
			out = append(out, program.Copy{What: "grant", Where: g.ID + " of the configuration", Who: g.For, Plain: true, Until: g.Until})
		}
	}
	return out
}

// databases are the one that serve stands before, and all others that are known.
func (r *programRecord) databases(ctx context.Context, copies *program.Copying, tables map[string]*program.Asset) ([]program.Asset, error) {
	own := program.Asset{Name: cmp.Or(r.config.Upstream.Database, "every database of the server"), Kind: "database", Where: r.config.Upstream.Address, Protection: program.NoProtection, Copies: copies.Of("")}
	if len(tables) > 0 {
		own.Protection = program.ProtectedAsset
		if !r.config.Protects() {
			own.Protection = program.MaskedAsset
		}
	}
	for _, o := range r.config.Export {
		own.Copies = append(own.Copies, program.Copy{What: "export", Where: "the record, to " + o.Name})
	}
	list := []program.Asset{own}
	seen := map[string]bool{own.Name: true}
	for _, name := range slices.Sorted(maps.Keys(r.config.Program.Assets)) {
		known := r.config.Program.Assets[name]
		if tables[name] != nil || seen[name] {
			continue
		}
		a := program.Asset{Name: name, Kind: "database", Where: known.Where, Protection: program.NoProtection}
		if known.ProtectedBy != "" {
			a.Protection = program.ElsewhereAsset
		}
		list, seen[name] = append(list, a), true
	}
	if r.beside == nil {
		return list, nil
	}
	others, err := r.beside(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range others {
		if !seen[name] {
			list = append(list, program.Asset{Name: name, Kind: "database", Where: r.config.Upstream.Address, Protection: program.NoProtection})
		}
	}
	return list, nil
}

// otherDatabases asks the server for its other databases that anybody can connect to.
func (s *Server) otherDatabases(ctx context.Context) (names []string, err error) {
	conn, err := s.asReader(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the server for its databases: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	rows, err := conn.Query(ctx, "SELECT datname::text FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate AND datname <> current_database() AND datname <> 'postgres' ORDER BY 1")
	if err != nil {
		return nil, fmt.Errorf("ask the server for its databases: %w", err)
	}
	if names, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("ask the server for its databases: %w", err)
	}
	return names, nil
}
