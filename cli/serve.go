package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/keys"
	"sallyport/serve"
)

// serveOptions are the command line of serve.
type serveOptions struct {
	config, upstream, listen, data, keyFile, owner string
	role                                           string
	observe, await, movingIn, onlyOrders, json     bool
	drain                                          time.Duration
}

func (m *Main) serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Stand in front of the database: the gateway, the record and the control socket",
		Long: `Serves clients until it is interrupted. With --config it protects the configured columns of a database that 'sallyport
protect' has prepared, and masks in results those that stay plain there (section mask); without one it protects nothing,
relays every database and role, and records. In front of a database that is protected it refuses to start without the
configuration, with one that protects other columns, or with another or an older record. With --observe, in front of plain
values, it masks, cuts and locks nothing and prints what it would have done.`,
		Example: `  sallyport serve --config sallyport.yaml --data /var/lib/sallyport --key-file /etc/sallyport/key.txt
  sallyport serve --upstream postgres://127.0.0.1:5432 --listen 127.0.0.1:6432 --data ./data
  sallyport serve --role controller --config sallyport.yaml --data /var/lib/sallyport --key-file /etc/sallyport/key.txt
  sallyport serve --observe --owner postgres://postgres@127.0.0.1:5432/support --config sallyport.yaml --data ./observed`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return m.serve(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "configuration `FILE`; without one nothing is protected")
	flags.StringVar(&o.role, "role", string(serve.Alone), "alone: everything; controller: count for gateways and hear orders; gateway: serve clients as its controller says")
	flags.StringVar(&o.upstream, "upstream", "", "server to stand in front of, postgres://`HOST:PORT`?sslmode=…&sslrootcert=… or unix:PATH (default: the configuration's)")
	flags.StringVar(&o.listen, "listen", "", "`HOST:PORT` or unix:PATH for clients (default: the configuration's)")
	flags.StringVar(&o.data, "data", "sallyport-data", "`FOLDER` of the record and the control socket")
	flags.StringVar(&o.keyFile, "key-file", "", "`FILE` with the key that opens the keys, made at the first start")
	flags.BoolVar(&o.observe, "observe", false, "mask, cut and lock nothing; print what would have been done (before anything is protected)")
	flags.StringVar(&o.owner, "owner", "", "with --observe or --moving-in: `DSN` of the tables' owner, who makes the reader's role first; needed once")
	flags.BoolVar(&o.movingIn, "moving-in", false, "let configured columns be plain that protect has not begun with: 'protect --online' moves them in while serve runs")
	flags.BoolVar(&o.await, "await-agreement", false, "with a record that does not fit the database: serve nobody until two people accept it")
	flags.BoolVar(&o.onlyOrders, "only-orders", false, "serve nobody and only hear orders: to approve a configuration where the approved one cannot be served")
	flags.DurationVar(&o.drain, "drain", -1, "how long transactions may take to their end when serve is told to stop (default: the configuration's, 30s)")
	flags.Lookup("drain").DefValue = "0s" // so that help says nothing of -1
	flags.BoolVar(&o.json, "json", false, "print and log JSON")
	return cmd
}

func (m *Main) serve(ctx context.Context, o serveOptions) error {
	var shares *keys.Assembly
	for {
		options, err := m.serverOptions(o)
		if err != nil {
			return err
		}
		options.Shares = shares
		err = m.serveWith(ctx, o, options)
		anew, ok := errors.AsType[*serve.BeginAnew](err)
		if !ok || ctx.Err() != nil {
			return err
		}
		m.logger(o.json).Info("beginning anew", "why", anew.Why)
		shares = cmp.Or(anew.Shares, shares)
	}
}

