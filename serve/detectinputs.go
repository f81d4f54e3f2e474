package serve

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"sallyport"
	"sallyport/config"
	"sallyport/purpose"
	logs "sallyport/sources"
)

// hearing turns entries of the record into what detection reads. It is a pure function of the entries before: a replay gives the same inputs.
type hearing struct {
	parts   logs.Parts
	login   func(string) sallyport.Staff // whose a database role is
	program func(sallyport.Staff) bool
	desks   config.Helpdesks
	tickets map[string]heardTicket
	canary  map[sallyport.Subject]bool
	traps   *traps // those of them that Sallyport planted; nil: none
	reports unconfirmed
	list    []sallyport.Input
	access  []sallyport.Access
}

// heardTicket is how a ticket stood last.
type heardTicket struct {
	assignee sallyport.Staff
	customer sallyport.Subject
	open     bool
	id       string // as detection knows it

	contacted time.Time // when the customer got in touch last; of tickets of other systems
}

// hear gives the inputs of one entry of the access stream, good until the next call.
func (h *hearing) hear(e *sallyport.Event) []sallyport.Input {
	h.list = h.list[:0]
	switch e.Kind {
	case sallyport.FactKind:
		for i := range e.Facts {
			h.fact(e, &e.Facts[i])
		}
	case sallyport.SessionStart, sallyport.EntryRefused:
		if e.Who.Staff != "" {
			h.list = append(h.list, sallyport.Input{Time: e.Time, LogIn: &sallyport.LogIn{
				Time: e.Time, Staff: e.Who.Staff, Failed: e.Kind == sallyport.EntryRefused, Address: logs.Host(e.Who.Address), Device: e.Who.Device, Country: e.Who.Country,
			}})
		}
	default:
		h.access = h.parts.Append(h.access[:0], e)
		for i := range h.access {
			if a := &h.access[i]; a.Staff != "" {
				Touches(a, h.canary)
				h.list = h.traps.watch(h.list, a, e, h.canary)
			}
		}
	}
	return h.list
}

// Touches counts customers who do not exist among those looked at also where only tokens of them came back: nobody has a reason to come by.
func Touches(a *sallyport.Access, canaries map[sallyport.Subject]bool) {
	if len(canaries) == 0 {
		return
	}
	for _, s := range a.Reached {
		if canaries[s] && !slices.Contains(a.Subjects, s) {
			a.Subjects = append(slices.Clip(a.Subjects), s)
		}
	}
}

// fact is a committed write to a ticket or a contact. A ticket that is made another customer's is another ticket, by who made it that.
func (h *hearing) fact(e *sallyport.Event, f *sallyport.Fact) {
	if f.Table == purpose.ContactTable {
		h.list = append(h.list, sallyport.Input{Time: e.Time, Contact: &sallyport.ContactFact{
			Time: e.Time, Customer: f.Customer, Channel: "call", Incoming: f.Incoming, Ticket: f.Ticket, Staff: h.login(f.Assignee),
		}})
		return
	}
	by := e.Who.Staff
	if h.program(by) {
		by = "" // what routes tickets speaks for the customer
	}
	h.ticketStands(e.Time, f.ID, heardTicket{assignee: h.login(f.Assignee), customer: f.Customer, open: f.Open}, sallyport.TicketFact{Opened: e.Time, OpenedBy: by})
}

// ticketStands says how a ticket stands now, against how it stood. first is what is told of one that was not known, or not of this customer.
func (h *hearing) ticketStands(at time.Time, key string, now heardTicket, first sallyport.TicketFact) {
	was, known := h.tickets[key]
	now.id, now.contacted = key, was.contacted
	if known {
		now.id = was.id
	}
	if known && was.customer != now.customer {
		now.id, known = key+"/"+string(now.customer), false
	}
	if !known {
		first.ID, first.Customer = now.id, now.customer
		h.list = append(h.list, sallyport.Input{Time: at, Ticket: &first})
	}
	event := func(what string, who sallyport.Staff) {
		h.list = append(h.list, sallyport.Input{Time: at, TicketEvent: &sallyport.TicketEvent{Ticket: now.id, Time: at, Type: what, Staff: who}})
	}
	if now.assignee != "" && (!known || now.assignee != was.assignee) {
		event("assigned", now.assignee)
	}
	switch {
	case !now.open && (!known || was.open):
		event("closed", "")
	case now.open && known && !was.open:
		event("reopened", "")
	}
	h.tickets[key] = now
}

