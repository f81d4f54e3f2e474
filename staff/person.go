package staff

import (
	"maps"
	"slices"
	"time"

	"sallyport"
)

// Person is somebody as he stands at a moment, by all sources together.
type Person struct {
	Staff      sallyport.Staff
	Name       string
	Place      sallyport.Place
	Manager    sallyport.Staff
	Employment string
	Firm       string    // the outside firm that he is of; empty: none
	Until      time.Time // when his contract or that of his firm is over, and with it all he may; zero: nobody said

	Sources []string // that know him; "configuration" where that does
	// Wants is a place with power that he is listed for and does not have; From, if two people agreed, when he will.
	Wants sallyport.Place
	From  time.Time
}

// Configuration is the name of that source.
const Configuration = "configuration"

// Own is what the configuration says of somebody. What it says holds; what it leaves empty is for the sources to say.
type Own struct {
	Name       string
	Place      sallyport.Place
	Manager    sallyport.Staff
	Employment string
	Firm       string
	Until      time.Time // from when on he has left; zero: nobody said
}

// Rules say which places have power: two people agree before an import gives one.
type Rules struct {
	Roles []string // lead and security always are
	Teams []string
	// Firms are those of outside, and from when on each is gone; zero: nobody said. Somebody of a firm that is none of them has left.
	Firms map[string]time.Time
}

// Powerful tells whether a place has power.
func (r Rules) Powerful(p sallyport.Place) bool {
	return r.Role(p.Role) || p.Team != "" && slices.Contains(r.Teams, p.Team)
}

// Role tells whether a role has power.
func (r Rules) Role(role string) bool {
	return role == "lead" || role == "security" || role != "" && slices.Contains(r.Roles, role)
}

// Person is somebody at a moment; ok is false where nobody knows him. A source that left his place with power in doubt, because Rules have
// changed since it spoke, gives none.
func (s *State) Person(who sallyport.Staff, own *Own, r Rules, now time.Time) (p Person, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.person(who, own, r, now)
}

func (s *State) person(who sallyport.Staff, own *Own, r Rules, now time.Time) (p Person, ok bool) {
	list := s.listings(who)
	if own == nil && len(list) == 0 {
		return p, false
	}
	p.Staff, p.Employment = who, Employed
	if own != nil {
		p.Sources = append(p.Sources, Configuration)
		p.Name, p.Manager, p.Employment = own.Name, own.Manager, stricter(p.Employment, own.Employment)
		p.Firm, p.Until = own.Firm, own.Until
	}
	for _, l := range list {
		p.Sources = append(p.Sources, l.source)
		p.Employment = stricter(p.Employment, employment(&l.Listed, now))
		p.Name, p.Firm = first(p.Name, l.Name), first(p.Firm, l.Firm)
		p.Until = earlier(p.Until, l.Leaves)
		p.Manager = sallyport.Staff(first(string(p.Manager), string(l.Manager)))
	}
	if own == nil {
		own = &Own{}
	}
	p.contract(r, now)
	s.place(&p, own.Place, deciding(list), r, now)
	return p, true
}

// contract ends what somebody may when his contract is over, or that of his firm. Of a firm that nobody knows it is.
func (p *Person) contract(r Rules, now time.Time) {
	if p.Firm != "" {
		until, known := r.Firms[p.Firm]
		if !known {
			p.Employment = Left
		}
		p.Until = earlier(p.Until, until)
	}
	if reached(p.Until, now) {
		p.Employment = Left
	}
}

// Over tells whether somebody's contract, or that of his firm, is over.
func (p *Person) Over(now time.Time) bool {
	return reached(p.Until, now) || p.Firm != "" && p.Employment == Left
}

// earlier is the earlier of two moments that somebody named.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// place gives somebody the place that the deciding source says, as far as that may, and as far as the configuration, which two people
// approved, leaves it open.
func (s *State) place(p *Person, own sallyport.Place, by sallyport.Listed, r Rules, now time.Time) {
	if !r.Powerful(by.Place) {
		p.Place = by.Place
	}
	p.Place.Team, p.Place.Role = first(own.Team, p.Place.Team), first(own.Role, p.Place.Role)
	if r.Role(own.Role) { // whose tickets a lead sees is part of his power: no import says that
		p.Place.Team = own.Team
	}
	if by.Want == (sallyport.Place{}) || p.Employment == Left || own.Role != "" || own.Team != "" && own.Team != by.Want.Team {
		return
	}
	p.Wants = by.Want
	power, agreed := s.powers[p.Staff]
	if !agreed || power.Place != by.Want {
		return
	}
	p.From = power.From
	if !now.Before(power.From) {
		p.Place, p.Wants = power.Place, sallyport.Place{}
	}
}

// Roster is everybody at a moment, and when that changes next without anybody saying anything; the zero time: never.
type Roster struct {
	People  map[sallyport.Staff]Person
	Version uint64
	Until   time.Time
}

// Roster is everybody whom the configuration or a source knows.
func (s *State) Roster(own map[sallyport.Staff]*Own, r Rules, now time.Time) *Roster {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := &Roster{People: make(map[sallyport.Staff]Person, len(own)), Version: s.version}
	for who, o := range own {
		out.People[who], _ = s.person(who, o, r, now)
	}
	for _, of := range s.sources {
		for who, l := range of.people {
			if _, done := out.People[who]; !done {
				out.People[who], _ = s.person(who, own[who], r, now)
			}
			out.before(l.Notice, now)
		}
	}
	for _, power := range s.powers {
		out.before(power.From, now)
	}
	for _, p := range out.People {
		out.before(p.Until, now)
	}
	return out
}

// before notes that something changes at a moment to come.
func (r *Roster) before(at, now time.Time) {
	if at.After(now) && (r.Until.IsZero() || at.Before(r.Until)) {
		r.Until = at
	}
}

// Current tells whether a roster still says how things are.
func (s *State) Current(r *Roster, now time.Time) bool {
	return r != nil && r.Version == s.Version() && (r.Until.IsZero() || now.Before(r.Until))
}

// Teams are those that anybody is in.
func (r *Roster) Teams() []string {
	teams := map[string]bool{}
	for _, p := range r.People {
		if p.Place.Team != "" {
			teams[p.Place.Team] = true
		}
	}
	return slices.Sorted(maps.Keys(teams))
}

// employment is what a source says, at a moment.
func employment(l *sallyport.Listed, now time.Time) string {
	e := l.Employment
	if reached(l.Notice, now) {
		e = stricter(e, Notice)
	}
	if l.Gone || l.Inactive || reached(l.Leaves, now) {
		e = Left
	}
	return e
}

func reached(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// stricter is the stricter of two employment states. One that nobody knows is as strict as any.
func stricter(a, b string) string {
	rank := func(e string) int {
		if e == "" {
			return 0
		}
		if i := slices.Index(Employments(), e); i >= 0 {
			return i
		}
		return len(Employments())
	}
	if rank(b) > rank(a) {
		a = b
	}
	if rank(a) >= rank(Left) {
		return Left
	}
	return first(a, Employed)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
