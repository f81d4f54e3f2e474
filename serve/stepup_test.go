package serve

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/config"
	"sallyport/internal/fakeidp"
)

// ownDoor is a protected database, into which one agent enters by a credential.
func ownDoor(t *testing.T, idp *fakeidp.Provider, who sallyport.Staff, more string) *fort {
	t.Helper()
	return newFort(t, "", func(o *Options) {
		folder := filepath.Dir(o.Config.File)
		s, err := theStage()
		if err != nil {
			t.Fatal(err)
		}
		authority, err := newAuthority()
		if err != nil {
			t.Fatal(err)
		}
		authority.mustIssue(t, "localhost").files(t, folder, "own")
		for name, content := range map[string]string{"ca.crt": authority.PEM, "own.secret": s.passwords[who] + "\n"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(o.Config.File)
		if err != nil {
			t.Fatal(err)
		}
		whole := strings.Replace(string(text), "demonstration: true", "demonstration: false\ntls: {certificate: own.crt, key: own.key}", 1)
		whole = strings.Replace(whole, "upstream:\n", fmt.Sprintf("upstream:\n  enter:\n    - {logins: [%s], password_file: own.secret}\n", who), 1)
		whole += loginYAML(t, folder, idp, ", passwords: [o1, o2, o3]"+more)
		if o.Config, err = config.Parse(o.Config.File, []byte(whole)); err != nil {
			t.Fatal(err)
		}
	})
}

// byCredential is a connection of somebody who logged in.
func (f *fort) byCredential(who sallyport.Staff, credential string) *pgx.Conn {
	f.t.Helper()
	config, err := pgx.ParseConfig(fmt.Sprintf("host=localhost port=%s user=%s password=%s dbname=%s sslmode=verify-full sslrootcert=%s",
		portOf(f.server.Addr()), who, credential, f.database, filepath.Join(f.folder, "ca.crt")))
	if err != nil {
		f.t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(f.ctx, config)
	if err != nil {
		f.t.Fatalf("%v\n%s", err, f.log)
	}
	f.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// TestLogInReveals reads by a ticket at once, since the provider vouches for him; and waits for a fresh log-in where he is not trusted, or
// where the provider had him prove nothing but a password. A log-in from before the request opens nothing.
func TestLogInReveals(t *testing.T) {
	idp := startIDP(t)
	s := built(t, theStage)
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("psql is not installed")
	}
	who := s.org.Agents()[0].ID
	f := ownDoor(t, idp, who, "")
	_, ticket, customer := f.hasTicket(0)
	at := newHome(t, idp)
	logIn := func(more ...any) string {
		t.Helper()
		idp.As(user(string(who), more...))
		at.must("login", "--no-browser", "--control", f.server.Control())
		return at.kept().Credential
	}
	set, read := fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)
	ask := func(conn *pgx.Conn) string {
		t.Helper()
		if _, err := conn.Exec(f.ctx, set); err != nil {
			t.Fatal(err)
		}
		var email string
		if err := conn.QueryRow(f.ctx, read).Scan(&email); err != nil {
			return err.Error()
		}
		return email
	}
	if got := ask(f.byCredential(who, logIn())); got != customer.Email {
		t.Errorf("by his log-in he reads %q\n%s", got, f.log)
	}

	// Trusted less, a factor besides the password within half an hour is enough; without one he waits.
	f.order(sallyport.Trusted, sallyport.Order{Action: "trust", By: "o1", About: who, Details: "50", Reason: "test"})
	if got := ask(f.byCredential(who, logIn("amr", []string{"pwd", "otp"}))); got != customer.Email {
		t.Errorf("with a second factor he reads %q", got)
	}
	rows := make(chan string, 1)
	password := logIn("amr", []string{"pwd"})
	go func() { rows <- f.inPsql(t, who, password, set, read) }()
	within(t, 30*time.Second, "the statement waits", func() bool { return len(f.server.WaitingFor(who)) == 1 })
	idp.As(fakeidp.User{Claims: map[string]any{"sub": string(who)}, Proven: time.Now().Add(-5 * time.Second), Ignores: true})
	if out, err := at.run("confirm", "--no-browser"); err == nil || !strings.Contains(err.Error(), "older than what waits") {
		t.Errorf("a log-in from before the request: %v %s", err, out)
	}
	idp.As(user("o1"))
	at.must("confirm", "--no-browser") // somebody else's opens nothing
	select {
	case got := <-rows:
		t.Errorf("it did not wait: %q", got)
	default:
	}
	idp.As(user(string(who)))
	start := time.Now()
	if out := at.must("confirm", "--no-browser"); !strings.Contains(out, fmt.Sprintf("This waits, and goes on: SELECT for ticket:%d by %s, from 127.0.0.1:", ticket.ID, who)) {
		t.Errorf("it does not say what it opens: %s", out)
	}
	if got, want := next(t, rows), `SET
NOTICE:  sallyport: this waits: what you do is unlike you: confirm that it is you
HINT:  Confirm that it is you: sallyport confirm (within two minutes; cancel the statement to go on without).
`+customer.Email+"\n"; got != want {
		t.Errorf("psql shows %q, want %q", got, want)
	}
	t.Logf("step-up round trip, from the command to the row, with a person who needs no time: %s", time.Since(start).Round(time.Microsecond))
	for _, e := range noted(t, f.server, sallyport.Confirmed) {
		if e.Order.Details != "oidc" {
			t.Errorf("a confirmation is by %q", e.Order.Details)
		}
	}
}

// inPsql is what psql shows of statements.
func (f *fort) inPsql(t *testing.T, who sallyport.Staff, credential string, sql ...string) string {
	args := []string{"-X", "-At", fmt.Sprintf("host=localhost port=%s user=%s dbname=%s sslmode=verify-full sslrootcert=%s",
		portOf(f.server.Addr()), who, f.database, filepath.Join(f.folder, "ca.crt"))}
	for _, s := range sql {
		args = append(args, "-c", s)
	}
	out, err := installed(t, []string{"PGPASSWORD=" + credential}, "psql", args...)
	if err != nil {
		return out + err.Error()
	}
	return out
}

func next[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(stretched(20 * time.Second)):
		t.Fatal("nothing came")
	}
	return v
}

