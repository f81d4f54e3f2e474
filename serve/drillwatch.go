package serve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport"
	"sallyport/canary"
	"sallyport/config"
	"sallyport/detect"
	"sallyport/respond"
)

// drillWatch is how detection sees drills: the real detector never does, so that nobody's usual day, no peers and no share of the false alarms changes
// by one. A second detector reads everything that the real one reads and the drill besides, each drill's thieves as people whom it sees for the first
// time. Like the real one it is a pure function of the record.
type drillWatch struct {
	accounts map[sallyport.Staff]sallyport.Employee
	alias    map[sallyport.Staff]sallyport.Staff // of those who play now; empty: nobody does
	subjects map[sallyport.Subject]bool          // customers of drills
	tickets  map[string]bool                     // about them
	name     string                              // of the present drill
	hired    []sallyport.Employee                // by all drills so far
	detector *detect.Detector
}

// drillWatchOf is what detection sees of drills; nil: none are played.
func drillWatchOf(d *config.DrillConfig, c *config.Config) *drillWatch {
	if len(d.Accounts) == 0 {
		return nil
	}
	w := &drillWatch{accounts: map[sallyport.Staff]sallyport.Employee{}, alias: map[sallyport.Staff]sallyport.Staff{}, subjects: map[sallyport.Subject]bool{}, tickets: map[string]bool{}}
	for _, who := range d.Staff(c) {
		p := c.People[string(who)]
		w.accounts[who] = sallyport.Employee{ID: who, Name: p.Name, Team: cmp.Or(d.Team, p.Team), Role: p.Role}
	}
	return w
}

// drillPrefix begins the ids of findings about drills.
const drillPrefix = "drill-"

func (h *hearing) drill() *drillWatch {
	if h.traps == nil {
		return nil
	}
	return h.traps.drill
}

// begin makes the second detector.
func (w *drillWatch) begin(o detect.Options, staff []sallyport.Employee) (err error) {
	if w == nil {
		return nil
	}
	if w.detector, err = detect.New(o); err != nil {
		return err
	}
	w.detector.Hire(staff)
	return nil
}

// knows notes a customer of drills.
func (w *drillWatch) knows(c *canary.Canary) {
	if w != nil && c.Drill {
		w.subjects[c.Subject] = true
	}
}

// turn begins or ends a drill.
func (w *drillWatch) turn(e *sallyport.Event) []sallyport.Input {
	if w == nil || e.Order.Drill == nil {
		return nil
	}
	clear(w.alias)
	if !e.Order.Drill.Ended {
		w.name = e.Order.Drill.Name
		var hired []sallyport.Employee
		for _, who := range e.Order.Drill.Accounts {
			one, ok := w.accounts[who]
			if !ok {
				continue
			}
			one.ID = sallyport.Staff(fmt.Sprintf("%s~%d", who, e.Seq))
			w.alias[who], hired = one.ID, append(hired, one)
		}
		if w.detector != nil {
			w.detector.Hire(hired)
			w.hired = append(w.hired, hired...)
		}
	}
	return []sallyport.Input{{Time: e.Time}}
}

// concerns tells whether an input is a drill's, and so none that the real detector may learn from. What a drill's account does to customers who exist is
// none.
func (w *drillWatch) concerns(in *sallyport.Input) bool {
	if w == nil {
		return false
	}
	switch {
	case in.Access != nil:
		_, plays := w.accounts[in.Access.Staff]
		return plays && w.own(in.Access.Subjects) && w.own(in.Access.Reached)
	case in.LogIn != nil:
		_, plays := w.accounts[in.LogIn.Staff]
		return plays
	case in.Alert != nil:
		_, plays := w.accounts[in.Alert.Staff]
		return plays
	case in.Ticket != nil:
		if w.subjects[in.Ticket.Customer] {
			w.tickets[in.Ticket.ID] = true
		}
		return w.subjects[in.Ticket.Customer]
	case in.TicketEvent != nil:
		return w.tickets[in.TicketEvent.Ticket]
	case in.Contact != nil:
		return w.subjects[in.Contact.Customer]
	}
	return false
}

func (w *drillWatch) own(list []sallyport.Subject) bool {
	return !slices.ContainsFunc(list, func(s sallyport.Subject) bool { return !w.subjects[s] && !strings.HasPrefix(string(s), "heard:") })
}

// observe lets the second detector read an input, and gives what it finds about who plays now.
func (w *drillWatch) observe(in *sallyport.Input) (found []detect.Finding) {
	if w == nil || w.detector == nil {
		return nil
	}
	for _, f := range w.detector.Observe(w.played(in)) {
		about := slices.Clone(f.Staff)
		for i, who := range about {
			for real, alias := range maps.All(w.alias) {
				if who == alias {
					about[i] = real
				}
			}
		}
		if slices.ContainsFunc(about, func(who sallyport.Staff) bool { _, plays := w.accounts[who]; return !plays }) {
			continue // the real detector finds that
		}
		f.ID, f.Staff = drillPrefix+f.ID, about
		found = append(found, f)
	}
	return found
}

// played is an input with who plays as who he is in this drill.
func (w *drillWatch) played(in *sallyport.Input) *sallyport.Input {
	if len(w.alias) == 0 {
		return in
	}
	out := *in
	as := func(who sallyport.Staff) sallyport.Staff {
		if alias, ok := w.alias[who]; ok {
			return alias
		}
		return who
	}
	switch {
	case in.Access != nil:
		a := *in.Access
		a.Staff, out.Access = as(a.Staff), &a
	case in.LogIn != nil:
		l := *in.LogIn
		l.Staff, out.LogIn = as(l.Staff), &l
	case in.Alert != nil:
		a := *in.Alert
		a.Staff, out.Alert = as(a.Staff), &a
	case in.Ticket != nil:
		t := *in.Ticket
		t.OpenedBy, out.Ticket = as(t.OpenedBy), &t
	case in.TicketEvent != nil:
		e := *in.TicketEvent
		e.Staff, out.TicketEvent = as(e.Staff), &e
	case in.Contact != nil:
		c := *in.Contact
		c.Staff, out.Contact = as(c.Staff), &c
	}
	return &out
}

// foundBy is a finding as it stands on record: one about a drill says so.
func foundBy(f *detect.Finding) any {
	if len(f.ID) < len(drillPrefix) || f.ID[:len(drillPrefix)] != drillPrefix {
		return f
	}
	return struct {
		*detect.Finding
		Drill bool `json:"drill"`
	}{f, true}
}

// outsideOf are steps that leave Sallyport.
func outsideOf(step string) bool {
	return step == respond.Page || step == respond.Database || step == respond.Provider
}
