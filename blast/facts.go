package blast

import (
	"time"

	"sallyport"
)

// explainedFor is how long after a ticket was closed, or a customer called, a look is explained by it.
const explainedFor = 14 * 24 * time.Hour

// facts are what the gateway saw committed about tickets and contacts: what the person could not make himself explains a look.
type facts struct {
	tickets map[string]*ticket
	of      map[sallyport.Subject][]*ticket
	calls   map[sallyport.Subject][]call
}

type ticket struct {
	customer sallyport.Subject
	maker    sallyport.Staff // who wrote whose it is; empty: a program
	opened   time.Time
	closed   time.Time // zero: it is open
	hands    []hand
}

// hand is somebody who got a ticket, and by whom.
type hand struct {
	who, by sallyport.Staff
	at      time.Time
}

type call struct {
	who sallyport.Staff
	at  time.Time
}

func newFacts() facts {
	return facts{map[string]*ticket{}, map[sallyport.Subject][]*ticket{}, map[sallyport.Subject][]call{}}
}

// add takes the facts of an entry, and tickets and contacts that another system's log or feed tells.
func (f *facts) add(e *sallyport.Event, q *Question) {
	by := e.Who.Staff
	if q.Program != nil && q.Program(by) {
		by = "" // what routes tickets speaks for the customer
	}
	for i := range e.Facts {
		x := &e.Facts[i]
		who := sallyport.Staff(x.Assignee)
		if q.HeldBy != nil {
			who = q.HeldBy(x.Assignee)
		}
		if x.Table == "contact" {
			if x.Incoming {
				f.calls[x.Customer] = append(f.calls[x.Customer], call{who, e.Time})
			}
			continue
		}
		f.ticket(x, who, by, e.Time)
	}
}

func (f *facts) ticket(x *sallyport.Fact, who, by sallyport.Staff, at time.Time) {
	t := f.tickets[x.ID]
	if t == nil || t.customer != x.Customer { // made another customer's, it is another ticket, by who did that
		t = &ticket{customer: x.Customer, maker: by, opened: at}
		f.tickets[x.ID] = t
		f.of[x.Customer] = append(f.of[x.Customer], t)
	}
	if who != "" && (len(t.hands) == 0 || t.hands[len(t.hands)-1].who != who) {
		t.hands = append(t.hands, hand{who, by, at})
	}
	switch {
	case x.Open:
		t.closed = time.Time{}
	case t.closed.IsZero():
		t.closed = at
	}
}

// maker is who made a ticket what it is; empty: a program, or nobody knows.
func (f *facts) maker(id string) sallyport.Staff {
	if t := f.tickets[id]; t != nil {
		return t.maker
	}
	return ""
}

// explain tells whether a look is explained: by a ticket of the customer's that somebody else made and gave him before, or by the customer who called him.
func (f *facts) explain(staff map[sallyport.Staff]bool, c sallyport.Subject, at time.Time) bool {
	for _, t := range f.of[c] {
		if t.opened.After(at) || staff[t.maker] || !t.closed.IsZero() && at.Sub(t.closed) > explainedFor {
			continue
		}
		for _, h := range t.hands {
			if staff[h.who] && !staff[h.by] && !h.at.After(at) {
				return true
			}
		}
	}
	for _, k := range f.calls[c] {
		if staff[k.who] && !k.at.After(at) && at.Sub(k.at) <= explainedFor {
			return true
		}
	}
	return false
}
