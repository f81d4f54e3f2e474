package ledger

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// A body of form 4: run 16, number 8, check 32, ciphertext, tag 16. One of form 5: run 16, number 8, ciphertext of 32 zeros and the event, tag 16
// (docs/record.md).
const (
	shownNumber = 16
	shownCheck  = shownNumber + 8
	shownZeros  = 32
	shownFrom   = shownCheck + sha256.Size
	shownTag    = 16

	shownLabel = "sallyport entry"
	checkLabel = "sallyport entry key check"
)

// ErrNotShown says that a proof does not hold what its entry says.
var ErrNotShown = errors.New("the body is encrypted, and the proof holds no key of it")

// Show adds the key of the entry to its proof: whoever has it can read this entry and no other one. A key that is not the entry's is refused.
func (p *Proof) Show(key []byte) error {
	with := *p
	with.EntryKey = hex.EncodeToString(key)
	if _, err := with.Open(); err != nil {
		return err
	}
	p.EntryKey = with.EntryKey
	return nil
}

// Open is the event (CBOR) that the body holds. Check says apart whether that stands in the ledger. The body states a digest of its key, or begins
// with what the key makes of zeros, so that no other key, and no other text, fits what the ledger has.
func (p *Proof) Open() ([]byte, error) {
	if !p.Sealed {
		return p.Body, nil
	}
	if p.EntryKey == "" {
		return nil, ErrNotShown
	}
	key, err := hex.DecodeString(p.EntryKey)
	id, err2 := hex.DecodeString(p.Record)
	if err != nil || err2 != nil || len(key) != 32 || len(id) != 16 || p.Form != formKeyed && p.Form != formOwn || len(p.Body) < shownFrom+shownTag {
		return nil, errors.New("open proof: not a key and a body of this form")
	}
	from, ahead := shownFrom, 0
	if p.Form == formOwn {
		from, ahead = shownCheck, shownZeros
	} else if check := sha256.Sum256(append([]byte(checkLabel), key...)); !bytes.Equal(check[:], p.Body[shownCheck:shownFrom]) {
		return nil, errNotItsKey
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("open proof: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("open proof: %w", err)
	}
	nonce := make([]byte, 12)
	copy(nonce[4:], p.Body[shownNumber:shownCheck])
	bound := binary.BigEndian.AppendUint64(append([]byte(shownLabel), id...), p.Sequence)
	plain, err := aead.Open(nil, nonce, p.Body[from:], bound)
	if err != nil {
		return nil, errors.New("open proof: the body was not sealed for this place, or by another key")
	}
	if !bytes.Equal(plain[:ahead], make([]byte, ahead)) {
		return nil, errNotItsKey
	}
	return plain[ahead:], nil
}

var errNotItsKey = errors.New("open proof: this is not the key of the entry") //nolint:gochecknoglobals // a sentinel
