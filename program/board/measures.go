package board

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/cases"
	"sallyport/drill"
	"sallyport/program/training"
)

// measure is how one figure comes from the record. of gives nil where the record has nothing, and then says why.
type measure struct {
	id, title, unit string
	of              func(from, until time.Time) (*float64, string)
}

func (b *Book) measures() []measure {
	return []measure{
		{"exposure", "Customers seen for 1,000 tickets", "customers", b.exposure},
		{"unexplained", "Looks at customers that nothing explains", "%", b.unexplained},
		{"detect_drill", "Time to detect, in drills", "s", b.drilled(func(r *drill.Report) *float64 { return r.Detect }, "detected")},
		{"contain_drill", "Time to contain, in drills", "s", b.drilled(func(r *drill.Report) *float64 { return r.Contain }, "contained")},
		{"name_drill", "Time to name, in drills", "s", b.drilled(func(r *drill.Report) *float64 { return r.Name }, "named")},
		{"detect_case", "Time to detect, in cases", "days", b.solved(b.detected, "a finding from which it is known when it began")},
		{"contain_case", "Time to contain, in cases", "days", b.solved(contained, "contained put on record")},
		{"name_case", "Time to name, in cases", "days", b.solved(named, "somebody named")},
		{"false_alarms", "False alarms", "findings", b.falseAlarms},
		{"promise", "False alarms promised at most", "findings", b.promise},
		{"reviews", "Reviews of access decided in time", "%", b.reviews},
		{"glass", "Broken glass that was reviewed", "%", b.glassReviewed},
		{"overdue", "People overdue with training", "%", b.behind},
		{"lessons", "Lessons read, of those given", "%", b.lessons},
		{"phishing", "Phishing tests that people fell for", "%", b.phishing},
	}
}

func (b *Book) month(from time.Time) *month {
	m := b.months[nameOf(from)]
	if m == nil {
		return &month{}
	}
	return m
}

func (b *Book) exposure(from, _ time.Time) (*float64, string) {
	m := b.month(from)
	if len(m.tickets) == 0 {
		return nil, "no ticket was opened on record"
	}
	return new(1000 * float64(len(m.pairs)) / float64(len(m.tickets))), fmt.Sprintf("%d times somebody could read a customer whom he had not seen in this month; %d tickets were opened", len(m.pairs), len(m.tickets))
}

func (b *Book) unexplained(from, _ time.Time) (*float64, string) {
	m := b.month(from)
	if m.looks == 0 {
		return nil, "nobody looked at a customer"
	}
	return new(100 * float64(m.unexplained) / float64(m.looks)), fmt.Sprintf("%d of %d looks, as detection counts them", m.unexplained, m.looks)
}

// drilled is the median of a time over the drills of a month in which it came.
func (b *Book) drilled(of func(*drill.Report) *float64, what string) func(from, until time.Time) (*float64, string) {
	return func(from, until time.Time) (*float64, string) {
		var list []float64
		n := 0
		for _, r := range b.drills.Runs() {
			if r.Report == nil || r.Began.Before(from) || !r.Began.Before(until) {
				continue
			}
			n++
			if s := of(r.Report); s != nil {
				list = append(list, *s)
			}
		}
		switch {
		case n == 0:
			return nil, "no drill was played"
		case len(list) == 0:
			return nil, fmt.Sprintf("in none of %d drills was the thief %s while it was waited for", n, what)
		}
		return new(median(list)), fmt.Sprintf("median of those %s: %d of %d drills", what, len(list), n)
	}
}

// solved is the median of a time over cases that were closed in a month and confirmed.
func (b *Book) solved(of func(*cases.Case) (time.Duration, bool), what string) func(from, until time.Time) (*float64, string) {
	return func(from, until time.Time) (*float64, string) {
		var list []float64
		n := 0
		for _, c := range b.cases.All() {
			if c.State != cases.Closed || c.Outcome != cases.Confirmed || c.ClosedAt.Before(from) || !c.ClosedAt.Before(until) {
				continue
			}
			n++
			if d, ok := of(&c); ok {
				list = append(list, d.Hours()/24)
			}
		}
		switch {
		case n == 0:
			return nil, "no case was closed as confirmed"
		case len(list) == 0:
			return nil, fmt.Sprintf("none of %d confirmed cases has %s", n, what)
		}
		return new(median(list)), fmt.Sprintf("median of %d of %d confirmed cases", len(list), n)
	}
}

