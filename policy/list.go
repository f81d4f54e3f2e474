package policy

import "slices"

// All are the policies of a set, each once, with what they say of themselves, in the order of their ids.
func (s *Set) All() (out []Said) {
	if s == nil {
		return nil
	}
	for _, r := range s.rules {
		said := r.said()
		said.Cedar = string(r.policy.MarshalCedar())
		out = append(out, said)
	}
	slices.SortFunc(out, func(a, b Said) int {
		if a.Policy < b.Policy {
			return -1
		}
		return 1 // ids are distinct
	})
	return out
}
