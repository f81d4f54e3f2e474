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
	looks, within, bare float64   // of agents: all, between 8 and 18, of customers without an open ticket
	tickets             []float64 // that came in, by day
	since, until        time.Time // tickets that came in between have had the time that any ticket gets
	opened              map[string]time.Time
	hands               map[string]int
	people              map[string]map[sallyport.Staff]bool
	hours               []float64 // that tickets took
	days                map[sallyport.Staff]map[int]*workday
	repeats             map[sallyport.Subject]int
	calls               []float64 // by day
	jobs, bulk          float64
	moved, promoted     float64 // changes of teams, of roles
	nights              float64 // looks of agents between 23 and 6
	urgent              float64 // tickets
	browsed             float64 // looks of quality
	lessons             map[sallyport.Staff]map[int]float64
}

type workday struct {
	looks   float64
	tickets map[string]bool
}

func countCompany(p sim.Profile, seed uint64) *figures {
	c := sim.NewCompany(p, seed, false)
	f := &figures{
		tickets: make([]float64, 7*p.Weeks), calls: make([]float64, 7*p.Weeks), since: c.Begin, until: c.Begin.AddDate(0, 0, 7*(p.Weeks-9)),
		opened: map[string]time.Time{}, hands: map[string]int{}, people: map[string]map[sallyport.Staff]bool{}, days: map[sallyport.Staff]map[int]*workday{},
		repeats: map[sallyport.Subject]int{}, lessons: map[sallyport.Staff]map[int]float64{},
	}
	roles := map[sallyport.Staff]string{}
	for _, e := range c.Staff() {
		roles[e.ID] = e.Role
	}
	customers, open := map[string]sallyport.Subject{}, map[sallyport.Subject]int{}
	c.Run(func(in *sallyport.Input, _ bool) {
		day := int(in.Time.Sub(c.Begin) / (24 * time.Hour))
		switch {
		case in.Ticket != nil:
			customers[in.Ticket.ID] = in.Ticket.Customer
			open[in.Ticket.Customer]++
			f.ticket(in.Ticket, in.Time)
		case in.TicketEvent != nil:
			if in.TicketEvent.Type == "closed" {
				open[customers[in.TicketEvent.Ticket]]--
			}
			f.event(in.TicketEvent)
		case in.Contact != nil && in.Time.After(c.Begin):
			f.calls[day]++
		case in.Job != nil:
			f.jobs++
		case in.HR != nil && in.HR.Type == "role_change" && in.HR.Value == roles[in.HR.Staff]:
			f.moved++
		case in.HR != nil && in.HR.Type == "role_change":
			f.promoted++
			roles[in.HR.Staff] = in.HR.Value
		case in.Access != nil && len(in.Access.Subjects) >= 200 && !in.Access.Service:
			f.bulk++
		case in.Access != nil && !in.Access.Service:
			f.access(in.Access, roles[in.Access.Staff], day, open[in.Access.Subjects[0]] > 0)
		}
	})
	return f
}

func (f *figures) ticket(t *sallyport.TicketFact, at time.Time) {
	f.repeats[t.Customer]++
	if t.Priority == "urgent" {
		f.urgent++
	}
	if !at.Before(f.since) {
		f.tickets[int(at.Sub(f.since)/(24*time.Hour))]++
		if at.Before(f.until) {
			f.opened[t.ID] = at
		}
	}
}

func (f *figures) event(e *sallyport.TicketEvent) {
	at, known := f.opened[e.Ticket]
	switch {
	case !known:
	case e.Type == "closed":
		f.hours = append(f.hours, e.Time.Sub(at).Hours())
	case e.Type == "assigned":
		f.hands[e.Ticket]++
		f.with(e.Ticket, e.Staff)
	default:
		f.with(e.Ticket, e.Staff)
	}
}

