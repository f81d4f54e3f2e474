package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
)

func (m *Main) apiTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "api-token",
		Short: "Tokens by which programs call the api: ask for one, list them, end one",
		Long: `A program logs in to the api by a token, in the name of a service or a person, for what its scopes say and for a while. Who asks for one and who
approves it have a half each, and neither of them is whose name it bears.`,
		Example: "  sallyport api-token ask svc_billing --scopes reveal --days 30 --reason 'billing program' --as s050\n  sallyport api-token ls --as s050",
		Args:    func(cmd *cobra.Command, args []string) error { return subcommand(cmd, args) },
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.apiTokenAskCommand(), m.apiTokenListCommand(), m.apiTokenEndCommand())
	return cmd
}

func (m *Main) apiTokenAskCommand() *cobra.Command {
	var q api.TokenRequest
	cmd := &cobra.Command{
		Use:   "ask STAFF",
		Short: "Propose a token, and print the first half of it",
		Long: `Scopes: ` + strings.Join(control.Scopes(), ", ") + `. Policies are asked besides: a token lets nobody do what he may not do himself, and none approves,
confirms, breaks glass or makes tokens. Who approves the proposal gets the other half; the program's token is ` + api.TokenPrefix + `PROPOSAL_FIRST_SECOND.`,
		Example: "  sallyport api-token ask svc_billing --scopes reveal,tokenise --days 30 --reason 'billing program' --as s050",
		Args:    exactly(1, "STAFF --scopes LIST --reason TEXT --as ID"),
	}
	cmd.Flags().StringSliceVar(&q.Scopes, "scopes", nil, "what it is for, `LIST` with commas between")
	cmd.Flags().IntVar(&q.Days, "days", 90, "how long it holds, 366 at most")
	cmd.Flags().StringVar(&q.Reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if len(q.Scopes) == 0 || q.Reason == "" {
			return config.Usagef("no scopes, or no reason; expected --scopes reveal --reason 'what for'")
		}
		q.Staff = sallyport.Staff(args[0])
		p, err := c.ProposeToken(cmd.Context(), q)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, p)
		}
		return printLine(m.Stdout, "Proposed as %[1]s. The first half, for %[2]s alone: %[3]s\nAnother lead or security runs 'sallyport approve %[1]s' and gets the other. The token is then %[4]s%[1]s_%[3]s_SECOND.",
			p.Proposal, args[0], p.Code, api.TokenPrefix)
	})
}

func (m *Main) apiTokenListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List those that hold: your own, or, for who administers, all",
		Example: "  sallyport api-token ls --as s050 --json",
		Args:    exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Tokens(cmd.Context())
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"tokens": list})
		}
		if len(list) == 0 {
			return printLine(m.Stdout, "No token holds.")
		}
		table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "TOKEN\tOF\tSCOPES\tUNTIL\tPROPOSED\tAPPROVED")
		for _, t := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Staff, strings.Join(t.Scopes, ","), t.Until.Format(time.RFC3339), t.Proposed, t.Approved)
		}
		return table.Flush()
	})
}

func (m *Main) apiTokenEndCommand() *cobra.Command {
	reason := ""
	cmd := &cobra.Command{
		Use:     "end TOKEN",
		Short:   "Take one away, at once",
		Example: "  sallyport api-token end k3x7q2mzpa --reason 'the laptop is gone' --as s050",
		Args:    exactly(1, "TOKEN --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if err := c.EndToken(cmd.Context(), args[0], reason); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"token": args[0], "ended": true})
		}
		return printLine(m.Stdout, "%s lets nobody in any more.", args[0])
	})
}
