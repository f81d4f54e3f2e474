package serve

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"sallyport/keys"
)

// ringKeys opens a ring by nothing but what docs/keys.md says of its bytes: the ring's key, then the data keys.
func ringKeys(t *testing.T, data, keyFile string) [][]byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(data, keys.RingName))
	fatal(t, err)
	var ring struct {
		Wrapped []byte
		Keys    []struct {
			Tenant, Group string
			Epoch         uint32
			Key           []byte
		}
	}
	fatal(t, json.Unmarshal(bytes.Split(content, []byte("\n"))[1], &ring))
	text, err := os.ReadFile(keyFile)
	fatal(t, err)
	identities, err := age.ParseIdentities(bytes.NewReader(text))
	fatal(t, err)
	r, err := age.Decrypt(bytes.NewReader(ring.Wrapped), identities...)
	fatal(t, err)
	payload, err := io.ReadAll(r)
	fatal(t, err)
	kek, ok := bytes.CutPrefix(payload, []byte("sallyport keys\x00\x02"))
	if !ok || len(kek) != 32 {
		t.Fatal("the ring's key is not what docs/keys.md says")
	}
	wrapping, err := hkdf.Key(sha256.New, kek, nil, "sallyport keyring 1 data keys", 32)
	fatal(t, err)
	block, err := aes.NewCipher(wrapping)
	fatal(t, err)
	gcm, err := cipher.NewGCM(block)
	fatal(t, err)
	found := [][]byte{kek}
	for _, k := range ring.Keys {
		ad := []byte("sallyport data key")
		for _, part := range []string{k.Tenant, k.Group} {
			ad = append(binary.BigEndian.AppendUint32(ad, uint32(len(part))), part...)
		}
		key, err := gcm.Open(nil, k.Key[:12], k.Key[12:], binary.BigEndian.AppendUint32(ad, k.Epoch))
		fatal(t, err)
		found = append(found, key)
	}
	return found
}

// spelt are the ways in which a key could stand in a text.
func spelt(key []byte) []string {
	return []string{string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key)}
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
