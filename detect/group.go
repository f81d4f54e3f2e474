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
	looks   float64                      // the sum of hours
	used    map[uint64]int               // how many of them use a form of statement, an application
	level   float64                      // ln A

	losing float64 // share of their days lately on which most of them had a multiple
	lost   float64 // such days since calibration
	ended  float64 // and all that ended

	// Of the days that are open now: what came and what a whole day would bring.
	came, expected float64
	shock          float64   // how much more than expected most of them have at the last hour; 0 or 1: no more
	ratios         []float64 // for that

	drifts [bins]float64 // how people's weeks compare with what was usual for them, by ratio
	drift  float64
	moved  float64                  // variance of the logarithm of people's rates against what was learnt of them
	effect struct{ xy, xx float64 } // of more or less work on what is unexplained
	jobs   bulkWork

	// Shadows of the process, which are set back at low levels, show how often levels are reached by chance.
	shadows    [shadowed]float64
	shadowDays float64
	penalty    float64 // what is taken off the evidence since the null does not hold
}

const (
	fade         = 60.0  // half-life of what peers did, days
	trial        = 50.0  // days of innocence that calibration begins with
	extreme      = 100.0 // ratio of a day that looks like anything
	mostBetween  = 20.0
	leastBetween = 0.3
)

func newGroup(name string, level float64) *group {
	g := &group{name: name, level: level, drift: drifting, moved: movedBefore, losing: 0.6} // of the first weeks nobody knows what is usual
	for i, spec := range specs() {
		g.streams[i] = peers{mean: spec.usual, between: 0.5, size: 1, share: leastShare(level, spec.weight), mix: beforehand()}
		for j := range growths {
			g.streams[i].off[j] = slack
		}
		g.streams[i].often(0, &g.jobs)
	}
	g.streams[offShift].share = night
	return g
}

