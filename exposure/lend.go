package exposure

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport"
)

// GrantScope is that of a grant's own budget, whose name is the grant's id. It has no windows: it is held to Month.
const GrantScope Scope = "grant"

// Most is how many keys each window of an account may hold, the shortest first; math.MaxInt: it has no bound.
type Most [3]int

// Lender holds the budgets that several gateways share. It counts whom their entries show, and lends each of them units of an account:
// one unit lets it show one customer more. A unit is lent to one gateway until an entry of that gateway says what became of it, or the
// gateway gives it back, or has begun a new life whose entries before are all counted.
//
// Clocks have no say in whose a unit is. Windows move by the lender's own clock alone: somebody counts from when the entry that shows
// him arrives, which is never before he was shown, and for a thirtieth longer than the window is long: within that a borrower may show
// him again without saying so first (remembers). It is safe for use by many goroutines.
//
// Invariant: when something is lent, customers who count and units that are out are together no more than the budget, in each window.
type Lender struct {
	mu       sync.Mutex // guards everything below
	book     *Book
	grants   *Grants
	gateways map[string]*borrower
	lost     map[ID][]loss
	first    map[sighting]sallyport.Digest // values seen under a customer, by whichever gateway
}

// sighting is where somebody saw a value.
type sighting struct {
	who     sallyport.Staff
	subject sallyport.Subject
	column  sallyport.Column
}

// borrower is a gateway as the lender knows it.
type borrower struct {
	record string // id of its stream
	life   string
	start  uint64 // how far its stream was when this life began
	seen   uint64 // how far it is counted
	loans  map[ID]*lent
	former map[ID]int // what is out from lives before, until start is counted
}

// lent is what a gateway has of one account in its present life: sums since it began.
type lent struct{ granted, settled, returned, step int }

func (l *lent) out() int { return max(0, l.granted-l.settled-l.returned) }

// loss is what was lent to a gateway whose disk is lost: it may all have been spent.
type loss struct {
	units int
	at    int64
}

// NewLender counts nothing yet.
func NewLender() *Lender {
	return &Lender{book: NewBook(), grants: NewGrants(), gateways: map[string]*borrower{}, lost: map[ID][]loss{}, first: map[sighting]sallyport.Digest{}}
}

// ErrOtherRecord says that a gateway comes with another stream than the one it had.
var ErrOtherRecord = errors.New("the gateway's record is another than before")

// Acquit takes back all that was counted of somebody, as Book.Forget does. What is lent stays lent.
func (l *Lender) Acquit(who sallyport.Staff) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book.Forget(who)
}

// Join lets a gateway begin a life, or says that it goes on with the one it had: then nothing is to be recorded.
func (l *Lender) Join(gateway, record, life string, start uint64) (fresh bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.gateways[gateway]
	switch {
	case g != nil && g.record != record:
		return false, fmt.Errorf("%w: if its disk is lost, two people have it forgotten (sallyport gateway forget %s)", ErrOtherRecord, gateway)
	case g != nil && g.life == life:
		return false, nil
	case g != nil && start < g.seen:
		return false, fmt.Errorf("%w: it ends at entry %d, and %d were here before", ErrOtherRecord, start, g.seen)
	}
	l.join(gateway, record, life, start)
	return true, nil
}

func (l *Lender) join(gateway, record, life string, start uint64) {
	g := l.gateways[gateway]
	if g == nil {
		g = &borrower{former: map[ID]int{}}
		l.gateways[gateway] = g
	}
	for id, loan := range g.loans {
		g.former[id] += loan.out()
	}
	g.record, g.life, g.start, g.loans = record, life, start, map[ID]*lent{}
	g.settleFormer()
}

// settleFormer: what an earlier life was lent is spent or void once all that it left behind is counted.
func (g *borrower) settleFormer() {
	if g.seen >= g.start {
		clear(g.former)
	}
}

// Knows says whether a gateway has come, and was not forgotten since.
func (l *Lender) Knows(gateway string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gateways[gateway] != nil
}

