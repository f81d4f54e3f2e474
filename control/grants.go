package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/grant"
)

// GrantStatus is where a grant stands.
type GrantStatus string

// The statuses.
const (
	GrantAsked    GrantStatus = "asked"
	GrantActive   GrantStatus = "active"
	GrantDeclined GrantStatus = "declined"
	GrantExpired  GrantStatus = "expired" // nobody agreed in time
	GrantOver     GrantStatus = "ended"
)

// The prefixes of ids: of requests, and of break-glasses.
const (
	GrantPrefix = "gr-"
	GlassPrefix = "bg-"
)

// Misused is the finding of a review by which the person is suspended at once.
const Misused = "misused"

// ErrGrant says that something cannot be done with a grant, or not any more.
var ErrGrant = errors.New("cannot be done")

// Grant is what somebody asked for, and what became of it.
type Grant struct {
	ID     string
	By     sallyport.Staff
	Terms  sallyport.GrantTerms
	Reason string
	At     time.Time
	Votes  []Vote
	Status GrantStatus

	Since, Until time.Time // while it is or was active
	EndedAt      time.Time
	EndedBy      sallyport.Staff // who ended or declined it; empty: Sallyport itself
	Ended        string          // why
	Use          *sallyport.GrantUse

	Glass    bool // one person broke the glass
	Reviewer sallyport.Staff
	Reviewed time.Time
	Finding  string
	Review   string
	Overdue  bool // he was suspended because nobody had reviewed it, or for its misuse
}

// Vote is one approval.
type Vote struct {
	By   sallyport.Staff
	At   time.Time
	Note string // what is odd about it
	sallyport.GrantVote
}

// grants are the fold of requests. Time in it is that of the events, and never goes back.
type grants struct {
	byID  map[string]*Grant
	order []string
	now   time.Time
}

func newGrants() grants { return grants{byID: map[string]*Grant{}} }

// IsGrant tells whether an id is that of a request or a break-glass.
func IsGrant(id string) bool {
	return strings.HasPrefix(id, GrantPrefix) || strings.HasPrefix(id, GlassPrefix)
}

// foldGrant folds what is about grants, and tells whether the event was. Events of the stream before this one have been folded.
func (s *State) foldGrant(e *sallyport.Event, o *sallyport.Order) bool {
	g := &s.grants
	g.now = later(g.now, e.Time)
	switch e.Kind {
	case sallyport.Requested, sallyport.GlassBroken:
		g.ask(e.Kind == sallyport.GlassBroken, o)
	case sallyport.Approved:
		if !IsGrant(o.ID) {
			return false
		}
		g.approve(o, e.Note)
	case sallyport.Declined:
		if !IsGrant(o.ID) {
			return false
		}
		g.decline(o)
	case sallyport.GrantEnded:
		g.end(o)
	case sallyport.GlassReviewed:
		g.review(o)
	case sallyport.Suspended:
		if x := g.byID[o.ID]; x != nil && x.Glass {
			x.Overdue = true
		}
		return false
	default:
		return false
	}
	s.doors.turn()
	return true
}

func (g *grants) ask(glass bool, o *sallyport.Order) {
	if g.mayAsk(glass, o) != nil {
		return
	}
	x := &Grant{ID: o.ID, By: o.By, Terms: *o.Grant, Reason: o.Reason, At: g.now, Status: GrantAsked, Glass: glass}
	if glass {
		x.begin(g.now)
	}
	g.byID[o.ID] = x
	g.order = append(g.order, o.ID)
}

// mayAsk says why something cannot be asked for, whatever a rule says.
func (g *grants) mayAsk(glass bool, o *sallyport.Order) error {
	t := o.Grant
	prefix := GrantPrefix
	if glass {
		prefix = GlassPrefix
	}
	switch {
	case !strings.HasPrefix(o.ID, prefix) || t == nil || o.By == "":
		return fmt.Errorf("%w: a request needs an id, terms and a person", ErrGrant)
	case g.byID[o.ID] != nil:
		return fmt.Errorf("%w: there is a request %s already", ErrGrant, o.ID)
	case t.For == "" || t.Person == "" || len(t.Columns) == 0 || t.Customers <= 0 || t.Minutes <= 0:
		return fmt.Errorf("%w: a request says for whom, which columns, how many customers and how long", ErrGrant)
	case len(t.Only) > t.Customers:
		return fmt.Errorf("%w: %d customers are named, and %d asked for", ErrGrant, len(t.Only), t.Customers)
	case glass:
		return g.mayBreak(o)
	case len(t.Needs) == 0:
		return fmt.Errorf("%w: nobody could approve it", ErrGrant)
	}
	return nil
}

