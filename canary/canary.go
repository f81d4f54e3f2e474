// Package canary knows the customers who do not exist: which rows they are, what contact detail of theirs each viewer is shown, and who was shown
// the one at which somebody called or wrote.
//
// It refuses to say which customers they are to anybody but the code that stands between the database and its readers: they stand in the record
// sealed under a key that is derived from the ring's, and what people ask is by a detail that somebody was shown. It does no I/O and reads no
// clock; keys, time and randomness are arguments.
//
// Invariant: one address is shown to one viewer under one grant in one period, with at least 64 bits that nobody can guess without the key; the
// same viewer is shown the same again in that period, in every format and in the middle of every result.
package canary

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"sallyport"
)

// KeySize is how many bytes a key is made of.
const KeySize = 32

// Key seals which customers are canaries, and makes what each viewer is shown. It does not print.
type Key struct{ seal, mac []byte }

// NewKey derives both from secret bytes.
func NewKey(secret []byte) (Key, error) {
	if len(secret) != KeySize {
		return Key{}, fmt.Errorf("make the key of canaries: it has %d bytes, not %d", len(secret), KeySize)
	}
	return Key{seal: sum(secret, "canary seal 1"), mac: sum(secret, "canary detail 1")}, nil
}

// String redacts.
func (Key) String() string { return "[secret]" }

// GoString redacts.
func (Key) GoString() string { return "[secret]" }

// Format redacts under every verb.
func (Key) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte("[secret]")) }

// MarshalText redacts.
func (Key) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// sum is HMAC-SHA-256 of parts, each with its length in front.
func sum(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		n := len(p)
		h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) //nolint:gosec // the bytes of a length
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// ID tells one canary from another, and nothing else of it.
type ID [8]byte

// Canary is one customer who does not exist.
type Canary struct {
	ID      ID                `json:"id"`
	Subject sallyport.Subject `json:"subject"`
	Email   string            `json:"email,omitempty"` // what its token stands for; nobody is shown it
	Phone   string            `json:"phone,omitempty"`
	// Values are the keyed digests of both, by which they are known wherever a token of them stands, and Tokens those of the tokens.
	Values  []sallyport.Digest `json:"values,omitempty"`
	Tokens  []sallyport.Digest `json:"tokens,omitempty"`
	Planted time.Time          `json:"planted"`
	Drill   bool               `json:"drill,omitempty"` // for drills alone
	Gone    bool               `json:"gone,omitempty"`  // its row was taken out
}

// sealedLabel is authenticated with each sealed canary.
const sealedLabel = "sallyport canary 1"

// Seal makes of a canary what may stand in the record.
func (k Key) Seal(c *Canary, random io.Reader) ([]byte, error) {
	gcm, err := k.gcm()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("seal a canary: %w", err)
	}
	const unit = 256 // so that its length tells nothing
	for len(text)%unit != 0 {
		text = append(text, ' ')
	}
	nonce := make([]byte, gcm.NonceSize())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("seal a canary: %w", err)
	}
	return gcm.Seal(nonce, nonce, text, []byte(sealedLabel)), nil
}

// errSealed says nothing about what is inside.
var errSealed = errors.New("open a canary: it was sealed with another key, or altered")

// Open is the inverse of Seal.
func (k Key) Open(sealed []byte) (*Canary, error) {
	gcm, err := k.gcm()
	if err != nil {
		return nil, err
	}
	if len(sealed) < gcm.NonceSize() {
		return nil, errSealed
	}
	text, err := gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], []byte(sealedLabel))
	if err != nil {
		return nil, errSealed
	}
	c := &Canary{}
	if json.Unmarshal(text, c) != nil {
		return nil, errSealed
	}
	return c, nil
}

func (k Key) gcm() (cipher.AEAD, error) {
	if len(k.seal) == 0 {
		return nil, errors.New("open a canary: there is no key")
	}
	block, err := aes.NewCipher(k.seal)
	if err != nil {
		return nil, fmt.Errorf("open a canary: %w", err)
	}
	return cipher.NewGCM(block)
}

// MarshalText writes an id in hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(id[:])), nil }

// UnmarshalText reads it.
func (id *ID) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(id) {
		return errSealed
	}
	copy(id[:], b)
	return nil
}
