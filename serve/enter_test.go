package serve

import (
	"context"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// TestEnterRefuses enters as nobody who is a superuser or could become one, sends no secret in clear, and says why in the log alone.
func TestEnterRefuses(t *testing.T) {
	h, idp := gatehouseOf(t), startIDP(t)
	super := h.cluster.Superuser
	g := h.doors(t, idp, byAdasSecret+
		"    - {logins: ["+super+"], password_file: root.secret}\n"+
		"    - {logins: [bob], password_file: bob.secret}\n"+
		"    - {logins: [clear], password_file: clear.secret}\n"+
		"    - {logins: [mdfive], password_file: mdfive.secret}\n"+
		"    - {logins: [strict], as: nobody, password_file: ada.secret}\n"+
		"    - {logins: [shown], as: ada, password_file: wrong.secret}\n", "", "")
	root, err := pgx.Connect(t.Context(), h.cluster.SuperDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close(context.Background())
	do := func(sql string) {
		t.Helper()
		if _, err := root.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	try := func(who, role, log string) {
		t.Helper()
		at := newHome(t, idp)
		h.login(at, g, who)
		before := len(g.log.String())
		_, err := g.byCredential(role, at.credential())
		if log == "" {
			if err != nil {
				t.Errorf("%s: %v", role, err)
			}
			return
		}
		answer := refusalOf(t, err)
		if added := g.log.String()[before:]; answer.Code != "28000" || strings.Contains(answer.Message+answer.Hint, "superuser") || !strings.Contains(added, log) {
			t.Errorf("%s: %s %s; the log says %q", role, answer.Code, answer.Message, added)
		}
	}
	try("s3", super, "is a superuser, or could become one")
	try("s4", "bob", "is a superuser, or could become one")
	try("s5", "clear", "asks for something else")
	try("s6", "mdfive", "asks for something else")
	try("s7", "strict", "there is no role nobody")
	try("s2", "shown", "password authentication failed")

	// What the role is, is looked at each time.
	try("s1", "ada", "")
	do("ALTER ROLE ada SUPERUSER")
	try("s1", "ada", "is a superuser, or could become one")
	do("ALTER ROLE ada NOSUPERUSER")
	try("s1", "ada", "")
	do("CREATE ROLE ladder; GRANT pg_execute_server_program TO ladder; GRANT ladder TO ada")
	try("s1", "ada", "is a superuser, or could become one")
	do("DROP ROLE ladder; ALTER ROLE ada CREATEROLE")
	if h.cluster.Major < 16 {
		try("s1", "ada", "is a superuser, or could become one")
	} else {
		try("s1", "ada", "")
	}
	do("ALTER ROLE ada NOCREATEROLE")
	do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'")
	within(t, 20*time.Second, "the reader connects again", func() bool {
		at := newHome(t, idp)
		h.login(at, g, "s1")
		_, err := g.byCredential("ada", at.credential())
		return err == nil
	})
	within(t, 20*time.Second, "the refusals are on record", func() bool { return len(g.seen(sallyport.EntryRefused)) >= 8 })
}

// seen are the events of one kind in the access stream.
func (g *gate) seen(kind sallyport.EventKind) (out []sallyport.Event) {
	g.t.Helper()
	err := g.AccessStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == kind {
			out = append(out, *e)
		}
		return nil
	})
	if err != nil {
		g.t.Error(err)
	}
	return out
}

// TestEnterByCertificate enters with a certificate of the gateway's own, as the role that a log-in is mapped to; and lets people in who
// show a certificate of theirs.
func TestEnterByCertificate(t *testing.T) {
	h, idp := gatehouseOf(t), startIDP(t)
	inline := "\"" + strings.ReplaceAll(h.ca.PEM, "\n", "\\n") + "\"" // so that two people approve it with the configuration
	g := h.doors(t, idp, "    - {logins: [shown, ada], as: shown, certificate: enter.crt, key: enter.key}\n",
		", certificates: {ca: "+inline+", people: {ada-laptop: s1, s2-card: s2}, crl: own.crl}", "")
	at := newHome(t, idp)
	h.login(at, g, "s2")
	sessionUser := func(conn *pgx.Conn, err error) string {
		t.Helper()
		if err != nil {
			return refusalOf(t, err).Message
		}
		var who string
		if err := conn.QueryRow(t.Context(), "SELECT session_user").Scan(&who); err != nil {
			return err.Error()
		}
		return who
	}
	if got := sessionUser(g.byCredential("shown", at.credential())); got != "shown" {
		t.Errorf("%s\n%s", got, g.log)
	}
	h.login(at, g, "s1")
	if got := sessionUser(g.byCredential("ada", at.credential())); got != "shown" {
		t.Errorf("ada enters as %s\n%s", got, g.log)
	}

	other, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, role string
		of         *authority
		want       string
	}{
		{"ada-laptop", "ada", h.ca, "shown"},
		{"ada-laptop", "shown", h.ca, "not of the person"},
		{"s2-card", "shown", h.ca, "shown"},
		{"s3", "ada", h.ca, "not of the person"},
		{"ada", "ada", h.ca, "not of the person"}, // the role's name is nobody's
		{"", "ada", h.ca, "not of the person"},
		{"ada-laptop", "ada", other, ""},
	} {
		certificate, key := tt.of.mustIssue(t, tt.name).files(t, t.TempDir(), "client")
		conn, err := g.dialWith(tt.role, "unused", "sslmode=verify-full sslrootcert="+filepath.Join(g.folder, "ca.crt")+" sslcert="+certificate+" sslkey="+key)
		if tt.want == "" {
			if err == nil {
				t.Errorf("a certificate of a stranger's authority lets in")
			}
			continue
		}
		if got := sessionUser(conn, err); !strings.Contains(got, tt.want) {
			t.Errorf("%s as %s: %s", tt.name, tt.role, got)
		}
	}
	g.certificatesEnd("ada-laptop")
	within(t, 20*time.Second, "the record says how each logged in", func() bool {
		starts := map[string]int{}
		for _, e := range g.seen(sallyport.SessionStart) {
			how, _, _ := strings.Cut(e.Note, ",")
			starts[string(e.Who.Staff)+" "+how]++
		}
		return starts["s1 logged in by certificate"] >= 3 && starts["s1 logged in by oidc"] == 1 && starts["s2 logged in by certificate"] == 1 && starts["s2 logged in by oidc"] == 1
	})
}

