package gateway

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/query"
)

// sight is what one statement may see: the covers of its purposes and the grants of the person.
type sight struct {
	as       *acting // who sees
	purposes []sallyport.Purpose
	covers   []*purpose.Cover
	named    []*heldGrant // grants that the purposes name
	grants   []*heldGrant // that hold
	decided  []*decided
	policies *policy.Set
	asking   policy.Ask // who, and what is known of this moment
	rulings  []ruled
	denied   *policy.Ruling // the first that left a covered value a token
	waits    *ruled         // the first that has a covered value wait
	slow     bool           // a ruling throttles
	renewed  int            // how often the policies were to be asked anew
	exports  bool           // by COPY: values must be allowed to leave in bulk, too
	at       time.Time      // when the reasons were checked
	bar      func(because string)
	turned   <-chan struct{} // closed when what is known of the person changes
}

// ruled is what the policies say about a column under a reason or a grant, so that they are asked once a statement and not for each row.
type ruled struct {
	cover  *purpose.Cover
	grant  *heldGrant
	column sallyport.Column
	ruling policy.Ruling
}

// look resolves the purpose of a statement: a trailing comment's, or the one that is set.
func (s *session) look(ctx context.Context, st *query.Statement, as *acting, current string) (*sight, error) {
	if st != nil && st.Comment != nil {
		current = *st.Comment
	}
	v := &sight{as: as, purposes: s.canonical(current), policies: s.gw.Protection.Policies()}
	v.exports = st != nil && st.Copy != nil && !st.Copy.In
	v.at = s.gw.Clock()
	v.bar, v.turned = func(because string) { s.bar(as, because) }, s.gw.Standing.Turned()
	v.asking = policy.Ask{Who: as.person.Staff, Service: as.person.Service, Action: policy.ActionReveal, Context: s.situation(as, v.purposes)}
	if as.refused != nil {
		return v, nil
	}
	who := s.placed(as)
	for _, p := range v.purposes {
		cover, named, err := s.reason(ctx, who, p)
		if err != nil {
			return nil, err
		}
		v.covers = append(v.covers, cover)
		if named != nil {
			v.named = append(v.named, named)
		}
	}
	v.grants = s.grants(as, v.named)
	return v, nil
}

// placed is a person with the team and role that he has right now.
func (s *session) placed(as *acting) purpose.Person {
	if placed := s.gw.Protection.Placed; placed != nil {
		return placed(as.person)
	}
	return as.person
}

// situation is what is known of somebody right now. On a service's word alone he is trusted no further than it.
func (s *session) situation(as *acting, purposes []sallyport.Purpose) policy.Context {
	c := s.gw.Protection.Moment(as.person)
	c.Strength, c.Device = as.strength, as.who.Device
	own, shared := s.gw.used(as, purposes)
	c.BudgetUsed, c.SharedUsed = int64(own), int64(shared)
	if as.service == nil {
		c.MFAMinutes = s.proof.minutes(s.gw.Clock(), c.MFAMinutes) // what the service proved says nothing of whom it acts for
	}
	if as.service != nil {
		c.Via = as.service.person.Staff
	}
	if as.claim {
		c.Trust = min(c.Trust, s.gw.Protection.Moment(as.service.person).Trust)
	}
	if at, err := netip.ParseAddrPort(s.who.Address); err == nil {
		c.Address = at.Addr()
	}
	return c
}

// current has the policies asked anew where what is known of the person has changed since, and the reasons where they were checked a
// while ago: a verdict holds when a value leaves, and not only when its statement began.
func (v *sight) current(ctx context.Context, s *session) {
	if len(v.covers) > 0 {
		if now := s.clock(); now.Sub(v.at) >= recheckAfter || now.Before(v.at) {
			v.at = now
			v.recheck(ctx, s)
		}
	}
	select {
	case <-v.turned:
		v.anew(s)
	default:
	}
}

// recheckAfter is how old the reasons of a result may become. What the resolver knows of them is a second old at most (purpose.Options.TTL),
// so that a ticket which is closed covers nothing two seconds later.
const recheckAfter = 100 * time.Millisecond

