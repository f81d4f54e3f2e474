package detect

import "math"

// null is what a day of somebody innocent looks like: a negative binomial, except that some days look like anything. Growth by less than
// the part drift of the mean is no evidence, and growths below it are raised to it.
//
// For customers without a reason, of which there is most to learn, it is finer: his rate may have moved since it was learnt (rates), and how
// many customers the days bring that look like anything is learnt, too (tail).
type null struct {
	mu, k, share, drift float64
	rates               *rates
	tail                *tail
	off                 *[growths]float64 // what is taken off each day's ratio: what days of innocence brought too much
}

// evidences are the logarithms of the day's ratios for each growth.
func (n *null) evidences(x float64) (e [growths]float64) {
	if n.rates == nil {
		last, was := 0.0, 0.0
		for i, delta := range n.deltas() {
			if delta != was {
				last, was = n.bounded(x, delta), delta
			}
			e[i] = last
		}
		return e
	}
	e = n.mixed(x, n.k)
	for i := range e {
		e[i] -= n.off[i]
	}
	return e
}

// deltas are the growths, those that are no evidence raised. Where a mean is high most of them are alike.
func (n *null) deltas() (list [growths]float64) {
	for i := range list {
		list[i] = max(growth(i), n.drift*n.mu)
	}
	return list
}

// bounded is the ratio, bounded by what days that look like anything allow.
func (n *null) bounded(x, delta float64) float64 {
	l := ratio(x, n.mu, n.k, delta)
	switch {
	case l > 0:
		l = -math.Log((1-n.share)*math.Exp(-l) + n.share)
	case n.share > 1e-4: // of less it takes off less
		l -= math.Log1p(n.share * (math.Exp(l) - 1))
	}
	return l - slack
}

// mixed are the ratios against the mixture over where his rate may be, and over days that look like anything, where days have this size. It is the
// innermost part of all: no logarithm and no exponential is taken twice.
func (n *null) mixed(x, k float64) (e [growths]float64) {
	logs, most := n.byRate(x, k, math.Log(n.mu))
	var below, weights [nodes + 1]float64 // sums over the first rates: of likelihoods, and of weights
	for j, w := range n.rates.weight {
		below[j+1] = below[j] + w*math.Exp(logs[j]-most)
		weights[j+1] = weights[j] + w
	}
	logK, shape, anything, place := math.Log(k), combinations(x, k), n.tail.logDensity(x-n.mu), step(x-n.mu)
	j := 0
	for i := range e {
		mean := n.mu + growth(i)
		for j < nodes && n.mu*n.rates.factors[j] < mean {
			j++
		}
		whole, logMean := math.Log(k+mean), math.Log(mean)
		theft := k*(logK-whole) + x*(logMean-whole)
		// Days that look like anything: their density over the theft's. Beyond the theft's mean, where its own density falls, it stays what it
		// is there, so that more customers are never less evidence; but it is never less than what lets days with so many customers or more
		// bring a little on average.
		s, beyond := anything-shape-theft, 2*i
		if x > mean {
			s, beyond = n.tail.density[2*i]-combinations(mean, k)-k*(logK-whole)-mean*(logMean-whole), place
		}
		s = max(n.share, math.Exp(min(s, 0)), min(mostShare, n.tail.beyond[beyond]*rarely))
		lower := below[j] * math.Exp(most-theft)
		if most-theft > 700 { // beyond what a float can hold, while what is below comes to 0
			lower = 0
			for l, w := range n.rates.weight[:j] {
				lower += w * math.Exp(logs[l]-theft)
			}
		}
		// A rate as high as the theft's is no theft: it says 1 to it, whatever the count.
		e[i] = -math.Log(weights[nodes] - weights[j] + lower + s)
	}
	return e
}

// byRate are the logarithms of the densities by where his rate may be, but for combinations, and the highest. Of a negative binomial
// k·ln(k/(k+m)) + x·ln(m/(k+m)) hangs on the mean m.
func (n *null) byRate(x, k, logMu float64) (logs [nodes]float64, most float64) {
	logK := math.Log(k)
	most = math.Inf(-1)
	for j := range logs {
		whole := math.Log(k + n.mu*n.rates.factors[j])
		logs[j] = k*(logK-whole) + x*(logMu+n.rates.step*float64(j-centre)-whole)
		most = max(most, logs[j])
	}
	return logs, most
}

// densities are the logarithms of that of a day, where days have each of the sizes.
func (n *null) densities(x float64) (list [sizes]float64) {
	logMu, anything, gamma := math.Log(n.mu), math.Exp(n.tail.logDensity(x-n.mu)), 0.0
	if x != 0 {
		gamma, _ = math.Lgamma(x + 1)
	}
	for i := range list {
		k := size(i)
		logs, most := n.byRate(x, k, logMu)
		sum := 0.0
		for j, w := range n.rates.weight {
			sum += w * math.Exp(logs[j]-most)
		}
		shape := 0.0
		if x != 0 {
			a, _ := math.Lgamma(x + k)
			b, _ := math.Lgamma(k)
			shape = a - b - gamma
		}
		list[i] = math.Log(anything + sum*math.Exp(shape+most))
	}
	return list
}

