package keys

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ringMark is the first line of the ring's file: what it is, and the version of its format.
const ringMark = "sallyport keyring 1"

// ring is what stands in the file. Only the keys in it are secret, and they are wrapped.
type ring struct {
	Serial   uint64   `json:"serial"`            // one more with each change
	Provider string   `json:"provider"`          // who wraps the key that wraps the others; "quorum": nobody does
	Wrapped  []byte   `json:"wrapped,omitempty"` // that key, as the provider gave it back
	Quorum   *Quorum  `json:"quorum,omitempty"`
	Keys     []keyRow `json:"keys"`
}

// keyRow is a data key. It stays when its key is destroyed, so that the epoch is never given again.
type keyRow struct {
	Tenant    string    `json:"tenant"`
	Group     string    `json:"group"` // empty: for digests in the record
	Epoch     int       `json:"epoch"`
	Made      time.Time `json:"made"`
	Destroyed time.Time `json:"destroyed,omitzero"`
	Tree      bool      `json:"tree,omitempty"` // there is a tree of keys of single tokens
	Key       []byte    `json:"key,omitempty"`  // nonce, ciphertext and tag of AES-256-GCM
}

// lock seals data keys and authenticates the file, with keys derived from the one that the provider wraps. It holds closures, since
// whatever prints a struct prints what its fields hold, and of a function only an address.
type lock struct {
	seal func(row *keyRow, key []byte) error
	open func(row *keyRow) ([]byte, error)
	mac  func(content []byte) []byte
}

func newLock(kek []byte) (lock, error) {
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, kek, nil, "sallyport keyring 1 "+purpose, KeySize)
	}
	wrapping, err := derive("data keys")
	if err != nil {
		return lock{}, fmt.Errorf("derive the wrapping key: %w", err)
	}
	defer clear(wrapping)
	authentication, err := derive("file")
	if err != nil {
		return lock{}, fmt.Errorf("derive the file's key: %w", err)
	}
	block, err := aes.NewCipher(wrapping)
	if err != nil {
		return lock{}, fmt.Errorf("make the wrapping cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return lock{}, fmt.Errorf("make the wrapping cipher: %w", err)
	}
	return lock{
		seal: func(row *keyRow, key []byte) error {
			row.Key = aead.Seal(nil, nil, key, row.identity()) //nolint:gosec // this AEAD draws the nonce itself
			return nil
		},
		open: func(row *keyRow) ([]byte, error) { return aead.Open(nil, nil, row.Key, row.identity()) },
		mac: func(content []byte) []byte {
			h := hmac.New(sha256.New, authentication)
			h.Write(content)
			return h.Sum(nil)
		},
	}, nil
}

// identity binds a wrapped key to its place, so that none can be put where another stood.
func (r *keyRow) identity() []byte {
	ad := []byte("sallyport data key")
	for _, part := range []string{r.Tenant, r.Group} {
		ad = binary.BigEndian.AppendUint32(ad, uint32(len(part))) //nolint:gosec // names of a configuration
		ad = append(ad, part...)
	}
	return binary.BigEndian.AppendUint32(ad, uint32(r.Epoch)) //nolint:gosec // 1 to 255
}

// encode makes the file: mark, ring and MAC, a line each.
func (r *ring) encode(l lock) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the ring: %w", err)
	}
	content := fmt.Appendf(nil, "%s\n%s\n", ringMark, text)
	return fmt.Appendf(content, "%s\n", base64.RawStdEncoding.EncodeToString(l.mac(content))), nil
}

// decodeRing reads a file whose MAC check has yet to hold.
func decodeRing(content []byte) (*ring, error) {
	mark, rest, _ := bytes.Cut(content, []byte("\n"))
	if string(mark) != ringMark {
		return nil, errors.New("it is damaged, or of a later version")
	}
	text, _, _ := bytes.Cut(rest, []byte("\n"))
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	r := new(ring)
	if err := decoder.Decode(r); err != nil {
		return nil, errDamaged // the decoder's error may quote
	}
	return r, nil
}

// errDamaged stands behind the name of the file.
var errDamaged = errors.New("it is damaged: restore it from a backup")

// check holds the file to its MAC.
func (l lock) check(content []byte) error {
	end := bytes.LastIndexByte(bytes.TrimSuffix(content, []byte("\n")), '\n') + 1
	got, err := base64.RawStdEncoding.Strict().DecodeString(string(bytes.TrimSuffix(content[end:], []byte("\n"))))
	if err != nil || !hmac.Equal(got, l.mac(content[:end])) {
		return errDamaged
	}
	return nil
}

// wrap says who opens the ring from now on.
func (r *ring) wrap(ctx context.Context, p Provider, kek []byte) (err error) {
	if r.Wrapped, err = p.Wrap(ctx, kek); err != nil {
		return err
	}
	r.Provider, r.Quorum = p.Name(), nil
	if split, ok := p.(*Split); ok {
		r.Quorum = &split.Quorum
	}
	return nil
}

// add makes a new data key.
func (r *ring) add(l lock, tenant, group string, epoch int, now time.Time) error {
	key := make([]byte, KeySize)
	defer clear(key)
	rand.Read(key)
	return r.put(l, keyRow{Tenant: tenant, Group: group, Epoch: epoch, Made: now.UTC().Truncate(time.Second)}, key)
}

func (r *ring) put(l lock, row keyRow, key []byte) error {
	if err := l.seal(&row, key); err != nil {
		return err
	}
	r.Keys = append(r.Keys, row)
	return nil
}
