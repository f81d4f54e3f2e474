package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

// TestExplain holds an explanation to the policy that decides, and to what would have to be different.
func TestExplain(t *testing.T) {
	set, _ := load(t, false)
	a := Ask{Who: "ada", Action: ActionReveal, Context: usual()}
	a.Column, _ = ParseColumn("support.customers.email")
	a.Context.Purpose = &sallyport.Reason{Kind: Ticket, Open: true, Team: "eu"}
	nearest := set.Explain(a).Policies[:2]
	if diff := cmp.Diff([][]string{{"reason.own-ticket", "context.purpose.mine"}, {"reason.team-ticket", `principal in Role::"lead"`}}, [][]string{
		append([]string{nearest[0].Policy}, nearest[0].Missing...), append([]string{nearest[1].Policy}, nearest[1].Missing...),
	}); diff != "" {
		t.Error(diff)
	}
	a.Context.Purpose.Mine, a.Context.Trust = true, 30
	got := set.Explain(a)
	if got.Ruling.Verdict != sallyport.Wait || got.Policies[0].Policy != "trust.second-person" || !got.Policies[0].Fits || got.Policies[0].Place != "trust.cedar:18" {
		t.Errorf("low trust: %+v", got)
	}
}

// TestExplainAgrees holds every explanation to the ruling: what fits, and nothing else, decides.
func TestExplainAgrees(t *testing.T) {
	set, cases := load(t, false)
	for _, o := range cases.Run(set) {
		permitted, forbidden := false, false
		e := set.Explain(o.Ask)
		for _, said := range e.Policies {
			permitted = permitted || said.Fits && !said.Forbids
			forbidden = forbidden || said.Fits && said.Forbids
		}
		if reveals := e.Ruling.Verdict == sallyport.Reveal && e.Ruling.Respond == Refuse; reveals != (permitted && !forbidden) {
			t.Errorf("%s: %s, permitted %t, forbidden %t", o.Case.Name, e.Ruling.Verdict, permitted, forbidden)
		}
	}
}

// TestWhoCan holds the matrix to the rulings: whoever has no way is never permitted, in whatever situation, and who has one is in some.
func TestWhoCan(t *testing.T) {
	set, _ := load(t, false)
	edges := edgesOf(set)
	ways, known := map[string]int{}, map[string]bool{}
	for _, action := range Actions()[:6] {
		for _, access := range set.WhoCan(action) {
			c := Change{Who: access.Who, Service: access.Service, Action: action, Column: access.Column}
			key := fmt.Sprintln(access.Who[0], action, access.Ways, access.Unless)
			once, ok := known[key]
			if !ok {
				once = c.ever(set, edges)
				known[key] = once
			}
			if once != (len(access.Ways) > 0) {
				t.Errorf("%s %s %v: ways %d, permitted %t", action, access.Column, access.Who, len(access.Ways), once)
			}
			if action == ActionReveal && access.Column.Name == "email" {
				ways[string(access.Who[0])] = len(access.Ways)
			}
		}
	}
	want := map[string]int{"ada": 4, "lea": 5, "luis": 5, "eng": 2, "dba": 2, "sec": 2, "nina": 4, "otto": 0, "gone": 0, "ext": 4, "extl": 5, "svc_billing": 2, "svc_merge": 2, "svc_router": 2}
	if diff := cmp.Diff(want, ways); diff != "" {
		t.Error(diff)
	}
}

// ever tells whether any of many situations permits it.
func (c *Change) ever(s *Set, e *edges) bool {
	r := newRandom()
	for range 1000 {
		a := Ask{Who: c.Who[0], Service: c.Service, Action: c.Action, Column: c.Column, Context: e.draw(r, s.world)}
		if s.Decide(a).Verdict >= sallyport.Wait {
			return true
		}
	}
	return false
}

// TestDiff says who gains and who loses by another set of policies.
func TestDiff(t *testing.T) {
	before, cases := load(t, false)
	if got := Diff(before, before); len(got) > 0 {
		t.Errorf("the same policies: %+v", got)
	}
	world, copiers := cases.World()
	edit := func(from, to string) *Set {
		texts := Defaults(false)
		n := 0
		for i := range texts {
			n += strings.Count(texts[i].Content, from)
			texts[i].Content = strings.ReplaceAll(texts[i].Content, from, to)
		}
		set, problems := Load(texts, world, copiers)
		if n != 1 || set == nil {
			t.Fatalf("%q stands there %d times: %v", from, n, problems)
		}
		return set
	}
	wider := edit(`permit (principal in Role::"lead", action == Action::"reveal", resource)
when {
  context has purpose`, `permit (principal in Team::"eu", action == Action::"reveal", resource)
when {
  context has purpose`)
	gains, loses := map[string]bool{}, map[string]bool{}
	for _, c := range Diff(before, wider) {
		for _, who := range c.Who {
			if len(c.Gains) > 0 {
				gains[string(who)] = true
			}
			if len(c.Loses) > 0 {
				loses[string(who)] = true
			}
		}
		if c.Action != ActionReveal || c.Changed {
			t.Errorf("%+v", c)
		}
	}
	if diff := cmp.Diff([]map[string]bool{{"ada": true, "nina": true, "ext": true}, {"luis": true}}, []map[string]bool{gains, loses}); diff != "" {
		t.Error(diff)
	}
	stricter := Diff(before, edit("context.trust < 60 }\nunless", "context.trust < 70 }\nunless"))
	for _, c := range stricter {
		if len(c.Gains) > 0 || len(c.Loses) == 0 {
			t.Errorf("stricter: %+v", c)
		}
	}
	if len(stricter) == 0 {
		t.Error("stricter: nobody loses anything")
	}
}
