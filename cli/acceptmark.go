package cli

import (
	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
)

func (m *Main) acceptMarkCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "accept-mark",
		Short: "Propose to serve a protected database with another or an older record",
		Long: `A protected database knows by which record it is protected, and how far that record was. With another or an older one,
budgets and locks that stood in the right one would be forgotten, so 'serve --await-agreement' serves nobody until one lead or
security proposes it by this command and another approves.`,
		Example: "  sallyport accept-mark --reason 'disk lost, restored from the backup of 1 March' --as s050",
		Args:    exactly(0, "--reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what happened'")
		}
		id, err := c.AcceptMark(cmd.Context(), reason)
		if err != nil {
			return err
		}
		return m.proposed(id, f)
	})
}

// proposed tells what comes after a proposal.
func (m *Main) proposed(id string, f *controlFlags) error {
	if f.json {
		return printJSON(m.Stdout, map[string]string{"proposal": id})
	}
	return printLine(m.Stdout, "Proposed as %s. Nothing has changed yet: another lead or security runs\n  sallyport approve %s --as ID", id, id)
}