// certificatesEnd takes the certificate back that somebody logs in with: by the list, by one that is out of time, and by a lock.
func (g *gate) certificatesEnd(name string) {
	t := g.t
	t.Helper()
	mine := g.h.ca.mustIssue(t, name)
	certificate, key := mine.files(t, t.TempDir(), "client")
	try := func() error {
		conn, err := g.dialWith("ada", "unused", "sslmode=verify-full sslrootcert="+filepath.Join(g.folder, "ca.crt")+" sslcert="+certificate+" sslkey="+key)
		if err == nil {
			_ = conn.Close(context.Background())
		}
		return err
	}
	for _, c := range []struct {
		name  string
		write func()
		in    bool
	}{
		{"it is on the list", func() { g.h.ca.revoke(t, g.folder, time.Hour, mine.loaded(t).Leaf.SerialNumber) }, false},
		{"another is", func() { g.h.ca.revoke(t, g.folder, time.Hour, big.NewInt(1)) }, true},
		{"the list is out of time", func() { g.h.ca.revoke(t, g.folder, -time.Minute) }, false},
		{"a list as it should be", func() { g.h.ca.revoke(t, g.folder, time.Hour) }, true},
	} {
		c.write()
		g.Renew()
		within(t, 20*time.Second, c.name, func() bool { return (try() == nil) == c.in })
	}
	g.order(sallyport.Order{Action: "lock", By: "o1", About: "s1", Reason: "test"})
	if answer := refusalOf(t, try()); answer.Code != "SP011" {
		t.Errorf("locked: %s %s", answer.Code, answer.Message)
	}
}

// order locks somebody, as the control socket would.
func (g *gate) order(o sallyport.Order) {
	g.t.Helper()
	if err := g.orders.Give(nil, &sallyport.Event{Time: time.Now(), Kind: sallyport.Locked, Order: &o}); err != nil {
		g.t.Fatal(err)
	}
}
