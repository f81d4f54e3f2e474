package exposure

import (
	"encoding/binary"
	"math/bits"
)

// index finds the slot of a key: an open-addressed table of the slots' numbers, because the keys stand in the slots. A group has as many
// slots as its keys have times, eight at most. Keys
// are digests or hashes with a secret seed, so nobody can choose them to collide; the multiplication is for keys that tests make.
type index struct {
	cells []cell
	used  int
}

// cell is a slot's number, or none, and some bits of its key, so that other keys are passed without a look at their slots.
type cell struct {
	slot int32
	tag  uint32
}

const (
	none          = 0 // the anchor is never looked up
	smallestIndex = 8
)

// neighbours is how many keys that differ in the lowest bits of their first byte only may have one slot.
const neighbours = 8

// place is where a group's search begins, and its tag.
func (x *index) place(group *Key) (at int, tag uint32) {
	low, high := binary.LittleEndian.Uint64(group[:8]), binary.LittleEndian.Uint64(group[8:])
	h := (low ^ bits.RotateLeft64(high, 32)) * 0x9e3779b97f4a7c15
	return int(h >> 32 & uint64(len(x.cells)-1)), uint32(high) ^ uint32(low) //nolint:gosec // within the cells; any bits
}

// find is the slot of a key, or none.
func (x *index) find(s *slots, k *Key) int32 {
	group, bit := k.split()
	return x.search(s, &group, func(of *slot) bool { return of.in&bit != 0 })
}

// together is the slot of a group's keys of one time, or none.
func (x *index) together(s *slots, group *Key, at int64) int32 {
	return x.search(s, group, func(of *slot) bool { return of.at == at })
}

func (x *index) search(s *slots, group *Key, is func(*slot) bool) int32 {
	if x.used == 0 {
		return none
	}
	mask := len(x.cells) - 1
	for at, tag := x.place(group); ; at = (at + 1) & mask {
		c := x.cells[at]
		if c.slot == none {
			return none
		}
		if c.tag == tag {
			if of := s.at(c.slot); of.group == *group && is(of) {
				return c.slot
			}
		}
	}
}

// add takes a slot in that is not in yet.
func (x *index) add(s *slots, i int32) {
	if len(x.cells) == 0 {
		x.cells = make([]cell, smallestIndex)
	}
	if 4*(x.used+1) > 3*len(x.cells) {
		old := x.cells
		x.cells = make([]cell, 2*len(old))
		for _, c := range old {
			if c.slot != none {
				x.put(s, c.slot)
			}
		}
	}
	x.put(s, i)
	x.used++
}

func (x *index) put(s *slots, i int32) {
	mask := len(x.cells) - 1
	at, tag := x.place(&s.at(i).group)
	for x.cells[at].slot != none {
		at = (at + 1) & mask
	}
	x.cells[at] = cell{i, tag}
}

// remove takes a slot out and closes the gap, so that no search ends early at it (Knuth, volume 3, algorithm 6.4R).
func (x *index) remove(s *slots, i int32) {
	mask := len(x.cells) - 1
	gap, _ := x.place(&s.at(i).group)
	for x.cells[gap].slot != i {
		gap = (gap + 1) & mask
	}
	for at := (gap + 1) & mask; x.cells[at].slot != none; at = (at + 1) & mask {
		home, _ := x.place(&s.at(x.cells[at].slot).group)
		if (at-home)&mask >= (at-gap)&mask { // its search passes the gap
			x.cells[gap] = x.cells[at]
			gap = at
		}
	}
	x.cells[gap] = cell{}
	x.used--
}

// slots are numbered from 0. They stand in pieces, so that a long list grows without moving.
type slots struct {
	pieces [][]slot
	count  int
}

// pieceSlots is how many stand in one piece: a few for who is quiet.
const pieceSlots = 64

func (s *slots) at(i int32) *slot { return &s.pieces[i/pieceSlots][i%pieceSlots] }

// grow adds an empty slot and returns its number.
func (s *slots) grow() int32 {
	if s.count%pieceSlots == 0 {
		most := pieceSlots
		if s.count == 0 {
			most = smallestIndex
		}
		s.pieces = append(s.pieces, make([]slot, 0, most))
	}
	last := &s.pieces[len(s.pieces)-1]
	*last = append(*last, slot{})
	s.count++
	return int32(s.count - 1) //nolint:gosec // two thousand million would take 64 GiB
}
