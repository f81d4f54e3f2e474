package control

import (
	"testing"
	"time"

	"sallyport"
	"sallyport/staff"
)

// TestLeaversAreLocked: the entry that says that somebody left locks him. That he is back unlocks nobody; two people do, and not while he has left.
func TestLeaversAreLocked(t *testing.T) {
	s := NewState()
	now := time.Unix(1000, 0)
	say := func(l sallyport.Listed) {
		s.Apply(&sallyport.Event{Kind: sallyport.Peopled, Time: now, Order: &sallyport.Order{Action: "people", Details: staff.SCIM, People: []sallyport.Listed{l}}})
	}
	order := func(kind sallyport.EventKind, o sallyport.Order) {
		s.Apply(&sallyport.Event{Kind: kind, Time: now, Order: &o})
	}
	var told []bool
	defer s.Watch(func(_ sallyport.Staff, st Standing) { told = append(told, st.Locked) })()
	turned := s.Turned()
	say(sallyport.Listed{Staff: "a"})
	select {
	case <-turned:
	default:
		t.Error("nobody who runs a result hears that the directory changed")
	}
	for name, l := range map[string]sallyport.Listed{
		"inactive": {Staff: "a", Inactive: true}, "gone": {Staff: "b", Gone: true}, "left": {Staff: "c", Employment: staff.Left},
	} {
		say(l)
		if !s.Standing(l.Staff).Locked {
			t.Errorf("%s is not locked", name)
		}
	}
	if len(told) != 3 {
		t.Errorf("sessions are told %v", told)
	}
	order(sallyport.Proposed, sallyport.Order{ID: "early", Action: Unlock, By: "o1", About: "a"})
	if len(s.Proposals()) != 0 {
		t.Error("the unlock of somebody who has left can be proposed")
	}
	say(sallyport.Listed{Staff: "a"})
	if !s.Standing("a").Locked {
		t.Error("the provider unlocked somebody")
	}
	order(sallyport.Proposed, sallyport.Order{ID: "u", Action: Unlock, By: "o1", About: "a"})
	say(sallyport.Listed{Staff: "a", Inactive: true})
	order(sallyport.Approved, sallyport.Order{ID: "u", By: "o2"})
	if !s.Standing("a").Locked {
		t.Error("somebody who has left in between was unlocked")
	}
	say(sallyport.Listed{Staff: "a"})
	order(sallyport.Approved, sallyport.Order{ID: "u", By: "o2"})
	if s.Standing("a").Locked {
		t.Error("two people cannot unlock him")
	}
}

// TestEmpower: a place with power takes two people, neither of them its subject, and for what the directory wants right now.
func TestEmpower(t *testing.T) {
	s := NewState()
	now := time.Unix(1000, 0)
	lead := sallyport.Place{Team: "t", Role: "lead"}
	wish := []sallyport.Listed{{Staff: "a", Want: lead, Placed: true}}
	order := func(kind sallyport.EventKind, o sallyport.Order) {
		s.Apply(&sallyport.Event{Kind: kind, Time: now, Order: &o})
	}
	propose := func(id string, by, about sallyport.Staff, what string) {
		order(sallyport.Proposed, sallyport.Order{ID: id, Action: Empower, By: by, About: about, Details: what, Delay: time.Hour})
	}
	leads := func() bool {
		p, _ := s.Directory().Person("a", nil, staff.Rules{}, now.Add(time.Hour))
		return p.Place == lead
	}
	propose("none", "o1", "a", "lead@t") // nobody wants it
	order(sallyport.Peopled, sallyport.Order{Details: staff.SCIM, People: wish})
	propose("self", "a", "a", "lead@t")
	propose("more", "o1", "a", "security@t")
	propose("odd", "o1", "a", "lead")
	if n := len(s.Proposals()); n != 0 {
		t.Fatalf("%d proposals that may not be", n)
	}
	propose("p", "o1", "a", "lead@t")
	if id, ok := s.Waiting(Empower, "a"); !ok || id != "p" {
		t.Errorf("waiting: %q", id)
	}
	for _, by := range []sallyport.Staff{"o1", "a", ""} {
		order(sallyport.Approved, sallyport.Order{ID: "p", By: by})
	}
	if leads() {
		t.Error("one person, or he himself, was enough")
	}
	order(sallyport.Peopled, sallyport.Order{Details: staff.SCIM, People: []sallyport.Listed{{Staff: "a", Placed: true}}})
	order(sallyport.Approved, sallyport.Order{ID: "p", By: "o2"})
	order(sallyport.Peopled, sallyport.Order{Details: staff.SCIM, People: wish})
	if leads() {
		t.Error("an approval of what nobody wanted at that time counts")
	}
	order(sallyport.Approved, sallyport.Order{ID: "p", By: "o2"})
	if !leads() {
		t.Error("two people are not enough")
	}
	if p, _ := s.Directory().Person("a", nil, staff.Rules{}, now.Add(time.Hour-1)); p.Place == lead || !p.From.Equal(now.Add(time.Hour)) {
		t.Errorf("the delay: %+v", p)
	}
}

// TestManyLeavers: a source that says of very many that they left bars them while it says so; their locks wait for a second person, who did not
// import it himself.
func TestManyLeavers(t *testing.T) {
	s := NewState()
	now := time.Unix(1000, 0)
	say := func(by sallyport.Staff, inactive bool, who ...sallyport.Staff) {
		var people []sallyport.Listed
		for _, w := range who {
			people = append(people, sallyport.Listed{Staff: w, Inactive: inactive})
		}
		s.Apply(&sallyport.Event{Kind: sallyport.Peopled, Time: now, Order: &sallyport.Order{Details: staff.CSV, By: by, Most: 2, People: people}})
	}
	var told []sallyport.Staff
	defer s.Watch(func(who sallyport.Staff, st Standing) {
		if st.Left || st.Locked {
			told = append(told, who)
		}
	})()
	say("o1", true, "a", "b", "c", "d")
	say("o1", true, "c") // again
	for who, want := range map[sallyport.Staff]Standing{
		"a": {Locked: true, Reason: leftReason, Since: now, By: "o1"}, "c": {Left: true, Reason: leftReason, Since: now, By: "o1"}, "d": {Left: true, Reason: leftReason, Since: now, By: "o1"},
	} {
		if got := s.Standing(who); got != want {
			t.Errorf("%s: %+v", who, got)
		}
	}
	if len(told) != 4 || len(s.Out()) != 4 {
		t.Errorf("the sessions of %v end; out are %v", told, s.Out())
	}
	say("o1", false, "d")
	if s.Standing("d") != (Standing{}) {
		t.Error("whose lock waits is barred though the source took it back")
	}
	confirm := func(by sallyport.Staff) {
		s.Apply(&sallyport.Event{Kind: sallyport.LockLeavers, Time: now, Order: &sallyport.Order{By: by}})
	}
	confirm("o1")
	confirm("c")
	confirm("")
	if s.Standing("c").Locked {
		t.Error("who imported it, he himself or nobody was the second person")
	}
	if all, his := s.Leavers("o2"); all != 1 || len(his) != 1 {
		t.Errorf("%d wait, %v for o2", all, his)
	}
	confirm("o2")
	if st := s.Standing("c"); !st.Locked || st.Left {
		t.Errorf("after a second person: %+v", st)
	}
	say("o1", false, "c")
	if !s.Standing("c").Locked {
		t.Error("the source unlocked him")
	}
	now = now.Add(time.Hour)
	say("o1", true, "e")
	if !s.Standing("e").Locked {
		t.Error("an hour later the source locks nobody")
	}
}