// combinations is the part of the logarithm of a negative binomial's density that does not hang on its mean, for real counts.
func combinations(x, k float64) float64 {
	if x == 0 {
		return 0
	}
	a, _ := math.Lgamma(x + k)
	b, _ := math.Lgamma(k)
	c, _ := math.Lgamma(x + 1)
	return a - b - c
}

// rates say where somebody's rate is by now, as factors of what was learnt: a filter over a grid of its logarithm, in steps of its standard
// deviation. Rates move slowly, and back to what was learnt. What moves at once is nobody's drift.
type rates struct {
	step    float64 // standard deviation of the logarithm: of what was learnt, and of how rates drift
	moves   float64 // steps a day, up or down
	weight  [nodes]float64
	factors [nodes]float64 // of what was learnt, by step
}

const (
	nodes  = 7
	centre = 2
	moving = 0.02 // steps a day, up or down, where all of it is drift
)

// prior are the weights of a normal distribution at −2 … 4 standard deviations.
func prior() (w [nodes]float64) {
	sum := 0.0
	for j := range w {
		z := float64(j - centre)
		w[j] = math.Exp(-z * z / 2)
		sum += w[j]
	}
	for j := range w {
		w[j] /= sum
	}
	return w
}

// spread sets how far apart the steps are.
func (r *rates) spread(step float64) {
	r.step = step
	for j := range r.factors {
		r.factors[j] = math.Exp(step * float64(j-centre))
	}
}

// begin sets what is known at first.
func (r *rates) begin() { r.weight = prior() }

// see learns from a day, whose count is no more than an unusual day has.
func (r *rates) see(n *null, x float64) {
	var logs [nodes]float64
	most := math.Inf(-1)
	for j := range logs {
		mean := n.mu * r.factors[j]
		logs[j] = x*math.Log(mean/(n.k+mean)) - n.k*math.Log(n.k+mean)
		most = max(most, logs[j])
	}
	const floor = 1e-3 // one day says no more: it may be one that looks like anything
	sum := 0.0
	for j := range r.weight {
		r.weight[j] *= max(math.Exp(logs[j]-most), floor)
		sum += r.weight[j]
	}
	for j := range r.weight {
		r.weight[j] /= sum
	}
}

// drifted is how much more than was learnt of him his rate is taken to be by now, as far as that is drift and not what little is known of him.
// What is learnt of a day is divided by it: else drift would be counted twice, by the filter and by what is usual, and a slow thief would get
// the statistics used to him.
func (r *rates) drifted() float64 {
	mean := 0.0
	for j, w := range r.weight {
		mean += w * float64(j-centre)
	}
	return math.Exp(max(0, mean) * r.step * r.moves / moving)
}

// pass lets days pass: a walk from step to step that has the prior as its balance.
func (r *rates) pass(days int64) {
	p := prior()
	if days > 90 {
		r.weight = p
		return
	}
	for range days {
		next := r.weight
		for j := range nodes - 1 {
			up := r.moves * r.weight[j] * math.Min(1, p[j+1]/p[j])
			down := r.moves * r.weight[j+1] * math.Min(1, p[j]/p[j+1])
			next[j] += down - up
			next[j+1] += up - down
		}
		r.weight = next
	}
}

// tail is how many customers beyond the expected those days bring that look like anything, by half powers of two.
type tail struct {
	beyond  [steps]float64 // how often a day brings so many or more
	density [steps]float64 // logarithm, by customer
}

func (t *tail) logDensity(excess float64) float64 {
	at := min(steps-1.001, max(0, 2*math.Log2(max(excess, 1))))
	i := int(at)
	return t.density[i] + (at-float64(i))*(t.density[i+1]-t.density[i])
}

// nothing is a tail without days.
func nothing() *tail {
	t := &tail{}
	for i := range t.density {
		t.density[i] = -700
	}
	return t
}

// rarely is how far beyond its chance a day of the tail may be evidence.
const rarely = 5

// mostShare is the share at which days say nothing any more.
const mostShare = 0.98

// How often innocent days look like a theft of some size is told by those that did, and beforehand by one in 2,000 days; ten times the size
// is a thousand times as rare.
const (
	steps       = 44
	priorBursts = 1.0
	priorDays   = 2000.0
	priorExcess = 20.0
	steep       = 3.0
	mostBursts  = 2000
)

// step is the place of an excess in the tail, rounded down.
func step(excess float64) int { return int(min(steps-1, max(0, 2*math.Log2(max(excess, 1))))) }

// add puts bursts of about one size into it, as a part of all days: most of them smaller, evenly by their logarithm, and some larger, ever more
// rarely. The density falls with the size everywhere, so that more is never less evidence; how many are beyond is no less than that.
func (t *tail) add(size, part float64) {
	size = max(size, math.E)
	l := math.Log(size)
	smaller := steep * l / (1 + steep*l)
	for i := range t.beyond {
		excess := math.Exp2(float64(i) / 2)
		if excess < size {
			t.beyond[i] += part
			t.density[i] += part * smaller / l / excess
			continue
		}
		more := math.Pow(size/excess, steep)
		t.beyond[i] += part * more
		t.density[i] += part * (1 - smaller) * steep * more / excess
	}
}

// logs turns the densities into logarithms, when all is added.
func (t *tail) logs() {
	for i := range t.density {
		t.density[i] = math.Log(t.density[i])
	}
}
