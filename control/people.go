package control

import (
	"fmt"
	"slices"
	"time"

	"sallyport"
	"sallyport/staff"
)

// Directory is who is who by what sources other than the configuration say.
func (s *State) Directory() *staff.State { return s.staff }

// listed takes what a source of the directory says. Whoever left by it is locked with the same entry: there is no moment between. That he
// comes back unlocks nobody.
func (s *State) listed(e *sallyport.Event, o *sallyport.Order) {
	for _, who := range s.staff.Apply(o.Details, o.People, o.Groups) {
		s.hold(e, &sallyport.Order{About: who, By: o.By, Reason: "the directory says that he left"}, func(p *person) **hold { return &p.locked })
	}
	s.doors.turn()
}

// mayEmpower holds the proposal of a place with power to what a source lists somebody for.
func (s *State) mayEmpower(o *sallyport.Order) error {
	place, err := staff.ParsePlace(o.Details)
	switch {
	case o.About == "" || err != nil:
		return fmt.Errorf("%w: it must say who is to have which place", ErrProposal)
	case o.Delay < 0:
		return fmt.Errorf("%w: what it gives would begin before it is approved", ErrProposal)
	case s.staff.Wanted(o.About) != place:
		return fmt.Errorf("%w: the directory does not list him for that", ErrProposal)
	}
	return nil
}

// empower gives what two people agreed to, when the delay is over.
func (s *State) empower(p *Proposal, at time.Time) {
	if place, err := staff.ParsePlace(p.Details); err == nil {
		s.staff.Empower(p.About, place, p.ID, at.Add(p.Delay))
		s.doors.turn()
	}
}

// Waiting is the open proposal of an action about somebody.
func (s *State) Waiting(action string, about sallyport.Staff) (id string, ok bool) {
	list := s.Proposals()
	i := slices.IndexFunc(list, func(p Proposal) bool { return p.Action == action && p.About == about && p.Status == Open })
	if i < 0 {
		return "", false
	}
	return list[i].ID, true
}
