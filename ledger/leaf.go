package ledger

import (
	"encoding/binary"
	"errors"

	"github.com/transparency-dev/merkle/rfc6962"
)

// Stream is one of the two streams of a data folder.
type Stream byte

// The streams.
const (
	Access  Stream = 'A'
	Control Stream = 'C'
)

// String is the name of the stream's folder.
func (s Stream) String() string {
	if s == Control {
		return "control"
	}
	return "access"
}

// leafBytes is the length of a leaf: magic 8, record 16, sequence 8, commitment 32.
const leafBytes = 64

// Leaf is what stands in the log for one entry. A commitment of zeros stands for an entry that could not be read any more when its
// turn came.
type Leaf struct {
	Stream     Stream
	Record     [16]byte
	Seq        uint64
	Commitment [32]byte
}

// Append appends the canonical bytes.
func (l Leaf) Append(dst []byte) []byte {
	dst = append(dst, 'S', 'A', 'L', 'L', 'Y', 'L', byte(l.Stream), '1')
	dst = append(dst, l.Record[:]...)
	dst = binary.BigEndian.AppendUint64(dst, l.Seq)
	return append(dst, l.Commitment[:]...)
}

// Hash is the leaf's hash in the tree (RFC 6962).
func (l Leaf) Hash() []byte {
	var b [leafBytes]byte
	return rfc6962.DefaultHasher.HashLeaf(l.Append(b[:0]))
}

var errLeaf = errors.New("not a leaf of this kind")

// ParseLeaf is the inverse of Append.
func ParseLeaf(b []byte) (Leaf, error) {
	if len(b) != leafBytes || string(b[:6]) != "SALLYL" || b[7] != '1' {
		return Leaf{}, errLeaf
	}
	l := Leaf{Stream: Stream(b[6]), Seq: binary.BigEndian.Uint64(b[24:])}
	if l.Stream != Access && l.Stream != Control || l.Seq == 0 {
		return Leaf{}, errLeaf
	}
	copy(l.Record[:], b[8:])
	copy(l.Commitment[:], b[32:])
	return l, nil
}

// splitBundle gives the leaves of an entry bundle, each behind its length (C2SP tlog-tiles).
func splitBundle(b []byte) ([]Leaf, error) {
	var out []Leaf
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return out, errLeaf
		}
		n := int(binary.BigEndian.Uint16(b))
		leaf, err := ParseLeaf(b[2 : 2+n])
		if err != nil {
			return out, err
		}
		out = append(out, leaf)
		b = b[2+n:]
	}
	return out, nil
}
