// Package grant says who must agree before somebody sees what no reason of his covers: which rule of the configuration fits a request, where
// somebody stands in another's report line, and whether those who approved are enough.
//
// It refuses to let one person count twice, whatever accounts he has, to count anybody for a group that he is not in, and to take the
// word of somebody's report line alone. It keeps nothing, does no I/O and reads no clock.
// Invariant: a request is agreed to only by people, at least two of them, none of whom asks for it or reads under it.
package grant

import (
	"fmt"
	"slices"
	"strings"

	"sallyport"
)

// Fewest is how many people must approve a request at least.
const Fewest = 2

// The bounds of a break-glass, which one person gives himself.
const (
	GlassCustomers = 20
	GlassMinutes   = 4 * 60
	GlassReview    = 24 * 60 // minutes within which somebody else looks at it
	GlassFresh     = 10      // minutes within which he has confirmed who he is
)

// Group is people who may approve, or whom a rule is for: who is named, or of one of the roles, or of one of the teams.
type Group struct {
	People []sallyport.Staff `yaml:"people"` // ids; in the for of a rule also of services
	Roles  []string          `yaml:"roles"`  // agent, lead, engineer, dba, security
	Teams  []string          `yaml:"teams"`  // their names
}

// Rule says who must approve a request that it fits. The first that fits holds.
type Rule struct {
	Name      string             `yaml:"name"`      // which no other rule has
	For       Group              `yaml:"for"`       // who may ask by it; empty: everybody
	Columns   []string           `yaml:"columns"`   // schema.table.column; empty, and no classes: every protected column
	Classes   []sallyport.Class  `yaml:"classes"`   // identity, contact, content, reference: columns of these, too
	Customers int                `yaml:"customers"` // at most, with those of his other grants of 30 days
	Hours     int                `yaml:"hours"`     // how long at most
	Named     bool               `yaml:"named"`     // only for named customers or a team's tickets, never for any
	Approvals [][]sallyport.Need `yaml:"approvals"` // any of the lists is enough; of a list everything, by different people
}

// Member is somebody of the directory, as he is now.
type Member struct {
	Person  string // who he is, whatever account he uses
	Team    string
	Role    string
	Manager sallyport.Staff // empty: nobody is named
	Service bool
}

// Directory is who there is.
type Directory interface {
	// Member is somebody; false: there is no such person or service, or he has left.
	Member(who sallyport.Staff) (Member, bool)
}

// Has tells whether somebody is in the group.
func (g *Group) Has(who sallyport.Staff, m Member) bool {
	return slices.Contains(g.People, who) || m.Role != "" && slices.Contains(g.Roles, m.Role) || m.Team != "" && slices.Contains(g.Teams, m.Team)
}

// Empty tells whether the group names nobody.
func (g *Group) Empty() bool { return len(g.People)+len(g.Roles)+len(g.Teams) == 0 }

// Refusal says why no rule fits, and what to do.
type Refusal struct{ Sentence, Hint string }

// Error is the sentence and the hint.
func (r *Refusal) Error() string { return r.Sentence + " " + r.Hint }

// Fit is the first rule that fits a request. of is who reads under it; class says what a column is.
func Fit(rules []Rule, t *sallyport.GrantTerms, of Member, class func(column string) sallyport.Class) (*Rule, error) {
	var near *Refusal
	for i := range rules {
		r := &rules[i]
		if !r.For.Empty() && !r.For.Has(t.For, of) {
			continue
		}
		why := r.misses(t, class)
		if why == "" {
			return r, nil
		}
		if near == nil {
			near = &Refusal{"No rule lets anybody approve this: " + why + ".", "Ask for what the rule " + r.Name + " allows, or have grants.rules of the configuration changed."}
		}
	}
	if near == nil {
		near = &Refusal{"No rule says who could approve a grant for " + string(t.For) + ".", "Work by a ticket or a call, or have a rule for " + string(t.For) + " written under grants.rules of the configuration."}
	}
	return nil, near
}

