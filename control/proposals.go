package control

import (
	"fmt"
	"slices"
	"time"

	"sallyport"
	"sallyport/staff"
)

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
	Customer sallyport.Subject    // of erase: because of whom
	Position uint64               // likewise: where the access stream ended

	At     time.Time
	Status Status

	Decider   sallyport.Staff // who approved or declined
	DecidedAt time.Time

	Done   bool   // Sallyport carried it out, where there is something to carry out
	Result string // then: what it did
}

func (s *State) propose(e *sallyport.Event, o *sallyport.Order) {
	if s.mayPropose(o) != nil {
		return
	}
	s.proposals[o.ID] = &Proposal{
		ID: o.ID, Action: o.Action, By: o.By, About: o.About, Reason: o.Reason, Details: o.Details, Delay: o.Delay, Base: o.Base, Diff: o.Diff, Subjects: o.Subjects, Alone: o.Alone, Erased: o.Erased, Unmask: o.Unmask, Case: o.Case, Customer: o.Customer, Position: o.Position, Token: o.APIToken, At: e.Time, Status: Open,
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
