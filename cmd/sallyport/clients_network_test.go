package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport"
	"sallyport/record"
)

// certificate makes a self-signed one for localhost and returns the files and who trusts it.
func certificate(t *testing.T) (certificateFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certificateFile, keyFile = filepath.Join(folder, "certificate.pem"), filepath.Join(folder, "key.pem")
	for path, block := range map[string]*pem.Block{certificateFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return certificateFile, keyFile, pool
}

// TestClientTLS connects with TLS: values are revealed, a cancel request is heard, and nothing sent before TLS is believed.
func TestClientTLS(t *testing.T) {
	certificateFile, keyFile, pool := certificate(t)
	f := newFort(t, fmt.Sprintf("tls: {certificate: %s, key: %s}\n", certificateFile, keyFile))
	who, ticket, customer := f.hasTicket(0)
	address := f.server.Addr().String()
	config, err := pgx.ParseConfig(f.dsn(who))
	if err != nil {
		t.Fatal(err)
	}
	config.TLSConfig = &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	config.Fallbacks = nil
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{Conn: conn, t: t}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.one("SELECT email FROM support.customers WHERE id = $1", customer.ID); got != customer.Email {
		t.Error("a covered value is a token over TLS")
	}
	if got := len(c.must("SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) n")); got != 5000 {
		t.Errorf("%d rows over TLS", got)
	}

	failed := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "SELECT pg_sleep(30)")
		failed <- err
	}()
	direct := f.direct()
	within(t, 10*time.Second, "the statement runs", func() bool {
		var n int
		err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' AND datname = $1", f.database).Scan(&n)
		return err == nil && n == 1
	})
	secured := f.requestTLS(t, nil)
	inside := tls.Client(secured, &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12})
	cancel, err := (&pgproto3.CancelRequest{ProcessID: c.PgConn().PID(), SecretKey: c.PgConn().SecretKey()}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inside.Write(cancel); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, inside)
	var pgErr *pgconn.PgError
	if err := <-failed; !errors.As(err, &pgErr) || pgErr.Code != "57014" {
		t.Errorf("a cancelled statement ended with %v", err)
	}

	// psql verifies the certificate and logs in with SCRAM.
	host, port, _ := strings.Cut(address, ":")
	out, err := program(t, []string{"PGPASSWORD=" + f.passwords[who]}, "psql", "-X", "-At",
		fmt.Sprintf("host=localhost hostaddr=%s port=%s user=%s dbname=%s sslmode=verify-full sslrootcert=%s", host, port, who, f.database, certificateFile), "-c", `\conninfo`, "-c", "SELECT 1")
	if err != nil || !strings.Contains(out, "SSL") {
		t.Errorf("psql with verify-full: %v\n%s", err, out)
	}

	// What was sent in clear behind the request for TLS would be taken for the encrypted client's (CVE-2021-23222).
	k := f.requestTLS(t, []byte("injected"))
	if rest, _ := io.ReadAll(k); !strings.Contains(string(rest), "received unencrypted data after SSL request") {
		t.Errorf("bytes before TLS were answered with %q", rest)
	}
}

// requestTLS asks for TLS in one write with what follows, and returns the connection behind the server's consent.
func (f *fort) requestTLS(t *testing.T, more []byte) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", f.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	request, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append(request, more...)); err != nil {
		t.Fatal(err)
	}
	if more != nil {
		return conn
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != 'S' {
		t.Fatalf("the request for TLS was answered with %q (%v)", answer, err)
	}
	return conn
}

// TestClientOtherDatabase goes through the same gateway to a database that is not protected: it is passed on untouched.
func TestClientOtherDatabase(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	other := f.database + "_other"
	f.superExec("postgres", "CREATE DATABASE "+other)
	f.superExec(other, "CREATE SCHEMA support; CREATE TABLE support.customers (id bigint, email text); INSERT INTO support.customers VALUES (1, 'plain@mail.example'); "+
		"GRANT ALL ON SCHEMA support TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA support TO PUBLIC")
	c := f.connectTo(who, other)
	if got := c.one("SELECT email FROM support.customers WHERE email = 'plain@mail.example'"); got != "plain@mail.example" {
		t.Errorf("read %q", got)
	}
	c.must("INSERT INTO support.customers VALUES (2, 'second@mail.example')")
	c.must("DO $$ BEGIN PERFORM 1; END $$")
	c.must("SET sallyport.purpose = 'ticket:1'")
	if got := c.one("SHOW sallyport.purpose"); got != "ticket:1" {
		t.Errorf("a setting reads %q", got)
	}
	var stored string
	direct, err := pgx.Connect(t.Context(), f.cluster.SuperDSN(other))
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close(context.Background())
	if err := direct.QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = 2").Scan(&stored); err != nil || stored != "second@mail.example" {
		t.Errorf("stored %q %v", stored, err)
	}
}

