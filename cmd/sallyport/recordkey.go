package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/record"
)

// Record says who opens the key that encrypts the record on disk, and how much room the record may take.
type Record struct {
	// Provider opens the key that encrypts the record, as keys.provider does the others. Empty: the same one; where that is quorum, the file of
	// --key-file, and without one what is protected is not served: the record says who may bring the shares, and is read before they do.
	Provider string `yaml:"provider"`

	// MaxBytes is how much what gateways record may take on disk. Alarms come at 80 and 90 %; a sixteenth below nothing protected is reached any
	// more, and the rest is for what must not be lost. 0: as much as there is.
	MaxBytes int64 `yaml:"max_bytes"`

	// MinFree is how many bytes of the data folder's disk stay free: below that nothing protected is reached either. 0: 256 MiB.
	MinFree int64 `yaml:"min_free"`
}

// usualMinFree is how many bytes of the disk are left free where nothing is said.
const usualMinFree = 256 << 20

const leastMaxBytes = 256 << 20

// checkRecord holds the section record to sense.
func (c *Config) checkRecord(r *configReader) {
	switch err := keys.CheckProvider(c.Record.Provider); {
	case c.Record.Provider == keys.QuorumProvider:
		r.problemAt("record.provider", "a quorum cannot open the record: it says who may bring the shares; expected age, vault://…, or a cloud's key service")
	case err != nil:
		r.problemAt("record.provider", "%s", innermost(err))
	}
	if n := c.Record.MaxBytes; n != 0 && n < leastMaxBytes {
		r.problemAt("record.max_bytes", "%d; expected at least %d (256 MiB), or 0 for as much as there is", n, leastMaxBytes)
	}
	if c.Record.MinFree < 0 {
		r.problemAt("record.min_free", "a number below 0; expected bytes, or 0 for 256 MiB")
	}
}

// recordProvider is who wraps the record's key; nil: nobody.
func (c *Config) recordProvider(ctx context.Context, where keyring) (keys.Provider, error) {
	by := *c
	switch {
	case c.Record.Provider != "":
		by.Keys.Provider = c.Record.Provider
	case c.Keys.Provider == keys.QuorumProvider:
		by.Keys.Provider = keys.AgeProvider
	}
	if by.needsKeyFile() && where.keyFile == "" {
		return nil, nil
	}
	return by.keyProvider(ctx, where)
}

// recordKey is what the record of a data folder is encrypted with; nil: it is not. mayMake makes the key where there is none.
func (c *Config) recordKey(ctx context.Context, where keyring, mayMake bool) (*record.Key, error) {
	made, err := keys.LookRecord(where.data)
	missing := errors.Is(err, keys.ErrNone)
	if err != nil && !missing {
		return nil, err
	}
	provider, err := c.recordProvider(ctx, where)
	if err != nil {
		return nil, err
	}
	if made == keys.AgeProvider && where.keyFile != "" { // another provider of the ring's keys does not make it another's
		provider = &keys.KeyFile{Path: where.keyFile, Dir: where.data}
	}
	var secret []byte
	switch {
	case provider == nil && missing, missing && !mayMake:
		return nil, nil
	case provider == nil:
		return nil, usagef("the record in %s is encrypted, and %s opens its key; expected --key-file FILE with the file that it was wrapped for", where.data, made)
	case missing:
		if secret, err = makeRecordKey(ctx, where, provider); err != nil {
			return nil, err
		}
	default:
		if secret, err = keys.OpenRecord(ctx, where.data, provider); err != nil {
			return nil, err
		}
	}
	defer clear(secret)
	return record.NewKey(secret)
}

// encrypts refuses to go by what is protected in front of a record that whoever copies it could read.
func (c *Config) encrypts(key *record.Key, data string) error {
	if key != nil || !c.Protects() || c.Keys.Provider != keys.QuorumProvider { // without a key file nothing is shown anyway, or serve only observes
		return nil
	}
	return usagef("the record in %s would not be encrypted: shares of a quorum cannot open its key, since it says who may bring them; "+
		"expected --key-file FILE (made where there is none), or record.provider in the configuration", data)
}

// makeRecordKey makes the key of a record that has none yet. One that was lost is not made anew: nobody could read what stands there.
func makeRecordKey(ctx context.Context, where keyring, provider keys.Provider) ([]byte, error) {
	for _, name := range []string{"control", "access"} {
		sealed, err := record.HoldsSealed(filepath.Join(where.data, name))
		if err != nil {
			return nil, openProblem(where.data, err)
		}
		if sealed {
			return nil, fmt.Errorf("open data folder %s: its record is encrypted, and %s is missing: bring it back from the backup of the folder", where.data, keys.RecordKeyName)
		}
	}
	now := time.Now
	if where.clock != nil {
		now = where.clock
	}
	return keys.MakeRecord(ctx, where.data, provider, now())
}

// recordKey is what this serve encrypts its record with. A Vault that does not answer is waited for: without the record nobody can be told anything.
func (s *Server) recordKey(ctx context.Context) (*record.Key, error) {
	where := keyring{data: s.o.Data, keyFile: s.o.KeyFile, getenv: s.o.Getenv, clock: s.o.Clock}
	for pause, told := firstPause, false; ; pause = min(2*pause, longestPause) {
		key, err := s.o.Config.recordKey(ctx, where, true)
		if err == nil {
			err = s.o.Config.encrypts(key, s.o.Data)
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

// recordOffline lets a command that works on the data folder while no serve does put events into its control stream.
func (c *Config) recordOffline(ctx context.Context, where keyring, mayMake bool, do func(state *control.State, give func(*sallyport.Event) error) error) (err error) {
	if where.clock == nil {
		where.clock = time.Now
	}
	key, err := c.recordKey(ctx, where, mayMake)
	if err != nil {
		return err
	}
	stream, err := openRecord(where.data, "control", record.Options{Now: where.clock, Key: key}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	orders, err := api.NewOrders(stream, control.NewState())
	if err != nil {
		return err
	}
	return do(orders.State(), func(e *sallyport.Event) error {
		e.Time = where.clock()
		return orders.Give(nil, e)
	})
}

// openRecord opens one of the record's streams.
func openRecord(data, name string, o record.Options, log *slog.Logger) (*record.Stream, error) {
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
	provider, err := keys.LookRecord(s.o.Data)
	switch {
	case s.access.Sealed() && err == nil:
		return "encrypted, its key is opened by " + provider
	case s.o.Config.Protects():
		return "NOT encrypted: give --key-file, or record.provider in the configuration"
	}
	return "not encrypted: there is no --key-file"
}
