package serve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/grant"
	"sallyport/purpose"
	"sallyport/staff"
)

// granting is what requests for grants are held to while serve runs, and what ends grants.
type granting struct {
	s    *Server
	days dayIndex
	tell *webhook // nil: nobody is told
}

// desk is what the control socket takes requests with.
func (s *Server) desk() *api.Desk {
	if !s.O.Config.Protects() || s.O.Observe != nil {
		return nil
	}
	g := s.granting
	return &api.Desk{Service: g.service, Complete: g.complete, Fit: g.fit, Vote: g.vote, Use: g.use, Tell: g.told}
}

// Member is somebody as the directory knows him now.
func (g *granting) Member(who sallyport.Staff) (grant.Member, bool) {
	c := g.s.O.Config
	if service, ok := c.Services[string(who)]; ok {
		return grant.Member{Person: string(who), Team: service.Team, Service: true}, true
	}
	p, ok := g.s.staffing.person(who)
	if !ok || p.Employment == staff.Left {
		return grant.Member{}, false
	}
	m := grant.Member{Person: grant.Person(who, p.Name), Team: p.Place.Team, Role: p.Place.Role, Manager: p.Manager}
	as := c.People[string(who)].SameAs
	if first, ok := c.People[as]; ok {
		m.Person = grant.Person(sallyport.Staff(as), first.Name)
	}
	return m, true
}

// teams are those that somebody is in now.
func (g *granting) teams() (list []string) {
	for _, p := range g.s.staffing.now().People {
		if p.Place.Team != "" && !slices.Contains(list, p.Place.Team) {
			list = append(list, p.Place.Team)
		}
	}
	slices.Sort(list)
	return list
}

func (g *granting) service(who sallyport.Staff) bool {
	m, ok := g.Member(who)
	return ok && m.Service
}

// complete fills in what a request leaves open.
func (g *granting) complete(ctx context.Context, by sallyport.Staff, t *sallyport.GrantTerms, classes []string) error {
	columns := g.s.O.Config.Protect.Columns
	for _, class := range classes {
		before := len(t.Columns)
		for name, c := range columns {
			if string(c.Class) == class {
				t.Columns = append(t.Columns, name)
			}
		}
		if len(t.Columns) == before {
			return &grant.Refusal{Sentence: "No column is of the class " + Printable(class) + ".", Hint: "Classes are identity, contact, content, reference."}
		}
	}
	slices.Sort(t.Columns)
	t.Columns = slices.Compact(t.Columns)
	for _, name := range t.Columns {
		if _, ok := columns[name]; !ok {
			return &grant.Refusal{Sentence: Printable(name) + " is not protected.", Hint: "Protected columns: " + config.OneOf(name, slices.Sorted(maps.Keys(columns))) + "."}
		}
	}
	if t.Team != "" && !slices.Contains(g.teams(), t.Team) {
		return &grant.Refusal{Sentence: "Nobody is in the team " + Printable(t.Team) + ".", Hint: "Teams: " + config.OneOf(t.Team, g.teams()) + "."}
	}
	asker, ok := g.Member(by)
	if !ok {
		return &grant.Refusal{Sentence: "Nobody in the directory has this id.", Hint: "Ids stand under 'people' in the configuration."}
	}
	t.Person = asker.Person
	var err error
	t.Usual, err = g.usual(ctx, t.For)
	return err
}

// fit finds the rule of a request.
func (g *granting) fit(t *sallyport.GrantTerms) error {
	of, _ := g.Member(t.For)
	columns := g.s.O.Config.Protect.Columns
	rule, err := grant.Fit(g.s.O.Config.Grants.Rules, t, of, func(c string) sallyport.Class { return columns[c].Class })
	if err != nil {
		return err
	}
	t.Rule, t.Needs = rule.Name, rule.Approvals
	return nil
}

func (g *granting) vote(by sallyport.Staff, x *control.Grant) sallyport.GrantVote {
	return grant.Vote(g.s.O.Config.Grants.Groups, g, by, &x.Terms, x.By)
}

// over puts the end of a grant on record that a result came to in its middle. What was seen under it is added when it is tended.
func (g *granting) over(id string, why *sallyport.Limit) error {
	reason := "its time was over"
	if why.Window == "grant" {
		reason = fmt.Sprintf("used up: %d customers", why.Budget)
	}
	order := &sallyport.Order{ID: id, Action: "grant", Reason: reason, Limit: why}
	return g.end(order)
}

// end records an end, unless one is on record.
func (g *granting) end(order *sallyport.Order) error {
	e := &sallyport.Event{Time: g.s.O.Clock(), Kind: sallyport.GrantEnded, Order: order}
	before, _ := g.s.State.Grant(order.ID)
	order.About = before.Terms.For
	if before.EndedAt.IsZero() || order.Use != nil && before.Use == nil {
		return g.s.orders.Give(nil, e)
	}
	return nil
}

// How often grants are looked after: what ends by its time ends within this, in results under way, too.
const tendGrants = 200 * time.Millisecond

// reportAfter is how long after its end it is counted what was seen under a grant: what was recorded in its last moment is on record then.
const reportAfter = 2 * time.Second

