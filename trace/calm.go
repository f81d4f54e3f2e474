package trace

import (
	"math"
	"slices"
)

// A beginning is when the theft may have begun to be heard of: the reports from first on may be of it, those before are not, whoever is the source.
type beginning struct {
	first int                  // the first report that may be of the theft
	logs  [len(shares)]float64 // of the prior, and of how much better so many reports since agree with this share of background than with nothing else
	seen  [len(shares)]float64 // share of all reports that is background then
}

// How far the rate of background now may be from the rate before: its factor's log₂ is Cauchy, so that it is within a fifth half of the time and a wave
// of calls that nobody here has to do with is possible. What the stream can say for or against a leak is bounded by that.
const (
	driftScale = 0.25
	driftStep  = 0.25
	driftMost  = 32 // steps to either side: a factor of 256
)

// begin lists the beginnings. Where nobody says since when the stream is complete, there is one: before all reports, and when they came says nothing.
func (q *question) begin(since uint32, open []uint32) {
	all := beginning{}
	n := len(q.reports)
	for b, beta := range shares {
		all.seen[b] = beta
	}
	q.beginnings = []beginning{all}
	if since == 0 || n == 0 {
		return
	}
	var list []beginning
	for _, m := range windows(n) {
		if q.reports[n-m].at > since {
			list = append(list, q.beginning(n-m, since, open))
		}
	}
	if len(list) == 0 {
		return
	}
	for i := range list {
		for b := range shares {
			list[i].logs[b] -= math.Log(2 * float64(len(list)))
		}
	}
	for b := range shares {
		all.logs[b] = -math.Ln2
	}
	q.beginnings = append(list, all)
}

// windows are how many reports the theft may have brought: fewer than all, and the more there are the coarser, each octave as probable as the other.
func windows(n int) (list []int) {
	for m, step := 1, 1; m < n; m += step {
		list = append(list, m)
		if m >= 4*step {
			step *= 2
		}
	}
	return list
}

// beginning weighs one: the rate of reports before, which is background's, against how many came since.
func (q *question) beginning(first int, since uint32, open []uint32) (b beginning) {
	b.first = first
	last, at := q.reports[len(q.reports)-1].at, q.reports[first].at
	before := upTo(open, at) - upTo(open, since)
	low := since // since when it may have begun
	var times []uint32
	for _, r := range q.reports[:first] {
		if r.at > since {
			times = append(times, r.at)
			low = r.at
		}
	}
	before += len(times)
	times = append(times, open[upTo(open, since):upTo(open, at)]...)
	slices.Sort(times)
	count := len(q.reports) - first
	none := q.rate(since, low, at, last, before, count, 1)
	clumps := clumped(times, since, at)
	for i, beta := range shares {
		b.logs[i] = (q.rate(since, low, at, last, before, count, beta) - none) / clumps
		b.seen[i] = (float64(first) + beta*float64(count)) / float64(len(q.reports))
	}
	return b
}

// rate is the log of how probable it is that after so many reports in calm so many came by last, up to a factor that does not depend on β: background
// comes at an even rate λ, of which nothing is known beforehand, times its drift, and all reports at that divided by β from some time between low and at on.
//
//	Σ over drifts d: P(d)·(d/β)^count · ∫ dλ λ^(before+count) · exp(−λ·(s−since) − λ·d/β·(last−s)), in the mean over s
func (q *question) rate(since, low, at, last uint32, before, count int, beta float64) float64 {
	n := float64(before + count + 1)
	sum := math.Inf(-1)
	for k := -driftMost; k <= driftMost; k++ {
		octaves := float64(k) * driftStep
		faster := math.Exp2(octaves) / beta
		x := octaves / driftScale
		begins := spent(since, low, last, faster)
		ends := spent(since, at, last, faster)
		sum = logAdd(sum, -math.Log1p(x*x)+float64(count)*math.Log(faster)+meanPower(begins, ends, n))
	}
	return sum
}

// spent is how long it takes background at its calm rate to bring what is expected by last, if from s on reports come faster; in seconds.
func spent(since, s, last uint32, faster float64) float64 {
	return float64(s-since) + faster*float64(last-s) + 1
}

// meanPower is the log of the mean of x^−n between two bounds, n > 1.
func meanPower(a, b, n float64) float64 {
	a, b = min(a, b), max(a, b)
	if b-a < 1e-9*b {
		return -n * math.Log(a)
	}
	return (1-n)*math.Log(a) + math.Log1p(-math.Exp((1-n)*math.Log(b/a))) - math.Log(n-1) - math.Log(b-a)
}

// clumped is by how much calm reports come in clumps: the variance of how many come in a day, or in a week, over the mean, at least 1 as where each comes
// for itself. A company whose reports are entered on Mondays, or come in waves, learns less from many at once.
func clumped(times []uint32, since, until uint32) float64 {
	most := 1.0
	for _, width := range []uint32{86400, 7 * 86400} {
		bins := float64((until - since) / width)
		if bins < 8 {
			continue
		}
		count := map[uint32]float64{}
		for _, t := range times {
			count[(t-since)/width]++
		}
		var squares float64
		for _, n := range count {
			squares += n * n
		}
		mean := float64(len(times)) / bins
		if mean > 0 {
			most = max(most, (squares/bins-mean*mean)*bins/(bins-1)/mean)
		}
	}
	return most
}
