package control

import (
	"fmt"
	"time"

	"sallyport"
)

// Unmask shows the two who agreed to it who stands behind a pseudonym, for a while.
const Unmask = "unmask"

// LongestUnmask is how long one may last.
const LongestUnmask = 7 * 24 * time.Hour

// unmasking is one that was approved.
type unmasking struct {
	about     sallyport.Staff
	pseudonym string
	by        [2]sallyport.Staff
	until     time.Time
}

// Unmasked is somebody who is shown to whoever asked for it.
type Unmasked struct {
	Staff     sallyport.Staff
	Pseudonym string
	Until     time.Time
}

func mayUnmask(o *sallyport.Order) error {
	switch {
	case o.About == "" || o.Unmask == nil || o.Unmask.Pseudonym == "":
		return fmt.Errorf("%w: it must say who is to be unmasked", ErrProposal)
	case o.Unmask.Lasts <= 0 || o.Unmask.Lasts > LongestUnmask:
		return fmt.Errorf("%w: it must say for how long, at most %s", ErrProposal, LongestUnmask)
	}
	return nil
}

func (s *State) unmask(p *Proposal, now time.Time) {
	s.unmasked = append(s.unmasked, unmasking{p.About, p.Unmask.Pseudonym, [2]sallyport.Staff{p.By, p.Decider}, now.Add(p.Unmask.Lasts)})
}

// Unmasked lists whom somebody may see by name at a moment: those whom he and another one agreed on.
func (s *State) Unmasked(viewer sallyport.Staff, now time.Time) []Unmasked {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Unmasked
	now = later(now, s.latest) // a clock that was set back makes none last longer
	for _, u := range s.unmasked {
		if (viewer == u.by[0] || viewer == u.by[1]) && now.Before(u.until) {
			list = append(list, Unmasked{u.about, u.pseudonym, u.until})
		}
	}
	return list
}
