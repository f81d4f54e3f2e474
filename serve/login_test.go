package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/internal/fakeidp"
	"sallyport/login"
)

const byAdasSecret = "    - {logins: [ada], password_file: ada.secret}\n"

// TestLogInCredential logs in by the browser, and has pgx and psql use the credential as the password: inside TLS, by whose it is, as
// long as it holds.
func TestLogInCredential(t *testing.T) {
	h, idp := gatehouseOf(t), startIDP(t)
	g := h.doors(t, idp, byAdasSecret, "", "")
	ada, eve := newHome(t, idp), newHome(t, idp)
	idp.As(user("s1"))
	if out := ada.must("login", "--no-browser", "--control", g.Control()); !strings.Contains(out, "You are logged in as s1 until") || !strings.Contains(out, "as ada") {
		t.Errorf("it says %q", out)
	}
	idp.As(user("s7"))
	eve.must("login", "--device", "--control", g.Control())
	info, err := os.Stat(filepath.Join(ada.folder, ".config/sallyport/login.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}

	conn, err := g.byCredential("ada", ada.credential())
	if err != nil {
		t.Fatalf("%v\n%s", err, g.log)
	}
	var who string
	if err := conn.QueryRow(t.Context(), "SELECT session_user").Scan(&who); err != nil || who != "ada" || !encrypted(t, conn) {
		t.Errorf("he is %q, %v", who, err)
	}
	out, err := installed(t, []string{"PGPASSWORD=" + ada.credential(), "PGAPPNAME=psql"}, "psql", "-X", "-At",
		"host=localhost port="+portOf(g.Addr())+" user=ada dbname=postgres sslmode=verify-full sslrootcert="+filepath.Join(g.folder, "ca.crt"), "-c", "SELECT 'in as ' || session_user")
	if err != nil || !strings.Contains(string(out), "in as ada") {
		t.Errorf("psql: %s %v", out, err)
	}
	g.cancels(conn)

	verify := "sslmode=verify-full sslrootcert=" + filepath.Join(g.folder, "ca.crt")
	for _, tt := range []struct{ name, role, password, settings, code, says string }{
		{"somebody else's", "ada", eve.credential(), verify, "28P01", "no credential that holds"},
		{"cut short", "ada", ada.credential()[:40], verify, "28P01", "no credential that holds"},
		{"none", "ada", "", verify, "28P01", "no credential that holds"},
		{"the database's own password", "ada", "ada-pw", verify, "28P01", "no credential that holds"},
		{"without TLS", "ada", ada.credential(), "sslmode=disable", "28000", "over TLS only"},
		{"a database that is not there", "ada", ada.credential(), verify + " dbname=nosuch", "3D000", "does not exist"},
	} {
		_, err := g.dialWith(tt.role, tt.password, tt.settings)
		if answer := refusalOf(t, err); answer.Code != tt.code || !strings.Contains(answer.Message, tt.says) {
			t.Errorf("%s: %s %s", tt.name, answer.Code, answer.Message)
		}
	}
	// Whose role nobody enters for logs in at the database as before.
	if _, err := g.dialWith("tlsonly", "tlsonly-pw", "sslmode=require channel_binding=require"); err != nil {
		t.Errorf("a relayed log-in: %v", err)
	}

	g.measureLogIns(ada.credential())
	g.lockBites(ada, conn)
	if text := g.log.String(); strings.Contains(text, ada.kept().Credential) || strings.Contains(text, "ada-pw") {
		t.Error("the log holds a secret")
	}
	for _, secret := range []string{ada.kept().Credential, eve.credential()} {
		holdsNowhere(t, filepath.Join(g.folder, "data"), secret)
	}
}

// measureLogIns tells what a log-in takes that the gateway ends, beside one that it verifies for the server.
func (g *gate) measureLogIns(credential string) {
	g.t.Helper()
	const times = 20
	took := func(role, password, settings string) time.Duration {
		start := time.Now()
		for range times {
			conn, err := g.dialWith(role, password, settings)
			if err != nil {
				g.t.Fatal(err)
			}
			_ = conn.Close(g.t.Context())
		}
		return (time.Since(start) / times).Round(10 * time.Microsecond)
	}
	verify := "sslmode=verify-full sslrootcert=" + filepath.Join(g.folder, "ca.crt")
	g.t.Logf("a log-in by credential takes %s, one by SCRAM that is verified for the server %s", took("ada", credential, verify), took("tlsonly", "tlsonly-pw", verify+" channel_binding=require"))
}

// kept is the file itself.
func (h *home) kept() *login.Saved {
	h.t.Helper()
	s, err := login.Load(func(name string) string { return map[string]string{"HOME": h.folder}[name] })
	if err != nil || s == nil {
		h.t.Fatalf("nothing was kept: %v", err)
	}
	return s
}

// cancels asks for what takes a minute, and cancels it by the key that the client was given.
func (g *gate) cancels(conn *pgx.Conn) {
	g.t.Helper()
	ran := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.WithoutCancel(g.t.Context()), "SELECT pg_sleep(60)")
		ran <- err
	}()
	within(g.t, 20*time.Second, "the statement runs and is cancelled", func() bool {
		if err := conn.PgConn().CancelRequest(g.t.Context()); err != nil {
			g.t.Error(err)
		}
		select {
		case err := <-ran:
			if answer := refusalOf(g.t, err); answer.Code != "57014" {
				g.t.Errorf("%s %s", answer.Code, answer.Message)
			}
			return true
		default:
			return false
		}
	})
}

