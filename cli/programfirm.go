package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/program"
	"sallyport/program/reports"
	"sallyport/serve"
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
				return ErrFound
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
			fmt.Fprintf(w, "%s\t%d\t%s\t\t0\t0\t0\t0\t\n", serve.Printable(x.Firm), len(x.People), last)
		}
		for _, c := range x.Clients {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", serve.Printable(x.Firm), len(x.People), last, serve.Printable(c.Client), c.People, c.Customers, c.Values, c.Days, dateOf(c.Last))
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
			x, err := readReport[reports.FirmForClient](found)
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

func (m *Main) printFirm(x *reports.FirmForClient) error {
	w := m.Stdout
	fmt.Fprintf(w, "What %s saw of %s, %s until %s\n\n", serve.Printable(x.Name), serve.Printable(x.Client), dateOf(x.From), dateOf(x.Until))
	contract := "has no end that anybody set"
	if !x.Contract.IsZero() {
		contract = "ends after " + dateOf(x.Contract.AddDate(0, 0, -1))
	}
	if x.Over {
		contract = "ended after " + dateOf(x.Contract.AddDate(0, 0, -1)) + ", and with it all access"
	}
	fmt.Fprintf(w, "Its contract %s. %s of it have access.\n", contract, serve.Several(int64(x.People), "person"))
	if x.Seen.Values == 0 {
		return printLine(w, "Nothing of your customers was shown to any of them.")
	}
	fmt.Fprintf(w, "%s saw data of %s, on %s, the last time on %s.\n", serve.Several(int64(x.Seen.People), "person"), serve.Several(int64(x.Seen.Customers), "customer"), serve.Several(int64(x.Seen.Days), "day"), dateOf(x.Seen.Last))
	fmt.Fprintln(w, "\nWhat was shown:")
	for _, column := range slices.Sorted(maps.Keys(x.Seen.Columns)) {
		fmt.Fprintf(w, "  %s: %s\n", serve.Printable(column), serve.Several(int64(x.Seen.Columns[column]), "value"))
	}
	fmt.Fprintln(w, "For which reasons (results):")
	for _, reason := range slices.Sorted(maps.Keys(x.Seen.Reasons)) {
		fmt.Fprintf(w, "  %s: %d\n", serve.Printable(reason), x.Seen.Reasons[reason])
	}
	return printLine(w, "\nThis stands in the entries %d to %d of the record %s.", x.Seen.Entries[0], x.Seen.Entries[1], x.Record)
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
				return ErrFound
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
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Staff, e.Way, serve.Printable(e.What), ended, at, entry, serve.Printable(e.Note))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
