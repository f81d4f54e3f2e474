package control

import "sallyport"

// Ring is the ring of keys as the record knows it last; nil where it knows none. It is not to be changed.
func (s *State) Ring() *sallyport.Ring {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring
}
