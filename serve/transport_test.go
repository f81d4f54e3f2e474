package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport"
)

// TestTransportDirect begins with TLS at once, as libpq 17 does under sslnegotiation=direct.
func TestTransportDirect(t *testing.T) {
	h := gatehouseOf(t)
	own := h.ca.mustIssue(t, "localhost")
	g := h.open(t, &own, readsVerifiers, fromPostgres)
	conn, err := g.dial("ada", "sslmode=verify-full sslnegotiation=direct channel_binding=require sslrootcert="+filepath.Join(g.folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if !encrypted(t, conn) {
		t.Error("the way to the server has no TLS")
	}

	trusting := func(protocols ...string) *tls.Config {
		return &tls.Config{RootCAs: h.ca.trust(), ServerName: "localhost", NextProtos: protocols, MinVersion: tls.VersionTLS12}
	}
	direct := func(config *tls.Config) (string, error) {
		c, err := tls.Dial("tcp", g.Addr().String(), config)
		if err != nil {
			return "", err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := c.Write(startupOf("nosuch")); err != nil {
			return "", err
		}
		said := make([]byte, 1)
		_, err = io.ReadFull(c, said)
		return string(said), err
	}
	if said, err := direct(trusting("postgresql")); err != nil || said != "R" {
		t.Errorf("with ALPN: %q %v", said, err)
	}
	if said, err := direct(trusting()); err == nil {
		t.Errorf("without ALPN: %q", said)
	}
	if said, err := direct(trusting("h2")); err == nil {
		t.Errorf("with a browser's ALPN: %q", said)
	}
	old := trusting("postgresql")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if said, err := direct(old); err == nil {
		t.Errorf("TLS 1.1: %q", said)
	}

	// Behind a request for TLS, ALPN is the client's choice, but another protocol's name is not.
	for protocol, ok := range map[string]bool{"": true, "postgresql": true, "h2": false} {
		raw, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		_ = raw.SetDeadline(time.Now().Add(time.Minute))
		if got := exchange(t, raw, requestTLS, 1); got != "S" {
			t.Fatalf("answered %q", got)
		}
		config := trusting()
		if protocol != "" {
			config = trusting(protocol)
		}
		if err := tls.Client(raw, config).HandshakeContext(t.Context()); (err == nil) != ok {
			t.Errorf("ALPN %q: %v", protocol, err)
		}
	}
}

// The requests before a start-up packet.
const (
	requestTLS = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	requestGSS = "\x00\x00\x00\x08\x04\xd2\x16\x30"
)

func startupOf(user string) []byte {
	b, _ := (&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": user, "database": "postgres"}}).Encode(nil)
	return b
}

// exchange sends bytes and reads n.
func exchange(t *testing.T, conn net.Conn, send string, n int) string {
	t.Helper()
	if _, err := io.WriteString(conn, send); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Fatalf("after %q: %v", send, err)
	}
	return string(got)
}

// TestTransportNegotiation asks for this and that before the start-up packet, and gets what PostgreSQL answers.
func TestTransportNegotiation(t *testing.T) {
	h := gatehouseOf(t)
	own := h.ca.mustIssue(t, "localhost")
	bare, secured := h.open(t, nil), h.open(t, &own)
	for _, tt := range []struct {
		name string
		to   *gate
		send []string // one after the other, each answered by one byte but the last
		want string   // the bytes, then a part of what is said at the end
	}{
		{"GSS, then TLS, then neither", bare, []string{requestGSS, requestTLS, string(startupOf("ada"))}, "NNR"},
		{"TLS, then GSS, then neither", bare, []string{requestTLS, requestGSS, string(startupOf("ada"))}, "NNR"},
		{"GSS twice", bare, []string{requestGSS, requestGSS}, "Nunsupported frontend protocol 1234.5680"},
		{"TLS twice", bare, []string{requestTLS, requestTLS}, "Nunsupported frontend protocol 1234.5679"},
		{"protocol 2", bare, []string{"\x00\x00\x00\x08\x00\x02\x00\x00"}, "unsupported frontend protocol 2.0"},
		{"protocol 4", bare, []string{"\x00\x00\x00\x08\x00\x04\x00\x00"}, "unsupported frontend protocol 4.0"},
		{"GSS, then TLS", secured, []string{requestGSS, requestTLS}, "NS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", tt.to.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			got := ""
			for i, send := range tt.send {
				got += exchange(t, conn, send, 1)
				if i == len(tt.send)-1 && got[len(got)-1] == 'E' {
					rest, _ := io.ReadAll(conn)
					got = got[:len(got)-1] + string(rest)
				}
			}
			if before, after, _ := strings.Cut(tt.want, "unsupported"); !strings.HasPrefix(got, before) || !strings.Contains(got, after) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestTransportReload replaces the certificate while sessions live, and then by one that is broken.
func TestTransportReload(t *testing.T) {
	h := gatehouseOf(t)
	first, second, third := h.ca.mustIssue(t, "localhost"), h.ca.mustIssue(t, "localhost"), h.ca.mustIssue(t, "localhost")
	g := h.open(t, &first, readsVerifiers, fromPostgres)
	shown := func() *x509.Certificate {
		c := tlsTo(t, g.Addr().String())
		if err := c.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c.ConnectionState().PeerCertificates[0]
	}
	shows := func(p pair) func() bool {
		return func() bool { return shown().Equal(p.loaded(t).Leaf) }
	}
	if !shows(first)() {
		t.Fatal("another certificate is shown")
	}
	session, err := g.dial("ada", "sslmode=require channel_binding=require")
	if err != nil {
		t.Fatal(err)
	}
	second.files(t, g.folder, "own")
	within(t, 10*time.Second, "the new certificate is shown", shows(second))

	if err := os.WriteFile(filepath.Join(g.folder, "own.crt"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "the log tells of the broken file", func() bool { return strings.Contains(g.log.String(), "the former ones stay in use") })
	if !shows(second)() {
		t.Error("a broken file took the certificate away")
	}

	// Files of the same age, as a copy that keeps times makes them: somebody says so (SIGHUP).
	old := time.Now().Add(-time.Hour)
	certificate, key := third.files(t, g.folder, "own")
	for _, file := range []string{certificate, key} {
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	g.Renew()
	within(t, 10*time.Second, "the third certificate is shown", shows(third))
	if _, err := g.dial("ada", "sslmode=require channel_binding=require"); err != nil {
		t.Errorf("a log-in bound to the new certificate: %v", err)
	}
	if _, err := session.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("a session from before: %v", err)
	}

	// Who is believed on the way to the server changes with its file too, for clients and for the reader.
	other, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	g = h.open(t, &first, verifyFull, readsVerifiers, fromPostgres)
	trust := func(authorities string) {
		if err := os.WriteFile(filepath.Join(g.folder, "ca.crt"), []byte(authorities), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust(other.PEM)
	within(t, 10*time.Second, "the server is not believed any more", func() bool {
		_, err := g.dial("ada", "sslmode=require")
		return err != nil && strings.Contains(err.Error(), "cannot be reached")
	})
	trust(h.ca.PEM)
	within(t, 10*time.Second, "the server is believed again", func() bool {
		_, err := g.dial("ada", "sslmode=require channel_binding=require")
		return err == nil
	})
}

// TestTransportClientCertificates asks clients for theirs.
func TestTransportClientCertificates(t *testing.T) {
	h := gatehouseOf(t)
	own := h.ca.mustIssue(t, "localhost")
	g := h.open(t, nil)
	own.files(t, g.folder, "own")
	_ = g.Server.Close()
	g.serve("version: 1\nlisten: 127.0.0.1:0\nupstream: {address: '" + h.address() + "'}\ntls: {certificate: own.crt, key: own.key, client_ca: ca.crt}\n")
	await(t, "serve finds the database", g.Ready())
	other, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		with *pair
		mode string
		want string
	}{
		{"his own", new(h.ca.mustIssue(t, "ada")), "require", ""},
		{"another's", new(h.ca.mustIssue(t, "bob")), "require", "another role's"},
		{"of another authority", new(other.mustIssue(t, "ada")), "require", "unknown certificate authority"},
		{"none", nil, "require", "connection requires a valid client certificate"},
		{"none, in clear", nil, "disable", "this address wants TLS"},
	} {
		settings := "channel_binding=disable sslmode=" + tt.mode
		if tt.with != nil {
			certificate, key := tt.with.files(t, g.folder, "client")
			settings += " sslcert=" + certificate + " sslkey=" + key
		}
		_, err := g.dial("ada", settings)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	devices := map[string]bool{}
	if err := errors.Join(g.AccessStream.Sync(), g.AccessStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.SessionStart {
			devices[e.Who.Login+" on "+e.Who.Device] = true
		}
		return nil
	})); err != nil || !devices["ada on ada"] {
		t.Errorf("the certificate's device is not on record: %v, %v", devices, err)
	}
}

// TestTransportOwnCertificate shows a certificate to a server that asks for one.
func TestTransportOwnCertificate(t *testing.T) {
	h := gatehouseOf(t)
	g := h.open(t, nil, "tls: {mode: require}")
	if _, err := g.dial("strict", "sslmode=disable"); err == nil || !strings.Contains(err.Error(), "client certificate") {
		t.Errorf("without: %v", err)
	}
	his := h.ca.mustIssue(t, "shown")
	certificate, key := his.files(t, g.folder, "his")
	g = h.open(t, nil, fmt.Sprintf("tls: {mode: verify-full, ca: ca.crt, certificate: %s, key: %s}", certificate, key))
	for _, role := range []string{"strict", "shown"} {
		if _, err := g.dial(role, "sslmode=disable"); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
}

// TestTransportSockets goes in and out by Unix sockets.
func TestTransportSockets(t *testing.T) {
	h := gatehouseOf(t)
	own := h.ca.mustIssue(t, "localhost")
	g := h.open(t, &own)
	_ = g.Server.Close()
	folder := filepath.Dir(shortDir(t))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("version: 1\nlisten: unix:%s\nlisten_mode: \"0770\"\nupstream: {address: 'unix:%s/.s.PGSQL.%d'}\ntls: {certificate: own.crt, key: own.key}\n", folder, h.cluster.SocketDir, h.cluster.Port)
	g.serve(text)
	await(t, "serve finds the database", g.Ready())
	socket := filepath.Join(folder, ".s.PGSQL.5432")
	if info, err := os.Stat(socket); err != nil || info.Mode() != os.ModeSocket|0o770 {
		t.Fatalf("%v %v", info, err)
	}
	config, err := pgx.ParseConfig("host=" + folder + " user=ada password=ada-pw dbname=postgres")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	var address *string
	if err := conn.QueryRow(t.Context(), "SELECT client_addr::text FROM pg_stat_activity WHERE pid = pg_backend_pid()").Scan(&address); err != nil || address != nil {
		t.Errorf("the server sees %v, %v", address, err)
	}
	cancelled(t, conn, func() error { return conn.PgConn().CancelRequest(t.Context()) })
	out, err := installed(t, []string{"PGPASSWORD=ada-pw"}, "psql", "-X", "-At", "host="+folder+" user=ada dbname=postgres", "-c", "SELECT 'by socket'")
	if err != nil || !strings.Contains(out, "by socket") {
		t.Errorf("psql: %v %s", err, out)
	}
	raw, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if got := exchange(t, raw, requestTLS, 1); got != "N" { // PostgreSQL has no TLS there either
		t.Errorf("a request for TLS: %q", got)
	}
	_ = conn.Close(t.Context())

	// Somebody serves there: a second one leaves the socket alone. Once he is gone, what he left is removed.
	if _, err := Start(t.Context(), Options{Config: g.O.Config, Data: filepath.Join(folder, "second")}); err == nil || !strings.Contains(err.Error(), "answers there") {
		t.Errorf("a second serve: %v", err)
	}
	if err := g.Server.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	g.serve(text)
	await(t, "serve takes the place of what was left", g.Ready())
	if err := g.Server.Close(); err != nil {
		t.Fatal(err)
	}
	for _, e := range eventsOf(t, g.O.Data) {
		if e.Who.Login == "ada" && e.Who.Address != "[local]" {
			t.Errorf("the record says %q", e.Who.Address)
		}
	}
}

// cancelled starts a long statement, has it cancelled, and looks at how it ends.
func cancelled(t *testing.T, conn *pgx.Conn, cancel func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_sleep(30)")
		ended <- err
	}()
	var answer *pgconn.PgError
	for {
		if err := cancel(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if !errors.As(err, &answer) || answer.Code != "57014" {
				t.Errorf("a cancelled statement ended with %v", err)
			}
			return
		case <-time.After(50 * time.Millisecond): // the request came before the statement
		}
	}
}

// TestTransportCancel cancels through TLS on both sides.
func TestTransportCancel(t *testing.T) {
	h := gatehouseOf(t)
	own := h.ca.mustIssue(t, "localhost")
	g := h.open(t, &own, verifyFull, readsVerifiers, fromPostgres)
	conn, err := g.dial("ada", "sslmode=require channel_binding=require")
	if err != nil {
		t.Fatal(err)
	}
	cancelled(t, conn, func() error { return conn.PgConn().CancelRequest(t.Context()) })
	cancelled(t, conn, func() error { // in clear, as libpq before 17 does
		raw, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			return err
		}
		defer raw.Close()
		packet, err := (&pgproto3.CancelRequest{ProcessID: conn.PgConn().PID(), SecretKey: conn.PgConn().SecretKey()}).Encode(nil)
		if err != nil {
			return err
		}
		_, err = raw.Write(packet)
		_, _ = io.Copy(io.Discard, raw)
		return err
	})
	for range 3 { // more bytes than a TLS record, in pieces of every kind
		rows, err := conn.Query(t.Context(), "SELECT repeat('x', n) FROM generate_series(1, 2000) n")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for rows.Next() {
			n += len(rows.RawValues()[0])
		}
		if rows.Err() != nil || n != 2001000 {
			t.Errorf("%d bytes, %v", n, rows.Err())
		}
	}
}

// TestTransportIdle keeps sessions with TLS on both sides that do nothing after a long result: none holds a buffer.
func TestTransportIdle(t *testing.T) {
	h := gatehouseOf(t)
	own := h.ca.mustIssue(t, "localhost")
	g := h.open(t, &own, verifyFull, readsVerifiers, fromPostgres)
	open := func() {
		_, port, _ := net.SplitHostPort(g.Addr().String())
		conn, err := pgconn.Connect(t.Context(), "host=localhost port="+port+" user=ada password=ada-pw dbname=postgres sslmode=require")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "SELECT repeat('x', 1000) FROM generate_series(1, 100)").ReadAll(); err != nil {
			t.Fatal(err)
		}
		raw, err := conn.Hijack() // the client's own buffers do not count
		if err != nil {
			t.Fatal(err)
		}
		raw.Frontend = nil
		t.Cleanup(func() { _ = raw.Conn.Close() })
	}
	open()
	const sessions = 30
	before := heap()
	for range sessions {
		open()
	}
	// The client's own end of TLS counts too.
	if each := (int(heap()) - int(before)) / sessions; each > 80<<10 { //nolint:gosec // sizes of a test
		t.Errorf("an idle session with TLS on both sides holds %d bytes", each)
	} else {
		t.Logf("%d bytes a session", each)
	}
}

// TestHangup hears SIGHUP.
func TestHangup(t *testing.T) {
	heard := make(chan struct{}, 10)
	stop := OnHangup(func() { heard <- struct{}{} })
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, "SIGHUP was heard", heard)
}
