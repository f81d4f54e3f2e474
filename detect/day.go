package detect

import "math"

// openDay begins his day: what was usual for him becomes the null, and 1 is added to each R.
func (d *Detector) openDay(p *person, day int64) {
	if p.open {
		d.closeDay(p)
	}
	if p.days > 0 {
		p.rates.pass(day - p.day)
	}
	p.day, p.open = day, true
	p.days++
	p.dead = d.warming(p)
	p.watched = p.suspect()
	p.there = 0
	p.work, p.checked, p.asked, p.highest, p.surge, p.byJob = 0, 0, 0, 0, 0, 0
	d.counts.PersonDays++
	clear(p.reachedToday)
	for i := range p.streams {
		t := &p.streams[i]
		t.x = 0
		t.r.open()
		d.usual(p, i)
	}
	for i := range p.shadow {
		p.shadow[i].open()
	}
	p.ever.open()
	p.came, p.expected = 0, p.streams[exposure].mu
	p.group.expected += p.expected
	for i := range p.streams {
		d.renew(p, i)
	}
}

// usual is what one of his days has of a stream: his own history, shrunk to his peers'.
func (d *Detector) usual(p *person, i int) {
	t, q := &p.streams[i], &p.group.streams[i]
	certain := 40.0 // nobody's rate is known better than by so many
	if i == exposure {
		certain = 200 // how it moves by itself is learnt apart
	}
	switch i {
	case canary:
		t.mu, t.k, t.doubt = q.mean, 0.5, certain
		return
	case together:
		t.mu, t.k, t.doubt = 0, 1, certain // see pairs
		return
	}
	// The gamma of his rate: his peers', his days that are learnt, and those that wait for it. The same unknown rate lies under all of them:
	// without those that wait, a surprise about somebody of whom little is known would be counted on each day again. Of customers without a reason
	// they tell the mean as far as his rate is not known, and the filter as far as it may have moved (rates): all of both would make the first days of a
	// theft usual.
	events, days := q.between+t.total, q.between/q.mean+t.days
	waits := 1.0
	if i == exposure {
		waits = 1 / (1 + p.group.moved*min(events, certain))
	}
	events, days = events+waits*t.waitX, days+waits*t.waitDays
	t.doubt = min(events, certain)
	t.k = joint(q.size, t.doubt)
	t.mu = max(events/days, 1e-7)
	if i == exposure {
		t.mu = max(t.mu, 0.1) * p.group.calendar(p.day)
		t.k = q.sizeOf(p)
		drift := max(p.group.moved-1/certain, leastMoved) // what is not known of somebody at best is in it
		p.rates.spread(math.Sqrt(drift + 1/t.doubt))
		p.rates.moves = moving * drift / (drift + 1/t.doubt)
	}
}

// today is the null of his day. What came to all of his peers today, and work beyond the usual, raise what is expected, never lower it.
func (d *Detector) today(p *person, i int) null {
	t := &p.streams[i]
	n := null{mu: t.mu, k: t.k, share: p.group.streams[i].share, drift: p.group.drift}
	switch i {
	case canary:
		n.share = 1e-9
	case exposure:
		surge := d.surge(p)
		if p.group.loses(surge) { // facts are missing: what has no reason on record may have had one
			n.share = mostShare
		}
		n.mu *= surge * p.effort()
		if l := math.Log(surge); l > 0.1 { // what hits all does not hit all alike
			n.k = 1 / (1/n.k + l*l/2)
		}
	case breadth, selfMade, offShift: // what grows with the work
		n.mu *= d.surge(p) * p.load()
	}
	if i == exposure {
		n.rates, n.tail, n.off, n.drift = &p.rates, p.group.streams[i].tail, &p.group.streams[i].off, 0
	}
	if i == reached || i == tried || i == eager { // looking around is no theft: only a multiple of what is usual says something
		n.drift = max(n.drift, 1)
	}
	if i == breadth { // how much work there is changes with the work: only a multiple of it, and for days, says something
		n.share, n.drift = max(n.share, 0.02), max(n.drift, 2)
	}
	if p.service {
		n.share = max(n.share, 0.02) // programs change from one day to the next
	}
	return n
}

