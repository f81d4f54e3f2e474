package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/program"
)

func (m *Main) programStatusCommand() *cobra.Command {
	var f programFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say of each practice of CERT's guide what Sallyport does, what the company must do, and what the record shows",
		Long: `Goes through the 22 practices of the Common Sense Guide to Mitigating Insider Threats. Evidence is what stands in the record of the last days: entries, how many,
and when last. What Sallyport cannot show is the company's to show.
` + howReports + `

Exit status 0: the record shows something of each practice of which it could; 1: of some it shows nothing; 2: wrong usage.`,
		Example: "  sallyport program status --config sallyport.yaml --data /tmp/copy --key-file key.txt",
		Args:    exactly(0, ""),
	}
	f.add(m, cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return m.programReport(cmd, &f, &api.ReportQuestion{Report: "status"}, func(found json.RawMessage) error {
			list, err := readReport[[]program.Status](found)
			if err != nil {
				return err
			}
			return m.printStatus(list, f.days, f.json)
		})
	}
	return cmd
}

// status is what the record shows of each practice.
func (r *programRecord) status(ctx context.Context, days int) ([]program.Status, error) {
	practices, err := program.Practices()
	if err != nil {
		return nil, err
	}
	v := program.NewEvidence(r.now.AddDate(0, 0, -days), r.now)
	if err := errors.Join(r.accesses(ctx, v.Take), r.orders(ctx, v.Take)); err != nil {
		return nil, err
	}
	return v.Assess(practices), nil
}

func (m *Main) printStatus(list []program.Status, days int, asJSON bool) error {
	nothing := 0
	if !asJSON {
		fmt.Fprintf(m.Stdout, "%s\nEvidence of the last %d days.\n", program.Guide, days)
	}
	for i := range list {
		s := &list[i]
		if s.State == "none" {
			nothing++
		}
		if asJSON {
			if err := printJSON(m.Stdout, s); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(m.Stdout, "\n%d. %s\n   Sallyport: %s (docs/%s)\n   The company: %s\n", s.N, s.Title, s.Does, s.Page, s.Company)
		for _, x := range s.Seen {
			fmt.Fprintf(m.Stdout, "   On record: %s, last on %s\n", fmt.Sprintf("%d × %s", x.Times, x.What), x.Last.Format("2006-01-02"))
		}
		if s.State == "none" {
			fmt.Fprintln(m.Stdout, "   On record: nothing")
		}
	}
	if nothing > 0 {
		return errFound
	}
	return nil
}
