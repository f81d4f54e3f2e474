package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport"
)

func day(n int) time.Time { return time.Date(2026, 3, n, 9, 0, 0, 0, time.UTC) }

func subject(c int) sallyport.Subject { return sallyport.Subject(fmt.Sprint(c)) }

// reveal is an entry of the record.
func reveal(who sallyport.Staff, at time.Time, customers ...int) *sallyport.Event {
	e := &sallyport.Event{Kind: sallyport.RevealKind, Time: at, Who: sallyport.Who{Staff: who}, Reveal: &sallyport.Revealed{}}
	for _, c := range customers {
		e.Reveal.Values.Add(sallyport.RevealedValue{Subject: subject(c)})
	}
	return e
}

func reports(at time.Time, customers ...int) (list []Report) {
	for _, c := range customers {
		list = append(list, Report{Customer: subject(c), At: at})
	}
	return list
}

// office is five people who saw 40 customers each, of 2,000: s1 0 to 39, s2 40 to 79, and so on.
func office() *Exposures {
	x := NewExposures()
	for s := range 5 {
		for c := range 40 {
			x.Apply(reveal(sallyport.Staff(fmt.Sprintf("s%d", s+1)), day(2), 40*s+c))
		}
	}
	return x
}

func TestNames(t *testing.T) {
	x := office()
	got := x.Trace(append(reports(day(5), 0, 3, 7, 11), reports(day(6), 0, 1500)...), Options{Customers: 2000})
	if got.Verdict != Named || got.Suspects[0].Staff[0] != "s1" || got.Reports != 5 || got.More != 0 || got.Forged < 1 {
		t.Errorf("four customers of s1 and one of nobody reported: %+v", got)
	}
	if s := got.Suspects[0]; s.Seen != 4 || s.Customers != 40 || math.Abs(s.Expected-0.8) > 1e-9 { // four reports of customers seen, a fifth each
		t.Errorf("s1 had seen 4 of them and 40 in all, and chance gives 0.8: %+v", s)
	}
}

// A report counts once a customer, only after he was seen, and only once it is confirmed.
func TestWhatDoesNotCount(t *testing.T) {
	x := office()
	for name, list := range map[string][]Report{
		"nothing":                  nil,
		"reported before":          reports(day(1), 0, 3, 7, 11),
		"nobody's customers":       reports(day(5), 1500, 1501, 1502),
		"one customer many times":  append(reports(day(5), 0), reports(day(6), 0, 0, 0)...),
		"not confirmed":            {{Customer: "0", At: day(5), Unconfirmed: true}, {Customer: "3", At: day(5), Unconfirmed: true}, {Customer: "7", At: day(5), Unconfirmed: true}},
		"as many of everybody":     reports(day(5), 0, 40, 80, 120, 160),
		"no customer is mentioned": {{At: day(5)}},
	} {
		got := x.Trace(list, Options{Customers: 2000})
		if got.Verdict == Named {
			t.Errorf("%s: %v was named with %.3f", name, got.Suspects[0].Staff, got.Suspects[0].Posterior)
		}
		if len(got.Suspects) > 0 && got.FalseNaming < 1-got.Suspects[0].Posterior-1e-9 {
			t.Errorf("%s: the probability of a false name is said to be %.4f", name, got.FalseNaming)
		}
	}
}

// Everything that is probable adds up, whatever was asked.
func TestAddsUp(t *testing.T) {
	x := office()
	for n := range 12 {
		var customers []int
		for i := range n {
			customers = append(customers, (i*37)%300)
		}
		got := x.Trace(reports(day(5), customers...), Options{Customers: 2000})
		sum := got.None
		for _, s := range got.Suspects {
			sum += s.Posterior
		}
		if sum > 1+1e-9 {
			t.Errorf("%d reports: the probabilities add up to %.6f", n, sum)
		}
	}
}

// Whoever quotes a ticket needs somebody who saw it.
func TestQuotedFields(t *testing.T) {
	x := NewExposures()
	for c := range 30 {
		x.Add(Seen{Staff: "phone only", Customer: subject(c), At: day(2), Fields: PhoneField})
		x.Add(Seen{Staff: "tickets", Customer: subject(c), At: day(2), Fields: PhoneField | TicketField})
	}
	var list []Report
	for c := range 3 {
		list = append(list, Report{Customer: subject(c), At: day(4), Quoted: PhoneField | TicketField})
	}
	got := x.Trace(list, Options{Customers: 10_000})
	if got.Suspects[0].Staff[0] != "tickets" || got.Suspects[0].Posterior < 0.9 {
		t.Errorf("three callers quoted tickets: %+v", got.Suspects)
	}
}

