package gateway

import (
	"encoding/binary"
	"sync"
	"time"

	"sallyport"
	"sallyport/exposure"
	"sallyport/purpose"
)

// identities remembers the first e-mail, phone and name that a person saw under a customer. A second one counts as one
// more customer: the database is not believed about whose a value is.
type identities struct {
	mu    sync.Mutex // guards first
	first map[sighting]sallyport.Digest
}

type sighting struct {
	staff   sallyport.Staff
	subject sallyport.Subject
	column  sallyport.Column
}

func newIdentities() *identities { return &identities{first: map[sighting]sallyport.Digest{}} }

// second says whether the value differs from the first one seen there.
func (i *identities) second(who sallyport.Staff, v purpose.Value, d sallyport.Digest) bool {
	if v.Subject == "" || v.Scheme != sallyport.Email && v.Scheme != sallyport.Phone && v.Scheme != sallyport.Name {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	key := sighting{who, v.Subject, v.Column}
	first, known := i.first[key]
	if !known {
		i.first[key] = d
	}
	return known && first != d
}

// Restore folds one past event of the access stream into the budgets, so that a restart forgets nothing. Call it for all of
// them, in order, before Serve: windows are 30 days long at most, and grants as long as they are.
func (g *Gateway) Restore(e *sallyport.Event) {
	if g.plays(e.Who.Staff) {
		return
	}
	now := g.Clock()
	g.restoreSpent(e, now)
	if r := e.Reveal; r != nil {
		for v := range r.Values.All() {
			column := sallyport.Column{}
			if int(v.Column) < len(r.Columns) {
				column = r.Columns[v.Column]
			}
			g.restoreValue(now, e, r, v, column)
		}
	}
	if t := e.Touch; t != nil {
		for _, subject := range t.Reached {
			g.restore(now, e, exposure.Reached, subjectKey(subject))
		}
		for _, digest := range t.Values {
			g.restore(now, e, exposure.Reached, exposure.Key(digest))
		}
		for _, digest := range t.Probes {
			g.restore(now, e, exposure.Probed, exposure.Key(digest))
		}
		for _, digest := range t.Dates {
			for _, key := range dateKeys(digest) {
				g.restore(now, e, exposure.Probed, key)
			}
		}
	}
}

// restore counts what an entry was charged to.
func (g *Gateway) restore(now time.Time, e *sallyport.Event, m exposure.Measure, key exposure.Key) {
	for _, who := range counted(&e.Who) {
		g.Book.Restore(now, e.Time, who, m, key)
	}
}

func (g *Gateway) restoreValue(now time.Time, e *sallyport.Event, r *sallyport.Revealed, v sallyport.RevealedValue, c sallyport.Column) {
	who := e.Who.Staff
	if r.Grant != "" {
		set := g.granted.Of(r.Grant)
		set.Restore(v.Subject, exposure.Key(v.Digest))
		if g.Protection == nil {
			return
		}
		if p := g.protectedColumn(c); p != nil && v.Subject != "" && g.strangerUnder(g.kin.grant(r.Grant), g.kin.granted(c), p.Scheme, subjectKey(v.Subject), v.Digest) {
			set.Restore("", secondKey(v.Subject, c, v.Digest))
		}
		return
	}
	whose := customerOf(v.Subject)
	key := new(lastKey).valueKey(&whose, v.Digest)
	g.restore(now, e, exposure.Revealed, key)
	g.restoreShares(now, e, key)
	if g.Protection == nil || v.Subject == "" {
		return
	}
	p := g.protectedColumn(c)
	if p != nil && g.identities.second(who, purpose.Value{Column: c, Scheme: p.Scheme, Subject: v.Subject}, v.Digest) {
		key = secondKey(v.Subject, c, v.Digest)
		g.restore(now, e, exposure.Revealed, key)
		g.restoreShares(now, e, key)
	}
}

// reserve takes one value's customer out of the budget that pays for it: the grant's own, or the person's.
func (s *session) reserve(r *run, v *shown) *sallyport.Limit {
	if v.under != nil {
		return s.reserveGranted(v)
	}
	a := s.accountsOf(r)
	key := s.lastKey.valueKey(&v.customer, v.digest)
	if a.lender != nil {
		s.borrowing.names(&v.customer, v.digest)
	}
	if limit := a.reveal(&key); limit != nil {
		return limit
	}
	who := v.customer.subject()
	if s.gw.identities.second(a.of.person.Staff, purpose.Value{Column: v.of.Column, Scheme: v.of.Scheme, Subject: who}, v.digest) {
		key = secondKey(who, v.of.Column, v.digest)
		s.borrowing.names(nil, sallyport.Digest(key))
		return a.reveal(&key)
	}
	return nil
}

// reserveGranted takes a customer out of a grant's budget, and one more for a second e-mail, phone or name under one customer: a query may
// put any customer's key beside another one's values.
func (s *session) reserveGranted(v *shown) *sallyport.Limit {
	set, most := v.under.customers, v.under.grant.Customers
	limit := v.under.over(s)
	if limit != nil {
		return limit
	}
	if s.gw.Shares != nil {
		return s.borrowGranted(v)
	}
	if v.customer.numbered {
		limit = set.ReserveNumber(v.customer.number, most)
	} else {
		limit = set.Reserve(v.customer.text, exposure.Key(v.digest), most)
	}
	if limit != nil {
		return limit
	}
	if v.customer.known() && s.gw.strangerUnder(v.under.kinship, v.under.home, v.of.Scheme, s.lastKey.of(&v.customer), v.digest) {
		return set.Reserve("", secondKey(v.customer.subject(), v.of.Column, v.digest), most)
	}
	return nil
}

// strangerUnder says whether a grant has shown another value of the column under that customer first. A grant may be for millions, so
// that is remembered in the bounded table.
func (g *Gateway) strangerUnder(grant kinship, column home, scheme sallyport.Scheme, who exposure.Key, d sallyport.Digest) bool {
	if scheme != sallyport.Email && scheme != sallyport.Phone && scheme != sallyport.Name {
		return false
	}
	return !g.kin.belongs(grant, column, who, binary.LittleEndian.Uint64(d[:]))
}

// overspent acts on a budget that a row would exceed. A read is cut here; a statement that writes runs to its end with
// the remaining fields left as tokens or the remaining rows left out, for closing would not undo it, and then the session ends.
func (s *session) overspent(r *run, limit *sallyport.Limit) (stop bool) {
	if s.spentGrant != "" {
		return s.usedUp(r, limit, s.spentGrant)
	}
	r.limit = limit
	if r.stmt != nil && r.stmt.Writes {
		if !r.spent {
			r.spent = true
			s.winding.Store(true)
			s.exceed(s.whose(r), s.accounts.over, limit)
		}
		return false
	}
	_ = s.record() // what keeps it from being written has ended the session, or the client has gone: the budget was reached all the same
	sentence, hint := limitSentence(limit)
	s.end(fatal(limitCode(limit), sentence, hint))
	s.exceed(s.whose(r), s.accounts.over, limit)
	return true
}

// exceed records that a budget was reached and has its owner suspended.
func (s *session) exceed(as *acting, owner sallyport.Staff, limit *sallyport.Limit) {
	if owner == "" || limit.Window == "grant" {
		owner = as.person.Staff
	}
	e := &sallyport.Event{Kind: sallyport.BudgetReached, Time: s.gw.Clock(), Who: as.who, Limit: limit}
	if limit.Scope != "" { // it was not his alone: nobody is suspended
		s.noteLimit(e)
		return
	}
	_, _ = s.gw.Access.Append(e) // the suspension is an entry of its own, in the other stream
	if err := s.gw.Protection.Suspend(owner, *limit); err != nil {
		s.gw.Log.Error("suspension cannot be recorded; the session ends all the same", "staff", string(owner))
	}
}

// unwind ends the session behind a writing statement that used a budget up.
func (s *session) unwind() error {
	if err := s.record(); err != nil {
		return err
	}
	s.winding.Store(false)
	hint := "You are suspended. Ask a lead for `sallyport unlock`."
	if s.accounts.over == "" {
		hint = "Others share it, and nobody is suspended. It fills up again as time passes."
	}
	s.end(fatal(codeBudget, "a budget was used up by the statement before; it ran to its end", hint))
	return errEnded
}

// noteLimit puts on record that something was used up. The result is cut all the same where that cannot be done.
func (s *session) noteLimit(e *sallyport.Event) {
	if _, err := s.gw.Access.Append(e); err != nil {
		s.gw.Log.Error("the record cannot be written", "kind", string(e.Kind))
	}
}
