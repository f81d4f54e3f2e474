package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/api"
)

func (m *Main) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Say how the running serve is",
		Example: "  sallyport status --as s050",
		Args:    exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		status, err := c.Status(cmd.Context())
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, status)
		}
		fmt.Fprintf(m.Stdout, "record   %s, %d entries\n", status.Record.ID, status.Record.Last)
		for _, line := range status.More {
			fmt.Fprintf(m.Stdout, "%-8s %s\n", line.What, line.How)
		}
		for _, who := range status.Locked {
			fmt.Fprintf(m.Stdout, "locked   %s\n", who)
		}
		return nil
	})
}