// TestClientRelay serves without a configuration: every database and role, and the record counts.
func TestClientRelay(t *testing.T) {
	cluster := startCluster(t)
	s, _ := plainServer(t, fmt.Sprintf("127.0.0.1:%d", cluster.Port))
	await(t, "serve finds the database", s.Ready())
	dsn := func(user, password, database string) string {
		return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", user, password, s.Addr(), database)
	}
	super, err := pgx.Connect(t.Context(), dsn(cluster.Superuser, cluster.Password, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"CREATE ROLE late LOGIN PASSWORD 'late'", "CREATE DATABASE fresh"} { // while it runs
		if _, err := super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	late, err := pgx.Connect(t.Context(), dsn("late", "late", "fresh"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := late.Query(t.Context(), "SELECT repeat('x', 100000) FROM generate_series(1, 100)")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if rows.Err() != nil || n != 100 {
		t.Errorf("%d rows, %v", n, rows.Err())
	}
	if _, err := pgx.Connect(t.Context(), dsn("late", "wrong", "fresh")); err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := pgx.Connect(t.Context(), dsn("late", "late", "nosuch")); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a database that is not there: %v", err)
	}
	replication, err := pgconn.Connect(t.Context(), dsn(cluster.Superuser, cluster.Password, "postgres")+"&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := replication.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll(); err != nil || len(r) != 1 || len(r[0].Rows) != 1 {
		t.Errorf("replication: %v", err)
	}
	for _, end := range []func(context.Context) error{late.Close, super.Close, replication.Close} {
		if err := end(t.Context()); err != nil {
			t.Error(err)
		}
	}
	within(t, 10*time.Second, "the sessions have ended", func() bool { return s.gateway.Sessions() == 0 })
	var counted *sallyport.Counters
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, e := range eventsOf(t, s.o.Data) {
		if e.Kind == sallyport.SessionEnd && e.Who.Login == "late" && e.Counters.Rows > 0 {
			counted = e.Counters
		}
	}
	if counted == nil || counted.Rows != 100 || counted.Statements == 0 || counted.BytesOut < 10_000_000 || counted.BytesIn == 0 {
		t.Errorf("the record of a relayed session: %+v", counted)
	}
}

// eventsOf reads the access stream of a serve that has ended.
func eventsOf(t *testing.T, data string) []*sallyport.Event {
	t.Helper()
	stream, err := record.Open(filepath.Join(data, "access"), record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var out []*sallyport.Event
	err = stream.Read(1, func(e *sallyport.Event) error {
		c := *e
		out = append(out, &c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestClientServerRestart ends the server's side of sessions: clients read the server's own words, and new sessions work,
// the gateway's own connections included.
func TestClientServerRestart(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	purpose := fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)
	idle, busy := f.connect(who), f.connect(who)
	idle.must(purpose)
	ended := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.Background(), "SELECT pg_sleep(30)")
		ended <- err
	}()
	direct := f.direct()
	within(t, 10*time.Second, "the statement runs", func() bool {
		var n int
		err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' AND datname = $1", f.database).Scan(&n)
		return err == nil && n == 1
	})
	if _, err := direct.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", f.database); err != nil {
		t.Fatal(err)
	}
	var pgErr *pgconn.PgError
	if err := <-ended; !errors.As(err, &pgErr) || pgErr.Code != "57P01" || pgErr.Severity != "FATAL" {
		t.Errorf("a statement whose server ended: %v", err)
	}
	if _, err := idle.rows("SELECT 1"); !errors.As(err, &pgErr) && !idle.IsClosed() {
		t.Errorf("an idle session whose server ended: %v", err)
	}
	within(t, 20*time.Second, "a new session reads what its purpose covers", func() bool {
		c, err := f.tryConnect(who)
		if err != nil {
			return false
		}
		defer c.Close(context.Background())
		if _, err := c.Exec(t.Context(), purpose); err != nil {
			return false
		}
		got, err := c.rows("SELECT email FROM support.customers WHERE id = $1", customer.ID)
		return err == nil && len(got) == 1 && got[0][0] == customer.Email
	})
	within(t, 10*time.Second, "the ended sessions are gone", func() bool { return f.server.gateway.Sessions() == 0 })
}

// TestClientVanishes drops clients in the middle of a result: the server's side ends too, and nothing stays behind.
func TestClientVanishes(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	direct := f.direct()
	for _, database := range []string{f.database, "postgres"} {
		for range 3 {
			k := newTalk(t, f.dsnOf(who, f.passwords[who], database))
			out, err := sql("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)").Encode(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.conn.Write(out); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(k.conn, make([]byte, 100000)); err != nil {
				t.Fatal(err)
			}
			_ = k.conn.Close()
		}
		within(t, 20*time.Second, "the server's side has ended", func() bool {
			var n int
			err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND usename = $2", database, string(who)).Scan(&n)
			return err == nil && n == 0
		})
	}
	within(t, 10*time.Second, "no session is left", func() bool { return f.server.gateway.Sessions() == 0 })
}

// TestClientSlow asks for much and reads nothing: the gateway holds a bounded part of it, and a lock still bites.
func TestClientSlow(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	before := heap()
	for _, database := range []string{f.database, f.database, "postgres", "postgres"} {
		k := newTalk(t, f.dsnOf(who, f.passwords[who], database))
		out, err := sql("SELECT repeat('x', 1000) FROM generate_series(1, 300000)").Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.conn.Write(out); err != nil {
			t.Fatal(err)
		}
	}
	direct := f.direct()
	within(t, 20*time.Second, "all servers wait for their clients", func() bool {
		var n int
		err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND wait_event = 'ClientWrite'", string(who)).Scan(&n)
		return err == nil && n == 4
	})
	if held := int(heap()) - int(before); held > 4*3<<20 { //nolint:gosec // sizes of a test
		t.Errorf("the gateway holds %d KiB for four clients that do not read", held>>10)
	}
	if err := f.officer("o1").Lock(t.Context(), who, "test"); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "the lock ends them", func() bool { return f.server.gateway.Sessions() == 0 })
	within(t, 5*time.Second, "the server's side has ended", func() bool {
		var n int
		err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", string(who)).Scan(&n)
		return err == nil && n == 0
	})
}

// heap is how much memory is in use after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools keep their content over one
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestClientCycles connects and leaves 300 times in different ways: nothing stays behind.
func TestClientCycles(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	cycle := func(i int) {
		switch i % 4 {
		case 0: // in good order
			c := f.connect(who)
			c.must("SELECT 1")
			_ = c.Close(t.Context())
		case 1: // without a word
			k := newTalk(t, f.dsn(who))
			_ = k.conn.Close()
		case 2: // with a wrong password
			if _, err := pgconn.Connect(t.Context(), f.dsnOf(who, "wrong", f.database)); err == nil {
				t.Error("a wrong password was accepted")
			}
		case 3: // in the middle of the log-in
			poke(t, f, []byte{0, 0, 0, 8, 4, 210, 22, 48})
		}
	}
	for i := range 8 {
		cycle(i)
	}
	settled := func() bool { return f.server.gateway.Sessions() == 0 }
	within(t, 10*time.Second, "no session is left", settled)
	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
	for i := range 300 {
		cycle(i)
	}
	within(t, 10*time.Second, "no session is left", settled)
	within(t, 10*time.Second, "goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines+3 })
	within(t, 10*time.Second, "descriptors are closed", func() bool { return openFiles(t) <= descriptors+3 })
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not tell of open files")
	}
	return len(list)
}

// TestClientIdle keeps sessions that do nothing: none holds a buffer.
func TestClientIdle(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	open := func(database string) {
		k := newTalk(t, f.dsnOf(who, f.passwords[who], database))
		k.say(sql(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)))
		if database == f.database {
			k.say(sql(fmt.Sprintf("SELECT * FROM support.customers WHERE id = %d", customer.ID)))
		}
		k.front = nil // the client's own buffers do not count
	}
	open(f.database)
	const sessions = 50
	for _, database := range []string{f.database, "postgres"} {
		before := heap()
		for range sessions {
			open(database)
		}
		if each := (int(heap()) - int(before)) / sessions; each > 48<<10 { //nolint:gosec // sizes of a test
			t.Errorf("%s: an idle session holds %d bytes", database, each)
		}
	}
}

// TestClientMalformed keeps one session at work while others send what is no protocol.
func TestClientMalformed(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	c := f.connect(who)
	for _, raw := range [][]byte{
		{},
		{0},
		{0, 0, 0, 4},
		{0, 0, 0, 8, 0, 0, 0, 0},
		{0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0},
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		{0, 0, 0, 9, 0, 3, 0, 0, 1},
		{0, 0, 0, 12, 4, 210, 22, 46, 1, 2, 3, 4},
		bytes.Repeat([]byte{0, 0, 0, 8, 4, 210, 22, 47}, 10),
		append([]byte{0, 0, 39, 16, 0, 3, 0, 0}, bytes.Repeat([]byte{'a'}, 9992)...),
	} {
		poke(t, f, raw)
	}
	for _, raw := range [][]byte{
		{'Q', 0, 0, 0, 0},
		{'Q', 0x7f, 0xff, 0xff, 0xff},
		{'Q', 0, 0, 0, 5, 'x'},
		{'B', 0, 0, 0, 6, 0, 0},
		{'?', 0, 0, 0, 4},
		{'D', 0, 0, 0, 6, 'X', 0},
		{'P', 0, 0, 0, 8, 0, 0, 0xff, 0xff},
		{'p', 0, 0, 0, 5, 0},
		{'B', 0, 0, 0, 12, 0, 0, 0, 0, 0xff, 0xff, 0, 0},
		{'S', 0, 0, 0, 8, 0, 0, 0, 0},
	} {
		k := newTalk(t, f.dsn(who))
		_ = k.conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := k.conn.Write(raw); err != nil {
			t.Fatal(err)
		}
		_ = k.conn.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // what pgconn dials
		said, err := io.ReadAll(k.conn)
		if err != nil {
			t.Errorf("%v: %v", raw, err)
		}
		if raw[0] != 'S' && !bytes.Contains(said, []byte("08P01")) && raw[1] != 0x7f && raw[0] != 'p' {
			t.Errorf("%v was answered with %q", raw, said)
		}
	}
	if got := c.one("SELECT 1"); got != "1" {
		t.Error("another session noticed")
	}
}