// alike is which part of the evidence on two people each must bring on his own: nobody is accused of what the other did.
const alike = 0.25

// surge is that of his peers so far, or of the whole day once it is over.
func (d *Detector) surge(p *person) float64 {
	if p.open && p.surge == 0 {
		return p.group.surge(p, p.hour(d.now))
	}
	return max(1, p.surge)
}

// load is how far his explained work is beyond the usual.
func (p *person) load() float64 { return max(1, p.pace()) }

// pace compares his explained work so far with that of a usual day.
func (p *person) pace() float64 {
	const prior = 10
	if p.days < 3 {
		return 1
	}
	return min(4, (p.work+prior)/(p.usual+prior))
}

// effort is what his work makes of what is expected to be unexplained. While a day lasts nobody knows how little it will be: it only raises.
func (p *person) effort() float64 {
	f := 1 + p.group.response()*(p.pace()-1)
	if !p.closing {
		return max(1, f)
	}
	return f
}

// renew computes a stream's evidence as it is now.
func (d *Detector) renew(p *person, i int) {
	t := &p.streams[i]
	if p.dead || i == together && p.link == nil {
		t.top = math.Inf(-1)
		return
	}
	if i == together {
		t.top = p.pooled(t.r.with(d.bothDays(p)))
		return
	}
	n := d.today(p, i)
	t.top = t.r.with(t.evidences(&n))
	if i == exposure {
		t.top -= p.group.penalty
	}
}

// closeDay ends his day: R takes its last value, peers learn, and so does what is usual for him, unless he is under suspicion.
func (d *Detector) closeDay(p *person) {
	if d.watch != nil {
		d.watch(p)
	}
	p.open = false
	if p.surge == 0 {
		p.surge = p.group.surge(p, 23)
	}
	p.closing = true
	defer func() { p.closing = false }()
	g := p.group
	record := daily{day: p.day, suspect: p.watched, lost: g.lose(p.surge)}
	g.came -= p.came
	g.expected -= p.expected
	for i := range p.streams {
		t := &p.streams[i]
		if i == together {
			d.closeTogether(p, &record)
			continue
		}
		n := d.today(p, i)
		record.x[i] = float32(t.x)
		if i == exposure {
			d.closeExposure(p, &record, n)
		} else {
			if !record.suspect && !d.specs[i].fixed {
				g.streams[i].learn(p, n, t.doubt, t.x, 1)
			}
			t.r.multiply(t.evidences(&n))
		}
		if p.dead {
			t.r = none()
		}
	}
	if s := &p.signs; s.firstDay == p.day {
		record.first, record.fresh = s.first, s.fresh
	}
	g.worked(p, record.suspect || record.lost)
	p.usual += (p.work - p.usual) / float64(min(p.days, 20))
	p.came, p.expected = 0, 0
	p.keep(record)
}

// closeExposure ends the day of customers without a reason, of which more is learnt.
func (d *Detector) closeExposure(p *person, record *daily, n null) {
	t, g := &p.streams[exposure], p.group
	// Surges are left out: what is usual would never rise if what is more than usual were divided away.
	calendar := g.calendar(p.day) * p.effort()
	record.mu, record.k = float32(n.mu), float32(n.k)
	e := n.evidences(t.x)
	d.shadowed(p, n, e, record.lost)
	if !record.suspect && !record.lost {
		g.streams[exposure].learn(p, n, t.doubt, t.x, calendar)
		g.answered(n.mu/p.effort(), n.k, t.x, p.pace()-1)
	}
	record.fits, p.likely = p.likely, nil
	t.r.multiply(e)
	p.last, p.closed = e, p.day
	if !record.lost {
		p.rates.see(&n, t.x)
	}
	record.calendar = float32(calendar * p.rates.drifted())
}

// closeTogether ends the day of both. The own day's evidence is that of the day's end.
func (d *Detector) closeTogether(p *person, record *daily) {
	t := &p.streams[together]
	if p.link == nil {
		return
	}
	record.x[together] = float32(t.x)
	if t.r.multiply(d.bothDays(p)); p.dead {
		t.r = none()
	}
}

