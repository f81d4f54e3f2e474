package exposure

import (
	"math"
	"sync"

	"sallyport"
)

// Grants counts the distinct customers of each grant over the grant's whole life: no window slides there. A bulk job reads millions
// of customers, so customers with whole numbers for keys, as nearly all have, cost a bit or two each, or two bytes where few of a range come. Safe for use by many goroutines.
type Grants struct {
	mu   sync.Mutex // guards sets
	sets map[string]*Grant
}

// Grant is one grant's customers. It is safe for use by many goroutines.
type Grant struct {
	mu      sync.Mutex // guards all fields
	numbers numbers
	others  map[Key]struct{} // customers with other keys, and values whose customer is not known
	count   int              // of both
}

// NewGrants counts nothing yet.
func NewGrants() *Grants { return &Grants{sets: map[string]*Grant{}} }

// Reserve counts a customer, or where he is not known the value's key, unless the grant has most customers already. A customer who
// counts already passes.
func (g *Grant) Reserve(who sallyport.Subject, k Key, most int) *sallyport.Limit {
	if n, ok := sallyport.WholeNumber(who); ok {
		return g.ReserveNumber(n, most)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, held := g.others[k]; held {
		return nil
	}
	if g.count >= most {
		return g.limit(most)
	}
	g.others[k] = struct{}{}
	g.count++
	return nil
}

// ReserveNumber is Reserve of a customer whose key is a whole number.
func (g *Grant) ReserveNumber(n uint64, most int) *sallyport.Limit {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.reserve(n, most) {
		return g.limit(most)
	}
	return nil
}

// ReserveNumbers is ReserveNumber of many customers, one after the other: so many of them are counted before the first that is one too many.
func (g *Grant) ReserveNumbers(list []uint64, most int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, n := range list {
		if !g.reserve(n, most) {
			return i
		}
	}
	return len(list)
}

// reserve says whether a customer counts now. The caller holds mu.
func (g *Grant) reserve(n uint64, most int) bool {
	if g.count >= most {
		return g.numbers.has(n)
	}
	if g.numbers.add(n) {
		g.count++
	}
	return true
}

// limit is what a grant says that is used up. The caller holds mu.
func (g *Grant) limit(most int) *sallyport.Limit {
	return &sallyport.Limit{Measure: string(Revealed), Window: "grant", Budget: most, Count: g.count}
}

// Restore counts what the record says was revealed under a grant, whatever its budget is now.
func (g *Grant) Restore(who sallyport.Subject, k Key) { _ = g.Reserve(who, k, math.MaxInt) }

// Count is how many distinct customers a grant has shown.
func (g *Grant) Count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

// Of is the grant with that id; one that was never heard of has shown nobody.
func (g *Grants) Of(id string) *Grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	set := g.sets[id]
	if set == nil {
		set = &Grant{others: map[Key]struct{}{}}
		g.sets[id] = set
	}
	return set
}

// Has says whether a customer, or where he is not known the value's key, counts already.
func (g *Grant) Has(who sallyport.Subject, k Key) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n, ok := sallyport.WholeNumber(who); ok {
		return g.numbers.has(n)
	}
	_, held := g.others[k]
	return held
}
