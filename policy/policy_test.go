package policy

import (
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go"

	"sallyport"
)

func TestActiveGrants(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	good := Grant{
		ID: "g1", For: "svc_billing", Columns: []string{"support.customers.email"}, Customers: 10, Until: now.Add(time.Hour),
		ApprovedBy: []sallyport.Staff{"s050", "s051"},
	}
	for _, c := range []struct {
		what   string
		change func(*Grant)
		active bool
	}{
		{"as it should be", func(*Grant) {}, true},
		{"for somebody else", func(g *Grant) { g.For = "s001" }, false},
		{"its last nanosecond", func(g *Grant) { g.Until = now.Add(1) }, true},
		{"over this very moment", func(g *Grant) { g.Until = now }, false},
		{"without an end", func(g *Grant) { g.Until = time.Time{} }, false},
		{"one approver", func(g *Grant) { g.ApprovedBy = g.ApprovedBy[:1] }, false},
		{"one approver twice", func(g *Grant) { g.ApprovedBy = []sallyport.Staff{"s050", "s050"} }, false},
		{"its own beneficiary", func(g *Grant) { g.ApprovedBy = []sallyport.Staff{"s050", "svc_billing"} }, false},
		{"its own beneficiary beside two", func(g *Grant) { g.ApprovedBy = append(g.ApprovedBy[:2:2], "svc_billing") }, false},
		{"an approver without a name", func(g *Grant) { g.ApprovedBy = []sallyport.Staff{"s050"} }, false},
		{"no customers", func(g *Grant) { g.Customers = 0 }, false},
		{"no columns", func(g *Grant) { g.Columns = nil }, false},
		{"no id", func(g *Grant) { g.ID = "" }, false},
	} {
		g := good
		c.change(&g)
		if got := len(ActiveGrants([]Grant{g}, now, "svc_billing")) == 1; got != c.active {
			t.Errorf("%s: active is %v", c.what, got)
		}
	}
}

func TestChoose(t *testing.T) {
	until := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	email := sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	short := Grant{ID: "a", Columns: []string{email.String()}, Until: until}
	long := Grant{ID: "c", Columns: []string{email.String()}, Until: until.Add(time.Hour)}
	twin := Grant{ID: "b", Columns: []string{email.String()}, Until: until.Add(time.Hour)}
	for _, order := range [][]Grant{{short, long, twin}, {twin, long, short}, {long, short, twin}} {
		if got := Choose(order, email); got == nil || got.ID != "b" {
			t.Errorf("chose %v of %v", got, order)
		}
	}
	if got := Choose([]Grant{long}, sallyport.Column{}); got != nil {
		t.Errorf("chose %v for a column that nobody granted", got)
	}
}

// TestDemonstrated: in a demonstration nobody confirms who he is before his own budget is used up; with a shared one he does.
func TestDemonstrated(t *testing.T) {
	set, _ := load(t, true)
	for id, want := range map[string]bool{"budget.step-up": false, "budget.shared-step-up": true, "budget.shared-slow": true} {
		if got := set.rules[cedar.PolicyID(id)] != nil; got != want {
			t.Errorf("%s holds in a demonstration: %t", id, got)
		}
	}
}
