package trace

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"sallyport"
)

// The backgrounds that are mixed: any customer, those whom somebody saw, those by how many saw them.
const mixtures = 7

var mixture = [mixtures][3]float64{ //nolint:gochecknoglobals // a table
	{1, 0, 0},
	{0, 1, 0},
	{0, 0, 1},
	{0.5, 0.5, 0},
	{0.5, 0, 0.5},
	{0, 0.5, 0.5},
	{1. / 3, 1. / 3, 1. / 3},
}

// prior is how probable each mixture is beforehand: scammers who call at random are what is usual, and the others are there so that nobody is
// named because the customers who talk to the company are also those who report.
var prior = [mixtures]float64{0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1} //nolint:gochecknoglobals // a table

// shares are the values of β that are summed over, each as probable as the other.
var shares = [...]float64{0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9} //nolint:gochecknoglobals // a table

// Two who act together are less probable than one, and each of them may have sold more of it.
const (
	pairPrior  = 0.05
	pairAmong  = 24 // of the most suspicious viewers; fewer where there are many reports, since these tell who is suspicious
	pairLeast  = 8
	pairWork   = 4_000_000 // pairs × reports that are worth their time
	alonePrior = 1 - pairPrior
)

// hypothesis is one view of one person, or two views of two, as the source.
type hypothesis struct {
	viewers [2]uint32
	pair    bool
	log     float64                        // of prior and likelihood
	parts   [len(shares)][mixtures]float64 // of which log is the sum; of a pair only in the mixture that fits best
}

// noViewer stands for nobody in particular.
const noViewer = math.MaxUint32

// judge weighs every hypothesis. The last two are that one who had seen nobody of those who reported is the source, and that nobody is.
func (q *question) judge() []hypothesis {
	people := float64(len(q.x.byNo))
	viewers := q.viewers()
	list := make([]hypothesis, len(viewers))
	each(len(list), func(i int) {
		list[i].viewers = [2]uint32{viewers[i]}
		q.alone(&list[i], math.Log((1-q.none)*alonePrior/people/q.viewsOf(viewers[i])))
	})
	slices.SortStableFunc(list, func(a, b hypothesis) int { return cmp.Compare(b.log, a.log) })
	list = append(list, q.pairs(list, math.Log((1-q.none)*pairPrior/max(1, people*(people-1)/2)))...)
	return append(list, q.without(people), q.nobody())
}

// without is that one of those is the source who had seen nobody who reported.
func (q *question) without(people float64) hypothesis {
	with := map[uint32]bool{}
	for viewer := range q.hits {
		with[viewer/uint32(views)] = true
	}
	h := hypothesis{viewers: [2]uint32{noViewer}}
	q.alone(&h, math.Log((1-q.none)*alonePrior*(people-float64(len(with)))/people))
	return h
}

// nobody is that no listed person is the source: every report is background.
func (q *question) nobody() hypothesis {
	h := hypothesis{viewers: [2]uint32{noViewer}, log: math.Inf(-1)}
	for m := range mixtures {
		h.log = logAdd(h.log, math.Log(q.none*prior[m])+q.base[m])
	}
	return h
}

// viewers are those with hits, in the order of their names, so that sums are the same in whatever order people came.
func (q *question) viewers() []uint32 {
	return slices.SortedFunc(maps.Keys(q.hits), func(a, b uint32) int {
		return cmp.Or(cmp.Compare(q.x.viewed(a), q.x.viewed(b)), cmp.Compare(a%uint32(views), b%uint32(views)))
	})
}

// viewsOf is among how many views the prior of a person is shared.
func (q *question) viewsOf(viewer uint32) (n float64) {
	first := viewer - viewer%uint32(views)
	for v := range uint32(views) {
		if len(q.x.sum.times[first+v]) > 0 {
			n++
		}
	}
	return max(n, 1)
}

// alone fills in a hypothesis of one viewer. Reports about others are background: that is in base, times β each
// where they are suspected.
func (q *question) alone(h *hypothesis, before float64) {
	hits := q.hits[h.viewers[0]]
	h.log = math.Inf(-1)
	ratios := make([]float64, len(hits))
	for m := range mixtures {
		for i, hit := range hits {
			ratios[i] = hit.weight / q.ground[hit.report][m]
		}
		for b, beta := range shares {
			odds, grow := (1-beta)/beta, product{}
			for _, r := range ratios {
				grow.times(1 + odds*r)
			}
			part := before + math.Log(prior[m]/float64(len(shares))) + q.base[m] + float64(len(q.reports)-q.calm)*math.Log(beta) + q.sooner[b] + grow.log()
			h.parts[b][m] = part
			h.log = logAdd(h.log, part)
		}
	}
}

// pairs weighs two people together, among the most suspicious. They are looked at in the mixture of backgrounds that fits the first suspect,
// and only with that mixture's share of the prior: so they get less than they deserve, never more.
func (q *question) pairs(list []hypothesis, before float64) (pairs []hypothesis) {
	among := pairAmong
	for among > pairLeast && among*(among-1)/2*len(q.reports) > pairWork {
		among--
	}
	list = list[:min(len(list), among)]
	if len(list) < 2 {
		return nil
	}
	m := list[0].mixture()
	weights := make([][]float64, len(list))
	for i, h := range list {
		weights[i] = make([]float64, len(q.reports))
		for _, hit := range q.hits[h.viewers[0]] {
			weights[i][hit.report] = hit.weight / q.ground[hit.report][m]
		}
	}
	var two [][2]int
	for i := range list {
		for j := range i {
			if list[i].who()[0] != list[j].who()[0] { // else one person
				two = append(two, [2]int{i, j})
			}
		}
	}
	pairs = make([]hypothesis, len(two))
	each(len(two), func(n int) {
		i, j := two[n][0], two[n][1]
		pairs[n] = hypothesis{viewers: [2]uint32{list[i].viewers[0], list[j].viewers[0]}, pair: true}
		q.together(&pairs[n], before, m, weights[i], weights[j])
	})
	return pairs
}

