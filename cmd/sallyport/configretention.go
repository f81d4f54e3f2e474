package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"sallyport"
	"sallyport/ledger"
)

// RetentionConfig says how long entries of the record are kept. Erasing leaves their place and their commitment, so that record and ledger
// stay provable (docs/record.md).
type RetentionConfig struct {
	// Days is for how many days entries of a kind are kept: kind of event → days, at least 35. What is not named is kept.
	Days map[string]int `yaml:"days"`

	// Hold names what is kept in any case, for as long as it stands here.
	Hold RetentionHold `yaml:"hold"`
}

// RetentionHold is a legal hold.
type RetentionHold struct {
	Customers []string `yaml:"customers"` // nothing that speaks of them is erased
	Entries   []string `yaml:"entries"`   // access:SEQ, or access:SEQ-SEQ; control likewise
}

// fewestDays is how long everything is kept: budgets count what was seen in 30 days.
const fewestDays = 35

// erasableKinds are what may be erased. The others are needed: from orders, facts and ties it follows who may see what.
func erasableKinds(stream ledger.Stream) []sallyport.EventKind {
	if stream == ledger.Control {
		return []sallyport.EventKind{sallyport.LogInOK, sallyport.LogInBad, sallyport.Queried}
	}
	return []sallyport.EventKind{
		sallyport.SessionStart, sallyport.SessionEnd, sallyport.StatementKind, sallyport.RevealKind, sallyport.TouchKind, sallyport.BudgetReached, sallyport.RefusedKind,
		sallyport.PowerKind, sallyport.CopyKind, sallyport.CountersKind, sallyport.ObservedKind, sallyport.ReplicationStart, sallyport.ReplicationEnd, sallyport.EntryRefused,
		sallyport.AroundKind, sallyport.ActingKind, sallyport.ResultKind, sallyport.ImportedKind, sallyport.RestatedKind,
	}
}

func (c *RetentionConfig) check(r *configReader) {
	var names []string
	for _, stream := range []ledger.Stream{ledger.Access, ledger.Control} {
		for _, kind := range erasableKinds(stream) {
			names = append(names, string(kind))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(c.Days)) {
		path := "retention.days." + kind
		switch {
		case !slices.Contains(names, kind):
			r.problem(r.keys[path], "entries of kind %q are not erased; expected %s", kind, oneOf(kind, names))
		case c.Days[kind] < fewestDays:
			r.problemAt(path, "%d days; expected %d or more, since budgets count what was seen in 30", c.Days[kind], fewestDays)
		}
	}
	for i, text := range c.Hold.Entries {
		if _, _, err := parseRun(text); err != nil {
			r.problemAt(fmt.Sprintf("retention.hold.entries[%d]", i), "%v", err)
		}
	}
}

// until is the time before which entries of a kind are erased; false: they are kept.
func (c *RetentionConfig) until(kind sallyport.EventKind, now time.Time) (time.Time, bool) {
	days, ok := c.Days[string(kind)]
	return now.AddDate(0, 0, -days), ok
}

// held says why an entry is kept in any case; empty: it is not.
func (h *RetentionHold) held(stream ledger.Stream, e *sallyport.Event) string {
	for _, text := range h.Entries {
		of, run, err := parseRun(text)
		if err == nil && of == stream && run[0] <= e.Seq && e.Seq <= run[1] {
			return "retention.hold.entries names it"
		}
	}
	if len(h.Customers) == 0 {
		return ""
	}
	for who := range spokenOf(e) {
		if slices.Contains(h.Customers, string(who)) {
			return "it speaks of a customer whom retention.hold.customers names"
		}
	}
	return ""
}

// customersOf are all customers of whom an entry speaks.
func customersOf(e *sallyport.Event) map[sallyport.Subject]bool {
	all := map[sallyport.Subject]bool{}
	if e.Statement != nil {
		for _, who := range e.Statement.Covers {
			all[who] = true
		}
	}
	if e.Reveal != nil {
		for v := range e.Reveal.Values.All() {
			all[v.Subject] = true
		}
	}
	if e.Touch != nil {
		for _, who := range e.Touch.Reached {
			all[who] = true
		}
	}
	if e.Imported != nil {
		for _, list := range [][]sallyport.Subject{e.Imported.Access.Subjects, e.Imported.Access.Reached} {
			for _, who := range list {
				all[who] = true
			}
		}
	}
	for _, f := range e.Facts {
		all[f.Customer] = true
	}
	for _, tie := range e.Ties {
		all[tie.Subject] = true
	}
	return all
}
