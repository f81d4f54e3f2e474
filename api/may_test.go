package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport"
	"sallyport/control"
)

// asked are the questions that a server asked policies.
type asked struct {
	mu   sync.Mutex // guards acts
	acts []Act
}

func (a *asked) rules(answer func(Act) Ruling) func(Act) Ruling {
	return func(act Act) Ruling {
		a.mu.Lock()
		a.acts = append(a.acts, act)
		a.mu.Unlock()
		return answer(act)
	}
}

func (a *asked) actions() (out []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, act := range a.acts {
		if !slices.Contains(out, act.Action) {
			out = append(out, act.Action)
		}
	}
	a.acts = nil
	return out
}

// TestRulesAreAsked: nothing that gives an order or reads the record is done of which policies were not asked, by whichever action, and nobody passes whom they
// let do nothing.
func TestRulesAreAsked(t *testing.T) {
	var a asked
	var told []string
	r := start(t, func(c *Config) {
		c.Desk = theDesk(&told)
		c.Rules = a.rules(func(Act) Ruling { return Ruling{} })
	})
	client := r.as("s050")
	for _, c := range []struct{ method, path, action string }{
		{"POST", "/v1/lock", "administer"},
		{"POST", "/v1/unlock", "administer"},
		{"POST", "/v1/trust", "administer"},
		{"POST", "/v1/accept-mark", "administer"},
		{"POST", "/v1/proposals/x/approve", "approve"},
		{"POST", "/v1/proposals/x/decline", "approve"},
		{"POST", "/v1/keys/rotate", "administer"},
		{"POST", "/v1/keys/destroy", "administer"},
		{"POST", "/v1/keys/opening", "administer"},
		{"POST", "/v1/keys/shred", "administer"},
		{"GET", "/v1/keys/shredded", "administer"},
		{"POST", "/v1/protect/states", "administer"},
		{"POST", "/v1/protect/enter", "administer"},
		{"GET", "/v1/protect", "administer"},
		{"POST", "/v1/protect/undo", "administer"},
		{"POST", "/v1/files/propose", "administer"},
		{"POST", "/v1/password/invite", "administer"},
		{"POST", "/v1/directory/import", "administer"},
		{"POST", "/v1/directory/lock-leavers", "administer"},
		{"POST", "/v1/directory/empower", "administer"},
		{"GET", "/v1/directory", "investigate"},
		{"GET", "/v1/directory/x", "investigate"},
		{"GET", "/v1/proposals", "investigate"},
		{"GET", "/v1/proposals/x", "investigate"},
		{"GET", "/v1/who-saw?customer=1", "investigate"},
		{"POST", "/v1/grants/x/review", "investigate"},
		{"GET", "/v1/findings", "investigate"},
		{"POST", "/v1/respond/undo", "administer"},
		{"POST", "/v1/respond/mode", "administer"},
		{"GET", "/v1/program/rotations", "investigate"},
		{"GET", "/v1/drills", "investigate"},
		{"POST", "/v1/program/rotations", "administer"},
		{"POST", "/v1/program/rotations/draw", "administer"},
		{"POST", "/v1/program/reviews", "administer"},
		{"POST", "/v1/program/training/import", "administer"},
	} {
		err := client.call(t.Context(), c.method, c.path, nil, nil)
		if p, ok := errors.AsType[*Problem](err); !ok || p.Status != http.StatusForbidden || p.Code != "not_your_role" {
			t.Errorf("%s %s: %v", c.method, c.path, err)
		}
		if got := a.actions(); !slices.Contains(got, c.action) {
			t.Errorf("%s %s asks about %v, want %s", c.method, c.path, got, c.action)
		}
	}
	for _, path := range []string{"/v1/status", "/v1/waiting", "/v1/grants"} { // of oneself
		want(t, client.call(t.Context(), "GET", path, nil, nil), "")
	}
	n := 0
	for _, line := range r.orders() {
		if strings.HasPrefix(line, string(sallyport.OrderRefused)) {
			n++
		}
	}
	if n != 35 {
		t.Errorf("%d refusals are on record", n)
	}
}

// TestRulesNameGrants: whom a rule of grants names is asked about as one who is named, and a policy that forbids outweighs it; who asked takes it back.
func TestRulesNameGrants(t *testing.T) {
	var told []string
	forbids := sallyport.Staff("")
	r := start(t, func(c *Config) {
		c.Desk = theDesk(&told)
		c.Rules = func(a Act) Ruling {
			if a.Action == "approve" && a.Named && a.Who != forbids && a.Strength == "password" {
				return Ruling{Verdict: sallyport.Reveal}
			}
			return Ruling{Verdict: sallyport.Deny, Policy: "p", Because: "not today", Document: "d#1"}
		}
	})
	ctx := t.Context()
	g, err := r.as("s001").RequestGrant(ctx, asking(1))
	want(t, err, "")
	forbids = "s050"
	_, err = r.as("s050").ApproveGrant(ctx, g.ID)
	want(t, err, "forbidden")
	if !strings.HasPrefix(err.Error(), "Not today (policy p, d#1).") {
		t.Errorf("%v", err)
	}
	_, err = r.as("s050").DeclineGrant(ctx, g.ID, "no")
	want(t, err, "forbidden")
	_, err = r.as("s051").ApproveGrant(ctx, g.ID)
	want(t, err, "")
	_, err = r.as("s001").DeclineGrant(ctx, g.ID, "not needed any more")
	want(t, err, "")
}

// TestSecondOfSecond: who agrees to what a colleague does needs no second person himself, or nobody ever would.
func TestSecondOfSecond(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Rules = func(Act) Ruling {
			return Ruling{Verdict: sallyport.Wait, Second: true, Policy: "p", Because: "under four eyes"}
		}
	})
	ctx := t.Context()
	want(t, r.as("s050").Lock(ctx, "s001", "test"), "second_person")
	var id string
	for _, p := range r.state.Proposals() {
		if p.Action == control.Second {
			id = p.ID
		}
	}
	_, err := r.as("s050").Approve(ctx, id)
	want(t, err, "not_yours_to_decide")
	_, err = r.as("s051").Approve(ctx, id)
	want(t, err, "")
	if r.state.Door("s050").Seconded.IsZero() {
		t.Error("nobody agreed")
	}
}
