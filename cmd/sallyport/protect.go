package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/protect"
	"sallyport/purpose"
	"sallyport/record"
	"sallyport/token"
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
				return usagef("no configuration; expected --config sallyport.yaml")
			}
			config, err := LoadConfig(o.config)
			if err != nil {
				return err
			}
			if o.keyFile == "" && config.needsKeyFile() && !o.live.dryRun && (!o.live.undo || o.live.proposal != "") {
				return usagef("no key file; expected --key-file FILE, where the key that opens the keys is or will be")
			}
			if !config.Protects() {
				return usagef("%s protects no columns; expected some under protect.columns", o.config)
			}
			o.live.control.m, o.live.control.data, o.live.control.json = m, o.data, o.json
			if o.live.dryRun {
				return m.estimateMove(cmd.Context(), config, o)
			}
			if o.live.online || o.live.undo {
				return m.protectLive(cmd.Context(), config, o)
			}
			return m.protect(cmd.Context(), config, o)
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

func (m *Main) protect(ctx context.Context, config *Config, o protectOptions) error {
	bars := newBars(m.Stderr)
	report, err := Protect(ctx, config, ProtectOptions{Owner: o.owner, Data: o.data, KeyFile: o.keyFile, ShareFiles: o.shareFiles, Getenv: m.Getenv, Progress: bars.set})
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
	if !config.needsKeyFile() {
		return printLine(m.Stdout, "Protected. Now: sallyport serve --config %s --data %s", config.file, o.data)
	}
	return printLine(m.Stdout, "Protected. Keep %s: without it nobody reads the values again. Now: sallyport serve --config %s --data %s --key-file %s",
		o.keyFile, config.file, o.data, o.keyFile)
}

// ProtectOptions are what Protect needs besides the configuration.
type ProtectOptions struct {
	Owner   string // DSN of the tables' owner; what it leaves out is the configuration's upstream
	Data    string
	KeyFile string
	Getenv  func(string) string // nil: nothing is set
	// ShareFiles are files with shares, where the keys are opened by them.
	ShareFiles []string
	Clock      func() time.Time // nil: time.Now
	Progress   func(table string, done, total int64)
	RangeRows  int // 0: protect's own
}

// Protect protects the configured columns with the keys and the record of the data folder, which must not be in use.
func Protect(ctx context.Context, config *Config, o ProtectOptions) (report protect.Report, err error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if err := keys.Harden(); err != nil {
		return report, err
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return report, fmt.Errorf("open data folder: %w", err)
	}
	key, err := config.recordKey(ctx, keyring{data: o.Data, keyFile: o.KeyFile, getenv: o.Getenv, clock: o.Clock}, true)
	if err == nil {
		err = config.encrypts(key, o.Data)
	}
	if err != nil {
		return report, err
	}
	quiet := slog.New(slog.DiscardHandler)
	access, err := openRecord(o.Data, "access", record.Options{Now: o.Clock, Key: key}, quiet)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, access.Close()) }()
	orderStream, err := openRecord(o.Data, "control", record.Options{Now: o.Clock, Key: key}, quiet)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, orderStream.Close()) }()
	return config.protectUnder(ctx, o, access, orderStream)
}

// protectUnder protects the columns and puts on record that it does, and what stood there before.
func (c *Config) protectUnder(ctx context.Context, o ProtectOptions, access, orderStream *record.Stream) (report protect.Report, err error) {
	began, err := c.hasBegun(orderStream)
	if err != nil {
		return report, err
	}
	state := control.NewState()
	orders, err := api.NewOrders(orderStream, state)
	if err != nil {
		return report, err
	}
	if err := c.approvedIn(state); err != nil {
		return report, err
	}
	assembly, err := c.openOffline(o.Data, o.ShareFiles, func(share string) error {
		return orders.Give(nil, &sallyport.Event{Time: o.Clock(), Kind: sallyport.Unsealing, Note: "for protect", Order: &sallyport.Order{Action: "unseal", Details: share}})
	})
	if err != nil {
		return report, err
	}
	_, missing := keys.Look(o.Data)
	opened, err := c.openKeys(ctx, keyring{data: o.Data, keyFile: o.KeyFile, getenv: o.Getenv, clock: o.Clock, assembly: assembly, known: state.Ring()}, true)
	if err != nil {
		return report, err
	}
	defer opened.Close()
	if err := destroyListed(opened, state); err != nil {
		return report, err
	}
	if errors.Is(missing, keys.ErrNone) {
		if err := orders.Give(nil, &sallyport.Event{Time: o.Clock(), Kind: sallyport.KeysMade, Order: &sallyport.Order{Action: "keys_init"}}); err != nil {
			return report, err
		}
	}
	if err := noteRing(orders, opened, o.Clock()); err != nil {
		return report, err
	}
	ring, err := c.ring(opened.Keys())
	if err != nil {
		return report, err
	}
	columns, err := c.codecs(ring)
	if err != nil {
		return report, err
	}
	if err := betweenKeys(opened, state, columns); err != nil {
		return report, fmt.Errorf("protect: %w", err)
	}
	reader, err := c.readerRole()
	if err != nil {
		return report, err
	}
	if err := c.ownReader(ctx, o.Owner); err != nil {
		return report, err
	}
	recorded, known := state.Protects(c.Upstream.Database)
	report, err = protect.Run(ctx, protect.Options{
		DSN: c.ownerDSN(o.Owner), Columns: columns, Reader: reader,
		RecordID: access.ID(), Position: access.Last(), Random: rand.Reader, Progress: o.Progress, RangeRows: o.RangeRows,
		Recorded: recorded, Renamed: !known, Dead: nothingBy(state.Dead),
		Begin: func(set protect.Set) error { return c.protecting(orders, set, o.Clock()) },
	})
	if err == nil {
		err = c.note(ctx, o)
	}
	if err != nil || began {
		return report, err
	}
	if err := c.baseline(ctx, access, o.Clock); err != nil {
		return report, err
	}
	return report, orders.Give(nil, &sallyport.Event{
		Time: o.Clock(), Kind: sallyport.Protected, Order: &sallyport.Order{Action: "protect", Details: c.Upstream.Database},
		Note: "configuration " + c.hash,
	})
}

