package trace

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// drifts are by how much the rate of background may have changed since calm, in octaves, to either side. They are Cauchy with a scale of a quarter: half of the
// time within a fifth, and one time in ten beyond a factor of 3, since there are waves of calls that nobody here has to do with. That bounds what the
// stream alone can say for or against a leak.
var drifts = [...]float64{0, 0.125, 0.25, 0.375, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8} //nolint:gochecknoglobals // a table

const driftScale = 0.25

// driftLogs are the logs of how probable each is: as much as falls between the middles to its neighbours; on one side.
func driftLogs() (logs [len(drifts)]float64) {
	below := func(x float64) float64 { return math.Atan(x/driftScale) / math.Pi } // from 0 on
	low := 0.0
	for i := range drifts {
		high := 0.5
		if i+1 < len(drifts) {
			high = below((drifts[i] + drifts[i+1]) / 2)
		}
		logs[i] = math.Log(high - low)
		low = high
	}
	return logs
}

// waiting is when the reports came that weigh nothing, of customers none of whose reports does.
func waiting(open map[told]uint32, weigh map[told]*once) (times []uint32) {
	for c, at := range open {
		if weigh[c] == nil {
			times = append(times, at)
		}
	}
	slices.Sort(times)
	return times
}

// compare parts the reports that are suspected from those of calm before, and holds the rates to each other. In calm those that nobody has confirmed count as
// reports, too: who looks into a theft confirms more than is confirmed otherwise, and that must not look like a theft.
func (q *question) compare(from time.Time, waiting []uint32) {
	at := seconds(from)
	if from.IsZero() || len(q.reports) == 0 {
		q.unconfirmed = len(waiting)
		return
	}
	q.calm, _ = slices.BinarySearchFunc(q.reports, at, func(r once, at uint32) int { return cmp.Compare(r.at, at) })
	calm := slices.Clone(waiting[:upTo(waiting, at-1)])
	q.unconfirmed = len(waiting) - len(calm)
	for _, r := range q.reports[:q.calm] {
		calm = append(calm, r.at)
	}
	if len(calm) == 0 || q.calm == len(q.reports) {
		return
	}
	slices.Sort(calm)
	rates := rates{since: calm[0], low: calm[len(calm)-1], at: q.reports[q.calm].at, last: q.last(), before: len(calm) - 1, count: len(q.reports) - q.calm}
	clumps, none := clumped(calm[1:], rates.since, at), rates.log(1)
	for b, beta := range shares {
		q.sooner[b] = (rates.log(beta) - none) / clumps
	}
}

// rates are how many reports came in calm, between the first of all and some time between low and at, and how many from then on by last.
type rates struct {
	since, low, at, last uint32
	before, count        int
}

// log is how probable these numbers are, up to a factor that does not depend on β: background comes at an even rate λ, of which nothing is known
// beforehand, and later at that times its drift, all reports at that divided by β:
//
//	Σ over drifts d: P(d)·(d/β)^count · ∫ dλ λ^(before+count) · exp(−λ·(s−since) − λ·d/β·(last−s)), in the mean over s from low to at
func (r *rates) log(beta float64) float64 {
	n := float64(r.before + r.count + 1)
	sum := math.Inf(-1)
	for i, log := range driftLogs() {
		for _, faster := range [...]float64{math.Exp2(drifts[i]) / beta, math.Exp2(-drifts[i]) / beta} {
			sum = logAdd(sum, log+float64(r.count)*math.Log(faster)+meanPower(r.spent(r.low, faster), r.spent(r.at, faster), n))
		}
	}
	return sum
}

// spent is how long background takes at its calm rate to bring what is expected by last, if reports come faster from s on; in seconds.
func (r *rates) spent(s uint32, faster float64) float64 {
	return float64(s-r.since) + faster*float64(r.last-s) + 1
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
