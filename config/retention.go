package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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

// FewestDays is how long everything is kept: budgets count what was seen in 30 days.
const FewestDays = 35

// ErasableKinds are what may be erased. The others are needed: from orders, facts and ties it follows who may see what.
func ErasableKinds(stream ledger.Stream) []sallyport.EventKind {
	if stream == ledger.Control {
		return []sallyport.EventKind{sallyport.LogInOK, sallyport.LogInBad, sallyport.Queried}
	}
	return []sallyport.EventKind{
		sallyport.SessionStart, sallyport.SessionEnd, sallyport.StatementKind, sallyport.RevealKind, sallyport.TouchKind, sallyport.BudgetReached, sallyport.RefusedKind,
		sallyport.PowerKind, sallyport.CopyKind, sallyport.CountersKind, sallyport.ObservedKind, sallyport.ReplicationStart, sallyport.ReplicationEnd, sallyport.EntryRefused,
		sallyport.AroundKind, sallyport.ActingKind, sallyport.ResultKind, sallyport.ImportedKind, sallyport.RestatedKind,
	}
}

func (c *RetentionConfig) check(r *Document) {
	var names []string
	for _, stream := range []ledger.Stream{ledger.Access, ledger.Control} {
		for _, kind := range ErasableKinds(stream) {
			names = append(names, string(kind))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(c.Days)) {
		path := "retention.days." + kind
		switch {
		case !slices.Contains(names, kind):
			r.problem(r.Keys[path], "entries of kind %q are not erased; expected %s", kind, OneOf(kind, names))
		case c.Days[kind] < FewestDays:
			r.problemAt(path, "%d days; expected %d or more, since budgets count what was seen in 30", c.Days[kind], FewestDays)
		}
	}
	for i, text := range c.Hold.Entries {
		if _, _, err := ParseRun(text); err != nil {
			r.problemAt(fmt.Sprintf("retention.hold.entries[%d]", i), "%v", err)
		}
	}
}

// Until is the time before which entries of a kind are erased; false: they are kept.
func (c *RetentionConfig) Until(kind sallyport.EventKind, now time.Time) (time.Time, bool) {
	days, ok := c.Days[string(kind)]
	return now.AddDate(0, 0, -days), ok
}

// Held says why an entry is kept in any case; empty: it is not.
func (h *RetentionHold) Held(stream ledger.Stream, e *sallyport.Event) string {
	for _, text := range h.Entries {
		of, run, err := ParseRun(text)
		if err == nil && of == stream && run[0] <= e.Seq && e.Seq <= run[1] {
			return "retention.hold.entries names it"
		}
	}
	if len(h.Customers) == 0 {
		return ""
	}
	for who := range SpokenOf(e) {
		if slices.Contains(h.Customers, string(who)) {
			return "it speaks of a customer whom retention.hold.customers names"
		}
	}
	return ""
}

// CustomersOf are all customers of whom an entry speaks.
func CustomersOf(e *sallyport.Event) map[sallyport.Subject]bool {
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

// SpokenOf are all customers of whom an entry speaks, in either stream.
func SpokenOf(e *sallyport.Event) map[sallyport.Subject]bool {
	all := CustomersOf(e)
	if e.Kind == sallyport.Queried && e.Order != nil && e.Order.Action == "who_saw" {
		all[sallyport.Subject(e.Order.Details)] = true
	}
	delete(all, "") // nobody knows whose
	return all
}

// ParseRun reads access:SEQ or access:SEQ-SEQ.
func ParseRun(text string) (ledger.Stream, [2]uint64, error) {
	name, digits, _ := strings.Cut(text, ":")
	from, to, more := strings.Cut(digits, "-")
	if !more {
		to = from
	}
	first, err := strconv.ParseUint(from, 10, 64)
	last, err2 := strconv.ParseUint(to, 10, 64)
	switch {
	case err != nil || err2 != nil || first == 0 || last < first:
	case name == ledger.Access.String():
		return ledger.Access, [2]uint64{first, last}, nil
	case name == ledger.Control.String():
		return ledger.Control, [2]uint64{first, last}, nil
	}
	return 0, [2]uint64{}, fmt.Errorf("no entries %q; expected access:SEQ or access:SEQ-SEQ, or control: likewise", text)
}
