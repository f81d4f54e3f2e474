package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
	"sallyport/login"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/staff"
)

// staffing knows who is who right now: what the configuration says, and what the sources of the directory said on record.
type staffing struct {
	s      *Server
	own    map[sallyport.Staff]*staff.Own
	rules  staff.Rules
	roster atomic.Pointer[staff.Roster]
	names  atomic.Pointer[calledNames]
}

func newStaffing(s *Server) *staffing {
	return &staffing{s: s, own: s.O.Config.Own(), rules: s.O.Config.Rules()}
}

func (p *staffing) directory() *staff.State { return p.s.State.Directory() }

// now is everybody as he stands.
func (p *staffing) now() *staff.Roster {
	at := p.s.O.Clock()
	if r := p.roster.Load(); p.directory().Current(r, at) {
		return r
	}
	r := p.directory().Roster(p.own, p.rules, at)
	p.roster.Store(r)
	return r
}

// person is one of them.
func (p *staffing) person(who sallyport.Staff) (staff.Person, bool) {
	return p.directory().Person(who, p.own[who], p.rules, p.s.O.Clock())
}

// principal is a person as policies ask for him.
func (p *staffing) principal(who sallyport.Staff) (policy.Member, bool) {
	x, ok := p.person(who)
	return policy.Member{ID: who, Team: x.Place.Team, Role: x.Place.Role, Manager: x.Manager, Employment: x.Employment, Firm: x.Firm}, ok
}

// role is somebody's, right now.
func (p *staffing) role(who sallyport.Staff) string {
	person, _ := p.person(who)
	return person.Place.Role
}

// calls is somebody's name.
func (p *staffing) calls(who sallyport.Staff) string {
	person, _ := p.person(who)
	return person.Name
}

// placed is a person with the place that he has right now.
func (p *staffing) placed(who purpose.Person) purpose.Person {
	if person, ok := p.person(who.Staff); ok {
		who.Team, who.Role = person.Place.Team, person.Place.Role
	}
	return who
}

// imported is the person who owns a log-in that the configuration gives to nobody: one of the same name, whom only a source knows.
func (p *staffing) imported(login string) (purpose.Person, bool) {
	who := sallyport.Staff(login)
	if _, configured := p.own[who]; configured {
		return purpose.Person{}, false
	}
	if p.s.O.Config.IsProgram(who) {
		return purpose.Person{}, false
	}
	if _, known := p.person(who); !known {
		return purpose.Person{}, false
	}
	return p.placed(purpose.Person{Staff: who, Logins: []string{login}, Names: []string{login}}), true
}

// calledNames are what sources of one version of the directory call people, in small letters.
type calledNames struct {
	version uint64
	of      map[string]sallyport.Staff
}

// called is who a name in another system means, by what the sources call people: id, user name, address. What somebody wrote himself there is to
// be known as his, whoever told of him.
func (p *staffing) called(name string) (sallyport.Staff, bool) {
	n := p.names.Load()
	if version := p.directory().Version(); n == nil || n.version != version {
		n = &calledNames{version, map[string]sallyport.Staff{}}
		for _, source := range staff.Sources() {
			for _, l := range p.directory().People(source) {
				for _, called := range []string{string(l.Staff), l.UserName, l.Mail} {
					if _, taken := n.of[strings.ToLower(called)]; called != "" && !taken {
						n.of[strings.ToLower(called)] = l.Staff
					}
				}
			}
		}
		p.names.Store(n)
	}
	who, ok := n.of[strings.ToLower(name)]
	return who, ok
}

// owns tells whether a log-in is somebody's whom only a source knows.
func (p *staffing) owns(login string) bool {
	_, ok := p.imported(login)
	return ok
}

// known is somebody of an id, whatever the case of its letters.
func (p *staffing) known(id sallyport.Staff) (sallyport.Staff, bool) {
	if _, ok := p.person(id); ok {
		return id, true
	}
	for who := range p.own {
		if strings.EqualFold(string(who), string(id)) {
			return who, true
		}
	}
	return p.directory().Spelled(id)
}

