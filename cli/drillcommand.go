package cli

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/drill"
	"sallyport/serve"
)

func (m *Main) drillCommand() *cobra.Command {
	var reason, html string
	cmd := &cobra.Command{
		Use:   "drill NAME",
		Short: "Play a theft on this installation, on customers who do not exist, and say what would have been lost",
		Long: `Serve plays the thief by the accounts that the configuration names for it (drill.accounts), on customers who do not exist: nobody who exists is
looked at. It waits for what Sallyport finds and does, then says how many customers would have been lost, and how long it took to detect, to contain and
to name. Findings about a drill are marked, nobody is told, and nothing is learnt from it. NAME is one of ` + strings.Join(drill.Names(), ", ") + `.
Exit status 1: something would have been lost, or nothing was found.`,
		Example: "  sallyport drill prepare --count 120 --as s051\n  sallyport drill support-2019 --reason 'quarterly drill' --html drill.html --as s051",
		Args:    exactly(1, "NAME --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "a drill", "why, as `TEXT` for the record")
	cmd.Flags().StringVar(&html, "html", "", "write the report as a page into `FILE`")
	out := m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if _, ok := drill.Find(args[0]); !ok {
			return config.Usagef("no drill %q; expected %s", args[0], config.OneOf(args[0], drill.Names()))
		}
		id, err := c.StartDrill(cmd.Context(), args[0], reason)
		if err != nil {
			return err
		}
		var r drill.Report
		for r.State == "" || r.State == "running" {
			select {
			case <-cmd.Context().Done():
				return cmd.Context().Err()
			case <-time.After(500 * time.Millisecond):
			}
			r = drill.Report{}
			if err := c.DrillReport(cmd.Context(), id, &r); err != nil {
				return err
			}
		}
		return m.printDrill(&r, html, f.json)
	})
	out.AddCommand(m.drillPrepareCommand())
	return out
}

func (m *Main) printDrill(r *drill.Report, html string, asJSON bool) error {
	if html != "" {
		file, err := os.OpenFile(html, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if err := r.WriteHTML(file); err != nil {
			_ = file.Close()
			return err
		}
		if err := file.Close(); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	var err error
	if asJSON {
		err = printJSON(m.Stdout, r)
	} else {
		_, err = fmt.Fprintf(m.Stdout, "%s\nscore %d of 100\n", r.Sentence(), r.Score)
		for _, mark := range r.Marks {
			fmt.Fprintf(m.Stdout, "  %s  %s\n", mark.Time.Format("15:04:05.000"), serve.Printable(mark.What))
		}
	}
	switch {
	case err != nil:
		return err
	case r.Trouble != "":
		return fmt.Errorf("the drill did not go to its end: %s", r.Trouble)
	case r.Lost > 0 || r.Detect == nil:
		return ErrFound
	}
	return nil
}

func (m *Main) drillPrepareCommand() *cobra.Command {
	q := api.PlantRequest{Drill: true}
	cmd := &cobra.Command{
		Use:     "prepare",
		Short:   "Have customers made who do not exist, for drills alone",
		Long:    "They are planted as canaries are, at once; who comes by one is not found for that alone.",
		Example: "  sallyport drill prepare --count 120 --as s051",
		Args:    exactly(0, "--count N --as ID"),
	}
	cmd.Flags().IntVar(&q.Count, "count", 120, "how `MANY`")
	cmd.Flags().StringVar(&q.Reason, "reason", "for drills", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		if err := c.PlantCanaries(cmd.Context(), q); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"count": q.Count})
		}
		return printLine(m.Stdout, "They are being made; 'sallyport canary status' says how far that is.")
	})
}
