package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"
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
func recordOffline(data string, clock func() time.Time, do func(give func(*sallyport.Event) error, state *control.State) error) (err error) {
	stream, err := openStream(data, "control", clock, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	orders, err := api.NewOrders(stream, control.NewState())
	if err != nil {
		return err
	}
	return do(func(e *sallyport.Event) error {
		e.Time = clock()
		return orders.Give(nil, e)
	}, orders.State())
}

func (m *Main) keysStatusCommand() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print which keys the data folder has, without opening them",
		Long: `Prints the provider and, for each tenant, join group and epoch, when its key was made and destroyed. Nothing is unwrapped, so that
it needs no key, and works beside a running serve; what it prints is what the file says, which serve checks when it starts.`,
		Example: "  sallyport keys status --data /var/lib/sallyport",
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			status, err := keys.Look(data)
			if errors.Is(err, keys.ErrNone) {
				return fmt.Errorf("look at keys: %w in %s; 'sallyport keys init' or 'sallyport protect' makes some", err, data)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(m.Stdout, status)
			}
			return m.printKeys(status)
		},
	}
	cmd.Flags().StringVar(&data, "data", "sallyport-data", "data `FOLDER`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (m *Main) printKeys(s keys.Status) error {
	provider := s.Provider
	if s.Quorum != nil {
		provider = fmt.Sprintf("a quorum of %d of %d shares (%s)", s.Quorum.Need, len(s.Quorum.Shares), shareNames(s.Quorum))
	}
	fmt.Fprintf(m.Stdout, "%s, wrapped by %s, change %d\n", s.File, provider, s.Serial)
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TENANT\tGROUP\tEPOCH\tMADE\tSTATE")
	newest := map[[2]string]int{}
	for _, k := range s.Keys {
		at := [2]string{k.Tenant, k.Group}
		newest[at] = max(newest[at], k.Epoch)
	}
	for _, k := range s.Keys {
		group, state := k.Group, "makes and reads tokens"
		switch {
		case !k.Destroyed.IsZero():
			state = "destroyed " + k.Destroyed.Format(time.DateOnly)
		case group == "":
			group, state = "-", "digests of the record"
		case k.Epoch < newest[[2]string{k.Tenant, k.Group}]:
			state = "reads tokens"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", k.Tenant, group, k.Epoch, k.Made.Format(time.DateOnly), state)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

func shareNames(q *keys.Quorum) string {
	names := make([]string, len(q.Shares))
	for i, share := range q.Shares {
		names[i] = share.Name
	}
	return strings.Join(names, ", ")
}
