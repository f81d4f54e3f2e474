package exposure

import (
	"math"
	"time"

	"sallyport"
)

// Charge is an account with what it may hold. It belongs to one goroutine.
type Charge struct {
	account Account
	most    [windows]int
	next    [windows]int // the count from which used is another
	used    int
}

// Used is how much of its fullest window was used when it was charged or looked at last: in percent, in steps of ten.
func (c *Charge) Used() int { return c.used }

// Look brings Used up to date.
func (c *Charge) Look(now time.Time) {
	l := c.account.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(now.UnixNano())
	c.measure()
}

// measure finds out how much is used. The caller holds the ledger.
func (c *Charge) measure() {
	c.used = 0
	for w, most := range c.most {
		c.next[w] = math.MaxInt
		if most <= 0 || most == math.MaxInt {
			continue
		}
		step := c.account.ledger.count[w] * 10 / most
		c.used = max(c.used, step*10)
		c.next[w] = ((step+1)*most + 9) / 10
	}
}

// counted follows one count. The caller holds the ledger.
func (c *Charge) counted() {
	for w, n := range &c.account.ledger.count {
		if n >= c.next[w] {
			c.measure()
			return
		}
	}
}

// Charge is for an account that is somebody's own: what the budget leaves open is the default.
func (a Account) Charge(in Budget) Charge {
	return Charge{account: a, most: in.Over(Default().Of(a.id.Measure)).most()}
}

// Shared is for an account that many use: what the budget leaves open has no bound.
func (a Account) Shared(in Budget) Charge {
	c := Charge{account: a}
	for w, n := range [windows]int{in.Hour, in.Day, in.Month} {
		switch {
		case n == 0:
			c.most[w] = math.MaxInt
		case n > 0:
			c.most[w] = n
		}
	}
	return c
}

// Reserve is Account.Reserve with the charge's budget.
func (c *Charge) Reserve(now time.Time, k *Key) *sallyport.Limit {
	l := c.account.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.reserve(l, l.advance(now.UnixNano()), k)
}

// ReserveEach is Reserve of many keys, one after the other: so many of them are counted before the first that would exceed the budget.
func (c *Charge) ReserveEach(now time.Time, keys []Key) int {
	l := c.account.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.advance(now.UnixNano())
	for i := range keys {
		if c.reserve(l, at, &keys[i]) != nil {
			return i
		}
	}
	return len(keys)
}

// reserve is Reserve at the ledger's time. The caller holds the ledger.
func (c *Charge) reserve(l *ledger, at int64, k *Key) *sallyport.Limit {
	slot := l.index.find(&l.slots, k)
	for w := windows - 1; w >= 0; w-- { // the longest that is used up says most
		held := slot != none && l.slots.at(slot).at > at-w.length()
		if c.most[w] == 0 || !held && l.count[w] >= c.most[w] {
			return &sallyport.Limit{Measure: string(c.account.id.Measure), Window: w.String(), Budget: c.most[w], Count: l.count[w]}
		}
	}
	l.touch(k, slot, at)
	c.counted()
	return nil
}

// mostCharges bounds how many accounts one key is charged to.
const mostCharges = 16

// Across counts keys in the accounts of all charges, or in none where that would exceed one of them: then it returns its limit, and which of
// charges it was. No two of them MUST be of the same account; there are at most 16.
func Across(now time.Time, keys []Key, charges []Charge) (limit *sallyport.Limit, at int) {
	if len(charges) == 0 || len(charges) > mostCharges {
		return &sallyport.Limit{Window: month.String()}, 0 // fail closed
	}
	var order [mostCharges]uint8
	inOrder(&order, charges)
	for _, i := range order[:len(charges)] {
		charges[i].account.ledger.mu.Lock()
	}
	defer func() {
		for _, i := range order[:len(charges)] {
			charges[i].account.ledger.mu.Unlock()
		}
	}()
	for i := range charges {
		if limit := charges[i].over(now, keys); limit != nil {
			return limit, i
		}
	}
	for i := range charges {
		l := charges[i].account.ledger
		for k := range keys {
			l.touch(&keys[k], l.index.find(&l.slots, &keys[k]), l.now)
		}
		charges[i].counted()
	}
	return nil, 0
}

// inOrder lists the charges in the one order in which their ledgers are locked.
func inOrder(order *[mostCharges]uint8, charges []Charge) {
	for i := range charges {
		j := i
		for ; j > 0 && charges[order[j-1]].account.ledger.serial > charges[i].account.ledger.serial; j-- {
			order[j] = order[j-1]
		}
		order[j] = uint8(i) //nolint:gosec // below 16
	}
}

// over is the limit that keys would exceed; the longest window's, which says most. The caller holds the ledger.
func (c *Charge) over(now time.Time, keys []Key) *sallyport.Limit {
	l := c.account.ledger
	at := l.advance(now.UnixNano())
	for w := windows - 1; w >= 0; w-- {
		if c.most[w] == math.MaxInt {
			continue
		}
		fresh := 0
		for i := range keys {
			if slot := l.index.find(&l.slots, &keys[i]); slot == none || l.slots.at(slot).at <= at-w.length() {
				fresh++
			}
		}
		if c.most[w] == 0 || fresh > 0 && l.count[w]+fresh > c.most[w] {
			return &sallyport.Limit{Measure: string(c.account.id.Measure), Window: w.String(), Budget: c.most[w], Count: l.count[w]}
		}
	}
	return nil
}
