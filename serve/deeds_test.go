package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/policy"
)

// narrow takes away from what the default policies allow.
const narrow = `
@id("test.no-messages") @because("messages are for the mail system")
forbid (principal is Staff, action == Action::"query", resource == Table::"support.messages");
@id("test.no-phone-search") @because("nobody looks people up by telephone")
forbid (principal is Staff, action == Action::"search", resource == Column::"support.customers.phone");
@id("test.mail-is-confirmed") @because("addresses are changed by who has just confirmed")
@respond("step_up")
forbid (principal is Staff, action == Action::"write", resource == Column::"support.customers.email") unless { context has mfaMinutes };
`

// bulk are policies under which a reason is enough for values to leave by COPY.
const bulk = `
@id("grant.columns") @because("a grant allows this column")
permit (principal, action in [Action::"reveal", Action::"export"], resource) when { context has grant };
@id("test.bulk") @because("a reason is enough") permit (principal, action == Action::"export", resource) when { context has purpose };
`

// policed has a fort obey the default policies with some files more, or others in their place.
func policed(t *testing.T, more ...policy.Text) func(*Options) {
	t.Helper()
	dir := t.TempDir()
	for _, text := range append(policy.Defaults(true), more...) {
		if err := os.WriteFile(filepath.Join(dir, text.Name), []byte(text.Content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(o *Options) { o.Config.Policies = dir }
}

// exporting has a fort let values leave by COPY for a reason.
func exporting(t *testing.T) func(*Options) {
	t.Helper()
	return policed(t, policy.Text{Name: "grants.cedar", Content: bulk})
}

// TestPoliciesRuleStatements holds queries, searches, writes and bulk to the policies, not values alone.
func TestPoliciesRuleStatements(t *testing.T) {
	f := newFort(t, "", policed(t, policy.Text{Name: "narrow.cedar", Content: narrow}))
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	refusedBy := func(sql, because, hint string, args ...any) {
		t.Helper()
		_, err := c.Exec(t.Context(), sql, args...)
		e, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || e.Code != "SP016" || e.Message != "sallyport: "+because || !strings.Contains(e.Hint, hint) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	passes := func(sql string, args ...any) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql, args...); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	passes("SELECT count(*) FROM support.customers")
	refusedBy("SELECT count(*) FROM support.messages", "messages are for the mail system", "policy explain")
	refusedBy("SELECT 1 FROM support.tickets t WHERE EXISTS (SELECT FROM support.messages k WHERE k.ticket_id = t.id)", "messages are for the mail system", "policy explain")
	refusedBy("SELECT id FROM support.customers WHERE phone = $1", "nobody looks people up by telephone", "policy explain", customer.Phone)
	refusedBy("SELECT id FROM support.customers WHERE phone = '"+customer.Phone+"'", "nobody looks people up by telephone", "policy explain")
	passes("SELECT id FROM support.customers WHERE email = $1", customer.Email)

	passes(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	change := "UPDATE support.customers SET email = $1 WHERE id = $2"
	cancelled, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		_, err := f.connect(who).Exec(cancelled, change, "new@mail.example", customer.ID)
		over <- err
	}()
	within(t, 20*time.Second, "the statement waits", func() bool { return len(f.server.WaitingFor(who)) == 1 })
	cancel() // who has hung up is not waited for: what he confirms later is something else
	if err := <-over; err == nil {
		t.Error("it did not wait")
	}
	within(t, 20*time.Second, "the statement is given up", func() bool { return len(f.server.WaitingFor(who)) == 0 })
	f.order(sallyport.Confirmed, sallyport.Order{Action: "confirm", By: who, About: who})
	passes(change, "new@mail.example", customer.ID)

	// A ticket shows its customer; in bulk values leave under a grant only.
	var shown string
	read := fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", customer.ID)
	if err := c.QueryRow(t.Context(), read).Scan(&shown); err != nil || shown != customer.FullName {
		t.Errorf("%q, %v", shown, err)
	}
	var out strings.Builder
	if _, err := c.PgConn().CopyTo(t.Context(), &out, "COPY ("+read+") TO STDOUT"); err != nil || !strings.HasPrefix(out.String(), "tk1") {
		t.Errorf("copied out: %q, %v", out.String(), err)
	}

	denied := map[string]int{}
	for _, e := range f.events() {
		if e.Kind == sallyport.RefusedKind && e.Decision != nil {
			denied[e.Decision.Action+" "+e.Decision.Policy]++
		}
	}
	for what, n := range map[string]int{"query test.no-messages": 2, "search test.no-phone-search": 2, "write test.mail-is-confirmed": 1} {
		if denied[what] != n {
			t.Errorf("%s is on record %d times, want %d", what, denied[what], n)
		}
	}
}
