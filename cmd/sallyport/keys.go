package main

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
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

// recordOffline lets a command that works on the data folder while no serve does put events into its control stream.
func recordOffline(data string, clock func() time.Time, do func(state *control.State, give func(*sallyport.Event) error) error) (err error) {
	stream, err := openStream(data, "control", clock, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	orders, err := api.NewOrders(stream, control.NewState())
	if err != nil {
		return err
	}
	return do(orders.State(), func(e *sallyport.Event) error {
		e.Time = clock()
		return orders.Give(nil, e)
	})
}

func shareNames(q *keys.Quorum) string {
	names := make([]string, len(q.Shares))
	for i, share := range q.Shares {
		names[i] = share.Name
	}
	return strings.Join(names, ", ")
}
