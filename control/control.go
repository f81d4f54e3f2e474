// Package control folds the control stream into what holds right now: who is locked or suspended, what has been proposed and
// decided, and what is protected.
//
// It refuses to let one person's word change anything that takes two: an approval by the proposer, by the person it is about, of
// a proposal that is unknown, closed or older than a day changes nothing, whoever wrote it into the stream. It does no I/O,
// reads no clock and does not know who may propose what: that is for those who write the stream.
//
// Invariant: the fold of the same events in the same order is the same state, everywhere.
package control

import (
	"errors"
	"sync"
	"time"

	"sallyport"
	"sallyport/staff"
)

// Lifetime is how long a proposal can be approved.
const Lifetime = 24 * time.Hour

// ErrApproval says that somebody may not approve a proposal, or not any more.
var ErrApproval = errors.New("cannot be approved")

// ErrProposal says that something cannot be proposed.
var ErrProposal = errors.New("cannot be proposed")

// Standing is whether one person may work right now. The zero value is a person in good standing.
type Standing struct {
	Locked    bool
	Suspended bool
	Left      bool            // the directory says so, and of many within the hour: he may not work, and the lock waits for a second person
	Reason    string          // of the lock, or else of the suspension
	Since     time.Time       // likewise
	By        sallyport.Staff // likewise; empty: Sallyport itself
}

// State is the fold. It is safe for use by many goroutines.
type State struct {
	mu        sync.Mutex // guards everything below; never held while a watcher is called
	people    map[sallyport.Staff]*person
	proposals map[string]*Proposal
	order     []string  // ids of proposals as they came
	agreed    []string  // ids of approved ones as they were approved
	latest    time.Time // of all events and Advance: what counts as now when somebody asks

	protects   map[string]map[string]string // database → what is protected there, see Protects
	moving     map[string][2][]string       // database → what is moving there, in and out, see Moving
	parted     map[string][]string          // database → what left, see Parted
	entering   map[string][]string          // database → see Entering
	undone     map[string]bool              // proposals of undoing that were made use of
	superseded int                          // how many of agreed came before protect ran last

	locks map[sallyport.Staff]given // by who gave them

	carried map[string]bool // proposals about keys and customers that were carried out, by id
	shreds  shreds

	erasures []Erasure // see Erasures

	doors   doors
	grants  grants
	keys    keys
	leavers leavers
	answers answers      // findings, and what was done about them
	staff   *staff.State // who is who, by sources other than the configuration
	files   files
	ring    *sallyport.Ring     // of keys, as the record knows it last
	turning map[string]Rotation // by join group
	turned  map[string]Turned   // by column: see TurnedEpochs

	unmasked []unmasking

	watchers []*watcher
	changes  []change // not yet told
	telling  bool     // somebody is calling the watchers
}

// person holds lock and suspension apart, since each has its reason.
type person struct{ locked, suspended *hold }

type hold struct {
	reason   string
	since    time.Time
	by       sallyport.Staff
	response string // because of a finding: the response's id
}

// NewState is the state before the first event: everybody is in good standing.
func NewState() *State {
	return &State{
		people:    map[sallyport.Staff]*person{},
		proposals: map[string]*Proposal{},
		protects:  map[string]map[string]string{},
		moving:    map[string][2][]string{},
		parted:    map[string][]string{},
		entering:  map[string][]string{},
		undone:    map[string]bool{},
		carried:   map[string]bool{},
		shreds:    newShreds(),
		turning:   map[string]Rotation{},
		turned:    map[string]Turned{},
		doors:     newDoors(),
		grants:    newGrants(),
		keys:      newKeys(),
		locks:     map[sallyport.Staff]given{},
		staff:     staff.NewState(),
		leavers:   newLeavers(),
		answers:   newAnswers(),
	}
}

// Apply folds one event. Events MUST come in the order of the stream. What does not change anything, or may not, is passed over.
func (s *State) Apply(e *sallyport.Event) {
	s.mu.Lock()
	s.latest = later(s.latest, e.Time)
	if e.Order != nil {
		s.fold(e, e.Order)
	}
	s.mu.Unlock()
	s.tell()
}

