package detect

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"sallyport"
)

// TestStreams lets somebody do one thing after four quiet weeks, for which he has a reason at each customer where the thing is not about customers, and expects a
// finding of that kind, whose words say so.
func TestStreams(t *testing.T) {
	served := func(s *story, minute int) sallyport.Subject { // a customer of his own ticket
		c := s.customer()
		s.ticket(c, minute, "", "a3")
		return c
	}
	logIn := func(s *story, minute int, l sallyport.LogIn) {
		l.Time, l.Staff = s.at(minute), "a3"
		s.tell(sallyport.Input{Time: l.Time, LogIn: &l})
	}
	for _, c := range []struct {
		name, kind, says string
		weeks            int // before
		options          Options
		do               func(s *story, day int)
	}{
		{"customers in the order of their numbers", "reach", "in the order of their numbers", 4, Options{}, func(s *story, day int) {
			for i := range 40 {
				s.look("a3", 700+i, sallyport.Subject(fmt.Sprint(5_000_000+100*day+i)))
			}
		}},
		{"customers in the order of numbers at the end of their keys", "reach", "in the order of their numbers", 4, Options{}, func(s *story, day int) {
			for i := range 40 {
				s.look("a3", 700+i, sallyport.Subject(fmt.Sprintf("EU-%06d", 100*day+i)))
			}
		}},
		{"statements of new forms", "reach", "of a form that nobody of his peers uses", 4, Options{}, func(s *story, day int) {
			for i := range 40 {
				s.tell(sallyport.Input{Time: s.at(700 + i), Access: &sallyport.Access{
					Time: s.at(700 + i), Activity: sallyport.ReadActivity, Staff: "a3", Application: "desk", Device: "lap-a3", Address: "10.0.0.1", Shape: fmt.Sprint("form ", day, i),
					Subjects: []sallyport.Subject{served(s, 700+i)},
				}})
			}
		}},
		{"refusals", "probe", "was refused", 4, Options{}, func(s *story, _ int) {
			for i := range 40 {
				s.record("a3", 700+i, sallyport.Access{Activity: sallyport.ReadActivity, Refused: true})
			}
		}},
		{"work at night", "login", "outside his hours", 20, Options{}, func(s *story, _ int) {
			for i := range 30 {
				s.look("a3", 1300+i, served(s, 1300+i))
			}
		}},
		{"guessed passwords, then a new device in another country", "login", "signs of somebody else at his account", 4, Options{}, func(s *story, _ int) {
			for i := range 8 {
				logIn(s, 700+i, sallyport.LogIn{Failed: true})
			}
			logIn(s, 710, sallyport.LogIn{Device: "unknown", Address: "203.0.113.9", Country: "XX"})
		}},
		{"a flight that nobody can take", "login", "signs of somebody else at his account", 4, Options{}, func(s *story, day int) {
			for i := range 4 { // one country is new once; there and back within hours is a sign each time
				logIn(s, 600+60*i, sallyport.LogIn{Device: "lap-a3", Country: []string{"DE", "SG"}[i%2]})
			}
		}},
		{"results with very many", "sink", "results with very many customers", 4, Options{}, func(s *story, _ int) {
			var all []sallyport.Subject
			for range 900 {
				all = append(all, s.customer())
			}
			s.look("a3", 700, all...)
		}},
		{"what other tools saw leave", "sink", "other tools saw data leave", 4, Options{}, func(s *story, _ int) {
			s.tell(sallyport.Input{Time: s.at(700), Alert: &sallyport.Alert{Time: s.at(700), Staff: "a3", Source: "dlp", Severity: 5, Title: "upload"}})
		}},
		{"another way than the application", "bypass", "by another way than the application", 4, Options{}, func(s *story, day int) {
			for i := range 8 {
				s.tell(sallyport.Input{Time: s.at(700 + i), Access: &sallyport.Access{
					Time: s.at(700 + i), Activity: sallyport.ReadActivity, Staff: "a3", Application: fmt.Sprint("tool ", day, i), Device: "lap-a3", Address: "10.0.0.1", Shape: "case",
				}})
			}
		}},
		{"jobs that he approves himself", "approval", "jobs agreed to by himself", 4, Options{}, func(s *story, day int) {
			for i := range 3 {
				s.tell(sallyport.Input{Time: s.at(700), Job: &sallyport.BulkJob{ID: fmt.Sprint("own ", day, i), From: s.at(700), To: s.at(800), Staff: "a3", ApprovedBy: "a3"}})
			}
		}},
		{"famous customers", "rule", "famous customers or colleagues", 4, Options{Watched: famous(60)}, func(s *story, day int) {
			for i := range 3 {
				s.look("a3", 700+i, sallyport.Subject(fmt.Sprint("vip-", 3*day+i)))
			}
		}},
		{"customers whom frauds called", "report", "were called by frauds", 4, Options{}, func(s *story, _ int) {
			for i := range 4 {
				c := s.customer()
				s.look("a3", 700+i, c)
				s.tell(sallyport.Input{Time: s.at(720), Report: &sallyport.ScamReport{Time: s.at(720), Customer: c}})
			}
		}},
		{"tickets for customers who never called", "self_made_reason", "with a reason that he made himself", 4, Options{}, func(s *story, _ int) {
			for i := range 8 {
				c := s.customer()
				s.ticket(c, 700+i, "a3", "a3")
				s.look("a3", 701+i, c)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, c.options)
			s.weeks(c.weeks, 1)
			if len(s.found) != 0 {
				t.Fatalf("found before: %+v", s.found)
			}
			for day := 0; day < 20 && len(s.found) == 0; day++ {
				s.work(1, func() { c.do(s, day) })
			}
			if len(s.found) == 0 {
				t.Fatal("nothing is found in twenty days")
			}
			f := s.found[0]
			said := slices.ContainsFunc(f.Evidence, func(e Evidence) bool { return strings.Contains(e.Text, c.says) })
			if f.Staff[0] != "a3" || f.Kind != c.kind || !said || len(f.Attack) == 0 {
				t.Errorf("found %s about %s, techniques %v: %v", f.Kind, f.Staff, f.Attack, f.Evidence)
			}
		})
	}
}

