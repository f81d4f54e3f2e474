package record

import (
	"crypto/cipher"
	"crypto/sha256"
)

// SaltSize is the length of what makes a key of Beside its own.
const SaltSize = runBytes

// Beside is a cipher under a key of its own for something that is kept beside the record and tells as much as the record does. The salt MUST be
// random and new for each message: then a nonce of zeros is good for the one message that is sealed with it.
func (k *Key) Beside(what string, salt [SaltSize]byte) (cipher.AEAD, error) {
	id := sha256.Sum256([]byte("sallyport beside the record " + what)) // no record has this id
	key, err := k.each([runBytes]byte(id[:runBytes]), salt)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return gcm(key)
}
