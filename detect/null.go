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
		for i := range e {
			e[i] = n.bounded(x, growth(i))
		}
		return e
	}
	e = n.mixed(x, n.k)
	for i := range e {
		e[i] -= n.off[i]
	}
	return e
}

// bounded is the ratio, bounded by what days that look like anything allow.
func (n *null) bounded(x, delta float64) float64 {
	l := ratio(x, n.mu, n.k, max(delta, n.drift*n.mu))
	switch {
	case l > 0:
		l = -math.Log((1-n.share)*math.Exp(-l) + n.share)
	default:
		l -= math.Log1p(n.share * (math.Exp(l) - 1))
	}
	return l - slack
}

// mixed are the ratios against the mixture over where his rate may be, and over days that look like anything.
func (n *null) mixed(x, k float64) (e [growths]float64) {
	var means, logs [nodes]float64
	for j := range logs {
		means[j] = n.mu * n.rates.factor(j)
		logs[j] = kernel(x, means[j], k)
	}
	for i := range e {
		mean := n.mu + growth(i)
		own := kernel(x, mean, k)
		sum := n.contaminated(x, mean, k)
		for j, w := range n.rates.weight {
			if means[j] >= mean { // a rate as high as the theft's is no theft: it says 1 to it, whatever the count
				sum += w
			} else {
				sum += w * math.Exp(logs[j]-own)
			}
		}
		e[i] = -math.Log(sum)
	}
	return e
}

// likelihood is the logarithm of the null's density with this size.
func (n *null) likelihood(x, k float64) float64 {
	at := density(x, n.mu, k) - kernel(x, n.mu, k)
	sum := math.Exp(n.tail.logDensity(x - n.mu))
	for j, w := range n.rates.weight {
		sum += w * math.Exp(at+kernel(x, n.mu*n.rates.factor(j), k))
	}
	return math.Log(sum)
}

// variance is that of a day, with what is not known of his rate.
func (n *null) variance() float64 {
	v := n.mu + n.mu*n.mu/n.k
	if n.rates != nil {
		v += n.mu * n.mu * n.rates.step * n.rates.step
	}
	return v
}

// alone is the same day as one negative binomial.
func (n *null) alone(drift float64) null {
	return null{mu: n.mu, k: n.mu * n.mu / math.Max(n.variance()-n.mu, 1e-9), share: max(n.share, 1e-4), drift: drift}
}

// kernel is the part of the logarithm of a negative binomial's density that hangs on its mean.
func kernel(x, mean, k float64) float64 {
	l := -k * math.Log1p(mean/k)
	if x != 0 {
		l -= x * math.Log1p(k/mean)
	}
	return l
}

// density is the logarithm of a negative binomial's density, for real counts.
func density(x, mean, k float64) float64 {
	a, _ := math.Lgamma(x + k)
	b, _ := math.Lgamma(k)
	c, _ := math.Lgamma(x + 1)
	return a - b - c + kernel(x, mean, k)
}

// contaminated is the density of days that look like anything over that of a theft with this mean. Beyond the theft's mean, where its own
// density falls, it stays what it is there, so that more customers are never less evidence; but it is never less than what lets days with so
// many customers or more bring a little on average.
func (n *null) contaminated(x, mean, k float64) float64 {
	if n.tail == nil {
		return n.share
	}
	at := min(x, mean)
	s := math.Exp(min(n.tail.logDensity(at-n.mu)-density(at, mean, k), 0))
	return max(n.share, s, min(mostShare, n.tail.beyond[step(max(x, mean)-n.mu)]*rarely))
}

// rates say where somebody's rate is by now, as factors of what was learnt: a filter over a grid of its logarithm, in steps of its standard
// deviation. Rates move slowly, and back to what was learnt. What moves at once is nobody's drift.
type rates struct {
	step   float64 // standard deviation of the logarithm: of what was learnt, and of how rates drift
	moves  float64 // steps a day, up or down
	weight [nodes]float64
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

func (r *rates) factor(j int) float64 { return math.Exp(r.step * float64(j-centre)) }

// begin sets what is known at first.
func (r *rates) begin() { r.weight = prior() }

// see learns from a day, whose count is no more than an unusual day has.
func (r *rates) see(n *null, x float64) {
	var logs [nodes]float64
	most := math.Inf(-1)
	for j := range logs {
		logs[j] = kernel(x, n.mu*r.factor(j), n.k)
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

// share is how much of the null days like this one are: what makes their ratios average slack.
func (t *tail) share(excess float64) float64 { return min(mostShare, t.beyond[step(excess)]/slack) }

func (t *tail) logDensity(excess float64) float64 {
	at := min(steps-1.001, max(0, 2*math.Log2(max(excess, 1))))
	i := int(at)
	return t.density[i] + (at-float64(i))*(t.density[i+1]-t.density[i])
}

// rarely is how far beyond its chance a day of the tail may be evidence.
const rarely = 25

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
