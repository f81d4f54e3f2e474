package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/assure"
	"sallyport/config"
	"sallyport/serve"
)

func (m *Main) assureCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "assure",
		Short: "Calls to customers that they can check",
		Long: `A call that is scheduled here has a code, which the customer gets before it, at the contact details on file. He asks the caller for it and types it into
the customers' page (section customers of the configuration), which says whether it is ours. A call without one is not.`,
		Example: "  sallyport assure call schedule --customer 48211 --at 2026-03-02T10:30:00Z --for 30m --about invoice --as s017\n  sallyport assure call ls --as s017",
		Args:    func(cmd *cobra.Command, args []string) error { return subcommand(cmd, args) },
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	call := &cobra.Command{
		Use:     "call",
		Short:   "Schedule a call, list your own, call one off",
		Example: "  sallyport assure call ls --as s017",
		Args:    func(cmd *cobra.Command, args []string) error { return subcommand(cmd, args) },
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	call.AddCommand(m.assureScheduleCommand(), m.assureListCommand(), m.assureCancelCommand())
	cmd.AddCommand(call, m.assureLinkCommand())
	return cmd
}

func (m *Main) assureScheduleCommand() *cobra.Command {
	var customer, at, about string
	var long time.Duration
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Schedule a call to a customer of an open ticket of yours, and print its code",
		Long: `You need an open ticket about this customer that somebody else gave you. The code is printed once: send it to the customer at the contact details on file,
well before the call, and name it when you call. --about is one of ` + strings.Join(assure.Topics(), ", ") + `: the customer is told so in his language.`,
		Example: "  sallyport assure call schedule --customer 48211 --at 2026-03-02T10:30:00Z --for 30m --about invoice --as s017",
		Args:    exactly(0, "--customer ID --at TIME --about TOPIC --as ID"),
	}
	cmd.Flags().StringVar(&customer, "customer", "", "the customer's `ID`")
	cmd.Flags().StringVar(&at, "at", "", "from when on you will call, as `TIME` (RFC 3339)")
	cmd.Flags().DurationVar(&long, "for", 30*time.Minute, "how long from then on")
	cmd.Flags().StringVar(&about, "about", "request", "what it is about, `TOPIC`")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		from, err := time.Parse(time.RFC3339, at)
		if customer == "" || err != nil {
			return config.Usagef("no customer, or no time; expected --customer ID --at 2026-03-02T10:30:00+01:00")
		}
		call, err := c.ScheduleCall(cmd.Context(), api.CallRequest{Customer: serve.SubjectOf(customer), From: from, Minutes: int(long / time.Minute), About: about})
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, call)
		}
		return printLine(m.Stdout, "%s  code %s\nSend the code to the customer at the contact details on file, before %s; name it when you call, until %s. It is not shown again.",
			call.ID, call.Code, call.From.Format(time.RFC3339), call.Until.Format(time.RFC3339))
	})
}

func (m *Main) assureListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List your calls that are to come",
		Example: "  sallyport assure call ls --as s017 --json",
		Args:    exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Calls(cmd.Context())
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"calls": list})
		}
		if len(list) == 0 {
			return printLine(m.Stdout, "No call of yours is to come.")
		}
		table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "CALL\tCUSTOMER\tFROM\tUNTIL\tABOUT\tBY\tCHECKED")
		for _, x := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", x.ID, serve.Printable(string(x.Customer)), x.From.Format(time.RFC3339), x.Until.Format(time.RFC3339), x.About, x.Caller, x.Checks)
		}
		return table.Flush()
	})
}

func (m *Main) assureCancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cancel CALL",
		Short:   "Call one off: its code says no from then on",
		Example: "  sallyport assure call cancel ca-k3x7q2mzpa --as s017",
		Args:    exactly(1, "CALL --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if err := c.CancelCall(cmd.Context(), args[0]); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"call": args[0], "cancelled": true})
		}
		return printLine(m.Stdout, "%s is called off.", args[0])
	})
}
