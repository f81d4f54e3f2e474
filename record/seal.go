package record

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
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

// Key encrypts the entries of records, and opens them. It holds closures, since whatever prints a struct prints what its fields hold.
type Key struct {
	whole func(id, run [runBytes]byte) (cipher.AEAD, error) // of entries of form 3, by one key for the whole run
	each  func(id, run [runBytes]byte) ([]byte, error)      // from which each entry of a run has a key of its own
}

// NewKey makes a Key of 32 random bytes, which the caller may wipe.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("make a record's key: %d bytes, expected %d", len(secret), KeySize)
	}
	own := [KeySize]byte(secret)
	derive := func(info string, id, run [runBytes]byte) ([]byte, error) {
		key, err := hkdf.Key(sha256.New, own[:], run[:], info+string(id[:]), KeySize)
		if err != nil {
			return nil, fmt.Errorf("derive the key of a run: %w", err)
		}
		return key, nil
	}
	return &Key{
		whole: func(id, run [runBytes]byte) (cipher.AEAD, error) {
			key, err := derive(wholeInfo, id, run)
			if err != nil {
				return nil, err
			}
			defer clear(key)
			return gcm(key)
		},
		each: func(id, run [runBytes]byte) ([]byte, error) { return derive(eachInfo, id, run) },
	}, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of an entry: %w", err)
	}
	return cipher.NewGCM(block)
}

// A sealed body: run 16, number 8, then in form 4 the check 32, ciphertext, tag 16.
const (
	runBytes   = 16
	numberAt   = bodyAt + runBytes
	checkAt    = numberAt + 8
	wholeAt    = checkAt // where the ciphertext of form 3 begins
	checkBytes = sha256.Size
	ciphertext = checkAt + checkBytes
	tagBytes   = 16
	leastWhole = wholeAt + tagBytes
	leastEach  = ciphertext + tagBytes

	wholeInfo  = "sallyport record 1 entries "
	eachInfo   = "sallyport record 1 entry keys "
	ownInfo    = "sallyport entry key"
	checkLabel = "sallyport entry key check"
	entryLabel = "sallyport entry"
)

// checkOf is what stands in an entry's place in the record for its key: whoever is shown the key later sees that it is the one, since no other
// key has this check. Without it a text could be made that opens to one thing under one key and to another under another.
func checkOf(key []byte) [checkBytes]byte {
	var b [len(checkLabel) + KeySize]byte
	copy(b[:], checkLabel)
	copy(b[len(checkLabel):], key)
	return sha256.Sum256(b[:])
}

// numbered is the info of an entry's own key.
func numbered(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(ownInfo), number)
}

// sealer seals the entries of one run: from Open to Close. Each run has a key of its own and numbers what it seals, and each number has a key of its
// own, so that no nonce comes twice under one key, whatever is written again after an error or a crash, and one entry can be shown to
// somebody without the others. One goroutine at a time may use it.
type sealer struct {
	run    [runBytes]byte
	own    func(number uint64, to []byte) // HKDF-Expand (RFC 5869, 2.3) of one block
	cipher func(key []byte) (cipher.AEAD, error)
	number uint64
	nonce  [12]byte
	bound  [len(entryLabel) + runBytes + 8]byte
}

func newSealer(k *Key, id [16]byte) (*sealer, error) {
	s := &sealer{cipher: gcm}
	rand.Read(s.run[:])
	base, err := k.each(id, s.run)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, base)
	clear(base)
	var info [len(ownInfo) + 8 + 1]byte
	copy(info[:], ownInfo)
	info[len(info)-1] = 1
	s.own = func(number uint64, to []byte) {
		binary.BigEndian.PutUint64(info[len(ownInfo):], number)
		mac.Reset()
		mac.Write(info[:])
		mac.Sum(to[:0])
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
	copy(s.nonce[4:], payload[numberAt:checkAt])
	binary.BigEndian.PutUint64(s.bound[len(entryLabel)+runBytes:], seq)
	var key [KeySize]byte
	defer clear(key[:])
	s.own(s.number, key[:])
	check := checkOf(key[:])
	copy(payload[checkAt:], check[:])
	plain := payload[ciphertext : len(payload)-tagBytes]
	aead, err := s.cipher(key[:])
	if err != nil { // a key of 32 bytes always is one: nothing plain may get to the disk
		clear(plain)
		return
	}
	aead.Seal(plain[:0], s.nonce[:], plain, s.bound[:]) //nolint:gosec // the nonce is the run's count, of 64 bits
}