// recheck looks whether the reasons still are reasons. The person reads it where one is none any more.
func (v *sight) recheck(ctx context.Context, s *session) {
	changed := false
	for i, p := range v.purposes {
		before := v.covers[i]
		if namesGrant(p) {
			changed = v.recheckGrant(ctx, s, p) || changed
			continue
		}
		cover, err := s.gw.Protection.Resolver.Resolve(ctx, s.placed(v.as), p)
		if err != nil {
			s.gw.Log.Warn("the purpose cannot be checked", "reason", plainReason(err))
			cover = &purpose.Cover{Purpose: p, Refused: "the purpose cannot be checked now"}
		}
		if cover == before {
			continue
		}
		v.covers[i], changed = cover, true
		if before.Refused == "" && cover.Refused != "" && !s.observing() {
			s.notice("NOTICE", "values stay tokens from here on: "+cover.Refused, cover.Help)
		}
	}
	if changed {
		v.anew(s)
	}
}

// anew forgets what the policies said.
func (v *sight) anew(s *session) {
	before := v.rulings
	v.renewed++
	v.turned, v.policies = s.gw.Standing.Turned(), s.gw.Protection.Policies()
	v.rulings, v.decided, v.denied, v.waits, v.slow = nil, nil, nil, nil, false
	v.asking.Context = s.situation(v.as, v.purposes)
	v.grants = s.grants(v.as, v.named)
	for _, r := range before { // no row slips through before it is known whether it still goes slowly
		if r.ruling.Respond == policy.Throttle {
			v.ruling(r.cover, r.grant, r.column)
		}
	}
}

// bar suspends the person because the policies say so; his sessions end, this one too.
func (s *session) bar(as *acting, because string) {
	if s.observing() {
		s.observe("would have suspended: " + because)
		return
	}
	if err := s.gw.Protection.Bar(as.person.Staff, because); err != nil {
		s.gw.Log.Error("a person cannot be suspended", "staff", as.person.Staff, "reason", plainReason(err))
	}
}

// find is what the purposes say of a stored text: the first of them under which policies let it be seen.
func (v *sight) find(stored []byte) (value purpose.Value, r policy.Ruling, ok bool) {
	for _, c := range v.covers {
		found, here := c.Values[string(stored)]
		if !here {
			continue
		}
		ruling := v.ruling(c, nil, found.Column)
		if !ok || ruling.Verdict > r.Verdict {
			value, r, ok = found, ruling, true
		}
		if ruling.Verdict == sallyport.Reveal {
			break
		}
	}
	return value, r, ok
}

// masks tells whether policies mask a covered value.
func (v *sight) masks(stored []byte) bool {
	if v.denied == nil || v.denied.Verdict != sallyport.Mask {
		return false
	}
	_, r, ok := v.find(stored)
	return ok && r.Verdict == sallyport.Mask
}

// written is what the policies say of a column of which the person wrote a value himself: the most open answer under any of his reasons.
func (v *sight) written(column sallyport.Column) (r policy.Ruling) {
	for _, c := range v.covers {
		if c.Refused != "" || len(c.Subjects) == 0 {
			continue
		}
		if ruling := v.ruling(c, nil, column); ruling.Verdict >= r.Verdict {
			r = ruling
		}
	}
	return r
}

// ruling asks the policies about a column, under a reason or a grant.
func (v *sight) ruling(c *purpose.Cover, g *heldGrant, column sallyport.Column) policy.Ruling {
	for i := range v.rulings {
		if r := &v.rulings[i]; r.cover == c && r.grant == g && r.column == column {
			return r.ruling
		}
	}
	ask := v.asking
	ask.Column = column
	if c != nil {
		ask.Context.Purpose = &c.Reason
	}
	if g != nil {
		ask.Context.Grant = granted(&g.Grant)
	}
	r := v.policies.Decide(ask)
	if v.exports && r.Verdict != sallyport.Token {
		ask.Action = policy.ActionExport
		if bulk := v.policies.Decide(ask); bulk.Verdict < r.Verdict {
			r = bulk
		}
		if r.Verdict == sallyport.Deny {
			r.Verdict = sallyport.Token // the rest of the row may leave
		}
	}
	v.rulings = append(v.rulings, ruled{c, g, column, r})
	v.slow = v.slow || r.Respond == policy.Throttle && r.Verdict == sallyport.Reveal
	if r.Respond == policy.Suspend && v.bar != nil {
		v.bar(r.Because)
		v.bar = nil
	}
	switch {
	case r.Verdict == sallyport.Wait && v.waits == nil:
		v.waits = &ruled{c, g, column, r}
	case r.Verdict != sallyport.Reveal && v.denied == nil:
		v.denied = &r
	}
	return r
}

