package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/serve"
)

func (m *Main) proposalsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "proposals [PROPOSAL]",
		Short:   "List what was proposed and what became of it, or show one with what it changes",
		Example: "  sallyport proposals --as s051\n  sallyport proposals k3x7q2mzpa --as s051",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return config.Usagef("%d arguments; expected none, or the id of one proposal", len(args))
			}
			return nil
		},
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if len(args) == 1 {
			return m.showProposal(cmd.Context(), c, args[0], f.json)
		}
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
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.Status, strings.ReplaceAll(p.Action, "_", "-"), cmp.Or(string(p.About), keyGroup(p), shredded(p)), p.By, p.At.Format(time.RFC3339), serve.Printable(p.Reason))
		}
		return table.Flush()
	})
}

// showProposal prints one proposal whole: who approves it is to know what.
func (m *Main) showProposal(ctx context.Context, c *api.Client, id string, asJSON bool) error {
	p, err := c.Proposal(ctx, id)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.Stdout, p)
	}
	fmt.Fprintf(m.Stdout, "%s by %s at %s: %s\n", p.ID, p.By, p.At.Format(time.RFC3339), serve.Printable(p.Reason))
	fmt.Fprintln(m.Stdout, decided(p))
	for line := range strings.Lines(p.Diff) {
		fmt.Fprintln(m.Stdout, "  "+serve.Printable(strings.TrimSuffix(line, "\n")))
	}
	return nil
}