// together fills in a hypothesis of two, in one mixture of backgrounds.
func (q *question) together(h *hypothesis, before float64, m int, one, other []float64) {
	h.log = math.Inf(-1)
	before -= math.Log(float64(len(shares)) * q.viewsOf(h.viewers[0]) * q.viewsOf(h.viewers[1]))
	both := make([]float64, 0, len(one))
	for r, w := range one {
		if w += other[r]; w > 0 {
			both = append(both, w/2)
		}
	}
	for s, beta := range shares {
		for k := range mixtures {
			h.parts[s][k] = math.Inf(-1)
		}
		odds, grow := (1-beta)/beta, product{}
		for _, w := range both {
			grow.times(1 + odds*w)
		}
		h.parts[s][m] = before + math.Log(prior[m]) + q.base[m] + float64(len(q.reports)-q.calm)*math.Log(beta) + q.sooner[s] + grow.log()
		h.log = logAdd(h.log, h.parts[s][m])
	}
}

// mixture is the one that fits best.
func (h *hypothesis) mixture() (best int) {
	top := math.Inf(-1)
	for _, row := range h.parts {
		for m, part := range row {
			if part > top {
				top, best = part, m
			}
		}
	}
	return best
}

// product multiplies many factors of at least 1 without leaving the range of a float, and without a logarithm each.
type product struct {
	mantissa float64
	logs     float64
}

func (p *product) times(f float64) {
	if p.mantissa == 0 {
		p.mantissa = 1
	}
	if p.mantissa *= f; p.mantissa > 1e250 {
		p.logs, p.mantissa = p.log(), 1
	}
}

func (p *product) log() float64 {
	if p.mantissa == 0 {
		return p.logs
	}
	return p.logs + math.Log(p.mantissa)
}

func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// total is the log of the sum of all hypotheses.
func total(list []hypothesis) float64 {
	sum := math.Inf(-1)
	for _, h := range list {
		sum = logAdd(sum, h.log)
	}
	return sum
}

// shown is how many suspects are told of.
const shown = 10

// who is a person, or two, by number.
type who [2]uint32

// suspects brings the views of a person together.
func (q *question) suspects(list []hypothesis) (suspects []Suspect, none float64) {
	sum := total(list)
	logs := map[who]float64{}
	var order []who
	for _, h := range list[:len(list)-2] {
		w := h.who()
		if old, ok := logs[w]; ok {
			logs[w] = logAdd(old, h.log)
			continue
		}
		logs[w] = h.log
		order = append(order, w)
	}
	order = gather(logs, order, sum)
	slices.SortStableFunc(order, func(a, b who) int { return cmp.Compare(logs[b], logs[a]) })
	rest := logAdd(list[len(list)-1].log, list[len(list)-2].log) // all but the first: 1 − posterior has no digits left where he is sure
	for _, w := range order[min(1, len(order)):] {
		rest = logAdd(rest, logs[w])
	}
	for i, w := range order[:min(len(order), shown)] {
		s := Suspect{Staff: q.names(w), Posterior: math.Exp(logs[w] - sum)}
		if i > 0 {
			rest = sum + math.Log1p(-s.Posterior)
		}
		s.LogOdds = (logs[w] - rest) / math.Ln10
		q.count(&s, w)
		suspects = append(suspects, s)
	}
	return suspects, math.Exp(list[len(list)-1].log - sum)
}

// gather names a person who is the source for certain, alone or with somebody, where nothing says with whom: then he gets what the pairs with
// him have, and they leave the list. Else a few reports about one other person would hide him among pairs.
func gather(logs map[who]float64, order []who, sum float64) []who {
	named := math.Log(NamedFrom) + sum
	with := map[uint32]float64{}
	for _, w := range order {
		if logs[w] >= named {
			return order
		}
		for _, p := range w {
			if old, ok := with[p]; ok {
				with[p] = logAdd(old, logs[w])
			} else {
				with[p] = logs[w]
			}
		}
	}
	for _, w := range order {
		if w[1] != noViewer || with[w[0]] < named {
			continue
		}
		logs[w] = with[w[0]]
		return slices.DeleteFunc(order, func(o who) bool { return o[1] != noViewer && (o[0] == w[0] || o[1] == w[0]) })
	}
	return order
}

func (h *hypothesis) who() who {
	if !h.pair {
		return who{h.viewers[0] / uint32(views), noViewer}
	}
	a, b := h.viewers[0]/uint32(views), h.viewers[1]/uint32(views)
	return who{min(a, b), max(a, b)}
}

func (q *question) names(w who) []sallyport.Staff {
	names := []sallyport.Staff{q.x.byNo[w[0]]}
	if w[1] != noViewer {
		names = append(names, q.x.byNo[w[1]])
		slices.Sort(names)
	}
	return names
}

// background is β, averaged over what is believed; with nobody as the source everything is.
func (q *question) background(list []hypothesis) (beta float64) {
	sum := total(list)
	beta = math.Exp(list[len(list)-1].log - sum)
	for _, h := range list[:len(list)-1] {
		for b, row := range h.parts {
			for _, part := range row {
				beta += shares[b] * math.Exp(part-sum)
			}
		}
	}
	return min(beta, 1)
}
