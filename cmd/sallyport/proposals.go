package main

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
)

func (m *Main) proposalsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "proposals",
		Short:   "List what was proposed and what became of it",
		Example: "  sallyport proposals --as s051",
		Args:    exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Proposals(cmd.Context())
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"proposals": list})
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(m.Stdout, "Nothing was proposed.")
			return err
		}
		table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tSTATUS\tACTION\tABOUT\tBY\tWHEN\tREASON")
		for _, p := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.Status, strings.ReplaceAll(p.Action, "_", "-"), cmp.Or(string(p.About), keyGroup(p), shredded(p)), p.By, p.At.Format(time.RFC3339), printable(p.Reason))
		}
		return table.Flush()
	})
}
