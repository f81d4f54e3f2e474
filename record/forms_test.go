package record

import (
	"bytes"
	"crypto/aes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

// TestFormerEntries: entries of when a run had one key stand in the same chain, are read, and are refused to be shown alone.
func TestFormerEntries(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{Key: testKey(t, 1)})
	var buf bytes.Buffer
	if err := s.codec.append(&buf, noted(1), noted(1).Time); err != nil {
		t.Fatal(err)
	}
	run := [runBytes]byte{1, 2, 3}
	payload := make([]byte, wholeAt, wholeAt+buf.Len()+tagBytes)
	payload[formAt] = formSealed
	copy(payload[bodyAt:], run[:])
	binary.BigEndian.PutUint64(payload[numberAt:], 7)
	aead, err := testKey(t, 1).whole(s.id, run)
	if err != nil {
		t.Fatal(err)
	}
	var nonce [12]byte
	copy(nonce[4:], payload[numberAt:wholeAt])
	var bound [len(entryLabel) + runBytes + 8]byte
	bind(&bound, s.id, 1)
	payload = aead.Seal(payload, nonce[:], buf.Bytes(), bound[:])
	body := bytes.Clone(payload[bodyAt:])
	commitment := sha256.Sum256(payload[saltAt:])
	copy(payload, commitment[:])
	if _, err := s.log.Append(payload); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(noted(2)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, Options{Key: testKey(t, 1)})
	var seen []string
	if err := s.Read(1, func(e *sallyport.Event) error { seen = append(seen, e.Note); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{noted(1).Note, noted(2).Note}, seen); diff != "" {
		t.Error(diff)
	}
	if _, err := testKey(t, 1).Disclose(s.id, formSealed, body); !errors.Is(err, ErrOneKey) {
		t.Errorf("it is shown alone: %v", err)
	}
}

// TestEntriesOfForm4: entries that state a digest of their key stand in the same chain, are read, and can be shown.
func TestEntriesOfForm4(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{Key: testKey(t, 1)})
	var buf bytes.Buffer
	if err := s.codec.append(&buf, noted(1), noted(1).Time); err != nil {
		t.Fatal(err)
	}
	run := [runBytes]byte{4, 5, 6}
	base, err := testKey(t, 1).each(s.id, run)
	if err != nil {
		t.Fatal(err)
	}
	own, err := hkdf.Expand(sha256.New, base, keyInfo+"\x00\x00\x00\x00\x00\x00\x00\x07", KeySize)
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, ciphertext, ciphertext+buf.Len()+tagBytes)
	payload[formAt] = formKeyed
	copy(payload[bodyAt:], run[:])
	binary.BigEndian.PutUint64(payload[numberAt:], 7)
	check := checkOf(own)
	copy(payload[checkAt:], check[:])
	aead, err := gcm(own)
	if err != nil {
		t.Fatal(err)
	}
	var nonce [12]byte
	copy(nonce[4:], payload[numberAt:checkAt])
	var bound [len(entryLabel) + runBytes + 8]byte
	bind(&bound, s.id, 1)
	payload = aead.Seal(payload, nonce[:], buf.Bytes(), bound[:])
	body := bytes.Clone(payload[bodyAt:])
	commitment := sha256.Sum256(payload[saltAt:])
	copy(payload, commitment[:])
	if _, err := s.log.Append(payload); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(noted(2)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, Options{Key: testKey(t, 1)})
	var seen []string
	if err := s.Read(1, func(e *sallyport.Event) error { seen = append(seen, e.Note); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{noted(1).Note, noted(2).Note}, seen); diff != "" {
		t.Error(diff)
	}
	if got, err := testKey(t, 1).Disclose(s.id, formKeyed, body); err != nil || !bytes.Equal(got, own) {
		t.Errorf("it cannot be shown: %v", err)
	}
}

// TestKeysByRFC8452 holds the derivation of keys to a vector of RFC 8452, appendix C.2, as far as the two are the same: of a key-generating key and a nonce
// come an authentication key (two blocks) and an encryption key (four), of which ours takes the first four blocks.
func TestKeysByRFC8452(t *testing.T) {
	secret := make([]byte, KeySize)
	secret[0] = 1
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	nonce := [12]byte{3}
	var key [KeySize]byte
	ownKey(block, &nonce, &key)
	const want = "b5d3c529dfafac43136d2d11be284d7fb914f4742be9e1d7a2f84addbf96dec3"
	if got := hex.EncodeToString(key[:]); got != want {
		t.Errorf("%s, want the record authentication key and the first half of the encryption key %s", got, want)
	}
}

// TestOneKeyOpensOneEntry: the key of an entry opens it and no other one, and no key but the record's gives it.
func TestOneKeyOpensOneEntry(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{Key: testKey(t, 1)})
	var bodies [][]byte
	for i := range 4 {
		if _, err := s.Append(noted(i)); err != nil {
			t.Fatal(err)
		}
	}
	r := s.log.Reader(1)
	defer r.Close()
	for range 4 {
		_, payload, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, bytes.Clone(payload[bodyAt:]))
	}
	for i, body := range bodies {
		key, err := testKey(t, 1).Disclose(s.id, formOwn, body)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := gcm(key)
		if err != nil {
			t.Fatal(err)
		}
		for j, other := range bodies {
			var nonce [12]byte
			copy(nonce[4:], other[runBytes:])
			var bound [len(entryLabel) + runBytes + 8]byte
			bind(&bound, s.id, uint64(j+1)) //nolint:gosec // few
			plain, err := aead.Open(nil, nonce[:], other[checkAt-bodyAt:], bound[:])
			if (err == nil) != (i == j) || i == j && !bytes.Contains(plain, []byte(noted(i).Note)) {
				t.Errorf("the key of entry %d on entry %d: %v", i+1, j+1, err)
			}
		}
		if _, err := testKey(t, 2).Disclose(s.id, formOwn, body); err == nil {
			t.Errorf("another record's key discloses entry %d", i+1)
		}
	}
}
