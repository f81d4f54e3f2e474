// Package trace goes from "I got a strange call" to a name: it compares whose data each member of staff had seen before
// customers reported, by the record, with what chance would give to somebody who sees as many.
//
// It does no I/O and reads no clock, and it refuses to count what was seen after a report. Its invariant: the same record and
// the same reports give the same list.
package trace

import (
	"cmp"
	"math"
	"slices"
	"time"

	"sallyport"
)

// Report is a customer who says: somebody called me pretending to be you.
type Report struct {
	Customer sallyport.Subject
	At       time.Time
}

// Suspect is one member of staff as the reports show him.
type Suspect struct {
	Staff     sallyport.Staff
	Customers int     // that were revealed to him before the last report
	Seen      int     // of the customers who reported, before they did
	Expected  float64 // how many of these chance would give to somebody with as many customers
	Score     float64 // −log10 of the probability that chance gives him at least Seen
}

// Exposures is who was shown which customer, and when first: a fold of the access stream.
type Exposures struct {
	first map[sallyport.Staff]map[sallyport.Subject]time.Time
}

// NewExposures is the state before the first event.
func NewExposures() *Exposures {
	return &Exposures{first: map[sallyport.Staff]map[sallyport.Subject]time.Time{}}
}

// Apply folds one event. Events MUST come in the order of the record. A value of which only the digest is known counts for
// nobody.
func (x *Exposures) Apply(e *sallyport.Event) {
	if e.Reveal == nil || e.Kind != sallyport.RevealKind {
		return
	}
	seen := x.first[e.Who.Staff]
	if seen == nil {
		seen = map[sallyport.Subject]time.Time{}
		x.first[e.Who.Staff] = seen
	}
	for v := range e.Reveal.Values.All() {
		if _, known := seen[v.Subject]; !known && v.Subject != "" {
			seen[v.Subject] = e.Time
		}
	}
}

// Suspects lists everybody to whom anything was revealed before the last report, the most suspicious first.
//
// Customers who talk to the company are seen by staff and may report more readily than others, so chance is taken among
// the customers that anybody saw: of n reports by such customers, somebody who saw K of all U draws as many as a
// hypergeometric distribution gives. A report by a customer whom nobody saw says nothing about anybody.
func (x *Exposures) Suspects(reports []Report) []Suspect {
	first := earliest(reports)
	var last time.Time
	for _, at := range first {
		if at.After(last) {
			last = at
		}
	}
	anybody := map[sallyport.Subject]time.Time{}
	for _, seen := range x.first {
		for c, at := range seen {
			if known, ok := anybody[c]; !at.After(last) && (!ok || at.Before(known)) {
				anybody[c] = at
			}
		}
	}
	n := overlap(first, anybody)
	var list []Suspect
	for who, seen := range x.first {
		s := Suspect{Staff: who, Seen: overlap(first, seen)}
		for _, at := range seen {
			if !at.After(last) {
				s.Customers++
			}
		}
		if s.Customers == 0 {
			continue
		}
		s.Expected = float64(n) * float64(s.Customers) / float64(len(anybody))
		s.Score = math.Abs(logTail(s.Seen, len(anybody), s.Customers, n)) / math.Ln10 // it is never positive
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Suspect) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Seen, a.Seen), cmp.Compare(a.Staff, b.Staff))
	})
	return list
}

// earliest is the first report of each customer.
func earliest(reports []Report) map[sallyport.Subject]time.Time {
	first := map[sallyport.Subject]time.Time{}
	for _, r := range reports {
		if at, known := first[r.Customer]; !known || r.At.Before(at) {
			first[r.Customer] = r.At
		}
	}
	return first
}

// overlap counts the customers who had been seen when they reported.
func overlap(reports, seen map[sallyport.Subject]time.Time) (n int) {
	for c, at := range reports {
		if when, ok := seen[c]; ok && !when.After(at) {
			n++
		}
	}
	return n
}

// logTail is the natural logarithm of the probability that a hypergeometric draw gives at least k: n drawn from a
// population of which marked are marked.
func logTail(k, population, marked, n int) float64 {
	low := max(k, n+marked-population)
	if low <= max(0, n+marked-population) {
		return 0
	}
	sum := math.Inf(-1)
	for i := low; i <= min(n, marked); i++ {
		term := logChoose(marked, i) + logChoose(population-marked, n-i) - logChoose(population, n)
		sum = max(sum, term) + math.Log1p(math.Exp(-math.Abs(sum-term)))
	}
	return min(sum, 0)
}

func logChoose(n, k int) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
