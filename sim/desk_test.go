package sim_test

import (
	"testing"
	"time"

	"sallyport"
	"sallyport/sim"
)

// ways are what tells companies apart by how they are made.
type ways struct {
	bare    float64 // share of agents' looks at customers without an open ticket
	bursts  float64 // variance over mean of customers who come to one queue within a quarter of an hour, between 10 and 14 on Tuesdays
	busiest float64 // share of looks of the tenth of agents who look most
	free    float64 // share of Saturdays' and Sundays' looks
	before  float64 // tickets that were there before the log begins
}

func waysOf(p sim.Profile, seed uint64) (w ways) {
	c := sim.NewCompany(p, seed, false)
	agents, open, customers := map[sallyport.Staff]bool{}, map[sallyport.Subject]int{}, map[string]sallyport.Subject{}
	for _, e := range c.Staff() {
		agents[e.ID] = e.Role == "agent"
	}
	type quarter struct {
		queue string
		at    int64
	}
	looks, by, quarters, queues := 0.0, map[sallyport.Staff]float64{}, map[quarter]float64{}, map[string]bool{}
	c.Run(func(in *sallyport.Input, _ bool) {
		switch {
		case in.Ticket != nil && in.Time.Before(c.Begin):
			w.before++
			open[in.Ticket.Customer]++
			customers[in.Ticket.ID] = in.Ticket.Customer
		case in.Ticket != nil:
			open[in.Ticket.Customer]++
			customers[in.Ticket.ID] = in.Ticket.Customer
			if h := in.Time.Hour(); in.Time.Weekday() == time.Tuesday && h >= 10 && h < 14 {
				quarters[quarter{in.Ticket.Queue, in.Time.Unix() / 900}]++
				queues[in.Ticket.Queue] = true
			}
		case in.TicketEvent != nil && in.TicketEvent.Type == "closed":
			open[customers[in.TicketEvent.Ticket]]--
		case in.Access != nil && agents[in.Access.Staff]:
			looks++
			by[in.Access.Staff]++
			if open[in.Access.Subjects[0]] == 0 {
				w.bare++
			}
			if day := in.Time.Weekday(); day == time.Saturday || day == time.Sunday {
				w.free++
			}
		}
	})
	var each []float64
	for _, n := range by {
		each = append(each, n)
	}
	top := middle(each, 0.9)
	for _, n := range each {
		if n >= top {
			w.busiest += n
		}
	}
	sum, square, n := 0.0, 0.0, float64(p.Weeks*4*4*len(queues))
	for _, x := range quarters {
		sum, square = sum+x, square+x*x
	}
	mean := sum / n
	w.bursts = (square/n - mean*mean) / mean
	w.bare, w.busiest, w.free = w.bare/looks, w.busiest/looks, w.free/looks
	return w
}

// TestDeskIsMadeOtherwise: the company that detection was not built with differs from the others in what it is made for.
func TestDeskIsMadeOtherwise(t *testing.T) {
	usual, other := sim.Profiles()[0], sim.Desk()
	usual.Weeks, other.Weeks = 5, 5
	usual.Surges = 0
	a, b := waysOf(usual, 2), waysOf(other, 2)
	t.Logf("%s: %+v; %s: %+v", usual.Name, a, other.Name, b)
	if b.bare < 0.15 || b.bare > 0.3 {
		t.Errorf("%.2f of looks have no ticket, want a fifth and some", b.bare)
	}
	if b.bursts < 1.5 || b.bursts-1 < 2*(a.bursts-1) {
		t.Errorf("customers come in bursts of %.1f, elsewhere %.1f", b.bursts, a.bursts)
	}
	if b.busiest < 1.5*a.busiest {
		t.Errorf("the busiest tenth looks at %.2f, elsewhere %.2f", b.busiest, a.busiest)
	}
	if b.free < 0.2 || b.before != 0 || a.before == 0 {
		t.Errorf("%.2f of looks on free days; %.0f tickets before the first day, elsewhere %.0f", b.free, b.before, a.before)
	}
}

// TestDeskIsRobbed: its insiders take what they are said to, each in his own way.
func TestDeskIsRobbed(t *testing.T) {
	p := sim.Desk()
	p.Staff, p.Weeks = 100, 16
	c := sim.NewCompany(p, 4, true)
	if len(c.Insiders) != 10 {
		t.Fatalf("%d insiders", len(c.Insiders))
	}
	watched := map[sallyport.Subject]bool{}
	for _, s := range c.Watched {
		watched[s] = true
	}
	for i, d := range watchInsiders(c, c.Insiders) {
		in := &c.Insiders[i]
		switch in.Scheme {
		case sim.Seller:
			if rate := d.customers / float64(len(d.workdays)); rate < 0.6*in.Rate || rate > 1.4*in.Rate {
				t.Errorf("the seller of %g takes %.1f a day", in.Rate, rate)
			}
		case sim.Stolen:
			if d.foreign != 1 || d.customers != in.Rate || d.looks[1].Time.Sub(d.looks[0].Time) > 2*time.Second {
				t.Errorf("the stolen account: %d log-ins from elsewhere, %.0f customers", d.foreign, d.customers)
			}
		default:
			d.check(t, in, watched)
		}
	}
}
