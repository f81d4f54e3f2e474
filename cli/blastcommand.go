package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/serve"
)

func (m *Main) blastCommand() *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use:   "blast STAFF",
		Short: "Say what somebody's access came to: which customers, which fields, how surely, and what was not touched",
		Long: `STAFF is a pseudonym (p-…), as findings, trace and who-saw print it; a name where two people agreed to see it. Counts begin at
the early end of the start that detection estimates, or at --since. Customers are exposed certainly (values left in plain to him), likely (an application or another
system's log says so, or his value stood in another's row) or possibly (rows came back as tokens, or he made a colleague a reason to look); those first whom nothing
explains. With the same certainty it says what was not touched, and what it could not see.

At most 20 customers are listed. The whole list, to tell them, takes two people: sallyport blast propose-list.
Exit status 0: nobody was exposed; 1: somebody was; 2: wrong usage; 3: it could not be found out.`,
		Example: "  sallyport blast p-x4k9qcd27h --as s051\n  sallyport blast s017 --since 2026-03-01T00:00:00Z --as s051 --json",
		Args:    exactly(1, "STAFF --as ID"),
	}
	cmd.Flags().StringVar(&since, "since", "", "count from this `TIME` on (RFC 3339; default: the early end of the estimated start, or everything)")
	m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		text, err := c.Blast(cmd.Context(), args[0], since)
		if err != nil {
			return err
		}
		var line serve.RadiusLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if f.json {
			err = printJSON(m.Stdout, line)
		} else {
			err = m.printRadius(&line)
		}
		if n := line.Customers; err == nil && n.Certain+n.Likely+n.Possible > 0 {
			return ErrFound
		}
		return err
	})
	cmd.AddCommand(m.proposeListCommand(), m.listCommand())
	return cmd
}

