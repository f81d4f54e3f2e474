// Package policy decides what happens to one value: it turns what is known about a reason, a column and a grant into a verdict,
// with the sentence that says why.
//
// It refuses to find anything out: whether a purpose covers a customer is found in purpose, how much of a grant is used up in
// exposure. It does no I/O and reads no clock.
// Its invariant: nothing is revealed unless a purpose that covers that very value, or an active grant for that very column, says
// so. The zero Request leaves the token.
package policy

import (
	"slices"

	"sallyport"
)

// The kinds of purposes that may reveal something.
const (
	Ticket  = "ticket" // an open ticket: all columns of its customer
	Work    = "work"   // one's own work list: names and ticket numbers
	Call    = "call"   // a customer who is calling, or whom somebody is to call
	Job     = "job"    // approved work on many customers
	ByGrant = "grant"  // a grant, named by its id
)

// Request is one value of which somebody asks whether it may leave in plain.
type Request struct {
	Purpose string // kind of the purpose that is to justify it; empty: none
	Column  sallyport.Column
	Class   sallyport.Class
	Scheme  sallyport.Scheme
	Covered bool   // the purpose covers this very value, checked
	Grant   *Grant // an active grant of this person, if there is one
}

// Decide returns Reveal or Token, and why. A covering purpose goes before a grant, so that a grant's budget is not spent on
// what a ticket explains.
func Decide(r Request) (sallyport.Verdict, string) {
	if r.Covered {
		if verdict, because := decidePurpose(r); verdict == sallyport.Reveal {
			return verdict, because
		}
	}
	if r.Grant != nil && r.Grant.Allows(r.Column) {
		return sallyport.Reveal, "grant " + r.Grant.ID + " allows " + r.Column.String()
	}
	if r.Covered {
		return decidePurpose(r)
	}
	if r.Purpose == "" {
		return sallyport.Token, "no purpose was given"
	}
	return sallyport.Token, "the purpose does not cover this customer"
}

// decidePurpose decides about a value that a purpose covers.
func decidePurpose(r Request) (sallyport.Verdict, string) {
	switch r.Purpose {
	case Ticket:
		return sallyport.Reveal, "an open ticket of one's own covers this customer"
	case Work:
		if WorkList(r.Scheme) {
			return sallyport.Reveal, "the work list shows names and ticket numbers"
		}
		return sallyport.Token, "the work list shows names and ticket numbers only"
	}
	return sallyport.Token, "this kind of purpose reveals nothing"
}

// WorkList tells whether work:mine may show columns of this scheme: names and ticket numbers, nothing else.
func WorkList(s sallyport.Scheme) bool {
	switch s {
	case sallyport.Name, sallyport.Number:
		return true
	case sallyport.Email, sallyport.Phone, sallyport.Text, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz,
		sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return false
	}
	return false
}

// Choose picks the grant that allows a column, nil where none does. Of several the one that lasts longest, then the smaller id:
// the same grants in another order give the same answer.
func Choose(active []Grant, c sallyport.Column) *Grant {
	var best *Grant
	for i := range active {
		g := &active[i]
		if !g.Allows(c) {
			continue
		}
		if best == nil || g.Until.After(best.Until) || g.Until.Equal(best.Until) && g.ID < best.ID {
			best = g
		}
	}
	return best
}

// Allows tells whether the grant names the column.
func (g *Grant) Allows(c sallyport.Column) bool { return slices.Contains(g.Columns, c.String()) }
