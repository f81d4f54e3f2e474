package control

import (
	"fmt"
	"testing"
	"time"

	"sallyport"
)

// TestLockedBy: locks count for an hour for who gave them, those of Sallyport itself for nobody, and one that was proposed bites when another approves it.
func TestLockedBy(t *testing.T) {
	s, at := NewState(), time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	lock := func(by, about sallyport.Staff, at time.Time) {
		s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Locked, Order: &sallyport.Order{Action: "lock", By: by, About: about, Reason: "r"}})
	}
	for i := range 5 {
		lock("o1", sallyport.Staff(fmt.Sprint("s", i)), at.Add(time.Duration(i)*10*time.Minute))
	}
	lock("o1", "s4", at.Add(41*time.Minute))
	lock("", "s9", at)
	for _, c := range []struct {
		by, besides sallyport.Staff
		after       time.Duration
		want        int
	}{{"o1", "", 41 * time.Minute, 5}, {"o1", "s4", 41 * time.Minute, 4}, {"o1", "", 65 * time.Minute, 4}, {"o1", "", 101 * time.Minute, 0}, {"o2", "", 0, 0}, {"", "", 0, 0}} {
		if got := s.LockedBy(c.by, c.besides, at.Add(c.after)); got != c.want {
			t.Errorf("by %q after %s: %d, not %d", c.by, c.after, got, c.want)
		}
	}
	propose := &sallyport.Event{Time: at, Kind: sallyport.Proposed, Order: &sallyport.Order{ID: "p1", Action: Lock, By: "o1", About: "s7", Reason: "stolen"}}
	s.Apply(propose)
	if s.Standing("s7").Locked {
		t.Error("a proposal locks")
	}
	for _, by := range []sallyport.Staff{"o1", "s7"} {
		s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Approved, Order: &sallyport.Order{ID: "p1", By: by}})
	}
	if s.Standing("s7").Locked {
		t.Error("who proposed it, or whom it is about, approved it")
	}
	told := false
	defer s.Watch(func(who sallyport.Staff, st Standing) { told = told || who == "s7" && st.Locked })()
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.Approved, Order: &sallyport.Order{ID: "p1", By: "o2"}})
	if st := s.Standing("s7"); !st.Locked || st.Reason != "stolen" || st.By != "o1" || !told {
		t.Errorf("approved: %+v, told: %v", st, told)
	}
}
