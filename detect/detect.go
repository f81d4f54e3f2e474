// Package detect finds insiders by what nobody can explain. Each look of a person at a customer is explained by a ticket, a contact, a job
// or an earlier relation, more or less; what is left over is counted by person and day, held against what is usual for him and his peers,
// and tested sequentially, so that the rate of false alarms is promised beforehand (docs/detection.md).
//
// It does no I/O and reads no clock. It refuses to use a fact before the moment at which it became known, to learn from days under
// suspicion, and to raise an alarm on what the personnel department says. Its invariant: the same inputs in the same order give the same
// findings, and what comes later changes none of them.
package detect

import (
	"fmt"
	"math"
	"time"

	"sallyport"
)

// Options are what a company decides. The zero value promises 12 false alarms a year for 1,000 people.
type Options struct {
	// Budget is how many false alarms a person and day may bring on average.
	Budget    float64
	Templates []Template // nil: the program's own
	Canaries  map[sallyport.Subject]bool
	// Watched are customers whom people are curious about: famous ones, colleagues.
	Watched map[sallyport.Subject]bool
	// Personnel lets what the personnel department says weigh: a little, and never alone. It is off by default, since a person who
	// leaves or complains is no suspect for it, and people should be able to give notice without being watched for it.
	Personnel bool
	Known     Sources
}

// Sources says which kinds of facts there are at all: what is missing widens uncertainty.
type Sources struct{ Staff, Tickets, TicketEvents, Contacts, Jobs, Personnel, LogIns, Alerts bool }

// DefaultBudget is 12 false alarms a year for 1,000 people.
const DefaultBudget = 12.0 / 365 / 1000

// Detector holds the state. It is not safe for concurrent use.
type Detector struct {
	options Options
	level   float64 // ln A
	specs   [streams]stream
	weights [2][streams]float64 // logarithms of parts of the budget: of somebody alone, and of somebody who is linked
	rules   rules
	facts   facts

	people  map[sallyport.Staff]*person
	order   []*person // by first sight
	groups  map[string]*group
	crowd   []*group // by first sight
	roles   map[string]int
	now     int64 // ms; never goes back
	hour    int64 // of the last sweep
	days    int64 // of the last daily work
	began   int64
	found   []Finding
	counts  Counts
	scratch []float64
	pairs   pairs
	watch   func(*person) // hears of each day that ends; for tests
	// bareLook hears of each look without a reason; for mining.
	bareLook func(p *person, customer uint64, at int64)
}

// Counts are figures of a run.
type Counts struct {
	Accesses, Looks, Unexplained int64
	PersonDays                   int64
	Alarms                       int64
	By                           map[string]int64 // looks by template; "" for none
}

// New makes a detector.
func New(o Options) (*Detector, error) {
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	if o.Budget < 0 || o.Budget >= 1 || math.IsNaN(o.Budget) {
		return nil, fmt.Errorf("a budget of %g false alarms a person and day; expected more than 0 and less than 1", o.Budget)
	}
	if o.Templates == nil {
		var err error
		if o.Templates, err = DefaultTemplates(); err != nil {
			return nil, err
		}
	}
	d := &Detector{
		options: o, level: -math.Log(o.Budget), people: map[sallyport.Staff]*person{}, groups: map[string]*group{}, roles: map[string]int{},
		specs: specs(), counts: Counts{By: map[string]int64{}}, facts: newFacts(), pairs: newPairs(),
	}
	d.weights = shares(&d.specs)
	var err error
	if d.rules, err = newRules(o.Templates); err != nil {
		return nil, err
	}
	return d, nil
}

// Level is A: an alarm is raised where the evidence reaches it.
func (d *Detector) Level() float64 { return math.Exp(d.level) }

// Hire tells of the staff, all together, before the first input.
func (d *Detector) Hire(staff []sallyport.Employee) {
	for i := range staff {
		d.roles[groupName(&staff[i])]++
	}
	for i := range staff {
		p := d.person(staff[i].ID)
		p.employee, p.service, p.zone = &staff[i], staff[i].Service, staff[i].Zone
		p.join(d.groupOf(p))
	}
}

