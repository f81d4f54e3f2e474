package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCheckSources: check says what of each source does not work, and status how it is while serve runs.
func TestCheckSources(t *testing.T) {
	stage := built(t, theStage)
	database := fmt.Sprintf("helpdesk%d", stage.made.Add(1))
	f := newFort(t, "", otherSystems(t, fmt.Sprintf(`  kinds: {ticket: {source: helpdesk}, job: {source: jobs}, call: {source: telephony, programs: [pbx]}}
  sources:
    helpdesk:
      sql: {dsn: "postgres://%s_rw@127.0.0.1:%d/%s?sslmode=disable", password_file: helpdesk.password, find: "SELECT id, state FROM tickets WHERE id::text = $1"}
    jobs: {csv: {file: jobs.csv}}
    telephony: {webhook: {secret_file: telephony.secret}}
    unused: {csv: {file: unused.csv}}
  webhooks: {listen: 127.0.0.1:0}
`, database, stage.cluster.Port, database), map[string]string{
		"helpdesk.password": "of-the-helpdesk\n", "telephony.secret": hookSecret, "jobs.csv": "id,customer,assignee,state,opened_by,assigned_by,begins_at,ends_at\nj1,1,s001,approved,s001,s002,soon,later\n",
	}))
	f.superExec("postgres", "CREATE DATABASE "+database)
	f.superExec(database, fmt.Sprintf("CREATE ROLE %s_rw LOGIN PASSWORD 'of-the-helpdesk'; CREATE TABLE tickets (id bigint, state text); GRANT SELECT, UPDATE ON tickets TO %s_rw", database, database))
	if err := os.WriteFile(f.options.Config.Path("telephony.secret"), []byte("too short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := runMainOf(t, "check", "--config", f.options.Config.File)
	if err == nil {
		t.Error("check finds nothing")
	}
	for _, want := range []string{
		"purposes.sources.helpdesk: its role could make reasons: it may write public.tickets; expected a role that may only read",
		"purposes.sources.helpdesk: the answer of find lacks customer, assignee, opened_by, assigned_by, reopened_by, contacted_at, begins_at, which a ticket needs",
		"jobs.csv: line 2: read the column begins_at: no time; expected one such as 2026-03-01T12:00:00Z",
		"purposes.sources.telephony: the secret is shorter than 32 characters; make one with: openssl rand -base64 32",
		"note: purposes.sources.unused: no kind of purpose is checked by this source",
		"4 things to do",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("check does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "of-the-helpdesk") {
		t.Error("check prints a password")
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(f.options.Config.File), "purposes")); err == nil {
		t.Error("check makes a mirror")
	}
	status, err := f.officer("o1").Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprint(status)
	for _, want := range []string{"source helpdesk", "lacks customer, assignee", "source jobs", "line 2", "source telephony", "has not been heard of for too long"} {
		if !strings.Contains(said, want) {
			t.Errorf("status does not say %q: %s", want, said)
		}
	}
}

// TestLooksPolicy: a policy may ask how often a customer was looked at, and by how many.
func TestLooksPolicy(t *testing.T) {
	folder := t.TempDir()
	text := `@id("all") @because("reasons count")
permit (principal, action, resource);
@id("much") @because("this customer was looked at too often today")
forbid (principal, action == Action::"reveal", resource) when { context has purpose && context.purpose.ownLooks >= 3 };
`
	if err := os.WriteFile(filepath.Join(folder, "x.cedar"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFort(t, "policies: "+folder+"\n")
	who, ticket, customer := f.hasTicket(0)
	look := func(c *client) bool {
		t.Helper()
		return c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)) == customer.Email
	}
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if !look(c) {
		t.Fatal("the ticket does not count")
	}
	looks := 1
	within(t, 20*time.Second, "the policy forbids", func() bool { looks++; return !look(c) })
	if looks < 4 {
		t.Errorf("forbidden after %d looks", looks)
	}
	if !c.heard("this customer was looked at too often today") {
		t.Error("nobody said why")
	}
	c.Close(t.Context())
	f.restart()
	c = f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if look(c) {
		t.Error("a restart forgets the looks")
	}
}