// lockBites ends what the person has open, and his credential with it: after the unlock he logs in anew.
func (g *gate) lockBites(ada *home, conn *pgx.Conn) {
	g.t.Helper()
	officer := api.NewClient(g.Control(), "o1", "o1-password")
	defer officer.Close()
	if err := officer.Lock(g.t.Context(), "s1", "laptop stolen"); err != nil {
		g.t.Fatal(err)
	}
	within(g.t, 10*time.Second, "the live session ends", func() bool {
		_, err := conn.Exec(g.t.Context(), "SELECT 1")
		return err != nil
	})
	stolen := ada.kept().Credential
	_, err := g.byCredential("ada", stolen)
	if answer := refusalOf(g.t, err); answer.Code != "28P01" {
		g.t.Errorf("locked: %s %s", answer.Code, answer.Message)
	}
	id, err := officer.Unlock(g.t.Context(), "s1", "found")
	if err != nil {
		g.t.Fatal(err)
	}
	second := api.NewClient(g.Control(), "o2", "o1-password")
	defer second.Close()
	if _, err := second.Approve(g.t.Context(), id); err != nil {
		g.t.Fatal(err)
	}
	if _, err := g.byCredential("ada", stolen); err == nil {
		g.t.Error("an unlock gave the stolen credential back")
	}
	g.h.login(ada, g, "s1")
	if _, err := g.byCredential("ada", ada.credential()); err != nil {
		g.t.Errorf("after he logged in anew: %v", err)
	}
}

// login logs somebody in by the browser, on the control socket.
func (h *gatehouse) login(at *home, g *gate, who string) {
	at.t.Helper()
	at.idp.As(user(who))
	at.must("login", "--no-browser", "--control", g.Control())
}

