package policy

import (
	"slices"
	"testing"

	"sallyport"
)

// office is a company for questions about Sallyport itself.
func office() *World {
	return &World{Roles: Roles(), Teams: []string{"eu"}, Staff: []Member{
		{ID: "ada", Role: "agent", Team: "eu"}, {ID: "lea", Role: "lead", Team: "eu"}, {ID: "sec", Role: "security"}, {ID: "gone", Role: "lead", Employment: "left"},
	}, Services: []Service{{ID: "svc"}}, Columns: []Column{{Column: sallyport.Column{Schema: "s", Table: "t", Name: "email"}, Class: sallyport.Contact, Scheme: sallyport.Email}}}
}

func officeSet(t *testing.T, text string) *Set {
	t.Helper()
	set, problems := Load([]Text{{Name: "own.cedar", Content: text}}, office(), Copiers{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// TestSallyportItself holds policies to what they permit of Sallyport itself: those that say nothing are completed, and those that say something are
// what holds.
func TestSallyportItself(t *testing.T) {
	const reasons = `@id("r") @because("r") permit (principal, action == Action::"reveal", resource);`
	for _, c := range []struct {
		name, text string
		may        map[string][]sallyport.Staff
	}{
		{"policies from before", reasons, map[string][]sallyport.Staff{
			ActionApprove: {"gone", "lea", "sec"}, ActionInvestigate: {"gone", "lea", "sec"}, ActionAdminister: {"gone", "lea", "sec"},
		}},
		{"the program's own", Defaults(false)[0].Content + Defaults(false)[4].Content, map[string][]sallyport.Staff{
			ActionApprove: {"lea", "sec"}, ActionInvestigate: {"lea", "sec"}, ActionAdminister: {"lea", "sec"},
		}},
		{"some of it said", reasons + `@id("a") @because("a") permit (principal == Staff::"ada", action == Action::"approve", resource);`, map[string][]sallyport.Staff{
			ActionApprove: {"ada"}, ActionInvestigate: {"gone", "lea", "sec"}, ActionAdminister: {"gone", "lea", "sec"},
		}},
		{"a forbid outweighs what completes", `@id("f") @because("f") forbid (principal in Role::"lead", action == Action::"administer", resource);`, map[string][]sallyport.Staff{
			ActionApprove: {"gone", "lea", "sec"}, ActionInvestigate: {"gone", "lea", "sec"}, ActionAdminister: {"sec"},
		}},
		{"nobody", `@id("f") @because("f") forbid (principal, action == Action::"approve", resource);`, map[string][]sallyport.Staff{
			ActionInvestigate: {"gone", "lea", "sec"}, ActionAdminister: {"gone", "lea", "sec"},
		}},
		{"only at night, which is somewhen", `@id("n") @because("n") permit (principal in Role::"security", action == Action::"approve", resource) when { context.hour > 22 };`, map[string][]sallyport.Staff{
			ActionApprove: {"sec"}, ActionInvestigate: {"gone", "lea", "sec"}, ActionAdminister: {"gone", "lea", "sec"},
		}},
		{"whom the configuration names does not count", `@id("n") @because("n") permit (principal, action == Action::"approve", resource) when { context.named };`, map[string][]sallyport.Staff{
			ActionInvestigate: {"gone", "lea", "sec"}, ActionAdminister: {"gone", "lea", "sec"},
		}},
	} {
		set := officeSet(t, c.text)
		for _, action := range []string{ActionApprove, ActionInvestigate, ActionAdminister} {
			if got := set.Could(action); !slices.Equal(got, c.may[action]) {
				t.Errorf("%s: %v could %s, want %v", c.name, got, action, c.may[action])
			}
		}
	}
}

// TestNamed lets whom the configuration names approve and replicate, whatever policies leave out, and not what they forbid.
func TestNamed(t *testing.T) {
	set := officeSet(t, `@id("f") @because("not ada") forbid (principal == Staff::"ada", action in [Action::"approve", Action::"replicate"], resource);`)
	column := sallyport.Column{Schema: "s", Table: "t"}
	for _, c := range []struct {
		who     sallyport.Staff
		service bool
		action  string
		named   bool
		want    sallyport.Verdict
		by      string
	}{
		{"svc", true, ActionReplicate, true, sallyport.Reveal, named},
		{"svc", true, ActionReplicate, false, sallyport.Deny, ByDefault},
		{"login:x", false, ActionReplicate, true, sallyport.Reveal, named},
		{"ada", false, ActionReplicate, true, sallyport.Deny, "f"},
		{"ada", false, ActionApprove, true, sallyport.Deny, "f"},
		{"lea", false, ActionApprove, true, sallyport.Reveal, "sallyport.leads,sallyport.named"},
		{"svc", true, ActionAdminister, true, sallyport.Deny, ByDefault},
	} {
		context := usual()
		context.Named = c.named
		r := set.Decide(Ask{Who: c.who, Service: c.service, Action: c.action, Column: column, Context: context})
		if r.Verdict != c.want || r.Policy() != c.by {
			t.Errorf("%s %s, named %v: %v by %s", c.who, c.action, c.named, r.Verdict, r.Policy())
		}
	}
}

// TestDiffSallyport tells who gains and who loses what about Sallyport itself.
func TestDiffSallyport(t *testing.T) {
	before := officeSet(t, `@id("r") @because("r") permit (principal, action == Action::"reveal", resource);`)
	after := officeSet(t, `@id("r") @because("r") permit (principal, action == Action::"reveal", resource);
		@id("a") @because("a") permit (principal == Staff::"ada", action == Action::"approve", resource);`)
	gains, loses := map[sallyport.Staff]bool{}, map[sallyport.Staff]bool{}
	for _, c := range Diff(before, after) {
		if c.Action != ActionApprove {
			t.Errorf("a change of %s", c.Action)
		}
		for _, who := range c.Who {
			gains[who], loses[who] = len(c.Gains) > 0, len(c.Loses) > 0
		}
	}
	if !gains["ada"] || loses["ada"] || !loses["lea"] || !loses["sec"] || gains["sec"] {
		t.Errorf("gains %v, loses %v", gains, loses)
	}
}
