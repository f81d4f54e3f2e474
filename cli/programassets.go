package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/program"
	"sallyport/serve"
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
				return ErrFound
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
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", serve.Printable(a.Name), a.Kind, protection, a.Criticality, serve.Printable(a.Owner), len(a.Columns), people, reviewed, strings.Join(a.Lacks, "; "))
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
			fmt.Fprintf(m.Stdout, "%s: %s, %s, %s%s\n", serve.Printable(list[i].Name), c.What, serve.Printable(c.Where), how, copyWhen(&c))
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