func (m *Main) serveWith(ctx context.Context, o serveOptions, options serve.Options) error {
	if err := keys.Harden(); err != nil {
		return err
	}
	if o.owner != "" {
		if err := serve.PrepareReader(ctx, options, o.owner); err != nil {
			return err
		}
	}
	s, err := serve.Start(ctx, options)
	if err != nil {
		return err
	}
	if err := m.announce("starting", s, o); err != nil {
		return err
	}
	defer serve.OnHangup(s.Renew)()
	if m.Getenv("GOMAXPROCS") == "" {
		defer serve.FitProcessors(s.AccessStream.Syncs)()
	}
	select {
	case <-s.Ready():
		if err := m.announce("ready", s, o); err != nil {
			return err
		}
	case <-s.Done():
	}
	return s.Err()
}

func (m *Main) serverOptions(o serveOptions) (serve.Options, error) {
	options := serve.Options{Upstream: o.upstream, Listen: o.listen, Data: o.data, KeyFile: o.keyFile, Getenv: m.Getenv, AwaitAgreement: o.await, MovingIn: o.movingIn, OnlyOrders: o.onlyOrders, Role: serve.Role(o.role), Log: m.logger(o.json)}
	if o.config != "" {
		config, err := config.Load(o.config)
		if err != nil {
			return options, err
		}
		options.Config = config
	}
	options.Drain = o.drain
	if o.drain < 0 {
		var err error
		if options.Drain, err = cmp.Or(options.Config, &config.Config{}).DrainFor(); err != nil {
			return options, err
		}
	}
	switch {
	case o.observe && (options.Config == nil || !options.Config.Protects()):
		return options, config.Usagef("nothing to observe; expected --config FILE with the columns that are to be protected")
	case o.owner != "" && !o.observe && !o.movingIn:
		return options, config.Usagef("an --owner, whom only observing and moving in need; expected --observe or --moving-in, or 'sallyport protect --owner DSN'")
	case o.movingIn && (o.observe || options.Config == nil || !options.Config.Protects()):
		return options, config.Usagef("nothing to move in; expected --config FILE with the columns that are to be protected, and no --observe")
	case o.observe:
		options.Observe = m.Stdout
	}
	return options, options.Role.Check(&options)
}

// logger writes the log to standard error. What it is given never holds a value, a literal or a key.
func (m *Main) logger(asJSON bool) *slog.Logger {
	var handler slog.Handler = slog.NewTextHandler(m.Stderr, nil)
	if asJSON {
		handler = slog.NewJSONHandler(m.Stderr, nil)
	}
	return slog.New(handler)
}

// announce says on standard output how far serve is, so that a script can wait for a line.
func (m *Main) announce(state string, s *serve.Server, o serveOptions) error {
	if o.json {
		return printJSON(m.Stdout, map[string]any{"state": state, "listen": s.Addr().String(), "control": s.Control(), "unapproved": s.Unapproved})
	}
	guards := "protects nothing, relays and records"
	if s.Hub != nil {
		return printLine(m.Stdout, "sallyport: %s as controller of %d gateways on %s", state, len(s.O.Config.Gateways.Names), s.Addr())
	}
	if config := s.O.Config; config.Protects() {
		guards = fmt.Sprintf("guards %d columns of database %s%s", len(config.Protect.Columns), config.Upstream.Database, s.OnTheirWay())
		if o.observe {
			guards = fmt.Sprintf("observes %d columns of database %s and protects nothing", len(config.Protect.Columns), config.Upstream.Database)
		}
	}
	if n := len(s.O.Config.Mask.Columns); n > 0 && !o.observe {
		guards += fmt.Sprintf("; masks %d, which are not protected", n)
	}
	if s.Unapproved {
		guards += "; the files on disk are not approved, the approved ones hold (sallyport status says what to do)"
	}
	return printLine(m.Stdout, "sallyport: %s on %s, in front of %s; %s", state, s.Addr(), s.Upstream.Address, guards)
}

func printLine(w io.Writer, format string, args ...any) error {
	if _, err := fmt.Fprintf(w, format+"\n", args...); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
