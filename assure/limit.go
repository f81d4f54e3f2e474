package assure

import (
	"net/netip"
	"sync"
	"time"
)

// Limit bounds how often one place may ask, and how often all together. Right and wrong answers cost the same.
type Limit struct {
	Each  int           // of one place within Every
	All   int           // of all places within Every
	Every time.Duration // after which what was asked is forgotten

	mu    sync.Mutex // guards what follows
	since time.Time
	all   int
	asked map[netip.Prefix]int
}

// mostPlaces bounds what is remembered: so many places at once are one attack, and all of them wait.
const mostPlaces = 50_000

// Place is what one customer has at home: an address of IPv4, or the half of one of IPv6 that names a network.
func Place(address netip.Addr) netip.Prefix {
	address = address.Unmap()
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	p, _ := address.Prefix(bits) // the zero prefix for what is no address: one place of its own
	return p
}

// Take counts one question of a place, and tells whether it is answered.
func (l *Limit) Take(from netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil || now.Sub(l.since) >= l.Every || now.Before(l.since) {
		l.since, l.all, l.asked = now, 0, map[netip.Prefix]int{}
	}
	place := Place(from)
	if l.all >= l.All || l.asked[place] >= l.Each || len(l.asked) >= mostPlaces && l.asked[place] == 0 {
		return false
	}
	l.all++
	l.asked[place]++
	return true
}