// knows says whether a searched text belongs to a covered customer. A name's search text is the front of its token.
func (v *sight) knows(search []byte, scheme sallyport.Scheme) bool {
	for _, h := range v.grants {
		if h.only != nil {
			if _, ok := h.only.Values[string(search)]; ok {
				return true
			}
		}
	}
	for _, c := range v.covers {
		if _, ok := c.Values[string(search)]; ok {
			return true
		}
		if scheme != sallyport.Name {
			continue
		}
		for stored, value := range c.Values {
			if value.Scheme == sallyport.Name && strings.HasPrefix(stored, string(search)) {
				return true
			}
		}
	}
	return false
}

// covered says whether the purposes cover a customer.
func (v *sight) covered(who *customer) bool {
	if len(v.covers) == 0 {
		return false
	}
	subject := who.subject()
	for _, c := range v.covers {
		if slices.Contains(c.Subjects, subject) {
			return true
		}
	}
	return false
}

// good says whether any purpose covers anybody.
func (v *sight) good() bool {
	for _, c := range v.covers {
		if c.Refused == "" && len(c.Subjects) > 0 {
			return true
		}
	}
	return false
}

// subjects lists the customers covered, at most n.
func (v *sight) subjects(n int) []sallyport.Subject {
	var out []sallyport.Subject
	for _, c := range v.covers {
		for _, subject := range c.Subjects {
			if len(out) == n {
				return out
			}
			out = append(out, subject)
		}
	}
	return out
}

// canonical reads a purpose setting; a ticket's number becomes its token, so that neither record nor server learn it.
func (s *session) canonical(text string) []sallyport.Purpose {
	list, err := sallyport.ParsePurposes(text)
	if err != nil {
		return []sallyport.Purpose{{Kind: "unreadable", Ref: "?"}}
	}
	for i := range list {
		list[i].Ref = s.gw.canonicalRef(list[i])
	}
	return list
}

// canonicalText is the same as one text, for the server.
func (s *session) canonicalText(text string) string {
	var parts []string
	for _, p := range s.canonical(text) {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, ",")
}

// canonicalRef keeps ids, tokens and known words and tokenises ticket numbers; anything else is not repeated.
func (g *Gateway) canonicalRef(p sallyport.Purpose) string {
	switch {
	case p.Kind != "ticket":
		if !word(p.Ref) {
			return "?"
		}
		return p.Ref
	case strings.Trim(p.Ref, "0123456789") == "" && len(p.Ref) <= 19:
		return p.Ref
	}
	for _, codec := range g.numbers() {
		if g.observing() {
			return p.Ref // plain values stand in the database still
		}
		if codec.IsToken([]byte(p.Ref)) {
			return p.Ref
		}
		if tok, err := codec.Search(nil, []byte(p.Ref)); err == nil {
			return string(tok)
		}
	}
	if g.Protection.Resolver.Outside(p.Kind) && word(p.Ref) { // the other system's id
		return p.Ref
	}
	return "?"
}

func word(s string) bool { return len(s) <= 64 && !strings.ContainsFunc(s, notWord) }

func notWord(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

// wrote makes a value that the person just wrote readable to him at once, also before it is committed.
func (s *session) wrote(stored []byte, slot *query.Slot, v *sight) {
	if v.as == nil {
		return
	}
	const most = 10000 // a session that writes more reads the oldest back through its purpose
	value := purpose.Value{Column: slot.Column, Scheme: slot.Scheme}
	if subjects := v.subjects(2); len(subjects) == 1 {
		value.Subject = subjects[0]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.written) >= most {
		clear(s.written)
	}
	s.written[catalog.Key(slot.Scheme, slot.Group, string(stored))] = written{value, v.as.person.Staff}
}

// written is a value that somebody wrote.
type written struct {
	purpose.Value
	by sallyport.Staff
}

// readBack is a value that the person wrote himself in this session.
func (s *session) readBack(stored []byte, by sallyport.Staff) (purpose.Value, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.written[string(stored)]
	return v.Value, ok && v.by == by
}
