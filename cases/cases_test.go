package cases

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"sallyport"
)

// stream is a control stream and its fold.
type stream struct {
	t    *testing.T
	b    *Book
	now  time.Time
	list []*sallyport.Event
}

func start(t *testing.T) *stream {
	return &stream{t: t, b: NewBook(), now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
}

func (s *stream) apply(kind sallyport.EventKind, o *sallyport.Order) {
	s.now = s.now.Add(time.Minute)
	e := &sallyport.Event{Time: s.now, Kind: kind, Order: o}
	s.list = append(s.list, e)
	s.b.Apply(e)
}

// step takes a step whether it may be taken or not, as somebody who writes the stream could.
func (s *stream) step(by sallyport.Staff, step sallyport.CaseStep) error {
	err := s.b.Check(&step, by)
	s.apply(sallyport.CaseKind, &sallyport.Order{By: by, Case: &step})
	return err
}

func (s *stream) propose(id string, by sallyport.Staff, step sallyport.CaseStep) {
	s.apply(sallyport.Proposed, &sallyport.Order{ID: id, Action: ProposalOf, By: by, Case: &step})
}

func (s *stream) approve(id string, by sallyport.Staff) {
	s.apply(sallyport.Approved, &sallyport.Order{ID: id, By: by})
}

func (s *stream) one() Case {
	s.t.Helper()
	c, ok := s.b.Case(1)
	if !ok {
		s.t.Fatal("there is no case")
	}
	return c
}

func opened(t *testing.T) *stream {
	s := start(t)
	if err := s.step("", sallyport.CaseStep{Case: 1, Do: DoOpen, Text: "Finding s017-1", Finding: "s017-1", People: []sallyport.Staff{"s017"}, Source: FromFinding}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSteps is which steps may be taken when, and which change nothing though they stand in the stream.
func TestSteps(t *testing.T) {
	for _, c := range []struct {
		what string
		by   sallyport.Staff
		step sallyport.CaseStep
		ok   bool
	}{
		{"a note", "o1", sallyport.CaseStep{Do: DoNote, Text: "asked"}, true},
		{"an empty note", "o1", sallyport.CaseStep{Do: DoNote}, false},
		{"by whom it is about", "s017", sallyport.CaseStep{Do: DoNote, Text: "it was not me"}, false},
		{"adding oneself", "o1", sallyport.CaseStep{Do: DoPeople, People: []sallyport.Staff{"o1"}}, false},
		{"on to contained", "o1", sallyport.CaseStep{Do: DoState, State: Contained, Text: "locked"}, true},
		{"without a reason", "o1", sallyport.CaseStep{Do: DoState, State: Contained}, false},
		{"closed by a state", "o1", sallyport.CaseStep{Do: DoState, State: Closed, Text: "enough"}, false},
		{"to no state", "o1", sallyport.CaseStep{Do: DoState, State: "forgotten", Text: "enough"}, false},
		{"a task that is not there", "o1", sallyport.CaseStep{Do: DoDone, Task: 1}, false},
		{"a link to nobody", "o1", sallyport.CaseStep{Do: DoLink, Link: &sallyport.CaseLink{Kind: "press", Ref: "x"}}, false},
		{"the police", "o1", sallyport.CaseStep{Do: DoLink, Link: &sallyport.CaseLink{Kind: "police", Ref: "AZ 1"}}, true},
		{"hypotheses by a person", "o1", sallyport.CaseStep{Do: DoHypotheses, Weighed: []sallyport.Hypothesis{{Probability: 1}}}, false},
		{"a finding by a person", "o1", sallyport.CaseStep{Do: DoFinding, Finding: "x"}, false},
		{"release of nothing", "o1", sallyport.CaseStep{Do: DoRelease, Text: "done"}, false},
		{"an unknown step", "o1", sallyport.CaseStep{Do: "shred", Text: "all"}, false},
		{"another case", "o1", sallyport.CaseStep{Case: 7, Do: DoNote, Text: "x"}, false},
	} {
		s := opened(t)
		if c.step.Case == 0 {
			c.step.Case = 1
		}
		before := s.one()
		err := s.step(c.by, c.step)
		if (err == nil) != c.ok || reflect.DeepEqual(before, s.one()) == c.ok {
			t.Errorf("%s: %v, changed %v", c.what, err, !reflect.DeepEqual(before, s.one()))
		}
	}
}

// TestClosingTakesTwo: neither a step in the stream, nor the proposer, nor whom it is about closes a case; nor a day later.
func TestClosingTakesTwo(t *testing.T) {
	end := sallyport.CaseStep{Case: 1, Do: DoClose, Outcome: Confirmed, People: []sallyport.Staff{"s017"}, Text: "he admitted it"}
	for _, c := range []struct {
		what   string
		do     func(s *stream)
		closed bool
	}{
		{"one step", func(s *stream) { _ = s.step("o1", end) }, false},
		{"the proposer", func(s *stream) { s.propose("p", "o1", end); s.approve("p", "o1") }, false},
		{"nobody", func(s *stream) { s.propose("p", "o1", end); s.approve("p", "") }, false},
		{"whom it is about", func(s *stream) { s.propose("p", "o1", end); s.approve("p", "s017") }, false},
		{"proposed by whom it is about", func(s *stream) { s.propose("p", "s017", end); s.approve("p", "o1") }, false},
		{"a day later", func(s *stream) { s.propose("p", "o1", end); s.now = s.now.Add(24 * time.Hour); s.approve("p", "o2") }, false},
		{"after a refusal", func(s *stream) {
			s.propose("p", "o1", end)
			s.apply(sallyport.Declined, &sallyport.Order{ID: "p", By: "o2"})
			s.approve("p", "o2")
		}, false},
		{"an approval of another one", func(s *stream) { s.propose("p", "o1", end); s.approve("q", "o2") }, false},
		{"who is not involved", func(s *stream) {
			x := end
			x.People = []sallyport.Staff{"s018"}
			s.propose("p", "o1", x)
			s.approve("p", "o2")
		}, false},
		{"two", func(s *stream) { s.propose("p", "o1", end); s.approve("p", "o2") }, true},
	} {
		s := opened(t)
		c.do(s)
		if got := s.one(); (got.State == Closed) != c.closed {
			t.Errorf("%s: %s", c.what, got.State)
		}
	}
}

// TestHold: what is held, and that letting go takes two.
func TestHold(t *testing.T) {
	s := opened(t)
	old := &sallyport.Event{Time: s.now.Add(-time.Hour), Who: sallyport.Who{Staff: "s017"}}
	his := &sallyport.Event{Time: s.now.Add(time.Hour), Who: sallyport.Who{Staff: "s017"}}
	others := &sallyport.Event{Time: s.now.Add(time.Hour), Who: sallyport.Who{Staff: "s018"}}
	if s.b.Holds(his, nil) != "" || s.b.Holding() {
		t.Error("held before anybody said so")
	}
	_ = s.step("o1", sallyport.CaseStep{Case: 1, Do: DoCustomers, Customers: []sallyport.Subject{"48211"}})
	if err := s.step("o1", sallyport.CaseStep{Case: 1, Do: DoHold, Text: "the prosecutor asks", At: s.now}); err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		got := fmt.Sprint(s.b.Holds(old, nil) != "", s.b.Holds(his, nil) != "", s.b.Holds(others, nil) != "", s.b.Holds(others, map[sallyport.Subject]bool{"48211": true}) != "", s.b.HoldsCustomer("48211"))
		if got != want {
			t.Errorf("held: %s, expected %s", got, want)
		}
	}
	check("false true false true 1")
	_ = s.step("o1", sallyport.CaseStep{Case: 1, Do: DoRelease, Text: "I say so"})
	check("false true false true 1")
	s.propose("p", "o1", sallyport.CaseStep{Case: 1, Do: DoRelease, Text: "the court has decided"})
	s.approve("p", "o2")
	check("false false false false 0")
}

// TestWhoIsBarred: nobody sees a case about himself, nor about somebody in whose line he stands.
func TestWhoIsBarred(t *testing.T) {
	c := opened(t).one()
	line := func(who, other sallyport.Staff) sallyport.Line {
		return map[[2]sallyport.Staff]sallyport.Line{{"s017", "s050"}: sallyport.Above, {"s017", "s018"}: sallyport.SameTeam}[[2]sallyport.Staff{who, other}]
	}
	for who, want := range map[sallyport.Staff]bool{"s017": true, "s050": true, "s018": true, "o1": false} {
		if got := c.Barred(who, line) != ""; got != want {
			t.Errorf("%s: %v", who, got)
		}
	}
}

// TestCalibration: what was said last before the end counts, by each source, and the outcome decides.
func TestCalibration(t *testing.T) {
	s := start(t)
	for i, p := range []struct {
		probability float64
		guilty      bool
	}{{0.97, true}, {0.99, true}, {0.96, false}, {0.6, true}, {0.02, false}} {
		n := uint64(i + 1) //nolint:gosec // few
		who := sallyport.Staff(fmt.Sprint("s", i))
		_ = s.step("", sallyport.CaseStep{Case: n, Do: DoOpen, Text: "x", People: []sallyport.Staff{who}})
		_ = s.step("", sallyport.CaseStep{Case: n, Do: DoHypotheses, Source: FromReports, Weighed: []sallyport.Hypothesis{{Staff: []sallyport.Staff{who}, Probability: 1 - p.probability}}})
		_ = s.step("", sallyport.CaseStep{Case: n, Do: DoHypotheses, Source: FromReports, Weighed: []sallyport.Hypothesis{{Staff: []sallyport.Staff{who}, Probability: p.probability}}})
		end := sallyport.CaseStep{Case: n, Do: DoClose, Outcome: Unfounded, Text: "the end"}
		if p.guilty {
			end.Outcome, end.People = Confirmed, []sallyport.Staff{who}
		}
		s.propose(fmt.Sprint(i), "o1", end)
		s.approve(fmt.Sprint(i), "o2")
	}
	got := s.b.Calibration()
	want := []Bin{{0, 0.05, 1, 0}, {0.05, 0.5, 0, 0}, {0.5, 0.8, 1, 1}, {0.8, 0.95, 0, 0}, {0.95, 1, 3, 2}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	again := NewBook()
	for _, e := range s.list {
		again.Apply(e)
	}
	if !reflect.DeepEqual(again.All(), s.b.All()) {
		t.Error("the same entries gave other cases")
	}
}

// TestCasesBegin: from which finding on cases are opened is said once, by Sallyport alone.
func TestCasesBegin(t *testing.T) {
	b := NewBook()
	say := func(from uint64, by sallyport.Staff) {
		b.Apply(&sallyport.Event{Kind: sallyport.CaseKind, Order: &sallyport.Order{By: by, CasesFrom: from}})
	}
	say(7, "o1")
	if b.From() != 0 {
		t.Error("a person said which findings open no case")
	}
	say(42, "")
	say(99, "")
	if b.From() != 42 {
		t.Errorf("from %d", b.From())
	}
}
