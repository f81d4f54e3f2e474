package detect

import "math"

// onset says when it began: the most probable moment, and the bounds of the 98 % that are most likely to hold it, as ms. Each day of the
// past is as likely beforehand as each other; after it days follow the null with δ more, δ being any of the growths.
func (d *Detector) onset(p *person, lead int, at int64) [3]int64 {
	from := max(0, len(p.past)-keptDays)
	days := p.past[from:]
	n := len(days) + 1
	d.scratch = d.scratch[:0]
	for range n {
		d.scratch = append(d.scratch, math.Inf(-1))
	}
	today := d.today(p, lead)
	if lead == together {
		today, lead = d.today(p, exposure), exposure
	}
	for g := range growths {
		sum := 0.0
		for i := n - 1; i >= 0; i-- {
			sum += p.dayEvidence(days, i, lead, growth(g), today)
			d.scratch[i] = logSum([]float64{d.scratch[i], sum})
		}
	}
	all := logSum(d.scratch)
	best, low, high, mass := n-1, 0, n-1, 0.0
	lowKnown, highKnown := false, false
	for i, l := range d.scratch {
		if l > d.scratch[best] {
			best = i
		}
		mass += math.Exp(l - all)
		if !lowKnown && mass >= 0.01 {
			low, lowKnown = i, true
		}
		if !highKnown && mass >= 0.99 {
			high, highKnown = i, true
		}
	}
	start := func(i int) int64 { return p.began(days, i, at) }
	end := at
	if high < n-1 {
		end = p.midnight(days[high].day+1, at)
	}
	since := start(best)
	early := since
	if low < best {
		early = p.midnight(days[low].day, at)
	} else if n-1 > best {
		early = p.midnight(days[best].day, at)
	} else {
		early = p.midnight(p.day, at)
	}
	return [3]int64{since, min(early, since), max(min(end, at), since)}
}

// dayEvidence is the ratio of one day, the last one being today, unbounded: here only where it began is asked, not whether.
func (p *person) dayEvidence(days []daily, i, lead int, delta float64, n null) float64 {
	if i == len(days) {
		return ratio(p.streams[lead].x, n.mu, n.k, max(delta, n.drift*n.mu))
	}
	if lead == exposure {
		n.mu, n.k = math.Max(float64(days[i].mu), 0.05), math.Max(float64(days[i].k), 0.05)
	}
	return ratio(float64(days[i].x[lead]), n.mu, n.k, max(delta, n.drift*n.mu))
}

// began is the first look without a reason of a day, or its beginning.
func (p *person) began(days []daily, i int, at int64) int64 {
	if i == len(days) {
		if p.signs.first != 0 {
			return min(p.signs.first, at)
		}
		return at
	}
	if days[i].first != 0 {
		return days[i].first
	}
	return p.midnight(days[i].day, at)
}

// midnight is when a local day began, by the clock of now.
func (p *person) midnight(day, at int64) int64 { return day*dayMS - p.shift(at) }

// exposed counts customers without a reason since then.
func (p *person) exposed(since int64) int64 {
	sum := int64(p.signs.fresh)
	from := p.local(since)
	for i := len(p.past) - 1; i >= 0 && p.past[i].day >= from; i-- {
		sum += int64(p.past[i].fresh)
	}
	return sum
}
