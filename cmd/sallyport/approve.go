package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/api"
)

func (m *Main) approveCommand() *cobra.Command {
	return m.decideCommand(&cobra.Command{
		Use:     "approve PROPOSAL",
		Short:   "Let a proposal of somebody else take effect",
		Example: "  sallyport proposals --as s051\n  sallyport approve k3x7q2mzpa --as s051",
	}, (*api.Client).Approve)
}

func (m *Main) declineCommand() *cobra.Command {
	return m.decideCommand(&cobra.Command{
		Use:     "decline PROPOSAL",
		Short:   "End a proposal without effect; its proposer may do so too",
		Example: "  sallyport decline k3x7q2mzpa --as s051",
	}, (*api.Client).Decline)
}

func (m *Main) decideCommand(cmd *cobra.Command, decide func(*api.Client, context.Context, string) (api.Proposal, error)) *cobra.Command {
	cmd.Args = exactly(1, "PROPOSAL --as ID")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		p, err := decide(c, cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, p)
		}
		_, err = fmt.Fprintf(m.Stdout, "%s: %s %s is %s.\n", p.ID, p.Action, p.About, p.Status)
		return err
	})
}
