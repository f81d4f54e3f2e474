package sim

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"time"

	"sallyport"
)

// act is something that will happen.
type act struct {
	at       int64 // ms since Begin
	who      int   // of agents; -1: nobody
	ticket   int
	customer int64
	text     string
	count    int32 // customers, where they are not listed
	what     deed
	claim    bool
	theft    bool
	foreign  bool // from a device and a place that are not his
	shared   bool // from the other's device
	urgent   bool
}

type deed uint8

const (
	look deed = iota
	opens
	assigned
	escalated
	closes
	calls
	logsIn
	guesses
	begins // a job
	warns
	tells // the personnel department
)

const (
	minuteMS = int64(60_000)
	msPerDay = 24 * 60 * minuteMS
)

// weekdays are the shares of tickets from Monday to Sunday; hours those of a working day.
func weekdays() [7]float64 { return [7]float64{0.216, 0.192, 0.183, 0.172, 0.132, 0.057, 0.048} }

// Run lets the weeks pass. Inputs come in the order of time and are good until the call returns; theft says that an access, or what was
// made up for it, is an insider's. It can be called once.
func (c *Company) Run(yield func(in *sallyport.Input, theft bool)) {
	days := c.Profile.Weeks * 7
	out := &output{Company: c, yield: yield}
	plan := c.planDay
	if c.Profile.Desk {
		plan = c.planDesk
	} else {
		c.before()
	}
	for d := range days {
		plan(d)
		today := c.plan[d]
		c.plan[d] = nil
		for _, i := range c.inOrder(today) {
			out.act(&today[i&places], d)
		}
	}
}

const (
	placeBits = 24 // more deeds than that no day has
	places    = 1<<placeBits - 1
)

// inOrder are the places of a day's deeds by time, those of one moment as they were planned, each below its time. Deeds are large, so that to sort
// them themselves took a tenth of a benchmark.
func (c *Company) inOrder(deeds []act) []uint64 {
	c.order = c.order[:0]
	for i := range deeds {
		c.order = append(c.order, uint64(deeds[i].at+(earlyWeeks*7+1)*msPerDay)<<placeBits|uint64(i)) //nolint:gosec // whose day begins in the night before, works up to an hour earlier
	}
	slices.Sort(c.order)
	return c.order
}

// earlyWeeks is how many weeks of tickets there are when the first day begins.
const earlyWeeks = 5

// before lets tickets of the weeks before the first day come in: a company does not begin with the log.
func (c *Company) before() {
	list := c.onDuty(1)
	for d := -7 * earlyWeeks; d < 0; d++ {
		p := &c.Profile
		for range c.poisson(p.Tickets * float64(p.Staff) * 0.85 * 5 * weekdays()[(d+7*earlyWeeks)%7]) {
			c.planTicket(d, list)
		}
	}
	c.plan[0] = append(c.early, c.plan[0]...)
	c.early = nil
}

// will puts a deed where it belongs; what comes after the last day does not happen.
func (c *Company) will(a act) {
	if a.at < 0 && (a.what == opens || a.what == assigned || a.what == closes) {
		c.early = append(c.early, a)
		return
	}
	if d := int(a.at / msPerDay); a.at >= 0 && d < c.Profile.Weeks*7 {
		c.plan[d] = append(c.plan[d], a)
	}
}

// planDay plans what begins on a day.
func (c *Company) planDay(d int) {
	onDuty := c.onDuty(d)
	if len(onDuty.who) > 0 {
		p := &c.Profile
		n := c.poisson(p.Tickets * float64(p.Staff) * 0.85 * 5 * weekdays()[d%7] * c.surge[d])
		for range n {
			c.planTicket(d, onDuty)
		}
	}
	for i := range c.agents {
		a := &c.agents[i]
		if a.weight[d] > 0 {
			c.planAgent(d, i, a)
		}
		if d == a.promoted && d > 0 {
			c.promote(d, i, a)
		}
		if d == a.turned && d > 0 {
			a.team = (a.team + 1) % c.teams()
			c.staff[i].Team = teamName(a.team)
			if c.random.Float64() < 0.7 {
				c.will(act{at: int64(d) * msPerDay, what: tells, who: i, text: "role_change"})
			}
		}
		if d == a.leave[0] {
			c.will(act{at: int64(d) * msPerDay, what: tells, who: i, text: "leave_start"})
		}
	}
	c.planNight(d)
	for i := range c.Insiders {
		c.steal(&c.Insiders[i], d)
	}
}

