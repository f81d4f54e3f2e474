package control

import (
	"maps"

	"sallyport"
)

// Rotation is a join group whose tokens are of two key epochs, by the record.
type Rotation struct {
	Epoch int  // of the newer key; 0: an entry of before that was noted
	Whole bool // equal values of the group have equal tokens at every moment
	// Turned: all tokens that show no epoch are of the newer key.
	Turned bool
}

// Ring is the ring of keys as the record knows it last; nil where it knows none. It is not to be changed.
func (s *State) Ring() *sallyport.Ring {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring
}

// Turning is the rotation of a join group that was put on record and has not ended.
func (s *State) Turning(group string) (Rotation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.turning[group]
	return r, ok
}

// Turned are epochs to which the tokens of a column that show none were brought, by the record.
type Turned struct{ First, Last int }

// TurnedEpochs are those of the columns whose tokens show none and were ever rotated.
func (s *State) TurnedEpochs() map[string]Turned {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.turned)
}

// turnedAll notes that the tokens of a group that show no epoch are of the newer key.
func (s *State) turnedAll(o *sallyport.Order) {
	r, ok := s.turning[o.Details]
	if !ok || r.Epoch != o.Epoch {
		return
	}
	r.Turned = true
	s.turning[o.Details] = r
	for _, name := range o.Turned {
		of, again := s.turned[name]
		if of.Last = o.Epoch; !again {
			of.First = o.Epoch
		}
		s.turned[name] = of
	}
}

// turn begins or ends a rotation.
func (s *State) turn(kind sallyport.EventKind, o *sallyport.Order) {
	if kind == sallyport.KeyRotated {
		s.turning[o.Details] = Rotation{Epoch: o.Epoch, Whole: o.Whole}
	}
	if kind == sallyport.KeyDestroyed {
		delete(s.turning, o.Details)
	}
}