// TestMD5NeverReveals reads nothing by a log-in that the server checked by MD5, whatever the policies say and whoever confirms.
func TestMD5NeverReveals(t *testing.T) {
	policies := t.TempDir()
	if err := os.WriteFile(filepath.Join(policies, "own.cedar"), []byte(`@id("open") @because("everybody reads") permit (principal, action, resource);`), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFort(t, "", func(o *Options) { o.Config.Policies = policies })
	who, ticket, customer := f.hasTicket(0)
	set, read := fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)
	if got := f.askAside(who, set, read).result(t); got != customer.Email {
		t.Fatalf("by SCRAM he reads %q", got)
	}
	hba := filepath.Join(f.cluster.Dir, "data", "pg_hba.conf")
	before, err := os.ReadFile(hba)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.WriteFile(hba, before, 0o600)
		super, err := pgx.Connect(context.Background(), f.cluster.SuperDSN("postgres"))
		if err == nil {
			defer super.Close(context.Background())
			_, err = super.Exec(context.Background(), fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'; SELECT pg_reload_conf()", who, f.passwords[who]))
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(hba, append([]byte(fmt.Sprintf("host %s %s 127.0.0.1/32 md5\n", f.database, who)), before...), 0o600); err != nil {
		t.Fatal(err)
	}
	f.superExec("postgres", fmt.Sprintf("SET password_encryption = md5; ALTER ROLE %s PASSWORD '%s'; SELECT pg_reload_conf()", who, f.passwords[who]))
	f.order(sallyport.Confirmed, sallyport.Order{Action: "confirm", By: who, About: who})
	var got string
	within(t, 20*time.Second, "the server reads its rules again", func() bool {
		c, err := f.tryConnect(who)
		if err == nil {
			_, _ = c.rows(set)
			got = c.one(read)
		}
		return err == nil
	})
	if got == customer.Email || !strings.HasSuffix(got, "k1.invalid") {
		t.Errorf("by MD5 he reads %q", got)
	}
}
