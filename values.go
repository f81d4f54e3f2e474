package sallyport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"strconv"
)

// RevealedValue is one value: whose, which column, and its keyed digest.
type RevealedValue struct {
	Subject Subject // empty where only the value is known
	Column  uint16  // index into Revealed.Columns
	Digest  Digest
}

// Values is a list of revealed values as the record stores it (docs/record.md): made value by value while rows pass, because a batch holds
// thousands. Customers who come in the order of their keys take a byte each. The zero Values is empty.
type Values struct {
	packed []byte
	count  int
	number uint64 // the last customer's with one
	column uint16 // the last value's
}

// Flags in a value's first byte, and what stands above them: how much higher the customer's number is than the last one's, up to
// farther, which says that the difference follows.
const (
	otherColumn = 1 << 0 // the column follows; else it is that of the value before, in the beginning the first
	textKey     = 1 << 1 // the customer's key follows as a text: its length, and itself
	stepShift   = 2
	farther     = 63
)

var errValues = errors.New("altered: not the form of revealed values")

// ValuesOf is a list of values.
func ValuesOf(list ...RevealedValue) (v Values) {
	for _, one := range list {
		v.Add(one)
	}
	return v
}

// Add appends one value.
func (v *Values) Add(one RevealedValue) {
	if n, ok := WholeNumber(one.Subject); ok {
		v.AddNumber(n, one.Column, one.Digest)
		return
	}
	v.packed = binary.AppendUvarint(append(v.packed, textKey|v.turn(one.Column)), uint64(len(one.Subject)))
	v.packed = append(v.packed, one.Subject...)
	v.end(one.Column, &one.Digest)
}

// AddNumber is Add for a customer whose key is a whole number.
func (v *Values) AddNumber(n uint64, column uint16, d Digest) {
	step := n - v.number
	if v.number = n; step < farther {
		v.packed = append(v.packed, byte(step)<<stepShift|v.turn(column))
	} else {
		v.packed = binary.AppendVarint(append(v.packed, farther<<stepShift|v.turn(column)), int64(step)) //nolint:gosec // modulo 2^64, there and back
	}
	v.end(column, &d)
}

// turn is the flag of another column than the last value's.
func (v *Values) turn(column uint16) byte {
	if column == v.column {
		return 0
	}
	return otherColumn
}

func (v *Values) end(column uint16, d *Digest) {
	if column != v.column {
		v.packed, v.column = binary.AppendUvarint(v.packed, uint64(column)), column
	}
	v.packed = append(v.packed, d[:]...)
	v.count++
}

// Len is how many there are.
func (v *Values) Len() int { return v.count }

// Reset empties the list and keeps its room.
func (v *Values) Reset() { *v = Values{packed: v.packed[:0]} }

// All are the values in order.
func (v *Values) All() iter.Seq[RevealedValue] {
	return func(yield func(RevealedValue) bool) {
		for r := (reading{rest: v.packed}); len(r.rest) > 0; {
			one, ok := r.next()
			if !ok || !yield(one) {
				return
			}
		}
	}
}

// NumberedValue is a value whose customer, where the key is a whole number, is that number, and no text has to be made of it.
type NumberedValue struct {
	Number uint64
	Key    []byte // not nil: the key is no whole number but this, and empty where only the value is known; valid until the next value
	Column uint16 // index into Revealed.Columns
	Digest Digest
}

// Numbered are the values in order.
func (v *Values) Numbered() iter.Seq[NumberedValue] {
	return func(yield func(NumberedValue) bool) {
		for r := (reading{rest: v.packed}); len(r.rest) > 0; {
			digest, ok := r.step()
			if !ok || !yield(NumberedValue{r.number, r.text, r.column, Digest(digest)}) {
				return
			}
		}
	}
}

// Distinct appends each customer once, in the order in which they come, besides those that are in the list. Where nobody knows whose a value
// is there is none to append.
func (v *Values) Distinct(list []Subject) []Subject {
	seen, list := subjects{}, slices.Grow(list, v.count)
	for _, s := range list {
		seen.add(s)
	}
	for r := (reading{rest: v.packed}); len(r.rest) > 0; {
		if _, ok := r.step(); !ok {
			break
		}
		if r.text == nil && seen.addNumber(r.number) || len(r.text) > 0 && seen.add(Subject(r.text)) {
			list = append(list, r.subject())
		}
	}
	return list
}

