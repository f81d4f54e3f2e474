package discover

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Path is the next step from a table's rows to their customer.
type Path struct {
	Table  string // schema.table
	Column string
	Target string // schema.table whose key the column holds; empty: it holds the customer's key
	Guess  bool   // by names alone: no foreign key says so
	Others int    // other ways of the same length that were not taken
}

// String is as in the configuration.
func (p Path) String() string {
	if p.Target == "" {
		return p.Column
	}
	return p.Column + " -> " + p.Target
}

// ErrCustomer says that the table that the user named cannot be the customers'.
var ErrCustomer = errors.New("no customer table")

// findCustomer finds the table with one row a customer: it has names and ways to reach people, others refer to it, and it is not
// called after staff, suppliers or things.
func (p *proposer) findCustomer(named string) error {
	if named != "" {
		p.customer = p.table(named)
		if p.customer == nil {
			return fmt.Errorf("%w: there is no table %s that can be read; expected schema.table", ErrCustomer, named)
		}
		if len(p.customer.Key) != 1 {
			return fmt.Errorf("%w: %s has no primary key of one column", ErrCustomer, named)
		}
	} else {
		best := 0.0
		for _, t := range p.tables {
			if score := p.customerScore(t); score > best {
				p.customer, best = t, score
			}
		}
	}
	if p.customer != nil {
		p.customer.reaches = true
		p.proposal.Customer, p.proposal.Key = p.customer.String(), p.customer.Key[0]
	}
	return nil
}

// customerScore is how much a table looks like the customers', 0 where it cannot be.
func (p *proposer) customerScore(t *judged) float64 {
	kinds := map[Kind]bool{}
	for _, c := range t.columns {
		if c.verdict != nil && c.verdict.Confidence == High {
			kinds[c.verdict.Kind] = true
		}
	}
	people := 0
	for _, kind := range []Kind{KindEmail, KindPhone, KindName, KindBirth, KindIdentity, KindAddress} {
		if kinds[kind] {
			people++
		}
	}
	if people == 0 || len(t.Key) != 1 {
		return 0
	}
	score := 2*float64(people) + 0.5*math.Min(8, float64(p.referrers(t)))
	if t.Rows > 0 {
		score += math.Log10(t.Rows)
	}
	if nounOf(t.Name, customerTables) {
		score += 4
	}
	if t.staff {
		score -= 8
	}
	return score
}

// referrers counts the tables that lead to a table by foreign keys, through others too.
func (p *proposer) referrers(t *judged) int {
	seen := map[*judged]bool{t: true}
	queue := []*judged{t}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, other := range p.tables {
			if !seen[other] && slices.ContainsFunc(other.Foreign, func(f Foreign) bool { return f.Table == at.String() }) {
				seen[other] = true
				queue = append(queue, other)
			}
		}
	}
	return len(seen) - 1
}

// findPaths follows foreign keys from the customer table outwards, so that each table gets a shortest way; afterwards it guesses by
// names for tables that have none.
func (p *proposer) findPaths() {
	if p.customer == nil {
		return
	}
	queue := []*judged{p.customer}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, t := range p.tables {
			if t.reaches {
				continue
			}
			if path, ok := p.step(t, at); ok {
				t.path, t.reaches = path, true
				queue = append(queue, t)
			}
		}
	}
	p.guessPaths()
	for _, t := range p.tables {
		if t.path != nil {
			p.proposal.Paths = append(p.proposal.Paths, *t.path)
		}
	}
}

// guessPaths finds ways by names for the tables that no foreign key leads from, until there are no more.
func (p *proposer) guessPaths() {
	for again := true; again; {
		again = false
		for _, t := range p.tables {
			if t.reaches || t.path != nil || t.staff {
				continue
			}
			if t.path = p.guess(t); t.path != nil {
				again = true
			}
		}
	}
}

// step is a foreign key from a table to the key of another. Of several the one that is never null goes first, then the one that is
// called after where it leads.
func (p *proposer) step(from, to *judged) (*Path, bool) {
	if len(to.Key) != 1 {
		return nil, false
	}
	var found []Foreign
	for _, f := range from.Foreign {
		if f.Table == to.String() && f.References == to.Key[0] {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return nil, false
	}
	rank := func(f Foreign) int {
		rank := 0
		if c := from.column(f.Column); c != nil && !c.NotNull {
			rank += 2
		}
		if !calledAfter(f.Column, to.Name) {
			rank++
		}
		return rank
	}
	slices.SortStableFunc(found, func(a, b Foreign) int { return rank(a) - rank(b) })
	path := &Path{Table: from.String(), Column: found[0].Column, Others: len(found) - 1}
	if to != p.customer {
		path.Target = to.String()
	}
	return path, true
}

// guess looks for a column of a key's type that is called after the customer table, or as its key is, or as the key of a table that leads
// there.
func (p *proposer) guess(t *judged) *Path {
	for _, to := range append([]*judged{p.customer}, p.tables...) {
		if to == t || to != p.customer && to.path == nil || len(to.Key) != 1 {
			continue
		}
		key := to.column(to.Key[0])
		for _, c := range t.columns {
			same := c.Name == key.Name && len(wordsOf(key.Name)) > 1
			if c.Type != key.Type || !same && (to != p.customer || !calledAfter(c.Name, to.Name)) || len(t.Key) == 1 && t.Key[0] == c.Name {
				continue
			}
			path := &Path{Table: t.String(), Column: c.Name, Guess: true}
			if to != p.customer {
				path.Target = to.String()
			}
			return path
		}
	}
	return nil
}

// calledAfter tells whether a column is called after a table: customer_id after customers, kunde_id after kunden.
func calledAfter(column, table string) bool {
	words := wordsOf(column)
	if len(words) < 2 || !slices.Contains(words, "id") && !has(numberWords, words[len(words)-1]) {
		return false
	}
	names := wordsOf(table)
	if len(names) == 0 {
		return false
	}
	noun := names[len(names)-1]
	return slices.ContainsFunc(words, func(w string) bool {
		return len(w) >= 3 && w != "id" && strings.HasPrefix(noun, w) && len(noun)-len(w) <= 3
	})
}
