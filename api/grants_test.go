package api

import (
	"context"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/grant"
)

// theDesk is one by whose rule two leads or security approve five customers at most. What it tells goes to told.
func theDesk(told *[]string) *Desk {
	person := func(who sallyport.Staff) string { return "person of " + string(who) }
	return &Desk{
		Complete: func(_ context.Context, by sallyport.Staff, t *sallyport.GrantTerms, _ []string) error {
			t.Person, t.Usual = person(by), sallyport.Usual{Median: 2, Most: 3, Days: 4}
			return nil
		},
		Fit: func(t *sallyport.GrantTerms) error {
			if t.Customers+t.Others > 50 {
				return &grant.Refusal{Sentence: "Too many.", Hint: "Ask for less."}
			}
			t.Rule, t.Needs = "small", [][]sallyport.Need{{{Of: 2, From: "overseers"}}}
			return nil
		},
		Vote: func(by sallyport.Staff, _ *control.Grant) sallyport.GrantVote {
			v := sallyport.GrantVote{Person: person(by)}
			if by == "s050" || by == "s051" || by == "s060" {
				v.Groups = []string{"overseers"}
			}
			return v
		},
		Service: func(who sallyport.Staff) bool { return who == "svc_billing" },
		Use: func(context.Context, *control.Grant) (sallyport.GrantUse, error) {
			return sallyport.GrantUse{Customers: 1}, nil
		},
		Tell: func(what string, g *control.Grant) { *told = append(*told, what+" "+string(g.By)) },
	}
}

func asking(customers int) GrantRequest {
	return GrantRequest{Columns: []string{"support.customers.email"}, Customers: customers, Minutes: 60, Reason: "r"}
}

// TestGrants asks, approves and ends over the socket, as who may and who may not.
func TestGrants(t *testing.T) {
	var told []string
	r := start(t, func(c *Config) { c.Desk = theDesk(&told) })
	ctx := t.Context()
	g, err := r.as("s001").RequestGrant(ctx, asking(5))
	want(t, err, "")
	if g.Asked != 5 || g.Usual.Most != 3 || g.Needs != "2 of overseers" || g.MayDecide {
		t.Errorf("%+v", g)
	}
	for who, waits := range map[sallyport.Staff]int{"s001": 0, "s050": 1, "s051": 1} { // the request
		if status, err := r.as(who).Status(ctx); err != nil || status.ToDecide != waits {
			t.Errorf("%d requests wait for %s, want %d (%v)", status.ToDecide, who, waits, err)
		}
	}
	_, err = r.as("s001").RequestGrant(ctx, asking(46)) // with the five
	want(t, err, "no_rule")
	for _, c := range []struct {
		q    GrantRequest
		code string
	}{
		{GrantRequest{For: "s050", Columns: []string{"c"}, Customers: 1, Minutes: 1, Reason: "r"}, "not_for_others"},
		{GrantRequest{Columns: []string{"c"}, Customers: 1, Minutes: 1}, "no_reason"},
		{GrantRequest{Customers: 1, Minutes: 1, Reason: "r"}, "bad_request"},
		{GrantRequest{Columns: []string{"c"}, Customers: 1, Minutes: 1, Reason: "r", Only: []sallyport.Subject{"1"}, Team: "eu"}, "bad_request"},
		{GrantRequest{Columns: []string{"c"}, Customers: 1, Minutes: 1, Reason: "r", Only: []sallyport.Subject{"1", "2"}}, "bad_request"},
	} {
		_, err := r.as("s001").RequestGrant(ctx, c.q)
		want(t, err, c.code)
	}
	_, err = r.as("s001").ApproveGrant(ctx, g.ID)
	want(t, err, "not_yours_to_decide")
	_, err = r.as("s050").ApproveGrant(ctx, g.ID)
	want(t, err, "")
	_, err = r.as("s050").Approve(ctx, g.ID)
	want(t, err, "no_such_proposal")
	if g, err = r.as("s060").ApproveGrant(ctx, g.ID); err != nil || g.Status != "active" {
		t.Errorf("%+v, %v", g, err)
	}
	if g, err = r.as("s051").Grant(ctx, g.ID); err != nil || g.Use == nil || g.Use.Customers != 1 || len(g.Votes) != 2 {
		t.Errorf("%+v, %v", g, err)
	}
	_, err = r.as("s051").EndGrant(ctx, g.ID, "enough")
	want(t, err, "")
	_, err = r.as("s051").EndGrant(ctx, g.ID, "again")
	want(t, err, "not_yours_to_decide")

	forProgram, err := r.as("s001").RequestGrant(ctx, GrantRequest{For: "svc_billing", Columns: []string{"c"}, Customers: 1, Minutes: 1, Reason: "r"})
	want(t, err, "")
	_, err = r.as("s001").ApproveGrant(ctx, forProgram.ID)
	want(t, err, "not_yours_to_decide")
	late, err := r.as("s001").RequestGrant(ctx, asking(1))
	want(t, err, "")
	r.clock.add(24 * time.Hour)
	_, err = r.as("s050").ApproveGrant(ctx, late.ID)
	want(t, err, "not_yours_to_decide")
	r.clock.add(-20 * time.Hour) // a clock that is set back
	_, err = r.as("s050").ApproveGrant(ctx, late.ID)
	want(t, err, "not_yours_to_decide")
	if got := strings.Join(told, ", "); got != "requested s001, approved s001, active s001, ended s001, requested s001, requested s001" {
		t.Error(got)
	}
	for range mostAsked {
		_, err = r.as("s060").RequestGrant(ctx, asking(1))
		want(t, err, "")
	}
	_, err = r.as("s060").RequestGrant(ctx, asking(1))
	want(t, err, "too_many_requests")
}

