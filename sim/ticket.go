package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// Ticket is a row of support.tickets.
type Ticket struct {
	ID       int64
	No       string // CS-4821-7730
	Customer int64
	Assignee sallyport.Staff // empty: nobody's yet
	Queue    string          // the team
	State    string
	Subject  string
	OpenedAt time.Time
	ClosedAt time.Time // zero: not closed
}

// The states of a ticket.
const (
	Open    = "open"
	Pending = "pending"
	Closed  = "closed"
)

// recentSpan is how far back the recent tickets go, of which every second one is open.
const recentSpan = 30 * 24 * time.Hour

// recent is how many recent tickets there are: two for each open one.
func (o *Org) recent() int64 { return 2 * int64(o.perAgent) * int64(o.agents) }

// OpenTickets are the ids of somebody's open tickets, newest first. Only agents have any.
func (o *Org) OpenTickets(who sallyport.Staff) []int64 {
	agent := slices.IndexFunc(o.Agents(), func(p Person) bool { return p.ID == who })
	if agent < 0 {
		return nil
	}
	ids := make([]int64, o.perAgent)
	for k := range ids {
		newer := o.Tickets - 2*int64(agent+k*o.agents)
		ids[k] = newer - o.openOfPair(newer)
	}
	return ids
}

// openOfPair is 0 if the newer of two recent tickets is the open one, else 1. Pairs are told by their newer ticket.
func (o *Org) openOfPair(newer int64) int64 {
	d := o.dice(forTicket, -newer)
	return d.below(2)
}

// Ticket is the ticket with that id, from 1 to o.Tickets.
func (o *Org) Ticket(id int64) Ticket {
	d := o.dice(forTicket, id)
	t := o.bareTicket(id, &d)
	t.Subject = o.say("subject", t.Customer, t.No, &d)
	return t
}

// bareTicket is a ticket without its subject, which may quote the customer and so costs making him up.
func (o *Org) bareTicket(id int64, d *dice) Ticket {
	t := Ticket{ID: id, No: TicketNo(id), State: Closed, OpenedAt: o.openedAt(id, d)}
	age := o.Tickets - id
	newer := id + age%2
	if age < o.recent() && newer-o.openOfPair(newer) == id {
		t.State = Open
		if d.percent(25) {
			t.State = Pending
		}
		agent := o.Staff[int(age/2)%o.agents]
		t.Assignee, t.Queue = agent.ID, agent.Team
		t.Customer = o.customerOf(agent.Team, d)
	} else {
		t.Customer = d.between(1, o.Customers)
		t.Queue = o.countryOf(t.Customer).region
		team := o.teams[t.Queue]
		t.Assignee = o.Staff[team.from+int(d.below(int64(team.to-team.from)))].ID
		t.ClosedAt = t.OpenedAt.Add(time.Duration(d.between(3_600, 8*86_400)) * time.Second)
		if t.ClosedAt.After(o.Now) {
			t.ClosedAt = o.Now.Add(-o.Now.Sub(t.OpenedAt) / 3).Truncate(time.Second)
		}
	}
	return t
}

// ticketOf is the ticket that a message or a contact belongs to, without its subject.
func (o *Org) ticketOf(id int64) Ticket {
	d := o.dice(forTicket, id)
	return o.bareTicket(id, &d)
}

// customerOf is a customer whose region that team serves.
func (o *Org) customerOf(team string, d *dice) (id int64) {
	for range 64 { // a region that few customers live in may stay unfound in a tiny organisation: then anybody
		id = d.between(1, o.Customers)
		if o.countryOf(id).region == team {
			return id
		}
	}
	return id
}

// say is a sentence, with the customer's data where it quotes them.
func (o *Org) say(heading string, customer int64, ticketNo string, d *dice) string {
	sentence := pick(d, o.phrases[heading])
	if !strings.Contains(sentence, "{") {
		return sentence
	}
	c := o.Customer(customer)
	return quote(sentence, &c, ticketNo)
}

// openedAt spreads ids over time in their order: the recent ones over the last 30 days, the others over two years before.
func (o *Org) openedAt(id int64, d *dice) time.Time {
	from, length := o.Now.Add(-history), history-recentSpan
	first, count := int64(1), max(1, o.Tickets-o.recent())
	if o.Tickets-id < o.recent() {
		from, length = o.Now.Add(-recentSpan), recentSpan
		first, count = o.Tickets-o.recent()+1, o.recent()
	}
	step := float64(length) / float64(count)
	return from.Add(time.Duration((float64(id-first) + float64(d.below(1000))/1000) * step)).Truncate(time.Second)
}

// TicketNo is the number of a ticket. Ids below 100,000,000 all have different numbers: three rounds that each add a
// function of one half to the other half are a bijection.
func TicketNo(id int64) string {
	const half = 10_000
	left, right := uint64(id)/half%half, uint64(id)%half
	for round := range uint64(3) {
		left, right = right, (left+mix(right<<8+round))%half
	}
	return fmt.Sprintf("CS-%04d-%04d", left, right)
}

// Message is a row of support.messages.
type Message struct {
	ID     int64
	Ticket int64
	Author string // "customer" or a staff id
	Body   string
	SentAt time.Time
}

// messagesOf is how many messages so many tickets have: two and three in turn.
func messagesOf(tickets int64) int64 { return tickets/2*5 + tickets%2*2 }

// Message is the message with that id, from 1 to o.Messages.
func (o *Org) Message(id int64) Message {
	pair, nth := (id-1)/5, (id-1)%5
	ticket := 2*pair + 1
	if nth >= 2 {
		ticket, nth = ticket+1, nth-2
	}
	t := o.ticketOf(ticket)
	d := o.dice(forMessage, id)
	m := Message{ID: id, Ticket: ticket, Author: "customer", SentAt: t.OpenedAt}
	heading := "customer"
	if nth == 1 {
		m.Author, heading = string(t.Assignee), "staff"
	}
	if nth > 0 {
		last := t.ClosedAt
		if last.IsZero() {
			last = o.Now
		}
		m.SentAt = t.OpenedAt.Add(last.Sub(t.OpenedAt) * time.Duration(nth) / 3).Truncate(time.Second)
	}
	m.Body = o.say(heading, t.Customer, t.No, &d)
	return m
}

// Contact is a row of support.contacts.
type Contact struct {
	ID        int64
	Customer  int64
	Ticket    int64 // 0: none
	Channel   string
	Direction string
	Staff     sallyport.Staff
	At        time.Time
}

// Contact is the contact with that id, from 1 to o.Contacts.
func (o *Org) Contact(id int64) Contact {
	d := o.dice(forContact, id)
	t := o.ticketOf(min(o.Tickets, (id-1)*10/7+1+d.below(2))) // in the order of time, like the tickets
	c := Contact{ID: id, Customer: t.Customer, Ticket: t.ID, Channel: "call", Direction: "in", Staff: t.Assignee}
	switch throw := d.below(100); {
	case throw < 35:
		c.Channel = "email"
	case throw < 50:
		c.Channel = "chat"
	}
	if d.percent(30) {
		c.Direction = "out"
	}
	if d.percent(15) {
		c.Ticket = 0
	}
	last := t.ClosedAt
	if last.IsZero() {
		last = o.Now
	}
	c.At = t.OpenedAt.Add(time.Duration(d.below(int64(last.Sub(t.OpenedAt))/int64(time.Second)+1)) * time.Second)
	return c
}