// tendAll ends grants whose time is over, reports what was seen under those that ended, and suspends whose break-glass nobody reviewed, until
// ctx ends.
func (g *granting) tendAll(ctx context.Context) {
	ticker := time.NewTicker(tendGrants)
	defer ticker.Stop()
	cut := map[string]bool{}
	for _, x := range g.s.State.Grants() { // of before this start: no result is under way
		cut[x.ID] = x.Status == control.GrantOver
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := g.tend(ctx, cut); err != nil && ctx.Err() == nil {
			g.s.log.Error("grants cannot be looked after; trying again", "why", err.Error())
		}
	}
}

func (g *granting) tend(ctx context.Context, cut map[string]bool) error {
	now := g.s.O.Clock()
	g.cutEnded(cut)
	if g.s.link != nil { // the controller ends and reports them
		return nil
	}
	for _, x := range g.s.State.Unended(now) {
		if err := g.end(&sallyport.Order{ID: x.ID, Action: "grant", Reason: "its time was over"}); err != nil {
			return err
		}
	}
	for _, x := range g.s.State.Grants() {
		if x.Status == control.GrantOver && x.Use == nil && now.Sub(x.EndedAt) >= reportAfter {
			if err := g.report(ctx, &x); err != nil {
				return err
			}
		}
		if x.Due(now) && !x.Overdue {
			if err := g.suspend(&x); err != nil {
				return err
			}
		}
	}
	return nil
}

// cutEnded cuts what is under way under grants that ended.
func (g *granting) cutEnded(cut map[string]bool) {
	for _, x := range g.s.State.Grants() {
		if x.Status == control.GrantOver && !cut[x.ID] {
			cut[x.ID] = true
			g.s.endGrant(x.ID)
		}
	}
}

// endGrant cuts the results under way under a grant.
func (s *Server) endGrant(id string) {
	s.mu.Lock()
	gw := s.gateway
	s.mu.Unlock()
	if gw != nil {
		gw.EndGrant(id)
	}
}

// report puts on record what was seen under a grant, once it is over, and tells those who approved it.
func (g *granting) report(ctx context.Context, x *control.Grant) error {
	use, err := g.use(ctx, x)
	if err != nil {
		return err
	}
	if err := g.end(&sallyport.Order{ID: x.ID, Action: "grant", By: x.EndedBy, Reason: x.Ended, Use: &use}); err != nil {
		return err
	}
	x.Use = &use
	g.told("reported", x)
	return nil
}

// suspend takes the access of somebody whose break-glass nobody reviewed in time.
func (g *granting) suspend(x *control.Grant) error {
	return g.s.orders.Give(nil, &sallyport.Event{Time: g.s.O.Clock(), Kind: sallyport.Suspended, Order: &sallyport.Order{
		ID: x.ID, Action: "suspend", About: x.By, Reason: fmt.Sprintf("nobody reviewed his break-glass %s within a day", x.ID),
	}})
}

// use reads what was seen under a grant until now.
func (g *granting) use(ctx context.Context, x *control.Grant) (sallyport.GrantUse, error) {
	var u sallyport.GrantUse
	sessions, statements := map[string]bool{}, map[string]bool{}
	seen := exposure.NewGrants().Of(x.ID)
	err := g.s.AccessStream.Read(x.Terms.From+1, func(e *sallyport.Event) error {
		if e.Reveal == nil || e.Reveal.Grant != x.ID || e.Kind != sallyport.RevealKind {
			return ctx.Err()
		}
		if u.First.IsZero() {
			u.First = e.Time
		}
		u.Last = e.Time
		sessions[e.Who.Session], statements[fmt.Sprint(e.Who.Session, " ", e.Reveal.Statement)] = true, true
		for _, c := range e.Reveal.Columns {
			if !slices.Contains(u.Columns, c.String()) {
				u.Columns = append(u.Columns, c.String())
			}
		}
		for v := range e.Reveal.Values.All() {
			u.Values++
			seen.Restore(v.Subject, exposure.Key(v.Digest))
		}
		return ctx.Err()
	})
	if err != nil {
		return u, fmt.Errorf("read what was seen under %s: %w", x.ID, err)
	}
	u.Sessions, u.Statements, u.Customers = len(sessions), len(statements), seen.Count()
	slices.Sort(u.Columns)
	return u, nil
}

// told passes on what happened to a grant.
func (g *granting) told(what string, x *control.Grant) {
	if x.Glass && what == "glass_broken" {
		g.s.log.Warn("somebody broke the glass", "who", x.By, "id", x.ID, "incident", Printable(x.Terms.Incident), "review_by", x.ReviewBy().Format(time.RFC3339))
	}
	if g.tell != nil {
		g.tell.send(what, x)
	}
}

// whoseGrant is for whose customers somebody's grant is that is for certain ones.
func (g *guard) whoseGrant(ctx context.Context, who purpose.Person, id string) (purpose.GrantCover, error) {
	x, ok := g.s.State.Grant(id)
	t := &x.Terms
	if !ok || t.For != who.Staff || len(t.Only) == 0 && t.Team == "" {
		return purpose.GrantCover{Refused: "you have no grant of this name that must be named"}, nil
	}
	c := purpose.GrantCover{Subjects: t.Only, Reason: sallyport.Reason{Open: true, Mine: true}}
	if t.Team != "" {
		var err error
		if c.Subjects, err = g.resolver.TeamCustomers(ctx, who, t.Team); err != nil {
			return c, err
		}
		if len(c.Subjects) == 0 {
			c.Refused = "the team " + t.Team + " has no open ticket that counts"
		}
	}
	return c, nil
}
