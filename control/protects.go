package control

import (
	"maps"
	"slices"
	"time"

	"sallyport"
)

// Protects is what protect began to protect in a database: column → form of its tokens. A database that is not known by its name
// may be a known one under a new name: for it, it is everything that was ever protected.
func (s *State) Protects(database string) (set map[string]string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if set, ok := s.protects[database]; ok {
		return maps.Clone(set), true
	}
	all := map[string]string{}
	for _, set := range s.protects {
		maps.Copy(all, set)
	}
	return all, false
}

// Moving is in which columns of a database plain values stand beside tokens: on their way in, and on their way out.
func (s *State) Moving(database string) (moving, leaving []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	both := s.moving[database]
	return slices.Clone(both[0]), slices.Clone(both[1])
}

// Parted are columns of a database whose protection was undone, and did not begin anew since. Programs may still save what they read before.
func (s *State) Parted(database string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.parted[database])
}

// Entering is in which of the columns on their way in what is written is plain as yet.
func (s *State) Entering(database string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entering[database])
}

// protecting notes what a run of protect began with. Marks that were accepted before speak of what was protected before.
func (s *State) protecting(o *sallyport.Order) {
	for name := range s.protects[o.Details] {
		if _, still := o.Columns[name]; !still { // it has no tokens any more
			delete(s.turned, name)
		}
	}
	parted := slices.Concat(s.parted[o.Details], s.moving[o.Details][1])
	slices.Sort(parted)
	s.parted[o.Details] = slices.DeleteFunc(slices.Compact(parted), func(name string) bool { _, begun := o.Columns[name]; return begun })
	s.protects[o.Details] = maps.Clone(o.Columns)
	s.moving[o.Details] = [2][]string{slices.Clone(o.Moving), slices.Clone(o.Leaving)}
	s.entering[o.Details] = slices.Clone(o.Entering)
	s.superseded = len(s.agreed)
	if o.ID != "" {
		s.undone[o.ID] = true
	}
}

// MayUndo tells whether two people agreed within the last day, by this proposal, to take away the protection that details names. It is good
// for once.
func (s *State) MayUndo(id, details string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.proposals[id]
	return p != nil && p.Action == Undo && p.Status == Agreed && p.Details == details && now.Sub(p.DecidedAt) < Lifetime && !s.undone[id]
}

// AcceptedColumns tells whether the latest accepted mark was accepted after protect ran last: its columns are then those of the
// database, whatever this stream, which may be another or an older one, says.
func (s *State) AcceptedColumns() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.agreed[s.superseded:] {
		if s.proposals[id].Action == AcceptMark {
			return true
		}
	}
	return false
}