// Seen is how far a gateway's stream is counted.
func (l *Lender) Seen(gateway string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.gateways[gateway]; g != nil {
		return g.seen
	}
	return 0
}

// Holding is what a gateway says that it has had of an account in this life.
type Holding struct {
	ID       ID  `cbor:"1,keyasint"`
	Got      int `cbor:"2,keyasint"` // units that arrived
	Returned int `cbor:"3,keyasint,omitempty"`
}

// Resume is told what a gateway had when its connection began anew: what was lent by one before and has not arrived is void, since the
// gateway takes nothing more from there.
func (l *Lender) Resume(gateway, life string, had []Holding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.gateways[gateway]
	if g == nil || g.life != life {
		return
	}
	told := map[ID]Holding{}
	for _, h := range had {
		told[h.ID] = h
	}
	for id, loan := range g.loans {
		h := told[id]
		loan.granted, loan.returned = min(loan.granted, h.Got), max(loan.returned, h.Returned)
	}
}

// Return takes back what a gateway does not need: so many units of the account since its life began.
func (l *Lender) Return(gateway, life string, id ID, units int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.gateways[gateway]; g != nil && g.life == life && g.loans[id] != nil {
		loan := g.loans[id]
		loan.returned, loan.step = max(loan.returned, units), 0
	}
}

// Want is what a gateway lacks of one account.
type Want struct {
	ID       ID                  `cbor:"1,keyasint"`
	Most     Most                `cbor:"2,keyasint"`
	Need     int                 `cbor:"3,keyasint,omitempty"` // units, for these; 0: only how the account stands
	Subjects []sallyport.Subject `cbor:"4,keyasint,omitempty"`
	Digests  []sallyport.Digest  `cbor:"5,keyasint,omitempty"`
}

// Answer is what it gets.
type Answer struct {
	ID    ID               `cbor:"1,keyasint"`
	Units int              `cbor:"2,keyasint,omitempty"` // that it may spend from now on
	Known bool             `cbor:"3,keyasint,omitempty"` // they count already and cost nothing, this time
	Limit *sallyport.Limit `cbor:"4,keyasint,omitempty"` // the budget is reached
	Busy  bool             `cbor:"5,keyasint,omitempty"` // what is left is lent to others
	Count [3]int           `cbor:"6,keyasint"`           // that each window holds, by whomever it was shown
}

// Ask lends what is wanted, as far as it can be. Whoever calls puts Answers into the record (Portions) before the gateway has them.
func (l *Lender) Ask(now time.Time, gateway, life string, wants []Want) []Answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	answers := make([]Answer, len(wants))
	g := l.gateways[gateway]
	for i := range wants {
		answers[i] = Answer{ID: wants[i].ID, Busy: true}
		if g != nil && g.life == life {
			l.ask(now, g, &wants[i], &answers[i])
		}
	}
	return answers
}

func (l *Lender) ask(now time.Time, g *borrower, w *Want, a *Answer) {
	a.Busy, a.Count = false, l.count(now, w.ID)
	if w.Need <= 0 {
		return
	}
	if l.known(now, w) && !over(a.Count, w.Most) {
		a.Known = true
		l.touch(now, now, w.ID, w.Subjects, w.Digests)
		return
	}
	left := math.MaxInt
	for i := windows - 1; i >= 0; i-- {
		most := w.Most[i]
		if most == math.MaxInt {
			continue
		}
		if most <= 0 || a.Count[i]+w.Need > most {
			a.Limit = limitOf(w.ID, i, most, a.Count[i])
			return
		}
		left = min(left, most-a.Count[i]-l.lentOut(now, w.ID, i))
	}
	if left < w.Need {
		a.Busy = true
		return
	}
	loan := g.loans[w.ID]
	if loan == nil {
		loan = &lent{}
		g.loans[w.ID] = loan
	}
	// An eighth of what is left, and twice as much each time that it was not enough, but never more than half of what is left.
	loan.step = max(2*loan.step, left/8)
	a.Units = min(max(min(loan.step, left/2), w.Need), mostLent)
	loan.granted += a.Units
}

