package canary

import (
	"math"
	"time"

	"sallyport"
)

// Call is one that came to a number.
type Call struct {
	At     time.Time
	Quoted bool // the caller knew the customer's name
}

// Candidate is somebody who was shown a number.
type Candidate struct {
	Viewer sallyport.Staff
	Since  time.Time
}

// Background is what is known of calls to numbers that nobody was shown: people who dial wrongly, robots that dial every number.
type Background struct {
	Calls int     // to numbers at times at which nobody had been shown them
	Days  float64 // numbers × days of listening at such times
}

// The model's constants. A thief's buyers call a number at one of these rates a day from some time on; a caller with a list knows the name half of
// the time, one without hardly ever.
const (
	priorLeak    = 1e-3 // of one viewer, before anybody calls
	knowsLeaked  = 0.5
	knowsChance  = 1e-4
	priorDays    = 30 // so many days of one number are the background's prior worth
	priorCalls   = 0.5
	gridPoints   = 48
	secondsADay  = 86400
	smallestRate = 1e-5
)

// Suspicion says how likely each candidate is the source of the calls to one number up to now, and how likely nobody of them is: a posterior by
// the number's own background rate, which is estimated from itself before it was shown and from the other numbers. began is since when calls are
// listened to.
func Suspicion(calls []Call, shown []Candidate, other Background, began, now time.Time) (each []float64, none float64) {
	first := now
	for _, c := range shown {
		if c.Since.Before(first) {
			first = c.Since
		}
	}
	mean := (float64(other.Calls) + priorCalls) / (other.Days + priorDays)
	shape, rate := mean*priorDays, float64(priorDays) // Gamma, worth priorDays days of this number
	rates, weights := background(shape, rate)
	scores := make([]float64, len(shown)+1)
	logs := make([]float64, 0, gridPoints*len(buyers()))
	scores[len(shown)] = marginal(logs, rates, weights, nil, func(l, _ float64) float64 { return likelihood(calls, l, 0, now, began, now) })
	for i, c := range shown {
		scores[i] = math.Log(priorLeak) + marginal(logs, rates, weights, buyers(), func(l, m float64) float64 { return likelihood(calls, l, m, c.Since, began, now) })
	}
	scores[len(shown)] += math.Log(max(1-priorLeak*float64(len(shown)), 0.5))
	total := logSum(scores)
	each = make([]float64, len(shown))
	for i := range each {
		each[i] = math.Exp(scores[i] - total)
	}
	return each, math.Exp(scores[len(shown)] - total)
}

// buyers are the rates a day at which whoever bought a list may call.
func buyers() []float64 { return []float64{1. / 60, 1. / 14, 1. / 3, 2, 10} }

// background is the Gamma distribution of a number's rate on a grid.
func background(shape, rate float64) (rates, weights []float64) {
	mean := shape / rate
	low, high := math.Log(max(mean/1000, smallestRate)), math.Log(mean*30+1)
	for i := range gridPoints {
		l := math.Exp(low + (high-low)*float64(i)/(gridPoints-1))
		rates = append(rates, l)
		weights = append(weights, shape*math.Log(l)-rate*l) // density × l, for the grid is in logarithms
	}
	total := logSum(weights)
	for i := range weights {
		weights[i] -= total
	}
	return rates, weights
}

// marginal averages a likelihood over the background's rate and, where there are any, over buyers' rates.
func marginal(logs, rates, weights, buyers []float64, f func(l, m float64) float64) float64 {
	logs = logs[:0]
	for i, l := range rates {
		if buyers == nil {
			logs = append(logs, weights[i]+f(l, 0))
		}
		for _, m := range buyers {
			logs = append(logs, weights[i]-math.Log(float64(len(buyers)))+f(l, m))
		}
	}
	return logSum(logs)
}

// likelihood is the logarithm of that of calls as a Poisson process of rate l, and of l + m a day from since on.
func likelihood(calls []Call, l, m float64, since, began, now time.Time) float64 {
	days := func(d time.Duration) float64 { return max(d.Seconds(), 0) / secondsADay }
	out := -l*days(now.Sub(began)) - m*days(now.Sub(since))
	for _, c := range calls {
		chance, leaked := 1-knowsChance, 1-knowsLeaked
		if c.Quoted {
			chance, leaked = knowsChance, knowsLeaked
		}
		rate := l * chance
		if c.At.After(since) {
			rate += m * leaked
		}
		out += math.Log(rate)
	}
	return out
}

func logSum(logs []float64) float64 {
	top := math.Inf(-1)
	for _, l := range logs {
		top = max(top, l)
	}
	if math.IsInf(top, -1) {
		return top
	}
	s := 0.0
	for _, l := range logs {
		s += math.Exp(l - top)
	}
	return top + math.Log(s)
}
