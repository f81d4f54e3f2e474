package policy

import (
	"testing"

	"sallyport"
)

// open is a company's own policies that forgot everything but whom they open to.
func open(t *testing.T) *Set {
	t.Helper()
	world := &World{
		Roles: Roles(), Staff: []Member{{ID: "s001", Role: "agent"}},
		Columns: []Column{{Column: sallyport.Column{Schema: "support", Table: "customers", Name: "email"}, Class: sallyport.Contact, Scheme: sallyport.Email}},
	}
	set, problems := Load([]Text{{Name: "own.cedar", Content: `@id("open") @because("everybody reads") permit (principal in Role::"agent", action, resource);`}}, world, Copiers{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// TestMD5NeverReveals holds under policies that open everything to every log-in.
func TestMD5NeverReveals(t *testing.T) {
	set := open(t)
	email := sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	for _, strength := range Strengths() {
		for _, action := range []string{ActionReveal, ActionExport} {
			r := set.Decide(Ask{Who: "s001", Action: action, Column: email, Context: Context{Strength: strength, Trust: 100, MFAMinutes: 0, SecondMinutes: 0}})
			if got, want := r.Verdict == sallyport.Reveal, strength != ByMD5; got != want {
				t.Errorf("%s after a log-in by %s: %s", action, strength, r.Verdict)
			}
			if strength == ByMD5 && r.Because != md5Proves {
				t.Errorf("the person reads %q", r.Because)
			}
		}
	}
}
