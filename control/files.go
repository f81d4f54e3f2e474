package control

import (
	"fmt"
	"slices"

	"sallyport"
)

// files are the configuration and the policies that hold.
type files struct {
	hash  string // SHA-256, empty: none yet
	alone bool   // whoever writes the files may change them
	ever  map[string]bool
}

// EverHeld tells whether files hold, or held once.
func (s *State) EverHeld(hash string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files.ever[hash]
}

// takes has files hold.
func (s *State) takes(hash string, alone bool) {
	if s.files.ever == nil {
		s.files.ever = map[string]bool{}
	}
	s.files.hash, s.files.alone, s.files.ever[hash] = hash, alone, true
}

// Files is the hash of the configuration and policies that hold, empty before the first, and whether one person may change them.
func (s *State) Files() (hash string, alone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files.hash, s.files.alone
}

// adopt takes files by which serve was started: the first ones, or where those that hold said that one person is enough. Whether the new ones
// say so is no matter for that.
func (s *State) adopt(o *sallyport.Order) {
	if o.Details != "" && (s.files.hash == "" || s.files.alone) {
		s.takes(o.Details, o.Alone)
		s.doors.turn()
	}
}

// mayChange holds the proposal of files to what it follows on, and to a proposer whom it is not about.
func (s *State) mayChange(o *sallyport.Order) error {
	switch {
	case o.Details == "" || o.Details == s.files.hash:
		return fmt.Errorf("%w: it must name files other than those that hold", ErrProposal)
	case o.Base != s.files.hash:
		return fmt.Errorf("%w: other files were approved since", ErrProposal)
	case slices.Contains(o.Subjects, o.By):
		return fmt.Errorf("%w: nobody proposes what is about himself", ErrProposal)
	}
	return nil
}
