// Package policy decides what happens: it reads Cedar policies, holds them to a schema of catalogue and directory (Load), and turns who
// asks, for what, why, and what is known of this moment into a Ruling, with the policy that decided and the sentence that says why.
//
// It refuses to find anything out: whether a purpose covers a customer is found in purpose, how much of a grant is used up in
// exposure, and no policy can widen either. It does no I/O and reads no clock.
// Its invariant: what no policy permits does not happen, one forbid outweighs every permit, and a forbid that cannot be evaluated
// forbids. The zero Ruling denies.
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
