package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/program"
	"sallyport/staff"
)

func (m *Main) programFirmsCommand() *cobra.Command {
	var f programFlags
	cmd := &cobra.Command{
		Use:   "firms",
		Short: "List outside firms: their people, when their contracts are over, and how much they saw of each client",
		Long: `A firm stands in the configuration under firms; its people say so (people.ID.firm, the column firm of a staff file). Clients are customers that belong together
(program.clients). When a contract is over its people are locked, and nothing is shown to them, without anybody doing anything.
` + howReports + `

Exit status 0: no contract is over with access left, and each has an end; 1: otherwise; 2: wrong usage.`,
		Example: "  sallyport program firms --as s051",
		Args:    exactly(0, ""),
	}
	f.add(m, cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return m.programReport(cmd, &f, &api.ReportQuestion{Report: "firms"}, func(found json.RawMessage) error {
			list, err := readReport[[]program.FirmExposure](found)
			if err != nil {
				return err
			}
			if f.json {
				err = printJSON(m.Stdout, list)
			} else {
				err = m.printFirms(list)
			}
			endless := func(x program.FirmExposure) bool { return x.Until.IsZero() }
			if err == nil && slices.ContainsFunc(list, endless) {
				return errFound
			}
			return err
		})
	}
	return cmd
}

