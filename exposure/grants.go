package exposure

import (
	"sync"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"sallyport"
)

// Grants counts the distinct customers of each grant over the grant's whole life: no window slides there. A bulk job reads millions
// of customers, so customers with whole numbers for keys, as nearly all have, cost a bit or two each. Safe for use by many goroutines.
type Grants struct {
	mu   sync.Mutex // guards sets
	sets map[string]*Grant
}

// Grant is one grant's customers. It is safe for use by many goroutines.
type Grant struct {
	mu      sync.Mutex // guards all fields
	numbers roaring64.Bitmap
	others  map[Key]struct{} // customers with other keys, and values whose customer is not known
	count   int              // of both
}

// NewGrants counts nothing yet.
func NewGrants() *Grants { return &Grants{sets: map[string]*Grant{}} }

// Reserve counts a customer, or where he is not known the value's key, unless the grant has most customers already. A customer who
// counts already passes.
func (g *Grant) Reserve(who sallyport.Subject, k Key, most int) *sallyport.Limit {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.count < most {
		g.add(who, k)
		return nil
	}
	if g.holds(who, k) {
		return nil
	}
	return &sallyport.Limit{Measure: string(Revealed), Window: "grant", Budget: most, Count: g.count}
}

// Restore counts what the record says was revealed under a grant, whatever its budget is now.
func (g *Grant) Restore(who sallyport.Subject, k Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.add(who, k)
}

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

// holds says whether a customer counts already. The caller holds mu.
func (g *Grant) holds(who sallyport.Subject, k Key) bool {
	if n, ok := number(who); ok {
		return g.numbers.Contains(n)
	}
	_, held := g.others[k]
	return held
}

// add counts a customer who does not count yet. The caller holds mu.
func (g *Grant) add(who sallyport.Subject, k Key) {
	if n, ok := number(who); ok {
		if g.numbers.CheckedAdd(n) {
			g.count++
		}
		return
	}
	if _, held := g.others[k]; !held {
		g.others[k] = struct{}{}
		g.count++
	}
}

// number is a customer's key as a number, if it is written as one in the only way: two spellings must not be two customers.
func number(who sallyport.Subject) (uint64, bool) {
	if who == "" || len(who) > 19 || who[0] == '0' && len(who) > 1 {
		return 0, false // 19 digits always fit
	}
	n := uint64(0)
	for i := range len(who) {
		digit := who[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = 10*n + uint64(digit)
	}
	return n, true
}