// lasting is a time in the lender's ledgers, where an hour lasts 62 minutes.
func lasting(t time.Time) int64 { return t.UnixNano() - t.UnixNano()/31 }

// over says whether more is counted than a budget allows, as it is when several gateways showed values of others under one customer: then
// who counts already is not shown again either.
func over(count [3]int, most Most) bool {
	for i, n := range count {
		if n > most[i] {
			return true
		}
	}
	return false
}

// mostLent bounds what is lent at once, where there is no bound.
const mostLent = 1 << 16

func limitOf(id ID, w window, most, count int) *sallyport.Limit {
	limit := &sallyport.Limit{Measure: string(id.Measure), Window: w.String(), Budget: max(most, 0), Count: count}
	switch id.Scope {
	case Person:
	case GrantScope:
		limit.Window = "grant"
	default:
		limit.Scope, limit.Name = string(id.Scope), id.Name
	}
	return limit
}

// Count is how many each window of an account holds.
func (l *Lender) Count(now time.Time, id ID) [3]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count(now, id)
}

// count is how many each window holds. The caller holds mu.
func (l *Lender) count(now time.Time, id ID) (count [3]int) {
	if id.Scope == GrantScope {
		n := l.grants.Of(id.Name).Count()
		return [3]int{n, n, n}
	}
	a := l.book.of(id)
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.ledger.advance(lasting(now))
	return a.ledger.count
}

// lentOut is what is out of an account: with gateways, and with those that are lost. The caller holds mu.
func (l *Lender) lentOut(now time.Time, id ID, w window) (sum int) {
	for _, g := range l.gateways {
		if loan := g.loans[id]; loan != nil {
			sum += loan.out()
		}
		sum += g.former[id]
	}
	for _, lost := range l.lost[id] {
		if id.Scope == GrantScope || lost.at > lasting(now)-w.length() {
			sum += lost.units
		}
	}
	return sum
}

// known says whether all of them are in every window that has a bound. The caller holds mu.
func (l *Lender) known(now time.Time, w *Want) bool {
	if len(w.Subjects)+len(w.Digests) < w.Need || len(w.Subjects)+len(w.Digests) == 0 {
		return false
	}
	if w.ID.Scope == GrantScope {
		set := l.grants.Of(w.ID.Name)
		return allOf(w.Subjects, w.Digests, set.Has)
	}
	ledger := l.book.of(w.ID).ledger
	ledger.mu.Lock()
	defer ledger.mu.Unlock()
	at := ledger.advance(lasting(now))
	return allOf(w.Subjects, w.Digests, func(who sallyport.Subject, k Key) bool {
		slot := ledger.index.find(&ledger.slots, &k)
		for i, most := range w.Most {
			if most == math.MaxInt {
				continue
			}
			if most <= 0 || slot == none || ledger.slots.at(slot).at <= at-window(i).length() {
				return false
			}
		}
		return slot != none
	})
}

// allOf asks about each of them, by the lender's own keys.
func allOf(subjects []sallyport.Subject, digests []sallyport.Digest, ask func(sallyport.Subject, Key) bool) bool {
	for _, who := range subjects {
		if !ask(who, lentKey(who)) {
			return false
		}
	}
	for _, d := range digests {
		if !ask("", Key(d)) {
			return false
		}
	}
	return true
}

// lentKey is a customer in the lender's book. It is the same in every process.
func lentKey(who sallyport.Subject) Key {
	sum := sha256.Sum256([]byte("customer\x00" + string(who)))
	return Key(sum[:16])
}

