package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"sallyport"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/query"
)

// An application may act for a person, one transaction at a time: a signed assertion says for whom (query.Statement.Actor). From the statement
// that carries the first one to the end of its transaction everything is that person's, whatever comes without one, and nothing
// is the application's own: an assertion that does not hold fails the transaction, for good.

// acting is whose access a statement is: that of who logged in, or of a person for whom he speaks.
type acting struct {
	who      sallyport.Who
	person   purpose.Person
	strength policy.Strength
	service  *acting        // who speaks for the person; nil: he acts for himself
	claim    bool           // on the service's word alone, whose budgets, lock and trust then hold too
	refused  *query.Refusal // nobody acts: an assertion in this transaction did not hold

	// The client's side only.
	last    [sha256.Size]byte  // of the assertion that was shown last
	ids     []sallyport.Digest // of those that were used up
	expires time.Time
}

// Spoken is for whom an assertion says that a service acts.
type Spoken struct {
	Person  purpose.Person
	Source  string           // who signed it, by his name in the configuration
	Claim   bool             // the service can sign it itself
	ID      sallyport.Digest // of the assertion
	Expires time.Time
}

// codeActor is that of whatever is wrong with for whom an application acts.
const codeActor = query.CodeActor

// mostShown bounds how many assertions one transaction uses up.
const mostShown = 100

// stance is what a statement finds when the server reaches it.
type stance struct {
	purpose string  // that holds
	local   string  // likewise, if it was set in this transaction
	spoken  *acting // for whom the transaction is; nil: nobody has said
	block   bool    // BEGIN was said
}

// reason is the purpose that holds for somebody: what an application set before the transaction is no reason of the person's.
func (n *stance) reason(as *acting) string {
	if as.service != nil {
		return n.local
	}
	return n.purpose
}

// ownself is who logged in, acting for himself.
func (s *session) ownself() *acting {
	return &acting{who: s.who, person: s.person, strength: s.strength}
}

// whose is whose access a run is.
func (s *session) whose(r *run) *acting {
	if r.as == nil { // nothing was to be prepared for it
		r.as = s.acts()
	}
	return r.as
}

// me is who logged in.
func (s *session) me() *acting {
	if s.self == nil { // it is not over yet
		return s.ownself()
	}
	return s.self
}

// acts is who acts now.
func (s *session) acts() *acting {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.setting.spoken != nil {
		return s.setting.spoken
	}
	return s.me()
}

// turning says whether a reply is due that may end a transaction or say for whom one is. The caller holds mu.
func (s *session) turning() bool {
	return slices.ContainsFunc(s.queue, func(r *reply) bool { return r.changes || r.endsReady() && r.what != expectMoment })
}

