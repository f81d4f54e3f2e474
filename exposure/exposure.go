// Package exposure counts distinct keys (customers, or values) per person in sliding windows of an hour, a day and 30 days, and
// holds each count to its budget.
//
// It refuses to estimate, to forget a key before its window is over, and to count over a budget: who asks for a key too many
// gets the Limit and nothing is counted. It reads no clock; who calls says what time it is.
//
// Invariant: after any sequence of calls, no window holds more distinct keys than the budget of the Reserve that counted the
// last of them, save for what Restore has put there.
package exposure

import (
	"sync"
	"time"

	"sallyport"
)

// Key is what is counted: a digest of a customer's id or of a value. Keys that differ only in the lowest three bits of their first byte
// are found faster one after another.
type Key [16]byte

// Book holds all counts. It is safe for use by many goroutines.
type Book struct {
	mu      sync.RWMutex // guards the map; each ledger has its own lock
	ledgers map[account]*ledger
}

type account struct {
	scope   Scope
	who     string
	measure Measure
}

// NewBook is an empty book.
func NewBook() *Book { return &Book{ledgers: map[account]*ledger{}} }

// Reserve counts k at now, unless that would exceed the budget in one of the windows: then it counts nothing and returns the
// longest such window's limit. A key that a window holds already does not count there again, but is held for longer. A time before the
// latest one of the same person and measure is taken for the latest.
func (b *Book) Reserve(now time.Time, who sallyport.Staff, m Measure, k Key, in Budget) *sallyport.Limit {
	return b.Account(who, m).Reserve(now, &k, in)
}

// Account is one person's counts of one measure, for who reserves again and again. It is safe for use by many goroutines.
type Account struct {
	measure Measure
	ledger  *ledger
}

// Account finds the counts of one person and one measure.
func (b *Book) Account(who sallyport.Staff, m Measure) Account {
	return Account{m, b.ledger(account{Person, string(who), m})}
}

// Forget takes back all that was counted of somebody. What is reserved by an Account that was found before is not counted anywhere any more.
func (b *Book) Forget(who sallyport.Staff) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for a := range b.ledgers {
		if a.scope == Person && a.who == string(who) {
			delete(b.ledgers, a)
		}
	}
}

// Shared finds the counts of customers revealed to all who have something in common.
func (b *Book) Shared(s Scope, name string) Account {
	return Account{Revealed, b.ledger(account{s, name, Revealed})}
}

// Reserve is Book.Reserve.
func (a Account) Reserve(now time.Time, k *Key, in Budget) *sallyport.Limit {
	c := a.Charge(in)
	return c.Reserve(now, k)
}

// ReserveAll is Reserve for several keys: all of them are counted or, where they are too many for one of the windows, none.
func (b *Book) ReserveAll(now time.Time, who sallyport.Staff, m Measure, keys []Key, in Budget) *sallyport.Limit {
	most := in.Over(Default().Of(m)).most()
	l := b.ledger(account{Person, string(who), m})
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.advance(now.UnixNano())
	for w := windows - 1; w >= 0; w-- {
		fresh := 0
		for i := range keys {
			if slot := l.index.find(&l.slots, &keys[i]); slot == none || l.slots.at(slot).at <= at-w.length() {
				fresh++
			}
		}
		if most[w] == 0 || fresh > 0 && l.count[w]+fresh > most[w] {
			return &sallyport.Limit{Measure: string(m), Window: w.String(), Budget: most[w], Count: l.count[w]}
		}
	}
	for i := range keys {
		l.touch(&keys[i], l.index.find(&l.slots, &keys[i]), at)
	}
	return nil
}

// Count is how many distinct keys each window holds at now.
func (b *Book) Count(now time.Time, who sallyport.Staff, m Measure) (hour, day, month int) {
	b.mu.RLock()
	l := b.ledgers[account{Person, string(who), m}]
	b.mu.RUnlock()
	if l == nil {
		return 0, 0, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(now.UnixNano())
	return l.count[0], l.count[1], l.count[2]
}

// Restore counts what the record says was counted at the time at, without a budget. It is for the start, in the record's order,
// before the first Reserve of the same person; now is when the start happens.
func (b *Book) Restore(now, at time.Time, who sallyport.Staff, m Measure, k Key) {
	if at.Before(now.Add(-time.Duration(month.length()))) {
		return // nobody's ledger is made for it
	}
	b.Account(who, m).Restore(now, at, k)
}

// Restore is Book.Restore.
func (a Account) Restore(now, at time.Time, k Key) {
	when := min(at.UnixNano(), now.UnixNano()) // a clock that ran ahead must not stop the windows
	if when <= now.UnixNano()-month.length() {
		return
	}
	l := a.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.advance(when)
	l.touch(&k, l.index.find(&l.slots, &k), seen)
}

func (b *Book) ledger(a account) *ledger {
	b.mu.RLock()
	l := b.ledgers[a]
	b.mu.RUnlock()
	if l != nil {
		return l
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l = b.ledgers[a]; l == nil {
		l = newLedger(uint64(len(b.ledgers)))
		b.ledgers[a] = l
	}
	return l
}

// most is the budget as the number of keys allowed by window.
func (b Budget) most() [windows]int {
	return [windows]int{max(b.Hour, 0), max(b.Day, 0), max(b.Month, 0)}
}
