package control

import (
	"fmt"
	"testing"
	"time"

	"sallyport"
)

// acted is an entry by which Sallyport answers a finding.
func acted(kind sallyport.EventKind, finding, step, details string) *sallyport.Event {
	return &sallyport.Event{Time: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), Kind: kind, Order: &sallyport.Order{
		About: "s017", Details: details, Reason: "finding " + finding, Response: &sallyport.Response{ID: finding + "/" + step, Finding: finding, Step: step, State: Did},
	}}
}

// taken takes back, by two people.
func taken(s *State, id, about string) {
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	n := fmt.Sprintf("p%d", len(s.Proposals()))
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Proposed, Order: &sallyport.Order{ID: n, Action: UndoResponse, By: "o1", About: sallyport.Staff(about), Details: id}})
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Approved, Order: &sallyport.Order{ID: n, By: "o1"}}) // alone it changes nothing
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Approved, Order: &sallyport.Order{ID: n, By: "s017"}})
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Approved, Order: &sallyport.Order{ID: n, By: "o2"}})
}

// TestResponsesAreUndoneApart: what was done because of one finding is taken back, and nothing else: no other finding's, and no person's.
func TestResponsesAreUndoneApart(t *testing.T) {
	s := NewState()
	trust := func(want int) {
		t.Helper()
		if got := s.Door("s017").Trust; got != want {
			t.Errorf("trust is %d, want %d", got, want)
		}
	}
	s.Apply(&sallyport.Event{Kind: sallyport.Trusted, Order: &sallyport.Order{By: "o1", About: "s017", Details: "80"}})
	s.Apply(acted(sallyport.Trusted, "s017-1", "mask", "24"))
	s.Apply(acted(sallyport.Trusted, "s017-2", "second_person", "39"))
	trust(24)
	s.Apply(&sallyport.Event{Kind: sallyport.Suspended, Order: &sallyport.Order{About: "s017", Reason: "a budget"}})
	s.Apply(acted(sallyport.Suspended, "s017-1", "suspend", ""))
	s.Apply(acted(sallyport.Locked, "s017-1", "lock", ""))
	if st := s.Standing("s017"); !st.Locked || !st.Suspended {
		t.Fatalf("%+v", st)
	}
	var told []Standing
	defer s.Watch(func(_ sallyport.Staff, st Standing) { told = append(told, st) })()
	taken(s, "s017-1", "s018") // another person's: there is nothing
	trust(24)
	taken(s, "s017-1", "s017")
	trust(39)
	if st := s.Standing("s017"); st.Locked || !st.Suspended || st.Reason != "a budget" || len(told) != 1 {
		t.Errorf("%+v, told %v", st, told)
	}
	taken(s, "s017-2/second_person", "s017")
	trust(80)
	if n := len(s.Proposals()); n != 2 { // the first one was about nothing
		t.Errorf("%d proposals", n)
	}
	e := acted(sallyport.ResponseKind, "s017-4", "hold", "")
	e.Order.Response.Held = &sallyport.Held{From: 10, To: 20}
	s.Apply(e)
	for seq, want := range map[uint64]bool{9: false, 10: true, 20: true, 21: false} {
		if got := s.Evidence(seq, "s017") != ""; got != want || s.Evidence(seq, "s018") != "" {
			t.Errorf("entry %d is held: %t", seq, got)
		}
	}
	if taken(s, "s017-4", "s017"); s.Evidence(10, "s017") != "" {
		t.Error("what was no theft is still held")
	}
	s = NewState() // what only Sallyport did
	s.Apply(acted(sallyport.Locked, "s017-1", "lock", ""))
	taken(s, "s017-1", "s017")
	if st := s.Standing("s017"); st != (Standing{}) {
		t.Errorf("%+v", st)
	}
	// A person's word is no response, whatever it says that it is; and nobody lowers the trust in many by it.
	e = acted(sallyport.Trusted, "s017-3", "mask", "0")
	e.Order.By = "s017"
	s.Apply(e)
	trust(100)
	if n := len(s.Answers("s017-3")); n != 0 {
		t.Errorf("%d answers by a person", n)
	}
}

// TestTwoPeopleRaiseTrust: their word is above every finding's so far.
func TestTwoPeopleRaiseTrust(t *testing.T) {
	s := NewState()
	s.Apply(acted(sallyport.Trusted, "s017-1", "mask", "24"))
	s.Apply(&sallyport.Event{Kind: sallyport.Proposed, Order: &sallyport.Order{ID: "p", Action: Trust, By: "o1", About: "s017", Details: "100"}})
	s.Apply(&sallyport.Event{Kind: sallyport.Approved, Order: &sallyport.Order{ID: "p", By: "o2"}})
	if got := s.Door("s017").Trust; got != 100 {
		t.Errorf("trust is %d", got)
	}
}
