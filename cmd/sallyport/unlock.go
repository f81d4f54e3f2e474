package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
)

func (m *Main) unlockCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "unlock STAFF",
		Short:   "Propose to give somebody's access back; another person approves it",
		Example: "  sallyport unlock s017 --reason 'laptop found, wiped' --as s050",
		Args:    exactly(1, "STAFF --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return usagef("no reason; expected --reason 'what changed'")
		}
		id, err := c.Unlock(cmd.Context(), sallyport.Staff(args[0]), reason)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"proposal": id, "staff": args[0]})
		}
		_, err = fmt.Fprintf(m.Stdout, "Proposed as %s. Nothing has changed yet: another lead or security runs\n  sallyport approve %s --as ID\n", id, id)
		return err
	})
}
