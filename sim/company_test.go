package sim_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"sallyport"
	"sallyport/sim"
)

// figures are what can be counted of a company without insiders.
type figures struct {
	looks, within, bare float64      // of people: all, between 8 and 18, of customers without an open ticket
	weekday             [7][]float64 // tickets of each of these days
	opened              map[string]time.Time
	hands               map[string]int
	people              map[string]map[sallyport.Staff]bool
	hours               []float64 // that tickets took
	days                map[sallyport.Staff]map[int]float64
	served              map[sallyport.Staff]map[int]map[sallyport.Subject]bool
	repeats             map[sallyport.Subject]int
	calls, jobs, bulk   float64
	turned              float64
}

func countCompany(p sim.Profile, seed uint64) *figures {
	f := &figures{
		opened: map[string]time.Time{}, hands: map[string]int{}, people: map[string]map[sallyport.Staff]bool{}, days: map[sallyport.Staff]map[int]float64{},
		served: map[sallyport.Staff]map[int]map[sallyport.Subject]bool{}, repeats: map[sallyport.Subject]int{},
	}
	c := sim.NewCompany(p, seed, false)
	agents := map[sallyport.Staff]bool{}
	for _, e := range c.Staff() {
		agents[e.ID] = e.Role == "agent"
	}
	customers, open := map[string]sallyport.Subject{}, map[sallyport.Subject]int{}
	c.Run(func(in *sallyport.Input, _ bool) {
		day := int(in.Time.Sub(c.Begin) / (24 * time.Hour))
		switch {
		case in.Ticket != nil:
			f.opened[in.Ticket.ID] = in.Time
			customers[in.Ticket.ID] = in.Ticket.Customer
			open[in.Ticket.Customer]++
			f.repeats[in.Ticket.Customer]++
			if day >= 0 {
				of := &f.weekday[day%7] // it begins on a Monday
				for len(*of) <= day/7 {
					*of = append(*of, 0)
				}
				(*of)[day/7]++
			}
		case in.TicketEvent != nil:
			if in.TicketEvent.Type == "closed" {
				open[customers[in.TicketEvent.Ticket]]--
			}
			f.event(in.TicketEvent, c.Begin.AddDate(0, 0, 7*(p.Weeks-9)))
		case in.Contact != nil:
			f.calls++
		case in.Job != nil:
			f.jobs++
		case in.HR != nil && in.HR.Type == "role_change":
			f.turned++
		case in.Access != nil && len(in.Access.Subjects) >= 200 && !in.Access.Service:
			f.bulk++
		case in.Access != nil && agents[in.Access.Staff]:
			f.access(in.Access, day, open[in.Access.Subjects[0]] > 0)
		}
	})
	return f
}

// event takes one of a ticket. Those that were opened before a date have had the time that any ticket gets.
func (f *figures) event(e *sallyport.TicketEvent, before time.Time) {
	switch e.Type {
	case "assigned":
		f.hands[e.Ticket]++
		f.with(e.Ticket, e.Staff)
	case "closed":
		if at, ok := f.opened[e.Ticket]; ok && at.Before(before) {
			f.hours = append(f.hours, e.Time.Sub(at).Hours())
		}
	}
}

func (f *figures) access(a *sallyport.Access, day int, linked bool) {
	f.looks++
	if h := a.Time.Hour(); h >= 8 && h < 18 {
		f.within++
	}
	if !linked {
		f.bare++
	}
	if f.days[a.Staff] == nil {
		f.days[a.Staff], f.served[a.Staff] = map[int]float64{}, map[int]map[sallyport.Subject]bool{}
	}
	f.days[a.Staff][day]++
	if f.served[a.Staff][day] == nil {
		f.served[a.Staff][day] = map[sallyport.Subject]bool{}
	}
	f.served[a.Staff][day][a.Subjects[0]] = true
	if id := a.Purpose.Ref; id != "" {
		f.with(id, a.Staff)
	}
}

// with notes that somebody had to do with a ticket.
func (f *figures) with(id string, who sallyport.Staff) {
	if f.people[id] == nil {
		f.people[id] = map[sallyport.Staff]bool{}
	}
	f.people[id][who] = true
}

// TestCompanyIsLikely holds a made-up consumer support to what was measured of real ones.
func TestCompanyIsLikely(t *testing.T) {
	p := sim.Profiles()[0]
	p.Staff, p.Weeks = 80, 16
	f := countCompany(p, 5)
	between := func(what string, got, low, high float64) {
		t.Helper()
		t.Logf("%s: %.3g", what, got)
		if !(low <= got && got <= high) {
			t.Errorf("%s: %.3g, want %g to %g", what, got, low, high)
		}
	}
	between("share of looks between 8 and 18", f.within/f.looks, 0.90, 0.97) // 0.83 was measured of real ones: these begin and end later
	all, usual := 0.0, [7]float64{}                                          // the middle ones: launches bring many to single days
	for i, n := range f.weekday {
		slices.Sort(n)
		usual[i] = n[len(n)/2]
		all += usual[i]
	}
	between("share of tickets on Mondays", usual[0]/all, 0.19, 0.24)
	between("share of tickets on Fridays", usual[4]/all, 0.115, 0.15)
	between("share of looks at customers without an open ticket", f.bare/f.looks, 0.05, 0.15)
	slices.Sort(f.hours)
	between("median hours of a ticket", f.hours[len(f.hours)/2], 19, 25)
	between("90 % of tickets took hours", f.hours[len(f.hours)*9/10], 320, 450)
	hands := 0.0
	for _, n := range f.hands {
		hands += float64(n)
	}
	between("reassignments of a ticket", hands/float64(len(f.hands))-1, 0.85, 1.05)
	people := 0.0
	for _, who := range f.people {
		people += float64(len(who))
	}
	between("people of a ticket", people/float64(len(f.people)), 2, 4) // likewise 3.4
	var fanos, customers []float64
	for who, days := range f.days {
		sum, square, n, seen := 0.0, 0.0, 0.0, 0.0
		for day, x := range days {
			sum, square, n = sum+x, square+x*x, n+1
			seen += float64(len(f.served[who][day]))
		}
		if n >= 30 {
			mean := sum / n
			fanos, customers = append(fanos, (square/n-mean*mean)/mean), append(customers, seen/n)
		}
	}
	slices.Sort(fanos)
	slices.Sort(customers)
	between("Fano factor of an agent's looks a day, in the middle", fanos[len(fanos)/2], 4, 20)
	between("customers of an agent a day, in the middle", customers[len(customers)/2], 20, 60)
	most := 0
	for _, n := range f.repeats {
		most = max(most, n)
	}
	between("tickets of who comes most often", float64(most), 20, math.Inf(1))
	between("jobs on record for each bulk result", f.jobs/f.bulk, 0.1, 1)
	between("changes of teams", f.turned, 1, 30)
}
