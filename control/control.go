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
	"fmt"
	"slices"
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

// Status is where a proposal stands.
type Status string

// The statuses.
const (
	Open      Status = "open"
	Agreed    Status = "approved"
	Rejected  Status = "declined"
	OutOfTime Status = "expired"
)

// Proposal is something that one person wants and another must approve.
type Proposal struct {
	ID      string
	Action  string
	By      sallyport.Staff
	About   sallyport.Staff
	Reason  string
	Details string
	Delay   time.Duration // between its approval and what it gives

	Base     string               // of files: what they follow on
	Diff     string               // what they change
	Subjects []sallyport.Staff    // whom it is about besides About: they have no say
	Erased   *sallyport.Erasure   // of erase: which entries
	Alone    bool                 // of files: whoever writes them may change them from then on
	Unmask   *sallyport.Unmasking // of the proposal to unmask somebody
	Case     *sallyport.CaseStep  // of one to take a step of a case
	Token    *sallyport.APIToken  // of one to make a token of the api

	At     time.Time
	Status Status

	Decider   sallyport.Staff // who approved or declined
	DecidedAt time.Time

	Done   bool   // Sallyport carried it out, where there is something to carry out
	Result string // then: what it did
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
	held    map[string]bool     // hashes of files that ever held
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

func (s *State) propose(e *sallyport.Event, o *sallyport.Order) {
	if s.mayPropose(o) != nil {
		return
	}
	s.proposals[o.ID] = &Proposal{
		ID: o.ID, Action: o.Action, By: o.By, About: o.About, Reason: o.Reason, Details: o.Details, Delay: o.Delay, Base: o.Base, Diff: o.Diff, Subjects: o.Subjects, Alone: o.Alone, Erased: o.Erased, Unmask: o.Unmask, Case: o.Case, Token: o.APIToken, At: e.Time, Status: Open,
	}
	s.order = append(s.order, o.ID)
	if o.Action == Invite || o.Action == APIToken {
		s.keys.halves[o.ID] = o.Code
	}
}

// approve lets a proposal take effect. What is done stands in the proposal: an approval cannot say something else.
func (s *State) approve(e *sallyport.Event, o *sallyport.Order) {
	if s.mayApprove(o.ID, o.By, e.Time) != nil {
		return
	}
	p := s.proposals[o.ID]
	p.Status, p.Decider, p.DecidedAt = Agreed, o.By, e.Time
	s.agreed = append(s.agreed, p.ID)
	switch p.Action {
	case Second:
		s.doors.seconded[p.By] = e.Time
		s.doors.turn()
	case Trust:
		s.doors.believe(p.About, p.Details, Doubt{By: p.By, At: e.Time, Reason: p.Reason}, true)
	case Lock:
		s.hold(e, &sallyport.Order{By: p.By, About: p.About, Reason: p.Reason}, func(p *person) **hold { return &p.locked })
	case Invite:
		s.keys.invite(p.About, s.keys.halves[p.ID], o.Code, e.Time)
	case APIToken:
		s.keys.makeToken(p, o.Code, e.Time)
	case Empower:
		s.empower(p, e.Time)
	case UndoResponse:
		s.undoResponse(p)
	case Respond:
		s.answers.mode = p.Details
	case Files:
		s.takes(p.Details, p.Alone)
		s.doors.turn()
	case Unmask:
		s.unmask(p, e.Time)
	}
	if p.Action == Shred {
		s.shreds.bar(sallyport.Subject(p.Details))
	}
	if p.Action == Unlock && p.About != "" && s.people[p.About] != nil {
		delete(s.people, p.About)
		s.changes = append(s.changes, change{p.About, s.standing(p.About)})
	}
}

// decline closes a proposal. Its proposer may take it back; only the person it is about has no say.
func (s *State) decline(e *sallyport.Event, o *sallyport.Order) {
	p := s.proposals[o.ID]
	if p == nil || p.status(e.Time) != Open || o.By == "" || o.By == p.About {
		return
	}
	p.Status, p.Decider, p.DecidedAt = Rejected, o.By, e.Time
}

// CheckProposal says whether an order can be proposed: it has an id of its own and a person behind it who is not its subject.
func (s *State) CheckProposal(o *sallyport.Order) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mayPropose(o)
}

