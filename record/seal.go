package record

import (
	"bytes"
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

// Key encrypts the entries of records, and opens them. It holds closures, since whatever prints a struct prints what its fields hold.
type Key struct {
	whole func(id, run [runBytes]byte) (cipher.AEAD, error)  // of entries of form 3, by one key for the whole run
	each  func(id, run [runBytes]byte) ([]byte, error)       // of form 4: from which each entry of a run has a key of its own
	own   func(id, run [runBytes]byte) (cipher.Block, error) // of form 5: likewise
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
		own: func(id, run [runBytes]byte) (cipher.Block, error) {
			key, err := derive(ownInfo, id, run)
			if err != nil {
				return nil, err
			}
			defer clear(key)
			block, err := aes.NewCipher(key)
			if err != nil {
				return nil, fmt.Errorf("make the cipher of a run: %w", err)
			}
			return block, nil
		},
	}, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of an entry: %w", err)
	}
	return cipher.NewGCM(block)
}

// A sealed body: run 16, number 8, then in form 4 the check 32, ciphertext, tag 16; in form 5 ciphertext of 32 zeros and the event, tag 16.
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
	ownInfo    = "sallyport record 1 keys of entries "
	keyInfo    = "sallyport entry key" // of form 4
	checkLabel = "sallyport entry key check"
	entryLabel = "sallyport entry"
)

// ownKey is the key of one entry of form 5: AES-256 of the run's key over the nonce and a counter, of each block the first half, so that it is a
// pseudorandom function and no permutation (RFC 8452, section 4, whose keys are made so). It costs four blocks, where HMAC hashed four.
func ownKey(run cipher.Block, nonce *[12]byte, to *[KeySize]byte) {
	ownKeyBy(run, nonce, to, new([2 * aes.BlockSize]byte))
}

// ownKeyBy is it with room to work in.
func ownKeyBy(run cipher.Block, nonce *[12]byte, to *[KeySize]byte, room *[2 * aes.BlockSize]byte) {
	in, out := room[:aes.BlockSize], room[aes.BlockSize:]
	copy(in[4:], nonce[:])
	for i := range KeySize / 8 {
		in[0] = byte(i) //nolint:gosec // four
		run.Encrypt(out, in)
		copy(to[8*i:], out[:8])
	}
	clear(out)
}

// zeros stand before an event of form 5, encrypted with it. GCM alone does not bind a ciphertext to one key; that two keys make the same 32 bytes of
// zeros under one nonce nobody can bring about, so whoever is shown the key later sees that it is the one (Albertini et al., How to Abuse and
// Fix Authenticated Encryption Without Key Commitment, USENIX Security 2022, section 5.3).
const zeroBytes = checkBytes

// checkOf is what stands in an entry's place in the record for its key: whoever is shown the key later sees that it is the one, since no other
// key has this check. Without it a text could be made that opens to one thing under one key and to another under another.
func checkOf(key []byte) [checkBytes]byte {
	var b [len(checkLabel) + KeySize]byte
	copy(b[:], checkLabel)
	copy(b[len(checkLabel):], key)
	return sha256.Sum256(b[:])
}

// numbered is the info of an entry's own key, of form 4.
func numbered(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(keyInfo), number)
}

// sealer seals the entries of one run: from Open to Close. Each run has a key of its own and numbers what it seals, and each number has a key of its
// own, so that no nonce comes twice under one key, whatever is written again after an error or a crash, and one entry can be shown to
// somebody without the others. One goroutine at a time may use it.
type sealer struct {
	run    [runBytes]byte
	keys   cipher.Block // of which each entry's key is made
	cipher func(key []byte) (cipher.AEAD, error)
	number uint64
	nonce  [12]byte
	bound  [len(entryLabel) + runBytes + 8]byte
	key    [KeySize]byte // of the entry that is sealed
	room   [2 * aes.BlockSize]byte
}