// TestLogInEnds has a credential let in until it ends; then the session that it opened ends too, but not in mid-transaction.
func TestLogInEnds(t *testing.T) {
	h, idp := gatehouseOf(t), startIDP(t)
	var ahead atomic.Int64 // of the clock
	h.clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	t.Cleanup(func() { h.clock = nil })
	g := h.doors(t, idp, byAdasSecret, "", "")
	ada := newHome(t, idp)
	h.login(ada, g, "s1")
	credential := ada.kept().Credential
	open := func() *pgx.Conn {
		t.Helper()
		conn, err := g.byCredential("ada", credential)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	ahead.Store(int64(10*time.Hour - 2*time.Minute))
	idle, busy, endless := open(), open(), open()
	tx, err := busy.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := endless.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	works := func(conn *pgx.Conn) bool {
		_, err := conn.Exec(t.Context(), "SELECT 1")
		return err == nil
	}
	if !works(idle) {
		t.Error("the session ended before the credential")
	}
	ahead.Store(int64(10 * time.Hour))
	if _, err := g.byCredential("ada", credential); err == nil {
		t.Error("a credential that has ended lets in")
	}
	if out, err := ada.run("status"); err == nil || !strings.Contains(err.Error(), "does not hold") {
		t.Errorf("a command: %v %s", err, out)
	}
	within(t, 30*time.Second, "the idle session ends", func() bool { return !works(idle) })
	if _, err := tx.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("the transaction was cut: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Errorf("the transaction did not get to its end: %v", err)
	}
	within(t, 30*time.Second, "the session ends with its transaction", func() bool { return !works(busy) })
	if !works(endless) {
		t.Error("a transaction was cut at once")
	}
	ahead.Store(int64(10*time.Hour + lapseGraceOfGateway))
	within(t, 30*time.Second, "a transaction without end ends", func() bool { return !works(endless) })
}

// TestLogInGivenBack ends at once what a credential opened when it is given back, in mid-transaction too, and nothing else of the same person's.
func TestLogInGivenBack(t *testing.T) {
	h, idp := gatehouseOf(t), startIDP(t)
	g := h.doors(t, idp, byAdasSecret, "", "")
	here, there := newHome(t, idp), newHome(t, idp)
	h.login(here, g, "s1")
	h.login(there, g, "s1")
	open := func(credential string) *pgx.Conn {
		t.Helper()
		conn, err := g.byCredential("ada", credential)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	idle, busy, other := open(here.kept().Credential), open(here.kept().Credential), open(there.kept().Credential)
	if _, err := busy.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	asleep := make(chan error, 1)
	go func() {
		_, err := busy.Exec(t.Context(), "SELECT pg_sleep(60)")
		asleep <- err
	}()
	here.must("login", "--end")
	if err := next(t, asleep); refusalOf(t, err).Message != "sallyport: what you logged in with has ended" {
		t.Errorf("%v", err)
	}
	within(t, 20*time.Second, "the idle session ends", func() bool {
		_, err := idle.Exec(t.Context(), "SELECT 1")
		return err != nil
	})
	if _, err := other.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("another log-in of the same person: %v", err)
	}
}

// lapseGraceOfGateway is what docs/login.md says.
const lapseGraceOfGateway = 5 * time.Minute

// TestLogInRemote uses the same log-in for commands from another machine, over TLS.
func TestLogInRemote(t *testing.T) {
	h, idp := gatehouseOf(t), startIDP(t)
	g := h.doors(t, idp, byAdasSecret, "", "")
	idp.As(user("o1"))
	at := newHome(t, idp)
	server, ca := "https://localhost:"+portOf(g.Remote()), filepath.Join(g.folder, "ca.crt")
	if out, err := at.run("status"); exitCode(err) != ExitUsage || !strings.Contains(err.Error(), "a log-in first: sallyport login") {
		t.Errorf("nobody logged in: %v %s", err, out)
	}
	if _, err := at.run("login", "--no-browser", "--server", server); err == nil {
		t.Error("a certificate of an unknown authority was believed")
	}
	at.must("login", "--no-browser", "--server", server, "--ca", ca)
	at.must("lock", "s1", "--reason", "test")
	if st := g.State.Standing("s1"); !st.Locked || st.By != "o1" {
		t.Errorf("%+v", st)
	}
	if out, err := at.run("status", "--server", "https://localhost:1"); err == nil || !strings.Contains(err.Error(), "your log-in is of "+server) {
		t.Errorf("the credential went elsewhere: %v %s", err, out)
	}
	if out := at.must("login", "--pgpass", "localhost:6432", "--no-browser", "--server", server, "--ca", ca); out == "" {
		t.Error("nothing is printed")
	}
	for name, want := range map[string]string{"o1": "", "s1": "Name or password is wrong"} {
		c := api.NewRemote(server, nil)
		c.Close()
		file := filepath.Join(t.TempDir(), "pw")
		if err := os.WriteFile(file, []byte("o1-password\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := at.run("status", "--as", name, "--password-file", file, "--server", server, "--ca", ca)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s by password: %v %s", name, err, out)
		}
	}
	m := &Main{Getenv: func(name string) string {
		return map[string]string{login.SavedVariable: filepath.Join(at.folder, "old.json"), "HOME": at.folder}[name]
	}}
	old := at.kept()
	old.Until = time.Now().Add(-time.Minute)
	if _, err := old.Keep(m.Getenv); err != nil {
		t.Fatal(err)
	}
	if err := m.Run(t.Context(), []string{"status"}); exitCode(err) != ExitUsage || !strings.Contains(err.Error(), "your log-in ended at") {
		t.Errorf("a kept log-in that has ended: %v", err)
	}
	at.must("login", "--end")
	if out, err := at.run("status"); err == nil {
		t.Errorf("after the end: %s", out)
	}
	if len(noted(t, g.Server, sallyport.CredentialEnded)) != 1 || len(noted(t, g.Server, sallyport.CredentialMade)) != 2 {
		t.Error("what was made and given back is not on record")
	}
	idp.Wrong(fakeidp.Wrong{Key: true})
	if out, err := at.run("login", "--no-browser", "--server", server, "--ca", ca); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("a forged word: %v %s", err, out)
	}
}

