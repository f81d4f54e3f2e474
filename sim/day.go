package sim

import (
	"slices"
	"time"

	"sallyport"
)

// Plan is what happens on one working day, each list in the order of time. Ids of new tickets, messages and contacts follow
// those of the organisation's rows and differ between days from o.Now on.
type Plan struct {
	Visits   []Visit
	Arrivals []Arrival
	Calls    []Contact // incoming, as the telephony service writes them
}

// Visit is one agent working on one ticket.
type Visit struct {
	At       time.Time
	Staff    sallyport.Staff
	Ticket   int64
	Customer int64
	Steps    []Step
	Call     int64  // the contact that explains it, 0 for none
	Opens    Ticket // for OpenTicket
	Message  int64  // id of the message for Reply
	Minutes  int    // how long it takes
}

// Step is one thing that an agent does during a visit.
type Step string

// The steps.
const (
	OpenTicket   Step = "open_ticket"   // insert Visit.Opens: a caller without a ticket, so the agent opens one
	ReadWorkList Step = "read_worklist" // names and numbers of his own open tickets
	ReadCase     Step = "read_case"     // the ticket and its customer
	ReadMessages Step = "read_messages"
	FindByEmail  Step = "find_by_email" // the customer by his e-mail address
	Reply        Step = "reply"         // insert a message
	ChangePhone  Step = "change_phone"  // the customer has a new number
	WriteNote    Step = "write_note"
	Wait         Step = "wait"  // state pending
	Close        Step = "close" // state closed
)

// Arrival is a new ticket, which the router writes and then assigns.
type Arrival struct {
	At         time.Time // when it is inserted, nobody's yet
	Ticket     Ticket    // with the assignee that it gets
	AssignedAt time.Time
}

// What a day brings to each agent: visits to own tickets, arrivals, callers without a ticket.
const (
	fewestVisits, mostVisits     = 16, 30
	fewestArrivals, mostArrivals = 3, 7
	fewestCallers, mostCallers   = 1, 3
	workFrom, workTo             = 8 * 60, 18 * 60 // minutes after midnight
)

// idsPerDay keeps the new ids of different days apart.
const idsPerDay = 100_000

// Day is the plan of a working day, in the day's own time zone. It is the same at each call.
func (o *Org) Day(day time.Time) Plan {
	midnight := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, day.Location())
	number := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, time.UTC).Unix() / 86_400
	today := o.Now.Unix() / 86_400
	p := planner{Org: o, midnight: midnight, dice: o.dice(forDay, number)}
	offset := 1 + max(0, number-today)*idsPerDay
	p.ticket, p.message, p.contact = o.Tickets+offset, o.Messages+offset, o.Contacts+offset
	for _, agent := range o.Agents() {
		p.planAgent(agent)
	}
	slices.SortStableFunc(p.plan.Visits, func(a, b Visit) int { return a.At.Compare(b.At) })
	slices.SortStableFunc(p.plan.Arrivals, func(a, b Arrival) int { return a.At.Compare(b.At) })
	slices.SortStableFunc(p.plan.Calls, func(a, b Contact) int { return a.At.Compare(b.At) })
	return p.plan
}

// planner fills one plan.
type planner struct {
	*Org
	dice
	midnight                 time.Time
	ticket, message, contact int64 // next new ids
	plan                     Plan
}

