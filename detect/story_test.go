package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
)

// story is a small company that a test tells by hand: ten agents who look at their tickets and, a little, at others.
type story struct {
	t       *testing.T
	d       *Detector
	day     time.Time
	r       *rand.Rand
	found   []Finding
	n       int
	options Options
}

func newStory(t *testing.T, o Options) *story {
	t.Helper()
	if o.Known == (Sources{}) {
		o.Known = Sources{true, true, true, true, true, true, true, true}
	}
	d, err := New(o)
	fatal(t, err)
	var staff []sallyport.Employee
	for i := range 10 {
		staff = append(staff, sallyport.Employee{ID: agentID(i), Name: fmt.Sprint("Agent ", i), Team: "eu", Role: "agent", Shift: [2]int{480, 1080}})
	}
	staff = append(staff, sallyport.Employee{ID: "other", Role: "agent", Team: "us"})
	d.Hire(staff)
	return &story{t: t, d: d, day: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), r: rand.New(rand.NewPCG(7, 7)), options: o}
}

func agentID(i int) sallyport.Staff { return sallyport.Staff(fmt.Sprintf("a%d", i)) }

func (s *story) at(minute int) time.Time { return s.day.Add(time.Duration(minute) * time.Minute) }

func (s *story) tell(in sallyport.Input) []Finding {
	found := slices.Clone(s.d.Observe(&in))
	s.found = append(s.found, found...)
	return found
}

func (s *story) customer() sallyport.Subject {
	return sallyport.Subject(fmt.Sprint(1 + s.r.Int64N(10_000_000)))
}

// look lets somebody look at customers.
func (s *story) look(who sallyport.Staff, minute int, subjects ...sallyport.Subject) []Finding {
	return s.tell(sallyport.Input{Time: s.at(minute), Access: &sallyport.Access{
		Time: s.at(minute), Activity: sallyport.ReadActivity, Staff: who, Application: "desk", Device: "lap-" + string(who), Address: "10.0.0.1", Shape: "case", Subjects: subjects, Columns: []string{"email"},
	}})
}

func (s *story) ticket(customer sallyport.Subject, minute int, by, to sallyport.Staff) string {
	s.n++
	id := fmt.Sprintf("T%d", s.n)
	s.tell(sallyport.Input{Time: s.at(minute), Ticket: &sallyport.TicketFact{ID: id, Customer: customer, Opened: s.at(minute), Queue: "eu", OpenedBy: by}})
	if to != "" {
		s.tell(sallyport.Input{Time: s.at(minute), TicketEvent: &sallyport.TicketEvent{Ticket: id, Time: s.at(minute), Type: "assigned", Staff: to}})
	}
	return id
}

// work lets all agents work for a day: eight tickets each, and on average unexplained looks without a reason, times what surge says.
func (s *story) work(unexplained float64, during func()) {
	for i := range 10 {
		for j := range 8 {
			c := s.customer()
			s.ticket(c, 490+j*60, "", agentID(i))
			s.look(agentID(i), 490+j*60+1, c)
		}
		for range poisson(s.r, unexplained) {
			s.look(agentID(i), 1000, s.customer())
		}
	}
	if during != nil {
		during()
	}
	s.day = s.day.AddDate(0, 0, 1)
	for s.day.Weekday() == time.Saturday || s.day.Weekday() == time.Sunday {
		s.day = s.day.AddDate(0, 0, 1)
	}
}

func (s *story) weeks(n int, unexplained float64) {
	for range 5 * n {
		s.work(unexplained, nil)
	}
}

// weight is how much of a look was explained: what is left of it counts by its square.
func (s *story) weight(who sallyport.Staff, minute int, c sallyport.Subject) float64 {
	before := s.d.person(who).streams[exposure].x
	s.look(who, minute, c)
	return 1 - math.Sqrt(max(s.d.person(who).streams[exposure].x-before, 0))
}

