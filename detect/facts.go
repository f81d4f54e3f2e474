package detect

import (
	"maps"
	"math"

	"sallyport"
)

// facts are what may explain a look, by customer.
type facts struct {
	tickets    map[uint64]*ticket // by the hash of their id
	byCustomer map[uint64]*ticket // the newest of each
	names      []string           // of queues and priorities; the first is none
	numbers    map[string]uint16
	contacts   map[uint64][]contact
	hints      hints // of whom there is a ticket or a contact
	jobs       []*job
	lately     map[uint64][]recentLook // customers looked at without a reason in the last hours
	approved   map[sallyport.Staff]map[sallyport.Staff]int
	approvers  map[sallyport.Staff]bool
}

// ticket is kept for weeks after its end, so it is as small as it can be: 64 bytes.
type ticket struct {
	customer           uint64
	opened, closed     int64 // ms; closed 0: it is open
	assignee, openedBy *person
	before             *hand   // who had it last
	older              *ticket // of the same customer
	queue, priority    uint16  // numbers of names
	undated            bool    // nobody knows since when he has it
	heard              bool    // somebody other than who opened it has worked on it, or the customer got in touch
}

// hand is somebody who had a ticket.
type hand struct {
	who    *person
	until  int64
	before *hand
}

type contact struct {
	at       int64
	who      *person
	incoming bool
}

type job struct {
	sallyport.BulkJob
	from, to int64
	used     int64
}

type recentLook struct {
	who *person
	at  int64
}

func newFacts() facts {
	return facts{
		tickets: map[uint64]*ticket{}, byCustomer: map[uint64]*ticket{}, names: []string{""}, numbers: map[string]uint16{"": 0},
		contacts: map[uint64][]contact{}, lately: map[uint64][]recentLook{},
		approved: map[sallyport.Staff]map[sallyport.Staff]int{}, approvers: map[sallyport.Staff]bool{},
	}
}

// number is that of a name. Beyond as many as there are numbers a name counts as none.
func (f *facts) number(name string) uint16 {
	n, ok := f.numbers[name]
	if !ok && len(f.names) <= math.MaxUint16 {
		n = uint16(len(f.names)) //nolint:gosec // bounded
		f.names, f.numbers[name] = append(f.names, name), n
	}
	return n
}

// key is a customer as a number: its own where it is one, a hash elsewhere.
func key(s sallyport.Subject) uint64 {
	if n, ok := sallyport.WholeNumber(s); ok {
		return n
	}
	return hash(string(s)) | 1<<63
}

// hash is FNV-1a, spread; it is the same in every run.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}

const (
	keptTickets  = 30 * dayMS // after their end
	keptContacts = 14 * dayMS
	afterwards   = hourMS // how long after a look a fact may still come
	shortlyAfter = 10 * hourMS / 60
	mostTickets  = 64 // of one customer that are looked at: there are customers who write every day
)

func (f *facts) forget(now int64) {
	gone := func(t *ticket) bool { return t.closed != 0 && now-t.closed >= keptTickets }
	for c, t := range f.byCustomer {
		newest := t.without(gone)
		switch {
		case newest == nil:
			delete(f.byCustomer, c)
		case newest != t:
			f.byCustomer[c] = newest
		}
	}
	maps.DeleteFunc(f.tickets, func(_ uint64, t *ticket) bool { return gone(t) })
	for c, list := range f.contacts {
		if now-list[len(list)-1].at > keptContacts {
			delete(f.contacts, c)
		}
	}
	f.rehint()
	clear(f.lately)
	jobs := f.jobs[:0]
	for _, j := range f.jobs {
		if now-j.to < dayMS {
			jobs = append(jobs, j)
		}
	}
	f.jobs = jobs
}

// without is a customer's tickets but for some.
func (t *ticket) without(gone func(*ticket) bool) (newest *ticket) {
	last := &newest
	for ; t != nil; t = t.older {
		if !gone(t) {
			*last, last = t, &t.older
		}
	}
	*last = nil
	return newest
}

// ticket notes a new ticket. What is known of it is what was known when it was opened.
func (d *Detector) ticket(in *sallyport.TicketFact, at int64) {
	id := hash(in.ID)
	if d.facts.tickets[id] != nil {
		return
	}
	t := &ticket{customer: key(in.Customer), opened: in.Opened.UnixMilli(), queue: d.facts.number(in.Queue), priority: d.facts.number(in.Priority)}
	if in.OpenedBy != "" {
		t.openedBy = d.person(in.OpenedBy)
		t.heard = t.openedBy.service
	}
	if in.Assignee != "" {
		t.assignee, t.undated = d.person(in.Assignee), true
	}
	if !in.Closed.IsZero() && in.Closed.UnixMilli() <= at {
		t.closed = in.Closed.UnixMilli()
	}
	t.heard = t.heard || d.facts.calledBefore(t)
	t.older = d.facts.byCustomer[t.customer]
	d.facts.tickets[id], d.facts.byCustomer[t.customer] = t, t
	d.facts.hint(t.customer)
	d.reconsider(t.customer, at, t.openedBy)
}

