package detect

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"sallyport"
)

// Finding is the record's.
type Finding = sallyport.Finding

// Evidence is the record's.
type Evidence = sallyport.Evidence

// The types.
const (
	Malicious   = sallyport.Malicious
	Negligent   = sallyport.Negligent
	Compromised = sallyport.Compromised
	Benign      = sallyport.Benign
)

// AttackVersion is the version of MITRE ATT&CK whose techniques are named.
const AttackVersion = "Enterprise v18"

// episode is one finding while it grows.
type episode struct {
	id, kind string
	day      int64 // local, of the alarm
	last     int64 // local day on which evidence was high
	exposed  int64 // as last told
	alarms   int   // how often R reached A
	parts    [streams]float64
	since    [3]int64
}

// episodeEnds is after how many quiet days what comes is a finding of its own.
const episodeEnds = 45

// check compares the evidence of all streams with A.
func (d *Detector) check(p *person, at int64) {
	if p.dead {
		return
	}
	weights := &d.weights[0]
	if p.link != nil {
		weights = &d.weights[1]
	}
	var terms [streams]float64
	for i := range p.streams {
		terms[i] = weights[i] + p.streams[i].top
	}
	p.total = logSum(terms[:])
	p.highest = max(p.highest, p.total)
	if p.episode != nil && p.total > math.Log(many) {
		p.episode.last = p.day
	}
	if p.total < d.level {
		return
	}
	lead := 0
	for i := range terms {
		if terms[i] > terms[lead] {
			lead = i
		}
	}
	d.alarm(p, lead, at)
}

// warming tells whether somebody is only learnt: a program until it has settled, and everybody in the first week of a log, of which nobody
// knows what is usual. A canary is one at any time.
func (d *Detector) warming(p *person) bool {
	return p.service && p.days <= 2*settled || d.counts.Accesses > 0 && d.now-d.began < 7*dayMS
}

// alarm raises a finding, or lets one grow, and sets R to 0.
func (d *Detector) alarm(p *person, lead int, at int64) {
	kind := d.specs[lead].kind
	e := p.episode
	if e == nil {
		p.findings++
		e = &episode{id: fmt.Sprintf("%s-%d", p.id, p.findings), kind: kind, day: p.day}
		p.episode = e
		d.counts.Alarms++
	}
	for i := range p.streams { // R was 0 after the last alarm, so that what came since adds to it
		since := p.days
		if e.alarms > 0 {
			since = int(max(1, p.day-e.last))
		}
		e.parts[i] += max(0, p.streams[i].top/math.Ln10-math.Log10(float64(max(1, since))))
	}
	e.parts[eager] = min(e.parts[eager], little) // being zealous is no crime: it adds a little to what else was seen
	e.alarms++
	e.last = p.day
	d.line(p, lead, at)
	p.dead = true
	for i := range p.streams {
		d.renew(p, i)
	}
	p.total = math.Inf(-1)
}

// little is the most that zeal adds to the odds.
const little = 0.5

// grown gives another line where twice as many customers are exposed.
func (d *Detector) grown(p *person, at int64) {
	e := p.episode
	if e == nil || p.signs.fresh == 0 {
		return
	}
	if exposed := p.exposed(e.since[1]); exposed >= 2*e.exposed && exposed >= e.exposed+20 {
		d.line(p, exposure, at)
	}
}

// line writes a line.
func (d *Detector) line(p *person, lead int, at int64) {
	e := p.episode
	e.since = d.onset(p, lead, at)
	e.exposed = p.exposed(e.since[1])
	f := Finding{
		Time: moment(d.now), ID: e.id, Kind: e.kind, Staff: []sallyport.Staff{p.id}, SubjectsExposed: e.exposed,
		Since: moment(e.since[0]), SinceLow: moment(e.since[1]), SinceHigh: moment(e.since[2]),
	}
	if p.link != nil && e.parts[together] > 1 {
		f.Staff = append(f.Staff, p.link.id)
	}
	f.Evidence = d.evidence(p, at)
	for _, part := range f.Evidence {
		f.Log10Odds += part.Log10
	}
	f.Log10Odds = round(f.Log10Odds)
	f.Type, f.Probabilities = d.judge(p, f.Log10Odds, at)
	f.Attack = d.techniques(p, f.Type)
	f.Action = action(&f)
	d.found = append(d.found, f)
}

func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func round(x float64) float64 { return math.Round(x*100) / 100 }

