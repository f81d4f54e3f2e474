package serve

import (
	"encoding/json"
	"slices"
	"time"

	"sallyport"
	"sallyport/purpose"
	"sallyport/purpose/source"
)

// thingsFormat is the format of inputs that hold the state of a ticket, call or job of purposes.sources.
const thingsFormat = "things"

// thing takes the state of something that another system sent. What is not known of who did what (source.Item.Bare) explains nothing: the whole state
// follows.
func (h *hearing) thing(e *sallyport.Event) []sallyport.Input {
	in := e.Order.Input
	var x source.Item
	if in.Cut || json.Unmarshal([]byte(in.Text), &x) != nil || x.ID == "" || x.Bare || x.Unsure {
		return nil
	}
	h.list = h.list[:0]
	key := thingsFormat + "\x00" + in.Source + "\x00" + x.ID
	_, known := h.tickets[key]
	kind, k := h.desks.KindOf(in.Source, x.State)
	if kind == "" && known {
		kind, k = "ticket", &purpose.Kind{} // of calls and jobs nothing more is to be said
	}
	holds := k != nil && k.Holds(kind, x.State) && !x.Gone
	switch kind {
	case "ticket":
		h.ticketOf(e.Time, key, &x, k, holds)
	case "call":
		if holds && !known {
			h.callOf(e.Time, &x, k)
			h.tickets[key] = heardTicket{id: x.ID}
		}
	case "job":
		if holds && !known {
			h.jobOf(&x)
			h.tickets[key] = heardTicket{id: x.ID}
		}
	}
	for i := range h.list {
		h.list[i].Time = e.Time // it is known from now on, whenever it was
	}
	return slices.Clone(h.list)
}

// ticketOf is a ticket that stands in another system.
func (h *hearing) ticketOf(now time.Time, key string, x *source.Item, k *purpose.Kind, open bool) {
	was, known := h.tickets[key]
	customer := was.customer
	if len(x.Customers) > 0 {
		customer = x.Customers[0]
	}
	if customer == "" || !known && !open {
		return // what was over when it was first heard of explains nothing any more
	}
	opened := x.From
	if opened.IsZero() || opened.After(now) {
		opened = now
	}
	h.ticketStands(now, key, heardTicket{assignee: h.desks.Staff(x.Assignee), customer: customer, open: open}, sallyport.TicketFact{Opened: opened, OpenedBy: h.desks.Made(k, x.OpenedBy, x.Assignee)})
	if c := x.Contacted; !c.IsZero() && !c.After(now) && (!known || c.After(was.contacted)) {
		h.list = append(h.list, sallyport.Input{Contact: &sallyport.ContactFact{Time: c, Customer: customer, Channel: "ticket", Incoming: true, Ticket: x.ID}})
		t := h.tickets[key]
		t.contacted = c
		h.tickets[key] = t
	}
}

// callOf is a call that came in by the telephony system's word, or one that somebody made or arranged: that one is by whom it is.
func (h *hearing) callOf(now time.Time, x *source.Item, k *purpose.Kind) {
	if len(x.Customers) == 0 {
		return
	}
	at := x.From
	if at.IsZero() || at.After(now) {
		at = now
	}
	by := h.desks.Made(k, x.OpenedBy, x.Assignee)
	incoming := by == "" && !k.IsScheduled(x.State)
	if by == "" {
		by = h.desks.Staff(x.Assignee)
	}
	h.list = append(h.list, sallyport.Input{Contact: &sallyport.ContactFact{Time: at, Customer: x.Customers[0], Channel: "call", Incoming: incoming, Staff: by}})
}

// jobOf is approved work on many customers.
func (h *hearing) jobOf(x *source.Item) {
	h.list = append(h.list, sallyport.Input{Job: &sallyport.BulkJob{
		ID: x.ID, From: x.From, To: x.Until, Staff: h.desks.Staff(x.Assignee), Most: int64(len(x.Customers)), ApprovedBy: h.desks.Staff(x.AssignedBy),
	}})
}