func (m *Main) printRadius(line *serve.RadiusLine) error {
	w, n := m.Stdout, line.Customers
	start := "of no finding: everything on record counts"
	if line.Finding != "" {
		start = fmt.Sprintf("%s (between %s and %s), by finding %s", serve.Day(line.Since), serve.Day(line.SinceLow), serve.Day(line.SinceHigh), line.Finding)
	}
	fmt.Fprintf(w, "Start %s. Counted from %s on, entries %d to %d, %d sessions.\n", start, serve.Day(line.From), line.Entries[0], line.Entries[1], line.Sessions)
	fmt.Fprintf(w, "Customers exposed: %d certainly, %d likely, %d possibly; %d of them nothing explains, %d before the estimated start.\n", n.Certain, n.Likely, n.Possible, n.Unexplained, n.Early)
	for _, name := range slices.Sorted(maps.Keys(line.Fields)) {
		fmt.Fprintf(w, "  %s of %d\n", name, line.Fields[name])
	}
	for _, name := range slices.Sorted(maps.Keys(line.Nameless)) {
		fmt.Fprintf(w, "  %s: %d values of which nobody knows whose they are\n", name, line.Nameless[name])
	}
	if len(line.Countries) > 0 {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "COUNTRY\tCERTAIN\tLIKELY\tPOSSIBLE")
		for _, name := range slices.Sorted(maps.Keys(line.Countries)) {
			c := line.Countries[name]
			fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", serve.Printable(name), c.Certain, c.Likely, c.Possible)
		}
		if err := table.Flush(); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	if len(line.List) > 0 {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "CUSTOMER\tHOW SURE\tEXPLAINED\tFIRST\tFIELDS")
		for _, x := range line.List {
			fields := strings.Join(x.Fields, ", ")
			if len(x.Maybe) > 0 {
				fields += " (less surely: " + strings.Join(x.Maybe, ", ") + ")"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", serve.Printable(string(x.Customer)), x.Certainty, map[bool]string{true: "no", false: "yes"}[x.Unexplained], x.First.Format(time.RFC3339), fields)
		}
		if err := table.Flush(); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	if line.More > 0 {
		fmt.Fprintf(w, "and %d more: the whole list takes two people (sallyport blast propose-list %s --reason …).\n", line.More, line.Staff)
	}
	return m.printUntouched(line)
}

func (m *Main) printUntouched(line *serve.RadiusLine) error {
	sure := "certainly, as far as this record sees"
	if len(line.Limits) > 0 {
		sure = "by this record, but for what is named below"
	}
	fmt.Fprintf(m.Stdout, "Not touched, %s:\n", sure)
	fmt.Fprintf(m.Stdout, "  protected columns: %s\n", listed(line.Untouched.Columns))
	tables := listed(line.Untouched.Tables)
	if !line.Untouched.Sure {
		tables += " (not sure: some of his statements are only counted)"
	}
	fmt.Fprintf(m.Stdout, "  tables that anybody used: %s\n", tables)
	for _, name := range slices.Sorted(maps.Keys(line.Segments)) {
		x := line.Segments[name]
		how := "not touched"
		switch {
		case x.Touched && x.Certain+x.Likely+x.Possible > 0:
			how = fmt.Sprintf("%d customers certainly, %d likely, %d possibly", x.Certain, x.Likely, x.Possible)
		case x.Touched:
			how = "touched"
		case !x.Sure:
			how += " (not sure)"
		}
		fmt.Fprintf(m.Stdout, "  %s: %s\n", serve.Printable(name), how)
	}
	for _, what := range line.Limits {
		fmt.Fprintf(m.Stdout, "What could not be seen: %s.\n", what)
	}
	return nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (m *Main) proposeListCommand() *cobra.Command {
	var since, reason string
	cmd := &cobra.Command{
		Use:     "propose-list STAFF",
		Short:   "Propose to see all customers whom it concerns, to tell them; another person approves it",
		Example: "  sallyport blast propose-list p-x4k9qcd27h --reason 'tell customers, case 17' --as s051\n  sallyport approve k3x7q2mzpa --as s050",
		Args:    exactly(1, "STAFF --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&since, "since", "", "from this `TIME` on, as of blast")
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what it is for'")
		}
		id, err := c.ProposeList(cmd.Context(), args[0], since, reason)
		if err != nil {
			return err
		}
		return m.proposed(id, f)
	})
}

func (m *Main) listCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "list PROPOSAL",
		Short: "Fetch the list that you and another agreed on, as CSV or JSON: sending is the company's own system's",
		Long: `Prints each customer whom it concerns, by id, with country, fields and how sure it is. Addresses are not in it: a system that sends letters reads them by a
reason of its own (a grant for these customers). For a week after the approval, for the two who agreed, each time on record.`,
		Example: "  sallyport blast list k3x7q2mzpa --format csv --as s051 > customers.csv",
		Args:    exactly(1, "PROPOSAL --as ID"),
	}
	cmd.Flags().StringVar(&form, "format", "csv", "csv or json")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if form != "csv" && form != "json" {
			return config.Usagef("no format %q; expected csv or json", form)
		}
		text, err := c.List(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var line serve.RadiusLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if f.json || form == "json" {
			return printJSON(m.Stdout, map[string]any{"from": line.From, "entries": line.Entries, "customers": line.List, "limits": line.Limits})
		}
		return writeList(m.Stdout, line.List)
	})
}

// writeList writes customers as CSV. A cell that a spreadsheet would take for a formula begins with an apostrophe.
func writeList(w io.Writer, list []serve.ExposedLine) error {
	table := csv.NewWriter(w)
	_ = table.Write([]string{"customer", "country", "certainty", "unexplained", "fields", "maybe", "first", "last"}) // Error tells
	for _, x := range list {
		row := []string{
			string(x.Customer), x.Country, x.Certainty, strconv.FormatBool(x.Unexplained), strings.Join(x.Fields, " "), strings.Join(x.Maybe, " "), x.First.Format(time.RFC3339), x.Last.Format(time.RFC3339),
		}
		for i, cell := range row {
			row[i] = plainCell(cell)
		}
		_ = table.Write(row) // likewise
	}
	table.Flush()
	if err := table.Error(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
