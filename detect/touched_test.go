package detect

import (
	"fmt"
	"slices"
	"testing"

	"sallyport"
)

// record lets a statement pass as a gateway's record tells of it.
func (s *story) record(who sallyport.Staff, minute int, a sallyport.Access) []Finding {
	a.Time, a.Staff, a.Application, a.Device, a.Address, a.Shape = s.at(minute), who, "desk", "lap-"+string(who), "10.0.0.1", "case"
	return s.tell(sallyport.Input{Time: a.Time, Access: &a})
}

func TestWhatOnlyTheRecordTells(t *testing.T) {
	for _, c := range []struct {
		what, kind, technique string
		access                func(n int) sallyport.Access
	}{
		{"rows that come back as tokens", "reach", "T1119", func(n int) sallyport.Access {
			a := sallyport.Access{Activity: sallyport.ReadActivity, Verdict: "token", Reach: 500}
			for i := range 500 {
				a.Reached = append(a.Reached, sallyport.Subject(fmt.Sprint(n*500+i)))
			}
			return a
		}},
		{"rows of which nobody knows whose they are", "reach", "T1119", func(int) sallyport.Access {
			return sallyport.Access{Activity: sallyport.ReadActivity, Verdict: "token", Reach: 500}
		}},
		{"values that are tried", "probe", "T1087", func(int) sallyport.Access {
			return sallyport.Access{Activity: sallyport.ReadActivity, Probes: 60}
		}},
		{"functions that stay", "privilege", "T1505.001", func(int) sallyport.Access {
			return sallyport.Access{Activity: sallyport.CreateActivity, Powers: []string{"function"}}
		}},
		{"roles, refused", "privilege", "T1098", func(int) sallyport.Access {
			return sallyport.Access{Activity: sallyport.UpdateActivity, Powers: []string{"role"}, Refused: true}
		}},
		{"replication", "bypass", "T1078", func(int) sallyport.Access {
			return sallyport.Access{Activity: sallyport.CreateActivity, Powers: []string{"replication"}}
		}},
	} {
		s := newStory(t, Options{})
		s.weeks(4, 1)
		if len(s.found) != 0 {
			t.Fatalf("%s: found %+v before", c.what, s.found)
		}
		for n := range 40 {
			if s.record("a3", 600+n, c.access(n)); len(s.found) > 0 {
				break
			}
		}
		if len(s.found) == 0 {
			t.Errorf("%s: nothing is found", c.what)
			continue
		}
		if f := s.found[0]; f.Kind != c.kind || f.Staff[0] != "a3" || !slices.Contains(f.Attack, c.technique) {
			t.Errorf("%s: found %s about %s, techniques %v", c.what, f.Kind, f.Staff, f.Attack)
		}
	}
}

// The same rows again are nothing new.
func TestRowsComeBackOnce(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(4, 1)
	for n := range 200 {
		s.record("a3", 600+n, sallyport.Access{Activity: sallyport.ReadActivity, Reach: 3, Reached: []sallyport.Subject{"7", "8", "9"}})
	}
	if x := s.d.person("a3").streams[reached].x; x != 3 || len(s.found) > 0 {
		t.Errorf("three customers, 200 times: counted %g, found %d", x, len(s.found))
	}
}

// Whoever works on other teams' tickets all day is no suspect for it.
func TestZealAloneIsNoFinding(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(4, 1)
	for day := range 10 {
		s.work(1, func() {
			for j := range 30 {
				c := s.customer()
				s.n++
				s.tell(sallyport.Input{Time: s.at(500 + j), Ticket: &sallyport.TicketFact{ID: fmt.Sprint("U", s.n), Customer: c, Opened: s.at(500 + j), Queue: "us"}})
				if j < 6 {
					s.look("a3", 700+j, c)
				}
			}
		})
		if x := s.d.person("a3").past; len(x) > 0 && day > 0 && x[len(x)-1].x[eager] < 3 {
			t.Fatalf("day %d: zeal is not counted: %v", day, x[len(x)-1].x)
		}
	}
	for _, f := range s.found {
		if f.Kind == "rule" {
			t.Errorf("found %+v", f)
		}
	}
}
