package record

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// KeySize is the length of a record's key in bytes.
const KeySize = 32

// ErrSealed says that entries are encrypted and the record was opened without a key, or with another one.
var ErrSealed = errors.New("the record is encrypted, and this is not the key of it")

// Key encrypts the entries of records, and opens them. It holds a closure, since whatever prints a struct prints what its fields hold.
type Key struct {
	derive func(id, run [runBytes]byte) (cipher.AEAD, error)
}

// NewKey makes a Key of 32 random bytes, which the caller may wipe.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("make a record's key: %d bytes, expected %d", len(secret), KeySize)
	}
	own := [KeySize]byte(secret)
	return &Key{derive: func(id, run [runBytes]byte) (cipher.AEAD, error) {
		key, err := hkdf.Key(sha256.New, own[:], run[:], keyInfo+string(id[:]), KeySize)
		if err != nil {
			return nil, fmt.Errorf("derive the key of a run: %w", err)
		}
		defer clear(key)
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("derive the key of a run: %w", err)
		}
		return cipher.NewGCM(block)
	}}, nil
}

// A sealed body: run 16, number 8, ciphertext, tag 16.
const (
	runBytes    = 16
	numberAt    = bodyAt + runBytes
	ciphertext  = numberAt + 8
	tagBytes    = 16
	leastSealed = ciphertext + tagBytes

	keyInfo    = "sallyport record 1 entries "
	entryLabel = "sallyport entry"
)

// sealer seals the entries of one run: from Open to Close. Each run has a key of its own and numbers what it seals, so that no nonce comes
// twice under one key, whatever is written again after an error or a crash. One goroutine at a time may use it.
type sealer struct {
	run    [runBytes]byte
	aead   cipher.AEAD
	number uint64
	nonce  [12]byte
	bound  [len(entryLabel) + runBytes + 8]byte
}

func newSealer(k *Key, id [16]byte) (*sealer, error) {
	s := &sealer{}
	rand.Read(s.run[:])
	var err error
	if s.aead, err = k.derive(id, s.run); err != nil {
		return nil, err
	}
	bind(&s.bound, id, 0)
	return s, nil
}

// bind writes what a sealed body is bound to: the record and its place there.
func bind(to *[len(entryLabel) + runBytes + 8]byte, id [16]byte, seq uint64) {
	copy(to[:], entryLabel)
	copy(to[len(entryLabel):], id[:])
	binary.BigEndian.PutUint64(to[len(entryLabel)+runBytes:], seq)
}

// seal encrypts the body of an entry in its place.
func (s *sealer) seal(seq uint64, payload []byte) {
	s.number++
	copy(payload[bodyAt:], s.run[:])
	binary.BigEndian.PutUint64(payload[numberAt:], s.number)
	copy(s.nonce[4:], payload[numberAt:ciphertext])
	binary.BigEndian.PutUint64(s.bound[len(entryLabel)+runBytes:], seq)
	plain := payload[ciphertext : len(payload)-tagBytes]
	s.aead.Seal(plain[:0], s.nonce[:], plain, s.bound[:]) //nolint:gosec // the nonce is the run's count, of 64 bits
}

// opener opens sealed bodies, of whatever runs.
type opener struct {
	key *Key // nil: there is none
	id  [16]byte

	mu   sync.Mutex // guards runs
	runs map[[runBytes]byte]cipher.AEAD
}

// mostRuns is how many keys of runs are kept; a record has a run for each start.
const mostRuns = 4096

func (o *opener) of(run [runBytes]byte) (cipher.AEAD, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if aead, ok := o.runs[run]; ok {
		return aead, nil
	}
	aead, err := o.key.derive(o.id, run)
	if err != nil {
		return nil, err
	}
	if o.runs == nil || len(o.runs) >= mostRuns {
		o.runs = map[[runBytes]byte]cipher.AEAD{}
	}
	o.runs[run] = aead
	return aead, nil
}

// open appends the plain body of a sealed one to dst.
func (o *opener) open(dst []byte, seq uint64, body []byte) ([]byte, error) {
	if o.key == nil {
		return nil, ErrSealed
	}
	aead, err := o.of([runBytes]byte(body))
	if err != nil {
		return nil, err
	}
	var nonce [12]byte
	copy(nonce[4:], body[runBytes:])
	var bound [len(entryLabel) + runBytes + 8]byte
	bind(&bound, o.id, seq)
	plain, err := aead.Open(dst, nonce[:], body[ciphertext-bodyAt:], bound[:])
	if err != nil {
		return nil, errors.New("altered: it was not sealed for this place, or by another key")
	}
	return plain, nil
}

// lately is how many of the last entries are looked at when a record is opened.
const lately = 8

// checkKey looks whether the record is encrypted, and refuses a key that opens none of the last sealed entries: what would be appended under
// it nobody could read together with the rest. One that was altered alone is for readers to report.
func (s *Stream) checkKey() (sealed bool, err error) {
	last := s.log.Last()
	r := s.log.Reader(last - min(last, lately) + 1)
	defer func() { _ = r.Close() }() // it only read
	opened := false
	for {
		seq, payload, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sealed, err
		}
		e, err := parseEntry(payload)
		if err != nil || !e.sealed {
			continue
		}
		sealed = true
		if _, err := s.open.open(nil, seq, e.body); err == nil {
			opened = true
		}
	}
	if sealed && !opened && s.open.key != nil {
		return sealed, ErrSealed
	}
	return sealed, nil
}

// HoldsSealed says whether the last entries of the record in a folder are encrypted; a folder that is not there holds none.
func HoldsSealed(dir string) (bool, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	s, err := Open(dir, Options{})
	if err != nil {
		return false, err
	}
	return s.plain != nil, s.Close()
}
