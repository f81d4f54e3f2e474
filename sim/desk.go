package sim

import (
	"math"
)

// Desk is a company that is made in another way than those of Profiles and Fresh, so that detection is tried on what its makers did not think of:
// customers come in bursts that feed themselves (a Hawkes process, and outages), whoever is free takes the next, a few people do most of the
// work, cases are looked at a number of times that has a heavy tail, a fifth of looks have no ticket, the log begins with the first day, shifts change
// from week to week and stand in no file, weekends are days as others. How much of all that there is, each seed draws. Thieves differ, too: see rob.
func Desk() Profile {
	return Profile{
		Name: "desk", Staff: 200, Weeks: 26, Customers: 12_000_000, Touches: 26, Tickets: 6, Fano: 10, Quality: 0.04, Undated: 0.2, Bulk: 0.4, Unlogged: 0.1, Differ: 0.9,
		Unlinked: 0.04, Desk: true,
	}
}

// bursts are how a desk's customers come, and what they need.
type bursts struct {
	feeds   float64 // how many more each brings along, of the same queue
	outages float64 // a week
	tail    float64 // of how often a case is looked at: the lower, the heavier
	bare    float64 // share of cases without a ticket
	heard   float64 // share of those that a call or chat is on record for
	family  float64 // share of looks after which another customer is looked at
}

// furnish draws the ways of this desk, and who works at it.
func (c *Company) furnish() {
	between := func(low, high float64) float64 { return low + (high-low)*c.random.Float64() }
	c.bursts = bursts{feeds: between(0.5, 0.8), outages: between(0.2, 1.5), tail: between(1.3, 1.8), bare: between(0.17, 0.23), heard: between(0.4, 0.8), family: between(0.02, 0.08)}
	c.employ()
	for i := range c.agents {
		a := &c.agents[i]
		a.turned, a.promoted, c.staff[i].Shift = 0, 0, [2]int{}
		if a.role == "service" {
			continue
		}
		pace := min(8, math.Pow(c.random.Float64(), -1/1.5)) / 2.3 // Pareto's: the busiest do ten times what the laziest do
		off := c.random.IntN(7)
		for d := range a.weight {
			away := d < a.hired || d >= a.leave[0] && d < a.leave[1] || c.random.Float64() < 0.03
			a.weight[d] = pace * math.Exp(0.4*c.random.NormFloat64())
			if away || (d+off)%7 >= 5 {
				a.weight[d] = 0
			}
		}
	}
}

// turnOf is somebody's shift of a day: early and late weeks by turns.
func (c *Company) turnOf(a *agent, d int) (from, to int) {
	if a.role == "agent" && (a.index+d/7)%2 == 1 {
		return 14 * 60, 22*60 + 30
	}
	return 7 * 60, 15*60 + 30
}

// planDesk plans what begins on a day.
func (c *Company) planDesk(d int) {
	for i := range c.agents {
		a := &c.agents[i]
		if a.role != "service" {
			a.from, a.to = c.turnOf(a, d)
		}
		if a.weight[d] > 0 {
			c.planAgent(d, i, a)
		}
	}
	const looks = 2.6 // of a case, about
	n := float64(c.Profile.Staff) * 0.6 * c.Profile.Touches / looks
	for range c.poisson(n * (1 - c.bursts.feeds)) {
		hour := 11 + 2.5*c.random.NormFloat64()
		if c.random.Float64() < 0.3 {
			hour = 18.5 + 1.5*c.random.NormFloat64()
		}
		c.arrive(int64(d)*msPerDay+int64(max(7, min(22, hour))*60)*minuteMS, c.random.IntN(c.teams()), 15*minuteMS, c.bursts.feeds)
	}
	if c.random.Float64() < c.bursts.outages/7 {
		from, queue := int64(d)*msPerDay+(8+c.random.Int64N(10))*60*minuteMS, c.random.IntN(c.teams())
		for range c.poisson(n / 4) {
			c.arrive(from+int64(c.random.ExpFloat64()*float64(60*minuteMS)), queue, 0, 0)
		}
	}
	for i := range c.Insiders {
		c.rob(&c.Insiders[i], d)
	}
}

// arrive is a customer, and those whom he brings along: a Hawkes process, as the branches that it is.
func (c *Company) arrive(at int64, queue int, decay int64, feeds float64) {
	c.serve(at+c.random.Int64N(minuteMS), queue)
	for range c.poisson(feeds) {
		c.arrive(at+int64(c.random.ExpFloat64()*float64(decay)), queue, decay, feeds)
	}
}