// duty are the agents of a day, to be drawn by how much they work.
type duty struct {
	who  []int
	sums []float64
}

// onDuty is worked out once for each day: each ticket that moves on asks for it.
func (c *Company) onDuty(d int) duty {
	list := &c.duties[d]
	if list.who != nil {
		return *list
	}
	sum := 0.0
	for i := range c.agents {
		if a := &c.agents[i]; a.role == "agent" && a.weight[d] > 0 && (a.promoted == 0 || d < a.promoted) {
			sum += a.weight[d]
			list.who, list.sums = append(list.who, i), append(list.sums, sum)
		}
	}
	return *list
}

func (c *Company) draw(list duty) int {
	at := sort.SearchFloat64s(list.sums, c.random.Float64()*list.sums[len(list.sums)-1])
	return list.who[min(at, len(list.who)-1)]
}

// hourOf is a moment of an agent's day: his shift but for a few in the hour before and after it.
func (c *Company) hourOf(d int, a *agent) int64 {
	span := a.to - a.from
	at := a.from + int(c.random.Float64()*float64(span))
	if c.random.Float64() < 0.06 {
		at = a.from - 60 + c.random.IntN(span+120)
	}
	return int64(d)*msPerDay + int64(at)*minuteMS + c.random.Int64N(minuteMS)
}

// someone is a customer who needs something: some come again and again.
func (c *Company) someone() int64 {
	if c.random.Float64() < 0.3 {
		u := c.random.Float64()
		return c.repeat[int(float64(len(c.repeat))*u*u)]
	}
	return 1 + c.random.Int64N(c.Profile.Customers)
}

// planTicket plans a ticket's life.
func (c *Company) planTicket(d int, list duty) {
	p := &c.Profile
	who := c.draw(list)
	first := &c.agents[who]
	customer := c.someone()
	c.tickets++
	id := c.tickets
	at := c.hourOf(d, first)
	life := int64(p.Days * math.Exp(p.Tail*c.random.NormFloat64()) * float64(msPerDay))
	life = max(5*minuteMS, min(life, 60*msPerDay))
	end := at + life
	gap := d >= 0 && c.missing[d]
	heard := c.random.Float64() >= p.Unheard && !gap
	if gap {
		id = -id // it is on no record
	}
	byAgent := c.random.Float64() < p.Calls
	if heard {
		c.will(act{at: at - c.random.Int64N(2*minuteMS), what: calls, who: pickInt(byAgent, who, -1), ticket: id, customer: customer})
	}
	c.will(act{at: at, what: opens, who: pickInt(byAgent, who, -1), ticket: id, customer: customer, text: c.staff[who].Team})
	if byAgent {
		c.touch(at+c.random.Int64N(minuteMS), who, id, customer)
	}
	moves := c.poisson(p.Moves)
	begin := at + minuteMS
	for i := range moves + 1 {
		if c.random.Float64() >= p.Undated {
			c.will(act{at: begin, what: assigned, who: who, ticket: id})
		}
		until := begin + (end-begin)/int64(moves+1-i)
		c.work(who, id, customer, begin, until)
		if d := int(until / msPerDay); i < moves && until > 0 && d < p.Weeks*7 {
			if next := c.onDuty(d); len(next.who) > 0 {
				who = c.draw(next)
			}
		}
		begin = until
	}
	for range c.poisson(p.Others) {
		c.involve(who, id, customer, at, end)
	}
	c.remember(served{customer, id})
	c.will(act{at: end, what: closes, ticket: id})
}

