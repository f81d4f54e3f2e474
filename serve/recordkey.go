package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/record"
)

// RecordProvider is who wraps the record's key; nil: nobody.
func RecordProvider(c *config.Config, ctx context.Context, where Keyring) (keys.Provider, error) {
	by := *c
	switch {
	case c.Record.Provider != "":
		by.Keys.Provider = c.Record.Provider
	case c.Keys.Provider == keys.QuorumProvider:
		by.Keys.Provider = keys.AgeProvider
	}
	if by.NeedsKeyFile() && where.KeyFile == "" {
		return nil, nil
	}
	return KeyProvider(&by, ctx, where)
}

// RecordKey is what the record of a data folder is encrypted with; nil: it is not. mayMake makes the key where there is none.
func RecordKey(c *config.Config, ctx context.Context, where Keyring, mayMake bool) (*record.Key, error) {
	made, err := keys.LookRecord(where.Data)
	missing := errors.Is(err, keys.ErrNone)
	if err != nil && !missing {
		return nil, err
	}
	provider, err := RecordProvider(c, ctx, where)
	if err != nil {
		return nil, err
	}
	if made == keys.AgeProvider && where.KeyFile != "" { // another provider of the ring's keys does not make it another's
		provider = &keys.KeyFile{Path: where.KeyFile, Dir: where.Data}
	}
	var secret []byte
	switch {
	case provider == nil && missing, missing && !mayMake:
		return nil, nil
	case provider == nil:
		return nil, config.Usagef("the record in %s is encrypted, and %s opens its key; expected --key-file FILE with the file that it was wrapped for", where.Data, made)
	case missing:
		if secret, err = makeRecordKey(ctx, where, provider); err != nil {
			return nil, err
		}
	default:
		if secret, err = keys.OpenRecord(ctx, where.Data, provider); err != nil {
			return nil, err
		}
	}
	defer clear(secret)
	return record.NewKey(secret)
}

// makeRecordKey makes the key of a record that has none yet. One that was lost is not made anew: nobody could read what stands there.
func makeRecordKey(ctx context.Context, where Keyring, provider keys.Provider) ([]byte, error) {
	for _, name := range []string{"control", "access"} {
		sealed, err := record.HoldsSealed(filepath.Join(where.Data, name))
		if err != nil {
			return nil, openProblem(where.Data, err)
		}
		if sealed {
			return nil, fmt.Errorf("open data folder %s: its record is encrypted, and %s is missing: bring it back from the backup of the folder", where.Data, keys.RecordKeyName)
		}
	}
	now := time.Now
	if where.Clock != nil {
		now = where.Clock
	}
	return keys.MakeRecord(ctx, where.Data, provider, now())
}

// recordKey is what this serve encrypts its record with. A Vault that does not answer is waited for: without the record nobody can be told anything.
func (s *Server) recordKey(ctx context.Context) (*record.Key, error) {
	where := Keyring{Data: s.O.Data, KeyFile: s.O.KeyFile, Getenv: s.O.Getenv, Clock: s.O.Clock}
	for pause, told := firstPause, false; ; pause = min(2*pause, longestPause) {
		key, err := RecordKey(s.O.Config, ctx, where, true)
		if err == nil {
			err = s.O.Config.Encrypts(key, s.O.Data)
		}
		if !errors.Is(err, keys.ErrUnavailable) {
			return key, err
		}
		if !told {
			told = true
			s.log.Warn("the key of the record cannot be opened yet; trying again until it works", "why", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// RecordOffline lets a command that works on the data folder while no serve does put events into its control stream.
func RecordOffline(c *config.Config, ctx context.Context, where Keyring, mayMake bool, do func(state *control.State, give func(*sallyport.Event) error) error) (err error) {
	if where.Clock == nil {
		where.Clock = time.Now
	}
	key, err := RecordKey(c, ctx, where, mayMake)
	if err != nil {
		return err
	}
	stream, err := OpenRecord(where.Data, "control", record.Options{Now: where.Clock, Key: key}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	orders, err := api.NewOrders(stream, control.NewState())
	if err != nil {
		return err
	}
	return do(orders.State(), func(e *sallyport.Event) error {
		e.Time = where.Clock()
		return orders.Give(nil, e)
	})
}

// OpenRecord opens one of the record's streams.
func OpenRecord(data, name string, o record.Options, log *slog.Logger) (*record.Stream, error) {
	folder := filepath.Join(data, name)
	o.Trouble = func(cause error, refused uint64) {
		if cause != nil {
			log.Error("the record cannot be written: what is protected is refused until it can", "folder", folder, "cause", cause.Error(),
				"next", "make room under the data folder: its next segment needs 16 MiB; serve tries again by itself")
			return
		}
		log.Warn("the record is written again", "folder", folder, "entries_lost", refused)
	}
	stream, err := record.Open(folder, o)
	if err != nil {
		return nil, openProblem(data, err)
	}
	return stream, nil
}

func openProblem(data string, err error) error {
	switch {
	case errors.Is(err, record.ErrInUse):
		return fmt.Errorf("open data folder %s: another sallyport has it open; stop that one, or choose another --data: %w", data, err)
	case errors.Is(err, record.ErrSealed):
		return fmt.Errorf("open data folder %s: %w; bring back the %s that belongs to it", data, err, keys.RecordKeyName)
	}
	return fmt.Errorf("open data folder %s: %w", data, err)
}

// sealedStatus says whether the record is encrypted.
func (s *Server) sealedStatus() string {
	provider, err := keys.LookRecord(s.O.Data)
	switch {
	case s.AccessStream.Sealed() && err == nil:
		return "encrypted, its key is opened by " + provider
	case s.O.Config.Protects():
		return "NOT encrypted: give --key-file, or record.provider in the configuration"
	}
	return "not encrypted: there is no --key-file"
}
