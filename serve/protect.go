package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/catalog"
	"sallyport/config"
	"sallyport/control"
	"sallyport/entrance"
	"sallyport/keys"
	"sallyport/protect"
	"sallyport/purpose"
	"sallyport/record"
)

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
func Protect(ctx context.Context, config *config.Config, o ProtectOptions) (report protect.Report, err error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if err := keys.Harden(); err != nil {
		return report, err
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return report, fmt.Errorf("open data folder: %w", err)
	}
	key, err := RecordKey(config, ctx, Keyring{Data: o.Data, KeyFile: o.KeyFile, Getenv: o.Getenv, Clock: o.Clock}, true)
	if err == nil {
		err = config.Encrypts(key, o.Data)
	}
	if err != nil {
		return report, err
	}
	quiet := slog.New(slog.DiscardHandler)
	access, err := OpenRecord(o.Data, "access", record.Options{Now: o.Clock, Key: key}, quiet)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, access.Close()) }()
	orderStream, err := OpenRecord(o.Data, "control", record.Options{Now: o.Clock, Key: key}, quiet)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, orderStream.Close()) }()
	return protectUnder(config, ctx, o, access, orderStream)
}

// protectUnder protects the columns and puts on record that it does, and what stood there before.
func protectUnder(c *config.Config, ctx context.Context, o ProtectOptions, access, orderStream *record.Stream) (report protect.Report, err error) {
	began, err := hasBegun(c, orderStream)
	if err != nil {
		return report, err
	}
	state := control.NewState()
	orders, err := api.NewOrders(orderStream, state)
	if err != nil {
		return report, err
	}
	if err := approvedIn(c, state); err != nil {
		return report, err
	}
	assembly, err := OpenOffline(c, o.Data, o.ShareFiles, func(share string) error {
		return orders.Give(nil, &sallyport.Event{Time: o.Clock(), Kind: sallyport.Unsealing, Note: "for protect", Order: &sallyport.Order{Action: "unseal", Details: share}})
	})
	if err != nil {
		return report, err
	}
	_, missing := keys.Look(o.Data)
	opened, err := OpenKeys(c, ctx, Keyring{Data: o.Data, KeyFile: o.KeyFile, Getenv: o.Getenv, Clock: o.Clock, Assembly: assembly, Known: state.Ring()}, true)
	if err != nil {
		return report, err
	}
	defer opened.Close()
	if err := DestroyListed(opened, state); err != nil {
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
	ring, err := c.Ring(opened.Keys())
	if err != nil {
		return report, err
	}
	columns, err := c.Codecs(ring)
	if err != nil {
		return report, err
	}
	if err := BetweenKeys(opened, state, columns); err != nil {
		return report, fmt.Errorf("protect: %w", err)
	}
	reader, err := readerRole(c)
	if err != nil {
		return report, err
	}
	if err := ownReader(c, ctx, o.Owner); err != nil {
		return report, err
	}
	recorded, known := state.Protects(c.Upstream.Database)
	report, err = protect.Run(ctx, protect.Options{
		DSN: c.OwnerDSN(o.Owner), Columns: columns, Reader: reader,
		RecordID: access.ID(), Position: access.Last(), Random: rand.Reader, Progress: o.Progress, RangeRows: o.RangeRows,
		Recorded: recorded, Renamed: !known, Dead: nothingBy(state.Dead),
		Begin: func(set protect.Set) error { return protecting(c, orders, set, o.Clock()) },
	})
	if err == nil {
		err = noteMark(c, ctx, o)
	}
	if err != nil || began {
		return report, err
	}
	if err := baseline(c, ctx, access, o.Clock); err != nil {
		return report, err
	}
	return report, orders.Give(nil, &sallyport.Event{
		Time: o.Clock(), Kind: sallyport.Protected, Order: &sallyport.Order{Action: "protect", Details: c.Upstream.Database},
		Note: "configuration " + c.Hash,
	})
}

// noteMark has the database note changes of its description, if the owner may.
func noteMark(c *config.Config, ctx context.Context, o ProtectOptions) error {
	conn, err := pgx.Connect(ctx, c.OwnerDSN(o.Owner))
	if err != nil {
		return errors.New("connect as the owner: the database went away") // it has just answered; the error might quote the address
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // its transaction has ended
	return catalog.Note(ctx, conn, c.Upstream.Reader.User)
}

// protecting puts on record what is about to be protected, unless that is what stands there.
func protecting(c *config.Config, orders *api.Orders, set protect.Set, now time.Time) error {
	if recorded, known := orders.State().Protects(c.Upstream.Database); known && maps.Equal(recorded, set) {
		return nil
	}
	return orders.Give(nil, &sallyport.Event{
		Time: now, Kind: sallyport.Protecting, Note: "configuration " + c.Hash,
		Order: &sallyport.Order{Action: "protect", Details: c.Upstream.Database, Columns: set},
	})
}

// hasBegun tells whether the database was protected before, by this record: then its tickets and contacts were taken down
// already, and what stands there now proves nothing.
func hasBegun(c *config.Config, orders *record.Stream) (bool, error) {
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
func baseline(c *config.Config, ctx context.Context, access *record.Stream, clock func() time.Time) error {
	server, err := c.Server(config.Place{})
	if err != nil {
		return err
	}
	config, err := entrance.Reader(c, server)
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

// readerRole is the role that protect makes for serve. A password file that is not there yet is made.
func readerRole(c *config.Config) (reader protect.Reader, err error) {
	reader.User = c.Upstream.Reader.User
	file := c.Path(c.Upstream.Reader.PasswordFile)
	if file == "" {
		return reader, config.Usagef("no password file of the reader; expected upstream.reader.password_file in %s", c.File)
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
	password, err := config.ReadSecretFile(file)
	if err != nil {
		return reader, err
	}
	reader.Password = protect.NewPassword(password)
	reader.Tables = readerTables(c)
	return reader, nil
}