func (f *figures) access(a *sallyport.Access, role string, day int, linked bool) {
	id, who := a.Purpose.Ref, a.Staff
	if _, known := f.opened[id]; known {
		f.with(id, who)
	}
	if role == "quality" {
		f.browsed++
		if f.lessons[who] == nil {
			f.lessons[who] = map[int]float64{}
		}
		f.lessons[who][day]++
	}
	if role != "agent" {
		return
	}
	f.looks++
	hour := a.Time.Hour()
	if hour >= 8 && hour < 18 {
		f.within++
	}
	if hour >= 23 || hour < 6 {
		f.nights++
	}
	if !linked {
		f.bare++
	}
	if f.days[who] == nil {
		f.days[who] = map[int]*workday{}
	}
	if f.days[who][day] == nil {
		f.days[who][day] = &workday{tickets: map[string]bool{}}
	}
	f.days[who][day].looks++
	if id != "" {
		f.days[who][day].tickets[id] = true
	}
}

// with notes that somebody had to do with a ticket.
func (f *figures) with(id string, who sallyport.Staff) {
	if f.people[id] == nil {
		f.people[id] = map[sallyport.Staff]bool{}
	}
	f.people[id][who] = true
}

// mean of what is counted by ticket.
func (f *figures) mean(of func(id string) float64) float64 {
	sum := 0.0
	for id := range f.hands {
		sum += of(id)
	}
	return sum / float64(len(f.hands))
}

// byWeekday are the middles of all Mondays, all Tuesdays and so on, of a middle week: launches bring many to single days.
func byWeekday(days []float64) (share [7]float64) {
	all := 0.0
	for d := range share {
		var of []float64
		for at := d; at < len(days); at += 7 {
			of = append(of, days[at])
		}
		share[d] = middle(of, 0.5)
		all += share[d]
	}
	for d := range share {
		share[d] /= all
	}
	return share
}

func middle(list []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[int(q*float64(len(sorted)-1))]
}

// agents are, of each agent who was there on thirty days, how much his days differ (variance of looks over their mean), and his tickets a day.
func (f *figures) agents() (fanos, tickets []float64) {
	for _, days := range f.days {
		sum, square, seen, n := 0.0, 0.0, 0.0, float64(len(days))
		for _, d := range days {
			sum, square, seen = sum+d.looks, square+d.looks*d.looks, seen+float64(len(d.tickets))
		}
		if n >= 30 {
			mean := sum / n
			fanos, tickets = append(fanos, (square/n-mean*mean)/mean), append(tickets, seen/n)
		}
	}
	return fanos, tickets
}

// TestCompanyIsLikely holds a made-up consumer support to the figures that were measured of real ones. The bounds are a few hundredths around
// what one figure says, the range itself where one was measured.
func TestCompanyIsLikely(t *testing.T) {
	p := sim.Profiles()[0]
	p.Staff, p.Weeks = 100, 16
	f := countCompany(p, 5)
	between := func(what string, got, low, high float64) {
		t.Helper()
		t.Logf("%-64s %8.3f (%g to %g)", what, got, low, high)
		if !(low <= got && got <= high) {
			t.Errorf("%s: %.3g, want %g to %g", what, got, low, high)
		}
	}
	between("share of looks between 8 and 18 (83 %)", f.within/f.looks, 0.80, 0.86)
	between("share of looks by who is on call, 23 to 6", f.nights/f.looks, 0.001, 0.03)
	week := byWeekday(f.tickets)
	between("share of tickets on Mondays (21.6 %)", week[0], 0.201, 0.231)
	between("share of tickets on Fridays (13.2 %)", week[4], 0.120, 0.144)
	between("share of tickets on Saturdays and Sundays", week[5]+week[6], 0.05, 0.15)
	between("share of looks at customers without an open ticket (5 to 15 %)", f.bare/f.looks, 0.05, 0.15)
	between("median hours of a ticket (22)", middle(f.hours, 0.5), 19, 25)
	between("90 % of tickets took hours (382)", middle(f.hours, 0.9), 330, 435)
	between("reassignments of a ticket (0.94)", f.mean(func(id string) float64 { return float64(f.hands[id]) })-1, 0.87, 1.01)
	between("people of a ticket (3.4)", f.mean(func(id string) float64 { return float64(len(f.people[id])) }), 3.2, 3.6)
	fanos, tickets := f.agents()
	between("Fano factor of an agent's looks a day, the lowest tenth (4)", middle(fanos, 0.1), 4, 20)
	between("Fano factor of an agent's looks a day, in the middle", middle(fanos, 0.5), 4, 20)
	between("Fano factor of an agent's looks a day, the highest tenth (20)", middle(fanos, 0.9), 4, 20)
	between("tickets of an agent a day, in the middle (20 to 60)", middle(tickets, 0.5), 20, 60)
	most, again, all := 0, 0.0, 0.0
	for _, n := range f.repeats {
		most = max(most, n)
		all += float64(n)
		if n > 1 {
			again += float64(n)
		}
	}
	between("share of tickets of customers who came more than once", again/all, 0.1, 0.5)
	between("tickets of who came most often", float64(most), 20, math.Inf(1))
	between("tickets of the busiest day, in middle days: a launch", middle(f.tickets, 1)/middle(f.tickets, 0.5), 2, 6)
	between("urgent tickets at night, in 100 days", 100*f.urgent/float64(7*p.Weeks), 100, 300)
	between("changes of teams on record", f.moved, 1, 30)
	between("changes of roles", f.promoted, 1, 30)
	between("looks of quality and trainers, for each 100 of agents", 100*f.browsed/f.looks, 1, 10)
	between("jobs on record for each three bulk results", 3*f.jobs/f.bulk, 1, 1)
}

