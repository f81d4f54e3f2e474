package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sallyport"
	"sallyport/config"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/serve"
)

// keysOptions are the command line of keys init.
type keysOptions struct {
	config, data, keyFile   string
	quorum, names, sharesTo string
	json                    bool
}

func (m *Main) keysInitCommand() *cobra.Command {
	var o keysOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the keys of a data folder, before anything is protected with them",
		Long: `Makes DIR/keys.ring with a random key for each join group of the configuration, all wrapped by the provider of its section
keys: the age identity in --key-file, which is made too where there is none, a Vault, or a cloud's key service. It refuses a folder
that has keys. 'sallyport protect' does the same by itself where nothing was made before.

With keys.provider: quorum what opens the keys is split into N shares of which K are needed (--quorum K-of-N). They are printed
once, or written to a file each (--shares-to): give each to another person. They are kept nowhere else.`,
		Example: `  sallyport keys init --config sallyport.yaml --data /var/lib/sallyport --key-file /etc/sallyport/key.txt
  sallyport keys init --config sallyport.yaml --data /var/lib/sallyport --quorum 2-of-3 --names anna,ben,carla --shares-to /media/usb`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, split, err := o.check()
			if err != nil {
				return err
			}
			return m.keysInit(cmd.Context(), config, split, o)
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

func (o *keysOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.config, "config", "", "configuration `FILE`")
	flags.StringVar(&o.data, "data", "sallyport-data", "data `FOLDER` that serve will use")
	flags.StringVar(&o.keyFile, "key-file", "", "`FILE` with the key that opens the keys, made where there is none")
	flags.StringVar(&o.quorum, "quorum", "", "how many shares of how many open the keys, `K-of-N`")
	flags.StringVar(&o.names, "names", "", "what the shares are called, `A,B,…` (default share1,share2,…)")
	flags.StringVar(&o.sharesTo, "shares-to", "", "`FOLDER` for a file NAME.share each (default: print them, once)")
	flags.BoolVar(&o.json, "json", false, "print JSON")
}

// check reads the configuration and, where what opens the keys is to be split, splits it.
func (o *keysOptions) check() (*config.Config, *keys.Split, error) {
	if o.config == "" {
		return nil, nil, config.Usagef("no configuration; expected --config sallyport.yaml")
	}
	settings, err := config.Load(o.config)
	if err != nil {
		return nil, nil, err
	}
	splits := settings.Keys.Provider == keys.QuorumProvider
	switch {
	case splits && o.quorum == "":
		return nil, nil, config.Usagef("no quorum; expected --quorum 2-of-3, or another keys.provider than quorum in %s", o.config)
	case !splits && o.quorum+o.names+o.sharesTo != "":
		return nil, nil, config.Usagef("%s does not say that the keys are opened by shares; expected keys: {provider: quorum}", o.config)
	case o.keyFile == "" && settings.NeedsKeyFile():
		return nil, nil, config.Usagef("no key file; expected --key-file FILE, where the key that opens the keys is or will be")
	case !splits:
		return settings, nil, nil
	}
	need, of, err := keys.ParseQuorum(o.quorum)
	if err != nil {
		return nil, nil, config.Usagef("%w", err)
	}
	names := strings.Split(o.names, ",")
	if o.names == "" {
		names = nil
		for i := range of {
			names = append(names, fmt.Sprintf("share%d", i+1))
		}
	}
	if len(names) != of {
		return nil, nil, config.Usagef("%d names for %d shares; expected one for each", len(names), of)
	}
	split, err := keys.NewSplit(need, names)
	if err != nil {
		return nil, nil, config.Usagef("%w", err)
	}
	return settings, split, nil
}

func (m *Main) keysInit(ctx context.Context, config *config.Config, split *keys.Split, o keysOptions) error {
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
	// Before the ring: who has shares without a ring has lost nothing, and who has a ring without its shares has lost everything.
	if split != nil && o.sharesTo != "" {
		if err := serve.WriteShares(o.sharesTo, o.data, split.Shares); err != nil {
			return err
		}
	}
	where := serve.Keyring{Data: o.data, KeyFile: o.keyFile, Getenv: m.Getenv, Clock: time.Now}
	err := serve.RecordOffline(config, ctx, where, true, func(state *control.State, give func(*sallyport.Event) error) error {
		where.Known = state.Ring()
		opened, err := makeKeys(config, ctx, where, split)
		if err != nil {
			return err
		}
		defer opened.Close()
		ring, err := opened.Known()
		if err != nil {
			return err
		}
		return give(&sallyport.Event{Kind: sallyport.KeysMade, Order: &sallyport.Order{Action: "keys_init", Ring: &ring}})
	})
	if err != nil {
		return err
	}
	return m.printMade(config, split, o)
}

// printMade says what was made and what to keep.
func (m *Main) printMade(config *config.Config, split *keys.Split, o keysOptions) error {
	status, err := keys.Look(o.data)
	if err != nil {
		return err
	}
	if o.json {
		answer := struct {
			keys.Status
			Shares map[string]string `json:"shares,omitempty"`
		}{Status: status}
		if split != nil && o.sharesTo == "" {
			answer.Shares = map[string]string{}
			for _, share := range split.Shares {
				answer.Shares[share.Name] = share.Text()
			}
		}
		return printJSON(m.Stdout, answer)
	}
	if err := m.printKeys(status); err != nil {
		return err
	}
	switch {
	case split != nil && o.sharesTo != "":
		return printLine(m.Stdout, "%d shares are in %s. Give each to another person: %d of them open the keys, and with fewer nobody reads what is protected with them.",
			len(split.Shares), o.sharesTo, split.Quorum.Need)
	case split != nil:
		for _, share := range split.Shares {
			fmt.Fprintf(m.Stdout, "%s\n", share.Text())
		}
		return printLine(m.Stdout, "Give each share to another person, now: they are not shown again. %d of them open the keys, and with fewer nobody reads what is protected with them.", split.Quorum.Need)
	case config.NeedsKeyFile():
		return printLine(m.Stdout, "Keep %s, apart from the data folder and its backups: without it nobody reads what is protected with these keys.", o.keyFile)
	}
	return printLine(m.Stdout, "Whoever may use %s opens these keys; without it nobody reads what is protected with them.", status.Provider)
}
