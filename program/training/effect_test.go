package training

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"sallyport"
)

// waits is how long who is drawn to wait does, in days.
const waits = 28

// The time of a company's life.
var (
	begin = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	end   = begin.AddDate(0, 0, 150)
)

// company makes up people over 150 days: rates that differ, days that burst, months that are better and worse by themselves, and a rate that changes for
// everybody. Whoever is refused three times within 30 days is given a lesson, as Watch has it; once he is told, his rate is factor times what it was.
func company(seed uint64, people int, factor, trend float64) ([]Taught, Days) {
	r := rand.New(rand.NewPCG(seed, 7))
	days := Days{}
	var list []Taught
	poisson := func(mean float64) (n int64) {
		for product, least := r.Float64(), math.Exp(-mean); product > least; n++ {
			product *= r.Float64()
		}
		return n
	}
	for i := range people {
		who := sallyport.Staff(fmt.Sprintf("s%03d", i))
		base := 0.8 * math.Exp(r.NormFloat64()*0.5)
		mood, watch := r.NormFloat64()*0.7, NewWatch(Rules{Often: 3})
		book := NewBook()
		for d := range 150 {
			at := begin.AddDate(0, 0, d)
			if w := at.Weekday(); w == time.Saturday || w == time.Sunday {
				continue
			}
			mood = mood*0.93 + r.NormFloat64()*0.7*math.Sqrt(1-0.93*0.93)
			rate := base * math.Exp(mood) * (1 + (trend-1)*float64(d)/150)
			if lessons := book.Lessons(); len(lessons) > 0 && at.After(lessons[0].From) {
				rate *= factor
			}
			days.Add(who, at, 20, poisson(rate*math.Exp(r.NormFloat64()*0.4)))
			for n := range poisson(0.1 * rate) {
				m := watch.Access(&sallyport.Event{Time: at.Add(time.Duration(n) * time.Hour), Kind: sallyport.RefusedKind, Who: sallyport.Who{Staff: who}, Statement: &sallyport.Statement{Refused: "SP013"}})
				if m == nil {
					continue
				}
				if step := book.Assign(m, 14, waits*24*time.Hour, r.Uint64()); step != nil {
					book.Apply(&sallyport.Event{Time: m.At, Kind: sallyport.TrainingKind, Order: &sallyport.Order{Training: step}})
				}
			}
		}
		list = append(list, book.Lessons()...)
	}
	return list, days
}

// TestEffectIsKnown: where lessons halve the rate the interval holds a half, where they do nothing it holds 1, each in 95 of 100 companies or nearly so,
// with and without a change that everybody has. The comparison of each with himself, which is the usual one, finds effects where there are none.
func TestEffectIsKnown(t *testing.T) {
	const companies = 80
	for _, c := range []struct{ factor, trend float64 }{{1, 1}, {0.5, 1}, {1, 1.8}, {0.5, 1.8}} {
		held, logs, naive, found := 0, 0.0, 0.0, 0
		for seed := range uint64(companies) {
			lessons, days := company(1000*uint64(c.factor*10)+100_000*uint64(c.trend*10)+seed, 150, c.factor, c.trend)
			e := Effects(lessons, days, waits, end)[0]
			if e.Says == NotMeasured {
				t.Fatalf("%+v", e)
			}
			logs += math.Log(e.Ratio)
			naive += math.Log(e.Told.After / e.Told.Before)
			if e.Low <= c.factor && c.factor <= e.High {
				held++
			}
			if e.Says == Fewer {
				found++
			}
		}
		mean, usual := math.Exp(logs/companies), math.Exp(naive/companies)
		t.Logf("factor %.1f, trend %.1f: ratio %.3f in the mean (each with himself: %.3f), the interval held it in %d of %d, fewer in %d", c.factor, c.trend, mean, usual, held, companies, found)
		if held < companies*89/100 {
			t.Errorf("factor %.1f, trend %.1f: the interval held it in %d of %d", c.factor, c.trend, held, companies)
		}
		if mean < c.factor*0.93 || mean > c.factor*1.07 {
			t.Errorf("factor %.1f, trend %.1f: %.3f in the mean", c.factor, c.trend, mean)
		}
		switch {
		case c.factor == 1 && found > companies*8/100:
			t.Errorf("trend %.1f: an effect that is not there was found in %d of %d", c.trend, found, companies)
		case c.factor == 0.5 && found < companies*9/10:
			t.Errorf("trend %.1f: half as many were found in %d of %d only", c.trend, found, companies)
		case c.factor == 1 && math.Abs(usual-1) < 0.05:
			t.Errorf("trend %.1f: each with himself does no harm here (%.3f): these companies do not test what they are to", c.trend, usual)
		}
	}
}

// TestEffectSaysWhatIsMissing: no figure where too little is known, nobody waits, or it is too soon.
func TestEffectSaysWhatIsMissing(t *testing.T) {
	lessons, days := company(3, 150, 1, 1)
	none := func(what string, lessons []Taught, now time.Time) {
		if e := Effects(lessons, days, waits, now)[0]; e.Says != NotMeasured || e.Why == "" || e.Ratio != 0 {
			t.Errorf("%s: %+v", what, e)
		}
	}
	none("few", lessons[:6], end)
	none("too soon", lessons, begin.AddDate(0, 0, 20))
	for i := range lessons {
		lessons[i].Drawn = false
	}
	none("nobody waits", lessons, end)
	for v, want := range map[int]float64{7: 2.3646, 20: 2.0860, 100: 1.9840} {
		if got := student(v); math.Abs(got-want) > 0.002 {
			t.Errorf("t with %d degrees: %.4f, want %.4f", v, got, want)
		}
	}
}