// account is whose user name at the identity provider the configuration says it is.
func (p *staffing) account(user string) (sallyport.Staff, bool) {
	for id, person := range p.s.O.Config.People {
		if person.Account != "" && strings.EqualFold(person.Account, user) {
			return sallyport.Staff(id), true
		}
	}
	return "", false
}

// tell puts on record what a source says. Where that fails, who leaves by it is locked all the same.
func (p *staffing) tell(source string, people []sallyport.Listed, groups []sallyport.ListedGroup) error {
	e := &sallyport.Event{
		Time: p.s.O.Clock(), Kind: sallyport.Peopled, Order: &sallyport.Order{Action: "people", Details: source, People: people, Groups: groups, Most: p.s.O.Config.Directory.Leavers},
	}
	err := p.s.orders.Give(nil, e)
	if err == nil {
		return nil
	}
	for _, l := range people {
		if l.Inactive || l.Gone || l.Employment == staff.Left {
			_ = p.lock(l.Staff, "the directory says that he left") // it bites, and err says that nothing is on record
		}
	}
	return err
}

func (p *staffing) lock(who sallyport.Staff, reason string) error {
	return p.s.orders.Give(nil, &sallyport.Event{
		Time: p.s.O.Clock(), Kind: sallyport.Locked, Order: &sallyport.Order{Action: "lock", About: who, Reason: reason},
	})
}

// FromLogin takes the groups with which somebody logged in at the identity provider. It is called before he is let in, and returns when it is
// on record; what was said before is not said again.
func (s *Server) FromLogin(who sallyport.Staff, name string, groups []string) error {
	p := s.staffing
	if !staff.GoodID(string(who)) || s.O.Config.IsProgram(who) {
		return fmt.Errorf("take the groups of a log-in: %q cannot be anybody's id", who)
	}
	old, before := p.directory().Get(staff.LogIn, who)
	l := sallyport.Listed{Staff: who, Name: name, Version: old.Version + 1, Created: old.Created, Changed: s.O.Clock()}
	for _, g := range slices.Sorted(slices.Values(groups)) {
		l.Groups = append(l.Groups, sallyport.Group(g))
	}
	l.Groups = slices.Compact(l.Groups)
	var was *sallyport.Listed
	if before {
		was = &old
	} else {
		l.Created = l.Changed
	}
	s.O.Config.Mapping().Resolve(&l, groups, was)
	if len(staff.Compare(was, &l)) == 0 && before {
		return nil
	}
	return p.tell(staff.LogIn, []sallyport.Listed{l}, nil)
}

// logIns has log-ins at the identity provider find whom only the directory knows, and tell it of groups.
func (p *staffing) logIns(l *api.LogIns) {
	if l == nil {
		return
	}
	c := p.s.O.Config
	l.Ended = p.s.endLogIn
	l.Person = func(said login.Person) (sallyport.Staff, error) {
		who, err := c.PersonOf(said)
		if err == nil {
			return who, nil
		}
		if who, ok := p.account(said.Name); ok {
			return who, nil
		}
		if _, ok := p.imported(said.Name); ok {
			return sallyport.Staff(said.Name), nil
		}
		return "", err
	}
	if c.LogIn.Groups != "" {
		l.Groups = func(who sallyport.Staff, groups []string) error { return p.s.FromLogin(who, "", groups) }
	}
}

