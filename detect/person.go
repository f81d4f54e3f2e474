package detect

import (
	"math"
	"time"

	"sallyport"
)

// person is the state of one.
type person struct {
	id       sallyport.Staff
	number   int // by first sight
	employee *sallyport.Employee
	service  bool
	role     string // by a role change; empty: the staff file's
	zone     *time.Location
	group    *group

	offset, offsetUntil int64 // of local time, ms

	day     int64 // local, the one that is open
	open    bool
	days    int     // that were open
	work    float64 // explained looks today
	usual   float64 // explained looks of a usual day
	surge   float64 // of the day, once it is over; 0: it is not
	checked float64 // count of customers without a reason at the last check
	asked   float64 // of all customers, likewise
	due     bool    // a stream has grown beside them
	streams [streams]track
	past    []daily // the last days, the oldest first
	lag     int     // how many of them at the end are not learnt yet
	seen    map[uint64]look

	came, expected float64 // his part of the group's

	dead         bool    // R was set to 0 today
	watched      bool    // he was under suspicion when the day began
	total        float64 // ln of what is compared with A, now
	highest      float64 // today
	shadow       [shadowed]process
	block        stretch           // to see how his rate drifts
	moved        movement          // how it did
	reached      [shadowed]float64 // how often his shadows were set back
	fits         [sizes]float64    // logarithm of the likelihood of his days by how much days differ
	likely       *[sizes]float32   // of the day that ends
	last         [growths]float64  // evidence of his last day that is over
	closed       int64             // which day that was
	ever         process           // never set back, for the comparison across people
	reachedToday map[uint64]struct{}

	byJob float64 // customers today by jobs on record
	hurry struct {
		from int64 // ms
		n    float64
	} // customers without a reason within some minutes
	rates   rates // where his rate of customers without a reason is by now
	closing bool  // the day is over: his work is known

	notice, left int64 // ms; 0: no
	training     bool
	signs        signs
	episode      *episode
	findings     int

	devices, networks, countries, applications, forms map[uint64]int64 // the day of the first sight
	queues                                            map[string]int   // tickets that were his, by queue
	hours                                             [24]float64      // days on which he looked at customers then
	there                                             uint32           // in which hours he did today, by bit
	worked                                            float64          // sum of hours
	lastNumber                                        uint64           // of the customer looked at last
	failures                                          int              // log-ins that failed in a row
	lastCountry                                       string
	lastLogIn                                         int64
	link                                              *person
	place                                             uint64 // the address by which he is linked; 0: by something firmer
	parted                                            bool   // a link by an address has ended
}

// track is one stream of one person.
type track struct {
	x               float64
	mu, k           float64 // of today's null
	doubt           float64 // how much is known of his rate: shape of its gamma
	top             float64 // ln of the average R, now
	r               process
	days            float64 // learnt, in usual days; older ones worth less
	total           float64 // learnt
	waitX, waitDays float64 // of days that wait to be learnt

	still   [growths]float64 // evidence of a day without any, under the null of stillOf
	stillOf [4]float64
}

// evidences are the logarithms of the day's ratios. Most streams have nothing on most days.
func (t *track) evidences(n *null) [growths]float64 {
	if t.x != 0 || n.rates != nil {
		return n.evidences(t.x)
	}
	if of := [4]float64{n.mu, n.k, n.share, n.drift}; of != t.stillOf {
		t.still, t.stillOf = n.evidences(0), of
	}
	return t.still
}

// daily is what is kept of a day.
type daily struct {
	day      int64
	first    int64 // ms of the first customer without a reason
	calendar float32
	mu, k    float32 // of customers without a reason
	fresh    int32   // customers without a reason, new ones
	suspect  bool
	lost     bool // most of his peers had a multiple of what is usual: facts are missing, so that it tells nothing of what his days are like
	x        [streams]float32
	fits     *[sizes]float32 // logarithm of its likelihood by how much days differ, until that is learnt; nil: it tells nothing of it
}

