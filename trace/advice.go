package trace

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"

	"sallyport"
)

// count fills in what people can check by hand.
func (q *question) count(s *Suspect, w who) {
	has := make([]bool, len(q.reports))
	for _, p := range w {
		if p == noViewer {
			continue
		}
		for _, v := range []view{whole, made} {
			for _, h := range q.hits[viewerOf(p, v)] {
				has[h.report] = true
			}
		}
		times := q.x.sum.times[viewerOf(p, whole)]
		s.Customers += upTo(times, q.last())
		then := cursor{times: times}
		for i, r := range q.reports {
			if r.seen {
				s.Expected += float64(then.upTo(r.at)) / float64(max(1, q.by[i]))
			}
		}
	}
	for _, yes := range has {
		if yes {
			s.Seen++
		}
	}
}

func (q *question) last() (last uint32) {
	for _, r := range q.reports {
		last = max(last, r.at)
	}
	return last
}

// matched compares a suspect with colleagues who serve the same queue, by exact permutation: of the reports by customers whom any of them
// saw, as many fall to him by chance as a hypergeometric draw gives. Without a team, or where he saw nearly all that they did, he is
// compared with everybody.
func (q *question) matched(staff []sallyport.Staff) float64 {
	team := q.x.Team[staff[0]]
	if team != "" {
		if p, ok := q.among(staff, func(s sallyport.Staff) bool { return q.x.Team[s] == team || slices.Contains(staff, s) }); ok {
			return p
		}
	}
	if p, ok := q.amongAll(staff); ok {
		return p
	}
	return 1
}

// amongAll is among for everybody, where the index has counted already.
func (q *question) amongAll(staff []sallyport.Staff) (float64, bool) {
	if len(staff) > 1 || len(q.x.sum.times[viewerOf(q.x.no[staff[0]], made)]) > 0 {
		return q.among(staff, func(sallyport.Staff) bool { return true })
	}
	last := q.last()
	population, marked := upTo(q.x.sum.anyone, last), upTo(q.x.sum.times[viewerOf(q.x.no[staff[0]], whole)], last)
	n, k := 0, len(q.hits[viewerOf(q.x.no[staff[0]], whole)])
	for _, r := range q.reports {
		if r.seen {
			n++
		}
	}
	return chance(k, population, marked, n)
}

// chance is the probability of k or more hits, and whether it says anything: where somebody saw nearly all there is nothing to compare.
func chance(k, population, marked, n int) (float64, bool) {
	if marked == 0 || float64(marked) > 0.9*float64(population) {
		return 1, false
	}
	return math.Exp(logTail(k, population, marked, n)), true
}

// among is the probability, and whether the comparison says anything.
func (q *question) among(staff []sallyport.Staff, of func(sallyport.Staff) bool) (float64, bool) {
	group, own := make([]bool, len(q.x.byNo)), make([]bool, len(q.x.byNo))
	for n, s := range q.x.byNo {
		group[n], own[n] = of(s), slices.Contains(staff, s)
	}
	last := q.last()
	population, marked := q.seenBy(group, last), q.seenBy(own, last)
	var n, k int
	for i := range q.reports[q.calm:] {
		r := &q.reports[q.calm+i]
		if r.customer == noCustomer {
			continue
		}
		in, his := r.stands(q.x.of(r.customer), group, own)
		if in {
			n++
		}
		if his {
			k++
		}
	}
	return chance(k, population, marked, n)
}

// seenBy counts the customers whom anybody of a group had seen by then.
func (q *question) seenBy(group []bool, by uint32) (n int) {
	have := make([]uint64, len(q.x.back)/64+1)
	for v, times := range q.x.sum.times {
		if !group[v/int(views)] {
			continue
		}
		for _, c := range q.x.sum.whom[v][:upTo(times, by)] {
			have[c/64] |= 1 << (c % 64)
		}
	}
	for _, word := range have {
		n += bits.OnesCount64(word)
	}
	return n
}

