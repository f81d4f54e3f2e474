package serve

import (
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
	out, err := installed(t, []string{"PGPASSWORD=" + f.passwords[who]}, "psql", "-X", "-At",
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
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
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
	for _, e := range eventsOf(t, s.O.Data) {
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
