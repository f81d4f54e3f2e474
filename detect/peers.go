package detect

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

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
	zeros     float64 // days without
	zeroMu    float64 // sum of their means
	zeroDoubt float64 // sum of 1/evidence
	extremes  []burst // days that look like anything
	tail      *tail
	fits      [sizes]float64   // logarithm of the likelihood of days by size, for the finer null
	used      [growths]float64 // sums of ratios of days, for it
	mix       [sizes]float64   // how many people's days have which size
	off       [growths]float64 // what is taken off each day's ratio
}

const (
	sizes     = 14
	beginning = 7 // of size: what is taken until enough days are known
)

// burst is a day of somebody above suspicion that looks like anything.
type burst struct {
	who    int
	excess float64
	weight float64 // fades
}

// often is how often an excess of so much comes on a day of somebody innocent. The people with the largest are left out, one in 40 and at
// least one: a few thieves must not make thefts usual.
func (q *peers) often(people int, jobs *bulkWork) {
	most := map[int]float64{}
	for _, b := range q.extremes {
		most[b.who] = max(most[b.who], b.excess)
	}
	out := leftOut(most, people)
	days := q.counted + q.zeros
	t := &tail{}
	t.add(priorExcess, priorBursts/(priorDays+days))
	for _, b := range q.extremes {
		if !slices.Contains(out, b.who) {
			t.add(b.excess, b.weight/(priorDays+days))
		}
	}
	jobs.expect(t, days)
	t.logs()
	q.tail = t
}

// leftOut are the people with most: one in 40, and at least one.
func leftOut(most map[int]float64, people int) []int {
	who := slices.SortedFunc(maps.Keys(most), func(a, b int) int { return cmp.Or(cmp.Compare(most[b], most[a]), cmp.Compare(a, b)) })
	return who[:min(len(who), max(1, people/40))]
}

// bulkWork is work on many customers by jobs on record. Where a role does such work, some of it comes without a record: how much is not
// known beforehand, so two jobs in five are taken to be missing until days without a reason tell.
type bulkWork struct{ days, customers float64 }

const unrecorded = 0.4

// expect puts into the tail what may come without a record.
func (b *bulkWork) expect(t *tail, days float64) {
	if b.days > 0 {
		t.add(max(b.customers/b.days, many), min(0.5, unrecorded*b.days/max(days, trial)))
	}
}

// size is the grid of k, from nearly Poisson to nearly anything.
func size(i int) float64 {
	return [sizes]float64{30, 15, 8, 5, 3, 2, 1.4, 1, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1}[i]
}

// size of a person's day: days differ, and so do people as far as his own history does not tell.
func joint(days, evidence float64) float64 { return 1 / (1/days + 1/evidence) }

// learn takes one finished day of somebody above suspicion.
func (q *peers) learn(p *person, n null, evidence, x, calendar float64) {
	q.days++
	q.total += min(x, n.mu+4*math.Sqrt(n.mu+n.mu*n.mu/n.k)+3) / calendar
	if n.rates != nil {
		q.mixed(p, n, x)
		return
	}
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
	bound := min(1/n.share, max(20, 0.02*(q.counted+q.zeros)))
	deltas := n.deltas()
	var rises [growths]float64
	for j, delta := range deltas {
		rises[j] = math.Log1p(delta / n.mu)
	}
	for i := range sizes {
		k, last, was := joint(size(i), evidence), 0.0, 0.0
		for j, delta := range deltas {
			if delta != was {
				last, was = min(math.Exp(min(risen(x, n.mu, k, delta, rises[j]), 50)), bound), delta
			}
			q.ratios[i][j] += last
		}
	}
	best := 0.0
	for j, delta := range deltas {
		best += math.Exp(min(risen(x, n.mu, n.k, delta, rises[j]), 50)) / growths
	}
	if best > extreme {
		q.burst(burst{p.number, x - n.mu, 1})
	}
}

