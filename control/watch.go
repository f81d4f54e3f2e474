package control

import (
	"slices"

	"sallyport"
)

// watcher is known by its address, since functions cannot be compared.
type watcher struct {
	fn func(who sallyport.Staff, st Standing)
}

type change struct {
	who sallyport.Staff
	st  Standing
}

// Watch calls fn whenever somebody's standing has changed, in the order of the changes and for one at a time, without any lock
// held: fn may ask the state, and even Apply. A change made while fn runs is told after it, by the goroutine that runs it. After
// cancel, fn is not called for changes made later; a call that runs goes on.
func (s *State) Watch(fn func(who sallyport.Staff, st Standing)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &watcher{fn}
	s.watchers = append(s.watchers, w)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers = slices.DeleteFunc(s.watchers, func(x *watcher) bool { return x == w })
	}
}

// tell hands the changes to the watchers, unless another goroutine is at it: it will take these too.
func (s *State) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.telling {
		return
	}
	s.telling = true
	defer func() { s.telling = false }()
	for len(s.changes) > 0 {
		c := s.changes[0]
		s.changes = slices.Delete(s.changes, 0, 1)
		s.call(c)
	}
}

// call runs the watchers without the lock, which is held again when it returns, also by a panic.
func (s *State) call(c change) {
	list := slices.Clone(s.watchers)
	s.mu.Unlock()
	defer s.mu.Lock()
	for _, w := range list {
		w.fn(c.who, c.st)
	}
}
