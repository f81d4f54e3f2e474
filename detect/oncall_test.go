package detect

import (
	"fmt"
	"testing"

	"sallyport"
)

// TestOnCall: whoever is called at night by urgent tickets is at work. The same work on tickets that could wait, or that he opened himself, is a finding.
func TestOnCall(t *testing.T) {
	for _, c := range []struct {
		priority string
		by       sallyport.Staff
		found    bool
	}{{"urgent", "", false}, {"normal", "", true}, {"urgent", "a3", true}} {
		t.Run(fmt.Sprintf("%s, opened by %q", c.priority, c.by), func(t *testing.T) {
			s := newStory(t, Options{})
			s.weeks(20, 0.5)
			before := len(s.found)
			for range 5 {
				s.work(0.5, func() {
					for i := range 12 {
						customer, id := s.customer(), fmt.Sprintf("U%s%d", s.day.Format("0102"), i)
						at := s.at(1380 + 2*i)
						s.tell(sallyport.Input{Time: at, Ticket: &sallyport.TicketFact{ID: id, Customer: customer, Opened: at, Queue: "eu", OpenedBy: c.by, Priority: c.priority}})
						s.tell(sallyport.Input{Time: at, TicketEvent: &sallyport.TicketEvent{Ticket: id, Time: at, Type: "assigned", Staff: "a3"}})
						s.look("a3", 1380+2*i+1, customer)
					}
					s.look("a3", 1420, s.customer()) // evidence is weighed at what has no reason
				})
			}
			if found := len(s.found) > before; found != c.found {
				t.Errorf("found %v: %+v", found, s.found[before:])
			}
		})
	}
}
