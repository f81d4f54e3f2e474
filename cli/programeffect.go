package cli

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/program/training"
	"sallyport/serve"
)

func (m *Main) trainingEffectCommand() *cobra.Command {
	var f programFlags
	cmd := &cobra.Command{
		Use:   "effect",
		Short: "Say whether lessons change how often people look at customers without a reason, with an interval",
		Long: `Compares people who made the same mistake: half of them, by a draw, were given the lesson at once, the others after training.wait days. For each it counts looks at customers that
nothing explains (as detection does) in a working day, as many days before the mistake as after it; the figure is by which factor the change of the ones differs from that of the others,
with the interval that holds 95 in 100. Without somebody who waits nothing is said: after a bad month most people do better by themselves. 
` + howReports + `

Exit status 0: printed; 2: wrong usage.`,
		Example: "  sallyport program training effect --config sallyport.yaml --data /tmp/copy --key-file key.txt",
		Args:    exactly(0, ""),
	}
	f.add(m, cmd.Flags())
	_ = cmd.Flags().MarkHidden("days")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return m.programReport(cmd, &f, &api.ReportQuestion{Report: "effect"}, func(found json.RawMessage) error {
			effects, err := readReport[[]training.Effect](found)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(m.Stdout, map[string]any{"effects": effects})
			}
			return m.printEffects(effects)
		})
	}
	return cmd
}

func (m *Main) printEffects(list []training.Effect) error {
	for _, e := range list {
		fmt.Fprintf(m.Stdout, "%s: %s", cmp.Or(e.Lesson, "all lessons"), e.Says)
		if e.Says == training.NotMeasured {
			fmt.Fprintf(m.Stdout, ": %s (%d told at once, %d waited)\n", e.Why, e.Told.People, e.Wait.People)
			continue
		}
		fmt.Fprintf(m.Stdout, ": × %.2f (%.2f to %.2f)\n", e.Ratio, e.Low, e.High)
		for _, g := range []struct {
			who string
			training.Group
		}{{"told at once", e.Told}, {"waited", e.Wait}} {
			fmt.Fprintf(m.Stdout, "  %s: %s, %.2f looks without a reason in a working day of the %d days before, %.2f after\n", g.who, serve.Several(int64(g.People), "person"), g.Before, e.Days, g.After)
		}
	}
	return nil
}
