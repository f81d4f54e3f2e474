package control

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport"
)

func start() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }

func event(kind sallyport.EventKind, after time.Duration, o sallyport.Order) *sallyport.Event {
	return &sallyport.Event{Kind: kind, Time: start().Add(after), Order: &o}
}

func lock(about, by sallyport.Staff) *sallyport.Event {
	return event(sallyport.Locked, 0, sallyport.Order{Action: "lock", About: about, By: by, Reason: "seen at night"})
}

func suspend(about sallyport.Staff) *sallyport.Event {
	return event(sallyport.Suspended, 0, sallyport.Order{Action: "suspend", About: about, Reason: "budget reached"})
}

func propose(id, action string, by, about sallyport.Staff) *sallyport.Event {
	return event(sallyport.Proposed, time.Hour, sallyport.Order{ID: id, Action: action, By: by, About: about, Details: "details of " + id})
}

func approve(id string, by sallyport.Staff) *sallyport.Event {
	return event(sallyport.Approved, 2*time.Hour, sallyport.Order{ID: id, By: by})
}

func decline(id string, by sallyport.Staff) *sallyport.Event {
	return event(sallyport.Declined, 2*time.Hour, sallyport.Order{ID: id, By: by})
}

func fold(events ...*sallyport.Event) *State {
	s := NewState()
	for _, e := range events {
		s.Apply(e)
	}
	return s
}

