package gateway

import (
	"time"

	"sallyport"
	"sallyport/exposure"
)

// accounts are where the rows of a session are counted, and by what.
type accounts struct {
	of      *acting
	sight   *sight // by whose purposes shared budgets are charged
	kinship kinship

	asked             bool // the clock was read since the last bytes came,
	stale             bool // and the budgets were not yet
	time              time.Time
	revealed, reached []exposure.Charge
	owners            []sallyport.Staff // whose each of them is, as far as they are somebody's
	shares            []share           // those behind owners
	over              sallyport.Staff   // whose budget was reached last; empty: one that several share
	used              int               // how much of the fullest is used, in percent
	stepped           bool              // that is another than before

	lender *session // where budgets are shared with other gateways: whose borrowing it is

	one  [1]exposure.Key       // scratch
	just *[agains]exposure.Key // that were revealed at this very time: they cost nothing more
}

// openAccounts opens those of who logged in.
func (s *session) openAccounts() {
	if s.self == nil {
		s.self = s.ownself()
	}
	s.accounts = accounts{of: s.self, lender: s.borrows(), kinship: s.gw.kin.person(s.self.person.Staff)}
}

// accountsOf are the accounts to which a run is charged. Clock and budgets are read once for all rows that came from the server together:
// looking at the clock for each was as dear as counting it.
func (s *session) accountsOf(r *run) *accounts {
	a, as := &s.accounts, s.whose(r)
	opened := false
	if a.of != as || s.gw.Protection.Shared != nil && a.sight != r.sight {
		*a = accounts{of: as, lender: s.borrows(), sight: r.sight, kinship: s.gw.kin.person(as.person.Staff), revealed: a.revealed, reached: a.reached, owners: a.owners, just: a.just}
		opened = true
	}
	if s.clock(); a.stale {
		a.stale = false
		a.revealed, a.owners = s.gw.charges(a.revealed[:0], a.owners[:0], as, exposure.Revealed)
		a.reached, _ = s.gw.charges(a.reached[:0], nil, as, exposure.Reached)
		if s.gw.Protection.Shared != nil {
			a.share(s.gw, r)
		}
		if a.just != nil {
			clear(a.just[:])
		}
		for i := range a.revealed {
			a.revealed[i].Look(a.time)
		}
		a.use(!opened) // when it was opened the policies have just been asked
	}
	return a
}

// clock is the time. It is read once for all rows that came from the server together.
func (s *session) clock() time.Time {
	a := &s.accounts
	if !a.asked {
		a.asked, a.stale, a.time = true, true, s.gw.Clock()
	}
	return a.time
}

// use notes how much of the fullest budget is used; tell: the policies are to be asked anew where that is another than before.
func (a *accounts) use(tell bool) {
	used := 0
	for i := range a.revealed {
		if a.lender != nil {
			loan := a.revealed[i].Loan()
			_, part := a.lender.gw.Shares.Borrower().Stands(loan.ID, loan.Most)
			used = max(used, part)
			continue
		}
		used = max(used, a.revealed[i].Used())
	}
	a.stepped, a.used = a.stepped || tell && used != a.used, used
}

// charges are the counts to which somebody's exposure is charged, and whose they are: on a service's word alone its own, too.
func (g *Gateway) charges(charges []exposure.Charge, owners []sallyport.Staff, as *acting, m exposure.Measure) ([]exposure.Charge, []sallyport.Staff) {
	charges = append(charges, g.Book.Account(as.person.Staff, m).Charge(g.Protection.Budgets(as.person).Of(m)))
	owners = append(owners, as.person.Staff)
	if as.claim {
		service := as.service.person
		charges = append(charges, g.Book.Account(service.Staff, m).Charge(g.Protection.Budgets(service).Of(m)))
		owners = append(owners, service.Staff)
	}
	return charges, owners
}

// share charges what is revealed to the budgets that several share, too.
func (a *accounts) share(g *Gateway, r *run) {
	var purposes []sallyport.Purpose
	if r.sight != nil {
		purposes = r.sight.purposes
	}
	a.shares = g.sharesOf(&a.of.who, purposes)
	for _, h := range a.shares {
		a.revealed = append(a.revealed, g.Book.Shared(h.scope, h.name).Shared(h.budget))
	}
}

// reveal counts a customer as revealed.
func (a *accounts) reveal(key *exposure.Key) *sallyport.Limit {
	limit := a.charge(key)
	a.use(true)
	return limit
}

func (a *accounts) charge(key *exposure.Key) *sallyport.Limit {
	if len(a.revealed) == 1 {
		return a.across(key, a.revealed)
	}
	if a.just == nil {
		a.just = new([agains]exposure.Key)
	}
	at := &a.just[place(key)]
	if *at == *key && *key != (exposure.Key{}) {
		return nil
	}
	limit := a.across(key, a.revealed)
	if limit == nil {
		*at = *key
	}
	return limit
}

// reach counts a customer as reached.
func (a *accounts) reach(key *exposure.Key) *sallyport.Limit { return a.across(key, a.reached) }

func (a *accounts) across(key *exposure.Key, charges []exposure.Charge) *sallyport.Limit {
	if a.lender == nil && len(charges) == 1 {
		limit := charges[0].Reserve(a.time, key)
		if limit != nil {
			a.over = a.owners[0]
		}
		return limit
	}
	a.one[0] = *key
	var limit *sallyport.Limit
	at := 0
	if a.lender == nil {
		limit, at = exposure.Across(a.time, a.one[:], charges)
	} else {
		limit, at = a.lender.spend(a.one[:], charges, true)
	}
	switch {
	case limit == nil:
	case at >= len(charges): // it was not the budget
		a.over = ""
	case at < len(a.owners):
		a.over = a.owners[at]
	default:
		a.over, limit = "", a.shares[at-len(a.owners)].of(limit)
	}
	return limit
}

// reserveProbes counts distinct values that somebody had tokenised; owner is whose budget that would exceed.
func (s *session) reserveProbes(as *acting, keys []exposure.Key) (limit *sallyport.Limit, owner sallyport.Staff) {
	charges, owners := s.gw.charges(nil, nil, as, exposure.Probed)
	if s.gw.Shares == nil {
		limit, at := exposure.Across(s.gw.Clock(), keys, charges)
		return limit, owners[at]
	}
	limit, at := s.spend(keys, charges, false)
	if at >= len(owners) {
		return limit, ""
	}
	return limit, owners[at]
}

// counted are those whose budgets an entry of the record was charged to.
func counted(who *sallyport.Who) []sallyport.Staff {
	if who.Claimed && who.Via != "" && who.Via != who.Staff {
		return []sallyport.Staff{who.Staff, who.Via}
	}
	return []sallyport.Staff{who.Staff}
}
