package detect

import (
	"fmt"
	"testing"
	"time"

	"sallyport"
)

// TestProfile tells somebody's days beside his peers', and puts who has most without a reason first.
func TestProfile(t *testing.T) {
	d, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.Hire([]sallyport.Employee{{ID: "a", Role: "agent"}, {ID: "b", Role: "agent"}, {ID: "c", Role: "lead"}, {ID: "program", Service: true}})
	day := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	look := func(who sallyport.Staff, at time.Time, from, n int) {
		for i := range n {
			d.Observe(&sallyport.Input{Time: at, Access: &sallyport.Access{Time: at, Staff: who, Activity: sallyport.RevealActivity, Subjects: []sallyport.Subject{sallyport.Subject(fmt.Sprint(from + i))}, Count: 1}})
		}
	}
	look("a", day, 1, 5)
	look("b", day, 100, 2)
	look("a", day.AddDate(0, 0, 1), 200, 3)
	look("program", day.AddDate(0, 0, 1), 300, 50)
	p, ok := d.Profile("a")
	if !ok || p.Of != 2 || p.Peers != "agent" || len(p.Days) != 2 {
		t.Fatalf("%+v", p)
	}
	if x := p.Days[0]; x.Customers != 5 || x.Unexplained != 5 || x.Peers != 2 || !x.Day.Equal(day.Truncate(24*time.Hour)) || x.Expected <= 0 {
		t.Errorf("the first day: %+v", x)
	}
	if x := p.Days[1]; x.Customers != 3 || x.Unexplained != 3 {
		t.Errorf("the second day: %+v", x)
	}
	if _, ok := d.Profile("nobody"); ok {
		t.Error("somebody who is not there has days")
	}
	sums := d.Sums(day.AddDate(0, 0, 1))
	if len(sums) != 1 || sums[0].Staff != "a" || sums[0].Customers != 3 || sums[0].Days != 1 {
		t.Errorf("since the second day: %+v", sums)
	}
	if sums = d.Sums(day); len(sums) != 2 || sums[0].Staff != "a" || sums[0].Unexplained != 8 || sums[1].Staff != "b" {
		t.Errorf("%+v", sums)
	}
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	d.Profile("a")
	d.Sums(day)
	if after, err := d.State(); err != nil || string(after) != string(before) {
		t.Errorf("to be asked changes detection (%v)", err)
	}
}
