package console

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/drill"
)

// shows has a stage answer what the program itself answers in serve: how people work, what is protected, what policies say, which drills there are.
func shows(c *api.Config, now func() time.Time) {
	c.Known = func(who sallyport.Staff) bool { return strings.HasPrefix(string(who), "s0") }
	c.Work = &api.Work{
		Sums: func(context.Context, time.Time) ([]api.WorkSum, bool) {
			return []api.WorkSum{
				{Staff: "s001", Peers: "role agent", Days: 20, Customers: 412.5, Unexplained: 61.25, Expected: 8.5, Last: now()},
				{Staff: "s051", Peers: "role lead", Days: 12, Customers: 80, Unexplained: 2.5, Expected: 3, Last: now()},
				{Staff: "s050", Peers: "role lead", Days: 9, Customers: 41, Unexplained: 1, Expected: 2, Last: now()},
			}, true
		},
		Profile: func(_ context.Context, who sallyport.Staff) (p api.WorkProfile, ok bool) {
			p = api.WorkProfile{Peers: "role agent", Of: 40}
			for i := range 45 {
				bare := float64(i%5) / 4
				if i > 38 {
					bare = float64(6 * (i - 38))
				}
				p.Days = append(p.Days, api.WorkDay{Day: now().AddDate(0, 0, i-44), Customers: 18 + float64(i*7%11) + bare, Unexplained: bare, Expected: 0.5, Peers: 0.4 + float64(i%3)/10})
			}
			return p, who == "s001"
		},
	}
	at := 0.417
	tables := []api.DataTable{{Table: "support.customers", Path: "id", Columns: []api.DataColumn{
		{Column: "email", Class: "contact", Scheme: "email", Group: "email", State: "protected"}, {Column: "notes", Class: "content", Scheme: "text", Group: "text", State: "moving in", Moved: &at},
	}}}
	c.DataTables = func(context.Context) []api.DataTable { return tables }
	c.Holdings = func(context.Context) api.Holdings {
		ways := []api.ReachWay{{Policy: "reason.own-ticket", If: `context has purpose && context.purpose.mine`}}
		return api.Holdings{
			Database: "support", Customers: "support.customers (id)", Drift: []api.DataDrift{{Where: "columns.support.customers.fax", What: hostile}},
			Tables: tables,
			Reach: []api.Reach{
				{Roles: []string{"agent"}, Who: []sallyport.Staff{"s001"}, Count: 40, Column: "support.customers.email", Class: "contact", Ways: ways, Unless: []api.ReachWay{{Policy: "people.gone", If: "principal.left"}}},
				{Roles: []string{"agent"}, Who: []sallyport.Staff{"s001"}, Count: 40, Column: "support.customers.notes", Class: "content", Ways: []api.ReachWay{}, Unless: []api.ReachWay{}},
				{Roles: []string{}, Who: []sallyport.Staff{"svc_mail"}, Count: 1, Service: true, Column: "support.customers.email", Class: "contact", Ways: []api.ReachWay{{Policy: "work.mail"}}, Unless: []api.ReachWay{}},
			},
		}
	}
	c.Rotations = func() []api.Rotation {
		return []api.Rotation{{Group: "email", From: 1, To: 2, State: "renewing", Seen: 0.4, Remaining: "12m0s"}}
	}
	c.Rulebook = &api.Rulebook{
		Policies: func() (api.Policies, error) {
			return api.Policies{
				Policies: []api.PolicyText{
					{ID: "reason.own-ticket", Effect: "permit", Because: "it is your own ticket", Document: "access-policy.md#2.1", Paragraph: "2.1 Whoever has an open ticket of his own reads the customer that it is about.", Place: "reasons.cedar:4", Text: "@id(\"reason.own-ticket\")\npermit (principal, action == Action::\"reveal\", resource)\nwhen { context.purpose.mine };"},
					{ID: "people.gone", Effect: "forbid", Because: hostile, Place: "people.cedar:9", Text: "forbid (principal, action, resource);"},
				},
				Documents: []api.WrittenDoc{{Name: "access-policy.md", Version: strings.Repeat("ab", 32), Paragraphs: 31, Readers: 40, Have: 38, Parts: []api.DataDrift{{Where: "access-policy.md#4.9", What: "nothing enforces it"}}}},
				Cases:     []api.PolicyCase{{Case: "a ticket of his own", Place: "cases.yaml:3", Want: "reveal", Got: "deny by default"}}, Passed: 61,
			}, nil
		},
		Replay: func(_ context.Context, days, percent int) (json.RawMessage, error) {
			return json.RawMessage(`{"from":"2026-02-01T00:00:00Z","until":"2026-03-02T09:00:00Z","accesses":4100,"values":9000,"hash":"00ff","assumes":["that people were at work"],
				"refused":[{"policy":"budget revealed/day","because":"the budget is used up","what":"cut","accesses":12,"new":12,"customers":9,"people":1}],
				"people":[{"staff":"p-aaaaaaaaaa","customers":210,"accesses":400,"refused":12,"missing":9,"cuts":2,"cut":{"at":"2026-02-14T10:00:00Z","measure":"customers","window":"day","count":20}}]}`), nil
		},
	}
	took := 4.5
	played := drill.Report{Drill: "support-2019", ID: "7", Story: "An agent takes customers one by one.", State: "ended", Acts: true, Began: now(), Ended: now(), Accounts: []string{"drill1"}, Customers: 120, Asked: 40, Lost: 2, Score: 95, Detect: &took, Contain: &took}
	report, _ := json.Marshal(played) // of plain fields
	c.Drills = &api.Drills{
		Start: func(sallyport.Staff, string, string) (string, error) { return "7", nil },
		Plans: func() []api.DrillPlan {
			return []api.DrillPlan{{Name: "support-2019", Story: "An agent takes customers one by one.", Accounts: 1}, {Name: "pair", Story: "Two share it.", Accounts: 2, Missing: "The configuration names 1 account."}}
		},
		Runs: func() []drill.Run {
			return []drill.Run{{ID: "3", Drill: "pair", Began: now(), Ended: now(), Note: "cut off by a stop"}, {ID: "7", Drill: "support-2019", Began: now(), Ended: now(), Note: hostile, Report: &played}}
		},
		Report: func(id string) (json.RawMessage, bool) { return report, id == "7" },
	}
}

