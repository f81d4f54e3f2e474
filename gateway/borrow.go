package gateway

import (
	"math"
	"slices"
	"sync"
	"time"

	"sallyport"
	"sallyport/exposure"
	"sallyport/query"
)

// Where several gateways share budgets each row is paid for with units that a controller lent (exposure.Borrower). What an entry cost is
// written into it, so that the controller knows what became of them; what was paid for and did not leave is on record as counted.

// Shares are this gateway's part in budgets that a controller lends.
type Shares interface {
	Borrower() *exposure.Borrower
	Since() time.Duration // how long ago the process began
	Heard() bool          // the controller was heard within the last second, with all orders that it had then
	Want(wants []exposure.Want) ([]exposure.Answer, error)
	Mark(who sallyport.Who, a sallyport.Asserted) (first bool, err error)
}

// What a limit's window says that is no budget's.
const (
	silentWindow = "silence"    // the controller does not answer
	lentWindow   = "elsewhere"  // others hold what is left
	lentScope    = "controller" // nobody is suspended for it
)

const (
	silent     = "the controller does not answer, so nothing is shown"
	hintSilent = "Try again in a moment. The administrator reads the cause in the log of this gateway. Nobody is suspended."
)

// How long a row waits for units that are lent to others, and between two questions: those who hold them are asked to give them back.
const (
	waitsForUnits = time.Second
	asksAgain     = 5 * time.Millisecond
)

// freshFor is how long what was counted for a batch holds. A batch waits for the one before it, and so for its client: what is older is counted
// anew before it leaves.
const freshFor = 15 * time.Second

// borrowing is what a session has paid for and not put on record yet.
type borrowing struct {
	subject sallyport.Subject // who is counted next, on the server's side
	digest  sallyport.Digest
	began   time.Duration // when the present batch was first counted; 0: it is empty

	mu   sync.Mutex // guards owed
	owed []sallyport.Charge
}

// borrows is the session where budgets are shared, else nil.
func (s *session) borrows() *session {
	if s.gw.Shares == nil {
		return nil
	}
	return s
}

// names says who is counted next: a customer, or where he is not known a value.
func (b *borrowing) names(who *customer, digest sallyport.Digest) {
	if b.subject, b.digest = "", digest; who != nil && who.known() {
		b.subject = who.subject()
	}
}

func (b *borrowing) begin(g *Gateway) {
	if g.Shares != nil && b.began == 0 {
		b.began = g.Shares.Since()
	}
}

func (b *borrowing) done() { b.began = 0 }

// take is what was paid for by one measure, for its entry.
func (b *borrowing) take(m exposure.Measure) (out []sallyport.Charge) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owed = slices.DeleteFunc(b.owed, func(c sallyport.Charge) bool {
		if c.Measure != string(m) {
			return false
		}
		out = append(out, c)
		return true
	})
	return out
}

// owe notes what was paid for.
func (b *borrowing) owe(loans []exposure.Loan, paid []int, subject sallyport.Subject, digests []sallyport.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := string(loans[0].ID.Measure)
	at := slices.IndexFunc(b.owed, func(c sallyport.Charge) bool { return c.Measure == m && sameAccounts(c.Accounts, loans) })
	if at < 0 {
		c := sallyport.Charge{Measure: m}
		for i := range loans {
			c.Accounts = append(c.Accounts, sallyport.Portion{Scope: string(loans[i].ID.Scope), Name: loans[i].ID.Name})
		}
		b.owed, at = append(b.owed, c), len(b.owed)
	}
	c := &b.owed[at]
	for i := range loans {
		c.Accounts[i].Units += paid[i]
	}
	if subject != "" {
		c.Subjects = append(c.Subjects, subject)
	} else {
		c.Digests = append(c.Digests, digests...)
	}
}

func sameAccounts(accounts []sallyport.Portion, loans []exposure.Loan) bool {
	if len(accounts) != len(loans) {
		return false
	}
	for i := range loans {
		if accounts[i].Scope != string(loans[i].ID.Scope) || accounts[i].Name != loans[i].ID.Name {
			return false
		}
	}
	return true
}

// spend counts keys in all charges' accounts, with units that are borrowed. record: what stands in the batch may be put on record before
// more is waited for, since its units may be those that lack. at is which charge the limit is of, len(charges) where it is no budget's.
func (s *session) spend(keys []exposure.Key, charges []exposure.Charge, record bool) (limit *sallyport.Limit, at int) {
	loans := make([]exposure.Loan, len(charges))
	for i := range charges {
		loans[i] = charges[i].Loan()
		if limit := loans[i].None(); limit != nil {
			return limit, i
		}
	}
	subject, digests := s.borrowing.subject, []sallyport.Digest{s.borrowing.digest}
	if loans[0].ID.Measure == exposure.Probed {
		subject, digests = "", nil
		for _, k := range keys {
			digests = append(digests, sallyport.Digest(k))
		}
	}
	return s.pay(keys, loans, subject, digests, record)
}