// ticketEvent notes who has a ticket now. Whoever else works on it makes it more than its opener's word.
func (d *Detector) ticketEvent(in *sallyport.TicketEvent, at int64) {
	t := d.facts.tickets[hash(in.Ticket)]
	if t == nil {
		return
	}
	switch in.Type {
	case "closed":
		if t.closed == 0 {
			t.closed = at
		}
		return
	case "reopened":
		t.closed = 0
	}
	if in.Staff == "" {
		return
	}
	p := d.person(in.Staff)
	if t.openedBy != nil && p != t.openedBy {
		t.heard = true
	}
	if in.Type == "reopened" && t.assignee != nil {
		return
	}
	if t.assignee != nil && t.assignee != p {
		t.before = &hand{t.assignee, at, t.before}
	}
	if t.assignee != p {
		d.tookAway(p, t, at)
	}
	if t.assignee != p && t.queue != 0 {
		p.queues[d.facts.names[t.queue]]++
	}
	t.assignee, t.undated = p, false
	d.reconsider(t.customer, at, nil)
}

func (d *Detector) contact(in *sallyport.ContactFact, at int64) {
	c := contact{at: in.Time.UnixMilli(), incoming: in.Incoming}
	if in.Staff != "" {
		c.who = d.person(in.Staff)
	}
	customer := key(in.Customer)
	list := d.facts.contacts[customer]
	if len(list) > 50 {
		list = append(list[:0], list[25:]...)
	}
	d.facts.contacts[customer] = append(list, c)
	d.facts.hint(customer)
	if c.incoming {
		for t := d.facts.byCustomer[customer]; t != nil; t = t.older {
			t.heard = true
		}
		d.reconsider(customer, at, nil)
	}
}

// job notes approved work. Whoever approves his own, or always has the same person agree where others could, is counted.
func (d *Detector) job(in *sallyport.BulkJob) {
	j := &job{BulkJob: *in, from: in.From.UnixMilli(), to: in.To.UnixMilli()}
	d.facts.jobs = append(d.facts.jobs, j)
	if in.Staff == "" || in.ApprovedBy == "" {
		return
	}
	d.facts.approvers[in.ApprovedBy] = true
	by := d.facts.approved[in.Staff]
	if by == nil {
		by = map[sallyport.Staff]int{}
		d.facts.approved[in.Staff] = by
	}
	by[in.ApprovedBy]++
	p := d.person(in.Staff)
	switch n := by[in.ApprovedBy]; {
	case in.ApprovedBy == in.Staff:
		d.count(p, approval, 3, d.now)
	case n >= 4 && len(by) == 1 && len(d.facts.approvers) >= 3:
		d.count(p, approval, 1, d.now)
	}
}

// explain gives the best template for a look, and its weight.
func (d *Detector) explain(p *person, customer uint64, had look, known bool, a *sallyport.Access, at int64) (float64, *Template) {
	best := d.byFacts(p, customer, at)
	if best == nil || best.Weight < 1 {
		best = heavier(best, heavier(d.byJob(p, a, at), d.byClaim(p, a)))
		if known && had.weight() >= 0.5 && had.bare == 0 {
			best = heavier(best, d.byRelation(p, at-had.ms()))
		}
	}
	if best == nil {
		return 0, nil
	}
	return best.Weight, best
}

// heavier is the template that explains more; the first where both do alike.
func heavier(a, b *Template) *Template {
	if a == nil || b != nil && b.Weight > a.Weight {
		return b
	}
	return a
}

func (d *Detector) byRelation(p *person, age int64) *Template {
	for _, t := range d.rules.relation {
		if age <= t.Within.Milliseconds() && t.fits(p) {
			return t
		}
	}
	return nil
}

// byFacts is the best template for which tickets or contacts of the customer count.
func (d *Detector) byFacts(p *person, customer uint64, at int64) (best *Template) {
	if !d.facts.hints.may(customer) {
		return nil
	}
	t := d.facts.byCustomer[customer]
	for n := 0; t != nil && n < mostTickets && (best == nil || best.Weight < 1); n++ { // the newest first
		best = heavier(best, d.byTicket(p, t, at))
		t = t.older
	}
	for i := range d.facts.contacts[customer] {
		best = heavier(best, d.byContact(p, &d.facts.contacts[customer][i], at))
	}
	return best
}

// byTicket is the best template for which one ticket counts.
func (d *Detector) byTicket(p *person, k *ticket, at int64) *Template {
	if k.opened > at {
		return nil
	}
	self := k.openedBy == p && !k.heard && !d.facts.calledBefore(k)
	for _, t := range d.rules.ticket {
		within := t.Within.Milliseconds()
		if k.closed != 0 && at-k.closed > within || t.Priority != "" && t.Priority != d.facts.names[k.priority] || !t.fits(p) {
			continue
		}
		fits := false
		switch t.Whose {
		case "his":
			fits = k.assignee == p && !self
		case "was_his":
			fits = !self && k.had(p, at-within)
		case "team":
			fits = !self && p.inTeam(k, d.facts.names[k.queue])
		case "anybody":
			fits = !self
		case "unchecked":
			fits = self && !d.options.Known.Contacts
		case "self_made":
			fits = self && d.options.Known.Contacts
		}
		if fits {
			return t
		}
	}
	return nil
}

