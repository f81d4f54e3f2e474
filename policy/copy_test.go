package policy

import (
	"testing"

	"sallyport"
)

// TestCopy holds the action copy to being denied unless a policy permits it to a service.
func TestCopy(t *testing.T) {
	of := sallyport.Column{Schema: "support", Table: "tickets", Name: "customer_id"}
	email := sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	other := sallyport.Column{Schema: "support", Table: "messages", Name: "ticket_id"}
	rules := copyRules(t, []sallyport.Column{of, email, other}, Copiers{
		Configured: map[string][]sallyport.Staff{email.String(): {"svc_merge", "s050"}},
		Attesters:  map[string][]sallyport.Staff{of.String(): {"svc_router"}},
	})
	for _, c := range []struct {
		what    string
		who     sallyport.Staff
		service bool
		columns []sallyport.Column
		permit  bool
		by      string
	}{
		{"a service that is named", "svc_merge", true, []sallyport.Column{email}, true, "copy.configured"},
		{"one whose word counts", "svc_router", true, []sallyport.Column{of}, true, "copy.reasons"},
		{"a service that is not named", "svc_phone", true, []sallyport.Column{email}, false, ByDefault},
		{"a service that is named for another column", "svc_merge", true, []sallyport.Column{of}, false, ByDefault},
		{"two columns, one of them his", "svc_merge", true, []sallyport.Column{email, of}, false, ByDefault},
		{"a column that nobody is named for", "svc_router", true, []sallyport.Column{other}, false, ByDefault},
		{"a person", "s001", false, []sallyport.Column{email}, false, "copy.people"},
		{"a person who is named all the same", "s050", false, []sallyport.Column{email}, false, "copy.people"},
		{"a person with a service's id", "svc_merge", false, []sallyport.Column{email}, false, "copy.people"},
		{"a log-in of nobody", "login:svc_merge", false, []sallyport.Column{email}, false, "copy.people"},
		{"nothing", "svc_merge", true, nil, false, ByDefault},
	} {
		got := rules.Copy(c.who, c.service, c.columns)
		if got.Action != "copy" || got.Permitted != c.permit || got.Policy != c.by {
			t.Errorf("%s: %+v", c.what, got)
		}
	}
	for _, empty := range []*Set{nil, {}} {
		if got := empty.Copy("svc_merge", true, []sallyport.Column{email}); got.Permitted || got.Policy != ByDefault {
			t.Errorf("rules without policies: %+v", got)
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	of := sallyport.Column{Schema: "support", Table: "tickets", Name: "customer_id"}
	rules := copyRules(b, []sallyport.Column{of}, Copiers{Attesters: map[string][]sallyport.Staff{of.String(): {"svc_router"}}})
	b.ReportAllocs()
	for b.Loop() {
		if !rules.Copy("svc_router", true, []sallyport.Column{of}).Permitted {
			b.Fatal("denied")
		}
	}
}

// copyRules are the default policies about some columns.
func copyRules(t testing.TB, columns []sallyport.Column, c Copiers) *Set {
	t.Helper()
	world := &World{Roles: Roles(), Staff: []Member{{ID: "s050"}}, Services: []Service{{ID: "svc_merge"}, {ID: "svc_router"}, {ID: "svc_phone"}}}
	for _, column := range columns {
		world.Columns = append(world.Columns, Column{Column: column})
	}
	set, problems := Load(Defaults(false), world, c)
	if set == nil {
		t.Fatal(problems)
	}
	return set
}

// TestNobodyCopiesByHand holds people to it also where a company's policies would let them.
func TestNobodyCopiesByHand(t *testing.T) {
	email := sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	set, problems := Load([]Text{{Name: "x.cedar", Content: `@id("all") @because("x") permit (principal, action, resource);`}},
		&World{Roles: Roles(), Staff: []Member{{ID: "s050"}}, Columns: []Column{{Column: email}}}, Copiers{})
	if set == nil {
		t.Fatal(problems)
	}
	if set.Copy("s050", false, []sallyport.Column{email}).Permitted || !set.Copy("svc", true, []sallyport.Column{email}).Permitted {
		t.Error("a person copies, or a service that a policy permits it does not")
	}
}
