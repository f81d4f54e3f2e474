package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/serve"
)

// protectOptions are the command line of protect.
type protectOptions struct {
	config, data, keyFile, owner string
	shareFiles                   []string
	json                         bool
	live                         liveOptions
}

func (m *Main) protectCommand() *cobra.Command {
	var o protectOptions
	cmd := &cobra.Command{
		Use:   "protect",
		Short: "Turn the values of the protected columns into tokens, and mark the database",
		Long: `Replaces every value of the configured columns by its token, while nobody else is connected, and makes the reader's role.
A run that was interrupted goes on where it stopped. Make a backup of the database first, and keep the key file apart from
it: without keys nobody reads the values again. Clients connect through 'sallyport serve' from then on.

With --online everybody goes on working, through a 'sallyport serve --moving-in' that runs with the same data folder: rows change range
by range, and meanwhile both kinds are found, read and written as tokens. --undo turns tokens back into plain values in the same
way, once two people have agreed.`,
		Example: `  sallyport protect --config sallyport.yaml --data /var/lib/sallyport --key-file /etc/sallyport/key.txt --owner postgres://postgres@127.0.0.1:5432/support
  sallyport protect --online --rate 20000 --as s050 --config sallyport.yaml --data ./data --key-file ./key.txt --owner postgres://postgres@127.0.0.1:5432/support
  sallyport protect --undo --reason 'contract ended' --as s050 --config sallyport.yaml --data ./data --key-file ./key.txt`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.config == "" {
				return config.Usagef("no configuration; expected --config sallyport.yaml")
			}
			settings, err := config.Load(o.config)
			if err != nil {
				return err
			}
			if o.keyFile == "" && settings.NeedsKeyFile() && !o.live.dryRun && (!o.live.undo || o.live.proposal != "") {
				return config.Usagef("no key file; expected --key-file FILE, where the key that opens the keys is or will be")
			}
			if !settings.Protects() {
				return config.Usagef("%s protects no columns; expected some under protect.columns", o.config)
			}
			o.live.control.m, o.live.control.data, o.live.control.json = m, o.data, o.json
			if o.live.dryRun {
				return m.estimateMove(cmd.Context(), settings, o)
			}
			if o.live.online || o.live.undo {
				return m.protectLive(cmd.Context(), settings, o)
			}
			return m.protect(cmd.Context(), settings, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "configuration `FILE`")
	flags.StringVar(&o.data, "data", "sallyport-data", "data `FOLDER` that serve will use")
	flags.StringVar(&o.keyFile, "key-file", "", "`FILE` with the key that opens the keys, made at the first start")
	flags.StringArrayVar(&o.shareFiles, "share-file", nil, "`FILE` with a share of the keys, for each that it takes (where the configuration says keys.provider: quorum)")
	flags.StringVar(&o.owner, "owner", "", "`DSN` of the tables' owner, who may create roles (password: PGPASSWORD or ~/.pgpass)")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	o.live.flags(flags)
	return cmd
}

func (m *Main) protect(ctx context.Context, config *config.Config, o protectOptions) error {
	bars := newBars(m.Stderr)
	report, err := serve.Protect(ctx, config, serve.ProtectOptions{Owner: o.owner, Data: o.data, KeyFile: o.keyFile, ShareFiles: o.shareFiles, Getenv: m.Getenv, Progress: bars.set})
	bars.end()
	if err != nil {
		return err
	}
	if o.json {
		columns := make([]map[string]any, len(report.Columns))
		for i, c := range report.Columns {
			columns[i] = map[string]any{"column": c.Column.String(), "tokens": c.Tokens, "moved": c.Moved}
		}
		return printJSON(m.Stdout, map[string]any{"columns": columns})
	}
	for _, c := range report.Columns {
		fmt.Fprintf(m.Stdout, "%-40s %d values are tokens, %d of them by this run\n", c.Column, c.Tokens, c.Moved)
	}
	if !config.NeedsKeyFile() {
		return printLine(m.Stdout, "Protected. Now: sallyport serve --config %s --data %s", config.File, o.data)
	}
	return printLine(m.Stdout, "Protected. Keep %s: without it nobody reads the values again. Now: sallyport serve --config %s --data %s --key-file %s",
		o.keyFile, config.File, o.data, o.keyFile)
}