func TestPair(t *testing.T) {
	x := office()
	got := x.Trace(reports(day(5), 0, 3, 7, 11, 15, 19, 23, 40, 44, 48, 51, 60, 61, 66), Options{Customers: 2000})
	if got.Verdict != Named || !slices.Equal(got.Suspects[0].Staff, []sallyport.Staff{"s1", "s2"}) {
		t.Errorf("seven customers of s1 and seven of s2 reported: %s %+v", got.Verdict, got.Suspects)
	}
}

// Who forges reports about somebody else does not hide the source among pairs with him.
func TestForged(t *testing.T) {
	x := office()
	list := reports(day(5), 0, 3, 7, 11, 15, 19, 1500)
	got := x.Trace(list, Options{Customers: 2000})
	if got.Verdict != Named || got.Forged < 3 {
		t.Fatalf("six customers of s1: %s %+v, %d forged ones would do", got.Verdict, got.Suspects[:2], got.Forged)
	}
	with := x.Trace(append(list, reports(day(5), 40, 41, 42, 43, 44, 45, 46, 47, 48, 49)[:got.Forged-1]...), Options{Customers: 2000})
	if with.Verdict != Named || !slices.Contains(with.Suspects[0].Staff, "s1") {
		t.Errorf("with %d forged ones about s2: %s %+v", got.Forged-1, with.Verdict, with.Suspects[:2])
	}
	sum := with.None
	for _, s := range with.Suspects {
		sum += s.Posterior
	}
	if sum > 1+1e-9 {
		t.Errorf("the probabilities add up to %.6f", sum)
	}
}

// Accounts that are one person's count together, and a reason made for somebody else is its maker's.
func TestOnePerson(t *testing.T) {
	x := NewExposures()
	x.Same = map[sallyport.Staff]sallyport.Staff{"s1-admin": "s1"}
	for s := range 6 {
		for c := range 40 {
			who := sallyport.Staff(fmt.Sprintf("s%d", s+1))
			if s == 0 && c%2 == 1 {
				who = "s1-admin"
			}
			x.Add(Seen{Staff: who, Customer: subject(40*s + c), At: day(2)})
		}
	}
	if got := x.Trace(reports(day(5), 0, 1, 2, 3, 4, 5), Options{Customers: 2000}); got.Verdict != Named || got.Suspects[0].Staff[0] != "s1" || got.Suspects[0].Seen != 6 {
		t.Errorf("the person with two accounts: %+v", got)
	}
	for c := 40; c < 240; c += 5 {
		x.Add(Seen{Staff: "s9", Customer: subject(c), At: day(2), Made: true})
	}
	if got := x.Trace(reports(day(5), 40, 85, 130, 170, 220, 235), Options{Customers: 2000}); got.Verdict != Named || got.Suspects[0].Staff[0] != "s9" {
		t.Errorf("who made the reasons: %+v", got.Suspects)
	}
}

// The same exposures and reports in another order give the same.
func TestOrderDoesNotMatter(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	var rows []Seen
	for range 3000 {
		rows = append(rows, Seen{Staff: sallyport.Staff(fmt.Sprint("s", dice.IntN(20))), Customer: subject(dice.IntN(800)), At: day(1 + dice.IntN(20)), Unexplained: dice.IntN(5) == 0})
	}
	list := reports(day(15), 1, 5, 9, 33, 70, 71, 99)
	var first Result
	for round := range 4 {
		x := NewExposures()
		for _, r := range rows {
			x.Add(r)
		}
		got := x.Trace(list, Options{Customers: 5000})
		if round == 0 {
			first = got
		}
		if diff := cmp.Diff(first, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Error(diff)
		}
		dice.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		dice.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
}

// What comes later is added to the index, and changes nothing that is not about it.
func TestGrows(t *testing.T) {
	x := office()
	list := reports(day(5), 0, 3, 7, 11)
	before := x.Trace(list, Options{Customers: 2000})
	for c := range 40 {
		x.Add(Seen{Staff: "s1", Customer: subject(300 + c), At: day(9)})
	}
	if diff := cmp.Diff(before.Suspects, x.Trace(list, Options{Customers: 2000}).Suspects, cmpopts.EquateApprox(1e-6, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestLogTail(t *testing.T) {
	for _, c := range []struct {
		k, population, marked, n int
		want                     float64
	}{
		{0, 10, 4, 3, 0},
		{3, 10, 4, 3, math.Log(4. / 120)},
		{1, 10, 4, 3, math.Log(1 - 20./120)},
		{4, 10, 4, 3, math.Inf(-1)},
	} {
		if got := logTail(c.k, c.population, c.marked, c.n); math.Abs(got-c.want) > 1e-9 && got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