// detected is from when it began, as the first finding has it, to that finding.
func (b *Book) detected(c *cases.Case) (time.Duration, bool) {
	for _, id := range c.Findings {
		if f, ok := b.found[id]; ok {
			return f.at.Sub(f.since), true
		}
	}
	return 0, false
}

func contained(c *cases.Case) (time.Duration, bool) {
	for _, n := range c.Notes {
		if n.Do == cases.DoState && strings.HasPrefix(n.Text, cases.Contained) {
			return n.At.Sub(c.Opened), true
		}
	}
	return 0, false
}

func named(c *cases.Case) (time.Duration, bool) {
	return c.ClosedAt.Sub(c.Opened), len(c.Guilty) > 0
}

func median(list []float64) float64 {
	slices.Sort(list)
	n := len(list)
	if n%2 == 1 {
		return list[n/2]
	}
	return (list[n/2-1] + list[n/2]) / 2
}

// falseAlarms are findings of the month of which a case says that nobody did it. Those that nobody has judged yet are told.
func (b *Book) falseAlarms(from, until time.Time) (*float64, string) {
	if b.budget <= 0 || b.month(from).days == 0 {
		return nil, "nobody was looked at"
	}
	all, wrong, right := 0, 0, 0
	outcome := map[string]string{}
	for _, c := range b.cases.All() {
		for _, id := range c.Findings {
			if c.State == cases.Closed {
				outcome[id] = c.Outcome
			}
		}
	}
	for id, f := range b.found {
		if f.at.Before(from) || !f.at.Before(until) {
			continue
		}
		all++
		switch outcome[id] {
		case cases.Unfounded:
			wrong++
		case cases.Confirmed:
			right++
		}
	}
	return new(float64(wrong)), fmt.Sprintf("of %d findings %d were confirmed, %d unfounded, %d not judged", all, right, wrong, all-right-wrong)
}

func (b *Book) promise(from, _ time.Time) (*float64, string) {
	m := b.month(from)
	if b.budget <= 0 || m.days == 0 {
		return nil, "nobody was looked at"
	}
	return new(b.budget * float64(m.days)), fmt.Sprintf("on %d days of a person", m.days)
}

// reviews are those whose date is in the month, and those that were decided in it before their date.
func (b *Book) reviews(from, until time.Time) (*float64, string) {
	due, done := 0, 0
	for _, r := range b.rest.Reviews() {
		at := r.Until
		if !r.Decided.IsZero() {
			at = r.Decided
		}
		if at.Before(from) || !at.Before(until) {
			continue
		}
		due++
		if !r.Decided.IsZero() {
			done++
		}
	}
	return share(done, due, "no review was due or decided", "%d of %d people's access; the others' date passed with nobody deciding")
}

func (b *Book) glassReviewed(from, _ time.Time) (*float64, string) {
	m := b.month(from)
	return share(m.glassSeen, m.glassBroken, "nobody broke the glass", "%d of %d times")
}

func (b *Book) behind(from, _ time.Time) (*float64, string) {
	m := b.month(from)
	return share(m.overdue, m.people, "nothing is on record about training", "%d of %d people of whom something is known, at the end")
}

func (b *Book) lessons(from, until time.Time) (*float64, string) {
	given, read := 0, 0
	for _, t := range b.learnt.Lessons() {
		if !t.From.Before(from) && t.From.Before(until) {
			given++
			if !t.Read.IsZero() && t.Read.Before(until) {
				read++
			}
		}
	}
	return share(read, given, "nobody was given a lesson", "%d of %d lessons for mistakes of this month")
}

func (b *Book) phishing(from, until time.Time) (*float64, string) {
	tests, fell := 0, 0
	for _, p := range b.learnt.People(until) {
		for i := range p.Phishing {
			if f := &p.Phishing[i]; !f.Time.Before(from) && f.Time.Before(until) {
				tests++
				if training.Fell(f) {
					fell++
				}
			}
		}
	}
	return share(fell, tests, "no phishing test is on record", "%d of %d")
}

func share(n, of int, none, says string) (*float64, string) {
	if of == 0 {
		return nil, none
	}
	return new(100 * float64(n) / float64(of)), fmt.Sprintf(says, n, of)
}
