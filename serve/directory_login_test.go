package serve

import (
	"strings"
	"testing"

	"sallyport"
	"sallyport/staff"
)

// TestListedLogsIn: whom only the directory knows logs in at the identity provider as himself, his groups are heard before he is let in, and
// whoever the directory lost is let in no more.
func TestListedLogsIn(t *testing.T) {
	h, idp := gatehouseOf(t), startIDP(t)
	g := h.doors(t, idp, "    - {as: ada, password_file: ada.secret}\n", ", groups: groups",
		"directory: {groups: {eu-agents: {team: eu, role: agent}, eu-leads: {team: eu, role: lead}}}\n")
	newbie := newHome(t, idp)
	idp.As(user("newbie", "groups", []any{"eu-agents", "eu-leads"}))
	if out, err := newbie.run("login", "--no-browser", "--control", g.Control()); err == nil {
		t.Fatalf("somebody whom nobody knows logs in: %s", out)
	}
	say := func(l sallyport.Listed) {
		t.Helper()
		if err := g.staffing.tell(staff.CSV, []sallyport.Listed{l}, nil); err != nil {
			t.Fatal(err)
		}
	}
	say(sallyport.Listed{Staff: "newbie", Name: "New"})
	if out := newbie.must("login", "--no-browser", "--control", g.Control()); !strings.Contains(out, "You are logged in as newbie") {
		t.Errorf("it says %q", out)
	}
	person, _ := g.staffing.person("newbie")
	if person.Place != (sallyport.Place{Team: "eu", Role: "agent"}) || person.Wants.Role != "lead" {
		t.Errorf("by his groups he is %+v and wants %+v", person.Place, person.Wants)
	}
	credential := newbie.credential()
	conn, err := g.byCredential("newbie", credential)
	if err != nil {
		t.Fatal(err)
	}
	var who string
	if err := conn.QueryRow(t.Context(), "SELECT session_user").Scan(&who); err != nil || who != "ada" {
		t.Errorf("he is %q, %v", who, err)
	}
	// A log-in without the claim is one without groups.
	idp.As(user("newbie"))
	newbie.must("login", "--no-browser", "--control", g.Control())
	if person, _ := g.staffing.person("newbie"); person.Place != (sallyport.Place{}) {
		t.Errorf("without groups he is %+v", person.Place)
	}
	credential = newbie.credential()
	say(sallyport.Listed{Staff: "newbie", Name: "New", Inactive: true})
	if _, err := g.byCredential("newbie", credential); err == nil {
		t.Error("who left is let in")
	}
	if out, err := newbie.run("login", "--no-browser", "--control", g.Control()); err == nil {
		t.Errorf("who left logs in: %s", out)
	}
}
