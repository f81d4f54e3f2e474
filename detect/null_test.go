package detect

import (
	"fmt"
	"math"
	"testing"
)

// finer is a null with rates that may have moved and days that look like anything.
func finer(mu, k, step, days float64, bursts int) null {
	q := peers{counted: days}
	for i := range bursts {
		q.extremes = append(q.extremes, burst{i, 5 * math.Pow(1.5, float64(i)), 1})
	}
	q.often(200, &bulkWork{})
	r := &rates{}
	r.begin()
	r.spread(step)
	return null{mu: mu, k: k, share: 1e-6, rates: r, tail: q.tail, off: &[growths]float64{}}
}

func eachNull(do func(what string, n null)) {
	for _, mu := range []float64{0.2, 2, 12} {
		for _, k := range []float64{0.5, 3, 30} {
			for _, step := range []float64{0.08, 0.3} {
				for _, bursts := range []int{0, 15} {
					do(fmt.Sprintf("μ %g, k %g, step %g, %d bursts", mu, k, step, bursts), finer(mu, k, step, 5000, bursts))
				}
			}
		}
	}
}

// Against days of the mixture, each ratio averages at most 1, but for what calibration takes off: rates as high as the theft's pass for
// it whatever the count, which matters where rates are hardly known.
func TestMixedIsAnEValue(t *testing.T) {
	eachNull(func(what string, n null) {
		var sums [growths]float64
		mass := 0.0
		for x := 0.0; x < 3000 && mass < 1-1e-10; x++ {
			p := 0.0
			for j, w := range n.rates.weight {
				mean := n.mu * n.rates.factors[j]
				p += w * math.Exp(combinations(x, n.k)+n.k*math.Log(n.k/(n.k+mean))+x*math.Log(mean/(n.k+mean)))
			}
			mass += p
			for i, e := range n.evidences(x) {
				sums[i] += p * math.Exp(e)
			}
		}
		for i, sum := range sums {
			if sum > 1.15 {
				t.Errorf("%s, δ %g: %g", what, growth(i), sum)
			}
		}
	})
}

// More customers are never less evidence, so that what is found within a day holds at its end.
func TestMixedRises(t *testing.T) {
	eachNull(func(what string, n null) {
		before := n.evidences(0)
		for x := 0.0; x < 3000; x += 0.25 + x/10 {
			now := n.evidences(x)
			for i := range now {
				if now[i] < before[i]-0.01 {
					t.Errorf("%s: δ %g falls at %g from %g to %g", what, growth(i), x, before[i], now[i])
				}
			}
			before = now
		}
	})
}

// TestMixedIsANumber: also where a rate is hardly known and a day brings many times what anybody has, evidence is a number, and rises. It was none in one
// company of 36: what is below came to 0 and was multiplied by infinity, and what is learnt of one day was none for all peers from then on.
func TestMixedIsANumber(t *testing.T) {
	for _, mu := range []float64{0.5, 3, 40} {
		for _, k := range []float64{0.5, 3, 30} {
			for _, step := range []float64{0.3, 0.7, 1.2} {
				n := finer(mu, k, step, 5000, 15)
				before := n.evidences(0)
				for x := 0.0; x < 1e5; x += 1 + x/10 {
					now := n.evidences(x)
					for i := range now {
						if math.IsNaN(now[i]) || math.IsInf(now[i], 0) || now[i] < before[i]-0.01 {
							t.Fatalf("μ %g, k %g, step %g: δ %g has %g at %g, and had %g", mu, k, step, growth(i), now[i], x, before[i])
						}
					}
					before = now
				}
			}
		}
	}
}

// A rate that moved is followed, and comes back when days tell nothing.
func TestRatesFollow(t *testing.T) {
	r := &rates{moves: 0.02}
	r.begin()
	r.spread(0.2)
	n := &null{mu: 5, k: 15, rates: r}
	for range 60 {
		r.pass(1)
		r.see(n, 7.5)
	}
	if r.weight[centre+2] < 0.5 {
		t.Errorf("half as much again for 60 days, and the weights are %.3f", r.weight)
	}
	r.pass(365)
	if r.weight != prior() {
		t.Errorf("a year without days leaves %.3f", r.weight)
	}
	sum := 0.0
	for _, w := range r.weight {
		sum += w
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("weights add up to %g", sum)
	}
}

// Where a role does bulk work by jobs on record, a day of bulk work without one is hardly evidence; elsewhere it is.
func TestUnrecordedJobs(t *testing.T) {
	with, without := newGroup("with", 10), newGroup("without", 10)
	with.jobs = bulkWork{days: 12, customers: 12 * 1500}
	at := func(g *group) float64 {
		q := &g.streams[exposure]
		q.counted = 200
		q.often(6, &g.jobs)
		r := &rates{}
		r.begin()
		r.spread(0.2)
		n := null{mu: 5, k: 1, share: 1e-6, rates: r, tail: q.tail, off: &q.off}
		e := n.evidences(1500)
		return logSum(e[:]) - math.Log(growths)
	}
	if a, b := at(with), at(without); a > 2 || b < math.Log(1e4) {
		t.Errorf("evidence e^%.1f of 1,500 customers where such jobs are on record, e^%.1f where there are none", a, b)
	}
}
