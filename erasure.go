package sallyport

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"
)

// Erasure lists entries of one record that are erased: their salts and bodies are gone, their sequences and commitments stay.
type Erasure struct {
	Record string    `cbor:"1,keyasint"` // id of the record
	Runs   []uint64  `cbor:"2,keyasint"` // first and last of each run of sequences, in ascending order
	Count  uint64    `cbor:"3,keyasint"`
	Digest []byte    `cbor:"4,keyasint"`           // see ErasureSum
	Kind   EventKind `cbor:"5,keyasint,omitempty"` // of all of them, where their time was up
	Before time.Time `cbor:"6,keyasint,omitzero"`  // likewise: they are older
}

// Copied are entries of a gateway's own stream of which the controller's are copies.
type Copied struct {
	Gateway string   `cbor:"1,keyasint"`
	Record  string   `cbor:"2,keyasint"` // id of that stream
	Runs    []uint64 `cbor:"3,keyasint"` // as in Erasure
}

// ErasureSum makes the digest of an Erasure: SHA-256 over sequence (8 bytes, big-endian) and commitment of each entry, in ascending order.
type ErasureSum struct {
	sum   hash.Hash
	count uint64
}

// NewErasureSum is that of no entry.
func NewErasureSum() *ErasureSum { return &ErasureSum{sum: sha256.New()} }

// Add adds an entry.
func (s *ErasureSum) Add(seq uint64, commitment [32]byte) {
	var b [40]byte
	binary.BigEndian.PutUint64(b[:], seq)
	copy(b[8:], commitment[:])
	s.sum.Write(b[:])
	s.count++
}

// Count is how many were added.
func (s *ErasureSum) Count() uint64 { return s.count }

// Digest is that of all that were added.
func (s *ErasureSum) Digest() []byte { return s.sum.Sum(nil) }