// pay is spend of loans.
func (s *session) pay(keys []exposure.Key, loans []exposure.Loan, subject sallyport.Subject, digests []sallyport.Digest, record bool) (*sallyport.Limit, int) {
	var room [16]int
	paid, shares := room[:len(loans)], s.gw.Shares
	until := shares.Since() + waitsForUnits
	for {
		lacks := shares.Borrower().Spend(shares.Since(), keys, loans, paid)
		if lacks == nil {
			if slices.ContainsFunc(paid, func(n int) bool { return n > 0 }) {
				s.borrowing.owe(loans, paid, subject, digests)
			}
			return nil, 0
		}
		limit, at, busy := s.wantUnits(lacks, loans, subject, digests)
		switch {
		case limit != nil:
			return limit, at
		case !busy && shares.Since() < until+waitsForUnits:
			continue
		case record: // its units may be those that lack, and those of others are with theirs
			record = false
			_ = s.record() // what keeps it from being written has ended the session
			continue
		case shares.Since() > until || s.over.Load():
			return &sallyport.Limit{Measure: string(loans[0].ID.Measure), Window: lentWindow, Scope: lentScope}, len(loans)
		}
		<-time.After(asksAgain)
	}
}

// wantUnits asks for what lacks. busy: others hold it.
func (s *session) wantUnits(lacks []exposure.Lack, loans []exposure.Loan, subject sallyport.Subject, digests []sallyport.Digest) (limit *sallyport.Limit, at int, busy bool) {
	wants := make([]exposure.Want, len(lacks))
	for i, l := range lacks {
		wants[i] = exposure.Want{ID: loans[l.At].ID, Most: loans[l.At].Most, Need: l.Units}
		if subject != "" {
			wants[i].Subjects = []sallyport.Subject{subject}
		} else {
			wants[i].Digests = digests
		}
	}
	answers, err := s.gw.Shares.Want(wants)
	if err != nil {
		s.gw.Log.Warn("the controller does not lend", "why", err.Error())
		return &sallyport.Limit{Measure: string(loans[0].ID.Measure), Window: silentWindow, Scope: lentScope}, len(loans), false
	}
	for i := range answers {
		a, of := &answers[i], lacks[i].At
		switch {
		case a.Limit != nil:
			return a.Limit, of, false
		case a.Known:
			loans[of].Free = true
		}
		busy = busy || a.Busy
	}
	return nil, 0, busy
}

// borrowGranted takes a customer out of a grant's budget, as reserveGranted does.
func (s *session) borrowGranted(v *shown) *sallyport.Limit {
	id := v.under.grant.ID
	loans := []exposure.Loan{{
		ID:   exposure.ID{Scope: exposure.GrantScope, Name: id, Measure: exposure.Revealed},
		Most: exposure.Most{math.MaxInt, math.MaxInt, v.under.grant.Customers},
	}}
	take := func(key exposure.Key, who sallyport.Subject, digest sallyport.Digest) *sallyport.Limit {
		if v.under.customers.Has(who, key) {
			return nil // he was paid for by this process; a grant's customers are never forgotten
		}
		limit, _ := s.pay([]exposure.Key{key}, loans, who, []sallyport.Digest{digest}, true)
		if limit == nil {
			v.under.customers.Restore(who, key)
		}
		return limit
	}
	who := v.customer.subject()
	if limit := take(s.lastKey.valueKey(&v.customer, v.digest), who, v.digest); limit != nil {
		return limit
	}
	if v.customer.known() && s.gw.strangerUnder(v.under.kinship, v.under.home, v.of.Scheme, s.lastKey.of(&v.customer), v.digest) {
		key := secondKey(who, v.of.Column, v.digest)
		return take(key, "", sallyport.Digest(key))
	}
	return nil
}

// chargedTo are the accounts that an entry of the batch is charged to, with what was paid for since the entry before.
func (s *session) chargedTo(e *sallyport.Event) (out []sallyport.Charge) {
	if s.gw.Shares == nil {
		return nil
	}
	granted := e.Reveal != nil && e.Reveal.Grant != ""
	if e.Reveal != nil && !granted {
		if out = appendAccounts(out, s.accounts.revealed); len(out) > 0 {
			out[0].Telling = s.gw.telling(e.Reveal.Columns)
		}
	}
	if e.Touch != nil {
		out = appendAccounts(out, s.accounts.reached)
	}
	if granted {
		out = append(out, sallyport.Charge{Measure: string(exposure.Revealed), Accounts: []sallyport.Portion{{Scope: string(exposure.GrantScope), Name: e.Reveal.Grant}}})
	}
	b := &s.borrowing
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owed = slices.DeleteFunc(b.owed, func(c sallyport.Charge) bool {
		if c.Measure == string(exposure.Probed) { // of statements, which have entries of their own
			return false
		}
		out = append(out, c)
		return true
	})
	return out
}