// resettle says anew what groups and roles mean, where the configuration means something else by them than it did.
func (p *staffing) resettle() error {
	m := p.s.O.Config.Mapping()
	for _, source := range staff.Sources() {
		names := map[sallyport.Group]string{}
		for _, g := range p.directory().Groups(source) {
			if !g.Gone {
				names[g.Key] = g.Name
			}
		}
		var changed []sallyport.Listed
		for _, old := range p.directory().People(source) {
			l := old
			if source == staff.CSV {
				m.Say(&l, outright(&old), &old)
			} else {
				m.Resolve(&l, groupNames(&old, names, source), &old)
			}
			if len(staff.Compare(&old, &l)) > 0 {
				l.Version++
				changed = append(changed, l)
			}
		}
		if len(changed) == 0 {
			continue
		}
		if err := p.tell(source, changed, nil); err != nil {
			return err
		}
	}
	return nil
}

// groupNames are the names of somebody's groups. Those of a log-in have no other names than their ids.
func groupNames(l *sallyport.Listed, names map[sallyport.Group]string, source string) (out []string) {
	for _, g := range l.Groups {
		if name, ok := names[g]; ok {
			out = append(out, name)
		} else if source == staff.LogIn {
			out = append(out, string(g))
		}
	}
	return out
}

// outright is the team and role that a file named.
func outright(l *sallyport.Listed) sallyport.Place {
	place := l.Place
	if l.Want.Team != "" {
		place.Team = l.Want.Team
	}
	if l.Want.Role != "" {
		place.Role = l.Want.Role
	}
	return place
}

// tendEvery is how often it is looked at whether somebody's last day is over.
const tendEvery = 250 * time.Millisecond

// tend locks whoever has left by the calendar or by the configuration, until ctx ends.
func (p *staffing) tend(ctx context.Context) {
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	var seen *staff.Roster
	for {
		if r := p.now(); r != seen {
			if p.lockLeavers(r) {
				seen = r
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// lockLeavers locks everybody of a roster who has left and is not locked yet.
func (p *staffing) lockLeavers(r *staff.Roster) (done bool) {
	done = true
	for who, person := range r.People {
		if st := p.s.State.Standing(who); person.Employment != staff.Left || st.Locked || st.Left {
			continue
		}
		if err := p.lock(who, "the directory says that he left"); err != nil {
			p.s.log.Error("whoever left is locked, and that could not be put on record", "staff", who, "why", err.Error())
			done = false
		}
	}
	return done
}

// livePolicies hold one set of policies to the directory as it is right now.
type livePolicies struct {
	p    *staffing
	base func() *policy.Set

	mu   sync.Mutex // guards what follows
	of   *policy.Set
	live *policy.Set
}

// current is the set that decides now.
func (l *livePolicies) current() *policy.Set {
	base := l.base()
	l.mu.Lock()
	defer l.mu.Unlock()
	if base != l.of {
		l.of, l.live = base, base.Live(l.p.principal)
	}
	return l.live
}

// colleagues are the log-ins whose tickets may be somebody's reason: those of his team, if the policies would ever let him see a customer by one.
func (d *directory) colleagues(policies func() *policy.Set) func(p purpose.Person) []string {
	type placed struct {
		who sallyport.Staff
		at  sallyport.Place
	}
	var mu sync.Mutex // guards what follows
	var of *policy.Set
	var version uint64
	known := map[placed]bool{} // whether he may, by the policies in of and the directory of that version
	return func(p purpose.Person) []string {
		if p.Team == "" {
			return nil
		}
		who, set, now := placed{p.Staff, sallyport.Place{Team: p.Team, Role: p.Role}}, policies(), d.live.directory().Version()
		mu.Lock()
		if set != of || version != now {
			of, version, known = set, now, map[placed]bool{}
		}
		may, asked := known[who]
		mu.Unlock()
		if !asked {
			may = set.SeesTeam(p.Staff, p.Service, p.Team)
			mu.Lock()
			if set == of && version == now {
				known[who] = may
			}
			mu.Unlock()
		}
		if !may {
			return nil
		}
		return d.team(p.Team)
	}
}

// waitingFor is the open proposal to give somebody the place that he is listed for.
func (p *staffing) waitingFor(who sallyport.Staff) string {
	id, _ := p.s.State.Waiting(control.Empower, who)
	return id
}