// stands says whether anybody of a group, and one of its own, had seen a customer.
func (r *once) stands(rows []seen, group, own []bool) (in, his bool) {
	for _, row := range rows {
		p := row.viewer / uint32(views)
		if r.counts(row) && group[p] {
			in = true
			his = his || own[p]
		}
	}
	return in, his
}

// more is how many further reports would settle it if the first suspect is the source, about: what is missing, over what one adds in the mean.
func (q *question) more(s *Suspect, beta float64) int {
	var size, ground float64
	size = float64(q.sizeOf(s, q.last()))
	if size == 0 {
		return -1
	}
	beta = min(max(beta, shares[0]), shares[len(shares)-1])
	ground = 1 / float64(max(1, upTo(q.x.sum.anyone, q.last())))
	gain := (1 - beta) * math.Log1p((1-beta)/(beta*size*ground))
	missing := math.Log(NamedFrom/(1-NamedFrom)) - s.LogOdds*math.Ln10
	if gain < 0.01 {
		return -1
	}
	return max(1, int(math.Ceil(missing/gain)))
}

// sizeOf is how many customers the suspect had seen.
func (q *question) sizeOf(s *Suspect, at uint32) (n int) {
	for _, name := range s.Staff {
		n += upTo(q.x.sum.times[viewerOf(q.x.no[name], whole)], at)
	}
	return n
}

// asked is how many customers are proposed.
const asked = 10

// ask proposes customers who have not reported and whose answer says most: those about whom the suspects differ most. A suspect who saw few
// is tested best by one of these.
func (q *question) ask(suspects []Suspect) []sallyport.Subject {
	suspects = suspects[:min(len(suspects), 5)]
	worth := q.worth(suspects)
	type candidate struct {
		key   sallyport.Subject
		score float64
	}
	var best []candidate
	better := func(a, b candidate) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.key, b.key)) }
	x := make([]float64, len(suspects))
	for _, c := range q.seenByAny(suspects) {
		key := q.x.back[c]
		stand(x, q.x.of(c), worth)
		one := candidate{key, spread(x, suspects)}
		if one.score <= 0 || q.ids[key] || len(best) == asked && better(one, best[asked-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, one, better)
		best = slices.Insert(best, at, one)
		best = best[:min(len(best), asked)]
	}
	keys := make([]sallyport.Subject, len(best))
	for i, c := range best {
		keys[i] = c.key
	}
	return keys
}