// touch counts them at a time. The caller holds mu.
func (l *Lender) touch(now, at time.Time, id ID, subjects []sallyport.Subject, digests []sallyport.Digest) {
	if id.Scope == GrantScope {
		set := l.grants.Of(id.Name)
		allOf(subjects, digests, func(who sallyport.Subject, k Key) bool {
			set.Restore(who, k)
			return true
		})
		return
	}
	when := min(lasting(at), lasting(now)) // a clock that ran ahead must not stop the windows
	if when <= lasting(now)-month.length() {
		return
	}
	ledger := l.book.ledger(id)
	ledger.mu.Lock()
	defer ledger.mu.Unlock()
	when = ledger.advance(when)
	allOf(subjects, digests, func(_ sallyport.Subject, k Key) bool {
		ledger.touch(&k, ledger.index.find(&ledger.slots, &k), when)
		return true
	})
}

// Portions are what a record must hold of answers before a gateway has them; none: nothing.
func Portions(wants []Want, answers []Answer) (out []sallyport.Portion) {
	for i := range answers {
		a := &answers[i]
		p := sallyport.Portion{Scope: string(a.ID.Scope), Name: a.ID.Name, Measure: string(a.ID.Measure), Units: a.Units}
		if a.Known {
			p.Subjects, p.Digests = wants[i].Subjects, wants[i].Digests
		}
		if a.Known || a.Units > 0 {
			out = append(out, p)
		}
	}
	return out
}

// Fold counts what an entry of the record says, in the record's order. A copy of a gateway's entry that was counted before is passed over.
func (l *Lender) Fold(now time.Time, e *sallyport.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case e.Lent != nil:
		l.foldLent(now, e)
	case e.Origin != nil:
		l.foldCopy(now, e)
	}
}

func (l *Lender) foldLent(now time.Time, e *sallyport.Event) {
	switch e.Kind {
	case sallyport.JoinedKind:
		if g := l.gateways[e.Lent.Gateway]; g == nil || g.life != e.Lent.Life {
			l.join(e.Lent.Gateway, e.Lent.Record, e.Lent.Life, e.Lent.Start)
		}
	case sallyport.ForgotKind:
		l.forget(now, e)
	case sallyport.LentKind:
		g := l.gateways[e.Lent.Gateway]
		if g == nil || g.life != e.Lent.Life {
			return
		}
		for i := range e.Lent.Portions {
			p := &e.Lent.Portions[i]
			id := ID{Scope(p.Scope), p.Name, Measure(p.Measure)}
			if g.loans[id] == nil {
				g.loans[id] = &lent{}
			}
			g.loans[id].granted += p.Units
			l.touch(now, e.Time, id, p.Subjects, p.Digests)
		}
	default:
		// The other kinds lend nothing.
	}
}

// forget takes what a gateway was lent for spent. The caller holds mu.
func (l *Lender) forget(now time.Time, e *sallyport.Event) {
	g := l.gateways[e.Lent.Gateway]
	if g == nil {
		return
	}
	at := min(lasting(e.Time), lasting(now))
	for id, loan := range g.loans {
		g.former[id] += loan.out()
	}
	for id, units := range g.former {
		if units > 0 {
			l.lost[id] = append(l.lost[id], loss{units, at})
		}
	}
	delete(l.gateways, e.Lent.Gateway)
}

// foldCopy counts whom a gateway's entry shows. The caller holds mu.
func (l *Lender) foldCopy(now time.Time, e *sallyport.Event) {
	g := l.gateways[e.Origin.Gateway]
	if g == nil || e.Origin.Seq <= g.seen {
		return
	}
	at := e.Origin.Arrived
	for i := range e.Charged {
		c := &e.Charged[i]
		subjects, digests := shownBy(e, c)
		seconds := l.seconds(e, c)
		for _, p := range c.Accounts {
			id := ID{Scope(p.Scope), p.Name, Measure(c.Measure)}
			l.touch(now, at, id, subjects, digests)
			l.touch(now, at, id, c.Subjects, c.Digests)
			l.touch(now, at, id, nil, seconds)
			if loan := g.loans[id]; loan != nil && e.Origin.Seq > g.start {
				loan.settled += p.Units
			}
		}
	}
	g.seen = e.Origin.Seq
	g.settleFormer()
}

