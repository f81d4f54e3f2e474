package identity

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// Keys are the client's and the server's key of a password (RFC 5802, section 3). Passwords are taken byte by byte: one that SASLprep
// would change, anything but printable ASCII, is refused rather than taken for another. They are the caller's, to be wiped.
func Keys(password, salt string, iterations int) (client, server Key, err error) {
	for i := range len(password) {
		if password[i] < 0x20 || password[i] > 0x7e {
			return client, server, errors.New("derive the keys of a secret: it holds more than printable ASCII")
		}
	}
	raw, err := base64.StdEncoding.DecodeString(salt)
	if err != nil {
		return client, server, fmt.Errorf("%w: the salt", ErrMalformed)
	}
	salted, err := pbkdf2.Key(sha256.New, password, raw, iterations, sha256.Size)
	if err != nil {
		return client, server, fmt.Errorf("derive the keys of a secret: %w", err)
	}
	k := Key(salted)
	clear(salted)
	defer k.Wipe()
	return k.sign("Client Key"), k.sign("Server Key"), nil
}
