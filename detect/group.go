package detect

import (
	"math"
	"slices"
)

// group are peers: people with the same role. It says what is usual among them, how much days and people differ, and whether the null
// holds.
type group struct {
	name    string
	people  []*person
	streams [streams]peers
	weekday [7]struct{ x, days float64 } // of customers without a reason
	hours   [24]float64                  // when they look at customers
	used    map[uint64]int               // how many of them use a form of statement, an application
	level   float64                      // ln A

	// Of the days that are open now: what came and what a whole day would bring.
	came, expected float64

	drifts [bins]float64 // how people's weeks compare with what was usual for them, by ratio
	drift  float64

	// The shadow of the process, which is set back at a low level, shows how often levels are reached by chance.
	shadows, shadowDays float64
	penalty             float64 // what is taken off the evidence since the null does not hold
}

// peers is what is usual of one stream.
type peers struct {
	days, total float64 // of people and days, older ones worth less
	mean        float64 // a day
	between     float64 // shape of the gamma of people's rates
	size        float64 // k of one person's days
	share       float64 // of days that look like anything

	ratios    [sizes][growths]float64 // sums of ratios of days with a count
	counted   float64                 // those days
	square    float64                 // sum of μ², and of what days differ by beyond chance
	beyond    float64
	zeros     float64         // days without
	zeroMu    float64         // sum of their means
	zeroDoubt float64         // sum of 1/evidence
	extremes  map[int]float64 // days that look like anything, by person
}

const sizes = 14

// size is the grid of k, from nearly Poisson to nearly anything.
func size(i int) float64 {
	return [sizes]float64{30, 15, 8, 5, 3, 2, 1.4, 1, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1}[i]
}

const (
	fade         = 60.0   // half-life of what peers did, days
	shadowLevel  = 100.0  // at which the shadow is set back
	trial        = 50.0   // days of innocence that calibration begins with
	extreme      = 1000.0 // ratio of a day that looks like anything
	mostBetween  = 20.0
	leastBetween = 0.3
)

func newGroup(name string, level float64) *group {
	g := &group{name: name, level: level, drift: drifting}
	for i, spec := range specs() {
		g.streams[i] = peers{mean: spec.usual, between: 0.5, size: 1, share: math.Exp(-level) / 20, extremes: map[int]float64{}}
	}
	return g
}

// size of a person's day: days differ, and so do people as far as his own history does not tell.
func joint(days, evidence float64) float64 { return 1 / (1/days + 1/evidence) }

// learn takes one finished day of somebody above suspicion.
func (q *peers) learn(p *person, n null, evidence, x, calendar float64) {
	q.days++
	q.total += min(x, n.mu+4*math.Sqrt(n.mu+n.mu*n.mu/n.k)+3) / calendar
	capped := min(x, n.mu+6*math.Sqrt(n.mu+n.mu*n.mu/n.k)+5)
	q.square += n.mu * n.mu
	q.beyond += (capped-n.mu)*(capped-n.mu) - n.mu
	if x == 0 {
		q.zeros++
		q.zeroMu += n.mu
		q.zeroDoubt += 1 / evidence
		return
	}
	q.counted++
	bound := min(1/q.share, max(20, 0.02*(q.counted+q.zeros)))
	for i := range sizes {
		k := joint(size(i), evidence)
		for j := range growths {
			q.ratios[i][j] += min(math.Exp(min(ratio(x, n.mu, k, max(growth(j), n.drift*n.mu)), 50)), bound)
		}
	}
	best := 0.0
	for j := range growths {
		best += math.Exp(min(ratio(x, n.mu, n.k, max(growth(j), n.drift*n.mu)), 50)) / growths
	}
	if best > extreme {
		q.extremes[p.number]++
	}
}

// calibrate is done once a day: means, differences between people, and the largest k for which days of innocence keep their promise, that
// the ratios of each δ average at most 1.
func (g *group) calibrate() {
	specs := specs()
	keep := math.Exp2(-1 / fade)
	for s := range g.streams {
		q := &g.streams[s]
		if specs[s].fixed || q.days == 0 {
			continue
		}
		q.mean = max((specs[s].usual*specs[s].days+q.total)/(specs[s].days+q.days), 1e-6)
		q.between = g.between(s)
		q.size = q.holds(g.drift)
		q.share = q.shares(g.level)
		q.fade(keep)
	}
	for i := range g.weekday {
		g.weekday[i].x *= keep
		g.weekday[i].days *= keep
	}
	g.drift = g.drifted(keep)
	g.recalibrate()
}

func (q *peers) fade(keep float64) {
	q.days *= keep
	q.total *= keep
	q.counted *= keep
	q.zeros *= keep
	q.square *= keep
	q.beyond *= keep
	q.zeroMu *= keep
	q.zeroDoubt *= keep
	for i := range q.ratios {
		for j := range q.ratios[i] {
			q.ratios[i][j] *= keep
		}
	}
	for who := range q.extremes {
		q.extremes[who] *= keep
	}
}