// subjects is a set of customers. Those with whole numbers for keys mostly come side by side: 64 neighbours are a word of bits, and the last one is
// at hand.
type subjects struct {
	texts map[Subject]struct{}
	words map[uint64]*uint64
	last  *uint64 // nil: none yet
	at    uint64  // which it is
}

// add says whether the customer was not in yet.
func (s *subjects) add(who Subject) bool {
	if n, ok := WholeNumber(who); ok {
		return s.addNumber(n)
	}
	if _, in := s.texts[who]; in {
		return false
	}
	if s.texts == nil {
		s.texts = map[Subject]struct{}{}
	}
	s.texts[who] = struct{}{}
	return true
}

func (s *subjects) addNumber(n uint64) bool {
	if s.last == nil || s.at != n/64 {
		if s.words == nil {
			s.words = map[uint64]*uint64{}
		}
		word := s.words[n/64]
		if word == nil {
			word = new(uint64)
			s.words[n/64] = word
		}
		s.last, s.at = word, n/64
	}
	bit := uint64(1) << (n % 64)
	if *s.last&bit != 0 {
		return false
	}
	*s.last |= bit
	return true
}

// Packed is the list as it is stored. It is valid until the next change.
func (v *Values) Packed() []byte { return v.packed }

// Equal says whether two lists are the same.
func (v Values) Equal(w Values) bool { return bytes.Equal(v.packed, w.packed) }

// MarshalBinary is Packed.
func (v Values) MarshalBinary() ([]byte, error) { return v.packed, nil }

// UnmarshalBinary takes what Packed gave. An error says that it is something else.
func (v *Values) UnmarshalBinary(packed []byte) error {
	r := reading{rest: packed}
	n := 0
	for ; len(r.rest) > 0; n++ {
		if _, ok := r.step(); !ok {
			return errValues
		}
	}
	*v = Values{bytes.Clone(packed), n, r.number, r.column}
	return nil
}

// reading is how far a packed list was read.
type reading struct {
	rest   []byte
	number uint64 // the last customer's with one
	text   []byte // the key of the value that was read last, where it is a text; nil: it is number
	column uint16
}

// next is the next value.
func (r *reading) next() (one RevealedValue, ok bool) {
	digest, ok := r.step()
	if !ok {
		return one, false
	}
	one.Subject, one.Column = r.subject(), r.column
	copy(one.Digest[:], digest)
	return one, true
}

// subject is the key of the value that was read last.
func (r *reading) subject() Subject {
	if r.text != nil {
		return Subject(r.text)
	}
	return Subject(strconv.FormatUint(r.number, 10))
}

// step reads one value without making anything of it, and returns its digest.
func (r *reading) step() (digest []byte, ok bool) {
	head := r.rest[0]
	r.rest, r.text = r.rest[1:], nil
	switch step := head >> stepShift; {
	case head&textKey != 0:
		n, ok := r.uvarint()
		if !ok || step != 0 || n > uint64(len(r.rest)) {
			return nil, false
		}
		r.text, r.rest = r.rest[:n:n], r.rest[n:]
	case step == farther:
		n, size := binary.Varint(r.rest)
		if size <= 0 {
			return nil, false
		}
		r.rest = r.rest[size:]
		r.number += uint64(n) //nolint:gosec // modulo 2^64
	default:
		r.number += uint64(step)
	}
	if head&otherColumn != 0 {
		n, ok := r.uvarint()
		if !ok || n > 0xffff {
			return nil, false
		}
		r.column = uint16(n)
	}
	if len(r.rest) < len(Digest{}) {
		return nil, false
	}
	digest, r.rest = r.rest[:len(Digest{})], r.rest[len(Digest{}):]
	return digest, true
}

func (r *reading) uvarint() (uint64, bool) {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		return 0, false
	}
	r.rest = r.rest[size:]
	return n, true
}
