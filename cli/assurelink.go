package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/api"
	"sallyport/config"
	"sallyport/serve"
)

func (m *Main) assureLinkCommand() *cobra.Command {
	var q api.LinkRequest
	customer := ""
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Make a link that shows a customer which kind of staff has seen his data",
		Long: `The page behind the link says on which day which kind of staff looked, at what and why, in plain words, and no name. Whoever has the link sees it, so send it
to the customer's contact details on file alone. It is printed once.`,
		Example: "  sallyport assure link --customer 48211 --days 14 --language de --reason 'he asked in writing' --as s050\n  sallyport assure link ls --as s050\n  sallyport assure link end eW91IGhhdmUgcmVhZCE --reason 'sent to the wrong address' --as s050",
		Args:    exactly(0, "--customer ID --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&customer, "customer", "", "the customer's `ID`")
	cmd.Flags().IntVar(&q.Days, "days", 14, "how long it holds, 90 at most")
	cmd.Flags().StringVar(&q.Language, "language", "en", "of the page, `LANGUAGE`")
	cmd.Flags().StringVar(&q.Reason, "reason", "", "why, as `TEXT` for the record")
	m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		if customer == "" || q.Reason == "" {
			return config.Usagef("no customer, or no reason; expected --customer ID --reason 'why'")
		}
		q.Customer = serve.SubjectOf(customer)
		link, err := c.IssueLink(cmd.Context(), q)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, link)
		}
		return printLine(m.Stdout, "%s\nSend it to the customer at the contact details on file; it holds until %s. It is not shown again; its id is %s.", link.Link, link.Until.Format(time.RFC3339), link.ID)
	})
	cmd.AddCommand(m.assureLinkListCommand(), m.assureLinkEndCommand())
	return cmd
}

func (m *Main) assureLinkListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List those that hold",
		Example: "  sallyport assure link ls --as s050 --json",
		Args:    exactly(0, "--as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, _ []string, c *api.Client, f *controlFlags) error {
		list, err := c.Links(cmd.Context())
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"links": list})
		}
		if len(list) == 0 {
			return printLine(m.Stdout, "No link holds.")
		}
		table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "LINK\tCUSTOMER\tUNTIL\tBY\tOPENED")
		for _, l := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\n", l.ID, serve.Printable(string(l.Customer)), l.Until.Format(time.RFC3339), l.By, l.Opened)
		}
		return table.Flush()
	})
}

func (m *Main) assureLinkEndCommand() *cobra.Command {
	reason := ""
	cmd := &cobra.Command{
		Use:     "end LINK",
		Short:   "End one: it shows nothing from then on",
		Example: "  sallyport assure link end eW91IGhhdmUgcmVhZCE --reason 'sent to the wrong address' --as s050",
		Args:    exactly(1, "LINK --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if err := c.EndLink(cmd.Context(), args[0], reason); err != nil {
			return err
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"link": args[0], "ended": true})
		}
		return printLine(m.Stdout, "%s shows nothing any more.", args[0])
	})
}
