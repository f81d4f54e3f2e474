package grant

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport"
)

type directory map[sallyport.Staff]Member

func (d directory) Member(who sallyport.Staff) (Member, bool) {
	m, ok := d[who]
	return m, ok
}

func need(of int, from string) sallyport.Need { return sallyport.Need{Of: of, From: from} }

func vote(line sallyport.Line, groups ...string) sallyport.GrantVote {
	return sallyport.GrantVote{Groups: groups, Line: line}
}

// TestEnough is the table of who is enough.
func TestEnough(t *testing.T) {
	leads, privacy := need(1, "leads"), need(1, "privacy")
	for _, c := range []struct {
		name  string
		needs [][]sallyport.Need
		votes []sallyport.GrantVote
		want  bool
	}{
		{"one of each", [][]sallyport.Need{{leads, privacy}}, []sallyport.GrantVote{vote("", "leads"), vote("", "privacy")}, true},
		{"two of one group where one of each is needed", [][]sallyport.Need{{leads, privacy}}, []sallyport.GrantVote{vote("", "leads"), vote("", "leads")}, false},
		{"one person in both groups counts once", [][]sallyport.Need{{leads, privacy}}, []sallyport.GrantVote{vote("", "leads", "privacy")}, false},
		{"who is in both makes room for who is in one", [][]sallyport.Need{{leads, privacy}}, []sallyport.GrantVote{vote("", "leads", "privacy"), vote("", "leads")}, true},
		{"the other list", [][]sallyport.Need{{need(2, "privacy")}, {leads, privacy}}, []sallyport.GrantVote{vote("", "privacy"), vote("", "leads")}, true},
		{"half of each list", [][]sallyport.Need{{need(2, "privacy")}, {need(2, "leads")}}, []sallyport.GrantVote{vote("", "privacy"), vote("", "leads")}, false},
		{"two of three", [][]sallyport.Need{{need(2, "leads")}}, []sallyport.GrantVote{vote("", "leads"), vote("", "leads"), vote("", "leads")}, true},
		{"nobody", [][]sallyport.Need{{leads, privacy}}, nil, false},
		{"nothing is needed", nil, []sallyport.GrantVote{vote("", "leads"), vote("", "privacy")}, false},
		{"an empty list", [][]sallyport.Need{{}}, []sallyport.GrantVote{vote("", "leads"), vote("", "privacy")}, false},
		{"one alone, whatever the rule says", [][]sallyport.Need{{leads}}, []sallyport.GrantVote{vote("", "leads"), vote("", "leads")}, false},
		{"the report line alone", [][]sallyport.Need{{need(2, "leads")}}, []sallyport.GrantVote{vote(sallyport.Above, "leads"), vote(sallyport.SameTeam, "leads")}, false},
		{"the report line and somebody else", [][]sallyport.Need{{need(2, "leads")}}, []sallyport.GrantVote{vote(sallyport.Above, "leads"), vote("", "leads")}, true},
	} {
		if got := Enough(c.needs, c.votes); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestEnoughAgainstTrying holds the search for people to one that tries every order.
func TestEnoughAgainstTrying(t *testing.T) {
	groups := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		var line []sallyport.Need
		for range rapid.IntRange(1, 3).Draw(t, "needs") {
			line = append(line, need(rapid.IntRange(1, 2).Draw(t, "of"), rapid.SampledFrom(groups).Draw(t, "from")))
		}
		var votes []sallyport.GrantVote
		for range rapid.IntRange(0, 5).Draw(t, "votes") {
			votes = append(votes, vote("", rapid.SliceOfDistinct(rapid.SampledFrom(groups), rapid.ID).Draw(t, "groups")...))
		}
		var places []string
		for _, n := range line {
			for range n.Of {
				places = append(places, n.From)
			}
		}
		var try func(place int, used []bool) bool
		try = func(place int, used []bool) bool {
			if place == len(places) {
				return true
			}
			for i, v := range votes {
				if !used[i] && slices.Contains(v.Groups, places[place]) {
					used[i] = true
					if try(place+1, used) {
						return true
					}
					used[i] = false
				}
			}
			return false
		}
		want := len(places) >= Fewest && try(0, make([]bool, len(votes)))
		if got := Enough([][]sallyport.Need{line}, votes); got != want {
			t.Fatalf("%v by %v: %v, want %v", line, votes, got, want)
		}
	})
}