// had tells whether somebody had a ticket since then.
func (k *ticket) had(p *person, since int64) bool {
	for h := k.before; h != nil; h = h.before {
		if h.who == p && h.until >= since {
			return true
		}
	}
	return false
}

// inTeam tells whether a ticket is in his queue, or with somebody of his team.
func (p *person) inTeam(k *ticket, queue string) bool {
	team := ""
	if p.employee != nil {
		team = p.employee.Team
	}
	switch {
	case queue != "" && (queue == team || p.queues[queue] >= 3):
		return true
	case team == "" || k.assignee == nil || k.assignee.employee == nil:
		return false
	}
	return k.assignee.employee.Team == team
}

// calledBefore tells whether the customer had got in touch shortly before a ticket was opened.
func (f *facts) calledBefore(k *ticket) bool {
	for _, c := range f.contacts[k.customer] {
		if c.incoming && c.at >= k.opened-2*dayMS && c.at <= k.opened+shortlyAfter {
			k.heard = true
			return true
		}
	}
	return false
}

func (d *Detector) byContact(p *person, c *contact, at int64) *Template {
	if c.at > at {
		return nil
	}
	for _, t := range d.rules.contact {
		if at-c.at > t.Within.Milliseconds() || !t.fits(p) {
			continue
		}
		switch t.Whose {
		case "his":
			if c.incoming && c.who == p {
				return t
			}
		case "anybody":
			if c.incoming || c.who != p && c.who != nil {
				return t
			}
		case "self_made":
			if !c.incoming && c.who == p {
				return t
			}
		}
	}
	return nil
}

func (d *Detector) byJob(p *person, a *sallyport.Access, at int64) *Template {
	var best *Template
	var of *job
	for _, j := range d.facts.jobs {
		claimed := a.Purpose.Kind == "job" && a.Purpose.Ref == j.ID
		if at < j.from || at > j.to || j.Staff != p.id && (j.Staff != "" || !claimed) || j.Most > 0 && j.used >= j.Most {
			continue
		}
		if t := d.byOneJob(p, j, claimed); t != nil && heavier(best, t) == t {
			best, of = t, j
		}
	}
	if of != nil {
		of.used++
	}
	return best
}

// byOneJob is the best template for a job that holds now and is his, or that he named.
func (d *Detector) byOneJob(p *person, j *job, claimed bool) *Template {
	self := j.ApprovedBy == p.id || j.ApprovedBy == ""
	for _, t := range d.rules.job {
		fits := t.Whose == "claimed" && claimed && !self || t.Whose == "his" && !self || t.Whose == "self_made" && self
		if fits && t.fits(p) {
			return t
		}
	}
	return nil
}

// byClaim believes what somebody says where nothing is known to check it by.
func (d *Detector) byClaim(p *person, a *sallyport.Access) *Template {
	if a.Purpose.Kind == "" || a.Purpose.Ref == "" {
		return nil
	}
	known := &d.options.Known
	if a.Purpose.Kind == "ticket" && known.Tickets || a.Purpose.Kind == "call" && known.Contacts || a.Purpose.Kind == "job" && known.Jobs || a.Purpose.Kind == "work" {
		return nil
	}
	for _, t := range d.rules.purpose {
		if (t.Whose == "anybody" || t.Whose == a.Purpose.Kind) && t.fits(p) {
			return t
		}
	}
	return nil
}

// reconsider gives weight back to looks of today that a fact explains which came late. One that is dated before the look counts in full; a
// later one little, and none that the person made himself.
func (d *Detector) reconsider(customer uint64, at int64, by *person) {
	if len(d.facts.lately) == 0 {
		return
	}
	for _, l := range d.facts.lately[customer] {
		p := l.who
		had, ok := p.seen[customer]
		if !ok || !p.open || int64(had.day) != p.day || by == p || had.w&laterFact != 0 || d.now-l.at > afterwards {
			continue
		}
		w, _ := d.explain(p, customer, look{}, false, &sallyport.Access{}, l.at)
		was := had.weight()
		if w <= was { // the fact is later than the look
			if w, _ = d.explain(p, customer, look{}, false, &sallyport.Access{}, at); w < 0.5 {
				continue
			}
			const late = 0.3
			w *= late
		}
		if w > was {
			p.streams[exposure].x = max(0, p.streams[exposure].x-(residue(was)-residue(w)))
			had.w = looked(p.day, l.at, w).w | laterFact
			if w >= 0.5 && had.bare == 1 {
				had.bare = 0
				p.signs.fresh--
			}
			p.seen[customer] = had
			d.renew(p, exposure)
		}
	}
}
