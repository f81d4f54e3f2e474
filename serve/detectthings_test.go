package serve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/config"
	"sallyport/purpose"
)

// someDesk is a help desk with tickets, calls and jobs, whose programs are called customer and pbx.
func someDesk() config.Helpdesks {
	kind := func() *purpose.Kind { return &purpose.Kind{Source: "desk", Programs: []string{"customer", "pbx"}} }
	return config.Helpdesks{
		Kinds: map[string]map[string]*purpose.Kind{"desk": {"ticket": kind(), "call": kind(), "job": kind()}},
		Named: func(name string) (purpose.Person, bool) {
			return purpose.Person{Staff: sallyport.Staff(name)}, strings.HasPrefix(name, "s0")
		},
	}
}

// said is a state that a help desk sent.
func said(at time.Time, text string) *sallyport.Event {
	return &sallyport.Event{Time: at, Kind: sallyport.InputKind, Order: &sallyport.Order{Input: &sallyport.Heard{Source: "desk", Format: thingsFormat, Text: text}}}
}

// TestThingsOfOtherSystems: what a help desk sent becomes what detection reads, and nobody's own word becomes the customer's.
func TestThingsOfOtherSystems(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		texts []string
		want  []string // what the inputs are, as words
	}{
		{"a customer's ticket", []string{`{"id":"1","customers":["77"],"assignee":"s001","state":"open","opened_by":"customer"}`}, []string{"ticket 77 by ", "assigned s001"}},
		{"one's own", []string{`{"id":"1","customers":["77"],"assignee":"s001","state":"open","opened_by":"s001"}`}, []string{"ticket 77 by s001", "assigned s001"}},
		{"of whom nobody knows", []string{`{"id":"1","customers":["77"],"assignee":"s001","state":"open","opened_by":"somebody"}`}, []string{"ticket 77 by s001", "assigned s001"}},
		{
			"handed on, closed, opened again",
			[]string{
				`{"id":"1","customers":["77"],"assignee":"s001","state":"open"}`, `{"id":"1","customers":["77"],"assignee":"s002","state":"open"}`,
				`{"id":"1","customers":["77"],"assignee":"s002","state":"solved"}`, `{"id":"1","customers":["77"],"assignee":"s002","state":"pending"}`,
			},
			[]string{"ticket 77 by ", "assigned s001", "assigned s002", "closed ", "reopened "},
		},
		{"made another customer's", []string{`{"id":"1","customers":["77"],"state":"open"}`, `{"id":"1","customers":["78"],"state":"open","opened_by":"s003"}`}, []string{"ticket 77 by ", "ticket 78 by s003"}},
		{
			"the customer got in touch, told twice",
			[]string{
				`{"id":"1","customers":["77"],"state":"open","contacted_at":"2026-03-02T08:30:00Z"}`, `{"id":"1","customers":["77"],"state":"pending","contacted_at":"2026-03-02T08:30:00Z"}`,
			},
			[]string{"ticket 77 by ", "contact 77 in "},
		},
		{"tomorrow's contact", []string{`{"id":"1","customers":["77"],"state":"open","contacted_at":"2026-03-03T08:30:00Z"}`}, []string{"ticket 77 by "}},
		{"over when first heard of", []string{`{"id":"1","customers":["77"],"state":"solved","opened_by":"customer"}`}, nil},
		{"gone", []string{`{"id":"1","customers":["77"],"state":"open"}`, `{"id":"1","gone":true}`}, []string{"ticket 77 by ", "closed "}},
		{"nobody knows who did what", []string{`{"id":"1","customers":["77"],"state":"open","bare":true}`}, nil},
		{"two states of one version", []string{`{"id":"1","customers":["77"],"state":"open","unsure":true}`}, nil},
		{"a call", []string{`{"id":"2","customers":["77"],"assignee":"s001","state":"incoming","opened_by":"pbx"}`}, []string{"contact 77 in s001"}},
		{"a call by his own word", []string{`{"id":"2","customers":["77"],"assignee":"s001","state":"incoming","opened_by":"s001"}`}, []string{"contact 77 out s001"}},
		{"a call that a lead arranged", []string{`{"id":"2","customers":["77"],"assignee":"s001","state":"scheduled","opened_by":"s009"}`}, []string{"contact 77 out s009"}},
		{"a job", []string{`{"id":"3","customers":["1","2"],"assignee":"s001","state":"approved","assigned_by":"s009"}`}, []string{"job 2 s001 by s009"}},
		{"a job told twice", []string{`{"id":"3","customers":["1"],"assignee":"s001","state":"approved"}`, `{"id":"3","customers":["1"],"assignee":"s001","state":"approved"}`}, []string{"job 1 s001 by "}},
		{"a job that nobody approved", []string{`{"id":"3","customers":["1","2"],"assignee":"s001","state":"asked"}`}, nil},
		{"no JSON", []string{`{"id":`}, nil},
		{"another source", []string{`{"id":"1"}`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hearing{tickets: map[string]heardTicket{}, desks: someDesk()}
			var got []string
			for _, text := range c.texts {
				for _, in := range h.order(said(at, text)) {
					if !in.Time.Equal(at) {
						t.Errorf("it is known from %s on", in.Time)
					}
					got = append(got, words(&in))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, expected %q", got, c.want)
			}
		})
	}
}