// stance is what a statement finds. Where it says who acts, or somebody has said so, the end of what came before is awaited.
func (s *session) stance(st *query.Statement) (stance, error) {
	s.mu.Lock()
	spoken := s.setting.spoken != nil
	s.mu.Unlock()
	var err error
	switch {
	case spoken || st.Actor != nil:
		err = s.await(s.turning, true)
	case st.Touches || st.Comment != nil || len(st.Params) > 0: // else the purpose does not matter
		err = s.settle()
	}
	if err != nil {
		return stance{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setting.stance(), nil
}

// speaker finds out whose access a statement is. A look does not use an assertion up.
func (s *session) speaker(ctx context.Context, st *query.Statement, now *stance, look bool) (*acting, *query.Refusal) {
	at := s.gw.Clock()
	switch as := now.spoken; {
	case as != nil && as.refused != nil:
		return nil, as.refused
	case st.Actor == nil && as == nil:
		return s.self, nil
	case st.Actor == nil && !at.Before(as.expires):
		return nil, refusal(codeActor, "the assertion that this transaction began with has expired", "Get a new one, and begin the transaction anew.")
	case st.Actor == nil:
		return as, nil
	case st.SetsActor && !now.block:
		return nil, refusal(codeActor, "sallyport.actor is set outside of a transaction, where it would hold for nothing", "BEGIN; first. A statement by itself carries /*sallyport_actor='…'*/ at its end.")
	case as != nil && as.last == sha256.Sum256([]byte(*st.Actor)) && at.Before(as.expires):
		return as, nil
	}
	return s.accept(ctx, *st.Actor, now, look)
}

// accept takes an assertion that was not shown in this transaction before.
func (s *session) accept(ctx context.Context, assertion string, now *stance, look bool) (*acting, *query.Refusal) {
	spoken, refused := s.verified(ctx, assertion)
	if refused != nil {
		return nil, refused
	}
	as := now.spoken
	switch {
	case as == nil:
		as = s.speakFor(&spoken)
	case as.person.Staff != spoken.Person.Staff || as.claim != spoken.Claim:
		return nil, refusal(codeActor, "this transaction is another person's already", "One transaction, one person: COMMIT; first.")
	}
	switch {
	case slices.Contains(as.ids, spoken.ID):
	case len(as.ids) >= mostShown:
		return nil, refusal(codeActor, "too many assertions in one transaction", "One is enough for all of its statements.")
	case look:
		if s.gw.spent.has(spoken.ID) {
			return nil, usedUp()
		}
		return as, nil
	default:
		if refused := s.useUp(as, &spoken); refused != nil {
			return nil, refused
		}
	}
	as.last, as.expires = sha256.Sum256([]byte(assertion)), spoken.Expires
	return as, nil
}

// verified is what an assertion says, if it holds.
func (s *session) verified(ctx context.Context, assertion string) (Spoken, *query.Refusal) {
	p := s.gw.Protection
	if p.Speak == nil || !s.person.Service {
		return Spoken{}, refusal(codeActor, "this log-in may not act for anybody", "Only a service may, whom the configuration lets: services.ID.acts_for.")
	}
	spoken, err := p.Speak(ctx, s.person, assertion, s.gw.Clock())
	if told, ok := errors.AsType[*Told](err); ok {
		return Spoken{}, refusal(codeActor, told.Sentence, told.Hint)
	}
	if err != nil {
		s.gw.Log.Warn("an assertion cannot be checked", "reason", err.Error()) // it tells of files and places, and nothing of the assertion
		return Spoken{}, refusal(codeActor, "the assertion cannot be checked now", "Try again in a moment; the administrator sees the reason in Sallyport's log.")
	}
	return spoken, nil
}

// speakFor is a person for whom this session's service speaks.
func (s *session) speakFor(spoken *Spoken) *acting {
	as := &acting{who: s.who, person: spoken.Person, strength: policy.ByIssuer, service: s.self, claim: spoken.Claim}
	as.who.Device, as.who.Country = "", "" // those of the application's host
	as.who.Staff, as.who.Team, as.who.Via, as.who.Claimed = spoken.Person.Staff, spoken.Person.Team, s.person.Staff, spoken.Claim
	if spoken.Claim {
		as.strength = policy.ByClaim
	}
	return as
}

// mayClaim refuses a purpose that cannot be read, or that would be the next person's.
func (as *acting) mayClaim(p *query.PurposeChange) *query.Refusal {
	if p == nil {
		return nil
	}
	if _, err := sallyport.ParsePurposes(p.Value); err != nil {
		return refusal(codePurpose, "the purpose cannot be read: "+unreadable(err), "Write for example SET sallyport.purpose = 'ticket:4711'; or several: 'ticket:4711,ticket:4712'.")
	}
	if !p.Local && !p.Reset && as.service != nil {
		return refusal(codePurpose, "a purpose that outlasts the transaction would be the next person's", "SET LOCAL sallyport.purpose = 'ticket:4711'; or a comment at the statement's end.")
	}
	return nil
}

// useUp makes an assertion good for this transaction and no other. Its entry is on disk before anything of a result leaves.
func (s *session) useUp(as *acting, spoken *Spoken) *query.Refusal {
	if st := s.gw.Standing.Standing(as.person.Staff); st.Locked || st.Suspended || st.Left {
		return refusal(codeLocked, "the person for whom this application acts is locked or suspended", "Ask a lead for `sallyport unlock`.")
	}
	switch s.gw.spent.add(spoken.ID, spoken.Expires, s.gw.Clock()) {
	case spentBefore:
		return usedUp()
	case spentTooMany:
		return refusal(codeActor, "too many assertions are good at once", "Let them expire sooner: a minute is enough for a transaction.")
	case spentNow:
	}
	if refused := s.markFirst(as, spoken); refused != nil {
		return refused
	}
	e := &sallyport.Event{
		Kind: sallyport.ActingKind, Time: s.gw.Clock(), Who: as.who,
		Asserted: &sallyport.Asserted{ID: spoken.ID, Source: spoken.Source, Expires: spoken.Expires},
	}
	if _, err := s.gw.Access.Enqueue(e); err != nil {
		return unreached()
	}
	s.reads.Add(1)
	as.ids = append(as.ids, spoken.ID)
	return nil
}

func usedUp() *query.Refusal {
	return refusal(codeActor, "the assertion was used in another transaction", "Each transaction takes one of its own: with a jti that no other has.")
}

// speaks makes it known for whom the transaction is from now on. A lock that came before it is found here, one that comes later finds it.
func (s *session) speaks(as *acting) *query.Refusal {
	s.mu.Lock()
	s.setting.spoken = as
	s.mu.Unlock()
	if st := s.gw.Standing.Standing(as.person.Staff); st.Locked || st.Suspended || st.Left {
		return refusal(codeLocked, "the person for whom this application acts is locked or suspended", "Ask a lead for `sallyport unlock`.")
	}
	return nil
}

// speaksFor says whether the session acts for somebody now.
func (s *session) speaksFor(who sallyport.Staff) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setting.spoken != nil && s.setting.spoken.service != nil && s.setting.spoken.person.Staff == who
}

// silence sees to it that in this transaction nobody acts any more, behind an assertion that did not hold. A savepoint does not bring it back.
func (s *session) silence(why *query.Refusal) {
	if err := s.await(s.turning, true); err != nil {
		return // the session ends
	}
	nobody := s.ownself() // in the record it is the application, which has no rights here
	nobody.person, nobody.service, nobody.refused = purpose.Person{Staff: s.person.Staff, Logins: s.person.Logins}, s.self, why
	s.mu.Lock()
	s.setting.spoken = nobody
	s.mu.Unlock()
}

// unspoken is silence for a text that says who acts in a way that does not count.
func (s *session) unspoken(why *query.Refusal) {
	if why.Code == codeActor {
		s.silence(why)
	}
}

// spent remembers which assertions were used up, until they have expired. It is safe for use by many goroutines.
type spent struct {
	mu    sync.Mutex // guards what follows
	until map[sallyport.Digest]int64
	swept int64
}

func newSpent() *spent { return &spent{until: map[sallyport.Digest]int64{}} }

// mostSpent bounds how many assertions are remembered at once, in about 60 MB.
const mostSpent = 1 << 20

// spentFor is how many seconds longer they are: the clock may be set back.
const spentFor = 300

type spending uint8

const (
	spentNow spending = iota
	spentBefore
	spentTooMany
)

// add uses an assertion up. Those that have expired are forgotten now and then; who shows one of them is refused by its expiry.
func (n *spent) add(id sallyport.Digest, expires, now time.Time) spending {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, before := n.until[id]; before {
		return spentBefore
	}
	if at := now.Unix(); at >= n.swept+60 || len(n.until) >= mostSpent && at > n.swept {
		for old, until := range n.until {
			if until+spentFor < at {
				delete(n.until, old)
			}
		}
		n.swept = at
	}
	if len(n.until) >= mostSpent {
		return spentTooMany
	}
	n.until[id] = expires.Unix()
	return spentNow
}

func (n *spent) has(id sallyport.Digest) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, before := n.until[id]
	return before
}

// restoreSpent folds a past event: what was used up before a restart stays so.
func (g *Gateway) restoreSpent(e *sallyport.Event, now time.Time) {
	if a := e.Asserted; a != nil && a.Expires.After(now.Add(-spentFor*time.Second)) {
		g.spent.add(a.ID, a.Expires, now)
	}
}
