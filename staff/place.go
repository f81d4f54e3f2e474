package staff

import (
	"slices"
	"strings"

	"sallyport"
)

// Mapping says what groups of a source mean here.
type Mapping struct {
	Groups map[string]sallyport.Place // by the group's name, whatever the case of its letters
	Teams  []string                   // a group of such a name is that team
	Roles  []string                   // that there are, mildest first: what a source says of other ones is nothing to us
	Rules  Rules
}

// Resolve sets Place, Want and Placed of a listing by the names of its groups and by what it says itself.
func (m *Mapping) Resolve(p *sallyport.Listed, groups []string, before *sallyport.Listed) {
	var teams, roles []string
	for _, name := range groups {
		place, known := m.of(name)
		if !known {
			continue
		}
		teams, roles = append(teams, place.Team), append(roles, place.Role)
	}
	for _, role := range p.Said {
		if i := slices.IndexFunc(m.Roles, func(r string) bool { return strings.EqualFold(r, role) }); i >= 0 {
			roles = append(roles, m.Roles[i])
		}
	}
	m.settle(p, teams, roles, before)
}

// Say sets Place, Want and Placed of a listing whose source names team and role outright.
func (m *Mapping) Say(p *sallyport.Listed, place sallyport.Place, before *sallyport.Listed) {
	m.settle(p, []string{place.Team}, []string{place.Role}, before)
}

// settle picks, of several teams the first by name and of several roles the mildest without power for Place; for Want the most powerful ones.
func (m *Mapping) settle(p *sallyport.Listed, teams, roles []string, before *sallyport.Listed) {
	slices.Sort(teams)
	slices.SortStableFunc(roles, func(a, b string) int { return slices.Index(m.Roles, a) - slices.Index(m.Roles, b) })
	p.Place, p.Want = sallyport.Place{}, sallyport.Place{}
	for _, team := range teams {
		if slices.Contains(m.Rules.Teams, team) {
			p.Want.Team = first(p.Want.Team, team)
		} else {
			p.Place.Team = first(p.Place.Team, team)
		}
	}
	for _, role := range roles {
		if m.Rules.Role(role) {
			p.Want.Role = role // the last one: the most powerful
		} else {
			p.Place.Role = first(p.Place.Role, role)
		}
	}
	if p.Want != (sallyport.Place{}) { // whole: what two people agree to is team and role together
		p.Want.Team, p.Want.Role = first(p.Want.Team, p.Place.Team), first(p.Want.Role, p.Place.Role)
	}
	p.Placed = before != nil && before.Placed || p.Place != (sallyport.Place{}) || p.Want != (sallyport.Place{})
}

// of is what a group of a name means.
func (m *Mapping) of(name string) (sallyport.Place, bool) {
	for group, place := range m.Groups {
		if strings.EqualFold(group, name) {
			return place, true
		}
	}
	for _, team := range m.Teams {
		if strings.EqualFold(team, name) {
			return sallyport.Place{Team: team}, true
		}
	}
	return sallyport.Place{}, false
}
