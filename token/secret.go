package token

import (
	"crypto/subtle"
	"errors"
	"fmt"
)

// SecretSize is the length of a root secret in bytes.
const SecretSize = 32

// redacted stands wherever a secret would be printed.
const redacted = "[secret]"

// Secret is the root from which a Ring derives every key. It prints as "[secret]" everywhere. Copies share the bytes:
// Wipe ends them all.
type Secret struct {
	// Where a Secret stands in an unexported field, fmt cannot call its methods and prints what it holds; through one
	// pointer it still prints an array, for a verb that does not fit (%s), through two it prints an address.
	key **[SecretSize]byte
}

// NewSecret copies 32 random bytes into a secret. All zeros are refused: that is a buffer nobody filled.
func NewSecret(b []byte) (Secret, error) {
	if len(b) != SecretSize {
		return Secret{}, fmt.Errorf("make a root secret: it has %d bytes, not %d", len(b), SecretSize)
	}
	if subtle.ConstantTimeCompare(b, make([]byte, SecretSize)) == 1 {
		return Secret{}, errors.New("make a root secret: it is all zeros")
	}
	key := (*[SecretSize]byte)(append([]byte(nil), b...))
	return Secret{key: &key}, nil
}

// Wipe overwrites the bytes. A Ring made before keeps its own derived keys.
func (s Secret) Wipe() {
	if s.key != nil {
		clear((*s.key)[:])
	}
}

// wiped tells whether the bytes are gone, or were never there.
func (s Secret) wiped() bool {
	return s.key == nil || subtle.ConstantTimeCompare((*s.key)[:], make([]byte, SecretSize)) == 1
}

// String redacts.
func (s Secret) String() string { return redacted }

// GoString redacts.
func (s Secret) GoString() string { return redacted }

// Format redacts under every verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte(redacted)) }

// MarshalText redacts, and with it JSON, XML, YAML and slog, which all look for it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