// calibrate is done once a day: means, differences between people, and the largest k for which days of innocence keep their promise, that
// the ratios of each δ average at most 1.
func (g *group) calibrate() {
	specs := specs()
	keep := math.Exp2(-1 / fade)
	g.lately()
	for s := range g.streams {
		q := &g.streams[s]
		if specs[s].fixed || q.days == 0 {
			continue
		}
		q.mean = max((specs[s].usual*specs[s].days+q.total)/(specs[s].days+q.days), 1e-6)
		q.between = g.between(s)
		if s == exposure {
			q.fit(g.people)
		} else {
			q.size = q.holds(g.drift)
		}
		if s == exposure {
			q.often(len(g.people), &g.jobs)
		} else {
			q.share = q.shares(leastShare(g.level, specs[s].weight), len(g.people))
		}
		if s == bulk { // what comes without a record of work that this role does by jobs
			q.share = min(mostShare, q.share+unrecorded*g.jobs.days/max(q.counted+q.zeros, trial)/slack)
		}
		if s == offShift {
			q.share = max(q.share, night)
		}
		q.fade(keep)
	}
	for i := range g.weekday {
		g.weekday[i].x *= keep
		g.weekday[i].days *= keep
	}
	g.drift = g.drifted(keep)
	g.moved = g.spread(keep)
	g.effect.xy, g.effect.xx = g.effect.xy*keep, g.effect.xx*keep
	g.jobs.days, g.jobs.customers = g.jobs.days*keep, g.jobs.customers*keep
	g.recalibrate()
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

// compared notes how a block of somebody's days compares with what was expected of them, and what of that is chance.
func (g *group) compared(p *person, ratio, said, noise float64) {
	off := min(ratio, 2) - 1    // a change of teams is no drift
	weight := 1 / (said + 0.02) // what says most about it
	p.moved = movement{p.moved.n + weight, p.moved.square + weight*off*off, p.moved.noise + weight*noise}
	g.drifts[min(bins-1, int(ratio/binWidth))]++
}

// movement is how far somebody's blocks were from what was expected, by how much they say, and what of it is chance.
type movement struct{ n, square, noise float64 }

// movedBefore is the variance that is taken before blocks of days say it.
const movedBefore = 0.04

const leastMoved = 0.004

// spread is the variance of the logarithm of people's rates against what was learnt of them. Those who moved most are left out, one in 40: a few thieves
// who are not found yet must not make it usual that rates rise.
func (g *group) spread(keep float64) float64 {
	const blocks = 200
	most := map[int]float64{}
	for _, p := range g.people {
		p.moved = movement{p.moved.n * keep, p.moved.square * keep, p.moved.noise * keep}
		if over := p.moved.square - p.moved.noise; over > 0 {
			most[p.number] = over
		}
	}
	out := leftOut(most, len(g.people))
	sum := movement{n: blocks, square: blocks * movedBefore}
	for _, p := range g.people {
		if !slices.Contains(out, p.number) {
			sum = movement{sum.n + p.moved.n, sum.square + p.moved.square, sum.noise + p.moved.noise}
		}
	}
	return min(1, max(leastMoved, (sum.square-sum.noise)/sum.n))
}

// response is how much of a change of his work shows in what is unexplained: 1 where both rise alike, 0 where they have nothing to do with
// each other.
func (g *group) response() float64 {
	const weight, beforehand = 10, 0.3
	return min(1, max(0, (weight*beforehand+g.effect.xy)/(weight+g.effect.xx)))
}

// answered notes what a day with more or less work brought.
func (g *group) answered(mu, k, x, more float64) {
	x = min(x, mu+4*math.Sqrt(mu+mu*mu/k)+3)
	variance := mu + mu*mu/k
	g.effect.xy += (x - mu) * mu * more / variance
	g.effect.xx += mu * mu * more * more / variance
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

// shadowed is how many low levels are watched.
const shadowed = 2

// shadowLevel is at which a shadow is set back.
func shadowLevel(i int) float64 { return [shadowed]float64{100, 1000}[i] }

// recalibrate compares how often low levels are reached by chance with what is promised. Where one is reached more often than chance allows,
// the alarm level rises by as much, extrapolated along its logarithm. Where all are surely reached more rarely, it falls by that, but by no more
// than mostFall: the tail beyond what was seen is not known. For the fall those who reached most are left out: a few thieves are no chance.
func (g *group) recalibrate() {
	rarest := 0.0
	for i := range g.shadows {
		n := g.reachedByMost(i)
		rarest = max(rarest, (n+2*math.Sqrt(n)+3)*shadowLevel(i)/max(g.shadowDays, 1))
	}
	g.penalty = max(-math.Log(mostFall), min(0, math.Log(rarest)))
	for i, n := range g.shadows {
		sure := n - 1.3*math.Sqrt(n) - 1
		if excess := sure * shadowLevel(i) / max(g.shadowDays, 1); excess > 1 {
			g.penalty = max(g.penalty, math.Log(excess)*g.level/math.Log(shadowLevel(i)))
		}
	}
}

const mostFall = 5

// reachedByMost is how often a low level was reached, but for the one in 40, and at least one, who reached it most often.
func (g *group) reachedByMost(i int) float64 {
	most := map[int]float64{}
	for _, p := range g.people {
		if p.reached[i] > 0 {
			most[p.number] = p.reached[i]
		}
	}
	n := g.shadows[i]
	for _, who := range leftOut(most, len(g.people)) {
		n -= most[who]
	}
	return max(0, n)
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
	return min(12, max(1, (g.came-p.came+prior)/(expected+prior), g.shock))
}

// enough is from how many people on what came to most of them is told by themselves.
const enough = 10

// compare looks at the last hour how those who work compare with what is expected of them. On a day on which tickets or calls are missing all have many
// times as many customers without a reason, more than what one person may add to the sum.
func (g *group) compare(hour func(*person) int) {
	g.ratios = g.ratios[:0]
	for _, p := range g.people {
		if p.open && p.work+p.streams[exposure].x > 0 {
			g.ratios = append(g.ratios, (p.streams[exposure].x+1)/(p.streams[exposure].mu*p.load()*g.passed(hour(p))+1))
		}
	}
}

// shock is how much more than expected most of them have; 1: no more.
func shock(ratios []float64) float64 {
	if len(ratios) < enough {
		return 1
	}
	slices.Sort(ratios)
	if middle := ratios[len(ratios)/2]; middle > 1.3 {
		return middle
	}
	return 1
}

const multiple, rare = 1.5, 0.3

// lose tells whether facts of a day are missing, by how much more than usual came to most of them. Such a day says nothing of how much one's days differ, nor
// whether one's rate has moved; learnt as if it did, a few of them hid a theft behind them for months. Where they are not rare it is how days are.
func (g *group) lose(surge float64) bool {
	g.ended++
	if surge > multiple {
		g.lost++
	}
	return g.loses(surge)
}

// loses tells it of a day that goes on.
func (g *group) loses(surge float64) bool { return surge > multiple && g.losing < rare }

// lately notes how many of their days that ended since it was asked were lost, as a mean of three weeks of work.
func (g *group) lately() {
	if g.ended > 0 {
		g.losing += (g.lost/g.ended - g.losing) / 15
	}
	g.lost, g.ended = 0, 0
}

// passed is which part of a day's work is usually done at the end of that hour.
func (g *group) passed(hour int) float64 {
	if g.looks < 100 {
		return 1
	}
	sum := 0.0
	for _, n := range g.hours[:max(0, hour+1)] {
		sum += n
	}
	return max(sum/g.looks, 0.15)
}
