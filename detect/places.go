package detect

import (
	"math"
	"net/netip"
)

// place is an address, and who was there. What a third person uses is no sign of acting together but an office, a proxy, a provider's exit: it links
// nobody, and whom it had linked it does not link any more.
type place struct {
	users [2]*person // by first sight; none of a crowd
	last  [2]int64   // UTC day on which each was there last
	met   int        // days on which both were
	metOn int64      // the last of them
	crowd bool       // it was more than two
}

const (
	metDays   = 3  // days on which two are at one address
	placeKept = 90 // days after which an address that nobody uses is forgotten
)

// placeOf is what of an address stands for a place: of IPv4 all, of IPv6 the 64 bits of the network, since the rest changes by itself. What says
// nothing about where somebody is gives 0.
func placeOf(address string) uint64 {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return 0
	}
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() {
		return 0
	}
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return 0
	}
	return hash(p.String()) | 1
}

// place notes who is at an address. Two are linked who were there on the same days, several times, while nobody else was there at all: that two have
// one address one after the other is what providers and networks that lend addresses do.
func (s *pairs) place(p *person, address string, at int64) {
	if p.service {
		return
	}
	h := placeOf(address)
	if h == 0 {
		return
	}
	x := s.places[h]
	if x == nil {
		x = &place{}
		s.places[h] = x
	}
	day := floor(at, dayMS)
	i := x.of(p)
	if i < 0 {
		x.crowd, x.last[0] = true, day
		x.part(h)
		return
	}
	x.users[i], x.last[i] = p, day
	if x.last[1-i] != day || x.metOn == day {
		return
	}
	x.met, x.metOn = x.met+1, day
	if x.met >= metDays && x.users[0].days > settled && x.users[1].days > settled {
		linkAt(x.users[0], x.users[1], h)
	}
}

// of is which of its two users somebody is or becomes; -1: it is a crowd's.
func (x *place) of(p *person) int {
	for i, q := range x.users {
		if !x.crowd && (q == p || q == nil) {
			return i
		}
	}
	return -1
}

// part ends the link that hangs on the address, if there is one, and forgets who was there.
func (x *place) part(h uint64) {
	if a := x.users[0]; a != nil && a.link != nil && a.place == h {
		a.link.part()
		a.part()
	}
	x.users = [2]*person{}
}

// forgetPlaces drops addresses that nobody uses any more.
func (s *pairs) forgetPlaces(now int64) {
	for h, x := range s.places {
		if floor(now, dayMS)-max(x.last[0], x.last[1]) > placeKept {
			x.part(h)
			delete(s.places, h)
		}
	}
}

// linkAt links two by an address: each once, and as long as nothing firmer links one of them.
func linkAt(a, b *person, h uint64) {
	if a.link != nil || b.link != nil || a.parted || b.parted {
		return
	}
	bind(a, b, h)
}

// bind begins to count two together: R is 0 for both.
func bind(a, b *person, h uint64) {
	a.link, b.link, a.place, b.place = b, a, h, h
	a.streams[together].r, b.streams[together].r = none(), none()
}

// part ends his link. The part of the budget that he had given to what both do is not given back: else what a third person does could raise an alarm
// about him, and the promise would be broken.
func (p *person) part() {
	p.link, p.place, p.parted = nil, 0, true
	p.streams[together] = track{r: none(), top: math.Inf(-1)}
	given, alone := math.Log(specs()[exposure].weight/linkedAlone), &p.streams[exposure]
	alone.top -= given
	for i := range alone.r {
		alone.r[i] -= given
	}
}