// TestLineOf walks report lines up and down, and out of a circle.
func TestLineOf(t *testing.T) {
	d := directory{
		"agent": {Team: "eu", Manager: "lead"}, "lead": {Team: "eu", Manager: "head"}, "head": {Team: "board"}, "other": {Team: "us", Manager: "head"},
		"alone": {Team: "eu"}, "x": {Manager: "y"}, "y": {Manager: "x"},
	}
	for _, c := range []struct {
		who, other sallyport.Staff
		want       sallyport.Line
	}{
		{"agent", "lead", sallyport.Above},
		{"agent", "head", sallyport.Above},
		{"lead", "agent", sallyport.Below},
		{"head", "agent", sallyport.Below},
		{"agent", "other", sallyport.Outside},
		{"agent", "alone", sallyport.Outside}, // his line is known, and this is none of it
		{"alone", "agent", sallyport.SameTeam},
		{"alone", "other", sallyport.Outside},
		{"x", "agent", sallyport.Outside},
		{"agent", "nobody", sallyport.Outside},
	} {
		if got := LineOf(d, c.who, c.other); got != c.want {
			t.Errorf("%s in the line of %s: %q, want %q", c.other, c.who, got, c.want)
		}
	}
}

// TestFit finds the rule of a request, or says what to do.
func TestFit(t *testing.T) {
	class := func(c string) sallyport.Class {
		if strings.HasSuffix(c, "email") {
			return sallyport.Contact
		}
		return sallyport.Identity
	}
	rules := []Rule{
		{Name: "small", For: Group{Roles: []string{"agent"}}, Classes: []sallyport.Class{sallyport.Contact}, Customers: 10, Hours: 8},
		{Name: "named", For: Group{Roles: []string{"agent"}}, Customers: 50, Hours: 24, Named: true},
		{Name: "bulk", For: Group{People: []sallyport.Staff{"svc"}}, Columns: []string{"s.t.email"}, Customers: 1000, Hours: 72},
	}
	agent := Member{Role: "agent"}
	for _, c := range []struct {
		t    sallyport.GrantTerms
		of   Member
		want string
	}{
		{sallyport.GrantTerms{For: "a", Columns: []string{"s.t.email"}, Customers: 10, Minutes: 480}, agent, "small"},
		{sallyport.GrantTerms{For: "a", Columns: []string{"s.t.email"}, Customers: 11, Minutes: 480}, agent, "11 customers are more than the 10 of the rule small"},
		{sallyport.GrantTerms{For: "a", Columns: []string{"s.t.email"}, Customers: 6, Minutes: 480, Others: 5}, agent, "6 customers, and 5 by his other grants of 30 days, are more than"},
		{sallyport.GrantTerms{For: "a", Columns: []string{"s.t.email"}, Customers: 11, Minutes: 480, Only: []sallyport.Subject{"1"}}, agent, "named"},
		{sallyport.GrantTerms{For: "a", Columns: []string{"s.t.email"}, Customers: 11, Minutes: 480, Team: "eu"}, agent, "named"},
		{sallyport.GrantTerms{For: "a", Columns: []string{"s.t.name"}, Customers: 1, Minutes: 1}, agent, "the rule small is not about s.t.name"},
		{sallyport.GrantTerms{For: "a", Columns: []string{"s.t.email"}, Customers: 1, Minutes: 481}, agent, "it would last longer than the 8 hours of the rule small"},
		{sallyport.GrantTerms{For: "a", Columns: []string{"s.t.email"}, Customers: 1, Minutes: 1}, Member{Role: "dba"}, "No rule says who could approve a grant for a. Work by a ticket"},
		{sallyport.GrantTerms{For: "svc", Columns: []string{"s.t.email"}, Customers: 1000, Minutes: 1}, Member{Service: true}, "bulk"},
	} {
		r, err := Fit(rules, &c.t, c.of, class)
		got := fmt.Sprint(err)
		if err == nil {
			got = r.Name
		}
		if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s, want %s", c.t, got, c.want)
		}
	}
}