// TestCheckLogIn says before anybody logs in what would not work.
func TestCheckLogIn(t *testing.T) {
	h, idp := gatehouseOf(t), startIDP(t)
	g := h.doors(t, idp, byAdasSecret+
		"    - {logins: ["+h.cluster.Superuser+"], password_file: root.secret}\n"+
		"    - {logins: [strict], as: nobody, password_file: ada.secret}\n"+
		"    - {logins: [shown], certificate: enter.crt, key: enter.key}\n"+
		"    - {logins: [clear], as: tlsonly, certificate: enter.crt, key: enter.key}\n", "", "")
	c := &check{config: g.O.Config}
	c.provider(t.Context())
	c.entrances(t.Context(), g.Upstream)
	var got []string
	for _, f := range c.findings {
		got = append(got, f.Where+": "+f.What)
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{
		h.cluster.Superuser + " is a superuser or could become one", "there is no role nobody at the server", "does not let Sallyport in as tlsonly",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if len(got) != 3 {
		t.Errorf("it says\n%s", all)
	}
	idp.Close()
	c = &check{config: g.O.Config}
	if c.provider(t.Context()); len(c.findings) != 1 || c.findings[0].Where != "login.issuer" {
		t.Errorf("%+v", c.findings)
	}
}

// TestPasswdInvite sets a password by the halves of two people's code, at the command line.
func TestPasswdInvite(t *testing.T) {
	h := gatehouseOf(t)
	hash, err := officerHash("o1")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{h: h, t: t, folder: filepath.Dir(shortDir(t)), log: &lockedBuffer{}}
	g.serve(fmt.Sprintf("version: 1\nlisten: 127.0.0.1:0\nupstream: {address: %q}\npeople:\n  o1: {role: lead, password: %q}\n  o2: {role: security, password: %q}\n  s1: {role: agent, logins: [ada]}\n",
		h.address(), string(hash), string(hash)))
	run := func(stdin, password string, args ...string) (string, error) {
		t.Helper()
		var out lockedBuffer
		m := &Main{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &out, Getenv: func(name string) string {
			return map[string]string{passwordVariable: password}[name]
		}}
		err := m.Run(t.Context(), append(args, "--control", g.Control()))
		return out.String(), err
	}
	code := regexp.MustCompile(`(?:[A-Z2-7]{4}-){3}[A-Z2-7]{4}`)
	first, err := run("", "o1-password", "passwd", "--invite", "s1", "--reason", "his first day", "--as", "o1")
	proposal := regexp.MustCompile(`sallyport approve (\w+)`).FindStringSubmatch(first)
	if err != nil || proposal == nil {
		t.Fatalf("%s %v", first, err)
	}
	second, err := run("", "o1-password", "approve", proposal[1], "--as", "o2")
	if err != nil || !strings.Contains(second, "The second half of the code, for s1 alone: ") {
		t.Fatalf("%s %v", second, err)
	}
	lines := code.FindString(first) + "\n" + code.FindString(second) + "\n"
	if out, err := run(lines+"short\n", "", "passwd", "--set", "s1"); exitCode(err) != ExitUsage {
		t.Errorf("%s %v", out, err)
	}
	if out, err := run(lines+"a new secret\n", "", "passwd", "--set", "o2"); err == nil {
		t.Errorf("a code of somebody else's: %s", out)
	}
	if out, err := run(lines+"a new secret\n", "", "passwd", "--set", "s1"); err != nil || !strings.Contains(out, "Your password is set") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := run("", "a new secret", "confirm", "--as", "s1"); err != nil {
		t.Errorf("%s %v", out, err)
	}
	if out, err := run(lines+"another secret\n", "", "passwd", "--set", "s1"); err == nil {
		t.Errorf("a code a second time: %s", out)
	}
	for _, secret := range []string{"a new secret", code.FindString(first), code.FindString(second)} {
		holdsNowhere(t, filepath.Join(g.folder, "data"), secret)
	}
}
