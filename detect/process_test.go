package detect

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// negBin draws from a negative binomial by its gamma mixture.
func negBin(r *rand.Rand, mu, k float64) int {
	return poisson(r, gamma(r, k)*mu/k)
}

func gamma(r *rand.Rand, shape float64) float64 {
	if shape < 1 {
		return gamma(r, shape+1) * math.Pow(r.Float64(), 1/shape)
	}
	d := shape - 1./3
	for {
		x := r.NormFloat64()
		v := math.Pow(1+x/math.Sqrt(9*d), 3)
		if v > 0 && math.Log(r.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}

func poisson(r *rand.Rand, mean float64) int {
	n := 0
	for at := r.ExpFloat64(); at < mean; at += r.ExpFloat64() {
		n++
	}
	return n
}

// The ratio of a day has expectation 1 under the null, and less where looks count in parts: it is summed over all counts.
func TestRatioIsAnEValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mu := rapid.Float64Range(0.05, 20).Draw(t, "mu")
		k := rapid.Float64Range(0.1, 30).Draw(t, "k")
		part := rapid.Float64Range(0.05, 1).Draw(t, "part")
		delta := growth(rapid.IntRange(0, growths-1).Draw(t, "δ"))
		whole, parts := 0.0, 0.0
		logP := k * math.Log(k/(k+mu)) // of a count of 0
		for x := 0.0; x < 1e6; x++ {
			p := math.Exp(logP)
			whole += math.Exp(logP + ratio(x, mu, k, delta))
			// Looks of which each counts only in part have a smaller mean.
			parts += math.Exp(logP + ratio(part*x, part*mu, k, delta))
			logP += math.Log((k + x) / (x + 1) * mu / (k + mu))
			if x > 100*(mu+delta) && p < 1e-30 && math.Exp(logP+ratio(x, mu, k, delta)) < 1e-12 {
				break
			}
		}
		if math.Abs(whole-1) > 1e-6 || parts > 1+1e-6 {
			t.Fatalf("expectations %g and %g", whole, parts)
		}
	})
}

// With the true null, alarms stay within the promise of one in A days, whatever the level.
func TestAlarmsWithinThePromise(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ mu, k float64 }{{0.3, 0.5}, {2, 2}, {8, 20}} {
		const days = 150_000
		const level = 200.0
		n := null{mu: c.mu, k: c.k, share: 1e-9, drift: 0.5}
		p, alarms := none(), 0.0
		for range days {
			x := float64(negBin(r, c.mu, c.k))
			p.open()
			if p.with(n.evidences(x)) >= math.Log(level) {
				alarms++
				p = none()
				continue
			}
			p.close(n, x)
		}
		if low, high := poissonInterval(alarms); low > days/level {
			t.Errorf("μ %g, k %g: %.0f alarms (%.0f to %.0f), promised at most %.0f", c.mu, c.k, alarms, low, high, days/level)
		}
	}
}

// What R reaches within a day it still has at its end: the ratio only rises with the count.
func TestWithinTheDay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := null{
			mu: rapid.Float64Range(0.05, 20).Draw(t, "mu"), k: rapid.Float64Range(0.1, 30).Draw(t, "k"),
			share: rapid.Float64Range(1e-9, 0.5).Draw(t, "share"), drift: rapid.Float64Range(0, 3).Draw(t, "drift"),
		}
		p := none()
		p.open()
		x := rapid.Float64Range(0, 5000).Draw(t, "x")
		more := x + rapid.Float64Range(0, 100).Draw(t, "more")
		before, after := p.with(n.evidences(x)), p.with(n.evidences(more))
		if after < before-1e-9 || after > -math.Log(n.share) {
			t.Fatalf("R falls from %g to %g, or is beyond the bound", before, after)
		}
		q := p
		if q.close(n, more); math.Abs(logSum(q[:])-3*math.Ln2-after) > 1e-9 {
			t.Fatal("the day ends with another R than it had")
		}
	})
}
