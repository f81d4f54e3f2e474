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
	staff := []sallyport.Employee{{ID: "lead", Role: "lead"}, {ID: "program", Service: true}}
	for _, id := range []sallyport.Staff{"a", "b", "c", "d", "e"} {
		staff = append(staff, sallyport.Employee{ID: id, Role: "agent"})
	}
	d.Hire(staff)
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
	if !ok || p.Of != 5 || p.Peers != "role agent" || len(p.Days) != 2 {
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
}

// TestLongSuspicion has somebody under suspicion for longer than days are kept, and then no more.
func TestLongSuspicion(t *testing.T) {
	p := newPerson("a", 0)
	for day := range int64(keptDays + 200) {
		p.days++
		p.keep(daily{day: day, suspect: true})
	}
	for day := range int64(60) {
		p.days++
		p.keep(daily{day: keptDays + 200 + day})
	}
	if p.lag < 0 || p.lag > len(p.past) || len(p.past) > keptDays+30 {
		t.Errorf("%d days wait of %d", p.lag, len(p.past))
	}
}