func (s *State) mayPropose(o *sallyport.Order) error {
	switch {
	case o.ID == "" || o.Action == "":
		return fmt.Errorf("%w: it needs an id and an action", ErrProposal)
	case s.proposals[o.ID] != nil:
		return fmt.Errorf("%w: there is a proposal %s already", ErrProposal, o.ID)
	case o.By == "":
		return fmt.Errorf("%w: it needs a person who proposes it", ErrProposal)
	case o.By == o.About:
		return fmt.Errorf("%w: nobody proposes what is about himself", ErrProposal)
	case o.Action == Shred && o.Details == "":
		return fmt.Errorf("%w: it must say which customer is to be shredded", ErrProposal)
	case o.Action == Trust && (o.About == "" || !validTrust(o.Details)):
		return fmt.Errorf("%w: it must say who is to be trusted how far, from 0 to %d", ErrProposal, FullTrust)
	case o.Action == Invite && (o.About == "" || len(o.Code) == 0):
		return fmt.Errorf("%w: it must say who is to be invited, and by which code", ErrProposal)
	case o.Action == APIToken:
		return mayMakeToken(o)
	case o.Action == Unlock && o.About == "":
		return fmt.Errorf("%w: it must say who is to be unlocked", ErrProposal)
	case o.Action == Lock && o.About == "":
		return fmt.Errorf("%w: it must say who is to be locked", ErrProposal)
	case o.Action == Unlock && s.staff.HasLeft(o.About):
		return fmt.Errorf("%w: the directory says that he left; have it say otherwise first", ErrProposal)
	case o.Action == NotifyList && o.About == "":
		return fmt.Errorf("%w: it must say whose customers are to be listed", ErrProposal)
	case o.Action == Unmask:
		return mayUnmask(o)
	case o.Action == Empower:
		return s.mayEmpower(o)
	case o.Action == UndoResponse && (o.About == "" || len(s.answers.of(o.About, o.Details)) == 0):
		return fmt.Errorf("%w: nothing that was done about him has that id, or it was taken back", ErrProposal)
	case o.Action == Respond && o.Details != ModeAct && o.Details != ModeObserve:
		return fmt.Errorf("%w: it must say %s or %s", ErrProposal, ModeAct, ModeObserve)
	case o.Action == Files:
		return s.mayChange(o)
	case o.Action == Erase:
		return mayErase(o)
	}
	return nil
}

// CheckApproval says why by cannot approve the proposal; nil if he can. Now is the latest time that the state has heard of.
func (s *State) CheckApproval(id string, by sallyport.Staff) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mayApprove(id, by, s.latest)
}

func (s *State) mayApprove(id string, by sallyport.Staff, now time.Time) error {
	p := s.proposals[id]
	if p == nil {
		return fmt.Errorf("%w: there is no proposal %q", ErrApproval, id)
	}
	switch status := p.status(now); {
	case status != Open:
		return fmt.Errorf("%w: the proposal %s is %s", ErrApproval, id, status)
	case by == "":
		return fmt.Errorf("%w: it takes a person", ErrApproval)
	case by == p.By:
		return fmt.Errorf("%w: who proposed it cannot approve it; another person must", ErrApproval)
	case by == p.About:
		return fmt.Errorf("%w: nobody approves what is about himself", ErrApproval)
	case slices.Contains(p.Subjects, by):
		return fmt.Errorf("%w: nobody approves what is about himself", ErrApproval)
	case p.Action == Files && p.Base != s.files.hash:
		return fmt.Errorf("%w: other files were approved since; they are to be proposed anew", ErrApproval)
	case p.Action == Unlock && s.staff.HasLeft(p.About):
		return fmt.Errorf("%w: the directory says that he left; have it say otherwise first", ErrApproval)
	case p.Action == UndoResponse && s.staff.HasLeft(p.About):
		return fmt.Errorf("%w: the directory says that he left; have it say otherwise first", ErrApproval)
	case p.Action == Empower && staff.FormatPlace(s.staff.Wanted(p.About)) != p.Details:
		return fmt.Errorf("%w: the directory does not list him for that any more", ErrApproval)
	}
	return nil
}

// status takes the time into account: an open proposal expires a day after it was made.
func (p *Proposal) status(now time.Time) Status {
	if p.Status == Open && now.Sub(p.At) >= Lifetime {
		return OutOfTime
	}
	return p.Status
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

// Proposals lists all proposals in the order in which they were made.
func (s *State) Proposals() []Proposal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list(s.order, func(*Proposal) bool { return true })
}

// Approved lists the approved proposals of one action in the order in which they were approved.
func (s *State) Approved(action string) []Proposal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list(s.agreed, func(p *Proposal) bool { return p.Action == action })
}

// Pending are the approved proposals of one action that nobody has carried out yet, in the order in which they were approved.
func (s *State) Pending(action string) []Proposal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list(s.agreed, func(p *Proposal) bool { return p.Action == action && !s.carried[p.ID] })
}

// Fresh are those of Pending that were approved within the last day: what could not be done for so long is to be agreed on anew.
func (s *State) Fresh(action string, now time.Time) []Proposal {
	return slices.DeleteFunc(s.Pending(action), func(p Proposal) bool { return now.Sub(p.DecidedAt) >= Lifetime })
}

// AcceptedMark is the Details of the latest approved proposal to accept a mark.
func (s *State) AcceptedMark() (details string, ok bool) {
	list := s.Approved(AcceptMark)
	if len(list) == 0 {
		return "", false
	}
	return list[len(list)-1].Details, true
}

func (s *State) list(ids []string, want func(*Proposal) bool) []Proposal {
	var list []Proposal
	for _, id := range ids {
		if p := *s.proposals[id]; want(&p) {
			p.Status = p.status(s.latest)
			list = append(list, p)
		}
	}
	return slices.Clip(list)
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