// evidence is what the odds consist of, the weightiest first after the prior.
func (d *Detector) evidence(p *person, at int64) []Evidence {
	const prior = -2.5 // of some 300 people one takes customers' data within half a year
	list := []Evidence{part("prior", "before anything is known: one of some 300 people", prior)}
	specs := &d.specs
	var parts []Evidence
	for i, l := range p.episode.parts {
		if l >= 0.1 {
			parts = append(parts, part(specs[i].kind, d.words(p, i, at), round(min(l, 30))))
		}
	}
	slices.SortStableFunc(parts, func(a, b Evidence) int { return cmp.Compare(b.Log10, a.Log10) })
	list = append(list, parts...)
	if d.options.Personnel { // at most 0.5 together
		if p.notice != 0 && p.notice <= at {
			list = append(list, part("hr", "has given notice", 0.3))
		}
		if p.training {
			list = append(list, part("hr", "has not done his training", 0.1))
		}
	}
	known := &d.options.Known
	if !known.Tickets {
		list = append(list, part("missing", "no tickets are known: what looks unexplained may be work", -0.7))
	} else if !known.Contacts {
		list = append(list, part("missing", "no calls or mails of customers are known: some work cannot be told", -0.2))
	}
	if known.Tickets && !known.TicketEvents {
		list = append(list, part("missing", "who had a ticket when is not known", -0.2))
	}
	if n := p.lostSince(p.local(p.episode.since[0])); n > 0 {
		list = append(list, part("missing", fmt.Sprintf("on %d of these days most of his peers had many more than usual, too: facts seem to be missing", n), -0.2))
	}
	return list
}

// lostSince counts his days since one on which facts were missing.
func (p *person) lostSince(day int64) (n int) {
	for i := len(p.past) - 1; i >= 0 && p.past[i].day >= day; i-- {
		if p.past[i].lost {
			n++
		}
	}
	return n
}

func part(source, text string, log10 float64) Evidence {
	return Evidence{Source: source, Text: text, Log10: log10}
}

// words tells what a stream counted since the start.
func (d *Detector) words(p *person, i int, at int64) string {
	from := p.local(p.episode.since[0])
	x, expected, days := p.streams[i].x, p.streams[i].mu, int64(1)
	for j := len(p.past) - 1; j >= 0 && p.past[j].day >= from; j-- {
		x += float64(p.past[j].x[i])
		if i == exposure {
			expected += float64(p.past[j].mu)
		} else {
			expected += p.streams[i].mu
		}
		days = p.day - p.past[j].day + 1
	}
	if i == together {
		x, expected = p.ofBoth(from)
	}
	return fmt.Sprintf(d.specs[i].says, amount(x), span(days, at-p.episode.since[0]), amount(expected))
}

func amount(x float64) string {
	switch {
	case x >= 20 || x == math.Trunc(x):
		return fmt.Sprintf("%.0f", x)
	case x >= 0.05:
		return fmt.Sprintf("%.1f", x)
	}
	return "none"
}

func span(days, ms int64) string {
	switch {
	case days > 1:
		return fmt.Sprintf("%d days", days)
	case ms < 2*60_000:
		return "a minute"
	case ms < 2*hourMS:
		return fmt.Sprintf("%d minutes", ms/60_000)
	}
	return "a day"
}

// techniques are what of ATT&CK the finding is about.
func (d *Detector) techniques(p *person, kind string) []string {
	var list []string
	specs := &d.specs
	for i, l := range p.episode.parts {
		if l < 0.1 && specs[i].kind != p.episode.kind {
			continue
		}
		for _, id := range specs[i].attack {
			if !slices.Contains(list, id) {
				list = append(list, id)
			}
		}
	}
	if kind == Compromised && !slices.Contains(list, "T1078") {
		list = append(list, "T1078")
	}
	slices.Sort(list)
	return list
}

// action is what would be done: what can be taken back first, a lock without a person only on a canary or at extreme odds.
func action(f *Finding) string {
	odds := f.Log10Odds
	switch {
	case f.Kind == "canary" || odds >= 6:
		return "lock"
	case f.Type == Negligent && odds >= 0:
		return "mask"
	case odds >= 1.5:
		return "suspend"
	case f.Type == Compromised:
		return "step_up"
	case odds >= 0.5:
		return "second_person"
	case odds >= 0:
		return "throttle"
	}
	return "page"
}