// planAgent fills an agent's day: a shuffled queue of visits at rising times.
func (p *planner) planAgent(agent Person) {
	var queue []Visit
	own := p.OpenTickets(agent.ID)
	for range min(int64(len(own)), p.between(fewestVisits, mostVisits)) {
		i := p.below(int64(len(own)))
		ticket := p.Ticket(own[i])
		own = slices.Delete(own, int(i), int(i)+1)
		queue = append(queue, p.visitOwn(agent, ticket))
	}
	arrivals := p.between(fewestArrivals, mostArrivals)
	for range arrivals {
		queue = append(queue, Visit{Steps: []Step{ReadCase, ReadMessages, Reply}})
	}
	for range p.between(fewestCallers, mostCallers) {
		queue = append(queue, Visit{Call: 1, Steps: []Step{OpenTicket, ReadCase, WriteNote, Close}})
	}
	for i := len(queue) - 1; i > 0; i-- {
		j := p.below(int64(i + 1))
		queue[i], queue[j] = queue[j], queue[i]
	}
	minute := workFrom + p.below(10)
	slot := int64(workTo-workFrom-20) / int64(len(queue))
	for _, v := range queue {
		v.At = p.clock(minute + p.below(max(1, slot/3)))
		v.Staff = agent.ID
		v.Minutes = int(p.between(max(1, slot/3), max(2, slot*2/3)))
		switch {
		case v.Call != 0:
			p.takeCall(&v, agent)
		case v.Ticket == 0:
			p.takeArrival(&v, agent)
		}
		if slices.Contains(v.Steps, Reply) {
			v.Message = p.message
			p.message++
		}
		p.plan.Visits = append(p.plan.Visits, v)
		minute += slot
	}
	first := &p.plan.Visits[len(p.plan.Visits)-len(queue)]
	first.Steps = append([]Step{ReadWorkList}, first.Steps...)
}

// clock is a time of the day.
func (p *planner) clock(minute int64) time.Time {
	return p.midnight.Add(time.Duration(minute)*time.Minute + time.Duration(p.below(60))*time.Second)
}

// visitOwn is work on a ticket that was the agent's before the day.
func (p *planner) visitOwn(agent Person, t Ticket) Visit {
	v := Visit{Staff: agent.ID, Ticket: t.ID, Customer: t.Customer, Steps: []Step{ReadCase}}
	if p.percent(10) {
		v.Steps = []Step{FindByEmail, ReadCase}
	}
	if p.percent(70) {
		v.Steps = append(v.Steps, ReadMessages)
	}
	switch throw := p.below(100); {
	case throw < 40:
		v.Steps = append(v.Steps, Reply)
	case throw < 60:
		v.Steps = append(v.Steps, Reply, Wait)
	case throw < 85:
		v.Steps = append(v.Steps, Reply, Close)
	case throw < 90:
		v.Steps = append(v.Steps, ChangePhone)
	case throw < 95:
		v.Steps = append(v.Steps, WriteNote)
	}
	return v
}

// takeArrival makes a ticket come in and be assigned some time before the visit.
func (p *planner) takeArrival(v *Visit, agent Person) {
	t := p.newTicket(agent)
	t.OpenedAt = v.At.Add(-time.Duration(p.between(2, 30)) * time.Minute)
	v.Ticket, v.Customer = t.ID, t.Customer
	assigned := t.OpenedAt.Add(time.Duration(p.between(1, 90)) * time.Second)
	p.plan.Arrivals = append(p.plan.Arrivals, Arrival{At: t.OpenedAt, Ticket: t, AssignedAt: assigned})
}

// takeCall makes a customer call who has no ticket; the agent opens one.
func (p *planner) takeCall(v *Visit, agent Person) {
	t := p.newTicket(agent)
	t.OpenedAt = v.At
	v.Ticket, v.Customer, v.Opens, v.Call = t.ID, t.Customer, t, p.contact
	p.plan.Calls = append(p.plan.Calls, Contact{
		ID: p.contact, Customer: t.Customer, Channel: "call", Direction: "in", Staff: agent.ID, At: v.At.Add(-20 * time.Second),
	})
	p.contact++
}

// newTicket is an open ticket of a customer from the agent's region.
func (p *planner) newTicket(agent Person) Ticket {
	t := Ticket{
		ID: p.ticket, No: TicketNo(p.ticket), State: Open, Assignee: agent.ID, Queue: agent.Team,
		Customer: p.customerOf(agent.Team, &p.dice),
	}
	t.Subject = p.say("subject", t.Customer, t.No, &p.dice)
	p.ticket++
	return t
}
