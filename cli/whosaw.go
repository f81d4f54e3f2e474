package cli

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/serve"
)

func (m *Main) whoSawCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "who-saw CUSTOMER",
		Short: "Print who could read which field of a customer, when and why",
		Long: `CUSTOMER is the customer's id. Each line is one statement by which values of the customer left in plain, by the record.
A line marked (observed) is of a time when serve only observed: it has the statement's fields, which everybody could read
then. A column marked * was found by an equal value only: the row that carried it was not the customer's, or nobody knows
whose. That you asked is itself recorded.`,
		Example: "  sallyport who-saw 48211 --as s051",
		Args:    exactly(1, "CUSTOMER --as ID"),
	}
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		status, err := c.Status(cmd.Context())
		if err != nil {
			return err
		}
		list, err := c.WhoSaw(cmd.Context(), sallyport.Subject(args[0]))
		if err != nil {
			return err
		}
		if err := m.printSightings(args[0], list, f.json); err != nil || f.json || !status.Observing {
			return err
		}
		return printLine(m.Stdout, "serve only observes: everybody reads plain values. A row that was read without its customer's key is not listed.")
	})
}

func (m *Main) printSightings(customer string, list []api.Sighting, asJSON bool) error {
	if asJSON {
		return printJSON(m.Stdout, map[string]any{"customer": customer, "sightings": list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintf(m.Stdout, "By the record, nobody saw anything of customer %s.\n", customer)
		return err
	}
	table := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHEN\tWHO\tWHY\tHOW\tFIELDS")
	for _, s := range list {
		why := strings.Join(s.Purposes, ",")
		if s.Grant != "" {
			why = strings.Trim(why+",grant:"+s.Grant, ",")
		}
		who := string(s.Staff)
		if s.Via != "" {
			who += " via " + string(s.Via)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.Time.Format(time.RFC3339), who, serve.Printable(why),
			serve.Printable(strings.TrimSpace(s.Verb+" "+s.Application)), strings.Join(sightedFields(&s), ", "))
	}
	return table.Flush()
}

// sightedFields names the fields that were seen; a star marks one that was found by its value, in rows of somebody else.
func sightedFields(s *api.Sighting) []string {
	fields := slices.Clone(s.Columns)
	for i, column := range fields {
		if slices.Contains(s.ByValue, column) {
			fields[i] += "*"
		}
	}
	if len(s.Under) > 0 {
		under := make([]string, len(s.Under))
		for i, subject := range s.Under {
			under[i] = string(subject)
		}
		fields = append(fields, "(* in rows of "+strings.Join(under, ", ")+")")
	}
	if s.Observed {
		fields = append(fields, "(observed)")
	}
	return fields
}
