package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/serve"
)

func (m *Main) grantsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "grants",
		Short:   "List and read requests and grants, end them, review break-glasses",
		Example: "  sallyport grants ls --as s051\n  sallyport grants show gr-k3x7q2mzpa --as s051",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return noCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.grantsListCommand(), m.grantsShowCommand(), m.grantsEndCommand(), m.grantsReviewCommand())
	return cmd
}

func (m *Main) grantsListCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the requests and grants that concern you",
		Long:    "Lists what you asked for, may approve or approved; of leads and security everything. Without --all only what is open: requests, grants that hold, break-glasses that nobody reviewed.",
		Example: "  sallyport grants ls --as s051",
		Args:    exactly(0, ""),
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that are over")
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Grants(cmd.Context())
		if err != nil {
			return err
		}
		if !all {
			list = openGrants(list)
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"grants": list})
		}
		if len(list) == 0 {
			return printLine(m.Stdout, "Nothing is asked for, and no grant that concerns you holds.")
		}
		table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tSTATUS\tFOR\tCUSTOMERS\tUSUALLY\tUNTIL\tREASON\t")
		for _, g := range list {
			until, status := "", g.Status
			if !g.Until.IsZero() {
				until = g.Until.Format(time.RFC3339)
			}
			switch {
			case g.MayDecide:
				status += ", yours to decide"
			case g.Review != nil && g.Review.By == "":
				status += ", to be reviewed"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d, at most %d\t%s\t%s\t\n", g.ID, status, g.For, g.Asked, g.Usual.Median, g.Usual.Most, until, serve.Printable(g.Reason))
		}
		return table.Flush()
	})
}

func openGrants(list []api.Grant) []api.Grant {
	open := []api.Grant{}
	for _, g := range list {
		if g.Status == string(control.GrantAsked) || g.Status == string(control.GrantActive) || g.Review != nil && g.Review.By == "" {
			open = append(open, g)
		}
	}
	return open
}

func (m *Main) grantsShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Read a request: the two figures first, then why, who approved, and what was seen under it",
		Example: "  sallyport grants show gr-k3x7q2mzpa --as s051",
		Args:    exactly(1, "ID --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		g, err := c.Grant(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, g)
		}
		return m.printGrant(&g)
	})
}

func (m *Main) grantsEndCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "end ID",
		Short:   "End a grant before its time; results under way are cut",
		Example: "  sallyport grants end gr-k3x7q2mzpa --reason 'done' --as s017",
		Args:    exactly(1, "ID --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		g, err := c.EndGrant(cmd.Context(), args[0], reason)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, g)
		}
		return printLine(m.Stdout, "%s is %s.", g.ID, g.Status)
	})
}

func (m *Main) grantsReviewCommand() *cobra.Command {
	var finding, reason string
	cmd := &cobra.Command{
		Use:   "review ID",
		Short: "Say what you found about a break-glass: justified, or misused",
		Long: `Read first what was seen: sallyport grants show ID. Of somebody who misused it the access is taken at once. Nobody reviews his
own, nor that of somebody whom he reports to. Whose break-glass nobody reviews within a day is suspended.`,
		Example: "  sallyport grants review bg-k3x7q2mzpa --finding justified --reason 'INC-311, five customers called back' --as s051",
		Args:    exactly(1, "ID --finding justified|misused --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&finding, "finding", "", "`justified|misused`")
	cmd.Flags().StringVar(&reason, "reason", "", "what you found, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if finding != "justified" && finding != control.Misused {
			return config.Usagef("no finding %q; expected --finding justified or --finding misused", finding)
		}
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what you found'")
		}
		g, err := c.ReviewGlass(cmd.Context(), args[0], finding, reason)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, g)
		}
		return printLine(m.Stdout, "%s: reviewed, %s.", g.ID, finding)
	})
}