// look is what is kept of a customer whom he looked at: eight bytes, since there are very many.
type look struct {
	at   uint32 // the last, in seconds since 1970
	day  uint16 // the local day of it
	bare uint8  // how many days before that the first was without a reason, and one; 0: none was
	w    uint8  // the weight of what explained the last, in steps; the topmost bit: a later fact was taken into account
}

const (
	weightSteps = 100
	laterFact   = 0x80
)

// looked makes one.
func looked(day, ms int64, w float64) look {
	return look{at: uint32(ms / 1000), day: uint16(day), w: uint8(math.Round(w * weightSteps))} //nolint:gosec // until 2106
}

func (l look) weight() float64 { return float64(l.w&^laterFact) / weightSteps }

func (l look) ms() int64 { return int64(l.at) * 1000 }

// since says how long before the day the first look without a reason was, where there was one.
func (l look) since(day int64) (days int64, bare bool) {
	return day - int64(l.day) + int64(l.bare) - 1, l.bare != 0
}

const (
	keptDays  = 182
	keptLooks = 90 // days
	countOnce = 30 // days in which a customer without a reason counts once
	longLag   = 10 // days before a day is learnt
	ownFade   = 60 // half-life of what he did, in his days
)

func newPerson(id sallyport.Staff, number int) *person {
	p := &person{
		id: id, number: number, day: math.MinInt32, closed: math.MinInt32, seen: map[uint64]look{}, devices: map[uint64]int64{}, networks: map[uint64]int64{},
		countries: map[uint64]int64{}, applications: map[uint64]int64{}, forms: map[uint64]int64{}, queues: map[string]int{},
	}
	for i := range p.streams {
		p.streams[i].r = none()
	}
	p.ever = none()
	for i := range p.shadow {
		p.shadow[i] = none()
	}
	p.rates.begin()
	return p
}

// join makes him one of these peers. What was usual for him elsewhere says nothing here: a fifth of ten weeks would still outweigh all his new peers.
func (p *person) join(g *group) {
	if p.group == g {
		return
	}
	if p.group != nil {
		for i, q := range p.group.people {
			if q == p {
				p.group.people = append(p.group.people[:i:i], p.group.people[i+1:]...)
				break
			}
		}
		p.group.came -= p.came
		p.group.expected -= p.expected
		p.came, p.expected = 0, 0
		for i := range p.streams {
			t := &p.streams[i]
			t.days, t.total, t.waitX, t.waitDays = 0, 0, 0, 0
		}
		p.lag, p.fits, p.moved = 0, [sizes]float64{}, movement{}
		p.rates.begin()
	}
	p.group = g
	g.people = append(g.people, p)
}

// local is the day of a moment where he is.
func (p *person) local(at int64) int64 { return floor(at+p.shift(at), dayMS) }

// shift is how far his clock is before UTC. Zones change it at full hours.
func (p *person) shift(at int64) int64 {
	if p.zone == nil {
		return 0
	}
	if hour := floor(at, hourMS); hour != p.offsetUntil {
		_, seconds := time.UnixMilli(at).In(p.zone).Zone()
		p.offset, p.offsetUntil = int64(seconds)*1000, hour
	}
	return p.offset
}

func (p *person) hour(at int64) int { return int(floor(at+p.shift(at), hourMS) % 24) }

// forget drops customers whom he has not looked at for long, and devices, too.
func (p *person) forget() {
	for c, l := range p.seen {
		if p.day-int64(l.day) > keptLooks {
			delete(p.seen, c)
		}
	}
}

// worked notes a finished day: how weekdays differ, and bulk work by jobs on record.
func (g *group) worked(p *person, suspect bool) {
	if !suspect {
		w := &g.weekday[weekday(p.day)]
		w.x += min(p.streams[exposure].x, 4*g.streams[exposure].mean+5)
		w.days++
	}
	if p.byJob >= many {
		g.jobs.days, g.jobs.customers = g.jobs.days+1, g.jobs.customers+p.byJob
	}
}