// holds is the largest k with which the promise holds.
func (q *peers) holds(drift float64) float64 {
	days := q.counted + q.zeros
	if days < trial {
		return min(q.size, 1)
	}
	mu, doubt := 0.0, 0.0
	if q.zeros > 0 {
		mu, doubt = q.zeroMu/q.zeros, q.zeroDoubt/q.zeros
	}
	// By moments, too, and no more than so many days can tell: rare days of innocence have not been seen yet.
	bound := min(0.5+days/150, q.square/max(q.beyond, q.square/100))
	for i := range sizes {
		if size(i) > bound && i < sizes-1 {
			continue
		}
		most := 0.0
		for j := range growths {
			sum := trial + q.ratios[i][j]
			if q.zeros > 0 {
				sum += q.zeros * math.Exp(ratio(0, mu, joint(size(i), 1/doubt), max(growth(j), drift*mu)))
			}
			most = max(most, sum/(trial+days))
		}
		if most <= 1+slack {
			return size(i)
		}
	}
	return size(sizes - 1)
}

// shares is the share of days that look like anything. Whoever has most of them is left out: one thief must not make thefts usual.
func (q *peers) shares(level float64) float64 {
	sum, most := 0.0, 0.0
	for _, n := range q.extremes { // sums and maxima, whatever the order
		most = max(most, n)
	}
	numbers := make([]int, 0, len(q.extremes))
	for who := range q.extremes {
		numbers = append(numbers, who)
	}
	slices.Sort(numbers) // sums of floats depend on it
	for _, who := range numbers {
		sum += q.extremes[who]
	}
	least := math.Exp(-level) / 20
	return min(0.5, least+max(0, sum-most)/max(q.counted+q.zeros, trial)/(2*slack))
}

// between is the shape of the gamma distribution of people's rates, by moments.
func (g *group) between(s int) float64 {
	n, mean, square, sampling := 0.0, 0.0, 0.0, 0.0
	for _, p := range g.people {
		own := &p.streams[s]
		if own.days < 8 {
			continue
		}
		r := own.total / own.days
		n++
		mean += r
		square += r * r
		sampling += 1 / own.days
	}
	q := &g.streams[s]
	if n < fewPeers || mean == 0 {
		return q.between
	}
	mean /= n
	variance := max(square/n-mean*mean, 0) * n / (n - 1)
	noise := (mean + mean*mean/q.size) * sampling / n
	return min(mostBetween, max(leastBetween, mean*mean/max(variance-noise, mean*mean/mostBetween)))
}

const (
	bins     = 40
	binWidth = 0.1  // of the ratio
	drifting = 0.7  // before anything is known
	least    = 0.5  // growth by less is never evidence
	block    = 20.0 // days that are compared
)

// compared notes how a block of somebody's days compares with what was expected of them.
func (g *group) compared(ratio float64) {
	g.drifts[min(bins-1, int(ratio/binWidth))]++
}

// drifted is the growth that is no evidence: twice what one block in ten exceeds.
func (g *group) drifted(keep float64) float64 {
	all, above := 0.0, 0.0
	for i := range g.drifts {
		g.drifts[i] *= keep
		all += g.drifts[i]
	}
	if all < 30 {
		return drifting
	}
	for i := bins - 1; i >= 0; i-- {
		if above += g.drifts[i]; above > all/10 {
			return min(3, max(least, 2*((float64(i)+0.5)*binWidth-1)))
		}
	}
	return drifting
}

// recalibrate compares how often a low level is reached by chance with what is promised. Where it is more than chance allows, the alarm
// level rises by as much, extrapolated along its logarithm.
func (g *group) recalibrate() {
	sure := g.shadows - 2*math.Sqrt(g.shadows) - 2
	g.penalty = 0
	if excess := sure * shadowLevel / max(g.shadowDays, 1); excess > 1 {
		g.penalty = math.Log(excess) * g.level / math.Log(shadowLevel)
	}
}

// calendar is how this weekday compares with others.
func (g *group) calendar(day int64) float64 {
	all, days := 0.0, 0.0
	for _, w := range g.weekday {
		all += w.x
		days += w.days
	}
	const prior = 30
	if all == 0 {
		return 1
	}
	mean := all / days
	w := g.weekday[weekday(day)]
	return min(4, max(0.25, (w.x+prior*mean)/(w.days+prior)/mean))
}

func weekday(day int64) int { return int(((day+4)%7 + 7) % 7) } // 1970 began on a Thursday

// surge is how much more than usual came to his peers today, never less than 1: what happens to all is nobody's theft.
func (g *group) surge(p *person, hour int) float64 {
	const prior = 4
	expected := (g.expected - p.expected) * g.passed(hour)
	return min(8, max(1, (g.came-p.came+prior)/(expected+prior)))
}

// passed is which part of a day's work is usually done at the end of that hour.
func (g *group) passed(hour int) float64 {
	sum, all := 0.0, 0.0
	for h, n := range g.hours {
		all += n
		if h <= hour {
			sum += n
		}
	}
	if all < 100 {
		return 1
	}
	return max(sum/all, 0.15)
}
