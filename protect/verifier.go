package protect

import (
	"encoding/base64"
	"fmt"
	"io"

	"github.com/xdg-go/scram"
)

// iterations and saltBytes are PostgreSQL's own defaults (src/include/common/scram-common.h).
const (
	iterations = 4096
	saltBytes  = 16
)

// verifier is what CREATE ROLE … PASSWORD takes in place of a password, so that no server's log can keep one.
func verifier(p Password, random io.Reader) (string, error) {
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fmt.Errorf("draw salt for password: %w", err)
	}
	client, err := scram.SHA256.NewClient("", p.plain, "")
	if err != nil {
		return "", fmt.Errorf("prepare password: %w", err)
	}
	keys, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
	if err != nil {
		return "", fmt.Errorf("derive keys of password: %w", err)
	}
	return formatVerifier(salt, keys.StoredKey, keys.ServerKey), nil
}

// formatVerifier writes a verifier as pg_authid keeps it.
func formatVerifier(salt, storedKey, serverKey []byte) string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(storedKey), b64(serverKey))
}

// Password is a secret that no print, log or marshaller shows.
type Password struct{ plain string }

// NewPassword wraps a password.
func NewPassword(plain string) Password { return Password{plain} }

const redacted = "[redacted]"

// String redacts.
func (Password) String() string { return redacted }

// GoString redacts.
func (Password) GoString() string { return redacted }

// Format redacts under every verb.
func (Password) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText redacts.
func (Password) MarshalText() ([]byte, error) { return []byte(redacted), nil }
