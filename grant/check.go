package grant

import (
	"fmt"
	"maps"
	"slices"

	"sallyport"
)

// Problem is something wrong with rules, and where: a path below grants, as in rules[0].approvals[0][1].from.
type Problem struct{ Path, Text string }

// Known is what rules can speak of.
type Known struct {
	People, Services []sallyport.Staff
	Roles, Teams     []string
	Columns          []string
}

// Check holds rules and groups to sense. A group that many are in now may have few tomorrow: only of those whose people are named is the
// number held to what a rule needs.
func Check(rules []Rule, groups map[string]Group, k Known) []Problem {
	c := &checking{k: k}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := groups[name]
		path := "groups." + name
		if g.Empty() {
			c.report(path, "nobody is in the group %s; expected people, roles or teams", name)
		}
		c.group(path, &g, false)
	}
	seen := map[string]bool{}
	for i := range rules {
		r, path := &rules[i], fmt.Sprintf("rules[%d]", i)
		if r.Name == "" || seen[r.Name] {
			c.report(path+".name", "%q; expected a name that no other rule has", r.Name)
		}
		seen[r.Name] = true
		c.group(path+".for", &r.For, true)
		c.bounds(path, r)
		c.approvals(path, r, groups)
	}
	return c.found
}

type checking struct {
	k     Known
	found []Problem
}

func (c *checking) report(path, format string, args ...any) {
	c.found = append(c.found, Problem{path, fmt.Sprintf(format, args...)})
}

func (c *checking) group(path string, g *Group, services bool) {
	for i, id := range g.People {
		if !slices.Contains(c.k.People, id) && (!services || !slices.Contains(c.k.Services, id)) {
			c.report(fmt.Sprintf("%s.people[%d]", path, i), "nobody is called %q; expected the id of a person", string(id))
		}
	}
	for i, role := range g.Roles {
		if !slices.Contains(c.k.Roles, role) {
			c.report(fmt.Sprintf("%s.roles[%d]", path, i), "there is no role %q; expected one of %v", role, c.k.Roles)
		}
	}
	for i, team := range g.Teams {
		if !slices.Contains(c.k.Teams, team) {
			c.report(fmt.Sprintf("%s.teams[%d]", path, i), "nobody is in team %q; expected a team of the people", team)
		}
	}
}

func (c *checking) bounds(path string, r *Rule) {
	if r.Customers <= 0 {
		c.report(path+".customers", "%d customers; expected the most that the rule is good for", r.Customers)
	}
	if r.Hours <= 0 {
		c.report(path+".hours", "%d hours; expected how long a grant by this rule lasts at most", r.Hours)
	}
	for i, column := range r.Columns {
		if !slices.Contains(c.k.Columns, column) {
			c.report(fmt.Sprintf("%s.columns[%d]", path, i), "%q is not protected; expected a protected column", column)
		}
	}
	all := []sallyport.Class{sallyport.Identity, sallyport.Contact, sallyport.Content, sallyport.Reference}
	for i, class := range r.Classes {
		if !slices.Contains(all, class) {
			c.report(fmt.Sprintf("%s.classes[%d]", path, i), "there is no class %q; expected one of identity, contact, content, reference", string(class))
		}
	}
}

func (c *checking) approvals(path string, r *Rule, groups map[string]Group) {
	if len(r.Approvals) == 0 {
		c.report(path+".approvals", "nobody approves; expected lists such as [[{of: 1, from: leads}, {of: 1, from: security}]]")
	}
	for i, line := range r.Approvals {
		at, people := fmt.Sprintf("%s.approvals[%d]", path, i), 0
		for j, need := range line {
			from := fmt.Sprintf("%s[%d]", at, j)
			people += need.Of
			if need.Of <= 0 {
				c.report(from+".of", "%d people; expected 1 or more", need.Of)
			}
			g, ok := groups[need.From]
			switch {
			case !ok:
				c.report(from+".from", "there is no group %q; expected one of grants.groups", need.From)
			case len(g.Roles)+len(g.Teams) == 0 && len(g.People) < need.Of:
				c.report(from+".of", "%d of %s, where there are %d", need.Of, need.From, len(g.People))
			}
		}
		if people < Fewest {
			c.report(at, "%d approves; expected two people at least: who asks is not one of them", people)
		}
	}
}
