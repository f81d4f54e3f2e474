package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/pflag"

	"sallyport"
	"sallyport/history"
	"sallyport/policy"
	"sallyport/program"
	"sallyport/record"
)

// programFlags are what reports need that are made from files and a record.
type programFlags struct {
	config, data, keyFile string
	days                  int
	json                  bool
}

func (f *programFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.config, "config", "sallyport.yaml", "configuration `FILE`: people, columns, policies")
	flags.StringVar(&f.data, "data", defaultData, "data `FOLDER` in which no serve runs, or a copy of one")
	flags.StringVar(&f.keyFile, "key-file", "", "`FILE` with the key that opens the keys, where the record is encrypted")
	flags.IntVar(&f.days, "days", 90, "how many `DAYS` back")
	flags.BoolVar(&f.json, "json", false, "print JSON")
}

// programRecord is a record that is read, with the configuration that it belongs to.
type programRecord struct {
	config          *Config
	set             *policy.Set // that hold today
	book            *program.Book
	access, control *record.Stream
	names           *history.Names // pseudonyms, in replays
	now             time.Time
}

// withRecord opens a record and everything beside it.
func (m *Main) withRecord(ctx context.Context, f *programFlags, do func(*programRecord) error) (err error) {
	if f.days <= 0 {
		return usagef("%d days; expected --days 90, or another number above 0", f.days)
	}
	config, err := LoadConfig(f.config)
	if err != nil {
		return err
	}
	if _, err := os.Stat(f.data); err != nil {
		return usagef("read the record: %w; expected --data FOLDER", err)
	}
	key, err := config.recordKey(ctx, keyring{data: f.data, keyFile: f.keyFile, getenv: m.Getenv}, false)
	if err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	r := &programRecord{config: config, book: program.NewBook(), now: time.Now()}
	r.access, err = openRecord(f.data, "access", record.Options{Key: key}, quiet)
	if errors.Is(err, record.ErrInUse) {
		return fmt.Errorf("%w (while serve runs, give a copy: cp -r %s /tmp/copy)", err, f.data)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.access.Close()) }()
	if r.control, err = openRecord(f.data, "control", record.Options{Key: key}, quiet); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.control.Close()) }()
	if r.set, _, err = config.replaySets(r.control, ""); err != nil {
		return err
	}
	if r.names, err = config.pseudonyms(f.data); err != nil {
		return err
	}
	if err := r.control.Read(1, func(e *sallyport.Event) error {
		r.book.Apply(e)
		return ctx.Err()
	}); err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	return do(r)
}

// members are everybody who may have to read something or decide.
func (r *programRecord) members() (out []program.Member) {
	for who, p := range r.config.roster.People {
		if p.Employment != "left" {
			out = append(out, program.Member{Staff: who, Team: p.Place.Team, Role: p.Place.Role, Away: p.Employment == "leave"})
		}
	}
	return out
}

// accesses hands every entry of the access stream to each of them.
func (r *programRecord) accesses(ctx context.Context, take ...func(*sallyport.Event)) error {
	err := r.access.Read(1, func(e *sallyport.Event) error {
		for _, t := range take {
			t(e)
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	return nil
}
