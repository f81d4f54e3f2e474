package api

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"golang.org/x/crypto/argon2"
)

// PasswordHash is an Argon2id hash in the PHC string format: $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH, both in
// base64 without padding. It redacts itself wherever it is printed; the string conversion gives the text.
type PasswordHash string

const redacted = "[password hash]"

// String redacts.
func (PasswordHash) String() string { return redacted }

// GoString redacts.
func (PasswordHash) GoString() string { return redacted }

// Format redacts under every verb.
func (PasswordHash) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, redacted) // a fmt.State reports its errors to its own caller
}

// MarshalText redacts.
func (PasswordHash) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue redacts.
func (PasswordHash) LogValue() slog.Value { return slog.StringValue(redacted) }

// ErrPasswordHash says that a text is no hash that the configuration may hold.
var ErrPasswordHash = errors.New("no argon2id hash: make one with 'sallyport passwd'")

// What HashPassword uses: OWASP's Password Storage Cheat Sheet, Argon2id with 19 MiB, two passes, one lane.
const (
	hashMemory = 19 * 1024 // KiB
	hashPasses = 2
	hashLanes  = 1
	saltBytes  = 16
	hashBytes  = 32
)

// The most that a hash of the configuration may ask of each log-in, so that a slip there cannot exhaust the machine.
const (
	maxMemory = 1 << 20 // KiB
	maxPasses = 64
	maxLanes  = 64
)

// HashPassword makes the hash of a password, with a salt read from random.
func HashPassword(password []byte, random io.Reader) (PasswordHash, error) {
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fmt.Errorf("read a salt: %w", err)
	}
	h := hash{memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: salt}
	h.sum = h.of(password, hashBytes)
	return h.text(), nil
}

// Check tells whether the text is a hash that Verify can use.
func (p PasswordHash) Check() error {
	_, err := p.parse()
	return err
}

// Verify tells whether a password is the one that was hashed, in time that does not depend on how much of it is right.
func (p PasswordHash) Verify(password []byte) bool {
	h, err := p.parse()
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare(h.of(password, len(h.sum)), h.sum) == 1
}

// hash is a PasswordHash taken apart.
type hash struct {
	memory, passes uint32
	lanes          uint8
	salt, sum      []byte
}

func (h hash) of(password []byte, length int) []byte {
	return argon2.IDKey(password, h.salt, h.passes, h.memory, h.lanes, uint32(length)) //nolint:gosec // at most 64 bytes
}

func (h hash) text() PasswordHash {
	b64 := base64.RawStdEncoding
	return PasswordHash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, h.memory, h.passes, h.lanes, b64.EncodeToString(h.salt), b64.EncodeToString(h.sum)))
}

// cost orders hashes by the work that a log-in with them takes.
func (h hash) cost() uint64 { return uint64(h.memory) * uint64(h.passes) }

func (p PasswordHash) parse() (hash, error) {
	parts := strings.Split(string(p), "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return hash{}, ErrPasswordHash
	}
	var h hash
	var lanes uint32
	if n, err := fmt.Sscanf(parts[3]+";", "m=%d,t=%d,p=%d;", &h.memory, &h.passes, &lanes); err != nil || n != 3 {
		return hash{}, ErrPasswordHash
	}
	if h.memory > maxMemory || h.passes < 1 || h.passes > maxPasses || lanes < 1 || lanes > maxLanes {
		return hash{}, ErrPasswordHash
	}
	h.lanes = uint8(lanes)
	var err error
	if h.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return hash{}, ErrPasswordHash
	}
	if h.sum, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(h.sum) < 16 || len(h.sum) > 64 {
		return hash{}, ErrPasswordHash
	}
	return h, nil
}
