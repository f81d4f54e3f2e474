package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/program"
	"sallyport/program/reports"
)

func (m *Main) programStatusCommand() *cobra.Command {
	var f programFlags
	var standard string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say of each practice of CERT's guide and each technique of insiders what Sallyport does, what the company must do, and what the record shows",
		Long: `Goes through the 22 practices of CERT's Common Sense Guide to Mitigating Insider Threats, and through the techniques of MITRE ATT&CK that insiders were seen to use. Evidence is what stands in the record of the last days: entries, how many,
and when last. What Sallyport cannot show is the company's to show.
` + howReports + `

Exit status 0: the record shows something of each of which it could; 1: of some it shows nothing; 2: wrong usage.`,
		Example: "  sallyport program status --config sallyport.yaml --data /tmp/copy --key-file key.txt\n  sallyport program status --standard attack --json --data /tmp/copy --key-file key.txt",
		Args:    exactly(0, ""),
	}
	f.add(m, cmd.Flags())
	cmd.Flags().StringVar(&standard, "standard", "cert", "`STANDARD`: cert, attack or all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains([]string{"cert", "attack", "all"}, standard) {
			return config.Usagef("--standard %q; expected cert, attack or all", standard)
		}
		return m.programReport(cmd, &f, &api.ReportQuestion{Report: "status", Standard: standard}, func(found json.RawMessage) error {
			shown, err := readReport[reports.Standards](found)
			if err != nil {
				return err
			}
			err = m.printStatus(shown.Practices, f.days, f.json)
			if err != nil && !errors.Is(err, ErrFound) {
				return err
			}
			return cmp.Or(m.printTechniques(shown.Techniques, f.days, f.json), err)
		})
	}
	return cmd
}

func (m *Main) printStatus(list []program.Status, days int, asJSON bool) error {
	nothing := 0
	if !asJSON && len(list) > 0 {
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
		return ErrFound
	}
	return nil
}

func (m *Main) printTechniques(list []program.TechniqueStatus, days int, asJSON bool) error {
	nothing := 0
	if !asJSON && len(list) > 0 {
		fmt.Fprintf(m.Stdout, "\nMITRE ATT&CK %s (%s), techniques seen of insiders by %s, and those that findings name.\nEvidence of the last %d days.\n", program.AttackVersion, program.AttackGuide, program.InsiderGuide, days)
	}
	for i := range list {
		t := &list[i]
		if t.State == "none" {
			nothing++
		}
		if asJSON {
			if err := printJSON(m.Stdout, t); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(m.Stdout, "\n%s %s\n   Sallyport: %s (docs/%s)\n   The company: %s\n", t.ID, t.Name, t.Does, t.Page, t.Company)
		for _, x := range t.Found {
			fmt.Fprintf(m.Stdout, "   On record: %d × %s, last on %s\n", x.Times, x.What, x.Last.Format("2006-01-02"))
		}
		if t.State == "none" {
			fmt.Fprintln(m.Stdout, "   On record: nothing")
		}
	}
	if nothing > 0 {
		return ErrFound
	}
	return nil
}