// mayBreak says why somebody cannot break the glass.
func (g *grants) mayBreak(o *sallyport.Order) error {
	t := o.Grant
	switch {
	case t.For != o.By:
		return fmt.Errorf("%w: nobody breaks the glass for somebody else", ErrGrant)
	case t.Incident == "" || o.Reason == "":
		return fmt.Errorf("%w: it needs an incident and a reason", ErrGrant)
	case t.Customers > grant.GlassCustomers || t.Minutes > grant.GlassMinutes:
		return fmt.Errorf("%w: at most %d customers for at most %d minutes", ErrGrant, grant.GlassCustomers, grant.GlassMinutes)
	}
	for _, id := range g.order {
		if x := g.byID[id]; x.Glass && x.Reviewed.IsZero() && (x.By == o.By || x.Terms.Person == t.Person) {
			return fmt.Errorf("%w: %s is not reviewed yet, and nobody extends it alone", ErrGrant, id)
		}
	}
	return nil
}

func (g *grants) approve(o *sallyport.Order, note string) {
	if g.mayVote(o) != nil {
		return
	}
	x := g.byID[o.ID]
	x.Votes = append(x.Votes, Vote{By: o.By, At: g.now, Note: note, GrantVote: *o.Vote})
	votes := make([]sallyport.GrantVote, len(x.Votes))
	for i, v := range x.Votes {
		votes[i] = v.GrantVote
	}
	if grant.Enough(x.Terms.Needs, votes) {
		x.begin(g.now)
	}
}

// mayVote says why an approval counts for nothing.
func (g *grants) mayVote(o *sallyport.Order) error {
	x := g.byID[o.ID]
	switch {
	case x == nil:
		return fmt.Errorf("%w: there is no request %q", ErrGrant, o.ID)
	case x.at(g.now) != GrantAsked:
		return fmt.Errorf("%w: the request %s is %s", ErrGrant, o.ID, x.at(g.now))
	case o.By == "" || o.Vote == nil || o.Vote.Person == "":
		return fmt.Errorf("%w: it takes a person", ErrGrant)
	case o.By == x.By || o.By == x.Terms.For || o.Vote.Person == x.Terms.Person:
		return fmt.Errorf("%w: nobody approves what he asks for himself, by whatever account", ErrGrant)
	case o.Vote.Line == sallyport.Below:
		return fmt.Errorf("%w: nobody approves for those whom he reports to", ErrGrant)
	case len(o.Vote.Groups) == 0:
		return fmt.Errorf("%w: it takes %s, and you are in none of them", ErrGrant, grant.Missing(x.Terms.Needs))
	case slices.ContainsFunc(x.Votes, func(v Vote) bool { return v.By == o.By || v.Person == o.Vote.Person }):
		return fmt.Errorf("%w: this person has approved it already; another one must", ErrGrant)
	}
	return nil
}

// decline ends a request: who asks takes it back, anybody who could approve it refuses it.
func (g *grants) decline(o *sallyport.Order) {
	if g.mayDecline(o) != nil {
		return
	}
	x := g.byID[o.ID]
	x.Status, x.EndedAt, x.EndedBy, x.Ended = GrantDeclined, g.now, o.By, o.Reason
}

func (g *grants) mayDecline(o *sallyport.Order) error {
	if x := g.byID[o.ID]; x != nil && o.By != "" && (o.By == x.By || o.By == x.Terms.For) && x.at(g.now) == GrantAsked {
		return nil
	}
	return g.mayVote(o)
}

// end ends a grant before its time, or says that its time is over. Taking away is free for all; the gateway stops by itself as well.
func (g *grants) end(o *sallyport.Order) {
	x := g.byID[o.ID]
	if x == nil || x.Status != GrantActive && x.Status != GrantOver {
		return
	}
	if x.Status == GrantActive {
		x.Status, x.EndedAt, x.EndedBy, x.Ended = GrantOver, g.now, o.By, o.Reason
	}
	if o.Use != nil {
		x.Use = o.Use
	}
}

func (g *grants) review(o *sallyport.Order) {
	if g.mayReview(o) != nil {
		return
	}
	x := g.byID[o.ID]
	x.Reviewer, x.Reviewed, x.Finding, x.Review = o.By, g.now, o.Details, o.Reason
}

func (g *grants) mayReview(o *sallyport.Order) error {
	x := g.byID[o.ID]
	switch {
	case x == nil || !x.Glass:
		return fmt.Errorf("%w: there is no break-glass %q", ErrGrant, o.ID)
	case !x.Reviewed.IsZero():
		return fmt.Errorf("%w: %s was reviewed by %s already", ErrGrant, o.ID, x.Reviewer)
	case o.By == "" || o.Vote == nil || o.Vote.Person == "" || o.By == x.By || o.Vote.Person == x.Terms.Person:
		return fmt.Errorf("%w: nobody reviews what he did himself, by whatever account", ErrGrant)
	case o.Vote.Line == sallyport.Below:
		return fmt.Errorf("%w: nobody reviews for those whom he reports to", ErrGrant)
	case o.Details != "justified" && o.Details != Misused:
		return fmt.Errorf("%w: the finding is justified or %s", ErrGrant, Misused)
	}
	return nil
}

