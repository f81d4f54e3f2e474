package serve

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/policy"
	"sallyport/sim"
)

// offices are what a company's own policies say of Sallyport itself, beside the program's.
const offices = `
@id("test.o3-administers-nothing") @because("o3 looks, and changes nothing") @document("access-policy.md#4.7")
forbid (principal == Staff::"o3", action == Action::"administer", resource);
@id("test.agent-investigates") @because("she is the auditor")
permit (principal == Staff::"AUDITOR", action == Action::"investigate", resource);
@id("test.approve-freshly") @because("proposals are approved by who has just proven who he is") @respond("step_up")
forbid (principal == Staff::"o2", action == Action::"approve", resource) unless { context has mfaMinutes };
@id("test.keys-by-two") @because("o1 changes nothing alone") @respond("second_person")
forbid (principal == Staff::"o1", action == Action::"administer", resource) unless { context has secondMinutes };
`

// TestPoliciesRuleOrders holds orders and questions to the policies: a forbid outweighs a role, a permit does without one, a wait says what opens, and each
// refusal names its policy and is on record.
func TestPoliciesRuleOrders(t *testing.T) {
	s := built(t, theStage)
	auditor := s.org.Agents()[2].ID
	f := newFort(t, "", policed(t, policy.Text{Name: "offices.cedar", Content: strings.ReplaceAll(offices, "AUDITOR", string(auditor))}), func(o *Options) {
		p, hash := o.Config.People[string(auditor)], o.Config.People["o1"].Password
		p.Password = hash
		o.Config.People[string(auditor)] = p
	})
	ctx := t.Context()
	refused := func(err error, code string, says ...string) {
		t.Helper()
		if refusedAs(err) != code {
			t.Errorf("%v, want %s", err, code)
			return
		}
		for _, part := range says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
	}
	victim := f.org.Agents()[0].ID

	refused(f.officer("o3").Lock(ctx, victim, "test"), "forbidden", "O3 looks, and changes nothing (policy test.o3-administers-nothing, access-policy.md#4.7).", "sallyport policy explain o3 --action administer")
	if f.server.State.Standing(victim).Locked {
		t.Error("locked all the same")
	}
	if _, err := f.officer("o3").WhoSaw(ctx, "1"); err != nil {
		t.Errorf("what no policy forbids: %v", err)
	}

	// An agent whom a policy permits to investigate does, and nothing else.
	own := api.NewClient(filepath.Join(f.options.Data, SocketName), auditor, "o1-password")
	defer own.Close()
	if _, err := own.WhoSaw(ctx, "1"); err != nil {
		t.Error(err)
	}
	refused(own.Lock(ctx, victim, "test"), "not_your_role", "no policy lets you administer")
	_, err := own.Approve(ctx, "nonesuch")
	refused(err, "not_your_role", "no policy lets you approve")

	// What waits for a second person is done when one agreed to it, and what waits for a confirmation when that was given.
	err = f.officer("o1").Lock(ctx, victim, "test")
	refused(err, "second_person", "O1 changes nothing alone (policy test.keys-by-two).")
	again := f.officer("o1").Lock(ctx, victim, "test")
	if again == nil || again.Error() != err.Error() {
		t.Errorf("another proposal for the same: %v", again)
	}
	second := f.open(control.Second)
	if len(second) != 1 || second[0].Details != "administer: POST /v1/lock" {
		t.Fatalf("%+v", second)
	}
	_, err = f.officer("o2").Approve(ctx, second[0].ID)
	refused(err, "confirm_first", "policy test.approve-freshly", "sallyport confirm --as o2")
	if err := f.officer("o2").Confirm(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := f.officer("o2").Approve(ctx, second[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := f.officer("o1").Lock(ctx, victim, "test"); err != nil || !f.server.State.Standing(victim).Locked {
		t.Errorf("with a second person: %v", err)
	}

	// Whom nothing is believed any more does nothing, and is suspended by trying.
	f.order(sallyport.Trusted, sallyport.Order{Action: "trust", By: "o1", About: "o3", Details: "5", Reason: "test"})
	_, err = f.officer("o3").WhoSaw(ctx, "1")
	refused(err, "locked", "policy trust.suspend")
	if !f.server.State.Standing("o3").Suspended {
		t.Error("he goes on")
	}

	denied := map[string]int{}
	for _, e := range noted(t, f.server, sallyport.OrderRefused) {
		denied[string(e.Order.By)+" "+e.Order.Details+" "+e.Decision.Action+" "+e.Decision.Policy]++
	}
	for what, n := range map[string]int{
		"o3 POST /v1/lock administer test.o3-administers-nothing": 1, string(auditor) + " POST /v1/lock administer ": 1,
		"o1 POST /v1/lock administer test.keys-by-two": 2, "o3 GET /v1/who-saw investigate trust.suspend": 1,
	} {
		if denied[what] != n {
			t.Errorf("%q is on record %d times, want %d: %v", what, denied[what], n, denied)
		}
	}
}

// TestNobodyIsShutOut refuses to propose files under which no two people could change anything any more.
func TestNobodyIsShutOut(t *testing.T) {
	f := newFort(t, "", func(o *Options) { strict(t, o) })
	folder := filepath.Join(f.folder, "policies")
	own := filepath.Join(folder, "own.cedar")
	lead := f.org.Staff[slices.IndexFunc(f.org.Staff, func(p sim.Person) bool { return p.Role == "lead" })].ID
	for _, c := range []struct{ text, says string }{
		{`@id("own") @because("nobody") forbid (principal, action == Action::"approve", resource);`, "nobody who can log in could approve anything any more"},
		{`@id("own") @because("nobody") forbid (principal is Staff, action == Action::"administer", resource) unless { principal.employment == "retired" };`, "nobody who can log in could change anything any more"},
		{`@id("own") @because("o1 alone") forbid (principal, action, resource) unless { principal == Staff::"o1" };`, "o1 alone could propose and approve"},
		{`@id("own") @because("o1 and a lead without a password") forbid (principal, action, resource) unless { principal == Staff::"o1" || principal == Staff::"LEAD" };`, "o1 alone could propose and approve"},
	} {
		text := strings.ReplaceAll(c.text, "LEAD", string(lead))
		if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := f.command("o1", "policy", "propose", folder, "--reason", "test"); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v", text, out, err)
		}
	}
	if len(f.open(control.Files)) > 0 {
		t.Error("it was proposed")
	}
	// One who proposes and another who approves are enough; and who is named alone in the end was shown to the approver.
	if err := os.WriteFile(own, []byte(`@id("own") @because("o1 and o2") forbid (principal, action in [Action::"approve", Action::"administer"], resource) unless { principal == Staff::"o1" || principal == Staff::"o2" };`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := f.command("o1", "policy", "propose", folder, "--reason", "test")
	if err != nil || !strings.Contains(out, "approve Sallyport itself:\n  loses:") {
		t.Fatalf("%q, %v", out, err)
	}
	if _, err := f.officer("o2").Approve(t.Context(), f.newest().ID); err != nil {
		t.Fatal(err)
	}
	if err := f.officer("o3").Lock(t.Context(), f.org.Agents()[0].ID, "test"); refusedAs(err) != "forbidden" {
		t.Errorf("what was approved does not hold at once: %v", err)
	}
}

// TestPoliciesRuleReplication: whom the configuration names replicates unless a policy forbids it, and whom it does not name never does.
func TestPoliciesRuleReplication(t *testing.T) {
	open := policy.Text{Name: "open.cedar", Content: `@id("test.open") @because("everybody") permit (principal, action, resource);
@id("test.no-messages") @because("messages stay here") forbid (principal, action == Action::"replicate", resource == Table::"support.messages") when { principal == Service::"svc_copy" };`}
	f := newFort(t, "replication: [ruled, copier]\n", policed(t, open), func(o *Options) { o.Config.Services["svc_copy"] = config.Service{Logins: []string{"copier"}} })
	for _, role := range []string{"ruled", "copier", "unnamed"} {
		f.superExec("postgres", "DROP ROLE IF EXISTS "+role+"; CREATE ROLE "+role+" LOGIN REPLICATION PASSWORD '"+role+"'")
	}
	for role, says := range map[string]string{"ruled": "", "copier": "SP016", "unnamed": "0A000"} {
		conn, err := pgconn.Connect(t.Context(), f.dsnOf(sallyport.Staff(role), role, f.database)+"&replication=database")
		if err == nil {
			_, err = conn.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll()
			_ = conn.Close(t.Context())
		}
		if (err == nil) != (says == "") || err != nil && codeOf(err) != says {
			t.Errorf("%s: %v, want %q", role, err, says)
		}
	}
	f.stop()
	f.start()
	named := 0
	for _, e := range f.events() {
		if e.Kind == sallyport.RefusedKind && e.Decision != nil && e.Decision.Action == policy.ActionReplicate && e.Decision.Policy == "test.no-messages" && e.Who.Staff == "svc_copy" {
			named++
		}
	}
	if named != 1 {
		t.Errorf("the refusal is on record %d times", named)
	}
}
