package detect

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"sallyport"
	"sallyport/sim"
)

// baselines scores days by the robust z-score of a person's volume against his past, and by an isolation forest that may train on all
// days, the future's too.
func (r *trialRun) baselines() {
	names := make([]string, 0, len(r.history))
	for who := range r.history {
		names = append(names, string(who))
	}
	slices.Sort(names)
	var points [][]float64
	var of []dayScore
	for _, name := range names {
		var past []float64 // in order of size
		for _, day := range r.history[sallyport.Staff(name)] {
			z := 0.0
			if len(past) >= 10 {
				middle := past[len(past)/2]
				off := make([]float64, len(past))
				for i, v := range past {
					off[i] = math.Abs(v - middle)
				}
				z = (day.v.looks - middle) / max(1.4826*median(off), 1)
			}
			at, _ := slices.BinarySearch(past, day.v.looks)
			past = slices.Insert(past, at, day.v.looks)
			s := dayScore{sallyport.Staff(name), day.day, z}
			r.scores[zScore] = append(r.scores[zScore], s)
			of = append(of, s)
			points = append(points, []float64{math.Log1p(day.v.looks), math.Log1p(day.v.bare), math.Log1p(day.v.most), math.Log1p(day.v.odd)})
		}
	}
	for i, s := range isolation(points, rand.New(rand.NewPCG(1, 2))) {
		of[i].score = s
		r.scores[forest] = append(r.scores[forest], of[i])
	}
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// isolation is Liu, Ting and Zhou's forest: 100 trees over 256 points each; the score is 2^(−path/c).
func isolation(points [][]float64, random *rand.Rand) []float64 {
	const trees, sample = 100, 256
	sums := make([]float64, len(points))
	usual := func(n int) float64 {
		if n < 2 {
			return 0
		}
		return 2*(math.Log(float64(n-1))+0.5772156649) - 2*float64(n-1)/float64(n)
	}
	type node struct {
		split   float64
		feature int
		right   int32 // the left one is the next; 0: a leaf
		depth   float64
	}
	var nodes []node
	var grow func(some [][]float64, depth int)
	grow = func(some [][]float64, depth int) {
		at := len(nodes)
		nodes = append(nodes, node{depth: float64(depth) + usual(len(some))})
		if len(some) < 2 || depth >= 8 {
			return
		}
		f := random.IntN(len(some[0]))
		low, high := some[0][f], some[0][f]
		for _, p := range some {
			low, high = min(low, p[f]), max(high, p[f])
		}
		if low == high {
			return
		}
		split := low + random.Float64()*(high-low)
		var left, right [][]float64
		for _, p := range some {
			if p[f] < split {
				left = append(left, p)
			} else {
				right = append(right, p)
			}
		}
		grow(left, depth+1)
		nodes[at].split, nodes[at].feature, nodes[at].right = split, f, int32(len(nodes)) //nolint:gosec // some hundred
		grow(right, depth+1)
	}
	for range trees {
		some := make([][]float64, 0, sample)
		for range min(sample, len(points)) {
			some = append(some, points[random.IntN(len(points))])
		}
		nodes = nodes[:0]
		grow(some, 0)
		for i, p := range points {
			n := &nodes[0]
			for at := int32(0); n.right != 0; n = &nodes[at] {
				if at++; p[n.feature] >= n.split {
					at = n.right
				}
			}
			sums[i] += n.depth
		}
	}
	for i := range sums {
		sums[i] = math.Exp2(-sums[i] / trees / usual(sample))
	}
	return sums
}

// oracle is the same test by somebody who knows the people's base rates, how much their days differ, and the rate of the theft: the customers
// taken until it alarms, and until the limit ln A / KL. It looks at whole days, as ln A / KL does. Of two who act together it knows that they do.
func (r *trialRun) oracle(in *sim.Insider, level float64) (taken, limit float64, ok bool) {
	from, kl := in.From.Unix()/86400, 0.0
	evidence, byDay := map[int64]float64{}, map[int64]float64{}
	for _, who := range in.Staff {
		mu, k, known := r.before(who, from)
		if !known {
			return 0, 0, false
		}
		for _, s := range r.stolen[who] {
			byDay[s.at.Unix()/86400] += float64(s.n)
		}
		for _, o := range r.history[who] {
			if o.day >= from {
				evidence[o.day] += ratio(o.x, mu, k, in.Rate)
			}
		}
		kl += ratio(mu+in.Rate, mu, k, in.Rate) / float64(len(in.Staff))
	}
	log := math.Inf(-1)
	for _, day := range slices.Sorted(maps.Keys(evidence)) {
		taken += byDay[day]
		if log = max(log, 0) + math.Log1p(math.Exp(-math.Abs(log))) + evidence[day]; log >= level {
			ok = true
			break
		}
	}
	return taken, in.Rate * level / kl, ok
}

// before is the mean of somebody's days before one, and the size of what they differ by.
func (r *trialRun) before(who sallyport.Staff, from int64) (mu, k float64, ok bool) {
	sum, square, n := 0.0, 0.0, 0.0
	for _, o := range r.history[who] {
		if o.day < from {
			sum, square, n = sum+o.x, square+o.x*o.x, n+1
		}
	}
	mu = max(sum/max(n, 1), 0.05)
	return mu, min(100, mu*mu/max(square/max(n, 1)-mu*mu-mu, mu*mu/100)), n >= 10
}
