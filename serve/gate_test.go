package serve

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/control"
	"sallyport/policy"
)

// gated are policies by which statements wait.
const gated = `
@id("test.write-confirmed") @because("addresses are changed by who has just confirmed") @respond("step_up")
forbid (principal is Staff, action == Action::"write", resource == Column::"support.customers.email") unless { context has mfaMinutes };
@id("test.search-seconded") @because("people are looked up by telephone under four eyes") @respond("second_person")
forbid (principal is Staff, action == Action::"search", resource == Column::"support.customers.phone") unless { context has secondMinutes };
@id("test.messages-confirmed") @because("messages are read by who has just confirmed") @respond("step_up")
forbid (principal is Staff, action == Action::"query", resource == Table::"support.messages") unless { context has mfaMinutes };
`

// TestStatementsWait holds statements back that policies have wait, before anything of them is forwarded, in whatever way they come; the client reads the notice
// at once, behind what it sent before.
func TestStatementsWait(t *testing.T) {
	f := newFort(t, "", policed(t, policy.Text{Name: "gated.cedar", Content: gated}))
	confirm := func(who sallyport.Staff) {
		f.order(sallyport.Confirmed, sallyport.Order{Action: "confirm", By: who, About: who})
	}
	waits := func(who sallyport.Staff) {
		t.Helper()
		within(t, 20*time.Second, "the statement waits", func() bool { return len(f.server.WaitingFor(who)) == 1 })
	}
	for i, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec, pgx.QueryExecModeCacheStatement} {
		who, _, _ := f.hasTicket(i)
		c := f.connect(who, mode)
		done := make(chan error, 1)
		stored := func() (email string) {
			if err := f.direct().QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = $1", 100+i).Scan(&email); err != nil {
				t.Fatal(err)
			}
			return email
		}
		before, logged := stored(), len(f.heard.String()) // the server's log is that of all tests
		go func() {
			_, err := c.Exec(t.Context(), "UPDATE support.customers SET email = $1 WHERE id = $2", fmt.Sprintf("new%d@mail.example", i), 100+i)
			done <- err
		}()
		waits(who)
		if strings.Contains(f.heard.String()[logged:], fmt.Sprintf("WHERE id = %d", 100+i)) || stored() != before {
			t.Errorf("%v: the server has it already", mode)
		}
		select {
		case err := <-done:
			t.Fatalf("%v: it did not wait: %v", mode, err)
		default:
		}
		confirm(who)
		if err := <-done; err != nil {
			t.Errorf("%v: %v", mode, err)
		}
		if stored() == before {
			t.Errorf("%v: nothing was written", mode)
		}
	}

	// In one string of several statements what comes before the one that waits has not happened either; in a transaction the answers to what was sent before came.
	who, _, _ := f.hasTicket(4)
	a := f.askAside(who, "UPDATE support.customers SET plan = 'gated' WHERE id = 200", "UPDATE support.customers SET email = 'x@mail.example' WHERE id = 200")
	n := a.notice(t)
	if n.Message != "sallyport: this waits: addresses are changed by who has just confirmed" || n.Hint != "Confirm that it is you: sallyport confirm --as "+string(who)+" (within two minutes; cancel the statement to leave it)." {
		t.Errorf("%q, %q", n.Message, n.Hint)
	}
	var plan string
	if err := f.direct().QueryRow(t.Context(), "SELECT plan FROM support.customers WHERE id = 200").Scan(&plan); err != nil || plan == "gated" {
		t.Errorf("%q, %v", plan, err)
	}
	confirm(who)
	if got := a.result(t); strings.HasPrefix(got, "error") {
		t.Error(got)
	}

	// A colleague agrees; and he who was refused reads what would have helped.
	who, _, customer := f.hasTicket(5)
	search := fmt.Sprintf("SELECT id FROM support.customers WHERE phone = '%s'", customer.Phone)
	a = f.askAside(who, search)
	if n := a.notice(t); !strings.Contains(n.Hint, "sallyport approve ") {
		t.Errorf("%q", n.Hint)
	}
	second := f.open(control.Second)
	if len(second) != 1 || second[0].By != who {
		t.Fatalf("%+v", second)
	}
	if _, err := f.officer("o1").Approve(t.Context(), second[0].ID); err != nil {
		t.Fatal(err)
	}
	if got := a.result(t); got != fmt.Sprint(customer.ID) {
		t.Errorf("%q, want %d", got, customer.ID)
	}

	who, _, _ = f.hasTicket(6)
	a = f.askAside(who, "SELECT count(*) FROM support.messages")
	a.notice(t)
	if err := a.conn.CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := a.result(t); !strings.Contains(got, "SP016") && !strings.Contains(got, "57014") {
		t.Errorf("a cancelled statement: %q", got)
	}
	if got := f.askAside(who, "SELECT 1").result(t); got != "1" {
		t.Errorf("what needs nobody: %q", got)
	}

	// A lock ends what waits.
	a = f.askAside(who, "SELECT count(*) FROM support.messages")
	a.notice(t)
	f.lock(who)
	if got := a.result(t); !strings.Contains(got, "SP011") {
		t.Errorf("a locked person's statement: %q", got)
	}
}