func famous(n int) map[sallyport.Subject]bool {
	list := map[sallyport.Subject]bool{}
	for i := range n {
		list[sallyport.Subject(fmt.Sprint("vip-", i))] = true
	}
	return list
}

// TestPairs: two who share a device, and two who look at the same customers without a reason, are counted together, and the finding names both.
func TestPairs(t *testing.T) {
	for _, c := range []struct {
		name   string
		device bool
	}{{"one device", true}, {"the same customers", false}} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, Options{})
			s.weeks(12, 0.5)
			both := [2]sallyport.Staff{"a3", "a7"}
			for day := 0; day < 60 && len(s.found) == 0; day++ {
				s.work(0.5, func() {
					for i := range 3 {
						for j, who := range both {
							customer := s.customer()
							if !c.device {
								customer = sallyport.Subject(fmt.Sprint("shared-", day, i))
							}
							device := "lap-" + string(who)
							if c.device && i == 0 {
								device = "lap-a3"
							}
							at := s.at(800 + 10*i + j)
							s.tell(sallyport.Input{Time: at, Access: &sallyport.Access{
								Time: at, Activity: sallyport.ReadActivity, Staff: who, Application: "desk", Device: device, Address: "10.0.0.1", Shape: "case", Subjects: []sallyport.Subject{customer},
							}})
						}
					}
				})
			}
			if s.d.person("a3").link != s.d.person("a7") {
				t.Error("they are not linked")
			}
			if len(s.found) == 0 || !slices.Contains(both[:], s.found[0].Staff[0]) {
				t.Fatalf("%+v", s.found)
			}
			f := s.found[0]
			if len(f.Staff) != 2 {
				t.Errorf("%v: %v", f.Staff, f.Evidence)
			}
			i := slices.IndexFunc(f.Evidence, func(e Evidence) bool { return strings.HasPrefix(e.Text, "he and another looked at ") })
			if i < 0 {
				t.Fatalf("nothing is said of both: %v", f.Evidence)
			}
			var got, days, expected float64
			n, err := fmt.Sscanf(f.Evidence[i].Text, "he and another looked at %g customers without a reason in %g days; expected %g", &got, &days, &expected)
			if n != 3 || expected < 0.5*days || expected > 2*days || got < 5*days {
				t.Errorf("of two who have one in two days each, and six a day together: %s (%v)", f.Evidence[i].Text, err)
			}
		})
	}
}

