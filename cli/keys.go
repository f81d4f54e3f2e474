package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"sallyport/keys"
)

func (m *Main) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "The keys of the data folder: make them, open them together, and see how they stand",
		Example: "  sallyport keys init --config sallyport.yaml --data /var/lib/sallyport --key-file /etc/sallyport/key.txt\n  sallyport keys status --data /var/lib/sallyport",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return noCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.keysInitCommand(), m.keysUnsealCommand(), m.keysRewrapCommand(), m.keysRecoverCommand(), m.keysRotateCommand(), m.keysDestroyCommand(), m.keysShredCommand(), m.keysStatusCommand())
	return cmd
}

func shareNames(q *keys.Quorum) string {
	names := make([]string, len(q.Shares))
	for i, share := range q.Shares {
		names[i] = share.Name
	}
	return strings.Join(names, ", ")
}
