package exposure

import "slices"

// numbers is a set of whole numbers. It is laid out as a roaring bitmap is, but remembers where it was last: a result's customers mostly come in
// order, and finding the place anew for each of them cost more than everything else about counting him.
type numbers struct {
	pages map[uint64]*page
	last  *page // the one of lastAt, or nil
	at    uint64
}

// page is which of 65,536 numbers are in.
type page struct {
	few  []uint16 // in order, while they are few
	bits *[1024]uint64
}

// fewest is from how many numbers on a page takes a bit for each.
const fewest = 4096

// page is the page of a number, or nil.
func (s *numbers) page(n uint64) *page {
	if at := n >> 16; s.last == nil || s.at != at {
		p := s.pages[at]
		if p == nil {
			return nil
		}
		s.last, s.at = p, at
	}
	return s.last
}

func (s *numbers) has(n uint64) bool {
	p := s.page(n)
	return p != nil && p.has(uint16(n)) //nolint:gosec // its lowest bits
}

// add says whether the number was not in yet.
func (s *numbers) add(n uint64) bool {
	p := s.page(n)
	if p == nil {
		if p = new(page); s.pages == nil {
			s.pages = map[uint64]*page{}
		}
		s.pages[n>>16] = p
		s.last, s.at = p, n>>16
	}
	return p.add(uint16(n)) //nolint:gosec // its lowest bits
}

func (p *page) has(n uint16) bool {
	if p.bits != nil {
		return p.bits[n/64]>>(n%64)&1 != 0
	}
	_, in := slices.BinarySearch(p.few, n)
	return in
}

func (p *page) add(n uint16) bool {
	if p.bits != nil {
		word, bit := &p.bits[n/64], uint64(1)<<(n%64)
		fresh := *word&bit == 0
		*word |= bit
		return fresh
	}
	if len(p.few) == 0 || p.few[len(p.few)-1] < n {
		p.few = append(p.few, n)
	} else {
		i, in := slices.BinarySearch(p.few, n)
		if in {
			return false
		}
		p.few = slices.Insert(p.few, i, n)
	}
	if len(p.few) >= fewest {
		p.bits = new([1024]uint64)
		for _, n := range p.few {
			p.bits[n/64] |= 1 << (n % 64)
		}
		p.few = nil
	}
	return true
}
