package detect

import (
	"math"
	"strings"

	"sallyport"
)

// signs are what is remembered beside counts, for the kind of insider and for the words of a finding. Times are ms; 0: never.
type signs struct {
	firstDay int64 // the local day of the following
	first    int64 // customer without a reason
	fresh    int32 // customers without a reason, that he had not looked at without one before
	looked   int32 // customers today
	most     int   // customers of one statement today

	device, network, country, travel, failures, way, form, odd int64
	alert                                                      int64
	source                                                     string
	device0                                                    string // the one that he used last
	address0, application0, form0                              string
	ownDevice                                                  bool
	bulk                                                       bool // the statement at hand has very many customers
}

// many is from how many customers on a result is a bulk.
const many = 100

// settled is after how many days what is new to a person says something.
const settled = 5

// ready opens the person's day of a moment.
func (d *Detector) ready(p *person, at int64) {
	day := p.local(at)
	if p.open && day <= p.day {
		return
	}
	if e := p.episode; e != nil && day-e.last > episodeEnds {
		p.episode = nil
	}
	d.openDay(p, max(day, p.day+1))
	p.signs.firstDay, p.signs.first, p.signs.fresh, p.signs.looked, p.signs.most = p.day, 0, 0, 0, 0
	p.signs.address0 = "" // where he is, is noted once a day
}

// count adds to a stream and looks whether that is enough.
func (d *Detector) count(p *person, i int, n float64, at int64) {
	d.ready(p, at)
	p.streams[i].x += n
	d.renew(p, i)
	if i == canary && p.dead && p.episode == nil {
		d.alarm(p, canary, at)
		return
	}
	d.check(p, at)
}

// access takes one executed statement.
func (d *Detector) access(a *sallyport.Access, at int64) {
	if d.counts.Accesses++; d.counts.Accesses == 1 {
		d.began = at // facts may be older
	}
	p := d.person(a.Staff)
	if a.Service && !p.service {
		p.service = true
		p.join(d.groupOf(p))
	}
	d.ready(p, at)
	d.surroundings(p, a, at)
	d.powers(p, a, at)
	d.touched(p, a, at)
	if a.Refused {
		if len(a.Powers) == 0 || p.service { // else it is counted for what it was
			d.count(p, probe, 1, at)
		}
		return
	}
	before := p.streams[exposure].x
	p.signs.bulk = len(a.Subjects) >= many
	hour := p.hour(at)
	for _, s := range a.Subjects {
		d.look(p, a, s, at, hour)
	}
	customers := float64(max(a.Count, int64(len(a.Subjects))))
	if hidden := customers - float64(len(a.Subjects)); hidden > 0 {
		d.unlisted(p, a, hidden, at)
	}
	p.signs.most = max(p.signs.most, int(customers))
	bare := p.streams[exposure].x - before
	if n := max(customers, rowsOf(a)); n >= many && bare < many {
		if t := d.byJob(p, a, at); t == nil || t.Weight < 0.5 {
			d.count(p, bulk, 1+math.Log2(n/many), at)
		}
	}
	d.hurried(p, bare, at)
	if x := p.streams[exposure].x; x != before && math.Abs(x-p.checked) >= 0.25 {
		p.checked = x
		d.renew(p, exposure)
		d.renew(p, breadth)
		d.together(p)
		d.check(p, at)
	} else if p.due || p.wider() {
		d.renew(p, breadth)
		d.check(p, at)
	}
	p.due = false
	d.grown(p, at)
}

// hurried counts customers without a reason that come faster than anybody reads them, in one result or in many.
func (d *Detector) hurried(p *person, bare float64, at int64) {
	if bare <= 0 || p.service && bare < many {
		return
	}
	const breath = 10 * hourMS / 60
	w := &p.hurry
	if at-w.from > breath {
		w.from, w.n = at, 0
	}
	had := hurry(w.n)
	w.n += bare
	if n := hurry(w.n) - had; n > 0 {
		d.count(p, bulk, n, at)
	}
}

// hurry is what so many customers in a few minutes count for: one for each fifty up to two hundred, and one for each doubling from there.
func hurry(n float64) float64 {
	switch {
	case n < 50:
		return 0
	case n < 200:
		return math.Floor(n / 50)
	}
	return 4 + math.Log2(n/200)
}

// rowsOf is how many rows with something protected came back.
func rowsOf(a *sallyport.Access) float64 {
	if len(a.Columns) == 0 {
		return 0
	}
	return float64(a.Rows)
}

// aboutPower tells tables that say who may what.
func aboutPower(table string) bool {
	table = strings.ToLower(table)
	for _, word := range [...]string{"pg_auth", "role", "grant", "permission", "privilege"} {
		if strings.Contains(table, word) {
			return true
		}
	}
	return false
}

