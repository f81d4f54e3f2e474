package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/control"
	"sallyport/serve"
)

func (m *Main) approveCommand() *cobra.Command {
	return m.decideCommand(&cobra.Command{
		Use:     "approve PROPOSAL",
		Short:   "Let a proposal or a request of somebody else take effect",
		Example: "  sallyport proposals --as s051\n  sallyport approve k3x7q2mzpa --as s051",
	}, (*api.Client).Approve, true)
}

func (m *Main) declineCommand() *cobra.Command {
	return m.decideCommand(&cobra.Command{
		Use:     "decline PROPOSAL",
		Short:   "End a proposal without effect; its proposer may do so too",
		Example: "  sallyport decline k3x7q2mzpa --as s051",
	}, (*api.Client).Decline, false)
}

func (m *Main) decideCommand(cmd *cobra.Command, decide func(*api.Client, context.Context, string) (api.Proposal, error), approve bool) *cobra.Command {
	reason := ""
	if !approve {
		cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record, where a request for a grant is declined")
	}
	cmd.Args = exactly(1, "PROPOSAL --as ID")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if control.IsGrant(args[0]) {
			return m.decideGrant(cmd.Context(), c, f, args[0], reason, approve)
		}
		p, err := decide(c, cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, p)
		}
		if p.Code != "" {
			return printLine(m.Stdout, "%s The second half of the code, for %s alone: %s", decided(p), p.About, p.Code)
		}
		return printLine(m.Stdout, "%s", decided(p))
	})
}

// keyGroup is the join group whose keys a proposal is about; empty: it is about something else.
func keyGroup(p api.Proposal) string {
	if p.Action == control.RotateKey || p.Action == control.DestroyKey {
		return p.Details
	}
	return ""
}

// shredded is the customer whom a proposal to shred is about.
func shredded(p api.Proposal) string {
	if p.Action == control.Shred {
		return serve.Printable(p.Details)
	}
	return ""
}

// decided says what became of a proposal, in the words of the commands.
func decided(p api.Proposal) string {
	what := strings.ReplaceAll(p.Action, "_", "-")
	if p.About != "" {
		what += " " + string(p.About)
	}
	if of := keyGroup(p); of != "" {
		what += " of the join group " + of
	}
	if p.Action == control.Shred {
		what += " customer " + serve.Printable(p.Details)
	}
	if p.Action == control.Empower {
		what += " as " + serve.Printable(p.Details)
	}
	return fmt.Sprintf("%s: %s is %s.", p.ID, what, p.Status)
}
