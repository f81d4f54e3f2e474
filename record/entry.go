package record

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// A stored entry: link 32, form 1, and then salt 16 and body, sealed or plain, or for an erased one the commitment 32.
const (
	formAt = sha256.Size
	saltAt = formAt + 1
	bodyAt = saltAt + 16

	formWhole  = 1
	formErased = 2
	formSealed = 3 // by one key for all entries of a run: read, and not written any more
	formKeyed  = 4 // each by a key of its own, with a digest of it: likewise
	formOwn    = 5 // each by a key of its own, with zeros before the event
)

// entry is a parsed entry. It aliases the bytes.
type entry struct {
	link       [32]byte
	commitment [32]byte
	body       []byte // nil: erased
	sealed     bool
	form       byte
}

var errForm = errors.New("altered: not the form of an entry")

func parseEntry(b []byte) (entry, error) {
	var e entry
	if len(b) <= bodyAt {
		return e, errForm
	}
	copy(e.link[:], b)
	switch b[formAt] {
	case formSealed, formKeyed, formOwn:
		e.sealed, e.form = true, b[formAt]
		if len(b) < leastWhole || e.form != formSealed && len(b) < leastEach {
			return e, errForm
		}
		fallthrough
	case formWhole:
		e.commitment = sha256.Sum256(b[saltAt:])
		e.body = b[bodyAt:]
		return e, nil
	case formErased:
		if len(b) != saltAt+len(e.commitment) {
			return e, errForm
		}
		copy(e.commitment[:], b[saltAt:])
		return e, nil
	}
	return e, errForm
}

// finishEntry completes a new entry where it is about to be written: it seals the body and makes the link. prev starts with the link before.
func (s *Stream) finishEntry(seq uint64, prev, payload []byte) {
	if payload[formAt] == formOwn {
		s.seal.seal(seq, payload)
		commitment := sha256.Sum256(payload[saltAt:])
		copy(payload, commitment[:])
	}
	linkEntry(seq, prev, payload)
}

// linkEntry turns the commitment at the start of a new entry into its link. prev starts with the link before.
func linkEntry(seq uint64, prev, payload []byte) {
	link := chainLink(prev[:sha256.Size], seq, [32]byte(payload[:sha256.Size]))
	copy(payload, link[:])
}

func chainStart(id [16]byte) [32]byte { return sha256.Sum256(id[:]) }

func chainLink(prev []byte, seq uint64, commitment [32]byte) [32]byte {
	var b [32 + 8 + 32]byte
	copy(b[:], prev)
	binary.BigEndian.PutUint64(b[32:], seq)
	copy(b[40:], commitment[:])
	return sha256.Sum256(b[:])
}
