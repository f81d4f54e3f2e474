package trace

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport"
)

func day(n int) time.Time { return time.Date(2026, 3, n, 9, 0, 0, 0, time.UTC) }

// reveal is an entry of the record.
func reveal(who sallyport.Staff, at time.Time, customers ...int) *sallyport.Event {
	e := &sallyport.Event{Kind: sallyport.RevealKind, Time: at, Who: sallyport.Who{Staff: who}, Reveal: &sallyport.Revealed{}}
	for _, c := range customers {
		e.Reveal.Values.Add(sallyport.RevealedValue{Subject: sallyport.Subject(fmt.Sprint(c))})
	}
	return e
}

func reports(at time.Time, customers ...int) (list []Report) {
	for _, c := range customers {
		list = append(list, Report{sallyport.Subject(fmt.Sprint(c)), at})
	}
	return list
}

func TestSuspects(t *testing.T) {
	x := NewExposures()
	x.Apply(reveal("s1", day(2), 1, 2, 3, 4))
	x.Apply(reveal("s1", day(2), 1, 1))
	x.Apply(reveal("s2", day(3), 5, 6, 7))
	x.Apply(reveal("s2", day(9), 1, 2)) // after the reports
	x.Apply(reveal("s3", day(4), 8))
	x.Apply(reveal("s4", day(9), 9)) // nothing before them
	x.Apply(&sallyport.Event{Kind: sallyport.TouchKind, Time: day(4), Who: sallyport.Who{Staff: "s5"}, Touch: &sallyport.Touched{Reached: []sallyport.Subject{"1"}}})

	// Of 8 customers that somebody saw, 1, 2 and 5 report; nobody saw 99.
	got := x.Suspects(append(reports(day(5), 1, 2, 5, 99), reports(day(6), 1)...))
	score := func(p float64) float64 { return -math.Log10(p) }
	want := []Suspect{
		{Staff: "s1", Customers: 4, Seen: 2, Expected: 1.5, Score: score(0.5)}, // (6·4 + 4·1) of 56
		{Staff: "s2", Customers: 3, Seen: 1, Expected: 1.125, Score: score(46. / 56)},
		{Staff: "s3", Customers: 1, Seen: 0, Expected: 0.375, Score: 0},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Error(diff)
	}
}

func TestSuspectsOfNothing(t *testing.T) {
	x := NewExposures()
	if got := x.Suspects(reports(day(5), 1)); len(got) != 0 {
		t.Errorf("nobody saw anything, and %v is suspect", got)
	}
	x.Apply(reveal("s1", day(2), 1))
	if got := x.Suspects(nil); len(got) != 0 {
		t.Errorf("nobody reported, and %v is suspect", got)
	}
	if got := x.Suspects(reports(day(5), 2)); len(got) != 1 || got[0].Score != 0 || got[0].Seen != 0 {
		t.Errorf("a report by somebody whom nobody saw points at %v", got)
	}
}

// The tail is checked against sums of products, which small numbers allow.
func TestLogTail(t *testing.T) {
	choose := func(n, k int) float64 {
		if k < 0 || k > n {
			return 0
		}
		r := 1.0
		for i := range k {
			r = r * float64(n-i) / float64(i+1)
		}
		return r
	}
	for population := 1; population <= 12; population++ {
		for marked := range population + 1 {
			for n := range population + 1 {
				for k := range n + 1 {
					want := 0.0
					for i := k; i <= n; i++ {
						want += choose(marked, i) * choose(population-marked, n-i) / choose(population, n)
					}
					if k > marked {
						continue // nobody has seen more customers than he has seen
					}
					got := math.Exp(logTail(k, population, marked, n))
					if math.Abs(got-want) > 1e-9 {
						t.Fatalf("P(≥%d of %d from %d with %d) = %g, want %g", k, n, population, marked, got, want)
					}
				}
			}
		}
	}
}
