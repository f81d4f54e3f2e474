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

// leftReason is why whoever left may not work.
const leftReason = "the directory says that he left"

// DefaultLeavers is how many leavers of one source an hour are locked by its word alone.
const DefaultLeavers = 50

// leavers are those who left by a source's word that locked many within the hour. A source that is in the wrong hands could else lock everybody,
// and each lock takes two people to undo.
type leavers struct {
	locked  map[string]map[sallyport.Staff]time.Time // by source, within the last hour
	waiting map[sallyport.Staff]leaver
}

type leaver struct {
	source string
	by     sallyport.Staff // who imported it; empty: the source spoke itself
	at     time.Time
}

func newLeavers() leavers {
	return leavers{locked: map[string]map[sallyport.Staff]time.Time{}, waiting: map[sallyport.Staff]leaver{}}
}

// listed takes what a source of the directory says. Whoever left by it is locked with the same entry: there is no moment between. That he
// comes back unlocks nobody. Of many within an hour he only may not work while the source says so, and the lock waits for a second person.
func (s *State) listed(e *sallyport.Event, o *sallyport.Order) {
	left := s.staff.Apply(o.Details, o.People, o.Groups)
	for _, who := range left {
		s.keys.revoke(who)
		if s.people[who].standing().Locked {
			continue
		}
		if s.leavers.mayLock(o, who, e.Time) {
			s.hold(e, &sallyport.Order{About: who, By: o.By, Reason: leftReason}, func(p *person) **hold { return &p.locked })
			continue
		}
		if _, waits := s.leavers.waiting[who]; !waits {
			s.leavers.waiting[who] = leaver{o.Details, o.By, e.Time}
			s.changes = append(s.changes, change{who, s.standing(who)})
		}
	}
	for _, l := range o.People {
		if _, waits := s.leavers.waiting[l.Staff]; waits && !s.staff.HasLeft(l.Staff) {
			delete(s.leavers.waiting, l.Staff)
			s.changes = append(s.changes, change{l.Staff, s.standing(l.Staff)})
		}
	}
	s.doors.turn()
}

// mayLock counts a lock for its source, if that has not locked too many yet.
func (l *leavers) mayLock(o *sallyport.Order, who sallyport.Staff, now time.Time) bool {
	locked := l.locked[o.Details]
	if locked == nil {
		locked = map[sallyport.Staff]time.Time{}
		l.locked[o.Details] = locked
	}
	for other, at := range locked {
		if now.Sub(at) >= time.Hour {
			delete(locked, other)
		}
	}
	most := o.Most
	if most <= 0 {
		most = DefaultLeavers
	}
	if len(locked) >= most {
		return false
	}
	locked[who] = now
	return true
}

// lockLeavers locks those who wait for it, but for whom the second person imported himself.
func (s *State) lockLeavers(e *sallyport.Event, o *sallyport.Order) {
	for _, who := range s.waitingFor(o.By) {
		delete(s.leavers.waiting, who)
		s.hold(e, &sallyport.Order{About: who, By: o.By, Reason: leftReason}, func(p *person) **hold { return &p.locked })
	}
}

func (s *State) waitingFor(by sallyport.Staff) (out []sallyport.Staff) {
	for who, l := range s.leavers.waiting {
		if by != "" && l.by != by && who != by {
			out = append(out, who)
		}
	}
	slices.Sort(out)
	return out
}

// Leavers are those whose lock waits for a second person; of them those whom somebody may have locked.
func (s *State) Leavers(by sallyport.Staff) (all int, his []sallyport.Staff) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.leavers.waiting), s.waitingFor(by)
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
