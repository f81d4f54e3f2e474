package control

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"sallyport"
)

// shreds are the customers of whom nothing is revealed any more, and the tokens that are not. It has a lock of its own, since it is asked
// for every value; where nobody was ever shredded asking costs one look.
type shreds struct {
	any    atomic.Bool
	mu     sync.RWMutex // guards what follows
	barred map[sallyport.Subject]struct{}
	dead   map[sallyport.Digest]struct{}
	buried map[sallyport.Digest]struct{}
	gone   map[sallyport.Leaf]struct{}
}

func newShreds() shreds {
	return shreds{barred: map[sallyport.Subject]struct{}{}, dead: map[sallyport.Digest]struct{}{}, buried: map[sallyport.Digest]struct{}{}, gone: map[sallyport.Leaf]struct{}{}}
}

func (s *shreds) bar(who sallyport.Subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.barred[who] = struct{}{}
	s.any.Store(true)
}

// list adds what an entry says. Nothing is ever taken off the lists.
func (s *shreds) list(o *sallyport.Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range o.Dead {
		s.dead[d] = struct{}{}
	}
	for _, d := range o.Buried {
		s.buried[d] = struct{}{}
	}
	for _, g := range o.Gone {
		for _, at := range g.Leaves {
			s.gone[sallyport.Leaf{Group: g.Group, Epoch: g.Epoch, At: at}] = struct{}{}
		}
	}
}

func has[K comparable](mu *sync.RWMutex, set map[K]struct{}, key K) bool {
	mu.RLock()
	defer mu.RUnlock()
	_, ok := set[key]
	return ok
}

// Shreds tells whether two people ever agreed to shred anybody.
func (s *State) Shreds() bool { return s.shreds.any.Load() }

// Barred tells whether two people agreed to shred a customer: from then on nothing of his is revealed.
func (s *State) Barred(who sallyport.Subject) bool {
	return s.Shreds() && has(&s.shreds.mu, s.shreds.barred, who)
}

// Dead tells, by its digest, whether a token stands for nothing, whatever it decrypts to.
func (s *State) Dead(d sallyport.Digest) bool {
	return s.Shreds() && has(&s.shreds.mu, s.shreds.dead, d)
}

// DeadTokens are the digests of all tokens that stand for nothing.
func (s *State) DeadTokens() []sallyport.Digest {
	s.shreds.mu.RLock()
	defer s.shreds.mu.RUnlock()
	return slices.Collect(maps.Keys(s.shreds.dead))
}

// Buried tells, by its digest, whether a token was a shredded customer's, which others may have, too.
func (s *State) Buried(d sallyport.Digest) bool {
	return s.Shreds() && has(&s.shreds.mu, s.shreds.buried, d)
}

// Gone tells whether the record says of a token's own key that it is destroyed.
func (s *State) Gone(l sallyport.Leaf) bool {
	return has(&s.shreds.mu, s.shreds.gone, l)
}

// GoneKeys are the keys of single tokens of which the record says that they are destroyed.
func (s *State) GoneKeys() []sallyport.Leaf {
	s.shreds.mu.RLock()
	defer s.shreds.mu.RUnlock()
	return slices.Collect(maps.Keys(s.shreds.gone))
}

// BarredText is Barred of a key that is no string yet.
func (s *State) BarredText(who []byte) bool {
	if !s.Shreds() {
		return false
	}
	s.shreds.mu.RLock()
	defer s.shreds.mu.RUnlock()
	_, ok := s.shreds.barred[sallyport.Subject(who)]
	return ok
}
