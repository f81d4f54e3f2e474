package detect

import "math"

// pairs links people who act together: who use a device that hardly anybody else uses, or look without a reason at the same customers more
// often than chance would have it. From then on what both look at is counted together, besides each alone.
type pairs struct {
	users map[uint64][]*person // of a device
	first map[uint64]sighting  // of a customer without a reason
	met   map[[2]int]int       // how often two looked at the same
}

type sighting struct {
	who *person
	at  int64
}

const (
	meetings   = 3          // so many same customers
	meetWithin = 14 * dayMS // in so long
	fewUsers   = 2
)

func newPairs() pairs {
	return pairs{users: map[uint64][]*person{}, first: map[uint64]sighting{}, met: map[[2]int]int{}}
}

func (s *pairs) forget(now int64) {
	for c, f := range s.first {
		if now-f.at > meetWithin {
			delete(s.first, c)
		}
	}
}

// device notes who uses one.
func (s *pairs) device(d *Detector, p *person, h uint64) {
	users := s.users[h]
	for _, u := range users {
		if u == p {
			return
		}
	}
	if p.service || len(users) > fewUsers {
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
	if s.met[two] >= meetings && p.link == nil && f.who.link == nil {
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

// null is what a day of both has without a reason. The other's part counts while his day is open.
func (s *pairs) null(d *Detector, p *person) null {
	q := p.link
	if q == nil {
		return null{mu: 1, k: 1, share: 0.5}
	}
	own := d.today(p, exposure)
	if !q.open {
		return own
	}
	other := d.today(q, exposure)
	mu := own.mu + other.mu
	variance := own.mu + own.mu*own.mu/own.k + other.mu + other.mu*other.mu/other.k
	return null{mu: mu, k: mu * mu / math.Max(variance-mu, 1e-9), share: max(own.share, other.share)}
}

// together counts what two linked people have looked at today.
func (d *Detector) together(p *person, _ int64) {
	q := p.link
	if q == nil {
		return
	}
	p.streams[together].x = p.streams[exposure].x
	if q.open {
		p.streams[together].x += q.streams[exposure].x
	}
	d.renew(p, together)
}
