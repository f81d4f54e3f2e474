package control

import (
	"testing"
	"time"

	"sallyport"
)

// TestUnmask: it takes two, neither of them its subject; it shows the name to these two alone, and ends.
func TestUnmask(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	propose := func(s *State, by, about sallyport.Staff, lasts time.Duration) error {
		o := &sallyport.Order{ID: "u1", Action: Unmask, By: by, About: about, Unmask: &sallyport.Unmasking{Pseudonym: "p-abc", Lasts: lasts}}
		err := s.CheckProposal(o)
		s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Proposed, Order: o})
		return err
	}
	approve := func(s *State, by sallyport.Staff) {
		s.Apply(&sallyport.Event{Time: at.Add(time.Hour), Kind: sallyport.Approved, Order: &sallyport.Order{ID: "u1", By: by}})
	}
	sees := func(s *State, viewer sallyport.Staff, now time.Time) bool {
		list := s.Unmasked(viewer, now)
		return len(list) == 1 && list[0].Staff == "thief" && list[0].Pseudonym == "p-abc"
	}
	s := NewState()
	if err := propose(s, "a", "thief", 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, by := range []sallyport.Staff{"a", "thief", ""} {
		approve(s, by)
		if sees(s, "a", at) || sees(s, "thief", at) {
			t.Fatalf("approved by %q", by)
		}
	}
	approve(s, "b")
	for viewer, want := range map[sallyport.Staff]bool{"a": true, "b": true, "c": false, "thief": false, "": false} {
		if got := sees(s, viewer, at.Add(2*time.Hour)); got != want {
			t.Errorf("%q sees the name: %v", viewer, got)
		}
	}
	if sees(s, "a", at.Add(25*time.Hour)) {
		t.Error("it does not end")
	}
	s.Advance(at.Add(25 * time.Hour))
	if sees(s, "a", at.Add(2*time.Hour)) {
		t.Error("a clock that was set back makes it go on")
	}

	for name, try := range map[string]func(*State) error{
		"himself":     func(s *State) error { return propose(s, "thief", "thief", time.Hour) },
		"nobody":      func(s *State) error { return propose(s, "a", "", time.Hour) },
		"for ever":    func(s *State) error { return propose(s, "a", "thief", LongestUnmask+1) },
		"for nothing": func(s *State) error { return propose(s, "a", "thief", 0) },
	} {
		s := NewState()
		if try(s) == nil {
			t.Errorf("%s: may be proposed", name)
		}
		approve(s, "b")
		if sees(s, "a", at) || sees(s, "b", at) {
			t.Errorf("%s: takes effect", name)
		}
	}
}
