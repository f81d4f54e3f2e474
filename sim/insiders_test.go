package sim_test

import (
	"testing"
	"time"

	"sallyport"
	"sallyport/sim"
)

// deeds are what an insider is seen to do from his first day on.
type deeds struct {
	looks     []sallyport.Access // thefts, with their customers
	begins    time.Time
	workdays  map[int64]bool
	bySelf    map[sallyport.Subject]time.Time // tickets that he opened, by customer
	heard     map[sallyport.Subject]bool      // victims who had got in touch within two days
	failures  int
	foreign   int
	alerts    int
	notice    time.Time
	devices   map[string]bool
	customers float64
}

// watchInsiders lets a company pass and gathers what each insider does.
func watchInsiders(c interface {
	Run(yield func(in *sallyport.Input, theft bool))
	Staff() []sallyport.Employee
}, insiders []sim.Insider,
) []*deeds {
	of, list := map[sallyport.Staff]*deeds{}, []*deeds{}
	for _, in := range insiders {
		d := &deeds{begins: in.From, workdays: map[int64]bool{}, bySelf: map[sallyport.Subject]time.Time{}, heard: map[sallyport.Subject]bool{}, devices: map[string]bool{}}
		for _, who := range in.Staff {
			of[who] = d
		}
		list = append(list, d)
	}
	for _, e := range c.Staff() {
		if d := of[e.ID]; d != nil {
			d.notice = e.NoticeFrom
		}
	}
	heard := map[sallyport.Subject]time.Time{}
	c.Run(func(in *sallyport.Input, theft bool) {
		switch {
		case in.Access != nil:
			d := of[in.Access.Staff]
			if d == nil || in.Time.Before(d.begins) {
				return
			}
			d.workdays[in.Time.Unix()/86400] = true
			if theft {
				a := *in.Access
				a.Subjects = append([]sallyport.Subject(nil), a.Subjects...)
				d.looks = append(d.looks, a)
				d.customers += float64(len(a.Subjects))
				d.devices[a.Device] = true
				for _, s := range a.Subjects {
					d.heard[s] = in.Time.Sub(heard[s]) < 48*time.Hour
				}
			}
		case in.Ticket != nil && theft && of[in.Ticket.OpenedBy] != nil:
			of[in.Ticket.OpenedBy].bySelf[in.Ticket.Customer] = in.Time
		case in.Contact != nil:
			heard[in.Contact.Customer] = in.Time
		case in.LogIn != nil && theft || in.LogIn != nil && in.LogIn.Country == "XX":
			if d := of[in.LogIn.Staff]; d != nil && !in.LogIn.Failed {
				d.foreign++
			}
		case in.LogIn != nil && in.LogIn.Failed:
			if d := of[in.LogIn.Staff]; d != nil && !in.Time.Before(d.begins) {
				d.failures++
			}
		case in.Alert != nil && theft:
			of[in.Alert.Staff].alerts++
		}
	})
	return list
}

// TestInsidersDoAsTheySay: each insider that a company has by default is there, and does what he is called after.
func TestInsidersDoAsTheySay(t *testing.T) {
	p := sim.Profiles()[0]
	p.Staff, p.Weeks = 100, 20
	c := sim.NewCompany(p, 3, true)
	watched := map[sallyport.Subject]bool{}
	for _, s := range c.Watched {
		watched[s] = true
	}
	seen := map[sim.Scheme]int{}
	for i, d := range watchInsiders(c, c.Insiders) {
		in := &c.Insiders[i]
		seen[in.Scheme]++
		if len(d.looks) == 0 {
			t.Errorf("%s of %g a day takes nothing", in.Scheme, in.Rate)
			continue
		}
		d.check(t, in, watched)
	}
	for _, s := range []sim.Scheme{sim.Exporter, sim.Snooper, sim.Stolen, sim.Negligent, sim.Pair, sim.Mimic} {
		if seen[s] != 1 {
			t.Errorf("%d insiders are a %s", seen[s], s)
		}
	}
	if seen[sim.Seller] != 4 {
		t.Errorf("%d sellers, want those of 1, 5, 20 and 500 a day", seen[sim.Seller])
	}
}

func (d *deeds) check(t *testing.T, in *sim.Insider, watched map[sallyport.Subject]bool) {
	t.Helper()
	first, last := d.looks[0].Time, d.looks[len(d.looks)-1].Time
	switch in.Scheme {
	case sim.Seller:
		if rate := d.customers / float64(len(d.workdays)); rate < 0.7*in.Rate || rate > 1.3*in.Rate {
			t.Errorf("the seller of %g takes %.1f a day", in.Rate, rate)
		}
	case sim.Exporter:
		if d.notice.IsZero() || first.Before(d.notice) || last.After(d.notice.AddDate(0, 0, 30)) || d.customers < 1000 {
			t.Errorf("the exporter gave notice on %s and takes %.0f from %s to %s", d.notice, d.customers, first, last)
		}
	case sim.Snooper:
		for _, a := range d.looks {
			if !watched[a.Subjects[0]] {
				t.Errorf("the snooper looks at %s, who is not famous", a.Subjects[0])
			}
		}
	case sim.Stolen:
		if d.foreign != 1 || d.failures < 5 || len(d.devices) != 1 || last.Sub(first) > time.Hour {
			t.Errorf("the stolen account: %d log-ins from elsewhere, %d failed, devices %v, for %s", d.foreign, d.failures, d.devices, last.Sub(first))
		}
	case sim.Negligent:
		if len(d.looks) != 1 || d.customers < 1000 || d.alerts != 1 {
			t.Errorf("the negligent one: %d results of %.0f customers, %d alerts", len(d.looks), d.customers, d.alerts)
		}
	case sim.Pair:
		if len(in.Staff) != 2 || len(d.devices) < 2 || len(d.workdays) == 0 {
			t.Errorf("the pair: %v at the devices %v", in.Staff, d.devices)
		}
	case sim.Mimic:
		for _, a := range d.looks {
			if at, ok := d.bySelf[a.Subjects[0]]; !ok || a.Time.Before(at) || d.heard[a.Subjects[0]] {
				t.Errorf("the mimic looks at %s without a ticket of his own that was opened before, or the customer got in touch", a.Subjects[0])
			}
		}
	}
}
