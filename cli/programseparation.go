package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/program"
	"sallyport/program/reports"
	"sallyport/rulebook"
	"sallyport/serve"
)

func (m *Main) programSeparationCommand() *cobra.Command {
	var f programFlags
	var rules string
	cmd := &cobra.Command{
		Use:   "separation",
		Short: "Hold the record to the rules of who may not do two things at once, and of how many eyes there must be",
		Long: `The rules stand in the configuration under program.separation: who handles a queue does not approve its grants; nobody covers a customer or a queue alone for more than
so many weeks; a queue has so many people active; grants are approved by those who were drawn. A running serve checks them once a day, and what breaks one is a finding
(sallyport findings). Without a serve --rules holds the record to another file of the same form.
` + howReports + `

Exit status 0: no rule is broken; 1: one is; 2: wrong usage.`,
		Example: "  sallyport program separation --as s051\n  sallyport program separation --rules rules.yaml --data /tmp/copy --key-file key.txt",
		Args:    exactly(0, ""),
	}
	f.add(m, cmd.Flags())
	cmd.Flags().StringVar(&rules, "rules", "", "`FILE` of rules, in place of those of the configuration")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		show := func(found json.RawMessage) error { return m.showSeparation(found, f.json) }
		if rules == "" {
			return m.programReport(cmd, &f, &api.ReportQuestion{Report: "separation"}, show)
		}
		if f.live() {
			return config.Usagef("a running serve holds the record to its own rules; leave --rules out, or --as")
		}
		return m.separationBy(cmd.Context(), &f, rules, show)
	}
	return cmd
}

// separationBy holds the record of a folder to other rules.
func (m *Main) separationBy(ctx context.Context, f *programFlags, rules string, show func(json.RawMessage) error) error {
	if f.days <= 0 {
		return config.Usagef("%d days; expected --days 90, or another number above 0", f.days)
	}
	text, err := config.ReadSmall(rules)
	if err != nil {
		return err
	}
	other, err := program.ReadSeparation(rules, text)
	if err != nil {
		return &config.UsageError{Err: err}
	}
	return serve.WithRecord(ctx, m.recordPlace(f), func(r *reports.Record) error {
		r.Config.Program.Separation = *other
		found, err := r.Separation(ctx, f.days)
		if err != nil {
			return err
		}
		text, err := json.Marshal(found)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		return show(text)
	})
}

// showSeparation prints what breaks the rules.
func (m *Main) showSeparation(found json.RawMessage, asJSON bool) error {
	x, err := readReport[reports.SeparationFound](found)
	switch {
	case err != nil:
	case asJSON:
		err = printJSON(m.Stdout, x)
	default:
		err = m.printSeparation(&x)
	}
	if err == nil && len(x.Violations) > 0 {
		return ErrFound
	}
	return err
}

func (m *Main) printSeparation(x *reports.SeparationFound) error {
	if len(x.Violations) == 0 {
		return printLine(m.Stdout, "%s, and none is broken.", serve.Several(int64(x.Rules), "rule"))
	}
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tOF\tWHO\tSINCE\tLAST\tWHAT")
	for _, v := range x.Violations {
		who := "nobody"
		if len(v.Staff) > 0 {
			who = rulebook.SomeStaff(v.Staff)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", v.Rule, serve.Printable(v.Of), who, dateOf(v.Since), dateOf(v.Last), serve.Printable(v.Text))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// dateOf is a day, or nothing for the zero time.
func dateOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}