// order gives the input of one entry of the control stream; nil for most.
func (h *hearing) order(e *sallyport.Event) []sallyport.Input {
	o := e.Order
	if o == nil {
		return nil
	}
	switch e.Kind {
	case sallyport.LogInOK, sallyport.LogInBad:
		who := cmp.Or(o.By, o.About)
		if who == "" {
			return nil
		}
		return []sallyport.Input{{Time: e.Time, LogIn: &sallyport.LogIn{Time: e.Time, Staff: who, Failed: e.Kind == sallyport.LogInBad, Address: logs.Host(e.Who.Address)}}}
	case sallyport.CanaryPlanted, sallyport.CanaryHeardKind, sallyport.Requested, sallyport.DrillKind:
		return h.traps.order(e, h.canary)
	case sallyport.InputKind:
		if in := e.Order.Input; in != nil && in.Format == thingsFormat {
			return h.thing(e)
		}
		list := fed(e)
		h.reports.note(e.Seq, list)
		return list
	case sallyport.ReportJudged:
		return h.reports.judged(e)
	default:
		return nil
	}
}

// fed reads facts that another system sent: lines of one of the files of 'analyze'. What was wrong with a line was said when it came.
func fed(e *sallyport.Event) []sallyport.Input {
	in := e.Order.Input
	if in == nil || in.Cut {
		return nil
	}
	list, _ := parseFed(in.Format, []byte(in.Text))
	for i := range list {
		list[i].Time = e.Time // it is known from now on, whenever it was
	}
	return list
}

// parseFed reads lines of a kind, as JSON objects or CSV with a header.
func parseFed(kind string, text []byte) (list []sallyport.Input, wrong []*logs.Problem) {
	r := &logs.Reader{Stdin: bytes.NewReader(text), Report: func(p *logs.Problem) { wrong = append(wrong, p) }}
	switch kind {
	case config.FeedTickets:
		list = feed(r.Tickets, func(t *sallyport.TicketFact) sallyport.Input { return sallyport.Input{Ticket: t} })
	case config.FeedTicketEvents:
		list = feed(r.TicketEvents, func(t *sallyport.TicketEvent) sallyport.Input { return sallyport.Input{TicketEvent: t} })
	case config.FeedContacts:
		list = feed(r.Contacts, func(c *sallyport.ContactFact) sallyport.Input { return sallyport.Input{Contact: c} })
	case config.FeedJobs:
		list = feed(r.Jobs, func(j *sallyport.BulkJob) sallyport.Input { return sallyport.Input{Job: j} })
	case config.FeedHR:
		list = feed(r.HR, func(x *sallyport.HRFact) sallyport.Input { return sallyport.Input{HR: x} })
	case config.FeedLogIns:
		list = feed(r.LogIns, func(l *sallyport.LogIn) sallyport.Input { return sallyport.Input{LogIn: l} })
	case config.FeedAlerts:
		list = feed(r.Alerts, func(a *sallyport.Alert) sallyport.Input { return sallyport.Input{Alert: a} })
	case config.FeedReports:
		list = feed(r.Reports, func(s *sallyport.ScamReport) sallyport.Input { return sallyport.Input{Report: s} })
	}
	return list, wrong
}

func feed[T any](read func(string) ([]T, error), input func(*T) sallyport.Input) []sallyport.Input {
	rows, err := read("-")
	if err != nil {
		return nil
	}
	list := make([]sallyport.Input, len(rows))
	for i := range rows {
		list[i] = input(&rows[i])
	}
	return list
}

// unconfirmed are reports about which nobody has asked the customer yet, by id: they weigh nothing until somebody has.
type unconfirmed map[string]*sallyport.ScamReport

func (u *unconfirmed) note(seq uint64, list []sallyport.Input) {
	for i := range list {
		if r := list[i].Report; r != nil && r.Unconfirmed {
			if *u == nil {
				*u = unconfirmed{}
			}
			(*u)[reportID(seq, i, len(list))] = r
		}
	}
}

// judged is the report of a customer who stood by it.
func (u *unconfirmed) judged(e *sallyport.Event) []sallyport.Input {
	j := e.Order.Judged
	if j == nil {
		return nil
	}
	r := (*u)[j.Report]
	delete(*u, j.Report)
	if r == nil || !j.Real {
		return nil
	}
	confirmed := *r
	confirmed.Unconfirmed = false
	return []sallyport.Input{{Time: e.Time, Report: &confirmed}}
}

// reportID names a report by the entry by which it came and, where that holds several, its place in it.
func reportID(seq uint64, i, of int) string {
	if of == 1 {
		return fmt.Sprint(seq)
	}
	return fmt.Sprintf("%d.%d", seq, i+1)
}