// Observe takes the next input, in the order in which inputs became known, and gives what follows from it: a new finding, or a new line of
// one that grows. The list is good until the next call.
func (d *Detector) Observe(in *sallyport.Input) []Finding {
	d.found = d.found[:0]
	at := in.Time.UnixMilli()
	d.clock(at)
	switch {
	case in.Access != nil:
		d.access(in.Access, at)
	case in.Ticket != nil:
		d.ticket(in.Ticket, at)
	case in.TicketEvent != nil:
		d.ticketEvent(in.TicketEvent, at)
	case in.Contact != nil:
		d.contact(in.Contact, at)
	case in.Job != nil:
		d.job(in.Job)
	case in.HR != nil:
		d.personnel(in.HR, at)
	case in.LogIn != nil:
		d.logIn(in.LogIn, at)
	case in.Alert != nil:
		d.alert(in.Alert, at)
	case in.Report != nil:
		d.report(in.Report, at)
	}
	return d.found
}

// Counts are the figures so far.
func (d *Detector) Counts() Counts { return d.counts }

const (
	hourMS = int64(time.Hour / time.Millisecond)
	dayMS  = 24 * hourMS
)

// clock does what is to be done by the hour and by the day: it closes the days of people that are over, and calibrates.
func (d *Detector) clock(at int64) {
	d.now = max(d.now, at)
	if hour := floor(d.now, hourMS); hour != d.hour {
		d.hour = hour
		d.shocked()
		d.ended(func(p *person) { p.surge = p.group.surge(p, 23) }) // of all, before the first day is closed
		d.ended(d.closeDay)
	}
	if day := floor(d.now, dayMS); day != d.days {
		d.days = day
		for _, g := range d.crowd {
			g.calibrate()
		}
		d.forget()
	}
}

// shocked looks at what came to most of each group, and of everybody where a group is too small to tell.
func (d *Detector) shocked() {
	d.scratch = d.scratch[:0]
	for _, g := range d.crowd {
		if g.compare(d.hourSoFar); g.name != services {
			d.scratch = append(d.scratch, g.ratios...)
		}
	}
	everybody := shock(d.scratch)
	for _, g := range d.crowd {
		if g.shock = everybody; len(g.ratios) >= enough || g.name == services {
			g.shock = shock(g.ratios)
		}
	}
}

// hourSoFar is the hour of somebody's open day, its last one where it is over.
func (d *Detector) hourSoFar(p *person) int {
	if p.local(d.now) > p.day {
		return 23
	}
	return p.hour(d.now)
}

// ended goes through the people whose day is over.
func (d *Detector) ended(do func(*person)) {
	for _, p := range d.order {
		if p.open && p.local(d.now) > p.day {
			do(p)
		}
	}
}

// forget drops what no template looks back to.
func (d *Detector) forget() {
	if d.days%7 == 0 {
		d.facts.forget(d.now)
	}
	d.pairs.forget(d.now)
	for i, p := range d.order {
		if (int64(i)+d.days)%7 == 0 {
			p.forget()
		}
	}
}

// person is the state of one, made at first sight.
func (d *Detector) person(id sallyport.Staff) *person {
	if p, ok := d.people[id]; ok {
		return p
	}
	p := newPerson(id, len(d.order))
	d.people[id] = p
	d.order = append(d.order, p)
	p.join(d.groupOf(p))
	return p
}

// fewPeers is below how many people a role has no statistics of its own.
const fewPeers = 5

// services is the name of the group of programs.
const services = "service"

// groupOf is a person's peers: those of his role, or of his team; everybody where they are few.
func (d *Detector) groupOf(p *person) *group {
	name := ""
	switch {
	case p.service:
		name = services
	case p.role != "":
		name = "role " + p.role
	case p.employee != nil:
		name = groupName(p.employee)
	}
	if name != services && d.roles[name] < fewPeers {
		name = ""
	}
	g, ok := d.groups[name]
	if !ok {
		g = newGroup(name, d.level)
		d.groups[name] = g
		d.crowd = append(d.crowd, g)
	}
	return g
}

func groupName(e *sallyport.Employee) string {
	switch {
	case e.Service:
		return services
	case e.Role != "":
		return "role " + e.Role
	case e.Team != "":
		return "team " + e.Team
	}
	return ""
}

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
