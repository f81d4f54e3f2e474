// Package staff folds what sources say about the staff (the identity provider by SCIM, files, log-ins) into who is who right now: team,
// role, manager, employment.
//
// It refuses to make an approver: a place that has power (Rules) is somebody's only while a source lists him for it, two people agreed to that
// very place, and the delay that they agreed under is over. It does no I/O and reads no clock.
// Invariant: whatever a source says takes away at once, and gives at once only what has no power. Of two sources that say otherwise about
// somebody's employment the stricter one counts.
package staff

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport"
)

// The sources, in the order in which they decide about somebody's place. What the configuration says comes before all of them.
const (
	SCIM  = "scim"  // the identity provider tells of changes itself
	CSV   = "csv"   // a file that somebody imported
	LogIn = "login" // the groups that came with a log-in by OIDC
)

// Sources are all of them.
func Sources() []string { return []string{SCIM, CSV, LogIn} }

// Employment states, mildest first.
const (
	Employed = "employed"
	Notice   = "notice"
	Leave    = "leave"
	Left     = "left"
)

// Employments are all of them, mildest first.
func Employments() []string { return []string{Employed, Notice, Leave, Left} }

// Power is a place with power that two people agreed to.
type Power struct {
	Place    sallyport.Place
	From     time.Time // it begins then
	Proposal string
}

// State is the fold. It is safe for use by many goroutines.
type State struct {
	mu      sync.RWMutex // guards what follows
	sources map[string]*source
	powers  map[sallyport.Staff]Power
	version uint64 // one more with each change
}

type source struct {
	people map[sallyport.Staff]sallyport.Listed
	keys   map[string]sallyport.Staff
	groups map[sallyport.Group]sallyport.ListedGroup
}

// NewState is the state before anybody said anything.
func NewState() *State {
	return &State{sources: map[string]*source{}, powers: map[sallyport.Staff]Power{}}
}

// Apply folds what a source says, and returns who has left by it.
func (s *State) Apply(from string, people []sallyport.Listed, groups []sallyport.ListedGroup) (left []sallyport.Staff) {
	if !slices.Contains(Sources(), from) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.sources[from]
	if of == nil {
		of = &source{people: map[sallyport.Staff]sallyport.Listed{}, keys: map[string]sallyport.Staff{}, groups: map[sallyport.Group]sallyport.ListedGroup{}}
		s.sources[from] = of
	}
	s.version++
	for _, g := range groups {
		of.groups[g.Key] = g
	}
	for _, p := range people {
		if p.Staff == "" {
			continue
		}
		if old, ok := of.people[p.Staff]; ok && old.Key != p.Key {
			delete(of.keys, old.Key)
		}
		of.people[p.Staff] = p
		if p.Key != "" {
			of.keys[p.Key] = p.Staff
		}
		if p.Gone || p.Inactive || p.Employment == Left {
			left = append(left, p.Staff)
		}
		s.keepPower(p.Staff)
	}
	return left
}

// keepPower takes a power away that no source gives any more: whoever is listed for it again needs two people again.
func (s *State) keepPower(who sallyport.Staff) {
	power, has := s.powers[who]
	if !has {
		return
	}
	list := s.listings(who)
	if left(list) || deciding(list).Want != power.Place {
		delete(s.powers, who)
	}
}

// Empower gives somebody the place that two people agreed to. It is void if no source wants it for him now.
func (s *State) Empower(who sallyport.Staff, place sallyport.Place, proposal string, from time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted(who) != place || place == (sallyport.Place{}) {
		return
	}
	s.version++
	s.powers[who] = Power{Place: place, From: from, Proposal: proposal}
}

// Wanted is the place with power that sources list somebody for; the zero Place: none.
func (s *State) Wanted(who sallyport.Staff) sallyport.Place {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.wanted(who)
}

func (s *State) wanted(who sallyport.Staff) sallyport.Place {
	list := s.listings(who)
	if left(list) {
		return sallyport.Place{}
	}
	return deciding(list).Want
}

// HasLeft tells whether any source says that somebody left.
func (s *State) HasLeft(who sallyport.Staff) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return left(s.listings(who))
}

// Version changes with every change.
func (s *State) Version() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.version
}

// said is what a source says of somebody.
type said struct {
	source string
	sallyport.Listed
}

// listings are what all sources say of somebody, in the order in which they decide.
func (s *State) listings(who sallyport.Staff) (out []said) {
	for _, name := range Sources() {
		if of := s.sources[name]; of != nil {
			if p, ok := of.people[who]; ok {
				out = append(out, said{name, p})
			}
		}
	}
	return out
}

// left tells whether a source says that he left.
func left(list []said) bool {
	return slices.ContainsFunc(list, func(l said) bool { return l.Gone || l.Inactive || l.Employment == Left })
}

// deciding is the word of the source that decides about somebody's place: the first that ever gave him one.
func deciding(list []said) sallyport.Listed {
	for _, l := range list {
		if l.Placed {
			return l.Listed
		}
	}
	return sallyport.Listed{}
}

// Get is what one source says of somebody.
func (s *State) Get(from string, who sallyport.Staff) (sallyport.Listed, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if of := s.sources[from]; of != nil {
		p, ok := of.people[who]
		return p, ok
	}
	return sallyport.Listed{}, false
}

// ByKey is whom a source knows by an id of its own.
func (s *State) ByKey(from, key string) (sallyport.Listed, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	of := s.sources[from]
	if of == nil {
		return sallyport.Listed{}, false
	}
	who, ok := of.keys[key]
	return of.people[who], ok
}

// People are all whom a source ever listed, in the order of their ids; those too whom it deleted.
func (s *State) People(from string) (out []sallyport.Listed) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	of := s.sources[from]
	if of == nil {
		return nil
	}
	for _, who := range slices.Sorted(maps.Keys(of.people)) {
		out = append(out, of.people[who])
	}
	return out
}

// Groups are all groups of a source, in the order of their ids; those too that it deleted.
func (s *State) Groups(from string) (out []sallyport.ListedGroup) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	of := s.sources[from]
	if of == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(of.groups)) {
		out = append(out, of.groups[key])
	}
	return out
}

// FormatPlace writes a place for a proposal: role@team.
func FormatPlace(p sallyport.Place) string { return p.Role + "@" + p.Team }

// ParsePlace reads it back.
func ParsePlace(text string) (sallyport.Place, error) {
	role, team, ok := strings.Cut(text, "@")
	if !ok || role == "" && team == "" {
		return sallyport.Place{}, fmt.Errorf("%q is no place; expected role@team", text)
	}
	return sallyport.Place{Role: role, Team: team}, nil
}

// Spelled is somebody whom a source lists under an id that differs in the case of its letters at most.
func (s *State) Spelled(id sallyport.Staff) (sallyport.Staff, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, of := range s.sources {
		for who := range of.people {
			if strings.EqualFold(string(who), string(id)) {
				return who, true
			}
		}
	}
	return "", false
}
