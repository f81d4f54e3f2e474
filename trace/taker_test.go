package trace

import (
	"math/rand/v2"
	"testing"
	"time"

	"sallyport"
)

// desk is five people who saw 40 customers each, and h, who takes each report and looks at its customer for that.
func desk(list []Report, before time.Duration) (*Exposures, []Report) {
	x := office()
	for i := range list {
		x.Add(Seen{Staff: "h", Customer: list[i].Customer, At: list[i].At.Add(-before)})
		list[i].Taker = "h"
	}
	return x, list
}

// One person who takes all reports alone is not named for having looked at whoever gives one, and does not hide the source.
func TestTakerIsNotNamed(t *testing.T) {
	x, list := desk(reports(day(5), 0, 3, 7, 11, 15, 1500), 5*time.Minute)
	got := x.Trace(list, Options{Customers: 2000})
	if got.Verdict != Named || got.Suspects[0].Staff[0] != "s1" || got.Aside != 6 {
		t.Errorf("s1 sold, h took the reports: %s %+v, %d set aside", got.Verdict, got.Suspects[:2], got.Aside)
	}
	dice := rand.New(rand.NewPCG(1, 4)) //nolint:gosec // a test
	list = nil
	for range 30 { // callers at random
		list = append(list, Report{Customer: subject(dice.IntN(2000)), At: day(5)})
	}
	x, list = desk(list, 5*time.Minute)
	if got := x.Trace(list, Options{Customers: 2000}); got.Verdict == Named {
		t.Errorf("nobody sold: %s %+v", got.Verdict, got.Suspects[:1])
	}
	for i := range list {
		list[i].Taker = ""
	}
	if got := x.Trace(list, Options{Customers: 2000}); got.Verdict != Named || got.Suspects[0].Staff[0] != "h" {
		t.Errorf("without knowing who took them h would be named: %s %+v", got.Verdict, got.Suspects[:1])
	}
}

// A thief who takes reports himself is named all the same: for what he saw earlier, and for customers whose report he wrote down when somebody else hears it, too.
func TestThiefTakesReports(t *testing.T) {
	x, list := desk(reports(day(5), 0, 3, 7, 11, 15, 1500), 26*time.Hour)
	for i := range list {
		x.Add(Seen{Staff: "h", Customer: list[i].Customer, At: list[i].At.Add(-5 * time.Minute)}) // once more, as he takes it
	}
	for c := range 30 {
		x.Add(Seen{Staff: "h", Customer: subject(1600 + c), At: day(2)})
	}
	if got := x.Trace(list, Options{Customers: 2000}); got.Verdict != Named || got.Suspects[0].Staff[0] != "h" || got.Aside != 0 {
		t.Errorf("who had seen them the day before: %s %+v", got.Verdict, got.Suspects[:2])
	}

	x, list = desk(reports(day(5), 1500, 1501, 1502, 1503, 1504, 1505), 5*time.Minute) // he writes down as he steals, before anybody is called
	heard := reports(day(8), 1500, 1501, 1502, 1503, 1504, 1505)
	got := x.Trace(append(heard, list...), Options{Customers: 2000})
	if got.Verdict != Named || got.Suspects[0].Staff[0] != "h" {
		t.Errorf("who wrote down beforehand what others heard: %s %+v", got.Verdict, got.Suspects)
	}
}

// Accounts of one person are one taker, and time and order do not matter.
func TestTakerHasAccounts(t *testing.T) {
	x, list := desk(reports(day(5), 0, 3, 7, 11), time.Hour-time.Second)
	x.Same = map[sallyport.Staff]sallyport.Staff{"h-desk": "h"}
	for i := range list {
		list[i].Taker = "h-desk"
	}
	if got := x.Trace(list, Options{Customers: 2000}); got.Aside != 4 {
		t.Errorf("%d set aside", got.Aside)
	}
	x, list = desk(reports(day(5), 0, 3, 7, 11), time.Hour+time.Second)
	if got := x.Trace(list, Options{Customers: 2000}); got.Aside != 0 {
		t.Errorf("more than an hour before: %d set aside", got.Aside)
	}
}
