// Package identity says who connects where the server cannot be asked: with TLS on both sides of the gateway a relayed
// SCRAM exchange fails, so the gateway is the server to its client (Server) and the client to its server (Client).
//
// It never learns a password. From a role's stored verifier and the proof of a client it recovers the key with which that
// client proves himself, and passes the proof on; the server still decides. It refuses a proof that does not fit the
// verifier, a client whose channel binding is not ours, and a server that does not know the role's server key. Its invariant:
// a Key is overwritten once it has been used, and none is ever printed.
//
// Sources: RFC 5802 (SCRAM), RFC 7677 (SHA-256), RFC 5929 (tls-server-end-point), RFC 9266 does not apply; PostgreSQL's
// src/backend/libpq/auth-scram.c, whose words are used where a client reads them.
package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The mechanisms' names in AuthenticationSASL.
const (
	SCRAM     = "SCRAM-SHA-256"
	SCRAMPlus = "SCRAM-SHA-256-PLUS" // with channel binding
)

// Why a log-in cannot be verified here.
var (
	ErrUnknown   = errors.New("no role of that name logs in by SCRAM")
	ErrWithheld  = errors.New("the role's verifier is withheld: it is a superuser's, or could become one")
	ErrMalformed = errors.New("malformed SCRAM message")
	ErrBinding   = errors.New("SCRAM channel binding check failed")
	// ErrDowngrade says that the client was told of no channel binding though it was offered: somebody stands between.
	ErrDowngrade = errors.New("SCRAM channel binding negotiation error")
	ErrServer    = errors.New("the server does not prove that it knows the role")
)

// Key is a key of SCRAM. It redacts itself; Wipe overwrites it.
type Key [sha256.Size]byte

const redacted = "[redacted]"

// String redacts.
func (Key) String() string { return redacted }

// GoString redacts.
func (Key) GoString() string { return redacted }

// Format redacts under every verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText redacts, and with it JSON, YAML and slog.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Wipe overwrites the key.
func (k *Key) Wipe() { clear(k[:]) }

// Verifier is what pg_authid keeps of a role's password.
type Verifier struct {
	Salt       string // base64, as it is sent
	Iterations int
	Stored     Key // hash of the client's key
	Server     Key
}

// ParseVerifier reads SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER. An error never holds a part of it.
func ParseVerifier(text string) (v Verifier, err error) {
	malformed := errors.New("a stored verifier is malformed")
	rest, ok := strings.CutPrefix(text, SCRAM+"$")
	head, keys, ok2 := strings.Cut(rest, "$")
	iterations, salt, ok3 := strings.Cut(head, ":")
	stored, server, ok4 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 || !ok4 {
		return v, malformed
	}
	if v.Iterations, err = strconv.Atoi(iterations); err != nil || v.Iterations < 1 {
		return v, malformed
	}
	if raw, err := base64.StdEncoding.Strict().DecodeString(salt); err != nil || len(raw) == 0 {
		return v, malformed
	}
	v.Salt = salt
	if !v.Stored.decode(stored) || !v.Server.decode(server) {
		return v, malformed
	}
	return v, nil
}

func (k *Key) decode(text string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && copy(k[:], raw) == len(k) && len(raw) == len(k)
}

// Wipe overwrites the verifier's keys.
func (v *Verifier) Wipe() {
	v.Stored.Wipe()
	v.Server.Wipe()
}

// Like tells whether a server asks for the password of this verifier: the same salt and iterations.
func (v *Verifier) Like(salt string, iterations int) bool {
	return v.Salt == salt && v.Iterations == iterations
}

// Mock is a verifier that no password fits, with the salt that the server shows for the role: for one that does not exist
// PostgreSQL makes up a salt that is always the same (mock_scram_secret), so ours is too, and on every gateway.
func Mock(salt string, iterations int, random io.Reader) (Verifier, error) {
	v := Verifier{Salt: salt, Iterations: iterations}
	for _, k := range []*Key{&v.Stored, &v.Server} {
		if err := k.draw(random); err != nil {
			return v, err
		}
	}
	return v, nil
}

func (k *Key) draw(random io.Reader) error {
	if _, err := io.ReadFull(random, k[:]); err != nil {
		return fmt.Errorf("draw a key: %w", err)
	}
	return nil
}

// sign is HMAC-SHA-256.
func (k *Key) sign(message string) (out Key) {
	m := hmac.New(sha256.New, k[:])
	_, _ = io.WriteString(m, message)
	m.Sum(out[:0])
	return out
}

// hash is the stored key of a client's key.
func (k *Key) hash() Key { return sha256.Sum256(k[:]) }

func (k *Key) xor(other *Key) (out Key) {
	subtle.XORBytes(out[:], k[:], other[:])
	return out
}

func (k *Key) equal(other *Key) bool { return subtle.ConstantTimeCompare(k[:], other[:]) == 1 }

func (k *Key) encode() string { return base64.StdEncoding.EncodeToString(k[:]) }

// nonceBytes is PostgreSQL's own length of a nonce (SCRAM_RAW_NONCE_LEN).
const nonceBytes = 18

func nonce(random io.Reader) (string, error) {
	var b [nonceBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("draw a nonce: %w", err)
	}
	return base64.StdEncoding.EncodeToString(b[:]), nil
}

// attribute cuts "NAME=value," off a message; the last one has no comma.
func attribute(message *string, name byte) (value string, ok bool) {
	m := *message
	if len(m) < 2 || m[0] != name || m[1] != '=' {
		return "", false
	}
	value, *message, _ = strings.Cut(m[2:], ",")
	return value, true
}

// printable tells whether a nonce holds only what RFC 5802 allows.
func printable(nonce string) bool {
	for i := range len(nonce) {
		if c := nonce[i]; c < 0x21 || c > 0x7e || c == ',' {
			return false
		}
	}
	return nonce != ""
}