// mixed learns a day against the finer null: how much days differ, and what the ratios come to. How much his own do is learnt when the day has waited, since
// days with a theft and days without differ.
func (q *peers) mixed(p *person, n null, x float64) {
	p.likely = &[sizes]float32{}
	for i, density := range n.densities(x) {
		density = max(density, -20)
		q.fits[i] += density
		p.likely[i] = float32(density)
	}
	q.counted++
	bound := max(20, 0.01*(q.counted+q.zeros))
	for j, e := range n.mixed(x, n.k) {
		q.used[j] += min(math.Exp(e), bound)
	}
	best := 0.0
	bare := n
	bare.tail, bare.share = nothing(), 0
	for _, e := range bare.mixed(x, n.k) {
		best += math.Exp(min(e, 50)) / growths
	}
	if best > extreme {
		q.burst(burst{p.number, x - n.mu, 1})
	}
}

func (q *peers) burst(b burst) {
	if len(q.extremes) == mostBursts {
		q.extremes = q.extremes[:copy(q.extremes, q.extremes[1:])]
	}
	q.extremes = append(q.extremes, b)
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
	for j := range q.used {
		q.used[j] *= keep
	}
	for i := range q.ratios {
		q.fits[i] *= keep
		for j := range q.ratios[i] {
			q.ratios[i][j] *= keep
		}
	}
	for i := range q.extremes {
		q.extremes[i].weight *= keep
	}
}

// fit takes the size under which the days of all are likeliest, sees how people differ in that, and takes off each day's ratio by what days of
// innocence exceed their promise, that ratios average at most 1.
func (q *peers) fit(people []*person) {
	days := q.counted + q.zeros
	best := sizes - 1
	for i := range sizes {
		if q.fits[i] > q.fits[best] {
			best = i
		}
	}
	if q.size = size(best); days < trial {
		q.size = size(beginning)
	}
	for j := range q.off {
		q.off[j] = slack + max(0, math.Log((trial+q.used[j])/(trial+days)))
	}
	mix := beforehand()
	for _, p := range people {
		if p.days < 5 {
			continue
		}
		for i, w := range q.sizesOf(p) {
			mix[i] += w
		}
	}
	q.mix = mix
}

// beforehand are three people, of whom nobody knows how much their days differ.
func beforehand() (mix [sizes]float64) {
	const people, around, wide = 3, beginning, 4
	for i := range mix {
		mix[i] = people * max(0.05, 1-math.Abs(float64(i-around))/wide) / wide
	}
	return mix
}

// sizesOf is how likely each size is for somebody's days, by them and by what is usual among his peers.
func (q *peers) sizesOf(p *person) (weights [sizes]float64) {
	most, sum := math.Inf(-1), 0.0
	for i := range weights {
		most = max(most, p.fits[i])
	}
	for i := range weights {
		weights[i] = q.mix[i] * math.Exp(p.fits[i]-most)
		sum += weights[i]
	}
	for i := range weights {
		weights[i] /= sum
	}
	return weights
}

// sizeOf is the size that is taken for somebody: smaller it is with a chance of cautious at most, and no larger than so many days of all can tell.
func (q *peers) sizeOf(p *person) float64 {
	const cautious = 0.2
	bound, sum := 0.5+(q.counted+q.zeros)/150, 0.0
	for i, weights := sizes-1, q.sizesOf(p); i > 0; i-- {
		if sum += weights[i]; sum >= cautious || size(i-1) > bound {
			return size(i)
		}
	}
	return size(0)
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

// leastShare is the share of days that look like anything before one is seen: so small that a stream with this weight can raise an alarm.
func leastShare(level, weight float64) float64 {
	if weight == 0 {
		weight = 1
	}
	return math.Exp(-level) * weight / 20
}

// shares is the share of days that look like anything, for streams other than the first.
func (q *peers) shares(lowest float64, people int) float64 {
	sums := map[int]float64{}
	sum := 0.0
	for _, b := range q.extremes {
		sums[b.who] += b.weight
		sum += b.weight
	}
	for _, who := range leftOut(sums, people) {
		sum -= sums[who]
	}
	return min(mostShare, lowest+max(0, sum)/max(q.counted+q.zeros, trial)/slack)
}

// night is the least share of days on which somebody is at work outside his hours for whatever reason: an incident, a release, a night whose tickets are on no
// record. How many customers he looks at then says little beside that he is there, so that one night alone accuses nobody.
const night = 1. / 5000