// look takes one customer of a statement.
func (d *Detector) look(p *person, a *sallyport.Access, s sallyport.Subject, at int64, hour int) {
	customer := key(s)
	had, known := p.seen[customer]
	if known && int64(had.day) == p.day {
		return
	}
	if d.options.Canaries[s] {
		d.count(p, canary, 1, at)
	}
	w, t := d.explain(p, customer, had, known, a, at)
	d.counts.Looks++
	if t != nil {
		t.looks++
	}
	first, before := had.since(p.day)
	again := before && first <= countOnce && w < 0.5
	if t == nil || t.Fact != "job" {
		p.streams[breadth].x++
	} else {
		p.byJob++
	}
	d.sight(p, customer, inOrder(s, customer), w, at, hour)
	if !again {
		d.add(p, residue(w))
	}
	d.worked(p, w)
	d.eagerly(p, t)
	if p.service {
		if w < 0.5 {
			d.counts.Unexplained++
			p.signs.fresh++
		}
		return // whom programs looked at need not be remembered
	}
	now := looked(p.day, at, w)
	if before {
		now.bare = uint8(min(first+1, math.MaxUint8)) //nolint:gosec // bounded
	}
	if w < 0.5 {
		d.bare(p, s, customer, &now, again, at)
		if t != nil && t.Whose == "self_made" {
			p.streams[selfMade].x++
			d.renew(p, selfMade)
		}
	} else if t != nil && t.Whose == "unchecked" {
		p.streams[selfMade].x++
		d.renew(p, selfMade)
		p.due = true
	}
	p.seen[customer] = now
}

// residue is what of a look counts that is explained so far. What is half explained counts a quarter: it is much of everybody's work, so that in its
// plain sum a theft, of which nothing is explained, would drown (docs/decisions/0054-what-is-half-explained-counts-a-quarter.md).
func residue(w float64) float64 { return (1 - w) * (1 - w) }

// worked notes explained work. With it rises what his peers' day is expected to have.
func (d *Detector) worked(p *person, w float64) {
	p.work += w
	expected := p.streams[exposure].mu * p.load()
	p.group.expected += expected - p.expected
	p.expected = expected
}

// add puts an unexplained part to the day, his own and his peers'.
func (d *Detector) add(p *person, v float64) {
	p.streams[exposure].x += v
	most := 2*p.streams[exposure].mu + 5 // a few thieves are no surge
	if v = min(v, most-p.came); v > 0 {
		p.came += v
		p.group.came += v
	}
}

// bare notes a look without a reason.
func (d *Detector) bare(p *person, s sallyport.Subject, customer uint64, now *look, again bool, at int64) {
	d.counts.Unexplained++
	if d.bareLook != nil {
		d.bareLook(p, customer, at)
	}
	if p.signs.first == 0 {
		p.signs.first = at
	}
	if now.bare == 0 {
		p.signs.fresh++
		now.bare = 1
	}
	if again || p.signs.bulk {
		return
	}
	list := d.facts.lately[customer]
	if len(list) < 100 {
		d.facts.lately[customer] = append(list, recentLook{p, at})
	}
	if d.options.Watched[s] {
		d.count(p, watched, 1, at)
	}
	d.pairs.shared(d, p, customer, at)
}

// sight is what any look tells, with or without a reason. Of customers in the order of their numbers counts what is not explained: tickets that others
// opened one after the other for such customers are work.
func (d *Detector) sight(p *person, customer, number uint64, w float64, at int64, hour int) {
	p.signs.looked++
	if d.odd(p, at, hour) && !d.called(p, customer, at) {
		if at != p.signs.odd { // one statement at night is one, whoever it is about
			p.streams[offShift].x++
			d.renew(p, offShift)
			p.due = true
		}
		p.signs.odd = at
	}
	if !p.watched {
		if bit := uint32(1) << hour; p.there&bit == 0 { // by day, or one busy night would make the night usual
			p.there |= bit
			p.hours[hour]++
			p.worked++
		}
		p.group.hours[hour]++
		p.group.looks++
	}
	const near = 2
	if number != 0 && p.lastNumber != 0 && w < 1 {
		if gap := int64(number - p.lastNumber); gap != 0 && gap >= -near && gap <= near { //nolint:gosec // the distance, whichever way round
			p.streams[walk].x += 1 - w
			d.renew(p, walk)
			p.due = true
		}
	}
	p.lastNumber = number
}

// inOrder is the place of a customer among those of his kind: his number, or of a key such as C-00123 the number at its end, with what stands before it.
// Of a key without one it is 0.
func inOrder(s sallyport.Subject, customer uint64) uint64 {
	if customer>>63 == 0 {
		return customer
	}
	const digits, shortest = 12, 3 // of a UUID fewer stand at its end, and after other letters
	from, n, unit := len(s), uint64(0), uint64(1)
	for from > 0 && len(s)-from < digits && s[from-1] >= '0' && s[from-1] <= '9' {
		from--
		n, unit = n+unit*uint64(s[from]-'0'), unit*10
	}
	if len(s)-from < shortest {
		return 0
	}
	return hash(string(s[:from]))<<40 + n
}