// shadowed lets the shadow of the process run, from which it is seen whether the null holds.
func (d *Detector) shadowed(p *person, n null, e [growths]float64, lost bool) {
	x := p.streams[exposure].x
	p.ever.multiply(e)
	for i := range p.shadow {
		p.shadow[i].multiply(e)
		if p.watched && p.episode != nil {
			p.shadow[i] = none()
		} else if p.shadow[i].top() >= math.Log(shadowLevel(i)) {
			p.group.shadows[i]++
			p.reached[i]++
			p.shadow[i] = none()
		}
	}
	if p.watched && p.episode != nil {
		return
	}
	p.group.shadowDays++
	if b := &p.block; !p.watched && !lost {
		b.add(min(x, n.mu+4*math.Sqrt(n.mu+n.mu*n.mu/n.k)+3), n.mu, n.k)
		if b.days >= block {
			times, said, noise := b.against()
			p.group.compared(p, times, said, noise)
			*b = stretch{}
		}
	}
}

// stretch are some days of somebody, to be compared with what was expected of them.
type stretch struct{ days, x, mu, noise, xx, xmu, mumu float64 }

func (b *stretch) add(x, mu, k float64) {
	b.days, b.x, b.mu, b.noise = b.days+1, b.x+x, b.mu+mu, b.noise+mu+mu*mu/k
	b.xx, b.xmu, b.mumu = b.xx+x*x, b.xmu+x*mu, b.mumu+mu*mu
}

// against is how many times more it was than expected, and how much of the square of that is chance: as the null says, and by how the days differ among
// themselves. The null may say too much, and hide that rates drift.
func (b *stretch) against() (times, said, noise float64) {
	whole := max(b.mu, 1)
	r := b.x / whole
	among := max(b.xx-2*r*b.xmu+r*r*b.mumu, 0) * b.days / max(b.days-1, 1)
	return r, b.noise / whole / whole, among / whole / whole
}

// suspect tells whether nothing is learnt of him at present. It is asked when a day begins: to leave out days for what they brought would
// make the others look better than days are.
func (p *person) suspect() bool {
	const high = 4.6 // ln 100
	return p.episode != nil || p.streams[exposure].r.top() > high
}

// keep notes a day, and learns the one that has become old enough. Days under suspicion are never learnt.
func (p *person) keep(record daily) {
	p.past = append(p.past, record)
	p.lag++
	if len(p.past) > keptDays+30 {
		p.past = append(p.past[:0], p.past[len(p.past)-keptDays:]...)
		p.lag = min(p.lag, len(p.past)) // what waited under suspicion for longer than days are kept is not learnt
	}
	if record.suspect {
		return // and what waits, waits on
	}
	for p.lag > min(longLag, max(3, p.days/3)) {
		p.learn(&p.past[len(p.past)-p.lag])
		p.lag--
	}
	for i := range p.streams {
		t := &p.streams[i]
		t.waitX, t.waitDays = 0, 0
		for j := len(p.past) - p.lag; j < len(p.past); j++ {
			if r := &p.past[j]; !r.suspect && !(r.lost && i == exposure) {
				x, calendar := t.usable(r, i)
				t.waitX, t.waitDays = t.waitX+x, t.waitDays+calendar
			}
		}
	}
}

func (p *person) learn(r *daily) {
	if r.suspect {
		return
	}
	const keep = 1 - math.Ln2/ownFade
	if r.fits != nil {
		for i, density := range r.fits {
			p.fits[i] = p.fits[i]*keep + float64(density)
		}
		r.fits = nil
	}
	for i := range p.streams {
		if i == exposure && r.lost {
			continue
		}
		t := &p.streams[i]
		x, calendar := t.usable(r, i)
		t.days = t.days*keep + calendar
		t.total = t.total*keep + x
	}
}

// usable is what is learnt of a day: no more than an unusual day has.
func (t *track) usable(r *daily, i int) (x, calendar float64) {
	calendar, most := 1.0, 4*t.mu+10
	if i == exposure {
		calendar = float64(r.calendar)
		mu, k := float64(r.mu), float64(r.k)
		most = mu + 4*math.Sqrt(mu+mu*mu/k) + 3
	}
	return min(float64(r.x[i]), most), calendar
}
