package policy

import (
	"slices"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"pgregory.net/rapid"

	"sallyport"
)

// scopes are policies with every scope that there is, about people who are in it and others.
const scopes = `
@id("sa") @because("a") permit (principal == Staff::"p", action == Action::"reveal", resource == Column::"s.t.c");
@id("sb") @because("b") permit (principal in Role::"agent", action in [Action::"reveal", Action::"search"], resource in Class::"contact");
@id("sc") @because("c") permit (principal is Staff in Role::"lead", action, resource is Column in Table::"s.t") when { context.trust > 1 };
@id("sd") @because("d") forbid (principal is Service, action == Action::"reveal", resource is Column);
@id("se") @because("e") forbid (principal in Team::"north", action == Action::"search", resource) unless { context has mfaMinutes };
@id("sf") @because("f") permit (principal, action == Action::"query", resource == Table::"s.t");
`

// TestScopesAsCedar holds what is decided by scopes looked at here, and by those parts of the context that are read, to what cedar decides by whole policies
// and the whole context.
func TestScopesAsCedar(t *testing.T) {
	w := &World{
		Teams: []string{"north", "south"}, Roles: Roles(), Staff: []Member{{ID: "p", Role: "agent", Team: "north"}, {ID: "q", Role: "lead", Team: "south"}}, Services: []Service{{ID: "v", Team: "north"}},
		Columns: []Column{{Column: sallyport.Column{Schema: "s", Table: "t", Name: "c"}, Class: sallyport.Contact}, {Column: sallyport.Column{Schema: "s", Table: "u", Name: "d"}, Class: sallyport.Identity}},
	}
	var sets []*Set
	for _, texts := range [][]Text{{{Name: "scopes.cedar", Content: scopes}}, {{Name: "odd.cedar", Content: odd}}, Defaults(false), Defaults(true)} {
		set, problems := Load(texts, w, Copiers{})
		if set == nil {
			t.Fatal(problems)
		}
		sets = append(sets, set)
	}
	fits := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		a := Ask{Context: anyContext(t)}
		for _, a.Who = range []sallyport.Staff{"p", "q", "v", "nobody"} {
			a.Service = a.Who == "v"
			for _, a.Action = range Actions() {
				for _, a.Column = range []sallyport.Column{w.Columns[0].Column, w.Columns[1].Column, {Schema: "s", Table: "x", Name: "y"}} {
					for _, s := range sets {
						if want, got := s.byCedar(a), s.byScope(a); !slices.Equal(want, got) {
							t.Fatalf("%+v: cedar decides by %q, this by %q", a, want, got)
						} else {
							for _, id := range want {
								fits[id] = true
							}
						}
					}
				}
			}
		}
	})
	for _, id := range []string{"sa", "sb", "sc", "sd", "se", "sf"} {
		if !fits[id] {
			t.Errorf("%s never fitted: the questions prove little", id)
		}
	}
}

// anyContext makes one up.
func anyContext(t *rapid.T) Context {
	small := func(name string) int64 { return rapid.Int64Range(-1, 3).Draw(t, name) }
	c := Context{
		Strength: rapid.SampledFrom(Strengths()).Draw(t, "strength"), Trust: small("trust") * 50, MFAMinutes: small("mfa"), SecondMinutes: small("second"),
		SeenHour: small("seen"), Hour: small("hour"), SeenDay: small("day"), BudgetUsed: small("used") * 50, SharedUsed: small("shared") * 50,
	}
	if rapid.Bool().Draw(t, "purposed") {
		c.Purpose = &sallyport.Reason{
			Kind: Ticket, Covers: rapid.Bool().Draw(t, "covers"), Open: rapid.Bool().Draw(t, "open"), Mine: rapid.Bool().Draw(t, "mine"), Minutes: small("minutes"), Looks: small("looks"),
			Team: rapid.SampledFrom([]string{"", "north", "south"}).Draw(t, "team"), OpenedBySelf: rapid.Bool().Draw(t, "opened"), Contacted: rapid.Bool().Draw(t, "contacted"),
		}
	}
	if rapid.Bool().Draw(t, "granted") {
		c.Grant = &Granted{ID: "g", Customers: 5, Left: 2}
	}
	return c
}

// byCedar is what cedar makes of the policies as they were written.
func (s *Set) byCedar(a Ask) (ids []string) {
	request := a.request(nil)
	for _, list := range []policies{s.permits[a.Action], s.forbids[a.Action]} {
		_, d := cedar.Authorize(plain(list), s.knowing(request.Principal), request)
		ids = append(ids, decided(d)...)
	}
	return ids
}

// byScope is what decide makes of them.
func (s *Set) byScope(a Ask) (ids []string) {
	request := a.request(s.reads[a.Action])
	entities := s.knowing(request.Principal)
	for _, list := range []policies{s.permits[a.Action], s.forbids[a.Action]} {
		_, d := cedar.Authorize(list.about(entityOf(entities, request.Principal), entityOf(entities, request.Resource)), entities, request)
		ids = append(ids, decided(d)...)
	}
	return ids
}

// plain are the policies as they were written.
func plain(list policies) cedar.PolicyMap {
	m := cedar.PolicyMap{}
	for _, r := range list {
		m[cedar.PolicyID(r.id)] = r.policy
	}
	return m
}

// decided are the ids of those that fitted or could not be evaluated.
func decided(d types.Diagnostic) (ids []string) {
	for _, r := range d.Reasons {
		ids = append(ids, string(r.PolicyID))
	}
	for _, e := range d.Errors {
		ids = append(ids, string(e.PolicyID)+" failed")
	}
	slices.Sort(ids)
	return ids
}

// TestNobodyIsDeeper holds the world to what matches relies on: what people, services and columns are in is itself in nothing.
func TestNobodyIsDeeper(t *testing.T) {
	set, _ := load(t, false)
	for uid, e := range set.entities {
		for parent := range e.Parents.All() {
			if known, ok := set.entities[parent]; ok && known.Parents.Len() > 0 {
				t.Errorf("%s is in %s, which is in something itself", uid, parent)
			}
		}
	}
}
