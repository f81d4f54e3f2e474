package detect

import (
	"math"
	"slices"
)

// pairs links people who act together: who use a device that hardly anybody else uses, or look without a reason at the same customers more
// often than chance would have it. From then on what both look at is counted together, besides each alone.
type pairs struct {
	users map[uint64][]*person // of a device
	first map[uint64]sighting  // of a customer without a reason
	met   map[[2]int]int       // how often two looked at the same, lately
	alone map[int]int          // and how often each looked at any
	since int64
}

type sighting struct {
	who *person
	at  int64
}

const (
	meetings   = 3          // so many same customers
	meetWithin = 14 * dayMS // in so long
	often      = 0.25       // and such a part of what one of them looks at: popular customers are met by chance
	fewUsers   = 2
)

func newPairs() pairs {
	return pairs{users: map[uint64][]*person{}, first: map[uint64]sighting{}, met: map[[2]int]int{}, alone: map[int]int{}}
}

func (s *pairs) forget(now int64) {
	if now-s.since < meetWithin {
		return
	}
	s.since = now
	clear(s.met)
	clear(s.alone)
	for c, f := range s.first {
		if now-f.at > meetWithin {
			delete(s.first, c)
		}
	}
}

// device notes who uses one.
func (s *pairs) device(d *Detector, p *person, h uint64) {
	users := s.users[h]
	if slices.Contains(users, p) || p.service || len(users) > fewUsers {
		return
	}
	users = append(users, p)
	s.users[h] = users
	if len(users) == fewUsers && p.days > settled {
		s.link(d, users[0], p)
	}
}

// shared notes that somebody looked at a customer without a reason.
func (s *pairs) shared(d *Detector, p *person, customer uint64, at int64) {
	s.alone[p.number]++
	f, ok := s.first[customer]
	if !ok || at-f.at > meetWithin {
		s.first[customer] = sighting{p, at}
		return
	}
	if f.who == p || p.service || f.who.service {
		return
	}
	two := [2]int{min(p.number, f.who.number), max(p.number, f.who.number)}
	s.met[two]++
	if n := s.met[two]; n >= meetings && float64(n) >= often*float64(min(s.alone[p.number], s.alone[f.who.number])) {
		s.link(d, f.who, p)
	}
}

// link begins to count two together: R is 0 for both.
func (s *pairs) link(_ *Detector, a, b *person) {
	if a.link != nil || b.link != nil || a == b {
		return
	}
	a.link, b.link = b, a
	a.streams[together].r, b.streams[together].r = none(), none()
}

// together counts what two linked people have looked at today, while both work.
func (d *Detector) together(p *person) {
	q := p.link
	if q == nil {
		return
	}
	own := d.today(p, exposure)
	p.both.x, p.both.n = p.streams[exposure].x, own
	if q.open && q.day == p.day {
		other := d.today(q, exposure)
		mu := own.mu + other.mu
		variance := own.mu + own.mu*own.mu/own.k + other.mu + other.mu*other.mu/other.k
		p.both.x += q.streams[exposure].x
		p.both.n = null{mu: mu, k: mu * mu / math.Max(variance-mu, 1e-9), share: max(own.share, other.share), drift: max(own.drift, other.drift)}
	}
	p.streams[together].x = p.both.x
	d.renew(p, together)
}
