package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/grant"
	"sallyport/serve"
)

// requestFlags are what is asked for.
type requestFlags struct {
	classes, only         []string
	team, service, reason string
	customers             int
	lasts                 time.Duration
}

func (f *requestFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.classes, "class", nil, "all columns of this `CLASS`: identity, contact, content, reference; may be given several times")
	flags.IntVar(&f.customers, "customers", 0, "for how many customers at most, as a `NUMBER`")
	flags.StringVar(&f.reason, "reason", "", "why, as `TEXT` for the record and for who approves")
}

func (f *requestFlags) request(columns []string) (api.GrantRequest, error) {
	q := api.GrantRequest{
		For: sallyport.Staff(f.service), Columns: columns, Classes: f.classes, Customers: f.customers, Team: f.team, Minutes: int(f.lasts / time.Minute), Reason: f.reason,
	}
	for _, id := range f.only {
		q.Only = append(q.Only, sallyport.Subject(id))
	}
	if q.Customers == 0 {
		q.Customers = len(q.Only)
	}
	switch {
	case len(columns)+len(f.classes) == 0:
		return q, config.Usagef("nothing to see; expected COLUMN…, as schema.table.column, or --class contact")
	case q.Customers <= 0:
		return q, config.Usagef("no customers; expected --customers 5, the most that you need, or --customer ID for each")
	case q.Minutes <= 0:
		return q, config.Usagef("no time; expected --for 4h, as long as you need it")
	case strings.TrimSpace(f.reason) == "":
		return q, config.Usagef("no reason; expected --reason 'what for'")
	}
	return q, nil
}

func (m *Main) requestCommand() *cobra.Command {
	var f requestFlags
	cmd := &cobra.Command{
		Use:   "request COLUMN...",
		Short: "Ask to see columns of some customers for a while, beyond what your tickets cover",
		Long: `Asks for a grant. Who must approve it is for grants.rules of the configuration to say; nobody approves his own. Once it is approved, say it as your reason:

  SET sallyport.purpose = 'grant:gr-k3x7q2mzpa';

It ends by itself, when its time is over or so many customers were seen. What was seen under it is reported to those who approved it.`,
		Example: `  sallyport request support.customers.email --customers 20 --for 4h --reason 'tell who was hit by INC-311' --as s017
  sallyport request --class contact --customer 48211 --customer 48214 --for 2h --reason 'wrong bills of March' --as s017
  sallyport request --class contact --tickets-of support-eu --customers 30 --for 8h --reason 'cover for a colleague' --as s017`,
		Args: cobra.ArbitraryArgs,
	}
	f.add(cmd)
	cmd.Flags().StringArrayVar(&f.only, "customer", nil, "of this customer (`ID`) and the others named, and of nobody else")
	cmd.Flags().StringVar(&f.team, "tickets-of", "", "of customers of this `TEAM`'s open tickets, and of nobody else")
	cmd.Flags().StringVar(&f.service, "service", "", "for this program (`ID`), not for yourself")
	cmd.Flags().DurationVar(&f.lasts, "for", 0, "how long, from the last approval on, such as 4h")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, cf *controlFlags) error {
		q, err := f.request(args)
		if err != nil {
			return err
		}
		g, err := c.RequestGrant(cmd.Context(), q)
		if err != nil {
			return err
		}
		if cf.json {
			return printJSON(m.Stdout, g)
		}
		return printLine(m.Stdout, "%s: you ask for %s; usually %s.\nIt takes %s, who read it with: sallyport grants show %s", g.ID, serve.Several(int64(g.Asked), "customer"), usually(g.Usual), g.Needs, g.ID)
	})
}

func (m *Main) breakGlassCommand() *cobra.Command {
	var f requestFlags
	cmd := &cobra.Command{
		Use:   "break-glass INCIDENT [COLUMN...]",
		Short: "See a few customers at once, alone, for an incident that has a name",
		Long: fmt.Sprintf(`For when nobody is there to approve. At most %d customers, at most %d hours. Everybody who oversees access is told with
whatever command he uses next, and the webhook is. Somebody else must review it within a day (sallyport grants review), or you are suspended; until then
you cannot break it again. It takes a confirmation (sallyport confirm) that is at most %d minutes old.`, grant.GlassCustomers, grant.GlassMinutes/60, grant.GlassFresh),
		Example: "  sallyport confirm --as s017\n  sallyport break-glass INC-311 --class contact --customers 5 --reason 'wrong number is being called, nobody on duty' --as s017",
		Args:    cobra.MinimumNArgs(0),
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&f.lasts, "for", time.Hour, "how long, such as 1h")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, cf *controlFlags) error {
		if len(args) == 0 {
			return config.Usagef("no incident; expected its name or number, as in 'sallyport break-glass INC-311 …'")
		}
		q, err := f.request(args[1:])
		if err != nil {
			return err
		}
		q.Incident = args[0]
		g, err := c.BreakGlass(cmd.Context(), q)
		if err != nil {
			return err
		}
		if cf.json {
			return printJSON(m.Stdout, g)
		}
		return printLine(m.Stdout, "%s: until %s, %s. Everybody who oversees access is told.\nSay it as your reason: SET sallyport.purpose = 'grant:%s';\nSomebody else must review it until %s, or you are suspended.",
			g.ID, g.Until.Format(time.RFC3339), serve.Several(int64(g.Asked), "customer"), g.ID, g.Review.Until.Format(time.RFC3339))
	})
}