// TestVote counts nobody who is a service, is gone, or is in no group that is needed.
func TestVote(t *testing.T) {
	d := directory{"a": {Person: "a", Team: "eu", Manager: "l"}, "l": {Person: "l", Role: "lead", Team: "eu"}, "svc": {Role: "lead", Service: true}}
	groups := map[string]Group{"leads": {Roles: []string{"lead"}}, "all": {Teams: []string{"eu"}}, "unasked": {Roles: []string{"lead"}}}
	terms := &sallyport.GrantTerms{Needs: [][]sallyport.Need{{need(1, "leads"), need(1, "all")}, {need(2, "leads")}}}
	if v := Vote(groups, d, "l", terms, "a"); v.Person != "l" || v.Line != sallyport.Above || fmt.Sprint(v.Groups) != "[all leads]" {
		t.Errorf("%+v", v)
	}
	for _, who := range []sallyport.Staff{"svc", "gone"} {
		if v := Vote(groups, d, who, terms, "a"); len(v.Groups) > 0 {
			t.Errorf("%s counts: %+v", who, v)
		}
	}
}

// TestPerson takes all accounts of somebody for one person.
func TestPerson(t *testing.T) {
	if a, b := Person("s1", "Ada  Example"), Person("s2", "ada example"); a != b {
		t.Errorf("%s and %s are two", a, b)
	}
	if Person("s1", "") == Person("s2", "") {
		t.Error("two without a name are one")
	}
}

// TestCheck finds every mistake of rules, at its place.
func TestCheck(t *testing.T) {
	known := Known{People: []sallyport.Staff{"a", "b"}, Services: []sallyport.Staff{"svc"}, Roles: []string{"lead"}, Teams: []string{"eu"}, Columns: []string{"s.t.email"}}
	good := Rule{Name: "r", For: Group{People: []sallyport.Staff{"svc"}}, Columns: []string{"s.t.email"}, Customers: 1, Hours: 1, Approvals: [][]sallyport.Need{{need(2, "two")}}}
	groups := map[string]Group{"two": {People: []sallyport.Staff{"a", "b"}}}
	if found := Check([]Rule{good}, groups, known); len(found) > 0 {
		t.Errorf("a good rule: %v", found)
	}
	bad := Rule{
		For: Group{People: []sallyport.Staff{"x"}, Roles: []string{"boss"}, Teams: []string{"no"}}, Columns: []string{"s.t.x"}, Classes: []sallyport.Class{"secret"},
		Approvals: [][]sallyport.Need{{need(1, "none")}, {need(0, "two")}, {need(3, "two")}},
	}
	groups["empty"], groups["service"] = Group{}, Group{People: []sallyport.Staff{"svc"}}
	got := map[string]bool{}
	for _, p := range Check([]Rule{bad, {Name: "r", Customers: 1, Hours: 1}}, groups, known) {
		got[p.Path] = true
	}
	for _, path := range []string{
		"groups.empty", "groups.service.people[0]", "rules[0].name", "rules[0].for.people[0]", "rules[0].for.roles[0]", "rules[0].for.teams[0]", "rules[0].customers", "rules[0].hours",
		"rules[0].columns[0]", "rules[0].classes[0]", "rules[0].approvals[0]", "rules[0].approvals[0][0].from", "rules[0].approvals[1][0].of", "rules[0].approvals[2][0].of", "rules[1].approvals",
	} {
		if !got[path] {
			t.Errorf("nothing is said about %s", path)
		}
		delete(got, path)
	}
	for path := range got {
		if path != "rules[0].approvals[1]" { // nobody approves by it, which is said at its number, too
			t.Errorf("unexpected: %s", path)
		}
	}
}
