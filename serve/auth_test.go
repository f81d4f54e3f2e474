package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/identity"
)

// TestAuthWays goes every way in: how the client came, what he does about channel binding, how the server is reached, whether
// verifiers can be read, and whose role it is.
func TestAuthWays(t *testing.T) {
	h := gatehouseOf(t)
	own, same := h.ca.mustIssue(t, "localhost"), h.shown
	const plain, tlsOff, tlsPrefer, tlsRequire = "sslmode=disable", "sslmode=require channel_binding=disable", "sslmode=require channel_binding=prefer", "sslmode=require channel_binding=require"
	unencrypted := "no encryption"
	if h.cluster.Major < 14 {
		unencrypted = "SSL off"
	}
	type try struct {
		role, settings string
		tls            bool   // on the way to the server
		fails          string // part of the error; empty: he gets in
	}
	for _, tt := range []struct {
		name  string
		own   *pair
		extra []string
		tries []try
	}{
		{"relay without certificate", nil, nil, []try{
			{"ada", plain, false, ""},
			{"mdfive", plain, false, ""},
			{"clear", plain, false, ""},
			{"postgres", plain, false, ""},
			{"plainonly", plain, false, ""},
			{"tlsonly", plain, false, unencrypted},
			{"nobody", plain, false, "password authentication failed"},
			{"expired", plain, false, "password authentication failed"},
		}},
		{"relay in clear", &own, []string{"tls: {mode: disable}"}, []try{
			{"ada", plain, false, ""},
			{"ada", tlsPrefer, false, ""},
			{"ada", tlsOff, false, ""},
			{"mdfive", tlsPrefer, false, ""},
			{"postgres", tlsPrefer, false, ""},
			{"ada", tlsRequire, false, "channel binding"},
		}},
		{"as the client came, without verifiers", &own, nil, []try{
			{"ada", plain, false, ""},
			{"ada", tlsPrefer, false, ""},
			{"ada", tlsOff, false, ""},
			{"mdfive", tlsPrefer, true, ""},
			{"clear", tlsPrefer, true, ""},
			{"tlsonly", tlsOff, true, ""},
			{"tlsonly", tlsPrefer, true, "channel_binding=disable"},
			{"tlsonly", plain, false, unencrypted},
			{"plainonly", plain, false, ""},
			{"plainonly", tlsPrefer, true, "rejects"},
		}},
		{"as the client came, with the server's own certificate", &same, nil, []try{
			{"ada", plain, false, ""}, {"ada", tlsPrefer, true, ""}, {"ada", tlsOff, true, ""}, {"ada", tlsRequire, true, ""}, {"postgres", tlsRequire, true, ""},
		}},
		{"as the client came, with verifiers", &own, []string{readsVerifiers, fromPostgres}, []try{
			{"ada", plain, false, ""},
			{"ada", tlsPrefer, true, ""},
			{"ada", tlsOff, true, ""},
			{"ada", tlsRequire, true, ""},
			{"tlsonly", tlsRequire, true, ""},
			{"postgres", tlsPrefer, false, ""},
			{"mdfive", tlsPrefer, true, ""},
			{"nobody", tlsPrefer, true, "password authentication failed"},
		}},
		{"prefer", &own, []string{"tls: {mode: prefer}"}, []try{
			{"ada", plain, true, ""}, {"ada", tlsPrefer, false, ""}, {"tlsonly", plain, true, ""}, {"plainonly", plain, false, ""}, {"mdfive", plain, true, ""},
		}},
		{"verified, with verifiers", &own, []string{verifyFull, readsVerifiers, fromPostgres}, []try{
			{"ada", plain, true, ""},
			{"ada", tlsPrefer, true, ""},
			{"ada", tlsOff, true, ""},
			{"ada", tlsRequire, true, ""},
			{"mdfive", tlsPrefer, true, ""},
			{"clear", tlsPrefer, true, ""},
			{"postgres", tlsOff, true, ""},
			{"postgres", plain, true, ""},
			{"postgres", tlsPrefer, true, "channel_binding=disable"},
			{"bob", tlsPrefer, true, "channel_binding=disable"},
			{"bob", tlsOff, true, ""},
			{"nobody", tlsPrefer, true, "password authentication failed for user \"nobody\""},
			{"expired", tlsPrefer, true, "password authentication failed"},
			{"plainonly", plain, true, "rejects"},
		}},
		{"verified, without the function", &own, []string{verifyFull, readsVerifiers, fromBare}, []try{
			{"ada", plain, true, ""}, {"ada", tlsOff, true, ""}, {"ada", tlsPrefer, true, "channel_binding=disable"}, {"mdfive", tlsPrefer, true, ""},
		}},
		{"another name, unchecked", nil, []string{"tls: {mode: verify-ca, ca: ca.crt, server_name: other}"}, []try{{"ada", plain, true, ""}}},
		{"unchecked", nil, []string{"tls: {mode: require}"}, []try{{"ada", plain, true, ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := h.open(t, tt.own, tt.extra...)
			for _, try := range tt.tries {
				conn, err := g.dial(try.role, try.settings)
				switch {
				case try.fails == "" && err != nil:
					t.Errorf("%s %s: %v\n%s", try.role, try.settings, err, g.log)
				case try.fails != "" && (err == nil || !strings.Contains(explain(err), try.fails)):
					t.Errorf("%s %s: %s, want %q", try.role, try.settings, explain(err), try.fails)
				case err == nil && encrypted(t, conn) != try.tls:
					t.Errorf("%s %s: TLS to the server: %v", try.role, try.settings, !try.tls)
				}
			}
			if _, err := g.dialWith("ada", "wrong", plain); err == nil {
				t.Error("a wrong password was accepted")
			}
		})
	}
}

// TestAuthWrongServer does not serve in front of a server that does not prove who it is, and says why.
func TestAuthWrongServer(t *testing.T) {
	h := gatehouseOf(t)
	other, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, text := range map[string]string{"other.crt": other.PEM, "ca.crt": h.ca.PEM} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for settings, want := range map[string]string{
		"{mode: verify-full, ca: " + folder + "/ca.crt, server_name: wrong}":   "certificate is valid for localhost, not wrong",
		"{mode: verify-full} # wrong: the system's authorities":                "signed by unknown authority",
		"{mode: verify-ca, ca: " + folder + "/other.crt} # wrong":              "signed by unknown authority",
		"{mode: require, ca: " + folder + "/other.crt} # wrong, as libpq does": "signed by unknown authority",
	} {
		g := h.open(t, nil, "tls: "+settings)
		within(t, 10*time.Second, "serve says why", func() bool { return strings.Contains(g.log.String(), want) })
		if _, err := g.dial("ada", "sslmode=disable"); err == nil || !strings.Contains(err.Error(), "57P03") {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

// explain is an error with the hint of the one who refused.
func explain(err error) string {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answer.Message + " " + answer.Hint
	}
	return fmt.Sprint(err)
}

// TestAuthVerified looks at what a log-in that the gateway verifies does besides letting in.
func TestAuthVerified(t *testing.T) {
	h := gatehouseOf(t)
	own := h.ca.mustIssue(t, "localhost")
	g := h.open(t, &own, verifyFull, readsVerifiers, fromPostgres)

	// A wrong password is the server's to refuse and to log: whoever counts failed attempts there goes on counting.
	before := strings.Count(h.heard.String(), `password authentication failed for user "ada"`)
	for _, settings := range []string{"channel_binding=require", "channel_binding=disable"} {
		_, err := g.dialWith("ada", "wrong", "sslmode=require "+settings)
		if answer, ok := errors.AsType[*pgconn.PgError](err); !ok || answer.Code != "28P01" || answer.Message != `password authentication failed for user "ada"` {
			t.Errorf("a wrong password: %v", err)
		}
	}
	within(t, 5*time.Second, "the server logs both attempts", func() bool {
		return strings.Count(h.heard.String(), `password authentication failed for user "ada"`) == before+2
	})

	// What a client reads of a role that does not exist is what he would read at the server, each time.
	for _, role := range []string{"ada", "nobody"} {
		direct, _ := challengeOf(t, h.cluster.Host+fmt.Sprintf(":%d", h.cluster.Port), role)
		for range 2 {
			if through, mechanisms := challengeOf(t, g.Addr().String(), role); through != direct || strings.Join(mechanisms, " ") != "SCRAM-SHA-256-PLUS SCRAM-SHA-256" {
				t.Errorf("%s: the challenge is %q of %v, at the server %q", role, through, mechanisms, direct)
			}
		}
	}

	// A new password counts at once, and the old one no longer.
	super, err := pgx.Connect(t.Context(), h.cluster.SuperDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close(context.Background())
	for _, password := range []string{"first", "second"} {
		if _, err := super.Exec(t.Context(), "ALTER ROLE ada PASSWORD '"+password+"'"); err != nil {
			t.Fatal(err)
		}
		if _, err := g.dialWith("ada", password, "sslmode=require channel_binding=require"); err != nil {
			t.Errorf("the password of now: %v", err)
		}
	}
	if _, err := g.dialWith("ada", "first", "sslmode=require"); err == nil {
		t.Error("the password of before was accepted")
	}
	if _, err := super.Exec(t.Context(), "ALTER ROLE ada PASSWORD 'ada-pw'"); err != nil {
		t.Fatal(err)
	}

	// The reader's connection may be lost.
	if _, err := super.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'"); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "a log-in after that", func() bool {
		_, err := g.dial("ada", "sslmode=require channel_binding=require")
		return err == nil
	})
	if text := g.log.String(); strings.Contains(text, "SCRAM-SHA-256$") || strings.Contains(text, "ada-pw") {
		t.Error("the log holds a secret")
	}
}

// challengeOf begins to log in over TLS and returns salt and iterations, and the mechanisms that were offered.
func challengeOf(t *testing.T, address, role string) (challenge string, mechanisms []string) {
	t.Helper()
	conn := tlsTo(t, address)
	front := pgproto3.NewFrontend(conn, conn)
	front.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": role, "database": "postgres"}})
	if err := front.Flush(); err != nil {
		t.Fatal(err)
	}
	offer, ok := receive(t, front).(*pgproto3.AuthenticationSASL)
	if !ok {
		t.Fatalf("%s: no SASL", role)
	}
	mechanisms = append(mechanisms, offer.AuthMechanisms...)
	front.Send(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=abcdef")})
	if err := front.Flush(); err != nil {
		t.Fatal(err)
	}
	first, ok := receive(t, front).(*pgproto3.AuthenticationSASLContinue)
	if !ok {
		t.Fatalf("%s: no challenge", role)
	}
	_, challenge, _ = strings.Cut(string(first.Data), ",")
	return challenge, mechanisms
}

func receive(t *testing.T, front *pgproto3.Frontend) pgproto3.BackendMessage {
	t.Helper()
	m, err := front.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tlsTo asks an address for TLS and takes whoever answers.
func tlsTo(t *testing.T, address string) *tls.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, "\x00\x00\x00\x08\x04\xd2\x16\x2f"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != 'S' {
		t.Fatalf("TLS: %q %v", answer, err)
	}
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
}

// TestAuthProtected logs in with channel binding to a protected database whose function was installed as printed, and reads
// what a purpose covers.
func TestAuthProtected(t *testing.T) {
	own, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := own.mustIssue(t, "localhost").files(t, t.TempDir(), "own")
	f := newFort(t, fmt.Sprintf("tls: {certificate: %s, key: %s}\n", certificate, key))
	who, ticket, customer := f.hasTicket(0)
	_, port, _ := net.SplitHostPort(f.server.Addr().String())
	dsn := fmt.Sprintf("host=localhost port=%s user=%s password=%s dbname=%s sslmode=require channel_binding=", port, who, f.passwords[who], f.database)
	if _, err := pgx.Connect(t.Context(), dsn+"require"); err == nil {
		t.Error("a channel was bound without verifiers")
	}
	var printed strings.Builder
	if err := (&Main{Stdout: &printed, Stderr: io.Discard, Getenv: os.Getenv}).Run(t.Context(), []string{"check", "--sql", "--config", filepath.Join(f.folder, "sallyport.yaml")}); err != nil {
		t.Fatal(err)
	}
	f.superExec(f.database, printed.String())
	conn, err := pgx.Connect(t.Context(), dsn+"require")
	if err != nil {
		t.Fatalf("%v\n%s", err, f.log)
	}
	c := &client{Conn: conn, t: t}
	defer c.Close(context.Background())
	if !encrypted(t, conn) {
		t.Error("the way to the server has no TLS")
	}
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.one("SELECT email FROM support.customers WHERE id = $1", customer.ID); got != customer.Email {
		t.Error("a covered value is a token")
	}
	if err := f.officer("o1").Lock(t.Context(), who, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), dsn+"require"); err == nil || !strings.Contains(err.Error(), "you are locked") {
		t.Errorf("somebody locked: %v", err)
	}
}

// TestAuthFunction holds the function to what it may give away, and to whom.
func TestAuthFunction(t *testing.T) {
	h := gatehouseOf(t)
	ask := func(as, role string) (*string, error) {
		conn, err := pgx.Connect(t.Context(), h.cluster.DSN(as, h.password(as), "postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		// Names of one's own in the way of those that the function means.
		for _, sql := range []string{"CREATE TEMPORARY TABLE pg_authid (rolname name, rolcanlogin bool, rolpassword text, oid oid)", "SET search_path = pg_temp, public"} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		var text *string
		err = conn.QueryRow(t.Context(), identity.Lookup, role).Scan(&text)
		return text, err
	}
	for role, want := range map[string]string{
		"ada": "SCRAM", "expired": "SCRAM", "postgres": "", "bob": "", "mdfive": "NULL", "shown": "NULL", "nobody": "NULL", "pg_monitor": "NULL", "": "NULL", "' OR true --": "NULL",
	} {
		text, err := ask("reader", role)
		if err != nil {
			t.Fatal(err)
		}
		got := "NULL"
		if text != nil {
			got, _, _ = strings.Cut(*text, "-SHA-256$")
		}
		if got != want {
			t.Errorf("%s: %s", role, got)
		}
	}
	if _, err := ask("ada", "ada"); err == nil || !strings.Contains(err.Error(), "42501") {
		t.Errorf("somebody else calls it: %v", err)
	}
}

// TestAuthSuperuserReads refuses to read verifiers as a superuser.
func TestAuthSuperuserReads(t *testing.T) {
	h := gatehouseOf(t)
	own := h.ca.mustIssue(t, "localhost")
	g := h.open(t, &own, verifyFull, "reader: {user: postgres, password_file: super.password}", fromPostgres)
	if err := os.WriteFile(filepath.Join(g.folder, "super.password"), []byte(h.cluster.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.dial("ada", "sslmode=require"); err == nil || !strings.Contains(err.Error(), "57P03") {
		t.Errorf("a log-in: %v", err)
	}
	if !strings.Contains(g.log.String(), "is a superuser") {
		t.Errorf("the log does not say why: %s", g.log)
	}
}

// TestAuthCheck has `check` say that the function is missing where log-ins would fail without it.
func TestAuthCheck(t *testing.T) {
	h := gatehouseOf(t)
	own := h.ca.mustIssue(t, "localhost")
	for where, missing := range map[string]bool{fromPostgres: false, fromBare: true} {
		g := h.open(t, &own, verifyFull, readsVerifiers, where)
		c := &check{config: g.O.Config}
		c.logIns(t.Context(), g.Upstream)
		if (len(c.findings) == 1) != missing || missing && !strings.Contains(c.findings[0].What, "in database bare") {
			t.Errorf("%s: %v", where, c.findings)
		}
	}
	g := h.open(t, &own, readsVerifiers, fromBare) // as the client came: then without TLS to the server
	c := &check{config: g.O.Config}
	if c.logIns(t.Context(), g.Upstream); len(c.findings) != 0 {
		t.Errorf("%v", c.findings)
	}
}

// TestAuthMiddle puts somebody between gateway and server who decrypts and encrypts anew. Under require nobody checks his
// certificate, but a verified log-in is bound to it.
func TestAuthMiddle(t *testing.T) {
	h := gatehouseOf(t)
	own, his := h.ca.mustIssue(t, "localhost"), h.ca.mustIssue(t, "localhost")
	middle, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { middle.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := middle.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { stand(conn, h.address(), his.loaded(t)) })
		}
	})
	g := h.open(t, &own, "address: "+middle.Addr().String(), "tls: {mode: require}", readsVerifiers, fromPostgres)
	_, err = g.dial("mdfive", "sslmode=require")
	if err != nil {
		t.Fatalf("he passes on what is not bound: %v", err)
	}
	if _, err = g.dial("ada", "sslmode=require"); err == nil || !strings.Contains(err.Error(), "channel binding") && !strings.Contains(err.Error(), "57P03") {
		t.Errorf("a log-in through him: %v", err)
	}
}

// stand passes bytes on between a client and the server, with TLS of its own on both sides.
func stand(client net.Conn, address string, certificate tls.Certificate) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	request, answer := make([]byte, 8), make([]byte, 1)
	if _, err := io.ReadFull(client, request); err != nil {
		return
	}
	_, _ = server.Write(request)
	if _, err := io.ReadFull(server, answer); err != nil {
		return
	}
	_, _ = client.Write(answer)
	if answer[0] != 'S' {
		return
	}
	near := tls.Server(client, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	far := tls.Client(server, &tls.Config{InsecureSkipVerify: true})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(far, near)
		_ = far.CloseWrite()
	}()
	_, _ = io.Copy(near, far)
	_ = near.Close()
	_ = far.Close()
	<-done
}
