package exposure

import (
	"strconv"
	"sync"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"sallyport"
)

// Grants counts the distinct customers of each grant over the grant's whole life: no window slides there. A bulk job reads millions
// of customers, so customers with whole numbers for keys, as nearly all have, cost a bit or two each. Safe for use by many goroutines.
type Grants struct {
	mu   sync.Mutex // guards sets
	sets map[string]*granted
}

// granted is one grant's customers.
type granted struct {
	numbers roaring64.Bitmap
	others  map[Key]struct{} // customers with other keys, and values whose customer is not known
	count   int              // of both
}

// NewGrants counts nothing yet.
func NewGrants() *Grants { return &Grants{sets: map[string]*granted{}} }

// Reserve counts a customer, or where he is not known the value's key, unless the grant has most customers already. A customer who
// counts already passes.
func (g *Grants) Reserve(id string, who sallyport.Subject, k Key, most int) *sallyport.Limit {
	g.mu.Lock()
	defer g.mu.Unlock()
	set := g.of(id)
	if set.count < most {
		set.add(who, k)
		return nil
	}
	if set.holds(who, k) {
		return nil
	}
	return &sallyport.Limit{Measure: string(Revealed), Window: "grant", Budget: most, Count: set.count}
}

// Restore counts what the record says was revealed under a grant, whatever its budget is now.
func (g *Grants) Restore(id string, who sallyport.Subject, k Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of(id).add(who, k)
}

// Count is how many distinct customers a grant has shown.
func (g *Grants) Count(id string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.of(id).count
}

func (g *Grants) of(id string) *granted {
	set := g.sets[id]
	if set == nil {
		set = &granted{others: map[Key]struct{}{}}
		g.sets[id] = set
	}
	return set
}

func (s *granted) holds(who sallyport.Subject, k Key) bool {
	if n, ok := number(who); ok {
		return s.numbers.Contains(n)
	}
	_, held := s.others[k]
	return held
}

func (s *granted) add(who sallyport.Subject, k Key) {
	if n, ok := number(who); ok {
		if s.numbers.CheckedAdd(n) {
			s.count++
		}
		return
	}
	if _, held := s.others[k]; !held {
		s.others[k] = struct{}{}
		s.count++
	}
}

// number is a customer's key as a number, if it is written as one in the only way: two spellings must not be two customers.
func number(who sallyport.Subject) (uint64, bool) {
	if who == "" || len(who) > 19 || who[0] == '0' && len(who) > 1 {
		return 0, false
	}
	for i := range len(who) {
		if who[i] < '0' || who[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(who), 10, 64)
	return n, err == nil
}