// TestAlwaysEachOther: two who approve each other's requests every time are told of, from the second time each way on.
func TestAlwaysEachOther(t *testing.T) {
	var told []string
	r := start(t, func(c *Config) { c.Desk = theDesk(&told) })
	ctx := t.Context()
	notes := 0
	for range 3 {
		for _, pair := range [][2]sallyport.Staff{{"s050", "s051"}, {"s051", "s050"}} {
			g, err := r.as(pair[0]).RequestGrant(ctx, asking(1))
			want(t, err, "")
			g, err = r.as(pair[1]).ApproveGrant(ctx, g.ID)
			want(t, err, "")
			if strings.Contains(g.Votes[0].Note, "the same two always approve each other") {
				notes++
			}
			if g, err = r.as("s060").ApproveGrant(ctx, g.ID); err != nil || g.Votes[1].Note != "" {
				t.Errorf("%+v, %v", g.Votes, err)
			}
		}
	}
	if notes != 3 {
		t.Errorf("%d notices", notes)
	}
}

// TestMisused: who misused a break-glass is suspended by its review.
func TestMisused(t *testing.T) {
	var told []string
	r := start(t, func(c *Config) { c.Desk = theDesk(&told) })
	ctx := t.Context()
	q := asking(2)
	q.Incident = "INC-1"
	_, err := r.as("s050").BreakGlass(ctx, q)
	want(t, err, "confirm_first")
	want(t, r.as("s050").Confirm(ctx), "")
	g, err := r.as("s050").BreakGlass(ctx, q)
	want(t, err, "")
	_, err = r.as("s050").ReviewGlass(ctx, g.ID, "justified", "r")
	want(t, err, "not_yours_to_decide")
	_, err = r.as("s051").ReviewGlass(ctx, g.ID, "misused", "")
	want(t, err, "no_reason")
	if g, err = r.as("s051").ReviewGlass(ctx, g.ID, "misused", "looked up a neighbour"); err != nil || g.Review.Finding != "misused" {
		t.Errorf("%+v, %v", g, err)
	}
	if !r.state.Standing("s050").Suspended {
		t.Error("he goes on")
	}
	heard := 0
	c := r.as("s060")
	c.Heard = func(string) { heard++ }
	_, err = c.Status(ctx)
	want(t, err, "")
	if heard != 0 {
		t.Error("a break-glass that was reviewed is told of")
	}
}
