package purpose

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// named is the directory of these tests. Other systems call adam by an address of his, too.
func named(name string) (Person, bool) {
	for _, p := range []Person{adam, bea, lead, router} {
		if name == string(p.Staff) || slices.Contains(p.Logins, name) || p.Staff == "s001" && strings.EqualFold(name, "adam@example.com") {
			if p.Staff == "s001" || p.Staff == "s002" || p.Staff == "s003" {
				p.Team = "eu"
			}
			return p, true
		}
	}
	if name == "far" {
		return Person{Staff: "s009", Logins: []string{"s009"}, Team: "us"}, true
	}
	return Person{}, false
}

func judgeOf(t *testing.T, kind string, k Kind) *outside {
	t.Helper()
	u, err := newOutside(kind, k, nil, Options{Named: named, Team: func(p Person) []string {
		if p.Role == "lead" {
			return []string{"s001", "s001_adm", "s002", "s003"}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	u.now = func() time.Time { return noon }
	return u
}

// TestOutsideTicket: what a person made himself is no reason for him, by whatever way it came about.
func TestOutsideTicket(t *testing.T) {
	u := judgeOf(t, "ticket", Kind{Source: "x", Programs: []string{"customer", "trigger"}})
	good := Thing{
		ID: "1", Customers: []sallyport.Subject{"7"}, Assignee: "s001", State: "open", OpenedBy: "customer", AssignedBy: "s003", From: noon.Add(-time.Hour),
	}
	const lately = ", and the customer has not got in touch about it lately"
	for _, c := range []struct {
		name   string
		change func(t *Thing)
		want   string // why it is no reason; empty: it is one
	}{
		{"as it should be", func(*Thing) {}, ""},
		{"by another name of his", func(t *Thing) { t.Assignee = "Adam@Example.com" }, ""},
		{"by another log-in of his", func(t *Thing) { t.Assignee = "s001_adm" }, ""},
		{"assigned by a trigger", func(t *Thing) { t.AssignedBy = "trigger" }, ""},
		{"closed", func(t *Thing) { t.State = "solved" }, "ticket 1 is closed"},
		{"in a state that nobody configured", func(t *Thing) { t.State = "Open" }, "ticket 1 is closed"},
		{"without a state", func(t *Thing) { t.State = "" }, "ticket 1 is closed"},
		{"nobody's", func(t *Thing) { t.Assignee = "" }, "ticket 1 is assigned to nobody"},
		{"a colleague's", func(t *Thing) { t.Assignee = "s002" }, "ticket 1 is somebody else's"},
		{"of somebody whom nobody knows", func(t *Thing) { t.Assignee = "s0011" }, "ticket 1 is somebody else's"},
		{"about nobody", func(t *Thing) { t.Customers = nil }, "ticket 1 is about no customer"},
		{"about two", func(t *Thing) { t.Customers = []sallyport.Subject{"7", "8"} }, "ticket 1 is about several customers; a ticket covers one"},
		{"opened and assigned by himself", func(t *Thing) { t.OpenedBy, t.AssignedBy = "s001", "s001" }, "you opened ticket 1 yourself" + lately},
		{"opened by himself under another name, assigned by a colleague", func(t *Thing) { t.OpenedBy = "adam@example.com" }, "you opened ticket 1 yourself" + lately},
		{"taken", func(t *Thing) { t.AssignedBy = "s001_adm" }, "you assigned ticket 1 to yourself" + lately},
		{"opened by the customer, taken, contacted", func(t *Thing) { t.AssignedBy, t.Contacted = "s001", noon.Add(-time.Hour) }, ""},
		{"taken, contacted long ago", func(t *Thing) { t.AssignedBy, t.Contacted = "s001", noon.Add(-80*time.Hour) }, "you assigned ticket 1 to yourself" + lately},
		{"taken, to be contacted next year", func(t *Thing) { t.AssignedBy, t.Contacted = "s001", noon.Add(9000*time.Hour) }, "you assigned ticket 1 to yourself" + lately},
		{"reopened", func(t *Thing) { t.ReopenedBy = "s001" }, "you reopened ticket 1 yourself" + lately},
		{"reopened by a colleague", func(t *Thing) { t.ReopenedBy = "s002" }, ""},
		{"nobody knows who opened it", func(t *Thing) { t.OpenedBy = "" }, "nothing says who opened ticket 1"},
		{"nobody knows who assigned it", func(t *Thing) { t.AssignedBy = "" }, "nothing says who assigned ticket 1"},
		{"assigned by an account of nobody", func(t *Thing) { t.AssignedBy = "adams-other-account" }, "ticket 1 was assigned by an account whose word does not count"},
		{"assigned by a service that is not named", func(t *Thing) { t.AssignedBy = "svc_router" }, "ticket 1 was assigned by an account whose word does not count"},
		{"reopened by an account of nobody", func(t *Thing) { t.ReopenedBy = "x" }, "ticket 1 was reopened by an account whose word does not count"},
	} {
		thing := good
		c.change(&thing)
		known, refused := u.judge("ticket", adam, &thing)
		if refused != c.want {
			t.Errorf("%s: %q, want %q", c.name, refused, c.want)
		}
		if refused == "" && (!known.Mine || !known.Covers || !known.Open || known.Minutes != 60 || known.Assignee != "s001" || known.Team != "eu") {
			t.Errorf("%s: %+v", c.name, known)
		}
	}
	// A directory may come to call somebody like a program: his own word counts for nothing all the same.
	alike := judgeOf(t, "ticket", Kind{Source: "x", Programs: []string{"adam@example.com"}})
	own := good
	own.OpenedBy, own.AssignedBy = "adam@example.com", "s003"
	if _, refused := alike.judge("ticket", adam, &own); refused != "you opened ticket 1 yourself"+lately {
		t.Errorf("called like a program: %q", refused)
	}
	// The lead assigned it to her agent herself: it is a reason for her once the customer got in touch.
	if _, refused := u.judge("ticket", lead, &good); refused != "you assigned ticket 1"+lately {
		t.Errorf("the lead: %q", refused)
	}
	good.Contacted = noon.Add(-time.Minute)
	known, refused := u.judge("ticket", lead, &good)
	if refused != "" || known.Mine || !known.Contacted || known.Assignee != "s001" || known.Team != "eu" || known.OpenedByProgram != "customer" ||
		known.AssignedBy != "s003" || !known.AssignedBySelf || known.OpenedBySelf {
		t.Errorf("the lead: %q %+v", refused, known)
	}
	good.Assignee = "far"
	if _, refused = u.judge("ticket", lead, &good); refused != "ticket 1 is somebody else's" {
		t.Errorf("the lead, of another team: %q", refused)
	}
}

// TestOutsideCall: a call covers while it is on and a while afterwards, for whoever took it, by the telephony system's word.
func TestOutsideCall(t *testing.T) {
	u := judgeOf(t, "call", Kind{Source: "x", Programs: []string{"pbx", "planner"}, After: "5m", Longest: "1h"})
	on := Thing{ID: "c1", Customers: []sallyport.Subject{"7"}, Assignee: "s001", State: "incoming", OpenedBy: "pbx", From: noon.Add(-10 * time.Minute)}
	planned := Thing{ID: "c1", Customers: []sallyport.Subject{"7"}, Assignee: "s001", State: "scheduled", OpenedBy: "s003", From: noon.Add(4 * time.Minute)}
	for _, c := range []struct {
		name   string
		of     Thing
		change func(t *Thing)
		want   string
	}{
		{"on", on, func(*Thing) {}, ""},
		{"just ended", on, func(t *Thing) { t.Until = noon.Add(-4 * time.Minute) }, ""},
		{"ended", on, func(t *Thing) { t.Until = noon.Add(-6 * time.Minute) }, "call c1 is over"},
		{"never ended", on, func(t *Thing) { t.From = noon.Add(-66 * time.Minute) }, "call c1 is over"},
		{"ends next year", on, func(t *Thing) { t.From, t.Until = noon.Add(-66*time.Minute), noon.Add(9000*time.Hour) }, "call c1 is over"},
		{"not begun", on, func(t *Thing) { t.From = noon.Add(3 * time.Minute) }, "call c1 has not begun"},
		{"no time", on, func(t *Thing) { t.From = time.Time{} }, "nothing says when call c1 began"},
		{"a colleague took it", on, func(t *Thing) { t.Assignee = "s002" }, "call c1 is somebody else's"},
		{"nobody took it", on, func(t *Thing) { t.Assignee = "" }, "call c1 is assigned to nobody"},
		{"written down by himself", on, func(t *Thing) { t.OpenedBy = "s001" }, "call c1 was written down by a person: only the telephony system's word counts"},
		{"written down by a colleague", on, func(t *Thing) { t.OpenedBy = "s002" }, "call c1 was written down by a person: only the telephony system's word counts"},
		{"written down by nobody", on, func(t *Thing) { t.OpenedBy = "" }, "nothing says who reported call c1"},
		{"another program", on, func(t *Thing) { t.OpenedBy = "svc_router" }, "call c1 was reported by an account whose word does not count"},
		{"outgoing", on, func(t *Thing) { t.State = "outgoing" }, "call c1 was begun by us, and nobody else arranged it"},
		{"about two", on, func(t *Thing) { t.Customers = []sallyport.Subject{"7", "8"} }, "call c1 is about several customers; a call covers one"},
		{"arranged by the lead", planned, func(*Thing) {}, ""},
		{"arranged by a program", planned, func(t *Thing) { t.OpenedBy = "planner" }, ""},
		{"arranged by himself", planned, func(t *Thing) { t.OpenedBy = "s001_adm" }, "you arranged call c1 yourself"},
		{"for later", planned, func(t *Thing) { t.From = noon.Add(6 * time.Minute) }, "call c1 has not begun"},
		{"that was yesterday", planned, func(t *Thing) { t.From = noon.Add(-24 * time.Hour) }, "call c1 is over"},
	} {
		thing := c.of
		c.change(&thing)
		known, refused := u.judge("call", adam, &thing)
		if refused != c.want {
			t.Errorf("%s: %q, want %q", c.name, refused, c.want)
		}
		if refused == "" && (!known.Mine || known.Kind != "call" || known.Contacted != (thing.State == "incoming")) {
			t.Errorf("%s: %+v", c.name, known)
		}
	}
	if _, refused := u.judge("call", lead, &on); refused != "call c1 is somebody else's" {
		t.Errorf("the lead, of her agent's call: %q", refused)
	}
}

// TestOutsideJob: a job covers its customers while it is approved by somebody else, in its time.
func TestOutsideJob(t *testing.T) {
	u := judgeOf(t, "job", Kind{Source: "x", Programs: []string{"scheduler"}})
	good := Thing{
		ID: "j1", Customers: []sallyport.Subject{"7", "8"}, Assignee: "s001", State: "approved", OpenedBy: "s001", AssignedBy: "s003",
		From: noon.Add(-time.Hour), Until: noon.Add(time.Hour),
	}
	for _, c := range []struct {
		name   string
		change func(t *Thing)
		want   string
	}{
		{"approved", func(*Thing) {}, ""},
		{"asked for by a program", func(t *Thing) { t.OpenedBy = "scheduler" }, ""},
		{"asked for", func(t *Thing) { t.State = "requested" }, "job j1 is not approved"},
		{"approved by himself", func(t *Thing) { t.AssignedBy, t.OpenedBy = "s001", "s002" }, "you approved job j1 yourself"},
		{"approved by who asked for it", func(t *Thing) { t.AssignedBy, t.OpenedBy = "s002", "s002" }, "job j1 was approved by who asked for it"},
		{"approved by a program", func(t *Thing) { t.AssignedBy = "scheduler" }, "job j1 was approved by a program: a person must"},
		{"approved by nobody", func(t *Thing) { t.AssignedBy = "" }, "nothing says who approved job j1"},
		{"approved by an account of nobody", func(t *Thing) { t.AssignedBy = "boss" }, "job j1 was approved by an account whose word does not count"},
		{"a colleague's", func(t *Thing) { t.Assignee = "s002" }, "job j1 is somebody else's"},
		{"not begun", func(t *Thing) { t.From = noon.Add(time.Minute) }, "job j1 has not begun"},
		{"ended", func(t *Thing) { t.Until = noon }, "job j1 has ended"},
		{"without an end", func(t *Thing) { t.Until = time.Time{} }, "nothing says when job j1 begins and ends"},
		{"about nobody", func(t *Thing) { t.Customers = nil }, "job j1 is about no customer"},
		{"about too many", func(t *Thing) { t.Customers = make([]sallyport.Subject, mostOfJob+1) }, "job j1 is about more than 10000 customers: split it, or have a grant approved"},
	} {
		thing := good
		c.change(&thing)
		known, refused := u.judge("job", adam, &thing)
		if refused != c.want {
			t.Errorf("%s: %q, want %q", c.name, refused, c.want)
		}
		if refused == "" && (!known.Mine || known.AssignedBy != "s003") {
			t.Errorf("%s: %+v", c.name, known)
		}
	}
	service := good
	service.Assignee = "svc_router"
	if known, refused := u.judge("job", router, &service); refused != "" || !known.Mine || known.Assignee != "" {
		t.Errorf("of a service: %q %+v", refused, known)
	}
}