// telling are the places of columns of which a second value under one customer is another customer's.
func (g *Gateway) telling(columns []sallyport.Column) (out []int) {
	for i, c := range columns {
		if p := g.protectedColumn(c); p != nil && (p.Scheme == sallyport.Email || p.Scheme == sallyport.Phone || p.Scheme == sallyport.Name) {
			out = append(out, i)
		}
	}
	return out
}

// appendAccounts adds accounts that an entry's customers count in, whether or not they cost anything.
func appendAccounts(out []sallyport.Charge, charges []exposure.Charge) []sallyport.Charge {
	var c sallyport.Charge
	for i := range charges {
		if l := charges[i].Loan(); l.Bounded() {
			c.Measure = string(l.ID.Measure)
			c.Accounts = append(c.Accounts, sallyport.Portion{Scope: string(l.ID.Scope), Name: l.ID.Name})
		}
	}
	if len(c.Accounts) == 0 {
		return out
	}
	return append(out, c)
}

// mayShow says whether what stands in the batch may be put on record and leave: the controller is heard, and what was counted holds.
func (s *session) mayShow() error {
	if !s.gw.Shares.Heard() {
		s.end(fatal(codeSilent, silent, hintSilent))
		return errEnded
	}
	if s.gw.Shares.Since()-s.borrowing.began < freshFor || s.of == nil {
		return nil
	}
	return s.countAgain()
}

// countAgain counts anew whom an old batch shows: the controller may not count them any more. A grant's customers are never forgotten.
func (s *session) countAgain() error {
	a := s.accountsOf(s.of)
	s.borrowing.began = s.gw.Shares.Since()
	parts := []part{{s.grant, s.values, s.columns}}
	for _, p := range append(parts, s.parts...) {
		if p.grant != "" {
			continue
		}
		for v := range p.values.All() {
			if err := s.countOneAgain(a, a.revealed, v.Subject, v.Digest); err != nil {
				return err
			}
		}
	}
	for _, who := range s.reached {
		if err := s.countOneAgain(a, a.reached, who, sallyport.Digest{}); err != nil {
			return err
		}
	}
	for _, d := range s.reachedRows {
		if err := s.countOneAgain(a, a.reached, "", d); err != nil {
			return err
		}
	}
	return nil
}

// countOneAgain ends the session where that exceeds a budget.
func (s *session) countOneAgain(a *accounts, charges []exposure.Charge, subject sallyport.Subject, digest sallyport.Digest) error {
	key := exposure.Key(digest)
	if subject != "" {
		key = subjectKey(subject)
	}
	s.borrowing.subject, s.borrowing.digest = subject, digest
	limit, at := s.spend([]exposure.Key{key}, charges, false)
	if limit == nil {
		return nil
	}
	sentence, hint := limitSentence(limit)
	s.end(fatal(limitCode(limit), sentence, hint))
	owner := sallyport.Staff("")
	if at < len(a.owners) {
		owner = a.owners[at]
	}
	s.exceed(s.whose(s.of), owner, limit)
	return errEnded
}

// settleUnsent puts on record what was counted and did not leave, when the session is over.
func (s *session) settleUnsent() {
	if s.gw.Shares == nil {
		return
	}
	s.borrowing.mu.Lock()
	owed := s.borrowing.owed
	s.borrowing.owed = nil
	s.borrowing.mu.Unlock()
	if len(owed) > 0 {
		s.note(sallyport.Event{Kind: sallyport.CountedKind, Charged: owed})
	}
}

// markFirst has the controller say that no other gateway takes an assertion.
func (s *session) markFirst(as *acting, spoken *Spoken) *query.Refusal {
	if s.gw.Shares == nil {
		return nil
	}
	first, err := s.gw.Shares.Mark(as.who, sallyport.Asserted{ID: spoken.ID, Source: spoken.Source, Expires: spoken.Expires})
	switch {
	case err != nil:
		return refusal(codeSilent, "the controller does not answer, so nobody can be acted for", hintSilent)
	case !first:
		return usedUp()
	}
	return nil
}

// borrowed is how much of the fullest account is used, in percent. Where the controller was not asked for a while it is asked now.
func (g *Gateway) borrowed(charges []exposure.Charge) (used int) {
	var wants []exposure.Want
	for i := range charges {
		if l := charges[i].Loan(); l.Bounded() {
			wants = append(wants, exposure.Want{ID: l.ID, Most: l.Most})
		}
	}
	if len(wants) == 0 {
		return 0
	}
	if !g.Shares.Borrower().Told(g.Shares.Since(), wants) {
		_, _ = g.Shares.Want(wants) // without an answer nothing is shown anyway
	}
	for i := range wants {
		_, part := g.Shares.Borrower().Stands(wants[i].ID, wants[i].Most)
		used = max(used, part)
	}
	return used
}