func pickInt(yes bool, a, b int) int {
	if yes {
		return a
	}
	return b
}

// work is what an assignee does on a ticket, on the days that he is there.
func (c *Company) work(who, ticket int, customer, from, until int64) {
	n := 1 + c.poisson(0.4)
	for range n {
		c.work1(who, ticket, customer, from, until)
	}
}

func (c *Company) work1(who, ticket int, customer, from, until int64) {
	if at, ok := c.moment(&c.agents[who], from, until); ok {
		c.touch(at, who, ticket, customer)
	}
}

func (c *Company) touch(at int64, who, ticket int, customer int64) {
	c.will(act{at: at, what: look, who: who, ticket: ticket, customer: customer, claim: c.random.Float64() < 0.9})
}

// planAgent plans what an agent does beside tickets.
func (c *Company) planAgent(d, who int, a *agent) {
	p := &c.Profile
	switch a.role {
	case "service":
		for h := range 24 {
			c.will(act{at: int64(d)*msPerDay + int64(h)*60*minuteMS, what: look, who: who, customer: 1 + c.random.Int64N(p.Customers), count: int32(40 + c.random.IntN(40))})
		}
		return
	case "engineer":
		c.planEngineer(d, who, a)
	case "quality":
		c.planQuality(d, who, a)
	}
	c.will(act{at: int64(d)*msPerDay + int64(a.from)*minuteMS - c.random.Int64N(10*minuteMS), what: logsIn, who: who})
	if c.random.Float64() < 0.05 {
		c.will(act{at: int64(d)*msPerDay + int64(a.from)*minuteMS - 11*minuteMS, what: guesses, who: who})
	}
	if d%7 == 0 {
		a.drift = 0.95*a.drift + p.Drift*c.random.NormFloat64()*0.4
	}
	if c.random.Float64() < 1./300 {
		a.device = fmt.Sprintf("lap-%03d-%d", a.index, d)
	}
	n := c.clumped(c.poisson(a.unlinked * a.weight[d] * math.Exp(a.drift) * math.Sqrt(c.surge[d]) * c.mooded(a, d)))
	if a.role == "agent" && c.random.Float64() < p.Bursts {
		n += c.poisson(p.BurstSize * (0.5 + c.random.ExpFloat64()))
	}
	for range n {
		customer := 1 + c.random.Int64N(p.Customers)
		if c.random.Float64() < 0.4 && len(c.recent) > 0 {
			customer = c.recent[c.random.IntN(len(c.recent))].customer
		}
		c.will(act{at: c.hourOf(d, a), what: look, who: who, customer: customer})
	}
}

type job struct {
	id       string
	from, to int64
	who      int
}

// planEngineer plans bulk work, most of which is agreed to and on record.
func (c *Company) planEngineer(d, who int, a *agent) {
	p := &c.Profile
	if c.random.Float64() >= p.Bulk/5 {
		return
	}
	at := c.hourOf(d, a)
	if c.random.Float64() >= p.Unlogged {
		c.tasks = append(c.tasks, job{fmt.Sprintf("J-%d-%d", d, who), at - 30*minuteMS, at + 240*minuteMS, who})
		c.will(act{at: at - 30*minuteMS, what: begins, who: who, ticket: len(c.tasks) - 1})
	}
	for i := range 3 {
		c.will(act{at: at + int64(i)*minuteMS, what: look, who: who, customer: 1 + c.random.Int64N(p.Customers), count: int32(200 + c.random.IntN(800))})
	}
}

// output turns deeds into inputs.
type output struct {
	*Company
	yield  func(*sallyport.Input, bool)
	in     sallyport.Input
	access sallyport.Access
	name   []byte
}

// named is an id: a letter and a number.
func (o *output) named(letter byte, number int) string {
	o.name = strconv.AppendInt(append(o.name[:0], letter), int64(number), 10)
	return string(o.name)
}