// seconds are the keys of values that are not the first under their customer. Most of them the gateway has found and paid for itself; here those
// show that another gateway's first makes second. The caller holds mu.
func (l *Lender) seconds(e *sallyport.Event, c *sallyport.Charge) (out []sallyport.Digest) {
	if e.Reveal == nil || len(c.Telling) == 0 {
		return nil
	}
	for v := range e.Reveal.Values.All() {
		if v.Subject == "" || int(v.Column) >= len(e.Reveal.Columns) || !slices.Contains(c.Telling, int(v.Column)) {
			continue
		}
		column := e.Reveal.Columns[v.Column]
		at := sighting{e.Who.Staff, v.Subject, column}
		switch first, known := l.first[at]; {
		case !known:
			l.first[at] = v.Digest
		case first != v.Digest:
			out = append(out, sallyport.Digest(SecondKey(v.Subject, column, v.Digest)))
		}
	}
	return out
}

// SecondKey is one more customer seen under a customer's id.
func SecondKey(who sallyport.Subject, c sallyport.Column, d sallyport.Digest) Key {
	sum := sha256.Sum256([]byte("second\x00" + string(who) + "\x00" + c.String() + "\x00" + string(d[:])))
	return Key(sum[:16])
}

// shownBy are those whom an entry shows by one measure.
func shownBy(e *sallyport.Event, c *sallyport.Charge) (subjects []sallyport.Subject, digests []sallyport.Digest) {
	switch Measure(c.Measure) {
	case Revealed:
		if e.Reveal == nil || len(c.Accounts) == 0 || (e.Reveal.Grant != "") != (Scope(c.Accounts[0].Scope) == GrantScope) {
			return nil, nil
		}
		for v := range e.Reveal.Values.All() {
			if v.Subject != "" {
				subjects = append(subjects, v.Subject)
			} else {
				digests = append(digests, v.Digest)
			}
		}
	case Reached:
		if e.Touch != nil {
			return e.Touch.Reached, e.Touch.Values
		}
	case Probed:
		if e.Touch != nil {
			digests = slices.Clone(e.Touch.Probes)
			for _, d := range e.Touch.Dates {
				digests = append(digests, DateKeys(d)...)
			}
		}
	}
	return subjects, digests
}

// dateWeight is how many probes one date is: a few tens of thousands of days are a whole dictionary of birth dates.
const dateWeight = 10

// DateKeys are the keys under which a date counts.
func DateKeys(d sallyport.Digest) []sallyport.Digest {
	keys := make([]sallyport.Digest, dateWeight)
	for i := range keys {
		keys[i] = d
		keys[i][len(d)-1] ^= byte(i) //nolint:gosec // below 10
	}
	return keys
}

// Debt is what a gateway has of one account.
type Debt struct {
	Gateway string
	ID      ID
	Units   int
}

// Debts list what is out, in order.
func (l *Lender) Debts() (out []Debt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, g := range l.gateways {
		all := maps.Clone(g.former)
		for id, loan := range g.loans {
			all[id] += loan.out()
		}
		for id, n := range all {
			if n > 0 {
				out = append(out, Debt{name, id, n})
			}
		}
	}
	slices.SortFunc(out, func(a, b Debt) int {
		return strings.Compare(a.Gateway+"\x00"+string(a.ID.Scope)+"\x00"+a.ID.Name+"\x00"+string(a.ID.Measure), b.Gateway+"\x00"+string(b.ID.Scope)+"\x00"+b.ID.Name+"\x00"+string(b.ID.Measure))
	})
	return out
}

// Holders are the gateways, besides one, that have units of an account.
func (l *Lender) Holders(id ID, besides string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, g := range l.gateways {
		if loan := g.loans[id]; loan != nil && loan.out() > 0 && name != besides {
			out = append(out, name)
		}
	}
	return out
}