func newSealer(k *Key, id [16]byte) (*sealer, error) {
	s := &sealer{cipher: gcm}
	rand.Read(s.run[:])
	var err error
	if s.keys, err = k.own(id, s.run); err != nil {
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
	copy(s.nonce[4:], payload[numberAt:checkAt])
	binary.BigEndian.PutUint64(s.bound[len(entryLabel)+runBytes:], seq)
	defer clear(s.key[:])
	ownKeyBy(s.keys, &s.nonce, &s.key, &s.room)
	plain := payload[checkAt : len(payload)-tagBytes]
	clear(plain[:zeroBytes]) // an entry whose write failed comes again, and is encrypted there
	aead, err := s.cipher(s.key[:])
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
	owns map[[runBytes]byte]cipher.Block
}

// mostRuns is how many keys of runs are kept; a record has a run for each start.
const mostRuns = 4096

// whole is the cipher of a run's entries of form 3.
func (o *opener) whole(run [runBytes]byte) (cipher.AEAD, error) {
	return kept(o, &o.runs, run, o.key.whole)
}

// keyOf is the key of one entry.
func (o *opener) keyOf(form byte, run [runBytes]byte, number uint64) ([]byte, error) {
	if form == formOwn {
		block, err := kept(o, &o.owns, run, o.key.own)
		if err != nil {
			return nil, err
		}
		var nonce [12]byte
		binary.BigEndian.PutUint64(nonce[4:], number)
		var key [KeySize]byte
		ownKey(block, &nonce, &key)
		return key[:], nil
	}
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

// open opens a sealed entry into dst, and returns the whole of what it has there, and the event in it.
func (o *opener) open(dst []byte, seq uint64, e *entry) (whole, event []byte, err error) {
	if o.key == nil {
		return dst, nil, ErrSealed
	}
	run, number := [runBytes]byte(e.body), binary.BigEndian.Uint64(e.body[runBytes:])
	if e.form == formSealed {
		aead, err := o.whole(run)
		if err != nil {
			return dst, nil, err
		}
		return unseal(aead, dst, number, e.body[wholeAt-bodyAt:], o.id, seq, 0)
	}
	key, err := o.keyOf(e.form, run, number)
	if err != nil {
		return dst, nil, err
	}
	defer clear(key)
	from, ahead := checkAt-bodyAt, zeroBytes
	if e.form == formKeyed {
		if check := checkOf(key); !bytes.Equal(check[:], e.body[checkAt-bodyAt:ciphertext-bodyAt]) {
			return dst, nil, errNotForHere
		}
		from, ahead = ciphertext-bodyAt, 0
	}
	aead, err := gcm(key)
	if err != nil {
		return dst, nil, err
	}
	return unseal(aead, dst, number, e.body[from:], o.id, seq, ahead)
}

// unseal opens a ciphertext that was sealed for a place; so many zeros stand ahead of the event.
func unseal(aead cipher.AEAD, dst []byte, number uint64, sealed []byte, id [16]byte, seq uint64, ahead int) (whole, event []byte, err error) {
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], number)
	var bound [len(entryLabel) + runBytes + 8]byte
	bind(&bound, id, seq)
	plain, err := aead.Open(dst, nonce[:], sealed, bound[:])
	if err != nil || len(plain) < ahead {
		return dst, nil, errNotForHere
	}
	var zeros [zeroBytes]byte
	if !bytes.Equal(plain[:ahead], zeros[:ahead]) {
		return dst, nil, errNotForHere
	}
	return plain, plain[ahead:], nil
}

// ErrOneKey says that an entry is of a time when a run had one key for all of its entries: it cannot be shown without the others.
var ErrOneKey = errors.New("the entry is of before entries had keys of their own: whoever could open it could open the others of its run")

// Disclose gives the key of one sealed entry, by the stored body of it, with which nothing else can be opened.
func (k *Key) Disclose(id [16]byte, form byte, body []byte) ([]byte, error) {
	switch {
	case form == formSealed:
		return nil, ErrOneKey
	case form != formKeyed && form != formOwn || len(body) < leastEach-bodyAt:
		return nil, errForm
	}
	key, err := (&opener{key: k, id: id}).keyOf(form, [runBytes]byte(body), binary.BigEndian.Uint64(body[runBytes:]))
	if err != nil {
		return nil, err
	}
	if !isKeyOf(form, key, body) {
		clear(key)
		return nil, errNotForHere
	}
	return key, nil
}

// isKeyOf says whether a body was sealed by a key, wherever that was.
func isKeyOf(form byte, key, body []byte) bool {
	if form == formKeyed {
		check := checkOf(key)
		return bytes.Equal(check[:], body[checkAt-bodyAt:ciphertext-bodyAt])
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return false
	}
	var counter [aes.BlockSize]byte // GCM's first two blocks behind that of the tag (SP 800-38D, 7.1): the encrypted zeros
	copy(counter[4:], body[runBytes:runBytes+8])
	counter[aes.BlockSize-1] = 2
	var zeros [zeroBytes]byte
	cipher.NewCTR(block, counter[:]).XORKeyStream(zeros[:], zeros[:])
	return bytes.Equal(zeros[:], body[checkAt-bodyAt:checkAt-bodyAt+zeroBytes])
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
		if _, _, err := s.open.open(nil, seq, &e); err == nil {
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