// note has the database note changes of its description, if the owner may.
func (c *Config) note(ctx context.Context, o ProtectOptions) error {
	conn, err := pgx.Connect(ctx, c.ownerDSN(o.Owner))
	if err != nil {
		return errors.New("connect as the owner: the database went away") // it has just answered; the error might quote the address
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // its transaction has ended
	return catalog.Note(ctx, conn, c.Upstream.Reader.User)
}

// protecting puts on record what is about to be protected, unless that is what stands there.
func (c *Config) protecting(orders *api.Orders, set protect.Set, now time.Time) error {
	if recorded, known := orders.State().Protects(c.Upstream.Database); known && maps.Equal(recorded, set) {
		return nil
	}
	return orders.Give(nil, &sallyport.Event{
		Time: now, Kind: sallyport.Protecting, Note: "configuration " + c.hash,
		Order: &sallyport.Order{Action: "protect", Details: c.Upstream.Database, Columns: set},
	})
}

// hasBegun tells whether the database was protected before, by this record: then its tickets and contacts were taken down
// already, and what stands there now proves nothing.
func (c *Config) hasBegun(orders *record.Stream) (bool, error) {
	began := false
	err := orders.Read(1, func(e *sallyport.Event) error {
		began = began || e.Kind == sallyport.Protected && e.Order != nil && e.Order.Details == c.Upstream.Database
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("read the control stream: %w", err)
	}
	return began, nil
}

// baseline takes down the tickets and contacts that stand in the database when protection begins.
func (c *Config) baseline(ctx context.Context, access *record.Stream, clock func() time.Time) error {
	server, err := c.server(place{})
	if err != nil {
		return err
	}
	config, err := c.reader(server)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to %s as %s: %w", c.Upstream.Address, config.User, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	snapshot, err := catalog.Load(ctx, conn, c.Protect, c.Purposes.Tables())
	if err != nil {
		return err
	}
	return purpose.Baseline(ctx, conn, c.Purposes, snapshot, func(facts []sallyport.Fact) error {
		_, err := access.Append(&sallyport.Event{Time: clock(), Kind: sallyport.FactKind, Facts: facts, Note: purpose.BaselineNote})
		return err
	})
}

// formRing makes the ring with a key that is none: it shows the form of tokens, for which any key will do.
func (c *Config) formRing() (*token.Ring, error) {
	root, err := token.NewSecret(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		return nil, err
	}
	return c.ring(token.OneKey(root))
}

// protects is what this configuration protects and how.
func (c *Config) protects() (protect.Set, error) {
	ring, err := c.formRing()
	if err != nil {
		return nil, err
	}
	columns, err := c.codecs(ring)
	if err != nil {
		return nil, err
	}
	return protect.SetOf(columns), nil
}

// codecs makes the codec of each protected column.
func (c *Config) codecs(ring *token.Ring) ([]protect.Column, error) {
	var columns []protect.Column
	for _, name := range slices.Sorted(maps.Keys(c.Protect.Columns)) {
		column, ok := catalog.ParseColumn(name)
		if !ok {
			return nil, fmt.Errorf("read column %q: expected schema.table.column", name)
		}
		settings := c.Protect.Columns[name]
		codec, err := ring.Codec(token.Spec{Column: column, Scheme: settings.Scheme, Group: settings.Group, Prefixes: settings.Prefixes, NextPrefixes: settings.NextPrefixes, Region: settings.Region, Canonical: settings.Canonical, Shred: settings.Shred})
		if err != nil {
			return nil, err
		}
		made := protect.Column{Column: column, Codec: codec}
		if settings.Overflow == catalog.Vault {
			if made.Overflow, err = codec.Overflow(); err != nil {
				return nil, fmt.Errorf("protect %s: %w", column, err)
			}
		}
		columns = append(columns, made)
	}
	return columns, nil
}

// readerRole is the role that protect makes for serve. A password file that is not there yet is made.
func (c *Config) readerRole() (reader protect.Reader, err error) {
	reader.User = c.Upstream.Reader.User
	file := c.path(c.Upstream.Reader.PasswordFile)
	if file == "" {
		return reader, usagef("no password file of the reader; expected upstream.reader.password_file in %s", c.file)
	}
	made, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case err == nil:
		_, err = made.WriteString(rand.Text() + "\n")
		if err := errors.Join(err, made.Sync(), made.Close()); err != nil {
			return reader, fmt.Errorf("make the reader's password: %w", err)
		}
	case !errors.Is(err, fs.ErrExist):
		return reader, fmt.Errorf("make the reader's password: %w", err)
	}
	password, err := readSecretFile(file)
	if err != nil {
		return reader, err
	}
	reader.Password = protect.NewPassword(password)
	reader.Tables = c.readerTables()
	return reader, nil
}
