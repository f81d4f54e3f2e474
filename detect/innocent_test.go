package detect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport"
)

// TestOrderOfTickets: customers whose tickets others opened in the order of their numbers are work, however many and however quickly. Tickets that he
// opened himself for them are none, and neither is no ticket at all.
func TestOrderOfTickets(t *testing.T) {
	for _, c := range []struct {
		name   string
		by     sallyport.Staff
		ticket bool
		found  bool
	}{{"opened by customers", "", true, false}, {"opened by a colleague", "a7", true, false}, {"opened by himself", "a3", true, true}, {"without", "", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, Options{})
			s.weeks(4, 1)
			for day := range 20 {
				s.work(1, func() {
					for i := range 5 {
						at := sallyport.Subject(fmt.Sprint(5_000_000 + 100*day + i))
						if c.ticket {
							s.ticket(at, 600+i, c.by, "a3")
						}
						s.look("a3", 700, at)
					}
				})
			}
			if found := len(s.found) > 0; found != c.found {
				t.Errorf("found %v: %+v", found, s.found)
			}
			if x := s.d.person("a3").past[24].x[walk]; (x > 0) != c.found {
				t.Errorf("counts for %g in order", x)
			}
		})
	}
}

// TestOneNight: whoever is at work for one night outside his hours, for a reason that is on no record, is accused by nothing but that. Who is there night
// after night is found within a week.
func TestOneNight(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(20, 1)
	night := func() {
		for i := range 6 {
			at := s.customer()
			s.ticket(at, 1380+10*i, "", "a3")
			s.look("a3", 1380+10*i, at)
		}
	}
	s.work(1, night)
	s.weeks(1, 1)
	if len(s.found) != 0 {
		t.Fatalf("one night is a finding: %+v", s.found)
	}
	for range 5 {
		s.work(1, night)
	}
	if len(s.found) == 0 || s.found[0].Kind != "login" || s.found[0].Staff[0] != "a3" {
		t.Errorf("five nights: %+v", s.found)
	}
}

// TestLostDay: a day on which everybody has many times as many customers without a reason, since facts are missing, is no finding and teaches nothing: neither
// that more is usual, nor that days differ, nor that rates move. Where half of the days are so they are learnt.
func TestLostDay(t *testing.T) {
	usual := func(every int) (mu, size, moved float64) {
		s := newStory(t, Options{})
		s.weeks(10, 2)
		for day := range 40 {
			n := 2.0
			if every > 0 && day%every == 0 {
				n = 20
			}
			s.work(n, nil)
		}
		if len(s.found) != 0 {
			t.Errorf("one day in %d: %+v", every, s.found)
		}
		p := s.d.person("a3")
		return p.streams[exposure].total / p.streams[exposure].days, p.group.streams[exposure].sizeOf(p), p.group.moved
	}
	mu, size, moved := usual(0)
	lostMu, lostSize, lostMoved := usual(10)
	if lostMu > 1.1*mu || lostSize < size || lostMoved > 1.1*moved {
		t.Errorf("with four lost days %.2f a day are usual, size %.1f, moved %.3f; without %.2f, %.1f, %.3f", lostMu, lostSize, lostMoved, mu, size, moved)
	}
	if often, _, _ := usual(2); often < 2*mu {
		t.Errorf("where each second day is so, %.2f a day are usual; without %.2f", often, mu)
	}
}

// TestLostDayOfFew: six who have much to do with others' tickets are too few to tell by themselves that facts are missing; that everybody else has many times
// as many tells it.
func TestLostDayOfFew(t *testing.T) {
	s := newStory(t, Options{})
	var leads []sallyport.Employee
	for i := range 6 {
		leads = append(leads, sallyport.Employee{ID: sallyport.Staff(fmt.Sprint("lead", i)), Role: "lead", Team: "eu"})
	}
	s.d.Hire(leads)
	day := func(lost bool) {
		n := 1.0
		if lost {
			n = 12
		}
		s.work(n, func() {
			for i := range leads {
				for j := range 100 {
					c := s.customer()
					if j > 0 && !lost {
						s.ticket(c, 700+j, "", leads[i].ID)
					}
					s.look(leads[i].ID, 1010+j, c)
				}
			}
		})
	}
	for range 60 {
		day(false)
	}
	for range 2 {
		day(true)
		day(true)
		for range 8 {
			day(false)
		}
	}
	if len(s.found) != 0 {
		t.Errorf("on days whose tickets are on no record: %+v", s.found)
	}
}

// TestLostDaySaysSo: a finding about days of which some are lost says so, and its odds are lower for it.
func TestLostDaySaysSo(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(12, 2)
	for day := 0; day < 10 && len(s.found) == 0; day++ {
		n := 2.0
		if day == 1 {
			n = 20
		}
		s.work(n, func() {
			for range 6 {
				s.look("a3", 1001, s.customer())
			}
		})
	}
	if len(s.found) == 0 || s.found[0].Staff[0] != "a3" {
		t.Fatalf("%+v", s.found)
	}
	if !slices.ContainsFunc(s.found[0].Evidence, func(e Evidence) bool {
		return e.Source == "missing" && strings.HasPrefix(e.Text, "on 1 of these days") && e.Log10 < 0
	}) {
		t.Errorf("%+v", s.found[0].Evidence)
	}
}

// TestTheftDaysDiffer: a theft on some days and not on others does not teach within days that his days differ, or it would hide behind them.
func TestTheftDaysDiffer(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(16, 2)
	p := s.d.person("a3")
	before := p.group.streams[exposure].sizeOf(p)
	for day := 0; day < 10 && len(s.found) == 0; day++ {
		s.work(2, func() {
			for range 12 * (day % 2) {
				s.look("a3", 1001, s.customer())
			}
		})
		if after := p.group.streams[exposure].sizeOf(p); after < before {
			t.Errorf("day %d: his days have size %.1f, before %.1f", day, after, before)
		}
	}
	if len(s.found) == 0 {
		t.Error("twelve customers on each second of ten days are no finding")
	}
}