func TestExplanations(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(1, 0)
	s.look("a0", 480) // the day begins
	check := func(what string, want, got float64) {
		t.Helper()
		if d := want - got; d > 1e-6 || d < -1e-6 {
			t.Errorf("%s: weight %.2f, want %.2f", what, got, want)
		}
	}
	c := s.customer
	check("nothing", 0, s.weight("a0", 500, c()))
	own := c()
	s.ticket(own, 501, "", "a0")
	check("his ticket", 1, s.weight("a0", 502, own))
	mate := c()
	s.ticket(mate, 503, "", "a1")
	check("a colleague's ticket", 0.75, s.weight("a0", 504, mate))
	made := c()
	s.ticket(made, 505, "a0", "a0")
	check("a ticket that he made himself", 0.1, s.weight("a0", 506, made))
	called := c()
	s.tell(sallyport.Input{Time: s.at(507), Contact: &sallyport.ContactFact{Time: s.at(507), Customer: called, Channel: "call", Incoming: true, Staff: "a1"}})
	check("a customer who called somebody", 0.85, s.weight("a0", 508, called))
	check("a customer who called him", 1, s.weight("a1", 508, called))
	out := c()
	s.tell(sallyport.Input{Time: s.at(509), Contact: &sallyport.ContactFact{Time: s.at(509), Customer: out, Channel: "call", Staff: "a0"}})
	check("a customer whom he called himself", 0.1, s.weight("a0", 510, out))
	real := c()
	s.tell(sallyport.Input{Time: s.at(511), Contact: &sallyport.ContactFact{Time: s.at(511), Customer: real, Channel: "call", Incoming: true, Staff: "a0"}})
	s.ticket(real, 512, "a0", "a0")
	check("a ticket that he made for a caller", 1, s.weight("a0", 513, real))
	passed := c()
	id := s.ticket(passed, 514, "", "a0")
	s.tell(sallyport.Input{Time: s.at(515), TicketEvent: &sallyport.TicketEvent{Ticket: id, Time: s.at(515), Type: "transferred", Staff: "other"}})
	check("a ticket that he passed on", 0.95, s.weight("a0", 516, passed))
	check("the new one's", 1, s.weight("other", 516, passed))
	s.tell(sallyport.Input{Time: s.at(517), Job: &sallyport.BulkJob{ID: "J1", From: s.at(517), To: s.at(600), Staff: "a2", Most: 2, ApprovedBy: "a9"}})
	s.look("a2", 518)
	check("an approved job", 1, s.weight("a2", 519, c()))
	check("likewise", 1, s.weight("a2", 519, c()))
	check("beyond what was approved", 0, s.weight("a2", 519, c()))
	s.tell(sallyport.Input{Time: s.at(520), Job: &sallyport.BulkJob{ID: "J2", From: s.at(520), To: s.at(600), Staff: "a3", ApprovedBy: "a3"}})
	s.look("a3", 520)
	check("a job that he approved himself", 0.2, s.weight("a3", 521, c()))
	check("again on the same day", 1, s.weight("a0", 530, own))

	// A fact that comes late and is dated before counts in full; a later one little; one that he made himself not at all.
	late := c()
	p := s.d.person("a0")
	s.look("a0", 540, late)
	x := p.streams[exposure].x
	s.tell(sallyport.Input{Time: s.at(541), Contact: &sallyport.ContactFact{Time: s.at(539), Customer: late, Channel: "call", Incoming: true, Staff: "a0"}})
	check("dated before", 1, x-p.streams[exposure].x)
	later := c()
	s.look("a0", 542, later)
	x = p.streams[exposure].x
	s.ticket(later, 550, "", "a0")
	check("dated after", 1-(1-0.3*0.75)*(1-0.3*0.75), x-p.streams[exposure].x)
	self := c()
	s.look("a0", 551, self)
	x = p.streams[exposure].x
	s.ticket(self, 552, "a0", "a0")
	check("made by himself afterwards", 0, x-p.streams[exposure].x)
}

func TestSellerIsFoundAndInnocentsAreNot(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(6, 1)
	began, taken := s.day, 0
	for len(s.found) == 0 && taken < 200 {
		s.work(1, func() {
			for range 5 {
				taken++
				s.look("a4", 1010, s.customer())
			}
		})
	}
	if len(s.found) == 0 || s.found[0].Staff[0] != "a4" || taken > 100 { // ten people in seven weeks say little about how much days differ
		t.Fatalf("%d taken, found %+v", taken, s.found)
	}
	f := s.found[0]
	if f.SinceLow.After(began.AddDate(0, 0, 1)) || f.SinceHigh.Before(began) || f.Type != Malicious || f.Kind != "exposure" {
		t.Errorf("since %s (%s to %s), began %s; %s %s", f.Since, f.SinceLow, f.SinceHigh, began, f.Kind, f.Type)
	}
	if !strings.Contains(f.Evidence[1].Text, "customers without a reason in") {
		t.Error(f.Evidence)
	}
}

