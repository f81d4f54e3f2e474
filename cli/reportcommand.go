package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/serve"
	"sallyport/trace"
)

func (m *Main) reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "What customers tell of scam calls: list them, enter one, and say what the customer answered when he was asked",
		Long: `Reports come by signed messages (section reports of the configuration) or are entered here. Anybody can fill in a form, so a report weighs nothing
until somebody has asked the customer at contact details on file, and said here what he answered. 'sallyport trace' then says who may be the source.`,
		Example: "  sallyport report ls --as s051\n  sallyport report confirm 4711 --how call --as s051\n  sallyport trace --as s051",
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.reportListCommand(), m.reportAddCommand(), m.reportJudgeCommand(true), m.reportJudgeCommand(false))
	return cmd
}

func (m *Main) reportListCommand() *cobra.Command {
	var open bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List reports in the order of their arrival",
		Example: "  sallyport report ls --as s051\n  sallyport report ls --open --as s051 --json",
		Args:    exactly(0, "--as ID"),
	}
	cmd.Flags().BoolVar(&open, "open", false, "only those about which nobody has asked the customer yet")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Reports(cmd.Context())
		if err != nil {
			return err
		}
		if open {
			list = slices.DeleteFunc(list, func(r api.Report) bool { return r.State != api.ReportOpen })
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"reports": list})
		}
		if len(list) == 0 {
			return printLine(m.Stdout, "There are no such reports.")
		}
		table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "REPORT\tARRIVED\tFROM\tCUSTOMER\tCHANNEL\tQUOTED\tSTATE\tBY")
		for _, r := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Arrived.Format(time.RFC3339), r.Source, serve.Printable(string(r.Customer)), r.Channel, strings.Join(r.Quoted, "+"), r.State, strings.TrimSpace(string(r.By)+" "+r.How))
		}
		return table.Flush()
	})
}

func (m *Main) reportAddCommand() *cobra.Command {
	var r api.Report
	var customer, at string
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Enter what a customer told you; somebody else confirms it",
		Long: `Enters a report: whose, when, by which way, and which fields the caller knew (ticket, email, phone, name), never what they say. It weighs nothing until
another person has asked the customer at contact details on file.`,
		Example: "  sallyport report add --customer 48211 --channel call --quoted ticket,name --as s050",
		Args:    exactly(0, "--customer ID --as ID"),
	}
	cmd.Flags().StringVar(&customer, "customer", "", "the customer's `ID`")
	cmd.Flags().StringVar(&at, "at", "", "when he was called, as `TIME` (RFC 3339; default: now)")
	cmd.Flags().StringVar(&r.Channel, "channel", "call", "how: call, sms, email, letter, chat, other")
	cmd.Flags().StringSliceVar(&r.Quoted, "quoted", nil, "`FIELDS` that the caller knew: ticket, email, phone, name")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		r.Customer = serve.SubjectOf(customer)
		if r.Customer == "" {
			return config.Usagef("no customer; expected --customer ID")
		}
		if at != "" {
			var err error
			if r.Time, err = time.Parse(time.RFC3339, at); err != nil {
				return config.Usagef("--at %s is no time; expected RFC 3339, such as 2026-03-02T10:30:00+01:00", at)
			}
		}
		id, err := c.AddReport(cmd.Context(), r)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]string{"report": id})
		}
		return printLine(m.Stdout, "Report %s is on record. Another person asks the customer at contact details on file: sallyport report confirm %s --how call", id, id)
	})
}

func (m *Main) reportJudgeCommand(stood bool) *cobra.Command {
	var how string
	cmd := &cobra.Command{
		Use:     "confirm REPORT",
		Short:   "Say that you asked the customer at contact details on file, and he stands by his report",
		Long:    "Only a confirmed report weighs. Ask at the address or number that the company has on file, never at one that the report gave.",
		Example: "  sallyport report confirm 4711 --how call --as s051",
		Args:    exactly(1, "REPORT --how call --as ID"),
	}
	if !stood {
		cmd.Use, cmd.Short = "deny REPORT", "Say that you asked the customer at contact details on file, and he knows nothing of it"
		cmd.Example = "  sallyport report deny 4711 --how call --as s051"
	}
	cmd.Flags().StringVar(&how, "how", "", "how he was asked: call, email, letter, visit")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if !slices.Contains(api.Hows(), how) {
			return config.Usagef("no --how; expected %s", config.OneOf(how, api.Hows()))
		}
		if err := c.JudgeReport(cmd.Context(), args[0], stood, how); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"report": args[0], "real": stood})
		}
		return printLine(m.Stdout, "On record. 'sallyport trace' weighs it from now on.")
	})
}

// traceLive asks serve who is the source of the reports on record.
func (m *Main) traceLive(cmd *cobra.Command, f *controlFlags, since time.Time) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	defer c.Close()
	text, err := c.TraceSince(cmd.Context(), since)
	if err != nil {
		return err
	}
	var line serve.LiveTrace
	if err := json.Unmarshal(text, &line); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if f.json {
		err = printJSON(m.Stdout, line)
	} else {
		err = m.printLive(&line)
	}
	if err == nil && line.Verdict == trace.Named {
		return ErrFound
	}
	return err
}

func (m *Main) printLive(line *serve.LiveTrace) error {
	if err := printTrace(m.Stdout, line.Result()); err != nil {
		return err
	}
	if line.Calm > 0 {
		fmt.Fprintf(m.Stdout, "Weighed are reports since %s; --since takes another day.\n", line.Since.Format(time.DateOnly))
	}
	var by []string
	for _, who := range slices.Sorted(maps.Keys(line.ConfirmedBy)) {
		by = append(by, fmt.Sprintf("%s %d", who, line.ConfirmedBy[who]))
	}
	if len(by) > 0 {
		fmt.Fprintf(m.Stdout, "Confirmed by: %s.\n", strings.Join(by, ", "))
	}
	return printLine(m.Stdout, "From the record up to entry %d. Names take two people (sallyport unmask); you yourself are never weighed in what you ask.", line.Entry)
}