// opener opens sealed bodies, of whatever runs.
type opener struct {
	key *Key // nil: there is none
	id  [16]byte

	mu   sync.Mutex // guards what follows
	runs map[[runBytes]byte]cipher.AEAD
	each map[[runBytes]byte][]byte
}

// mostRuns is how many keys of runs are kept; a record has a run for each start.
const mostRuns = 4096

// whole is the cipher of a run's entries of form 3.
func (o *opener) whole(run [runBytes]byte) (cipher.AEAD, error) {
	return kept(o, &o.runs, run, o.key.whole)
}

// own is the key of one entry.
func (o *opener) own(run [runBytes]byte, number uint64) ([]byte, error) {
	base, err := kept(o, &o.each, run, o.key.each)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Expand(sha256.New, base, string(numbered(number)), KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive the key of an entry: %w", err)
	}
	return key, nil
}

func kept[T any](o *opener, in *map[[runBytes]byte]T, run [runBytes]byte, derive func(id, run [runBytes]byte) (T, error)) (T, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if x, ok := (*in)[run]; ok {
		return x, nil
	}
	x, err := derive(o.id, run)
	if err != nil {
		return x, err
	}
	if *in == nil || len(*in) >= mostRuns {
		*in = map[[runBytes]byte]T{}
	}
	(*in)[run] = x
	return x, nil
}

var errNotForHere = errors.New("altered: it was not sealed for this place, or by another key") //nolint:gochecknoglobals // a sentinel

// open appends the plain body of a sealed entry to dst.
func (o *opener) open(dst []byte, seq uint64, e *entry) ([]byte, error) {
	if o.key == nil {
		return nil, ErrSealed
	}
	run, number := [runBytes]byte(e.body), binary.BigEndian.Uint64(e.body[runBytes:])
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], number)
	var bound [len(entryLabel) + runBytes + 8]byte
	bind(&bound, o.id, seq)
	var aead cipher.AEAD
	from := wholeAt - bodyAt
	if e.keyed {
		key, err := o.own(run, number)
		if err != nil {
			return nil, err
		}
		defer clear(key)
		if check := checkOf(key); !bytes.Equal(check[:], e.body[checkAt-bodyAt:ciphertext-bodyAt]) {
			return nil, errNotForHere
		}
		if aead, err = gcm(key); err != nil {
			return nil, err
		}
		from = ciphertext - bodyAt
	} else {
		var err error
		if aead, err = o.whole(run); err != nil {
			return nil, err
		}
	}
	plain, err := aead.Open(dst, nonce[:], e.body[from:], bound[:])
	if err != nil {
		return nil, errNotForHere
	}
	return plain, nil
}

// ErrOneKey says that an entry is of a time when a run had one key for all of its entries: it cannot be shown without the others.
var ErrOneKey = errors.New("the entry is of before entries had keys of their own: whoever could open it could open the others of its run")

// Disclose gives the key of one sealed entry, by the stored body of it, with which nothing else can be opened.
func (k *Key) Disclose(id [16]byte, form byte, body []byte) ([]byte, error) {
	switch {
	case form == formSealed:
		return nil, ErrOneKey
	case form != formKeyed || len(body) < leastEach-bodyAt:
		return nil, errForm
	}
	key, err := (&opener{key: k, id: id}).own([runBytes]byte(body), binary.BigEndian.Uint64(body[runBytes:]))
	if err != nil {
		return nil, err
	}
	if check := checkOf(key); !bytes.Equal(check[:], body[checkAt-bodyAt:ciphertext-bodyAt]) {
		clear(key)
		return nil, errNotForHere
	}
	return key, nil
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
		if _, err := s.open.open(nil, seq, &e); err == nil {
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
