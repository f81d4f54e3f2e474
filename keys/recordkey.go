package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// RecordKeyName is the file in DIR with the key that encrypts the record, wrapped by a provider. It is apart from the ring: the control stream
// says who may unseal the ring, so that it must be readable and written before (docs/decisions/0025-the-record-has-its-own-key.md).
const RecordKeyName = "record.key"

// recordKeyMark is the first line of the file.
const recordKeyMark = "sallyport record key 1"

// recordKey is what stands in the file's second line. Whoever wraps authenticates.
type recordKey struct {
	Provider string    `json:"provider"`
	Wrapped  []byte    `json:"wrapped"`
	Made     time.Time `json:"made"`
}

// LookRecord says who wraps the key of the record in a data folder. It is ErrNone where there is none.
func LookRecord(dir string) (provider string, err error) {
	k, err := readRecordKey(filepath.Join(dir, RecordKeyName))
	return k.Provider, err
}

func readRecordKey(path string) (k recordKey, err error) {
	have, err := exists(path)
	if err != nil || !have {
		return k, errors.Join(err, ErrNone)
	}
	content, err := readRegular(path, noCheck)
	if err != nil {
		return k, fmt.Errorf("read %s: %w", path, err)
	}
	mark, rest, _ := bytes.Cut(content, []byte("\n"))
	if string(mark) != recordKeyMark || json.Unmarshal(bytes.TrimSuffix(rest, []byte("\n")), &k) != nil || k.Provider == "" {
		return recordKey{}, fmt.Errorf("read %s: %w", path, errDamaged)
	}
	return k, nil
}

// OpenRecord unwraps the key of the record; the caller wipes it. It is ErrNone where there is none.
func OpenRecord(ctx context.Context, dir string, p Provider) ([]byte, error) {
	path := filepath.Join(dir, RecordKeyName)
	k, err := readRecordKey(path)
	if err != nil {
		return nil, err
	}
	if k.Provider != p.Name() {
		return nil, fmt.Errorf("open %s: it was wrapped by %s, and the provider is %s: configure the one that wrapped it (record.provider), or 'sallyport keys rewrap'", path, k.Provider, p.Name())
	}
	key, err := p.Unwrap(ctx, k.Wrapped)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return key, nil
}

// MakeRecord makes the key of a record. Where the same provider wraps the ring, the ring is opened first: a key that another key file than the
// ring's had wrapped would be lost when the right one is back.
func MakeRecord(ctx context.Context, dir string, p Provider, now time.Time) ([]byte, error) {
	path := filepath.Join(dir, RecordKeyName)
	if r, _, err := readRing(filepath.Join(dir, RingName)); err == nil && r.Provider == p.Name() {
		kek, err := p.Unwrap(ctx, r.Wrapped)
		if err != nil {
			return nil, err
		}
		clear(kek)
	}
	if err := provesFormer(dir, p); err != nil {
		return nil, err
	}
	key := make([]byte, KeySize)
	defer clear(key)
	rand.Read(key)
	content, err := wrapRecord(ctx, p, key, now)
	if err != nil {
		return nil, err
	}
	if err := publish(path, content); err != nil {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	return OpenRecord(ctx, dir, p) // a start that succeeds has shown that the next one will
}

// provesFormer is the same for keys from before there was a ring.
func provesFormer(dir string, p Provider) error {
	former := filepath.Join(dir, formerName)
	have, err := exists(former)
	file, ok := p.(*KeyFile)
	if err != nil || !have || !ok {
		return err
	}
	sealed, err := readRegular(former, noCheck)
	if err != nil {
		return fmt.Errorf("read %s: %w", former, err)
	}
	root, err := file.unwrap(sealed, formerMark, former)
	clear(root)
	return err
}

func wrapRecord(ctx context.Context, p Provider, key []byte, now time.Time) ([]byte, error) {
	k := recordKey{Provider: p.Name(), Made: now.UTC().Truncate(time.Second)}
	var err error
	if k.Wrapped, err = p.Wrap(ctx, key); err != nil {
		return nil, err
	}
	text, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("encode the record's key: %w", err)
	}
	return fmt.Appendf(nil, "%s\n%s\n", recordKeyMark, text), nil
}

// RewrapRecord gives the key of the record to another provider. The key stays what it is, so that all entries stay readable.
func RewrapRecord(ctx context.Context, dir string, from, to Provider, now time.Time) error {
	key, err := OpenRecord(ctx, dir, from)
	if err != nil {
		return err
	}
	defer clear(key)
	content, err := wrapRecord(ctx, to, key, now)
	if err != nil {
		return err
	}
	draft, err := unwrapped(ctx, content, to)
	if err != nil || !bytes.Equal(draft, key) { // nothing is given away before it is shown that it comes back
		return errors.Join(err, fmt.Errorf("rewrap the record's key: %s does not give it back", to.Name()))
	}
	clear(draft)
	if err := replace(filepath.Join(dir, RecordKeyName), content); err != nil {
		return fmt.Errorf("change %s: %w", filepath.Join(dir, RecordKeyName), err)
	}
	return nil
}

func unwrapped(ctx context.Context, content []byte, p Provider) ([]byte, error) {
	var k recordKey
	_, rest, _ := bytes.Cut(content, []byte("\n"))
	if err := json.Unmarshal(rest, &k); err != nil {
		return nil, fmt.Errorf("read the record's key again: %w", err)
	}
	return p.Unwrap(ctx, k.Wrapped)
}
