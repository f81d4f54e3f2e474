package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/control"
)

// trapped is a protected database with a customer who does not exist.
func trapped(t *testing.T, respond string) (f *fort, canary int64) {
	t.Helper()
	s := built(t, theStage)
	agent := s.org.Agents()[0].ID
	for i := range 1000 { // somebody who is none of the first agent's
		if c := s.org.Customer(int64(i + 1)); c.ID != 0 {
			canary = int64(c.ID)
		}
		mine := false
		for _, n := range s.org.OpenTickets(agent) {
			mine = mine || int64(s.org.Customer(s.org.Ticket(n).Customer).ID) == canary
		}
		if !mine {
			break
		}
	}
	f = newFort(t, "detect:\n  canaries: canaries.txt\nrespond:\n"+respond, func(o *Options) {
		folder := filepath.Dir(o.Config.File)
		fatal(t, os.WriteFile(filepath.Join(folder, "canaries.txt"), []byte(fmt.Sprintln(canary)), 0o600))
		fatal(t, os.WriteFile(filepath.Join(folder, "secret"), []byte("0123456789abcdef-secret\n"), 0o600))
		fatal(t, os.WriteFile(filepath.Join(folder, "roles.password"), []byte("roles-secret\n"), 0o600))
	})
	return f, canary
}

// TestAFindingStops: from the statement that touches a customer who does not exist to the first row that is refused; then what was done outside,
// again and again until it works, and all of it taken back by two people.
func TestAFindingStops(t *testing.T) {
	var refused, told atomic.Int64
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // a fake of the identity provider's side
		if refused.Add(1) <= 1 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		told.Add(1)
	}))
	defer fake.Close()
	s := built(t, theStage)
	admin, err := pgx.Connect(t.Context(), s.cluster.SuperDSN("postgres"))
	fatal(t, err)
	defer admin.Close(t.Context())
	_, err = admin.Exec(t.Context(), "DROP ROLE IF EXISTS responder; CREATE ROLE responder LOGIN SUPERUSER PASSWORD 'roles-secret'")
	fatal(t, err)
	f, canary := trapped(t, fmt.Sprintf("  mode: act\n  database: {user: responder, password_file: roles.password}\n  provider: {url: %q, secret_file: secret}\n", fake.URL))
	who, ticket, customer := f.hasTicket(0)
	canLogIn := func() (ok bool) {
		fatal(t, admin.QueryRow(t.Context(), "SELECT rolcanlogin FROM pg_roles WHERE rolname = $1", string(who)).Scan(&ok))
		return ok
	}
	t.Cleanup(func() { // other tests are he, too
		again, err := pgx.Connect(context.Background(), s.cluster.SuperDSN("postgres"))
		fatal(t, err)
		_, err = again.Exec(context.Background(), "ALTER ROLE "+pgx.Identifier{string(who)}.Sanitize()+" LOGIN; DROP ROLE responder")
		fatal(t, errors.Join(err, again.Close(context.Background())))
	})
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	mine := fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)
	if got := c.one(mine); got != customer.Email {
		t.Fatalf("he reads %q", got)
	}
	at := time.Now()
	_, _ = c.rows(fmt.Sprintf("SELECT id, email FROM support.customers WHERE id = %d", canary)) // tokens, and one look too many: it may be cut itself
	within(t, 20*time.Second, "he is refused", func() bool { _, err := c.rows(mine); return err != nil })
	t.Logf("from the statement that crosses the threshold to the first refused row: %s", time.Since(at).Round(100*time.Microsecond))
	if !f.server.State.Standing(who).Locked {
		t.Errorf("not locked: %+v\n%s", f.server.State.Answers(""), f.log)
	}
	within(t, 30*time.Second, "the role may not log in, and the provider knows", func() bool { return !canLogIn() && told.Load() == 1 })

	list, mode, err := f.officer("o1").Findings(t.Context(), "")
	fatal(t, err)
	if len(list) != 1 || mode != control.ModeAct {
		t.Fatalf("%+v, %s", list, mode)
	}
	id, called := string(who)+"-1", f.server.Names.Person(who)+"-1"
	f.namedByTwo(who, called)
	within(t, 20*time.Second, "what was done outside is on record", func() bool {
		a, _ := f.server.State.Answer(id + "/provider")
		b, _ := f.server.State.Answer(id + "/database")
		return a.State == control.Did && a.Attempts == 2 && b.State == control.Did
	})
	f.restart()
	if got := f.server.State.Findings(); len(got) != 1 {
		t.Errorf("after a start there are %d findings", len(got))
	}
	proposal, err := f.officer("o1").UndoResponse(t.Context(), called, "a test of the trap")
	fatal(t, err)
	if _, err := f.officer("o1").Approve(t.Context(), proposal); err == nil || !f.server.State.Standing(who).Locked {
		t.Errorf("one person took it back: %v", err)
	}
	_, err = f.officer("o2").Approve(t.Context(), proposal)
	fatal(t, err)
	if st := f.server.State.Standing(who); st.Locked || st.Suspended || f.server.State.Door(who).Trust != control.FullTrust {
		t.Errorf("two people took it back: %+v, trust %d", st, f.server.State.Door(who).Trust)
	}
	within(t, 30*time.Second, "it is taken back outside, too", func() bool { return canLogIn() && told.Load() == 2 })
	c = f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.one(mine); got != customer.Email {
		t.Errorf("afterwards he reads %q", got)
	}
}

