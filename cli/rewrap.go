package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/config"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/serve"
)

func (m *Main) keysRewrapCommand() *cobra.Command {
	var o keysOptions
	var former string
	var shareFiles []string
	cmd := &cobra.Command{
		Use:   "rewrap",
		Short: "Give the keys to another provider, or to a new quorum, while no serve runs",
		Long: `Opens the keys with the provider that has them now (--from) and wraps them by the one of the configuration's section keys. Tokens
stay what they are. Copies of the former keys.ring are still opened by the former provider: destroy one of the two.`,
		Example: `  sallyport keys rewrap --from age --key-file /etc/sallyport/key.txt --config sallyport.yaml --data /var/lib/sallyport --quorum 2-of-3 --names anna,ben,carla --shares-to /media/usb
  sallyport keys rewrap --from quorum --share-file a.share --share-file b.share --config sallyport.yaml --data /var/lib/sallyport --key-file key.txt`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, split, err := o.check()
			if err != nil {
				return err
			}
			if err := keys.CheckProvider(former); err != nil {
				return config.Usagef("%w", err)
			}
			return m.keysRewrap(cmd.Context(), settings, split, o, former, shareFiles)
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&former, "from", keys.AgeProvider, "`PROVIDER` that has the keys now, as in the configuration")
	cmd.Flags().StringArrayVar(&shareFiles, "share-file", nil, "`FILE` with a share, for each that it takes (with --from quorum)")
	return cmd
}

func (m *Main) keysRewrap(ctx context.Context, config *config.Config, split *keys.Split, o keysOptions, former string, shareFiles []string) error {
	if err := keys.Harden(); err != nil {
		return err
	}
	before := *config
	before.Keys.Provider = former
	where := serve.Keyring{Data: o.data, KeyFile: o.keyFile, Getenv: m.Getenv, Clock: time.Now}
	err := serve.RecordOffline(&before, ctx, where, false, func(state *control.State, give func(*sallyport.Event) error) error {
		assembly, err := serve.OpenOffline(&before, o.data, shareFiles, func(share string) error {
			return give(&sallyport.Event{Kind: sallyport.Unsealing, Note: "for keys rewrap", Order: &sallyport.Order{Action: "unseal", Details: share}})
		})
		if err != nil {
			return err
		}
		where.Assembly = assembly
		from, err := serve.KeyProvider(&before, ctx, where)
		if err != nil {
			return err
		}
		to := keys.Provider(split)
		if split == nil {
			if to, err = serve.KeyProvider(config, ctx, where); err != nil {
				return err
			}
		}
		if err := o.handOut(split); err != nil {
			return err
		}
		if err := rewrapRecord(config, ctx, &before, where); err != nil {
			return err
		}
		ring, err := keys.Rewrap(ctx, keys.Options{Dir: o.data, Provider: from, Known: state.Ring()}, to)
		if err != nil {
			return err
		}
		return give(&sallyport.Event{
			Kind: sallyport.KeysMade, Note: "rewrapped from " + from.Name() + " to " + to.Name(), Order: &sallyport.Order{Action: "keys_rewrap", Ring: &ring},
		})
	})
	if err != nil {
		return err
	}
	return m.printMade(config, split, o)
}

// handOut writes the shares of a new secret, where there is one and a folder for them.
func (o *keysOptions) handOut(split *keys.Split) error {
	if split == nil || o.sharesTo == "" {
		return nil
	}
	return serve.WriteShares(o.sharesTo, o.data, split.Shares)
}

// rewrapRecord gives the key of the record to the provider that the configuration names for it, where that is another one. It comes before the
// ring: whoever is stopped in between runs the command again.
func rewrapRecord(c *config.Config, ctx context.Context, before *config.Config, where serve.Keyring) error {
	made, err := keys.LookRecord(where.Data)
	if errors.Is(err, keys.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	to, err := serve.RecordProvider(c, ctx, where)
	if err != nil || to == nil || to.Name() == made {
		return err
	}
	from, err := serve.RecordProvider(before, ctx, where)
	if err == nil && from != nil && from.Name() != made && made == keys.AgeProvider && where.KeyFile != "" {
		from = &keys.KeyFile{Path: where.KeyFile, Dir: where.Data}
	}
	if err != nil || from == nil {
		return errors.Join(err, config.Usagef("the key of the record was wrapped by %s; expected --from %s, and what opens it", made, made))
	}
	return keys.RewrapRecord(ctx, where.Data, from, to, time.Now())
}
