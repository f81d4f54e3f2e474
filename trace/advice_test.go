package trace

import (
	"fmt"
	"slices"
	"testing"

	"sallyport"
)

// What is said to be missing is about what is missing, if he is the source and as large a share of reports as before is background.
func TestMore(t *testing.T) {
	x := office()
	few := x.Trace(reports(day(5), 0, 1, 1500, 1501), Options{Customers: 2000})
	if few.Verdict != NotEnough || few.More < 2 {
		t.Fatalf("two customers of s1 among four: %s, %d more", few.Verdict, few.More)
	}
	customers, sold := []int{0, 1, 1500, 1501}, 0.0
	for n := 1; n <= 3*few.More; n++ {
		one := 1500 + len(customers)
		if sold += 1 - few.Background; sold >= 1 {
			one, sold = len(customers), sold-1
		}
		customers = append(customers, one)
		if x.Trace(reports(day(5), customers...), Options{Customers: 2000}).Verdict != Named {
			continue
		}
		if 3*n < few.More {
			t.Errorf("it took %d more, and %d were said to be missing", n, few.More)
		}
		return
	}
	t.Errorf("he is not named after three times the %d reports that are missing, background %.2f", few.More, few.Background)
}

// Who is to be asked tells suspects apart: he has not reported, and one of the two saw him and the other did not. His answer moves them apart.
func TestAskNext(t *testing.T) {
	x := NewExposures()
	for c := range 60 { // both saw 0 to 19
		for who, sees := range map[sallyport.Staff]bool{"s1": c < 40, "s2": c < 20 || c >= 40, "s3": c%7 == 0} {
			if sees {
				x.Add(Seen{Staff: who, Customer: subject(c), At: day(2)})
			}
		}
	}
	list := reports(day(5), 1, 2, 3, 4)
	got := x.Trace(list, Options{Customers: 5000})
	if got.Verdict != NotEnough || len(got.AskNext) != asked {
		t.Fatalf("%s, asks %v", got.Verdict, got.AskNext)
	}
	for _, c := range got.AskNext {
		var n int
		if _, err := fmt.Sscan(string(c), &n); err != nil || n < 20 {
			t.Errorf("%s is asked, whom both saw or who reported", c)
		}
	}
	after := x.Trace(append(list, Report{Customer: got.AskNext[0], At: day(6)}), Options{Customers: 5000})
	if after.Suspects[0].LogOdds < got.Suspects[0].LogOdds+0.5 {
		t.Errorf("the answer moves the first one's odds from 10^%.2f to 10^%.2f", got.Suspects[0].LogOdds, after.Suspects[0].LogOdds)
	}
}

// Where somebody served most of his team's customers, those of the team who report are mostly his by chance, and he is not named. Somebody who served few of
// them is.
func TestColleaguesOfOneQueue(t *testing.T) {
	for _, c := range []struct {
		customers int // of the team's hundred
		verdict   Verdict
	}{{70, NotEnough}, {25, Named}} {
		x := NewExposures()
		x.Team = map[sallyport.Staff]string{"s1": "north", "s2": "north"}
		for n := range 100 {
			who := sallyport.Staff("s1")
			if n >= c.customers {
				who = "s2"
			}
			x.Add(Seen{Staff: who, Customer: subject(n), At: day(2)})
		}
		for n := 100; n < 2000; n++ {
			x.Add(Seen{Staff: sallyport.Staff(fmt.Sprint("x", n%20)), Customer: subject(n), At: day(2)})
		}
		got := x.Trace(reports(day(5), 0, 1, 2, 3, 4), Options{Customers: 100_000})
		if got.Verdict != c.verdict || got.Suspects[0].Staff[0] != "s1" || got.Suspects[0].Posterior < NamedFrom {
			t.Errorf("who served %d of the hundred: %s, by chance %.3f, %+v", c.customers, got.Verdict, got.Matched, got.Suspects[0])
		}
	}
}

// Where nobody saw who reports, it is nobody of the list; and a program is a suspect like anybody.
func TestNobodyAndPrograms(t *testing.T) {
	x := office()
	var strangers []int
	for c := range 40 {
		strangers = append(strangers, 1000+c)
	}
	list := reports(day(5), strangers...)
	if got := x.Trace(list, Options{Customers: 2000}); got.Verdict != NoneOf || got.None < NamedFrom {
		t.Errorf("forty customers of nobody: %s, %.3f", got.Verdict, got.None)
	}
	mixed := x.Trace(append(slices.Clone(list), reports(day(5), 0)...), Options{Customers: 2000})
	if mixed.Verdict != NoneOf || mixed.None < NamedFrom {
		t.Errorf("and one of s1: %s, %.3f", mixed.Verdict, mixed.None)
	}
	for c := range 60 {
		x.Add(Seen{Staff: "svc_report", Customer: subject(1000 + c), At: day(3)})
	}
	if got := x.Trace(list, Options{Customers: 2000}); got.Verdict != Named || got.Suspects[0].Staff[0] != "svc_report" {
		t.Errorf("forty of sixty whom a program read: %s %+v", got.Verdict, got.Suspects[:1])
	}
}