// TestPeople shows how somebody works by pseudonym, by name once two people agreed, and nobody himself.
func TestPeople(t *testing.T) {
	s := newStage(t)
	id, who := s.found("s001"), s.names.Person("s001")
	b := s.as("s050")
	a := b.get("/people").is(t, http.StatusOK).has(t, who, "413", "61.2", s.names.Person("s051"))
	if strings.Contains(a.body, "s001") || strings.Contains(a.body, s.names.Person("s050")) {
		t.Errorf("the list names somebody, or himself:\n%s", a.body)
	}
	fatal(t, s.orders.Give(nil, &sallyport.Event{Time: s.clock(), Kind: sallyport.Trusted, Order: &sallyport.Order{About: "s001", Details: "55", Response: &sallyport.Response{ID: "s001-1/mask", Finding: "s001-1", Step: "mask", State: "done"}}}))
	fatal(t, s.orders.Give(nil, &sallyport.Event{Time: s.clock(), Kind: sallyport.Trusted, Order: &sallyport.Order{By: "s051", About: "s001", Details: "40", Reason: "s001 has given notice"}}))
	a = b.get("/people/"+who).is(t, http.StatusOK).has(t, "Why trust is 55", "<strong>55</strong>", "/findings/"+id, "role agent, 40 people", "Customers a day on the last 45 days", "Propose to see who it is")
	for _, bad := range []string{"s001", "notice", "s051", ">40<"} {
		if strings.Contains(a.body, bad) {
			t.Errorf("the page of a pseudonym says %s:\n%s", bad, a.body)
		}
	}
	if strings.Contains(b.get("/people").body, ">40<") {
		t.Error("who lowered his trust knows him by the number")
	}
	b.get("/people/s001").is(t, http.StatusNotFound) // by a name nobody is there
	b.get("/people/p-nobodynobo").is(t, http.StatusNotFound)
	b.get("/people/"+s.names.Person("s050")).is(t, http.StatusForbidden).has(t, "Nobody reads what is about himself")
	if to := b.post("/people", "person", who).is(t, http.StatusSeeOther).header.Get("Location"); to != "/people/"+who {
		t.Errorf("it leads to %s", to)
	}
	b.post("/people/"+who+"/unmask", "reason", "to ask him").is(t, http.StatusSeeOther)
	s.as("s060").post("/proposals/"+s.orders.State().Proposals()[0].ID+"/approve").is(t, http.StatusSeeOther)
	b.get("/people/s001").is(t, http.StatusOK).has(t, "s001", "s001 has given notice", "s051", "Why trust is 40", "that hold now")
	s.as("s060").get("/people/s001").is(t, http.StatusOK)
	if body := s.as("s051").get("/people/" + who).body; strings.Contains(body, "s001") {
		t.Error("a third person reads the name")
	}
	for _, want := range []string{"people", "person"} {
		if !strings.Contains(strings.Join(s.asked("s050"), " "), want) {
			t.Errorf("%s is not on record", want)
		}
	}
}

// TestDataPoliciesDrills shows what they hold, and plays a drill.
func TestDataPoliciesDrills(t *testing.T) {
	s := newStage(t)
	b := s.as("s050")
	b.get("/data").is(t, http.StatusOK).has(t, "support.customers", "moving in", `value="0.417"`, "41.7 % of its rows", "40.0 %", "agent (40)", "on conditions", "always", "never", `href="/policies#policy-reason-own-ticket"`)
	b.get("/policies").is(t, http.StatusOK).has(t, "2.1 Whoever has an open ticket", `id="policy-reason-own-ticket"`, "1 of 62 cases", "deny by default", "38 of 40", `type="range"`)
	b.post("/policies", "days", "30", "percent", "10").is(t, http.StatusOK).has(t, "With 10 % of today", "p-aaaaaaaaaa", "at 20 customers per day")
	for _, bad := range [][]string{{"days", "0", "percent", "50"}, {"days", "30", "percent", "x"}, {"days", "91", "percent", "50"}} {
		b.post("/policies", bad...).is(t, http.StatusBadRequest)
	}
	b.get("/drills").is(t, http.StatusOK).has(t, "support-2019", "95", "4.5 s", "cut off by a stop", "The configuration names 1 account.", `value="support-2019"`)
	b.post("/drills", "name", "support-2019", "reason", "").is(t, http.StatusBadRequest)
	to := b.post("/drills", "name", "support-2019", "reason", "each quarter").is(t, http.StatusSeeOther).header.Get("Location")
	b.get(to).is(t, http.StatusOK).has(t, "being played", "of 120 customers", "Sallyport acts")
	b.get("/drills/8").is(t, http.StatusNotFound)
	agent := s.as("s001")
	for _, path := range []string{"/people", "/data", "/policies", "/drills", "/drills/7"} {
		agent.get(path).is(t, http.StatusForbidden)
	}
	agent.post("/policies", "days", "30", "percent", "10").is(t, http.StatusForbidden)
	agent.post("/drills", "name", "support-2019", "reason", "r").is(t, http.StatusForbidden)
}
