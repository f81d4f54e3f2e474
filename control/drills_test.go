package control

import (
	"testing"
	"time"

	"sallyport"
)

// TestDrills: what Sallyport did about a drill's accounts ends with it; what a person did, and what is about others, stays.
func TestDrills(t *testing.T) {
	s := NewState()
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for _, e := range []*sallyport.Event{
		{Kind: sallyport.Suspended, Order: &sallyport.Order{About: "drill1", Reason: "a budget"}},
		{Kind: sallyport.Locked, Order: &sallyport.Order{About: "drill1", Response: &sallyport.Response{ID: "x/lock"}}},
		{Kind: sallyport.Trusted, Order: &sallyport.Order{About: "drill1", Details: "10", Response: &sallyport.Response{ID: "x/mask"}}},
		{Kind: sallyport.Locked, Order: &sallyport.Order{About: "drill2", By: "o1"}},
		{Kind: sallyport.Locked, Order: &sallyport.Order{About: "s001", Response: &sallyport.Response{ID: "y/lock"}}},
	} {
		e.Time = at
		s.Apply(e)
	}
	if !s.Standing("drill1").Locked || s.Door("drill1").Trust != 10 {
		t.Fatal("nothing was done")
	}
	s.Apply(&sallyport.Event{Time: at, Kind: sallyport.DrillKind, Order: &sallyport.Order{Drill: &sallyport.DrillRun{Name: "snoop", Ended: true, Accounts: []sallyport.Staff{"drill1", "drill2"}}}})
	if st := s.Standing("drill1"); st.Locked || st.Suspended || s.Door("drill1").Trust != FullTrust {
		t.Errorf("%+v", st)
	}
	if !s.Standing("drill2").Locked || !s.Standing("s001").Locked {
		t.Error("what a person did, or what is about somebody else, ended with the drill")
	}
}
