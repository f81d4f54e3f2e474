package serve

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"sync"

	"golang.org/x/crypto/argon2"

	"sallyport"
	"sallyport/api"
)

// quickHash is the hash of a password with as little work as Argon2id allows: log-ins are many in these tests. What 'sallyport passwd' makes
// is tried in the scripts of testdata and in the tests of the package api.
func quickHash(password string) api.PasswordHash {
	const passes, memory, lanes, length = 1, 8, 1, 32
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it never fails
	b64 := base64.RawStdEncoding
	sum := argon2.IDKey([]byte(password), salt, passes, memory, lanes, length)
	return api.PasswordHash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes, b64.EncodeToString(salt), b64.EncodeToString(sum)))
}

// officerHash is the hash of somebody's password for commands, the same each time.
func officerHash(id sallyport.Staff) (api.PasswordHash, error) {
	hashesMu.Lock()
	defer hashesMu.Unlock()
	if _, ok := hashes[id]; !ok {
		hashes[id] = quickHash(string(id) + "-password")
	}
	return hashes[id], nil
}

var (
	hashesMu sync.Mutex                               //nolint:gochecknoglobals // guards hashes
	hashes   = map[sallyport.Staff]api.PasswordHash{} //nolint:gochecknoglobals // see officerHash
)
