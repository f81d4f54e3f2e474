package exposure

import (
	"math"
	"sync"
	"time"

	"sallyport"
)

// Borrower spends what a Lender lends to one gateway, from the start of its process to its end. It holds units of accounts, and remembers
// for a moment whom it has paid for: he costs nothing more. It is safe for use by many goroutines.
//
// It asks nobody and reads no clock: who calls asks the lender for what lacks, and says how long ago the process began, by a clock
// that only goes forward.
type Borrower struct {
	mu    sync.Mutex // guards everything below
	loans map[ID]*loan
}

// remembers is for how long somebody is known to be paid for, and half as long again at most. A lender holds him for more than that longer
// than a window is long.
const remembers = time.Minute

// loan is what is left of an account: sums since the process began, and how the account stood when the lender was asked last.
type loan struct {
	got, spent, returned int
	count                [3]int
	since                int           // spent since then
	used, told           time.Duration // when it was used, and when the lender told of it

	paid, before map[Key]struct{} // since turned, and in the time before that
	turned       time.Duration
}

func (l *loan) left() int { return l.got - l.spent - l.returned }

// NewBorrower has nothing yet.
func NewBorrower() *Borrower { return &Borrower{loans: map[ID]*loan{}} }

// Loan is an account with what it may hold, as a borrower is charged.
type Loan struct {
	ID   ID
	Most Most
	Free bool // the lender said that whom it is charged with next counts already
}

// Lack is how many units of which loan are missing.
type Lack struct{ At, Units int }

// Spend counts keys in all loans, for one unit of each for each key that was not paid for there; or in none, where units lack.
// paid is how many units of each loan it took; it has room for all.
func (b *Borrower) Spend(since time.Duration, keys []Key, loans []Loan, paid []int) (lacks []Lack) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range loans {
		l := &loans[i]
		if paid[i] = 0; l.Free || l.unbounded() {
			continue
		}
		loan := b.loan(l.ID)
		loan.turn(since)
		for k := range keys {
			if !loan.has(&keys[k]) {
				paid[i]++ //nolint:gosec // there is one for each loan
			}
		}
		if left := loan.left(); paid[i] > left {
			lacks = append(lacks, Lack{i, paid[i] - max(left, 0)})
		}
	}
	if len(lacks) > 0 {
		return lacks
	}
	for i := range loans {
		if loans[i].unbounded() {
			continue
		}
		loan := b.loan(loans[i].ID)
		for k := range keys {
			if !loan.has(&keys[k]) {
				loan.paid[keys[k]] = struct{}{}
			}
		}
		loan.spent += paid[i]
		loan.since += paid[i]
		loan.used = since
	}
	return nil
}

// Forget has whoever was paid for cost anew in somebody's own accounts: the lender has taken back what was counted of him.
func (b *Borrower) Forget(who sallyport.Staff) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, loan := range b.loans {
		if id.Scope == Person && id.Name == string(who) {
			loan.paid, loan.before = nil, nil
		}
	}
}

// turn forgets whom the account has known for long.
func (l *loan) turn(since time.Duration) {
	switch age := since - l.turned; {
	case l.paid == nil || age >= remembers:
		l.paid, l.before, l.turned = map[Key]struct{}{}, nil, since
	case age >= remembers/2:
		l.paid, l.before, l.turned = map[Key]struct{}{}, l.paid, since
	}
}

func (l *loan) has(k *Key) bool {
	if _, ok := l.paid[*k]; ok {
		return true
	}
	_, ok := l.before[*k]
	return ok
}

func (l *Loan) unbounded() bool { return l.Most == Most{math.MaxInt, math.MaxInt, math.MaxInt} }

// loan is that of an account. The caller holds mu.
func (b *Borrower) loan(id ID) *loan {
	l := b.loans[id]
	if l == nil {
		l = &loan{}
		b.loans[id] = l
	}
	return l
}

// Take has the answers of the lender. Each MUST be given once, and none of a connection that is over.
func (b *Borrower) Take(since time.Duration, answers []Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range answers {
		l := b.loan(answers[i].ID)
		l.got += answers[i].Units
		l.count, l.since, l.used, l.told = answers[i].Count, 0, since, since
	}
}

// Idle gives back what is left of accounts that were not used for so long, and says how many units of each were given back since the process began.
func (b *Borrower) Idle(since, after time.Duration) []Holding {
	return b.giveBack(func(_ ID, l *loan) bool { return since-l.used >= after })
}

// Recall gives back what is left of one account.
func (b *Borrower) Recall(id ID) []Holding {
	return b.giveBack(func(of ID, _ *loan) bool { return of == id })
}

func (b *Borrower) giveBack(which func(ID, *loan) bool) (out []Holding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, l := range b.loans {
		if left := l.left(); left > 0 && which(id, l) {
			l.returned += left
			out = append(out, Holding{ID: id, Got: l.got, Returned: l.returned})
		}
	}
	return out
}

// Holdings are what a lender must know when a connection begins anew.
func (b *Borrower) Holdings() (out []Holding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, l := range b.loans {
		if l.got > 0 {
			out = append(out, Holding{ID: id, Got: l.got, Returned: l.returned})
		}
	}
	return out
}

// Stands is how many each window of an account holds, as far as is known here, and how much of the fullest that is: in percent, in steps of ten.
func (b *Borrower) Stands(id ID, most Most) (count [3]int, used int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.loans[id]
	if l == nil {
		return count, 0
	}
	for w := range count {
		count[w] = l.count[w] + l.since
		if most[w] > 0 && most[w] != math.MaxInt {
			used = max(used, min(count[w]*10/most[w]*10, 100))
		}
	}
	return count, used
}

// Loan is what a borrower is charged where a book would be.
func (c *Charge) Loan() Loan { return Loan{ID: c.account.id, Most: Most(c.most)} }

// None says whether a budget is none at all, which not even those pass who count already.
func (l *Loan) None() *sallyport.Limit {
	for w := windows - 1; w >= 0; w-- {
		if l.Most[w] <= 0 {
			return limitOf(l.ID, w, 0, 0)
		}
	}
	return nil
}

// Bounded says whether the account has a bound at all.
func (l *Loan) Bounded() bool { return !l.unbounded() }

// telling is for how long what the lender told of an account is good enough to tell others.
const telling = time.Second

// Told says whether the lender told of all of these accounts lately.
func (b *Borrower) Told(since time.Duration, wants []Want) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range wants {
		if l := b.loans[wants[i].ID]; l == nil || l.told == 0 || since-l.told > telling {
			return false
		}
	}
	return true
}