// TestRoleChange: whoever begins other work, which has many times as many customers without a reason, is held against his new peers, and not found on his
// first days; nor are they.
func TestRoleChange(t *testing.T) {
	s := newStory(t, Options{})
	var staff []sallyport.Employee
	for i := range 8 {
		staff = append(staff, sallyport.Employee{ID: sallyport.Staff(fmt.Sprint("q", i)), Role: "quality", Team: "q"})
	}
	s.d.Hire(staff)
	check := func(who ...sallyport.Staff) func() {
		return func() {
			for _, q := range who {
				for i := range 8 + poisson(s.r, 12) {
					s.look(q, 600+i, s.customer())
				}
			}
		}
	}
	var all []sallyport.Staff
	for i := range staff {
		all = append(all, staff[i].ID)
	}
	for range 30 {
		s.work(1, check(all...))
	}
	s.tell(sallyport.Input{Time: s.at(1), HR: &sallyport.HRFact{Time: s.at(1), Staff: "a3", Type: "role_change", Value: "quality"}})
	for range 10 {
		s.work(1, check(append(all, "a3")...))
	}
	if len(s.found) != 0 {
		t.Errorf("%+v", s.found)
	}
}

// meeting is who is where on a day.
type meeting struct {
	address string
	who     []sallyport.Staff
}

// TestPlaces: two are linked who are at an address on the same days where nobody else ever is; not by an office, by an address that is lent to one
// after the other, nor by one that says nothing. A third person ends it.
func TestPlaces(t *testing.T) {
	const home, office = "203.0.113.9", "198.51.100.1"
	all := []sallyport.Staff{"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"}
	both := []sallyport.Staff{"a3", "a7"}
	for _, c := range []struct {
		name   string
		days   func(day int) []meeting
		linked bool
	}{
		{"one address", func(int) []meeting { return []meeting{{home, both}} }, true},
		{"one network of IPv6", func(day int) []meeting {
			return []meeting{{fmt.Sprintf("2001:db8:1:2::%x", day+1), both[:1]}, {fmt.Sprintf("2001:db8:1:2:ffff::%x", day+1), both[1:]}}
		}, true},
		{"two days only", func(day int) []meeting {
			if day < 2 {
				return []meeting{{home, both}}
			}
			return nil
		}, false},
		{"an office", func(int) []meeting { return []meeting{{office, all}} }, false},
		{"an office to which most come later", func(day int) []meeting {
			if day < 6 {
				return []meeting{{office, both}}
			}
			return []meeting{{office, all}}
		}, false},
		{"one after the other", func(day int) []meeting { return []meeting{{home, both[day/10 : day/10+1]}} }, false},
		{"turn about", func(day int) []meeting { return []meeting{{home, both[day%2 : day%2+1]}} }, false},
		{"a tunnel's end", func(int) []meeting { return []meeting{{"127.0.0.1", both}} }, false},
		{"no address", func(int) []meeting { return []meeting{{"desk 7", both}} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, Options{})
			s.weeks(2, 0.5)
			ever := false
			for day := range 20 {
				s.work(0.5, func() {
					for _, m := range c.days(day) {
						for i, who := range m.who {
							s.tell(sallyport.Input{Time: s.at(1050 + i), LogIn: &sallyport.LogIn{Time: s.at(1050 + i), Staff: who, Address: m.address}})
						}
					}
				})
				ever = ever || s.d.person("a3").link != nil
			}
			for _, who := range all {
				want := c.linked && (who == "a3" || who == "a7")
				if got := s.d.person(who).link; (got != nil) != want || want && got != s.d.person(both[0]) && got != s.d.person(both[1]) {
					t.Errorf("%s is linked: %v", who, got != nil)
				}
			}
			if strings.Contains(c.name, "later") && !ever {
				t.Error("the two were never linked, so nothing was ended")
			}
			if len(s.found) != 0 {
				t.Errorf("where somebody is raised an alarm: %+v", s.found)
			}
		})
	}
}

