package sim

import (
	"fmt"
	"math"
)

// served is a customer, and the ticket by which; negative where that is on no record.
type served struct {
	customer int64
	ticket   int
}

// remember keeps some of those who were served lately.
func (c *Company) remember(s served) {
	if len(c.recent) < 20_000 {
		c.recent = append(c.recent, s)
		return
	}
	c.recent[c.random.IntN(len(c.recent))] = s
}

// shift draws when somebody's nine hours begin. Support is there before the others come and after they have gone.
func (c *Company) shift(a *agent) {
	p := &c.Profile
	a.from = 8*60 + 30*c.random.IntN(5)
	if a.role == "agent" && !p.Night {
		const golden = 0.618034 // so that each company has as many
		switch u := math.Mod(golden*float64(a.index), 1); {
		case u < p.Early:
			a.from = 6 * 60
		case u < p.Early+p.Late:
			a.from = 13 * 60
		}
	}
	a.to = a.from + 9*60
}

// rota is how many take turns with the telephone at night (Google's Site Reliability Engineering, chapter 11, wants eight at least), ringed how many
// people one telephone is for.
const (
	rota   = 8
	ringed = 200
)

// planNight plans what cannot wait for the morning: urgent tickets, which go to who is on call, outside his hours.
func (c *Company) planNight(d int) {
	p := &c.Profile
	if p.Night || p.Urgent == 0 {
		return
	}
	for first := 0; first < p.Staff; first += ringed {
		who, ok := c.onCall(d, first)
		if !ok {
			continue
		}
		for range c.poisson(p.Urgent * float64(min(ringed, p.Staff-first)) / 100) {
			c.wake(d, who)
		}
	}
}

// wake is an urgent ticket in the night after a day, and what is done about it.
func (c *Company) wake(d, who int) {
	at := int64(d)*msPerDay + (23*60+c.random.Int64N(7*60))*minuteMS
	end := at + 20*minuteMS + c.random.Int64N(120*minuteMS)
	customer := c.someone()
	c.tickets++
	id := c.tickets
	if n := int(at / msPerDay); n < len(c.missing) && c.missing[n] {
		id = -id // it is on no record
	}
	c.will(act{at: at, what: opens, who: -1, ticket: id, customer: customer, text: c.staff[who].Team, urgent: true})
	c.will(act{at: at + minuteMS, what: assigned, who: who, ticket: id})
	c.will(act{at: at + 2*minuteMS, what: logsIn, who: who})
	for i := range 1 + c.poisson(1) {
		c.touch(at+int64(3+i)*minuteMS+c.random.Int64N(minuteMS), who, id, customer)
	}
	c.will(act{at: end, what: closes, ticket: id})
}

// onCall is who has the telephone of those people at night: agents by turns of a week, the next one where he is away.
func (c *Company) onCall(d, first int) (who int, ok bool) {
	size := min(ringed, c.Profile.Staff-first)
	for i := range size {
		who = first + (d/7%rota*(size/rota)+i)%size
		if a := &c.agents[who]; a.role == "agent" && a.hired < 0 && (d < a.leave[0] || d >= a.leave[1]) {
			return who, true
		}
	}
	return 0, false
}

// promote has an agent look after quality from this day on. Unlike a change of teams that is always on record: it changes what one may do.
func (c *Company) promote(d, who int, a *agent) {
	a.role = "quality"
	c.staff[who].Role = a.role
	c.will(act{at: int64(d) * msPerDay, what: tells, who: who, text: "role_change"})
}

// planQuality is a day of who looks through other people's tickets: samples all day long, or, for who trains new people, many in one lesson and
// none on other days. Half of them name the ticket.
func (c *Company) planQuality(d, who int, a *agent) {
	n, lesson := c.poisson(25*a.weight[d]), int64(-1)
	if a.trainer {
		n, lesson = 0, c.hourOf(d, a)
		if c.random.Float64() < 1./3 {
			n = c.poisson(40)
		}
	}
	for range n {
		if len(c.recent) == 0 {
			return
		}
		s, at := c.recent[c.random.IntN(len(c.recent))], lesson+c.random.Int64N(90*minuteMS)
		if lesson < 0 {
			at = c.hourOf(d, a)
		}
		c.will(act{at: at, what: look, who: who, ticket: s.ticket, customer: s.customer, claim: c.random.Float64() < 0.5})
	}
}

// involve lets one more person have to do with a ticket: a colleague of the team who helps or writes a note, or a lead to whom it is escalated.
func (c *Company) involve(who, ticket int, customer, from, until int64) {
	lead := c.random.Float64() < 0.1
	for range 12 {
		i := c.colleague(c.agents[who].team)
		if lead {
			i = c.lead()
		}
		a := &c.agents[i]
		if i == who || a.role == "service" || a.role == "quality" || !lead && a.team != c.agents[who].team {
			continue
		}
		at, ok := c.moment(a, from, until)
		if !ok {
			continue
		}
		if lead && c.random.Float64() >= c.Profile.Undated {
			c.will(act{at: at - min(at-from, minuteMS), what: escalated, who: i, ticket: ticket})
		}
		c.touch(at, i, ticket, customer)
		return
	}
}

// colleague is one of those who began in a team.
func (c *Company) colleague(team int) int {
	n := (len(c.agents) - team + c.teams() - 1) / c.teams()
	return team + c.teams()*c.random.IntN(n)
}

func (c *Company) lead() int {
	from, to := leads(len(c.agents))
	return from + c.random.IntN(max(1, to-from))
}

// leads are the numbers of the three in a hundred who lead.
func leads(staff int) (from, to int) {
	return int(math.Ceil(0.05 * float64(staff))), int(math.Ceil(0.08 * float64(staff)))
}

// moment is a time between these at which he works, if there is one: rather soon than late.
func (c *Company) moment(a *agent, from, until int64) (at int64, ok bool) {
	at = from + int64(c.random.Float64()*c.random.Float64()*float64(max(1, until-from)))
	d := int(at / msPerDay)
	if at < 0 || d >= len(a.weight) || a.weight[d] == 0 {
		return 0, false
	}
	if minute := int(at % msPerDay / minuteMS); minute < a.from || minute > a.to {
		at = c.hourOf(d, a)
	}
	return at, at >= from && at <= until
}

// teams are as many as people need, and teamName how one is called.
func (c *Company) teams() int { return max(4, c.Profile.Staff/25) }

func teamName(team int) string { return fmt.Sprintf("team-%d", team) }
