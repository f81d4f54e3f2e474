package detect

import (
	"fmt"
	"math"
	"strings"
	"time"

	"sallyport"
)

// Explain tells a finding in five sentences: who and what, since when, what speaks for it, what else it may be, and what is to be done.
func Explain(f *Finding, name string) [5]string {
	who := string(f.Staff[0])
	if name != "" {
		who = name + " (" + who + ")"
	}
	for _, other := range f.Staff[1:] {
		who += " and " + string(other)
	}
	what := "did what nobody can explain"
	for _, e := range f.Evidence {
		if e.Source == f.Kind {
			what = e.Text
			break
		}
	}
	var speaks []string
	for _, e := range f.Evidence {
		if e.Source != "prior" && e.Source != f.Kind {
			speaks = append(speaks, fmt.Sprintf("%s (%+.1f)", e.Text, e.Log10))
		}
	}
	if len(speaks) == 0 {
		speaks = []string{"nothing else"}
	}
	day := func(t time.Time) string { return t.Format("2 January 2006 15:04") }
	return [5]string{
		fmt.Sprintf("%s: %s.", who, what),
		fmt.Sprintf("It began most probably on %s UTC (98 in 100: between %s and %s), and %d customers are exposed since then at most.", day(f.Since), day(f.SinceLow), day(f.SinceHigh), f.SubjectsExposed),
		fmt.Sprintf("Beside that, in powers of ten of the odds: %s.", strings.Join(speaks, "; ")),
		fmt.Sprintf("Most likely %s: malicious %.0f %%, negligent %.0f %%, compromised %.0f %%, none of these %.0f %%.", f.Type,
			100*f.Probabilities[Malicious], 100*f.Probabilities[Negligent], 100*f.Probabilities[Compromised], 100*f.Probabilities[Benign]),
		toDo(f.Action),
	}
}

func toDo(action string) string {
	switch action {
	case "lock", "suspend":
		return "End the sessions and keep the account shut until somebody has spoken with him; it can be undone."
	case "mask":
		return "Show him masked values only, and ask where the data went."
	case "step_up":
		return "Have him prove who he is before he goes on."
	case "second_person":
		return "Let a second person agree to what he looks at, and ask him."
	case "throttle":
		return "Let results come at reading speed, and have somebody look at it today."
	}
	return "Have somebody look at it."
}

// Day is one day of somebody, for a chart.
type Day struct {
	Day      time.Time
	Count    float64 // customers without a reason
	Expected float64
}

// Days are the last days of somebody on which he worked.
func (d *Detector) Days(who sallyport.Staff) []Day {
	p, ok := d.people[who]
	if !ok {
		return nil
	}
	var list []Day
	for i := range p.past {
		list = append(list, Day{moment(p.past[i].day * dayMS), float64(p.past[i].x[exposure]), float64(p.past[i].mu)})
	}
	if p.open {
		list = append(list, Day{moment(p.day * dayMS), p.streams[exposure].x, p.streams[exposure].mu})
	}
	return list
}

// Share is how many looks a template explained.
type Share struct {
	Template string `json:"template"`
	Looks    int64  `json:"looks"`
}

// Shares are what explained looks, and how many nothing did.
func (d *Detector) Shares() []Share {
	var list []Share
	left := d.counts.Looks
	for _, some := range [][]*Template{d.rules.ticket, d.rules.contact, d.rules.job, d.rules.purpose, d.rules.relation} {
		for _, t := range some {
			if t.looks > 0 {
				list = append(list, Share{t.ID, t.looks})
				left -= t.looks
			}
		}
	}
	return append(list, Share{"none", left})
}

// Health says whether the promise about false alarms holds: how often a low level was reached, and how often chance may at most.
type Health struct {
	Peers    string  `json:"peers"` // empty: everybody
	People   int     `json:"people"`
	Usual    float64 `json:"usual"`    // customers without a reason, a person and day
	Size     float64 `json:"size"`     // of the negative binomial: how much days differ
	Reached  float64 `json:"reached"`  // how often people came to a hundredfold weight of evidence
	Promised float64 `json:"promised"` // and how often chance may bring them there at most
	// The same of a thousandfold weight.
	ReachedHigh  float64 `json:"reached_1000"`
	PromisedHigh float64 `json:"promised_1000"`
	Raised       float64 `json:"raised"` // by what factor the alarm level was raised for that; 1: not
	Warning      string  `json:"warning,omitempty"`
}

// Health is that of each group of peers.
func (d *Detector) Health() []Health {
	list := make([]Health, 0, len(d.crowd))
	for _, g := range d.crowd {
		if len(g.people) == 0 {
			continue
		}
		h := Health{
			Peers: g.name, People: len(g.people), Usual: g.streams[exposure].mean, Size: g.streams[exposure].size,
			Reached: g.shadows[0], Promised: g.shadowDays / shadowLevel(0), ReachedHigh: g.shadows[1], PromisedHigh: g.shadowDays / shadowLevel(1),
			Raised: math.Exp(g.penalty),
		}
		if g.penalty > 0 {
			h.Warning = "people differ from what they usually do more than the statistics allow for: the alarm level was raised, and findings come later"
		}
		list = append(list, h)
	}
	return list
}

// People is how many there are.
func (d *Detector) People() int { return len(d.order) }
