package cli

import (
	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
)

func (m *Main) unlockCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "unlock STAFF",
		Short:   "Propose to give somebody's access back; another person approves it",
		Example: "  sallyport unlock s017 --reason 'laptop found, wiped' --as s050",
		Args:    exactly(1, "STAFF --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what changed'")
		}
		id, err := c.Unlock(cmd.Context(), sallyport.Staff(args[0]), reason)
		if err != nil {
			return err
		}
		return m.proposed(id, f)
	})
}