func TestLockAndUnlock(t *testing.T) {
	locked := Standing{Locked: true, Reason: "seen at night", Since: start(), By: "sec"}
	suspended := Standing{Suspended: true, Reason: "budget reached", Since: start()}
	both := locked
	both.Suspended = true
	tests := []struct {
		name   string
		events []*sallyport.Event
		want   Standing
	}{
		{"nothing", nil, Standing{}},
		{"locked", []*sallyport.Event{lock("thief", "sec")}, locked},
		{"suspended by Sallyport", []*sallyport.Event{suspend("thief")}, suspended},
		{"somebody else is locked", []*sallyport.Event{lock("other", "sec")}, Standing{}},
		{"both, in one order", []*sallyport.Event{lock("thief", "sec"), suspend("thief")}, both},
		{"both, in the other", []*sallyport.Event{suspend("thief"), lock("thief", "sec")}, both},
		{"the first lock's reason stays", []*sallyport.Event{lock("thief", "sec"), lock("thief", "another")}, locked},
		{"an unlock is only proposed", []*sallyport.Event{lock("thief", "sec"), propose("p", Unlock, "lead", "thief")}, locked},
		{"unlocked", []*sallyport.Event{lock("thief", "sec"), propose("p", Unlock, "lead", "thief"), approve("p", "sec")}, Standing{}},
		{"who locked may agree or ask", []*sallyport.Event{lock("thief", "sec"), propose("p", Unlock, "sec", "thief"), approve("p", "lead")}, Standing{}},
		{
			"one unlock lifts both",
			[]*sallyport.Event{lock("thief", "sec"), suspend("thief"), propose("p", Unlock, "lead", "thief"), approve("p", "sec")},
			Standing{},
		},
		{
			"locked again afterwards",
			[]*sallyport.Event{suspend("thief"), propose("p", Unlock, "lead", "thief"), approve("p", "sec"), lock("thief", "sec")},
			locked,
		},
		{"an order without a subject", []*sallyport.Event{lock("", "sec")}, Standing{}},
		{"an event without an order", []*sallyport.Event{{Kind: sallyport.Locked}}, Standing{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fold(tt.events...).Standing("thief")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTwoPeople lists every approval that must change nothing.
func TestTwoPeople(t *testing.T) {
	wrong := func(change func(e *sallyport.Event), e *sallyport.Event) *sallyport.Event {
		change(e)
		return e
	}
	late := func(e *sallyport.Event) { e.Time = start().Add(time.Hour + Lifetime) }
	tests := []struct {
		name   string
		events []*sallyport.Event
	}{
		{"by the proposer", []*sallyport.Event{propose("p", Unlock, "lead", "thief"), approve("p", "lead")}},
		{"by the person it is about", []*sallyport.Event{propose("p", Unlock, "lead", "thief"), approve("p", "thief")}},
		{"by nobody", []*sallyport.Event{propose("p", Unlock, "lead", "thief"), approve("p", "")}},
		{"proposed by the person it is about", []*sallyport.Event{propose("p", Unlock, "thief", "thief"), approve("p", "lead")}},
		{"proposed by nobody", []*sallyport.Event{propose("p", Unlock, "", "thief"), approve("p", "lead")}},
		{"of an unknown proposal", []*sallyport.Event{approve("p", "lead")}},
		{"of another proposal", []*sallyport.Event{propose("p", Unlock, "lead", "thief"), approve("q", "sec")}},
		{"before the proposal", []*sallyport.Event{approve("p", "sec"), propose("p", Unlock, "lead", "thief")}},
		{"without an id", []*sallyport.Event{propose("", Unlock, "lead", "thief"), approve("", "sec")}},
		{"without an action", []*sallyport.Event{propose("p", "", "lead", "thief"), approve("p", "sec")}},
		{"of a declined proposal", []*sallyport.Event{propose("p", Unlock, "lead", "thief"), decline("p", "sec"), approve("p", "sec")}},
		{"of one taken back", []*sallyport.Event{propose("p", Unlock, "lead", "thief"), decline("p", "lead"), approve("p", "sec")}},
		{"of an expired proposal", []*sallyport.Event{propose("p", Unlock, "lead", "thief"), wrong(late, approve("p", "sec"))}},
		{
			"of one about somebody else",
			[]*sallyport.Event{propose("p", Unlock, "lead", "other"), approve("p", "sec")},
		},
		{
			"that names another subject than the proposal",
			[]*sallyport.Event{
				propose("p", Unlock, "lead", "other"),
				wrong(func(e *sallyport.Event) { e.Order.About, e.Order.Action = "thief", Unlock }, approve("p", "sec")),
			},
		},
		{
			"of a proposal to do something else",
			[]*sallyport.Event{propose("p", "raise_budget", "lead", "thief"), wrong(func(e *sallyport.Event) { e.Order.Action = Unlock }, approve("p", "sec"))},
		},
		{
			"of a proposal whose id was taken: the first one counts",
			[]*sallyport.Event{propose("p", Unlock, "lead", "other"), propose("p", Unlock, "lead", "thief"), approve("p", "sec")},
		},
		{
			"by the first proposer under a taken id",
			[]*sallyport.Event{propose("p", Unlock, "lead", "thief"), propose("p", Unlock, "sec", "thief"), approve("p", "lead")},
		},
		{
			"of a proposal that was used up before the lock",
			[]*sallyport.Event{propose("p", Unlock, "lead", "thief"), approve("p", "sec"), lock("thief", "sec"), suspend("thief"), approve("p", "sec")},
		},
		{"in an event of another kind", []*sallyport.Event{
			propose("p", Unlock, "lead", "thief"),
			wrong(func(e *sallyport.Event) { e.Kind = sallyport.Configured }, approve("p", "sec")),
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := fold(append([]*sallyport.Event{lock("thief", "sec"), suspend("thief")}, tt.events...)...)
			if st := s.Standing("thief"); !st.Locked || !st.Suspended {
				t.Errorf("the lock was lifted: %+v", st)
			}
		})
	}
}

func TestCheckApproval(t *testing.T) {
	s := fold(propose("p", Unlock, "lead", "thief"), propose("q", Unlock, "lead", "thief"), decline("q", "sec"))
	for _, tt := range []struct {
		id string
		by sallyport.Staff
		ok bool
	}{{"p", "sec", true}, {"p", "lead", false}, {"p", "thief", false}, {"p", "", false}, {"q", "sec", false}, {"r", "sec", false}} {
		if err := s.CheckApproval(tt.id, tt.by); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrApproval) {
			t.Errorf("%s by %q: %v", tt.id, tt.by, err)
		}
	}
	s.Advance(start().Add(time.Hour + Lifetime - 1))
	if err := s.CheckApproval("p", "sec"); err != nil {
		t.Errorf("just in time: %v", err)
	}
	s.Advance(start().Add(time.Hour + Lifetime))
	if err := s.CheckApproval("p", "sec"); err == nil {
		t.Error("an expired proposal can be approved")
	}
	if got := s.Proposals()[0].Status; got != OutOfTime {
		t.Errorf("an expired proposal is listed as %s", got)
	}
	// What the fold does depends on the events alone: this one was written in time.
	s.Apply(lock("thief", "sec"))
	s.Apply(approve("p", "sec"))
	if s.Standing("thief").Locked {
		t.Error("Advance changed what the fold does")
	}
}

func TestDecline(t *testing.T) {
	for _, tt := range []struct {
		by   sallyport.Staff
		want Status
	}{{"sec", Rejected}, {"lead", Rejected}, {"thief", Open}, {"", Open}} {
		s := fold(propose("p", Unlock, "lead", "thief"), decline("p", tt.by))
		if got := s.Proposals()[0]; got.Status != tt.want || tt.want == Rejected && got.Decider != tt.by {
			t.Errorf("declined by %q: %+v", tt.by, got)
		}
	}
}

func TestProposals(t *testing.T) {
	s := fold(propose("b", Unlock, "lead", "thief"), propose("a", AcceptMark, "lead", ""), propose("c", AcceptMark, "sec", ""),
		approve("c", "lead"))
	if details, ok := s.AcceptedMark(); !ok || details != "details of c" {
		t.Errorf("accepted mark %q, %v", details, ok)
	}
	s.Apply(approve("a", "sec"))
	if details, _ := s.AcceptedMark(); details != "details of a" {
		t.Errorf("accepted mark %q: the latest approval counts", details)
	}
	var got []string
	for _, p := range s.Proposals() {
		got = append(got, fmt.Sprint(p.ID, " ", p.Status, " ", p.Decider))
	}
	if diff := cmp.Diff([]string{"b open ", "a approved sec", "c approved lead"}, got); diff != "" {
		t.Error(diff)
	}
	if list := s.Approved(AcceptMark); len(list) != 2 || list[0].ID != "c" {
		t.Errorf("approved marks: %v", list)
	}
	if _, ok := NewState().AcceptedMark(); ok {
		t.Error("a mark is accepted from the start")
	}
	for _, o := range []sallyport.Order{
		{ID: "b", Action: Unlock, By: "lead", About: "x"},
		{ID: "n", Action: Unlock, By: "lead"},
		{ID: "n", Action: Unlock, By: "x", About: "x"},
		{Action: Unlock, By: "lead", About: "x"},
	} {
		if err := s.CheckProposal(&o); !errors.Is(err, ErrProposal) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := s.CheckProposal(&sallyport.Order{ID: "n", Action: Unlock, By: "lead", About: "x"}); err != nil {
		t.Error(err)
	}
}

func TestWatch(t *testing.T) {
	s := NewState()
	var told []string
	var cancel func()
	cancel = s.Watch(func(who sallyport.Staff, st Standing) {
		if now := s.Standing(who); now != st {
			t.Errorf("told %+v, is %+v", st, now)
		}
		told = append(told, fmt.Sprint(who, " ", st.Locked, " ", st.Suspended))
		if who == "last" {
			cancel()
		}
	})
	for _, e := range []*sallyport.Event{
		lock("thief", "sec"), lock("thief", "sec"), suspend("thief"), propose("p", Unlock, "lead", "thief"), approve("p", "lead"),
		approve("p", "sec"), approve("p", "sec"), lock("last", "sec"), lock("untold", "sec"),
	} {
		s.Apply(e)
	}
	want := []string{"thief true false", "thief true true", "thief false false", "last true false"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if out := s.Out(); len(out) != 2 || !out["last"].Locked {
		t.Errorf("out: %v", out)
	}
}

// TestWatcherMayApply checks that a callback can change the state, and is told of that afterwards.
func TestWatcherMayApply(t *testing.T) {
	s := NewState()
	var told []sallyport.Staff
	s.Watch(func(who sallyport.Staff, _ Standing) {
		told = append(told, who)
		if who == "a" {
			s.Apply(lock("b", "sec"))
			if len(told) != 1 {
				t.Error("the callback was called within itself")
			}
		}
	})
	s.Apply(lock("a", "sec"))
	if diff := cmp.Diff([]sallyport.Staff{"a", "b"}, told); diff != "" {
		t.Error(diff)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := NewState()
	told := map[sallyport.Staff]int{}
	s.Watch(func(who sallyport.Staff, _ Standing) { told[who]++ }) // one at a time: the map needs no lock
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				s.Apply(lock(sallyport.Staff(fmt.Sprint(g, "-", i)), "sec"))
				s.Standing("0-1")
				s.Proposals()
			}
		})
	}
	wg.Wait()
	if len(told) != 800 || len(s.Out()) != 800 {
		t.Errorf("%d people were told of, %d are out", len(told), len(s.Out()))
	}
}

// TestProtects folds what protect began with, by database, and what an accepted mark is worth after it.
func TestProtects(t *testing.T) {
	protecting := func(database string, columns map[string]string) *sallyport.Event {
		return &sallyport.Event{Kind: sallyport.Protecting, Order: &sallyport.Order{Action: "protect", Details: database, Columns: columns}}
	}
	s := fold(protecting("a", map[string]string{"x": "text"}), protecting("b", map[string]string{"y": "email"}),
		protecting("a", map[string]string{"x": "text", "z": "phone"}))
	for _, c := range []struct {
		database string
		want     map[string]string
		known    bool
	}{
		{"a", map[string]string{"x": "text", "z": "phone"}, true},
		{"b", map[string]string{"y": "email"}, true},
		{"renamed", map[string]string{"x": "text", "y": "email", "z": "phone"}, false},
	} {
		got, known := s.Protects(c.database)
		if diff := cmp.Diff(c.want, got); diff != "" || known != c.known {
			t.Errorf("%s: known %v, %s", c.database, known, diff)
		}
	}
	s.Apply(propose("m", AcceptMark, "lead", ""))
	s.Apply(approve("m", "sec"))
	if !s.AcceptedColumns() {
		t.Error("an accepted mark does not count")
	}
	s.Apply(protecting("a", map[string]string{"x": "text"}))
	if s.AcceptedColumns() {
		t.Error("a mark that was accepted before protect ran last counts")
	}
}

// TestParted folds which columns left and did not come back.
func TestParted(t *testing.T) {
	began := map[string]string{"x": "text", "y": "int8"}
	states := func(columns map[string]string, moving, leaving []string) *sallyport.Event {
		return &sallyport.Event{Kind: sallyport.Protecting, Order: &sallyport.Order{Action: "protect", Details: "a", Columns: columns, Moving: moving, Leaving: leaving}}
	}
	events := []*sallyport.Event{states(began, []string{"x", "y"}, nil), states(began, nil, nil)}
	for i, c := range []struct {
		next *sallyport.Event
		want []string
	}{
		{states(began, []string{"x", "y"}, []string{"x", "y"}), nil},
		{states(began, nil, []string{"x", "y"}), nil},
		{states(map[string]string{}, nil, nil), []string{"x", "y"}},
		{states(map[string]string{"z": "phone"}, []string{"z"}, nil), []string{"x", "y"}}, // another one comes
		{states(map[string]string{"z": "phone", "x": "text"}, []string{"z", "x"}, nil), []string{"y"}},
	} {
		events = append(events, c.next)
		s := fold(events...)
		if diff := cmp.Diff(c.want, s.Parted("a"), cmpopts.EquateEmpty()); diff != "" || len(s.Parted("b")) > 0 {
			t.Errorf("step %d: %s", i, diff)
		}
	}
}