func words(in *sallyport.Input) string {
	switch {
	case in.Ticket != nil:
		return fmt.Sprintf("ticket %s by %s", in.Ticket.Customer, in.Ticket.OpenedBy)
	case in.TicketEvent != nil:
		return fmt.Sprintf("%s %s", in.TicketEvent.Type, in.TicketEvent.Staff)
	case in.Contact != nil:
		return fmt.Sprintf("contact %s %s %s", in.Contact.Customer, map[bool]string{true: "in", false: "out"}[in.Contact.Incoming], in.Contact.Staff)
	case in.Job != nil:
		return fmt.Sprintf("job %d %s by %s", in.Job.Most, in.Job.Staff, in.Job.ApprovedBy)
	}
	return fmt.Sprintf("%+v", in)
}

// TestHelpDesksExplain: whoever looks at very many customers is found, unless the help desk says that each has a ticket with him that he did not make.
func TestHelpDesksExplain(t *testing.T) {
	for _, c := range []struct {
		name, openedBy string
		found          bool
	}{{"no tickets", "", true}, {"of customers", "customer", false}, {"his own", "s004", true}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWatchtower(t)
			w.options.Known.Tickets, w.options.Known.Contacts = true, true
			var texts []*sallyport.Event
			all := weeksOf(w.staff(), 14, func(n uint64) uint64 { return 7919 * n % 400_000 }) // in no order: one after the other would be a sign of its own
			for i, e := range all {
				if e.Who.Staff != "s004" || c.openedBy == "" {
					continue
				}
				text, err := json.Marshal(map[string]any{
					"id": fmt.Sprint(i), "customers": []sallyport.Subject{e.Reveal.Values.Distinct(nil)[0]}, "assignee": "s004", "state": "open", "opened_by": c.openedBy, "begins_at": all[0].Time.Add(-time.Hour),
				})
				fatal(t, err)
				texts = append(texts, said(all[0].Time.Add(-time.Hour), string(text)))
			}
			d := w.detecting()
			d.heard.desks = someDesk()
			for _, e := range texts {
				fatal(t, w.orders.Give(nil, e))
			}
			sent := w.control.Last()
			stop := w.run(d)
			within(t, 20*time.Second, "what the help desk said is read", func() bool { return len(texts) == 0 || w.taken() >= sent })
			w.append(all)
			w.caughtUp(d)
			stop()
			if got := strings.Contains(strings.Join(w.lines(), "\n"), `"staff":["s004"]`); got != c.found {
				t.Errorf("found: %t", got)
			}
		})
	}
}

// taken is up to which entry of the control stream detection has read, by its own word on record.
func (w *watchtower) taken() (last uint64) {
	w.t.Helper()
	fatal(w.t, w.control.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.DetectingKind {
			last = e.Order.Taken
		}
		return nil
	}))
	return last
}
