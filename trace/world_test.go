package trace

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"sallyport"
)

// A world is one made-up company in which a known person, pair or nobody sells customers, and customers report one after the other.
type world struct {
	firm
	beta     float64 // share of reports that are background
	contacts bool    // background reports come from customers who were in touch, as often as they were
	leakers  int     // 0: nobody
	quotes   bool    // most reports say what the caller knew
}

// firm is who works there.
type firm struct {
	people, customers, teams int
	mean                     int     // customers a person sees
	overlap                  float64 // share of them that come from the team's common queue
	days                     int     // in which they looked, the last of them before the theft is heard of; 0: 20
}

func (w world) String() string {
	return fmt.Sprintf("N=%d seen=%d overlap=%.1f β=%.1f contacts=%v quotes=%v leakers=%d", w.people, w.mean, w.overlap, w.beta, w.contacts, w.quotes, w.leakers)
}

// company is who saw whom in a firm. People and customers are numbers.
type company struct {
	x       *Exposures
	seen    []map[int]bool // whom each person saw
	viewers [][]int        // and back
	touch   []int          // customers as often as somebody saw them
	when    []time.Time    // and when
}

func (o firm) open(dice *rand.Rand) *company {
	c := &company{x: NewExposures(), viewers: make([][]int, o.customers)}
	c.x.Team = map[sallyport.Staff]string{}
	queues := make([][]int, o.teams)
	size := min(o.mean*max(2, o.people/o.teams/2), o.customers/o.teams)
	for t := range queues {
		for range size {
			queues[t] = append(queues[t], dice.IntN(o.customers))
		}
	}
	for i := range o.people {
		team := i % o.teams
		c.x.Team[person(i)] = fmt.Sprint("team ", team)
		n := max(20, int(float64(o.mean)*math.Exp(0.6*dice.NormFloat64())))
		seen := make(map[int]bool, n)
		for range n {
			one := dice.IntN(o.customers)
			if dice.Float64() < o.overlap {
				one = queues[team][dice.IntN(size)]
			}
			if !seen[one] {
				seen[one] = true
				c.viewers[one] = append(c.viewers[one], i)
				c.touch = append(c.touch, one)
				at := day(1).Add(time.Duration(dice.IntN(20*24)) * time.Hour)
				if o.days > 0 {
					at = day(24).Add(-time.Duration(dice.IntN(o.days*24)) * time.Hour)
				}
				c.when = append(c.when, at)
				c.x.Add(Seen{Staff: person(i), Customer: subject(one), At: at})
			}
		}
		c.seen = append(c.seen, seen)
	}
	return c
}

// play is a theft from a company, or none.
type play struct {
	*company
	w      world
	guilty []int
	sold   [][]int // per leaker
	dice   *rand.Rand
	thefts int // reports so far of who was sold
}

func (c *company) play(w world, dice *rand.Rand) *play {
	p := &play{company: c, w: w, dice: dice, guilty: dice.Perm(len(c.seen))[:w.leakers]}
	for _, who := range p.guilty {
		p.sold = append(p.sold, slices.Sorted(maps.Keys(c.seen[who])))
	}
	return p
}

func person(i int) sallyport.Staff { return sallyport.Staff(fmt.Sprintf("s%04d", i)) }

// next is the next report.
func (p *play) next(n int) Report {
	c, sold := p.draw()
	r := Report{At: day(25).Add(time.Duration(n) * time.Hour), Customer: subject(c)}
	if p.w.quotes && p.dice.Float64() < 0.7 { // the others do not remember
		r.Quoted = p.quoted(sold)
	}
	return r
}

// draw is who reports, and whether it is because he was sold.
func (p *play) draw() (c int, sold bool) {
	switch {
	case p.w.leakers > 0 && p.dice.Float64() >= p.w.beta:
		p.thefts++
		own := p.sold[p.dice.IntN(len(p.sold))]
		return own[p.dice.IntN(len(own))], true
	case p.w.contacts:
		return p.touch[p.dice.IntN(len(p.touch))], false
	}
	return p.dice.IntN(p.w.customers), false
}

// quoted is what a caller knew: other figures on purpose than those that the model believes in. Half as many callers who bought the list name a ticket,
// and twice as many of the others.
func (p *play) quoted(sold bool) (f Fields) {
	for _, q := range []struct {
		field         Fields
		sold, anybody float64
	}{{NameField, 0.6, 0.5}, {PhoneField, 0.6, 0.6}, {EmailField, 0.3, 0.15}, {TicketField, 0.25, 0.01}} {
		share := q.anybody
		if sold {
			share = q.sold
		}
		if p.dice.Float64() < share {
			f |= q.field
		}
	}
	return f
}

// ground is how probable it is that a background report comes from a customer: from any alike, which is the design's formula, or from those in touch.
func (p *play) ground(c int, contacts bool) float64 {
	if contacts {
		return max(float64(len(p.viewers[c]))/float64(len(p.touch)), 1e-12)
	}
	return 1 / float64(p.w.customers)
}

// firstOrder is (log N + log 19)/D with D = E[log P(c|leaker) − log P(c|innocent)] in nats a report, in the mean over the innocent, and summed over all
// customers c: by who reports alone, not by what the caller knew. P(·|j) is β·ground + (1−β)/|V_j| on V_j. Reports are drawn from P(·|leaker), so a share β
// of them is background; or, for theft, evenly from those whom he sold. Customers whom neither saw say nothing between the two.
func (p *play) firstOrder(contacts bool) (all, theft float64) {
	who := p.guilty[0]
	his, b := p.seen[who], p.w.beta
	var d, sold float64
	for j, theirs := range p.seen {
		if j == who {
			continue
		}
		for c := range his {
			g := b * p.ground(c, contacts)
			l, i := g+(1-b)/float64(len(his)), g
			if theirs[c] {
				i += (1 - b) / float64(len(theirs))
			}
			d += l * math.Log(l/i)
			sold += math.Log(l/i) / float64(len(his))
		}
		for c := range theirs {
			if !his[c] {
				g := b * p.ground(c, contacts)
				d -= g * math.Log1p((1-b)/float64(len(theirs))/g)
			}
		}
	}
	nats := (math.Log(float64(p.w.people)) + math.Log(19)) * float64(len(p.seen)-1)
	return nats / d, nats / sold
}

// oracle is after how many reports somebody names the leaker who knows that there is one, β, and who reports otherwise: no method needs fewer
// in the mean. The list is what came so far; it goes on as the play does.
func (p *play) oracle(list []Report, most int) int {
	logs := make([]float64, len(p.seen)) // over that of who saw nobody of them
	for n := range most {
		if n == len(list) {
			list = append(list, p.next(n))
		}
		c, _ := strconv.Atoi(string(list[n].Customer))
		for _, who := range p.viewers[c] {
			logs[who] += math.Log1p((1 - p.w.beta) / float64(len(p.seen[who])) / (p.w.beta * p.ground(c, p.w.contacts)))
		}
		sum := math.Inf(-1)
		for _, l := range logs {
			sum = logAdd(sum, l)
		}
		if logs[p.guilty[0]]-sum >= math.Log(NamedFrom) {
			return n + 1
		}
	}
	return most
}

// right: everybody who is named is guilty.
func (p *play) right(named []sallyport.Staff) bool {
	for _, who := range named {
		if !slices.ContainsFunc(p.guilty, func(i int) bool { return person(i) == who }) {
			return false
		}
	}
	return true
}