// misses says what a request has that the rule does not allow; empty: it fits.
func (r *Rule) misses(t *sallyport.GrantTerms, class func(string) sallyport.Class) string {
	for _, c := range t.Columns {
		if len(r.Columns)+len(r.Classes) > 0 && !slices.Contains(r.Columns, c) && !slices.Contains(r.Classes, class(c)) {
			return "the rule " + r.Name + " is not about " + c
		}
	}
	switch all := t.Customers + t.Others; {
	case all > r.Customers && t.Others > 0:
		return fmt.Sprintf("%d customers, and %d by his other grants of 30 days, are more than the %d of the rule %s", t.Customers, t.Others, r.Customers, r.Name)
	case all > r.Customers:
		return fmt.Sprintf("%d customers are more than the %d of the rule %s", t.Customers, r.Customers, r.Name)
	case t.Minutes > 60*r.Hours:
		return fmt.Sprintf("it would last longer than the %d hours of the rule %s", r.Hours, r.Name)
	case r.Named && len(t.Only) == 0 && t.Team == "":
		return "the rule " + r.Name + " is for named customers or a team's tickets only"
	}
	return ""
}

// Vote is what somebody's approval counts for, at this moment. Who asks and who reads under it are by and t.For.
func Vote(groups map[string]Group, d Directory, by sallyport.Staff, t *sallyport.GrantTerms, asker sallyport.Staff) sallyport.GrantVote {
	m, ok := d.Member(by)
	if !ok || m.Service {
		return sallyport.GrantVote{}
	}
	v := sallyport.GrantVote{Person: m.Person, Line: LineOf(d, asker, by)}
	for _, line := range t.Needs {
		for _, need := range line {
			group := groups[need.From]
			if group.Has(by, m) && !slices.Contains(v.Groups, need.From) {
				v.Groups = append(v.Groups, need.From)
			}
		}
	}
	slices.Sort(v.Groups)
	return v
}

// deepest bounds a report line: a directory may lead in a circle.
const deepest = 50

// LineOf is where other stands in the report line of who. Where the directory names nobody's manager for who, his team stands for it.
func LineOf(d Directory, who, other sallyport.Staff) sallyport.Line {
	if above(d, who, other) {
		return sallyport.Above
	}
	if above(d, other, who) {
		return sallyport.Below
	}
	a, _ := d.Member(who)
	b, _ := d.Member(other)
	if a.Manager == "" && a.Team != "" && a.Team == b.Team {
		return sallyport.SameTeam
	}
	return sallyport.Outside
}

// above tells whether boss is the manager of who, or his manager's, or his.
func above(d Directory, who, boss sallyport.Staff) bool {
	for range deepest {
		m, ok := d.Member(who)
		if !ok || m.Manager == "" {
			return false
		}
		if m.Manager == boss {
			return true
		}
		who = m.Manager
	}
	return false
}

// Enough tells whether these votes are what a request needs: one of its lists is met, each person counting once in it, at least
// two people approve, and not all of them are of the report line of who asks.
func Enough(needs [][]sallyport.Need, votes []sallyport.GrantVote) bool {
	outside := slices.ContainsFunc(votes, func(v sallyport.GrantVote) bool { return v.Line == sallyport.Outside })
	return outside && len(votes) >= Fewest && slices.ContainsFunc(needs, func(line []sallyport.Need) bool { return met(line, votes) })
}

// met finds a different person for every place of a list.
func met(line []sallyport.Need, votes []sallyport.GrantVote) bool {
	var places []string // the group of each
	for _, need := range line {
		for range need.Of {
			places = append(places, need.From)
		}
	}
	if len(places) < Fewest || len(places) > len(votes) {
		return false
	}
	holder := make([]int, len(votes)) // vote → place + 1
	var take func(place int, tried []bool) bool
	take = func(place int, tried []bool) bool {
		for i, v := range votes {
			if tried[i] || !slices.Contains(v.Groups, places[place]) {
				continue
			}
			tried[i] = true
			if holder[i] == 0 || take(holder[i]-1, tried) {
				holder[i] = place + 1
				return true
			}
		}
		return false
	}
	for place := range places {
		if !take(place, make([]bool, len(votes))) {
			return false
		}
	}
	return true
}

// Missing says in words what a request needs.
func Missing(needs [][]sallyport.Need) string {
	var lines []string
	for _, line := range needs {
		var parts []string
		for _, need := range line {
			parts = append(parts, fmt.Sprintf("%d of %s", need.Of, need.From))
		}
		lines = append(lines, strings.Join(parts, " and "))
	}
	return strings.Join(lines, ", or ")
}

// Person is one name for all accounts of somebody: his full name, for two accounts with one name count as one, else the id. An account that
// the directory says is another's is to be given as that one.
func Person(id sallyport.Staff, name string) string {
	if words := strings.Fields(strings.ToLower(name)); len(words) > 0 {
		return "name:" + strings.Join(words, " ")
	}
	return string(id)
}
