package control

import (
	"fmt"
	"slices"

	"sallyport"
)

// Erasure is a list of entries that are being erased, by the record.
type Erasure struct {
	ID   string // of the proposal, or of a run of retention
	List sallyport.Erasure
}

// erasing notes a list; what it names is erased from then on, whoever has to do it. What a gateway erases in its own streams is that one's.
func (s *State) erasing(o *sallyport.Order) {
	if o.Erased != nil && o.Of == "" {
		s.erasures = append(s.erasures, Erasure{o.ID, *o.Erased})
	}
}

// erased notes that all lists of a proposal, or of a run of retention, were carried out.
func (s *State) erasedAll(e *sallyport.Event, o *sallyport.Order) {
	if o.Of != "" {
		return
	}
	s.erasures = slices.DeleteFunc(s.erasures, func(x Erasure) bool { return x.ID == o.ID })
	s.carried[o.ID] = true
	if p := s.proposals[o.ID]; p != nil {
		p.Done, p.Result = true, e.Note
	}
}

// Erasures are the lists on record of which it does not say that they were carried out.
func (s *State) Erasures() []Erasure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.erasures)
}

// mayErase holds a proposal to a list.
func mayErase(o *sallyport.Order) error {
	if o.Erased == nil || o.Erased.Count == 0 || len(o.Erased.Digest) == 0 {
		return fmt.Errorf("%w: it must say which entries are to be erased", ErrProposal)
	}
	return nil
}
