package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/program"
	"sallyport/serve"
)

func (m *Main) programHandoverCommand() *cobra.Command {
	var f programFlags
	cmd := &cobra.Command{
		Use:   "handover STAFF",
		Short: "Say what whoever takes over somebody's work should look at",
		Long: `Habits of access that stop making sense when somebody else does the work: what makes up more of his results than three times what it makes up of those of his colleagues
of the same team and role (reasons, columns, hours, searches, copies), and customers whom he looked at on three days or more, mostly without a ticket, a call or a job. None of
it is an accusation: most has a good reason, which the successor should know.
` + howReports + ` STAFF is a pseudonym then, or a name that two people agreed to show you.

Exit status 0: there is nothing to look at; 1: there is; 2: wrong usage.`,
		Example: "  sallyport program handover p-m3x8qk27vd --as s051\n  sallyport program handover t01 --data /tmp/copy --key-file key.txt",
		Args:    exactly(1, "STAFF"),
	}
	f.add(m, cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return m.programReport(cmd, &f, &api.ReportQuestion{Report: "handover", Staff: args[0]}, func(found json.RawMessage) error {
			x, err := readReport[program.Handover](found)
			switch {
			case err != nil:
			case f.json:
				err = printJSON(m.Stdout, x)
			default:
				err = m.printHandover(&x)
			}
			if err == nil && len(x.Habits)+len(x.Regulars) > 0 {
				return ErrFound
			}
			return err
		})
	}
	return cmd
}

func (m *Main) printHandover(x *program.Handover) error {
	w := m.Stdout
	fmt.Fprintf(w, "%s, %s until %s: shown something on %s, of %s; compared with %s of the same team and role\n", x.Staff, dateOf(x.From), dateOf(x.Until),
		serve.Several(int64(x.Days), "day"), serve.Several(int64(x.Customers), "customer"), serve.Several(int64(x.Peers), "person"))
	if len(x.Habits)+len(x.Regulars) == 0 {
		return printLine(w, "Nothing that others do not do, too.")
	}
	for _, h := range x.Habits {
		fmt.Fprintf(w, "\n%s: %.0f %% of his results, %.0f %% of theirs\n  %s\n", serve.Printable(h.What), 100*h.His, 100*h.Peers, h.Look)
	}
	if len(x.Regulars) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nCustomers whom he kept looking at, mostly for no ticket, call or job:")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CUSTOMER\tDAYS\tWITHOUT\tWITH\tLAST\tENTRY")
	for _, r := range x.Regulars {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%d\n", serve.Printable(string(r.Customer)), r.Days, r.Without, r.With, r.Last.Format(time.DateOnly), r.Entry)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
