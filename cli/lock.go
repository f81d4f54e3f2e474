package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
)

func (m *Main) lockCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "lock STAFF",
		Short: "Take somebody's access away, at once",
		Long: `Ends the live sessions of a person, a service or a log-in that nobody owns (login:NAME) within a second and refuses new
ones, also after a restart, until two people agree to unlock. Who has locked ten others within the hour (locks_per_hour in the
configuration) only proposes it: a second person approves.`,
		Example: "  sallyport lock s017 --reason 'laptop stolen' --as s050",
		Args:    exactly(1, "STAFF --reason TEXT --as ID"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` for the record")
	return m.controlCommand(cmd, func(cmd *cobra.Command, args []string, c *api.Client, f *controlFlags) error {
		if reason == "" {
			return config.Usagef("no reason; expected --reason 'what happened'")
		}
		status, err := c.Status(cmd.Context())
		if err != nil {
			return err
		}
		proposal, err := c.TryLock(cmd.Context(), sallyport.Staff(args[0]), reason)
		switch {
		case err != nil:
			return err
		case proposal != "" && f.json:
			return printJSON(m.Stdout, map[string]any{"staff": args[0], "locked": false, "proposal": proposal})
		case proposal != "":
			return printLine(m.Stdout, "%s is NOT locked yet: you have locked many within the hour, so a second person must agree: sallyport approve %s --as ID", args[0], proposal)
		}
		if f.json {
			return printJSON(m.Stdout, map[string]any{"staff": args[0], "locked": true, "observing": status.Observing})
		}
		if status.Observing {
			return printLine(m.Stdout, "The lock of %s is on record, but serve only observes: nobody is barred now. It bites once serve runs without --observe.", args[0])
		}
		_, err = fmt.Fprintf(m.Stdout, "%s is locked. To undo it: sallyport unlock %s --reason … --as ID, approved by somebody else.\n", args[0], args[0])
		return err
	})
}