// TestPlaceGivesWay: a device says more than an address, the one who is left is linked by no address again, and what he had given to what both do
// does not come back to him.
func TestPlaceGivesWay(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(2, 0.5)
	meet := func(address string, who ...sallyport.Staff) {
		for range 4 {
			s.work(0.5, func() {
				for i, w := range who {
					s.tell(sallyport.Input{Time: s.at(1050 + i), LogIn: &sallyport.LogIn{Time: s.at(1050 + i), Staff: w, Address: address}})
				}
			})
		}
	}
	a3, a5, a7 := s.d.person("a3"), s.d.person("a5"), s.d.person("a7")
	meet("203.0.113.9", "a3", "a7")
	if a3.link != a7 {
		t.Fatal("an address does not link them")
	}
	before := a7.streams[exposure].r.top()
	s.d.pairs.link(a3, a5)
	if a3.link != a5 || a5.link != a3 || a7.link != nil {
		t.Fatal("a device does not outweigh an address")
	}
	if lost := before - a7.streams[exposure].r.top(); math.Abs(lost-math.Log(0.5/linkedAlone)) > 1e-9 {
		t.Errorf("who is left lost %.3f of his evidence", lost)
	}
	meet("203.0.113.77", "a7", "a8")
	if a7.link != nil {
		t.Error("who was left is linked by another address")
	}
}

// TestEachEvent: where every look has a reason, as behind a gateway, his own or that a colleague has a ticket, what somebody does beside looking without one is held against the level at once
// and not only when a look without a reason comes.
func TestEachEvent(t *testing.T) {
	for _, c := range []struct {
		name, says string
		weeks      int
		do         func(s *story, day int)
	}{
		{"in the order of their numbers", "in the order of their numbers", 4, func(s *story, day int) {
			for i := range 40 {
				at := sallyport.Subject(fmt.Sprint(5_000_000 + 100*day + i))
				s.ticket(at, 700+i, "", "a4")
				s.look("a3", 700+i, at)
			}
		}},
		{"at night", "outside his hours", 20, func(s *story, _ int) {
			for i := range 30 {
				at := s.customer()
				s.ticket(at, 1300+i, "", "a3")
				s.look("a3", 1300+i, at)
			}
		}},
		{"very many", "with reasons or without", 16, func(s *story, _ int) {
			for i := range 400 {
				at := s.customer()
				s.ticket(at, 600+i, "", "a3")
				s.look("a3", 600+i, at)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, Options{})
			s.weeks(c.weeks, 0)
			for day := 0; day < 20 && len(s.found) == 0; day++ {
				s.work(0, func() { c.do(s, day) })
			}
			if len(s.found) == 0 {
				t.Fatalf("nothing is found in twenty days; %.1f of %.1f", s.d.person("a3").highest, s.d.level)
			}
			f := s.found[0]
			if s.d.Counts().Unexplained != 0 || f.Staff[0] != "a3" || !slices.ContainsFunc(f.Evidence, func(e Evidence) bool { return strings.Contains(e.Text, c.says) }) {
				t.Errorf("found %s about %s, with %d looks without a reason: %v", f.Kind, f.Staff, s.d.Counts().Unexplained, f.Evidence)
			}
		})
	}
}

// TestOneJobAtNight: a statement about many customers outside his hours is one, and no finding where they all have a reason.
func TestOneJobAtNight(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(20, 0)
	s.tell(sallyport.Input{Time: s.at(1250), Job: &sallyport.BulkJob{ID: "J1", From: s.at(1250), To: s.at(1400), Staff: "a3", Most: 50, ApprovedBy: "a9"}})
	s.look("a3", 490) // his day begins
	many := make([]sallyport.Subject, 42)
	for i := range many {
		many[i] = s.customer()
	}
	s.look("a3", 1300, many...)
	if x := s.d.person("a3").streams[offShift].x; x != 1 || len(s.found) != 0 {
		t.Errorf("counts for %g, found %+v", x, s.found)
	}
}