// usually says in words what somebody needs.
func usually(u sallyport.Usual) string {
	if u.Days == 0 {
		return "none in 30 days"
	}
	return fmt.Sprintf("%d a day, %d at most (on %s of 30)", u.Median, u.Most, serve.Several(int64(u.Days), "day"))
}

// decideGrant approves or declines a request, after its text.
func (m *Main) decideGrant(ctx context.Context, c *api.Client, f *controlFlags, id, reason string, approve bool) error {
	g, err := c.Grant(ctx, id)
	if err != nil {
		return err
	}
	decide := c.ApproveGrant
	if !approve {
		decide = func(ctx context.Context, id string) (api.Grant, error) { return c.DeclineGrant(ctx, id, reason) }
	}
	if !f.json {
		if err := m.printGrant(&g); err != nil {
			return err
		}
	}
	if g, err = decide(ctx, id); err != nil {
		return err
	}
	if f.json {
		return printJSON(m.Stdout, g)
	}
	for _, v := range g.Votes {
		if v.Note != "" && string(v.By) == f.as {
			if err := printLine(m.Stdout, "Notice: %s.", v.Note); err != nil {
				return err
			}
		}
	}
	switch g.Status {
	case "asked":
		return printLine(m.Stdout, "%s: approved by you; it takes %s.", g.ID, g.Needs)
	case "active":
		return printLine(m.Stdout, "%s is active until %s.", g.ID, g.Until.Format(time.RFC3339))
	}
	return printLine(m.Stdout, "%s is %s.", g.ID, g.Status)
}

// printGrant writes the text that an approval is about: the two figures first.
func (m *Main) printGrant(g *api.Grant) error {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-22s"+format+"\n", append([]any{what}, args...)...)
	}
	whose := "any"
	switch {
	case len(g.Only) > 0:
		whose = "only " + serve.Printable(joined(g.Only))
	case g.Team != "":
		whose = "only those of open tickets of " + serve.Printable(g.Team)
	}
	line("customers asked for", "%d (%s)", g.Asked, whose)
	line("usually needs", "%s", usually(g.Usual))
	if g.Others > 0 {
		line("by other grants", "%d customers in 30 days", g.Others)
	}
	line("id", "%s, %s", g.ID, g.Status)
	line("for", "%s, asked by %s at %s", g.For, g.By, g.At.Format(time.RFC3339))
	line("columns", "%s", strings.Join(g.Columns, ", "))
	line("how long", "%s", time.Duration(g.Minutes)*time.Minute)
	if g.Incident != "" {
		line("incident", "%s", serve.Printable(g.Incident))
	}
	line("why", "%s", serve.Printable(g.Reason))
	if g.Needs != "" {
		line("takes", "%s (rule %s)", g.Needs, serve.Printable(g.Rule))
	}
	for _, v := range g.Votes {
		line("approved", "by %s for %s at %s%s", v.By, strings.Join(v.Groups, ", "), v.At.Format(time.RFC3339), lineWords(v.Line))
		if v.Note != "" {
			line("notice", "%s", serve.Printable(v.Note))
		}
	}
	m.grantCourse(g, line)
	_, err := io.WriteString(m.Stdout, b.String())
	return err
}

// grantCourse is what became of a grant.
func (m *Main) grantCourse(g *api.Grant, line func(what, format string, args ...any)) {
	if !g.Since.IsZero() {
		line("holds", "from %s until %s", g.Since.Format(time.RFC3339), g.Until.Format(time.RFC3339))
	}
	if !g.Ended.IsZero() {
		by := string(g.EndedBy)
		if by == "" {
			by = "Sallyport"
		}
		line("ended", "%s by %s: %s", g.Ended.Format(time.RFC3339), by, serve.Printable(g.EndedFor))
	}
	if u := g.Use; u != nil {
		line("seen", "%d customers, %d values, in %s of %s", u.Customers, u.Values, serve.Several(int64(u.Statements), "statement"), serve.Several(int64(u.Sessions), "session"))
		if !u.First.IsZero() {
			line("", "from %s to %s: %s", u.First.Format(time.RFC3339), u.Last.Format(time.RFC3339), strings.Join(u.Columns, ", "))
		}
	}
	switch r := g.Review; {
	case r == nil:
	case r.By != "":
		line("review", "%s, by %s at %s: %s", r.Finding, r.By, r.At.Format(time.RFC3339), serve.Printable(r.Text))
	case r.Overdue:
		line("review", "nobody did until %s; %s is suspended", r.Until.Format(time.RFC3339), g.By)
	default:
		line("review", "due until %s: sallyport grants review %s --finding justified|misused --reason …", r.Until.Format(time.RFC3339), g.ID)
	}
}

func lineWords(l sallyport.Line) string {
	switch l {
	case sallyport.Above:
		return ", whom he reports to"
	case sallyport.Below:
		return ", who reports to him"
	case sallyport.SameTeam:
		return ", of his own team"
	case sallyport.Outside:
	}
	return ""
}

func joined(list []sallyport.Subject) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}