// odd tells an hour in which he does not work, by his shift where it is known, and by what he did.
func (d *Detector) odd(p *person, at int64, hour int) bool {
	if p.worked < many {
		return false
	}
	usual := (p.hours[hour] + p.hours[(hour+23)%24] + p.hours[(hour+1)%24]) / p.worked
	if p.employee == nil || p.employee.Shift == [2]int{} {
		return usual < 0.005
	}
	from, to := int64(p.employee.Shift[0]), int64(p.employee.Shift[1])
	minute := floor(at+p.shift(at), 60_000) % 1440
	inside := from-60 <= minute && minute <= to+60
	if from > to { // over midnight
		inside = minute >= from-60 || minute <= to+60
	}
	return !inside && usual < 0.02
}

// wider tells whether he has looked at so many customers, with reasons or without, that it may say something, and at a tenth more than when it was asked
// last: that is work of everybody at each look, and is not tested at each.
func (p *person) wider() bool {
	t := &p.streams[breadth]
	if t.x < 2*t.mu || t.x < 1.1*p.asked {
		return false
	}
	p.asked = t.x
	return true
}

// unlisted takes customers of whom only the number is known.
func (d *Detector) unlisted(p *person, a *sallyport.Access, n float64, at int64) {
	w := 0.0
	if t := d.byJob(p, a, at); t != nil {
		w = t.Weight
		p.byJob += n
	} else if t := d.byClaim(p, a); t != nil {
		w = t.Weight
	}
	d.counts.Looks += int64(n)
	p.streams[breadth].x += n
	for range int(min(n, 8)) { // the group's part is bounded anyway
		d.add(p, 1-w)
	}
	p.streams[exposure].x += (n - min(n, 8)) * (1 - w)
	if w < 0.5 {
		d.counts.Unexplained += int64(n)
		p.signs.fresh += int32(min(n, 1<<30))
		if p.signs.first == 0 {
			p.signs.first = at
		}
	}
}

// surroundings looks at where a statement comes from, and at its form. What is new to him says something once he has settled.
func (d *Detector) surroundings(p *person, a *sallyport.Access, at int64) {
	s := &p.signs
	if a.Device != s.device0 && a.Device != "" {
		s.device0 = a.Device
		d.device(p, a.Device, at)
	}
	if a.Address != s.address0 && a.Address != "" {
		s.address0 = a.Address
		d.pairs.place(p, a.Address, at)
		if isNew(p, p.networks, hash(network(a.Address))) {
			s.network = at
			d.count(p, novelty, 0.5, at)
		}
	}
	if a.Application != s.application0 && a.Application != "" {
		s.application0 = a.Application
		if h := hash(a.Application); isNew(p, p.applications, h) && p.group.rare(h) {
			s.way = at
			d.count(p, bypass, 1, at)
		}
	}
	if a.Shape != s.form0 && a.Shape != "" {
		s.form0 = a.Shape
		if h := hash(a.Shape) | 1; isNew(p, p.forms, h) && p.group.rare(h) {
			s.form = at
			d.count(p, forms, 1, at)
		}
	}
}

// device notes which device he uses.
func (d *Detector) device(p *person, name string, at int64) {
	h := hash(name)
	if isNew(p, p.devices, h) {
		p.signs.device = at
		d.count(p, novelty, 1, at)
	}
	p.signs.ownDevice = p.day-p.devices[h] >= settled
	d.pairs.device(p, h)
}

// isNew notes a thing, and tells whether it was new to somebody who has settled.
func isNew(p *person, had map[uint64]int64, h uint64) bool {
	if _, ok := had[h]; ok {
		return false
	}
	if len(had) < 4096 {
		had[h] = p.day
	}
	return p.days > settled
}

// rare notes that one more of the group uses a thing, and tells whether hardly anybody did before.
func (g *group) rare(h uint64) bool {
	if g.used == nil {
		g.used = map[uint64]int{}
	}
	n := g.used[h]
	if len(g.used) < 1<<16 || n > 0 {
		g.used[h] = n + 1
	}
	return n < 2
}

// network is the part of an address that stands for a place: 24 bits of IPv4, 48 of IPv6.
func network(address string) string {
	if i := strings.LastIndexByte(address, '.'); i > 0 && !strings.Contains(address, ":") {
		return address[:i]
	}
	parts := strings.SplitN(address, ":", 4)
	return strings.Join(parts[:min(3, len(parts))], ":")
}
