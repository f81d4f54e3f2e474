package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
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
		Short:   "The keys of the data folder: make them, and see how they stand",
		Example: "  sallyport keys init --config sallyport.yaml --data /var/lib/sallyport --key-file /etc/sallyport/key.txt\n  sallyport keys status --data /var/lib/sallyport",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return noCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(m.keysInitCommand(), m.keysStatusCommand())
	return cmd
}

// keysOptions are the command line of keys init.
type keysOptions struct {
	config, data, keyFile string
	json                  bool
}

func (m *Main) keysInitCommand() *cobra.Command {
	var o keysOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the keys of a data folder, before anything is protected with them",
		Long: `Makes DIR/keys.ring with a random key for each join group of the configuration, all wrapped by the provider of its section
keys: the age identity in --key-file, which is made too where there is none, a Vault, or a cloud's key service. It refuses a folder
that has keys. 'sallyport protect' does the same by itself where nothing was made before.`,
		Example: "  sallyport keys init --config sallyport.yaml --data /var/lib/sallyport --key-file /etc/sallyport/key.txt",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.config == "" {
				return usagef("no configuration; expected --config sallyport.yaml")
			}
			config, err := LoadConfig(o.config)
			if err != nil {
				return err
			}
			if o.keyFile == "" && config.needsKeyFile() {
				return usagef("no key file; expected --key-file FILE, where the key that opens the keys is or will be")
			}
			return m.keysInit(cmd.Context(), config, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "configuration `FILE`")
	flags.StringVar(&o.data, "data", "sallyport-data", "data `FOLDER` that serve will use")
	flags.StringVar(&o.keyFile, "key-file", "", "`FILE` with the key that opens the keys, made where there is none")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (m *Main) keysInit(ctx context.Context, config *Config, o keysOptions) error {
	if err := keys.Harden(); err != nil {
		return err
	}
	if _, err := keys.Look(o.data); !errors.Is(err, keys.ErrNone) {
		if err != nil {
			return err
		}
		return fmt.Errorf("make keys: %s has keys already, and tokens made with them cannot be read with others", o.data)
	}
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	err := recordOffline(o.data, time.Now, func(give func(*sallyport.Event) error) error {
		opened, err := config.openKeys(ctx, keyring{o.data, o.keyFile, m.Getenv, time.Now}, true)
		if err != nil {
			return err
		}
		opened.Close()
		return give(&sallyport.Event{Kind: sallyport.KeysMade, Order: &sallyport.Order{Action: "keys_init"}})
	})
	if err != nil {
		return err
	}
	status, err := keys.Look(o.data)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(m.Stdout, status)
	}
	if err := m.printKeys(status); err != nil {
		return err
	}
	if config.needsKeyFile() {
		return printLine(m.Stdout, "Keep %s, apart from the data folder and its backups: without it nobody reads what is protected with these keys.", o.keyFile)
	}
	return printLine(m.Stdout, "Whoever may use %s opens these keys; without it nobody reads what is protected with them.", status.Provider)
}

// recordOffline lets a command that works on the data folder while no serve does put events into its control stream.
func recordOffline(data string, clock func() time.Time, do func(give func(*sallyport.Event) error) error) (err error) {
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
	})
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
	fmt.Fprintf(m.Stdout, "%s, wrapped by %s, change %d\n", s.File, s.Provider, s.Serial)
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