func (s *State) fold(e *sallyport.Event, o *sallyport.Order) {
	if o.Ring != nil {
		s.ring = o.Ring
	}
	s.noteResponse(e, o)
	if s.foldGrant(e, o) {
		return
	}
	switch e.Kind {
	case sallyport.Locked:
		s.hold(e, o, func(p *person) **hold { return &p.locked })
		s.noteLock(e, o)
	case sallyport.Suspended:
		s.hold(e, o, func(p *person) **hold { return &p.suspended })
	case sallyport.PasskeyAdded, sallyport.PasskeyUsed, sallyport.PasskeyEnded:
		s.keys.passkey(e, o)
	case sallyport.APITokenEnded:
		delete(s.keys.tokens, o.ID)
	case sallyport.CredentialMade, sallyport.CredentialEnded, sallyport.PasswordSet:
		s.keys.fold(e, o)
	case sallyport.Proposed:
		s.propose(e, o)
	case sallyport.Approved:
		s.approve(e, o)
	case sallyport.Declined:
		s.decline(e, o)
	case sallyport.Confirmed:
		s.doors.confirm(e, o)
	case sallyport.Trusted:
		if o.Response != nil && o.By == "" {
			s.doors.cap(o.About, o.Response.ID, o.Details)
			break
		}
		s.doors.believe(o.About, o.Details, Doubt{By: o.By, At: e.Time, Reason: o.Reason}, false)
	case sallyport.FindingKind:
		s.answers.find(e, o)
	case sallyport.RespondingKind:
		s.answers.mode = o.Details
	case sallyport.Protecting:
		s.protecting(o)
	case sallyport.KeyRotated, sallyport.KeyDestroyed, sallyport.Shredded:
		s.turn(e.Kind, o)
		s.carried[o.ID] = true
		if p := s.proposals[o.ID]; p != nil {
			p.Done, p.Result = true, e.Note
		}
	case sallyport.Erasing:
		s.erasing(o)
	case sallyport.Erased:
		s.erasedAll(e, o)
	case sallyport.KeyTurned:
		s.turnedAll(o)
	case sallyport.Shredding:
		s.shreds.list(o)
	case sallyport.DrillKind:
		s.drill(o)
	case sallyport.LockLeavers:
		s.lockLeavers(e, o)
	case sallyport.Adopted:
		s.adopt(o)
	case sallyport.Peopled:
		s.listed(e, o)
	default:
		// The other kinds tell what happened; they do not change who may do what.
	}
}

// hold locks or suspends. What holds already goes on with its first reason.
func (s *State) hold(e *sallyport.Event, o *sallyport.Order, which func(*person) **hold) {
	if o.About == "" {
		return
	}
	s.keys.revoke(o.About) // for good: an unlock, or coming back, gives none of them back
	p := s.people[o.About]
	if p == nil {
		p = &person{}
		s.people[o.About] = p
	}
	if h := which(p); *h == nil {
		*h = &hold{reason: o.Reason, since: e.Time, by: o.By}
		if o.Response != nil {
			(*h).response = o.Response.ID
		}
		s.changes = append(s.changes, change{o.About, s.standing(o.About)})
	}
}

// Advance tells the state what time it is, for those who ask; the fold itself goes by the events' times alone.
func (s *State) Advance(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = later(s.latest, now)
}

// Standing is that of one person.
func (s *State) Standing(who sallyport.Staff) Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standing(who)
}

func (s *State) standing(who sallyport.Staff) Standing {
	st := s.people[who].standing()
	if l, waits := s.leavers.waiting[who]; waits && !st.Locked {
		st.Left = true
		if !st.Suspended {
			st.Reason, st.Since, st.By = leftReason, l.at, l.by
		}
	}
	return st
}

// Out lists everybody who is locked or suspended, or has left.
func (s *State) Out() map[sallyport.Staff]Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[sallyport.Staff]Standing, len(s.people))
	for who, p := range s.people {
		out[who] = p.standing()
	}
	for who := range s.leavers.waiting {
		out[who] = s.standing(who)
	}
	return out
}

func (p *person) standing() Standing {
	if p == nil {
		return Standing{}
	}
	h := p.locked
	if h == nil {
		h = p.suspended
	}
	return Standing{Locked: p.locked != nil, Suspended: p.suspended != nil, Reason: h.reason, Since: h.since, By: h.by}
}

// AcceptedMark is the Details of the latest approved proposal to accept a mark.
func (s *State) AcceptedMark() (details string, ok bool) {
	list := s.Approved(AcceptMark)
	if len(list) == 0 {
		return "", false
	}
	return list[len(list)-1].Details, true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func validTrust(text string) bool {
	_, ok := ParseTrust(text)
	return ok
}
