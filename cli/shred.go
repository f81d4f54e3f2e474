package cli

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/serve"
)

func (m *Main) keysShredCommand() *cobra.Command {
	var reason, settings, owner string
	var list bool
	cmd := &cobra.Command{
		Use:   "shred CUSTOMER",
		Short: "Propose to make all values of a customer unreadable for ever; another person approves it",
		Long: `CUSTOMER is the key of the customer as the database writes it. Once another lead or security approves, nothing of the customer is
revealed to anybody, and serve puts random tokens in the place of all of his, in every table with a path to the customer. It cannot
be undone. --list shows who was shredded and what was done.

serve changes the rows as the reader's role, which must be allowed to: give --config and --owner once, and the command grants it.
Backups of the database stay readable as long as the keys that they were made with live: see docs/keys.md.`,
		Example: `  sallyport keys shred 4711 --reason 'asked for erasure on 3 March' --as s050
  sallyport keys shred 4711 --reason 'asked for erasure' --as s050 --config sallyport.yaml --owner postgres://postgres@127.0.0.1:5432/support
  sallyport keys shred --list --as s050`,
		Args: func(cmd *cobra.Command, args []string) error {
			if list {
				return exactly(0, "--list --as ID")(cmd, args)
			}
			return exactly(1, "CUSTOMER --reason TEXT --as ID")(cmd, args)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record; no personal data")
	cmd.Flags().StringVar(&settings, "config", "", "configuration `FILE`, with --owner")
	cmd.Flags().StringVar(&owner, "owner", "", "`DSN` of the tables' owner, who lets the reader change the columns; needed once")
	cmd.Flags().BoolVar(&list, "list", false, "list who was shredded")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		switch {
		case list:
			return m.listShreds(cmd.Context(), c, f)
		case reason == "":
			return config.Usagef("no reason; expected --reason 'what for'")
		case (settings == "") != (owner == ""):
			return config.Usagef("only one of --config and --owner; expected both or none")
		}
		if owner != "" {
			loaded, err := config.Load(settings)
			if err != nil {
				return err
			}
			if err := serve.LetReaderShred(loaded, cmd.Context(), owner); err != nil {
				return err
			}
		}
		id, err := c.Shred(cmd.Context(), args[0], reason)
		if err != nil {
			return err
		}
		return m.proposed(id, f)
	})
}

// shredLine is one customer of --list.
type shredLine struct {
	Customer string    `json:"customer"`
	Proposal string    `json:"proposal"`
	State    string    `json:"state"` // open, declined, expired, shredding, shredded
	Result   string    `json:"result,omitempty"`
	By       string    `json:"by"`
	Decider  string    `json:"decider,omitempty"`
	At       time.Time `json:"at"`
}

func (m *Main) listShreds(ctx context.Context, c *api.Client, f *controlFlags) error {
	proposals, err := c.Proposals(ctx)
	if err != nil {
		return err
	}
	lines := []shredLine{}
	for _, p := range proposals {
		if p.Action != control.Shred {
			continue
		}
		line := shredLine{Customer: p.Details, Proposal: p.ID, State: p.Status, Result: p.Result, By: string(p.By), Decider: string(p.Decider), At: p.At}
		switch {
		case p.Done:
			line.State = "shredded"
		case p.Status == string(control.Agreed):
			line.State = "shredding"
		}
		lines = append(lines, line)
	}
	if f.json {
		return printJSON(m.Stdout, map[string]any{"shreds": lines})
	}
	table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CUSTOMER\tSTATE\tPROPOSAL\tBY\tAPPROVED BY\tWHEN\tDONE")
	for _, l := range lines {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", serve.Printable(l.Customer), l.State, l.Proposal, l.By, cmp.Or(l.Decider, "-"), l.At.Format(time.RFC3339), cmp.Or(l.Result, "-"))
	}
	return table.Flush()
}