func (x *Grant) begin(now time.Time) {
	x.Status, x.Since, x.Until = GrantActive, now, now.Add(time.Duration(x.Terms.Minutes)*time.Minute)
}

// at takes the time into account: a request that nobody agreed to in a day expires, a grant ends.
func (x *Grant) at(now time.Time) GrantStatus {
	switch {
	case x.Status == GrantAsked && now.Sub(x.At) >= Lifetime:
		return GrantExpired
	case x.Status == GrantActive && !now.Before(x.Until):
		return GrantOver
	}
	return x.Status
}

// Due tells whether a break-glass should have been reviewed by now.
func (x *Grant) Due(now time.Time) bool {
	return x.Glass && x.Reviewed.IsZero() && !now.Before(x.ReviewBy())
}

// ReviewBy is until when somebody else looks at a break-glass.
func (x *Grant) ReviewBy() time.Time { return x.At.Add(grant.GlassReview * time.Minute) }

// Allows tells whether the grant names the column.
func (x *Grant) Allows(c sallyport.Column) bool { return slices.Contains(x.Terms.Columns, c.String()) }

// CheckGrant says why an order about grants would change nothing; nil if it would.
func (s *State) CheckGrant(kind sallyport.EventKind, o *sallyport.Order) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.grants
	g.now = later(g.now, s.latest)
	switch kind {
	case sallyport.Requested, sallyport.GlassBroken:
		return g.mayAsk(kind == sallyport.GlassBroken, o)
	case sallyport.Approved:
		return g.mayVote(o)
	case sallyport.Declined:
		return g.mayDecline(o)
	case sallyport.GlassReviewed:
		return g.mayReview(o)
	case sallyport.GrantEnded:
		if x := g.byID[o.ID]; x == nil || x.at(g.now) != GrantActive {
			return fmt.Errorf("%w: %q is no grant that holds", ErrGrant, o.ID)
		}
	default:
		return fmt.Errorf("%w: %s is not about grants", ErrGrant, kind)
	}
	return nil
}

// Grant is one of them, as it stands by the latest time that the state has heard of; a clock that is set back brings nothing back.
func (s *State) Grant(id string) (Grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.grants.byID[id]
	if x == nil {
		return Grant{}, false
	}
	return x.as(s.latest), true
}

// Grants are all requests and break-glasses, in the order in which they were made.
func (s *State) Grants() []Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Grant, 0, len(s.grants.order))
	for _, id := range s.grants.order {
		list = append(list, s.grants.byID[id].as(s.latest))
	}
	return list
}

// Unended are the grants whose time is over and of whose end nothing is on record.
func (s *State) Unended(now time.Time) []Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Grant
	for _, id := range s.grants.order {
		if x := s.grants.byID[id]; x.Status == GrantActive && x.at(later(now, s.latest)) == GrantOver {
			list = append(list, x.as(later(now, s.latest)))
		}
	}
	return list
}

func (x *Grant) as(now time.Time) Grant {
	c := *x
	c.Status = x.at(now)
	c.Votes = slices.Clone(x.Votes)
	return c
}

// AskedFor is how many customers were asked for since a moment by whoever asks for these terms, or for the same beneficiary, by requests that
// were not refused: many small grants are one large one.
func (s *State) AskedFor(t *sallyport.GrantTerms, since time.Time) (customers int) {
	for _, x := range s.Grants() {
		if (x.Terms.Person == t.Person || x.Terms.For == t.For) && x.At.After(since) && x.Status != GrantDeclined && x.Status != GrantExpired {
			customers += x.Terms.Customers
		}
	}
	return customers
}

// Each counts how often two people approved each other's requests since a moment, and how many of each one's were granted or are asked for.
type Each struct{ Approved, Of int }

// EachOther tells how often a approved b's requests, and b those of a, among all that got an approval, but for one request.
func (s *State) EachOther(a, b string, since time.Time, but string) (aForB, bForA Each) {
	for _, x := range s.Grants() {
		if len(x.Votes) == 0 || !x.At.After(since) || x.ID == but {
			continue
		}
		by := func(p string) bool { return slices.ContainsFunc(x.Votes, func(v Vote) bool { return v.Person == p }) }
		for _, of := range []struct {
			asks, approves string
			n              *Each
		}{{b, a, &aForB}, {a, b, &bForA}} {
			if x.Terms.Person != of.asks {
				continue
			}
			of.n.Of++
			if by(of.approves) {
				of.n.Approved++
			}
		}
	}
	return aForB, bForA
}