// free is who takes what comes at that moment: rather who is of the queue.
func (c *Company) free(at int64, queue int) (who int, ok bool) {
	d := int(at / msPerDay)
	if d >= c.Profile.Weeks*7 {
		return 0, false
	}
	list := c.onDuty(d)
	for try := range 40 {
		if len(list.who) == 0 {
			return 0, false
		}
		who = c.draw(list)
		if c.atWork(who, at) && (try > 15 || c.agents[who].team == queue) {
			return who, true
		}
	}
	return 0, false
}

func (c *Company) atWork(who int, at int64) bool {
	a, d := &c.agents[who], int(at/msPerDay)
	from, to := c.turnOf(a, d)
	minute := int(at % msPerDay / minuteMS)
	return a.weight[d] > 0 && minute >= from && minute < to
}

// serve is a case from its beginning to its end. Nobody assigns it: who is free takes it.
func (c *Company) serve(at int64, queue int) {
	who, ok := c.free(at, queue)
	if !ok {
		return // he gives up
	}
	b, customer := &c.bursts, c.someone()
	id, taken := 0, at+int64(c.random.ExpFloat64()*float64(3*minuteMS))
	bare := c.random.Float64() < b.bare
	if !bare || c.random.Float64() < b.heard {
		c.will(act{at: at, what: calls, who: pickInt(bare, who, -1), customer: customer})
	}
	if !bare {
		c.tickets++
		id = c.tickets
		c.will(act{at: at, what: opens, who: -1, ticket: id, customer: customer, text: teamName(queue)})
		c.take1(taken, who, id)
	}
	c.see(taken+c.random.Int64N(minuteMS), who, id, customer)
	end := taken
	for range min(30, int(math.Pow(c.random.Float64(), -1/b.tail))) {
		end += int64(6 * math.Exp(1.6*c.random.NormFloat64()) * 60 * float64(minuteMS))
		if int(end/msPerDay) >= c.Profile.Weeks*7 {
			return
		}
		if c.random.Float64() > 0.6 || !c.atWork(who, end) {
			next, ok := c.free(end, queue)
			if !ok {
				continue // in the night
			}
			if next != who {
				who = next
				c.take1(end, who, id)
			}
		}
		c.see(end+minuteMS, who, id, customer)
	}
	c.remember(served{customer, id})
	if id > 0 {
		c.will(act{at: end + int64(c.random.ExpFloat64()*float64(msPerDay)), what: closes, ticket: id})
	}
}

// take1 makes a ticket somebody's, unless that is on no record.
func (c *Company) take1(at int64, who, id int) {
	if id > 0 && c.random.Float64() >= c.Profile.Undated {
		c.will(act{at: at, what: assigned, who: who, ticket: id})
	}
}

// see is a look, now and then followed by one at somebody of the same family.
func (c *Company) see(at int64, who, ticket int, customer int64) {
	c.will(act{at: at, what: look, who: who, ticket: ticket, customer: customer, claim: c.random.Float64() < 0.8})
	if c.random.Float64() < c.bursts.family {
		c.will(act{at: at + minuteMS/2, what: look, who: who, customer: 1 + c.random.Int64N(c.Profile.Customers)})
	}
}

// rob plans what an insider does on a day. Sellers come together what they take in half an hour on two or three days a week; the exporter and who
// uses a stolen account read one customer a second, the latter while its owner works, and without a wrong password.
func (c *Company) rob(in *Insider, d int) {
	if d < in.Day {
		return
	}
	who := in.people[0]
	a := &c.agents[who]
	from := c.hourOf(d, a)
	switch in.Scheme {
	case Seller:
		if a.weight[d] > 0 && (d+who)%2 == 0 {
			for range c.poisson(2 * in.Rate) {
				c.rob1(from+c.random.Int64N(30*minuteMS), who, false)
			}
		}
	case Exporter:
		if a.weight[d] > 0 && d < in.Day+10 && (d-in.Day)%3 == 0 {
			for i := range int64(in.Rate / 4) {
				c.rob1(from+1000*i, who, false)
			}
		}
	case Stolen:
		if d == in.Day {
			c.will(act{at: from, what: logsIn, who: who, foreign: true})
			for i := range int64(in.Rate) {
				c.rob1(from+minuteMS+1000*i, who, true)
			}
		}
	default:
		c.steal(in, d)
	}
}

func (c *Company) rob1(at int64, who int, foreign bool) {
	c.will(act{at: at, what: look, who: who, customer: 1 + c.random.Int64N(c.Profile.Customers), theft: true, foreign: foreign})
}