// TestGateInPipeline: behind a statement that failed in the same pipeline nothing waits, since the server will not look at it; behind one that did not what waits
// has been answered.
func TestGateInPipeline(t *testing.T) {
	f := newFort(t, "", policed(t, policy.Text{Name: "gated.cedar", Content: gated}))
	who, _, _ := f.hasTicket(0)
	config, err := pgconn.ParseConfig(f.dsn(who))
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 10)
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { heard <- n.Message }
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	change := "UPDATE support.customers SET email = 'pipe@mail.example' WHERE id = 300"
	batch := &pgconn.Batch{}
	batch.ExecParams("SELECT 1/0", nil, nil, nil, nil)
	batch.ExecParams(change, nil, nil, nil, nil)
	if _, err := conn.ExecBatch(t.Context(), batch).ReadAll(); codeOf(err) != "22012" {
		t.Errorf("%v", err)
	}
	if len(heard) > 0 {
		t.Errorf("what is skipped waits: %q", <-heard)
	}
	batch = &pgconn.Batch{}
	batch.ExecParams("SELECT 7", nil, nil, nil, nil)
	batch.ExecParams(change, nil, nil, nil, nil)
	batch.ExecParams("SELECT 8", nil, nil, nil, nil)
	over := make(chan []string, 1)
	go func() {
		results, err := conn.ExecBatch(t.Context(), batch).ReadAll()
		var got []string
		for _, r := range results {
			got = append(got, fmt.Sprint(r.CommandTag))
		}
		over <- append(got, fmt.Sprint(err))
	}()
	if got := next(t, heard); !strings.Contains(got, "this waits") {
		t.Errorf("%q", got)
	}
	f.order(sallyport.Confirmed, sallyport.Order{Action: "confirm", By: who, About: who})
	if got := strings.Join(next(t, over), ", "); got != "SELECT 1, UPDATE 1, SELECT 1, <nil>" {
		t.Errorf("%s", got)
	}
}

// TestGateClientGoneUnderTLS: who hangs up under TLS while a statement waits for him is seen to be gone, whatever he said last; what he confirms later sends nothing on.
func TestGateClientGoneUnderTLS(t *testing.T) {
	f := newFort(t, "", func(o *Options) {
		authority, err := newAuthority()
		fatal(t, err)
		authority.mustIssue(t, "localhost").files(t, filepath.Dir(o.Config.File), "own")
		rewrite(t, o.Config.File, "demonstration: true", "demonstration: true\ntls: {certificate: own.crt, key: own.key}")
		reread(t, o)
	}, policed(t, policy.Text{Name: "gated.cedar", Content: gated}))
	const id = 300
	stored := func() (email string) {
		fatal(t, f.direct().QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = $1", id).Scan(&email))
		return email
	}
	before := stored()
	for i, politely := range []bool{true, false} {
		who, _, _ := f.hasTicket(i)
		conn, err := pgconn.Connect(t.Context(), strings.Replace(f.dsn(who), "sslmode=disable", "sslmode=require", 1))
		fatal(t, err)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = conn.Exec(t.Context(), fmt.Sprintf("UPDATE support.customers SET email = 'gone@mail.example' WHERE id = %d", id)).ReadAll()
		}()
		within(t, 20*time.Second, "the statement waits", func() bool { return len(f.server.WaitingFor(who)) == 1 })
		if politely { // as libpq does, behind what waits
			_, err := conn.Conn().Write([]byte{'X', 0, 0, 0, 4})
			fatal(t, err)
		}
		fatal(t, conn.Conn().Close())
		<-ended
		within(t, 20*time.Second, "nothing waits for who is gone", func() bool { return len(f.server.WaitingFor(who)) == 0 })
		f.order(sallyport.Confirmed, sallyport.Order{Action: "confirm", By: who, About: who})
		within(t, 20*time.Second, "his session is over", func() bool {
			return slices.ContainsFunc(f.events(), func(e *sallyport.Event) bool { return e.Kind == sallyport.SessionEnd && e.Who.Staff == who })
		})
	}
	if stored() != before {
		t.Error("what waited for who is gone was written")
	}
}
