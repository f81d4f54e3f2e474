package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/detect"
	"sallyport/respond"
	"sallyport/serve"
)

// found is a finding with what was done about it.
type foundLine struct {
	api.Finding
	line detect.Finding
}

func (m *Main) findingsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "findings",
		Short: "List what detection found while serve ran, the worst first, and what was done",
		Long: `Prints each finding as it stands, the worst first: what, about whom, how likely it is what, since when, how many customers, and what
was done about it, or would have been. People are called by pseudonyms until two agree to see who it is (sallyport unmask). What is about yourself is not shown. That you
asked is itself recorded.`,
		Example: "  sallyport findings --as s051\n  sallyport findings --as s051 --json",
		Args:    exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, mode, err := readFindings(cmd, c, "")
		if err != nil {
			return err
		}
		if f.json {
			raw := make([]api.Finding, len(list))
			for i := range list {
				raw[i] = list[i].Finding
			}
			err = printJSON(m.Stdout, map[string]any{"findings": raw, "mode": mode})
		} else {
			err = m.printFound(list, mode)
		}
		if err == nil && len(list) > 0 {
			return ErrFound
		}
		return err
	})
}

// readFindings asks, and puts the worst first.
func readFindings(cmd *cobra.Command, c *api.Client, id string) (list []foundLine, mode string, err error) {
	raw, mode, err := c.Findings(cmd.Context(), id)
	if err != nil {
		return nil, "", err
	}
	for _, x := range raw {
		line, err := serve.FindingOf(x.Finding)
		if err != nil {
			return nil, "", err
		}
		list = append(list, foundLine{x, line})
	}
	slices.SortStableFunc(list, func(a, b foundLine) int {
		return cmp.Or(cmp.Compare(b.line.Log10Odds, a.line.Log10Odds), cmp.Compare(b.line.SubjectsExposed, a.line.SubjectsExposed), a.First.Compare(b.First))
	})
	return list, cmp.Or(mode, control.ModeObserve), nil
}

func (m *Main) printFound(list []foundLine, mode string) error {
	if len(list) == 0 {
		return printLine(m.Stdout, "Nothing was found.")
	}
	table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FINDING\tABOUT\tKIND\tMOST LIKELY\tODDS\tCUSTOMERS\tRAISED\tDONE")
	for i := range list {
		x := &list[i]
		who := make([]string, len(x.line.Staff))
		for j, s := range x.line.Staff {
			who[j] = string(s)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", x.line.ID, strings.Join(who, ","), x.line.Kind, x.line.Type, oddsOf(x.line.Log10Odds), x.line.SubjectsExposed,
			x.First.Format(time.RFC3339), doneAbout(x.Responses))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if mode == control.ModeAct {
		return nil
	}
	return printLine(m.Stdout, "Sallyport only observes: steps in brackets would have been taken (sallyport respond mode act).")
}

// doneAbout names steps in short; in brackets what was not done.
func doneAbout(list []api.Response) string {
	var parts []string
	for _, r := range list {
		switch {
		case r.Undone:
			parts = append(parts, r.Step+" (taken back)")
		case r.State == control.Would:
			parts = append(parts, "["+r.Step+"]")
		case r.State == control.Did:
			parts = append(parts, r.Step)
		default:
			parts = append(parts, r.Step+" ("+r.State+")")
		}
	}
	return strings.Join(parts, " ")
}

func (m *Main) explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain FINDING",
		Short: "Tell a finding in five sentences, with the evidence that adds up to its odds",
		Long: `Five sentences: who and what; since when, and how many customers; what else speaks for it; what it may be; what is to be done. Then each
piece of evidence in powers of ten of the odds, which add up to them, and what was done. That you asked is itself recorded.`,
		Example: "  sallyport explain p-m3x8qk27vd-1 --as s051",
		Args:    exactly(1, "FINDING --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		list, mode, err := readFindings(cmd, c, args[0])
		if err != nil {
			return err
		}
		x := &list[0]
		sentences := detect.Explain(&x.line, serve.Printable(x.Name))
		if f.json {
			return printJSON(m.Stdout, map[string]any{"explanation": sentences, "finding": x.Finding.Finding, "responses": x.Responses, "mode": mode})
		}
		return m.printTold(x, sentences)
	})
}

func (m *Main) printTold(x *foundLine, sentences [5]string) error {
	for _, s := range sentences {
		fmt.Fprintln(m.Stdout, s)
	}
	fmt.Fprintln(m.Stdout)
	table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	sum := 0.0
	for _, e := range x.line.Evidence {
		sum += e.Log10
		fmt.Fprintf(table, "%+.2f\t  %s: %s\t\n", e.Log10, e.Source, serve.Printable(e.Text))
	}
	fmt.Fprintf(table, "%+.2f\t  together: odds of %s\t\n", sum, oddsOf(x.line.Log10Odds))
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	for _, r := range x.Responses {
		fmt.Fprintf(m.Stdout, "%s  %s %s (%s): %s\n", r.At.Format(time.RFC3339), r.ID, doneAbout([]api.Response{r}), r.About, serve.Printable(strings.TrimSpace(r.Why+" "+r.Trouble)))
	}
	return nil
}

func (m *Main) respondCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "respond",
		Short:   "About what Sallyport does because of findings",
		Example: "  sallyport respond undo p-m3x8qk27vd-1 --reason 'was on the incident' --as s050\n  sallyport respond mode act --reason 'four weeks without a false alarm' --as s050\n  sallyport respond ladder > ladder.yaml",
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.respondUndoCommand(), m.respondModeCommand(), &cobra.Command{
		Use:     "ladder",
		Short:   "Print the program's own ladder: what is done from which odds on",
		Example: "  sallyport respond ladder > ladder.yaml",
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			if _, err := m.Stdout.Write(respond.OwnLadder()); err != nil {
				return fmt.Errorf("write output: %w", err)
			}
			return nil
		},
	})
	return cmd
}

func (m *Main) respondUndoCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "undo ID",
		Short: "Propose to take back what was done because of a finding; another person approves it",
		Long: `ID is that of a finding, for all that was done because of it, or of one step (p-m3x8qk27vd-1/mask). Trust goes back to what people say, and to what
other findings leave of it; a suspension or a lock ends if it was this one's; the log-in at the database and at the identity provider is
given back there. Grants that ended are to be asked for anew.`,
		Example: "  sallyport respond undo p-m3x8qk27vd-1 --reason 'was on the incident, asked his lead' --as s050",
		Args:    exactly(1, "ID --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what it was'")
		}
		id, err := c.UndoResponse(cmd.Context(), args[0], reason)
		if err != nil {
			return err
		}
		return m.proposed(id, f)
	})
}

func (m *Main) respondModeCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "mode act|observe",
		Short: "Propose that Sallyport acts on findings, or only says what it would have done; another person approves it",
		Example: "  sallyport respond mode act --reason 'four weeks without a false alarm' --as s050\n" +
			"  sallyport respond mode observe --reason 'new shift system, too many alarms' --as s050",
		Args: exactly(1, "act|observe --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		switch {
		case args[0] != control.ModeAct && args[0] != control.ModeObserve:
			return config.Usagef("no mode %q; expected %s or %s", args[0], control.ModeAct, control.ModeObserve)
		case reason == "":
			return config.Usagef("no reason; expected --reason 'what changed'")
		}
		id, err := c.RespondMode(cmd.Context(), args[0], reason)
		if err != nil {
			return err
		}
		return m.proposed(id, f)
	})
}