func (m *Main) printFirms(list []program.FirmExposure) error {
	if len(list) == 0 {
		return printLine(m.Stdout, "There are no outside firms: firms in the configuration.")
	}
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIRM\tPEOPLE\tLAST DAY\tCLIENT\tWHO SAW\tCUSTOMERS\tVALUES\tDAYS\tLAST")
	for _, x := range list {
		last := "none is set"
		if !x.Until.IsZero() {
			last = dateOf(x.Until.AddDate(0, 0, -1))
		}
		if x.Over {
			last += " (over)"
		}
		if len(x.Clients) == 0 {
			fmt.Fprintf(w, "%s\t%d\t%s\t\t0\t0\t0\t0\t\n", printable(x.Firm), len(x.People), last)
		}
		for _, c := range x.Clients {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", printable(x.Firm), len(x.People), last, printable(c.Client), c.People, c.Customers, c.Values, c.Days, dateOf(c.Last))
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

func (m *Main) programFirmCommand() *cobra.Command {
	var f programFlags
	var client string
	cmd := &cobra.Command{
		Use:   "firm FIRM --client CLIENT",
		Short: "Write what an outside firm saw of one client's customers, to be handed to that client",
		Long: `It names nobody and no customer: how many people of the firm saw how many of the client's customers, which columns, for which kinds of reasons, on how many days, between
which entries of the record, and when the firm's contract is over. Whoever gets it can ask for proofs of these entries (sallyport prove).
` + howReports,
		Example: "  sallyport program firm northdesk --client acme --as s051",
		Args:    exactly(1, "FIRM --client CLIENT"),
	}
	f.add(m, cmd.Flags())
	cmd.Flags().StringVar(&client, "client", program.OtherClients, "the `CLIENT` (program.clients)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q := &api.ReportQuestion{Report: "firm", Firm: args[0], Client: client}
		return m.programReport(cmd, &f, q, func(found json.RawMessage) error {
			x, err := readReport[firmForClient](found)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(m.Stdout, x)
			}
			return m.printFirm(&x)
		})
	}
	return cmd
}

// firmForClient is what a client reads of an outside firm.
type firmForClient struct {
	Firm     string                 `json:"firm"`
	Name     string                 `json:"name"`
	Client   string                 `json:"client"`
	From     time.Time              `json:"from"`
	Until    time.Time              `json:"until"`
	Contract time.Time              `json:"contract_until,omitzero"`
	Over     bool                   `json:"over"`
	People   int                    `json:"people"` // of the firm, with access
	Seen     program.ClientExposure `json:"seen"`
	Record   string                 `json:"record"` // id of the stream in which the entries stand
}

func (m *Main) printFirm(x *firmForClient) error {
	w := m.Stdout
	fmt.Fprintf(w, "What %s saw of %s, %s until %s\n\n", printable(x.Name), printable(x.Client), dateOf(x.From), dateOf(x.Until))
	contract := "has no end that anybody set"
	if !x.Contract.IsZero() {
		contract = "ends after " + dateOf(x.Contract.AddDate(0, 0, -1))
	}
	if x.Over {
		contract = "ended after " + dateOf(x.Contract.AddDate(0, 0, -1)) + ", and with it all access"
	}
	fmt.Fprintf(w, "Its contract %s. %s of it have access.\n", contract, several(int64(x.People), "person"))
	if x.Seen.Values == 0 {
		return printLine(w, "Nothing of your customers was shown to any of them.")
	}
	fmt.Fprintf(w, "%s saw data of %s, on %s, the last time on %s.\n", several(int64(x.Seen.People), "person"), several(int64(x.Seen.Customers), "customer"), several(int64(x.Seen.Days), "day"), dateOf(x.Seen.Last))
	fmt.Fprintln(w, "\nWhat was shown:")
	for _, column := range slices.Sorted(maps.Keys(x.Seen.Columns)) {
		fmt.Fprintf(w, "  %s: %s\n", printable(column), several(int64(x.Seen.Columns[column]), "value"))
	}
	fmt.Fprintln(w, "For which reasons (results):")
	for _, reason := range slices.Sorted(maps.Keys(x.Seen.Reasons)) {
		fmt.Fprintf(w, "  %s: %d\n", printable(reason), x.Seen.Reasons[reason])
	}
	return printLine(w, "\nThis stands in the entries %d to %d of the record %s.", x.Seen.Entries[0], x.Seen.Entries[1], x.Record)
}

// outsiders are all people of outside firms.
func (r *programRecord) outsiders() (out []program.Outsider) {
	for _, who := range slices.Sorted(maps.Keys(r.roster.People)) {
		if p := r.roster.People[who]; p.Firm != "" {
			out = append(out, program.Outsider{Staff: who, Firm: p.Firm, Team: p.Place.Team, Role: p.Place.Role, Until: p.Until, Employment: p.Employment, Over: p.Over(r.now)})
		}
	}
	return out
}

// firms are what each saw, or what one saw of one client.
func (r *programRecord) firms(ctx context.Context, q *api.ReportQuestion) (any, error) {
	from := r.now.AddDate(0, 0, -q.Days)
	x := program.NewExposures(from, r.now, r.outsiders(), r.config.Program.clients())
	if err := r.accesses(ctx, x.Access); err != nil {
		return nil, err
	}
	until := map[string]time.Time{}
	for name, f := range r.config.Firms {
		until[name], _ = lastDay(f.Until) // checked when the file was read
	}
	list := x.Firms(until, r.now)
	if q.Report == "firms" {
		return append([]program.FirmExposure{}, list...), nil
	}
	i := slices.IndexFunc(list, func(f program.FirmExposure) bool { return f.Firm == q.Firm })
	if i < 0 {
		return nil, usagef("there is no firm %q; expected one of firms in the configuration", q.Firm)
	}
	if _, ok := r.config.Program.Clients[q.Client]; !ok && q.Client != program.OtherClients {
		return nil, usagef("there is no client %q; expected one of program.clients, or %s", q.Client, program.OtherClients)
	}
	f := &list[i]
	out := &firmForClient{
		Firm: f.Firm, Name: r.config.Firms[f.Firm].Name, Client: q.Client, From: from, Until: r.now, Contract: f.Until, Over: f.Over, Record: r.access.ID(),
		Seen: program.ClientExposure{Client: q.Client, Columns: map[string]int{}, Reasons: map[string]int{}},
	}
	if out.Name == "" {
		out.Name = f.Firm
	}
	for _, p := range f.People {
		if p.Employment != staff.Left {
			out.People++
		}
	}
	for _, c := range f.Clients {
		if c.Client == q.Client {
			out.Seen = c
		}
	}
	return out, nil
}

func (m *Main) programOffboardingCommand() *cobra.Command {
	var f programFlags
	cmd := &cobra.Command{
		Use:   "offboarding FIRM|STAFF",
		Short: "Show that each access of a firm's people, or of one person, has ended, and by which entry of the record",
		Long: `For each person: what his role lets him, sessions, grants, log-ins that hold, passwords and certificates and whatever else stands in the configuration. Each line says by
which entry of which stream it ended; what has not ended says what is to be done.
` + howReports + `

Exit status 0: all of it has ended; 1: something has not; 2: wrong usage.`,
		Example: "  sallyport program offboarding northdesk --as s051",
		Args:    exactly(1, "FIRM|STAFF"),
	}
	f.add(m, cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return m.programReport(cmd, &f, &api.ReportQuestion{Report: "offboarding", Firm: args[0]}, func(found json.RawMessage) error {
			list, err := readReport[[]program.Ending](found)
			if err != nil {
				return err
			}
			if f.json {
				err = printJSON(m.Stdout, list)
			} else {
				err = m.printEndings(list)
			}
			if err == nil && slices.ContainsFunc(list, func(e program.Ending) bool { return !e.Ended }) {
				return errFound
			}
			return err
		})
	}
	return cmd
}

func (m *Main) printEndings(list []program.Ending) error {
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHO\tACCESS\tWHAT\tENDED\tAT\tENTRY\tNOTE")
	for _, e := range list {
		ended, entry, at := "NO", "", ""
		if e.Ended {
			ended = "yes"
		}
		if e.Entry > 0 {
			entry = fmt.Sprintf("%s %d", e.Stream, e.Entry)
		}
		if !e.At.IsZero() {
			at = e.At.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Staff, e.Way, printable(e.What), ended, at, entry, printable(e.Note))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// offboarding is about all people of a firm, or about one person with all of his accounts.
func (r *programRecord) offboarding(ctx context.Context, of string) ([]program.Ending, error) {
	var people []sallyport.Staff
	for _, x := range r.outsiders() {
		if x.Firm == of {
			people = append(people, r.config.accountsOf(x.Staff)...)
		}
	}
	if _, known := r.roster.People[sallyport.Staff(of)]; known && len(people) == 0 {
		people = r.config.accountsOf(sallyport.Staff(of))
	}
	if len(people) == 0 {
		return nil, usagef("nobody is of a firm %q, and nobody has this id", of)
	}
	if r.asker != "" && slices.Contains(people, r.asker) {
		return nil, usagef("nobody looks into what is about himself; ask another lead or security")
	}
	slices.Sort(people)
	people = slices.Compact(people)
	o := program.NewOffboarding(people)
	if err := r.orders(ctx, o.Control); err != nil {
		return nil, err
	}
	if err := r.accesses(ctx, o.Access); err != nil {
		return nil, err
	}
	return o.Endings(r.config.held(people), func(who sallyport.Staff) bool { return r.state.Standing(who).Locked }, r.now), nil
}

// held is what of people's access stands in the configuration.
func (c *Config) held(people []sallyport.Staff) (out []program.Held) {
	for _, who := range people {
		add := func(way, what, do string) { out = append(out, program.Held{Staff: who, Way: way, What: what, Do: do}) }
		if p, ok := c.People[string(who)]; ok {
			if p.Password != "" {
				add(program.WayKey, "his password in the configuration", "take people."+string(who)+" out of it")
			}
			for _, login := range p.Logins {
				add(program.WayKey, "the database role "+login, "DROP ROLE or NOLOGIN: at the database itself nobody but it refuses him")
			}
		}
		for _, power := range slices.Sorted(maps.Keys(c.Powers)) {
			if slices.Contains(c.Powers[power], string(who)) {
				add(program.WayKey, "the power "+power, "take him out of powers."+power)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.Services)) {
			if c.Services[name].Owner == string(who) {
				add(program.WayKey, "the service "+name+", for which he answers", "give it another owner, and its secrets anew")
			}
		}
		for _, g := range c.Grants.Standing {
			if g.For == who {
				add(program.WayGrant, g.ID+" of the configuration", "take it out")
			}
		}
		for name, g := range c.Grants.Groups {
			if slices.Contains(g.People, who) {
				add(program.WayRole, "approves in the group "+name, "take him out of grants.groups."+name)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b program.Held) int {
		return strings.Compare(string(a.Staff)+a.Way+a.What, string(b.Staff)+b.Way+b.What)
	})
	return out
}