// TestLargeCompanyIsLikely: with more people, more teams and telephones, as many have to do with a ticket.
func TestLargeCompanyIsLikely(t *testing.T) {
	p := sim.Profiles()[0]
	p.Staff, p.Weeks = 400, 10
	f := countCompany(p, 6)
	if n := f.mean(func(id string) float64 { return float64(len(f.people[id])) }); n < 3.2 || n > 3.6 {
		t.Errorf("%.2f people of a ticket, want 3.4", n)
	}
	if share := f.within / f.looks; share < 0.80 || share > 0.86 {
		t.Errorf("%.2f of looks between 8 and 18, want 0.83", share)
	}
}

// TestCompanyLosesRecords: where a profile says so, days are missing, bulk work has no job, contacts and assignments are on no record.
func TestCompanyLosesRecords(t *testing.T) {
	profile := func(name string) sim.Profile {
		p := sim.Profiles()[slices.IndexFunc(sim.Profiles(), func(p sim.Profile) bool { return p.Name == name })]
		p.Staff, p.Weeks = 60, 16
		return p
	}
	f := countCompany(profile("gaps"), 3)
	lost := 0
	for d := range f.tickets {
		if f.tickets[d] == 0 && f.calls[d] == 0 {
			lost++
		}
	}
	if lost < 5 || lost > 9 {
		t.Errorf("%d days of 9 have no tickets and contacts", lost)
	}
	f = countCompany(profile("sparse"), 3)
	if share := 3 * f.jobs / f.bulk; share < 0.5 || share > 0.9 {
		t.Errorf("%.2f of bulk work has a job on record, want 0.7", share)
	}
	heard, tickets := 0.0, 0.0
	for d := range f.tickets {
		heard, tickets = heard+f.calls[d], tickets+f.tickets[d]
	}
	if share := heard / tickets; share < 0.4 || share > 0.6 {
		t.Errorf("%.2f of tickets have a contact on record, want 0.5", share)
	}
}

// TestTrainersBrowse: of those who look after quality, who trains new people looks at very many customers on some days and at none on others.
func TestTrainersBrowse(t *testing.T) {
	p := sim.Profiles()[0]
	p.Weeks, p.Promoted = 6, 0
	f := countCompany(p, 1)
	samplers, trainers := 0, 0
	for _, days := range f.lessons {
		many, quiet := 0, 0
		for _, n := range days {
			switch {
			case n >= 20:
				many++
			case n < 10:
				quiet++
			}
		}
		if many >= 3 && quiet > len(days)/2 {
			trainers++
		} else if many >= 5 {
			samplers++
		}
	}
	if trainers < 1 || samplers < 2 {
		t.Errorf("%d trainers, %d who take samples", trainers, samplers)
	}
}