// A day on which everybody looks at twice as many is nobody's theft.
func TestSurge(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(6, 2)
	for range 4 {
		s.work(6, nil)
	}
	if len(s.found) > 0 {
		t.Errorf("%+v", s.found)
	}
}

// Whoever takes a little more each day does not get the statistics used to it.
func TestSlowRamp(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(6, 1)
	taken := 0.0
	for day := 1.0; day <= 80 && len(s.found) == 0; day++ {
		s.work(1, func() {
			for range poisson(s.r, day/8) {
				taken++
				s.look("a4", 1010, s.customer())
			}
		})
	}
	if len(s.found) == 0 || s.found[0].Staff[0] != "a4" || taken > 150 {
		t.Errorf("%.0f taken: %+v", taken, s.found)
	}
}

// Leave and days without a log are no evidence, nor is a new colleague who works like the others.
func TestGapsAndNewcomers(t *testing.T) {
	s := newStory(t, Options{})
	s.weeks(5, 2)
	s.day = s.day.AddDate(0, 0, 21)
	for range 15 {
		s.work(2, func() {
			for range poisson(s.r, 2) {
				s.look("new", 1000, s.customer())
			}
		})
	}
	if len(s.found) > 0 {
		t.Errorf("%+v", s.found)
	}
}

func TestCanary(t *testing.T) {
	s := newStory(t, Options{Canaries: map[sallyport.Subject]bool{"999": true}})
	s.weeks(2, 1)
	if f := s.look("a1", 600, "999"); len(f) != 1 || f[0].Kind != "canary" || f[0].Action != "lock" {
		t.Errorf("%+v", f)
	}
}

// What the personnel department says changes nothing unless it is asked for, and then a little; grievances and leave never do.
func TestPersonnel(t *testing.T) {
	odds := func(o Options, kind string) float64 {
		s := newStory(t, o)
		s.weeks(4, 1)
		if kind != "" {
			s.tell(sallyport.Input{Time: s.at(1), HR: &sallyport.HRFact{Time: s.at(1), Staff: "a4", Type: kind}})
		}
		for range 400 {
			if f := s.look("a4", 700, s.customer()); len(f) > 0 {
				return f[0].Log10Odds
			}
		}
		t.Fatal("not found")
		return 0
	}
	plain := odds(Options{}, "")
	for _, kind := range []string{"notice", "grievance", "leave_start", "training_overdue"} {
		if got := odds(Options{}, kind); got != plain {
			t.Errorf("%s weighs though nobody asked for it", kind)
		}
	}
	for kind, want := range map[string]float64{"notice": 0.3, "training_overdue": 0.1, "grievance": 0, "leave_start": 0} {
		if got := round(odds(Options{Personnel: true}, kind) - plain); got != want {
			t.Errorf("%s weighs %g, want %g", kind, got, want)
		}
	}
	s := newStory(t, Options{Personnel: true})
	s.weeks(3, 1)
	for i := range 10 {
		s.tell(sallyport.Input{Time: s.at(1), HR: &sallyport.HRFact{Time: s.at(1), Staff: agentID(i), Type: "notice"}})
	}
	s.weeks(3, 1)
	if len(s.found) > 0 {
		t.Errorf("a notice alone: %+v", s.found)
	}
}

func TestTemplates(t *testing.T) {
	list, err := DefaultTemplates()
	fatal(t, err)
	if len(list) < 15 {
		t.Errorf("%d templates", len(list))
	}
	for _, c := range []struct{ text, want string }{
		{"templates: [{id: a, fact: moon, weight: 1}]", `no fact "moon"`},
		{"templates: [{id: a, fact: ticket, whose: nobody, weight: 1}]", `whose "nobody"`},
		{"templates: [{id: a, fact: ticket, whose: his, weight: 2}]", "expected 0 to 1"},
		{"templates: [{id: a, fact: ticket, whose: his, weigth: 1}]", "weigth"},
		{"templates: [{fact: ticket, whose: his, weight: 1}]", "an id of its own"},
		{"{}", "there are none"},
	} {
		if _, err := ParseTemplates([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}