// seenByAny are the customers whom any of them saw, or made a reason to look at, each once.
func (q *question) seenByAny(suspects []Suspect) (list []uint32) {
	for _, s := range suspects {
		for _, name := range s.Staff {
			for v := range views {
				list = append(list, q.x.sum.whom[viewerOf(q.x.no[name], v)]...)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// worth is for each person, and each suspect that he is of, 1/|V|; nothing for most people.
func (q *question) worth(suspects []Suspect) [][]float64 {
	worth := make([][]float64, len(q.x.byNo))
	for i := range suspects {
		for _, name := range suspects[i].Staff {
			p := q.x.no[name]
			if worth[p] == nil {
				worth[p] = make([]float64, len(suspects))
			}
			worth[p][i] = 1 / float64(max(1, q.sizeOf(&suspects[i], math.MaxUint32)))
		}
	}
	return worth
}

// stand says how probable each suspect would make a call to one customer.
func stand(x []float64, rows []seen, worth [][]float64) {
	clear(x)
	for _, r := range rows {
		for i, w := range worth[r.viewer/uint32(views)] {
			x[i] = max(x[i], w)
		}
	}
}

// spread is the variance of that over the suspects.
func spread(x []float64, suspects []Suspect) float64 {
	var mean, square float64
	for i, s := range suspects {
		mean += s.Posterior * x[i]
		square += s.Posterior * x[i] * x[i]
	}
	return square - mean*mean
}

// forgedMost bounds the search for forgeries: beyond, nobody forges so many confirmed reports.
const forgedMost = 64

// forged is the smallest number of forged reports that would take the name away from the suspect, by somebody who knows whom everybody saw:
// reports about customers whom nobody saw, or all about those of one other person. It is tried out, not estimated. forgedMost+1: more than that.
//
// Where there is too much to try, it is reckoned from what one report of a customer whom nobody saw takes away.
func (q *question) forged(list []Report, o Options, s *Suspect, beta float64) int {
	if len(q.reports) > 1000 || len(q.x.rows) > 4_000_000 {
		spare := s.LogOdds*math.Ln10 - math.Log(NamedFrom/(1-NamedFrom))
		return max(1, int(math.Ceil(spare/-math.Log(min(max(beta, shares[0]), shares[len(shares)-1])))))
	}
	best := forgedMost + 1
	try := func(forge func(n int) []Report) {
		if !q.falls(list, o, s, forge(best-1)) {
			return
		}
		low, high := 1, best-1
		for low < high {
			mid := (low + high) / 2
			if q.falls(list, o, s, forge(mid)) {
				high = mid
			} else {
				low = mid + 1
			}
		}
		best = low
	}
	when := time.Unix(int64(q.last()), 0)
	try(func(n int) (fake []Report) {
		for i := range n {
			fake = append(fake, Report{Customer: sallyport.Subject("\x00forged" + string(rune('0'+i))), At: when})
		}
		return fake
	})
	for _, rival := range q.rivals(s) {
		theirs := q.customersOf(rival, s, forgedMost)
		try(func(n int) (fake []Report) {
			for _, c := range theirs[:min(n, len(theirs))] {
				fake = append(fake, Report{Customer: c, At: when, Quoted: AllFields &^ TicketField})
			}
			return fake
		})
	}
	return best
}

// falls says whether the suspect would not be named with some forged reports more.
func (q *question) falls(list []Report, o Options, s *Suspect, fake []Report) bool {
	if len(fake) == 0 {
		return false
	}
	with := q.x.question(append(slices.Clone(list), fake...), o)
	suspects, _ := with.suspects(with.judge())
	return len(suspects) == 0 || !slices.Equal(suspects[0].Staff, s.Staff) || suspects[0].Posterior < NamedFrom || with.matched(s.Staff) > matchedFrom
}

// rivals are the people on whom suspicion would be thrown most easily: those who saw fewest customers, but enough to report about.
func (q *question) rivals(s *Suspect) []uint32 {
	var people []uint32
	for p, name := range q.x.byNo {
		if !slices.Contains(s.Staff, name) && len(q.x.sum.times[viewerOf(uint32(p), whole)]) >= 3 { //nolint:gosec // an index
			people = append(people, uint32(p)) //nolint:gosec // an index
		}
	}
	slices.SortFunc(people, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(len(q.x.sum.times[viewerOf(a, whole)]), len(q.x.sum.times[viewerOf(b, whole)])), cmp.Compare(q.x.byNo[a], q.x.byNo[b]))
	})
	return people[:min(len(people), 3)]
}

// customersOf are some whom a rival saw and the suspect did not.
func (q *question) customersOf(rival uint32, s *Suspect, most int) (keys []sallyport.Subject) {
	theirs := slices.Clone(q.x.sum.whom[viewerOf(rival, whole)])
	slices.Sort(theirs)
	for _, c := range theirs {
		his, key := false, q.x.back[c]
		for _, r := range q.x.of(c) {
			his = his || slices.Contains(s.Staff, q.x.byNo[r.viewer/uint32(views)])
		}
		if !his && !q.ids[key] {
			if keys = append(keys, key); len(keys) == most {
				break
			}
		}
	}
	return keys
}

// logTail is the natural logarithm of the probability that a hypergeometric draw gives at least k: n drawn from a population of which marked
// are marked.
func logTail(k, population, marked, n int) float64 {
	low := max(k, n+marked-population)
	if low <= max(0, n+marked-population) {
		return 0
	}
	sum := math.Inf(-1)
	for i := low; i <= min(n, marked); i++ {
		sum = logAdd(sum, logChoose(marked, i)+logChoose(population-marked, n-i)-logChoose(population, n))
	}
	return min(sum, 0)
}

func logChoose(n, k int) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
