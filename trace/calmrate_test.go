package trace

import (
	"math"
	"testing"
	"time"

	"sallyport"
)

// calmYear is a report every ten days of customers whom nobody saw, up to a day.
func calmYear(until time.Time, open bool) (list []Report) {
	for i := range 36 {
		list = append(list, Report{Customer: subject(1200 + i), At: until.Add(-time.Duration(3+10*i) * 24 * time.Hour), Unconfirmed: open})
	}
	return list
}

// hourly are reports one an hour.
func hourly(from time.Time, customers ...int) (list []Report) {
	for i, c := range customers {
		list = append(list, Report{Customer: subject(c), At: from.Add(time.Duration(i) * time.Hour)})
	}
	return list
}

// What came in calm hides a theft, where nobody says that it is calm; and it makes it clearer where somebody does, by when reports come and from whom.
func TestCalmTells(t *testing.T) {
	x, o, dated := office(), Options{Customers: 2000}, Options{Customers: 2000, From: day(5)}
	wave := hourly(day(5), 0, 3)
	alone := x.Trace(wave, o)
	all := x.Trace(append(calmYear(day(5), false), wave...), o)
	told := x.Trace(append(calmYear(day(5), false), wave...), dated)
	if told.Calm != 36 || told.Reports != 2 || alone.Calm != 0 || all.Reports != 38 {
		t.Fatalf("%+v\n%+v\n%+v", alone, all, told)
	}
	if !(all.Suspects[0].Posterior < alone.Suspects[0].Posterior && alone.Suspects[0].Posterior < told.Suspects[0].Posterior) || told.None >= alone.None || told.Background >= alone.Background {
		t.Errorf("alone %+v, none %.3f; with calm that nobody told %+v; told %+v, none %.3f", alone.Suspects[0], alone.None, all.Suspects[0], told.Suspects[0], told.None)
	}
	slow := x.Trace(append(calmYear(day(5), false), Report{Customer: "0", At: day(5 + 7)}, Report{Customer: "3", At: day(5 + 17)}), dated)
	if slow.None <= told.None || slow.Suspects[0].Posterior >= told.Suspects[0].Posterior {
		t.Errorf("as calm as always %+v, none %.3f; in two hours %+v, none %.3f", slow.Suspects[0], slow.None, told.Suspects[0], told.None)
	}
}

// Reports of calm count for the rate whether somebody confirmed them or not, and for nothing else; and those after the day that nobody has confirmed for nothing.
func TestOpenReportsOfCalm(t *testing.T) {
	x, dated := office(), Options{Customers: 2000, From: day(5)}
	wave := hourly(day(5), 0, 3)
	rate := func(list []Report) float64 { return x.question(append(list, wave...), dated).sooner[2] }
	if a, b := rate(calmYear(day(5), false)), rate(calmYear(day(5), true)); math.Abs(a-b) > 1e-9 || a == 0 {
		t.Errorf("confirmed %v, open %v", a, b)
	}
	flood := calmYear(day(5), true)
	for i := range 5000 { // forged ones before
		flood = append(flood, Report{Customer: subject(50_000 + i), At: day(5).Add(-time.Duration(i+1) * time.Hour), Unconfirmed: true})
	}
	if got := x.Trace(append(flood, hourly(day(5), 0, 3, 7, 11)...), dated); got.Verdict != Named || got.Suspects[0].Staff[0] != "s1" {
		t.Errorf("a flood before hides four customers of s1: %s %+v", got.Verdict, got.Suspects[:2])
	}
	var later []Report
	for i := range 50 {
		later = append(later, Report{Customer: subject(60_000 + i), At: day(5).Add(time.Minute), Unconfirmed: true})
	}
	a, b := x.Trace(append(calmYear(day(5), true), wave...), dated), x.Trace(append(append(calmYear(day(5), true), wave...), later...), dated)
	if a.None != b.None || a.Suspects[0].Posterior != b.Suspects[0].Posterior || b.Unconfirmed != 50 {
		t.Errorf("open ones after the day weigh: %v %v, %d", a.None, b.None, b.Unconfirmed)
	}
}

// Who reported in calm and is called again counts for both: else whoever is to be called could be made to have reported before.
func TestReportsAgain(t *testing.T) {
	x, dated := office(), Options{Customers: 2000, From: day(5)}
	list := append(calmYear(day(5), false), hourly(day(5), 0, 3, 7, 11)...)
	once := x.Trace(list, dated)
	again := x.Trace(append(list, reports(day(4), 0, 3, 7, 11)...), dated)
	if once.Verdict != Named || again.Verdict != Named || again.Reports != 4 || again.Calm != 40 || again.Suspects[0].Seen != 4 {
		t.Errorf("%s %+v\n%s %+v", once.Verdict, once.Suspects[:1], again.Verdict, again.Suspects[:1])
	}
}

// Where reports are entered once a week, three at once say less.
func TestClumps(t *testing.T) {
	var single, weekly []uint32
	for i := range uint32(51) {
		single = append(single, 7*86400*i+i%7*86400)
		weekly = append(weekly, 7*86400*i, 7*86400*i, 7*86400*i, 7*86400*i)
	}
	if a, b := clumped(single, 0, 365*86400), clumped(weekly, 0, 365*86400); a > 1.2 || b < 3 {
		t.Errorf("one a week %.2f, four at once %.2f", a, b)
	}
	if got := clumped(nil, 0, 365*86400); got != 1 {
		t.Errorf("of none: %v", got)
	}
}

// The closed form is the integral.
func TestMeanPower(t *testing.T) {
	for _, c := range [][3]float64{{10, 20, 3}, {20, 10, 3}, {1e6, 3e7, 40}, {5, 5, 7}, {5, 5 + 1e-10, 7}} {
		sum := 0.0
		const steps = 200_000
		for i := range steps {
			sum += math.Pow((c[0]+(c[1]-c[0])*(float64(i)+0.5)/steps)/c[0], -c[2]) / steps
		}
		if want, got := math.Log(sum)-c[2]*math.Log(c[0]), meanPower(c[0], c[1], c[2]); math.Abs(got-want) > 1e-4 {
			t.Errorf("%v: %v, expected %v", c, got, want)
		}
	}
	sum := 0.0
	for _, l := range driftLogs() {
		sum += 2 * math.Exp(l)
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("drifts add up to %v", sum)
	}
}

// A day before all reports, or after all, is the same as none, but that nothing is suspected then.
func TestDaysOutside(t *testing.T) {
	x, list := office(), hourly(day(5), 0, 3, 7, 11)
	none := x.Trace(list, Options{Customers: 2000})
	early := x.Trace(list, Options{Customers: 2000, From: day(1)})
	if none.None != early.None || none.Suspects[0].Posterior != early.Suspects[0].Posterior {
		t.Errorf("%+v\n%+v", none, early)
	}
	late := x.Trace(list, Options{Customers: 2000, From: day(20), Without: []sallyport.Staff{"s5"}})
	if late.Verdict != NoneOf || late.Reports != 0 || late.Calm != 4 || len(late.Suspects) != 0 {
		t.Errorf("%+v", late)
	}
}
