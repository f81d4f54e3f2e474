package detect

import (
	"slices"
	"time"

	"sallyport"
)

// Profile is how somebody works beside his peers, day by day.
type Profile struct {
	Peers string // their role; empty: everybody
	Of    int    // how many they are, he among them
	Days  []Working
}

// Working is one day of somebody: customers at all, those without a reason (in parts, where a reason explains a part), how many of these were
// expected of him, and how many his peers had on that day in the mean.
type Working struct {
	Day         time.Time
	Customers   float64
	Unexplained float64
	Expected    float64
	Peers       float64
}

// Profile is that of one person; of somebody who never worked there is none.
func (d *Detector) Profile(who sallyport.Staff) (Profile, bool) {
	p, ok := d.people[who]
	if !ok || p.group == nil {
		return Profile{}, false
	}
	out := Profile{Peers: p.group.name, Of: len(p.group.people)}
	type mean struct{ sum, n float64 }
	peers := map[int64]mean{}
	for _, q := range p.group.people {
		if q == p {
			continue
		}
		q.eachDay(func(day int64, _, bare, _ float64) {
			m := peers[day]
			peers[day] = mean{m.sum + bare, m.n + 1}
		})
	}
	p.eachDay(func(day int64, customers, bare, expected float64) {
		w := Working{Day: moment(day * dayMS), Customers: customers, Unexplained: bare, Expected: expected}
		if m := peers[day]; m.n > 0 {
			w.Peers = m.sum / m.n
		}
		out.Days = append(out.Days, w)
	})
	return out, true
}

// eachDay goes through the days of somebody that are kept, the oldest first.
func (p *person) eachDay(do func(day int64, customers, bare, expected float64)) {
	for i := range p.past {
		w := &p.past[i]
		do(w.day, max(float64(w.x[breadth]), float64(w.x[exposure])), float64(w.x[exposure]), float64(w.mu))
	}
	if p.open {
		do(p.day, max(p.streams[breadth].x, p.streams[exposure].x), p.streams[exposure].x, p.streams[exposure].mu)
	}
}

// Sum is what the last days of somebody come to.
type Sum struct {
	Staff       sallyport.Staff
	Peers       string
	Days        int // on which he worked
	Customers   float64
	Unexplained float64
	Expected    float64
	Last        time.Time // the day on which he worked last
}

// Sums are those of all people since a moment, programs left out: the one first who has most beyond what was expected of him.
func (d *Detector) Sums(since time.Time) []Sum {
	var list []Sum
	from := floor(since.UnixMilli(), dayMS)
	for _, p := range d.order {
		if p.service || p.group == nil {
			continue
		}
		s := Sum{Staff: p.id, Peers: p.group.name}
		p.eachDay(func(day int64, customers, bare, expected float64) {
			if day < from {
				return
			}
			s.Days++
			s.Customers, s.Unexplained, s.Expected, s.Last = s.Customers+customers, s.Unexplained+bare, s.Expected+expected, moment(day*dayMS)
		})
		if s.Days > 0 {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b Sum) int {
		switch x, y := a.Unexplained-a.Expected, b.Unexplained-b.Expected; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return list
}
