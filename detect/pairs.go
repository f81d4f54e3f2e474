package detect

import (
	"math"
	"slices"
)

// pairs links people who act together: who use a device that hardly anybody else uses, are at an address where nobody else is (places.go), or look
// without a reason at the same customers more often than chance would have it. From then on what both look at is counted together, besides each alone.
type pairs struct {
	users  map[uint64][]*person // of a device
	places map[uint64]*place    // addresses
	first  map[uint64]sighting  // of a customer without a reason
	met    map[[2]int]int       // how often two looked at the same, lately
	alone  map[int]int          // and how often each looked at any
	all    struct{ met, looks float64 }
	since  int64
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
	return pairs{users: map[uint64][]*person{}, places: map[uint64]*place{}, first: map[uint64]sighting{}, met: map[[2]int]int{}, alone: map[int]int{}}
}

func (s *pairs) forget(now int64) {
	if now-s.since < meetWithin {
		return
	}
	s.since = now
	s.forgetPlaces(now)
	clear(s.met)
	clear(s.alone)
	s.all.met, s.all.looks = s.all.met/2, s.all.looks/math.Sqrt2 // what is usual is remembered longer
	for c, f := range s.first {
		if now-f.at > meetWithin {
			delete(s.first, c)
		}
	}
}

// device notes who uses one.
func (s *pairs) device(p *person, h uint64) {
	users := s.users[h]
	if slices.Contains(users, p) || p.service || len(users) > fewUsers {
		return
	}
	users = append(users, p)
	s.users[h] = users
	if len(users) == fewUsers && p.days > settled {
		s.link(users[0], p)
	}
}

// shared notes that somebody looked at a customer without a reason.
func (s *pairs) shared(d *Detector, p *person, customer uint64, at int64) {
	s.alone[p.number]++
	s.all.looks++
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
	s.all.met++
	a, b := s.alone[p.number], s.alone[f.who.number]
	if n := s.met[two]; n >= meetings && float64(n) >= often*float64(min(a, b)) && s.beyondChance(n, a, b, len(d.order)) {
		s.link(f.who, p)
	}
}

// beyondChance tells whether two met more often than any two of so many would by chance, as often as people meet at all.
func (s *pairs) beyondChance(n, a, b, people int) bool {
	rate := (s.all.met - float64(n) + 1) / (s.all.looks*s.all.looks/2 + 1)
	mean := rate * float64(a) * float64(b)
	const chance = 0.01 // that any two do
	return -poissonTail(n, mean) > math.Log(float64(people)*float64(people)/2/chance)
}

// poissonTail is the logarithm of the chance of n or more, from its first term where the mean is smaller.
func poissonTail(n int, mean float64) float64 {
	if float64(n) <= mean {
		return 0
	}
	log, _ := math.Lgamma(float64(n) + 1)
	return float64(n)*math.Log(mean) - mean - log - math.Log(1-mean/float64(n+1))
}

// link links two by a device or by customers. That is firmer than an address: a link by one gives way to it.
func (s *pairs) link(a, b *person) {
	switch {
	case a == b || a.link != nil && a.place == 0 || b.link != nil && b.place == 0:
		return
	case a.link == b:
		a.place, b.place = 0, 0
		return
	}
	for _, p := range [...]*person{a, b} {
		if p.link != nil {
			p.link.part()
		}
	}
	bind(a, b, 0)
}

// bothDays is the evidence of his day together with that of whom he is linked to: the product of two ratios, each against what is usual for
// one of them.
func (d *Detector) bothDays(p *person) [growths]float64 {
	e, q := d.evidenceOf(p), p.link
	if q.day == p.day && (q.open || q.closed == q.day) {
		for i, other := range d.evidenceOf(q) {
			e[i] += other
		}
	}
	return e
}

// evidenceOf is that of his last day, as far as it has come.
func (d *Detector) evidenceOf(p *person) [growths]float64 {
	if p.closed == p.day {
		return p.last
	}
	n := d.today(p, exposure)
	return n.evidences(p.streams[exposure].x)
}

// together renews what two linked people come to, while both work.
func (d *Detector) together(p *person) {
	if p.link != nil {
		p.streams[together].x = p.streams[exposure].x
		if q := p.link; q.open && q.day == p.day {
			p.streams[together].x += q.streams[exposure].x
		}
		d.renew(p, together)
	}
}

// pooled is ln of what two together come to, as far as each of them brings a part of it.
func (p *person) pooled(top float64) float64 {
	q := p.link
	top -= max(p.group.penalty, q.group.penalty, p.group.penalty+q.group.penalty)
	if least := min(p.streams[exposure].top, q.streams[exposure].top); least < alike*top { // it is one of them
		return least
	}
	return top
}

// ofBoth is how many customers without a reason he and whom he is linked to had since a day, on the days on which he worked, and how many were expected.
func (p *person) ofBoth(from int64) (x, expected float64) {
	x, expected = p.streams[exposure].x, p.streams[exposure].mu
	his := map[int64]bool{p.day: true}
	for j := len(p.past) - 1; j >= 0 && p.past[j].day >= from; j-- {
		day := &p.past[j]
		his[day.day], x, expected = true, x+float64(day.x[exposure]), expected+float64(day.mu)
	}
	q := p.link
	if q == nil {
		return x, expected
	}
	if q.open && his[q.day] {
		x, expected = x+q.streams[exposure].x, expected+q.streams[exposure].mu
	}
	for j := len(q.past) - 1; j >= 0 && q.past[j].day >= from; j-- {
		if day := &q.past[j]; his[day.day] {
			x, expected = x+float64(day.x[exposure]), expected+float64(day.mu)
		}
	}
	return x, expected
}