// TestFirstItOnlySaysWhatItWouldDo: without a word nothing is done; two people decide that it acts, and two that it does not any more, whatever
// the configuration says.
func TestFirstItOnlySaysWhatItWouldDo(t *testing.T) {
	f, canary := trapped(t, "  mode: observe\n")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	c.must(fmt.Sprintf("SELECT id, email FROM support.customers WHERE id = %d", canary))
	lockID := string(who) + "-1/lock"
	within(t, 20*time.Second, "it is on record what would have been done", func() bool {
		a, ok := f.server.State.Answer(lockID)
		return ok && a.State == control.Would
	})
	if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got != customer.Email {
		t.Errorf("something was done: he reads %q", got)
	}
	m := &Main{Stdout: &strings.Builder{}, Stderr: &strings.Builder{}, Getenv: func(name string) string {
		if name == passwordVariable {
			return "o1-password"
		}
		return ""
	}}
	out := m.Stdout.(*strings.Builder)
	_ = m.Run(t.Context(), []string{"findings", "--data", f.options.Data, "--as", "o1"})
	_ = m.Run(t.Context(), []string{"explain", f.server.Names.Person(who) + "-1", "--data", f.options.Data, "--as", "o1"})
	_ = m.Run(t.Context(), []string{"status", "--data", f.options.Data, "--as", "o1"})
	if strings.Contains(out.String(), string(who)) {
		t.Errorf("a name nobody unmasked stands in\n%s", out)
	}
	for _, part := range []string{"[lock]", "Sallyport only observes", "touched 1 customers who do not exist", "together: odds of", "responds only says what it would have done"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("nothing says %q in\n%s", part, out)
		}
	}
	agree := func(mode string) {
		t.Helper()
		id, err := f.officer("o1").RespondMode(t.Context(), mode, "as agreed")
		fatal(t, err)
		_, err = f.officer("o2").Approve(t.Context(), id)
		fatal(t, err)
		if got := f.server.State.Responds(); got != mode {
			t.Errorf("it is %q, not %q", got, mode)
		}
	}
	agree(control.ModeAct)
	f.options.Config.Respond.Mode, f.options.Config.Detect.Off = control.ModeObserve, true // an administrator alone
	f.restart()
	if f.server.detection == nil || f.server.State.Responds() != control.ModeAct || f.server.detection.ignored == "" {
		t.Error("the configuration alone turned it off")
	}
	agree(control.ModeObserve)
	f.restart()
	if f.server.detection != nil {
		t.Error("two people agreed, and it goes on")
	}
	if n := len(noted(t, f.server, sallyport.RespondingKind)); n != 0 {
		t.Errorf("%d entries say that the configuration turned it on", n)
	}
}

// namedByTwo: a finding tells neither the name of whom it is about nor answers to it, until two agree; then it does to them.
func (f *fort) namedByTwo(who sallyport.Staff, called string) {
	t := f.t
	t.Helper()
	one := func(id string) (string, error) {
		list, _, err := f.officer("o1").Findings(t.Context(), id)
		text, _ := json.Marshal(list)
		return string(text), err
	}
	if text, err := one(called); err != nil || strings.Contains(text, string(who)) {
		t.Errorf("before anybody agreed: %v, %s", err, text)
	}
	if text, err := one(string(who) + "-1"); err == nil {
		t.Errorf("it answers to the name: %s", text)
	}
	proposal, err := f.officer("o1").Unmask(t.Context(), f.server.Names.Person(who), "to speak with him", 0)
	if err == nil {
		_, err = f.officer("o2").Approve(t.Context(), proposal)
	}
	if err != nil {
		t.Fatal(err)
	}
	if text, err := one(string(who) + "-1"); err != nil || !strings.Contains(text, `"staff":["`+string(who)+`"]`) || !strings.Contains(text, `"name":`) {
		t.Errorf("since two agreed: %v, %s", err, text)
	}
}
