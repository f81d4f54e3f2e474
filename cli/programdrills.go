package cli

import (
	"cmp"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/drill"
	"sallyport/serve"
)

func (m *Main) programDrillsCommand() *cobra.Command {
	var of string
	cmd := &cobra.Command{
		Use:   "drills",
		Short: "List the drills on record with their scores, and what each has become since the one before",
		Long: `Drills that somebody asked for and those of the schedule (drill.schedule), the oldest first. The score is explained in docs/drills.md.

Exit status 0: printed; 1: in the last one of some drill customers would have been lost, or nobody was found.`,
		Example: "  sallyport program drills --as s051\n  sallyport program drills --drill support-2019 --as s051 --json",
		Args:    exactly(0, "--as ID"),
	}
	cmd.Flags().StringVar(&of, "drill", "", "only this `DRILL`")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		if _, ok := drill.Find(of); of != "" && !ok {
			return config.Usagef("no drill %q; expected %s", of, config.OneOf(of, drill.Names()))
		}
		all, err := c.Drills(cmd.Context())
		if err != nil {
			return err
		}
		list := slices.DeleteFunc(all.Runs, func(r drill.Run) bool { return of != "" && r.Drill != of })
		if f.json {
			err = printJSON(m.Stdout, map[string]any{"drills": list})
		} else {
			err = m.printRuns(list)
		}
		if err == nil && lately(list) {
			return ErrFound
		}
		return err
	})
}

// lately tells whether the last one of some drill went badly.
func lately(list []drill.Run) bool {
	bad := map[string]bool{}
	for _, r := range list {
		if r.Report != nil {
			bad[r.Drill] = r.Report.Lost > 0 || r.Report.Detect == nil
		}
	}
	for _, is := range bad {
		if is {
			return true
		}
	}
	return false
}

func (m *Main) printRuns(list []drill.Run) error {
	if len(list) == 0 {
		return printLine(m.Stdout, "No drill is on record: sallyport drill NAME plays one, drill.schedule of the configuration plays them by itself.")
	}
	w, before := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0), map[string]int{}
	fmt.Fprintln(w, "BEGAN\tDRILL\tBY\tSCORE\tSINCE\tLOST\tDETECTED\tCONTAINED\tNAMED\t")
	for _, r := range list {
		began, by := r.Began.Format("2006-01-02 15:04"), cmp.Or(string(r.By), "schedule")
		x := r.Report
		if x == nil {
			note := cmp.Or(r.Note, "is being played")
			fmt.Fprintf(w, "%s\t%s\t%s\t-\t\t\t%s\t\t\t\n", began, r.Drill, by, serve.Printable(note))
			continue
		}
		since := ""
		if was, ok := before[r.Drill]; ok {
			since = fmt.Sprintf("%+d", x.Score-was)
		}
		before[r.Drill] = x.Score
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d of %d\t%s\t%s\t%s\t\n", began, r.Drill, by, x.Score, since, x.Lost, x.Customers, secondsOr(x.Detect), secondsOr(x.Contain), secondsOr(x.Name))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// secondsOr is a time that was measured, or -.
func secondsOr(s *float64) string {
	if s == nil {
		return "-"
	}
	return time.Duration(*s * float64(time.Second)).Round(10 * time.Millisecond).String()
}