func (o *output) act(a *act, d int) {
	at := o.Begin.Add(time.Duration(a.at) * time.Millisecond)
	o.in = sallyport.Input{Time: at}
	id := ""
	if a.ticket > 0 {
		id = o.named('T', a.ticket)
	}
	var who sallyport.Staff
	if a.who >= 0 {
		who = o.staff[a.who].ID
	}
	switch a.what {
	case look:
		o.look(a, at, id, who)
		return
	case opens:
		if a.ticket < 0 {
			return
		}
		o.in.Ticket = &sallyport.TicketFact{ID: id, Customer: subject(a.customer), Opened: at, Queue: a.text, OpenedBy: who, Channel: "mail", Priority: "normal"}
		if a.urgent {
			o.in.Ticket.Priority = "urgent"
		}
	case assigned, escalated, closes:
		if a.ticket < 0 {
			return
		}
		o.in.TicketEvent = &sallyport.TicketEvent{Ticket: id, Time: at, Type: "assigned", Staff: who}
		switch a.what {
		case closes:
			o.in.TicketEvent.Type, o.in.TicketEvent.Staff = "closed", ""
		case escalated:
			o.in.TicketEvent.Type = "escalated"
		default: // assigned
		}
	case calls:
		o.in.Contact = &sallyport.ContactFact{Time: at, Customer: subject(a.customer), Channel: "call", Incoming: true, Staff: who}
	case logsIn, guesses:
		g := &o.agents[a.who]
		l := &sallyport.LogIn{Time: at, Staff: who, Failed: a.what == guesses, Address: g.address, Device: g.device, Country: "DE", Factors: true}
		if a.foreign {
			l.Address, l.Device, l.Country, l.Factors = "203.0.113.77", "unknown-"+string(who), "XX", false
		}
		o.in.LogIn = l
	case begins:
		j := o.tasks[a.ticket]
		o.in.Job = &sallyport.BulkJob{ID: j.id, From: at, To: o.Begin.Add(time.Duration(j.to) * time.Millisecond), Staff: who, Scope: "export", ApprovedBy: o.staff[len(o.staff)-1-d%5].ID}
	case warns:
		o.in.Alert = &sallyport.Alert{Time: at, Staff: who, Source: a.text, Severity: 4, Title: "customer data left"}
	case tells:
		o.in.HR = &sallyport.HRFact{Time: at, Staff: who, Type: a.text}
		if a.text == "role_change" {
			o.in.HR.Value = o.staff[a.who].Role
		}
	}
	o.yield(&o.in, a.theft)
}

func subject(customer int64) sallyport.Subject {
	return sallyport.Subject(strconv.FormatInt(customer, 10))
}

func (o *output) look(a *act, at time.Time, ticket string, who sallyport.Staff) {
	g := &o.agents[a.who]
	o.uid++
	x := &o.access
	*x = sallyport.Access{
		UID: o.named('e', o.uid), Time: at, Activity: sallyport.ReadActivity, Staff: who, Service: g.role == "service", Session: "x", Application: "desk",
		Address: g.address, Device: g.device, Shape: "case", Database: "support", Table: "customers", Columns: append(x.Columns[:0], "email", "phone"), Rows: 1,
		Subjects: x.Subjects[:0],
	}
	if a.foreign {
		x.Address, x.Device, x.Application = "203.0.113.77", "unknown-"+string(who), "psql"
	}
	if a.shared && g.insider != nil {
		x.Device = o.agents[g.insider.people[0]].device
	}
	if a.text != "" {
		x.Shape = a.text
	}
	for i := range int64(max(1, a.count)) {
		customer := a.customer + i*7
		if a.theft && a.count > 0 {
			customer = 1 + (a.customer+i*104_729)%o.Profile.Customers
		}
		x.Subjects = append(x.Subjects, subject(customer))
	}
	x.Rows = int64(len(x.Subjects))
	if a.claim && ticket != "" {
		x.Purpose = sallyport.Purpose{Kind: "ticket", Ref: ticket}
	}
	o.in.Access = x
	o.yield(&o.in, a.theft)
	o.in.Access = nil
}
