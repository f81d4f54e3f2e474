package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/config"
	"sallyport/identity"
	"sallyport/internal/throwaway"
)

// gatehouse is a PostgreSQL with TLS and roles of every kind, for tests of the way in.
type gatehouse struct {
	cluster *throwaway.Cluster
	ca      *authority
	shown   pair // the server's certificate
	heard   lockedBuffer
	clock   func() time.Time // of what is served in front of it; nil: time.Now
}

const gatehouseHBA = `local all postgres scram-sha-256
local all all scram-sha-256
host all mdfive 127.0.0.1/32 md5
host all clear 127.0.0.1/32 password
hostssl all tlsonly 127.0.0.1/32 scram-sha-256
hostnossl all plainonly 127.0.0.1/32 scram-sha-256
host all tlsonly,plainonly 127.0.0.1/32 reject
hostssl all shown 127.0.0.1/32 cert
hostssl all strict 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
host all all 127.0.0.1/32 scram-sha-256
`

var theGatehouse = sync.OnceValues(func() (*gatehouse, error) { //nolint:gochecknoglobals // one cluster for these tests
	h := &gatehouse{}
	var err error
	if h.ca, err = newAuthority(); err != nil {
		return nil, err
	}
	if h.shown, err = h.ca.issue("localhost"); err != nil {
		return nil, err
	}
	h.cluster, err = throwaway.Start(context.Background(), throwaway.Options{
		Out:      &h.heard,
		Settings: map[string]string{"ssl": "on", "ssl_ca_file": "ca.crt", "log_connections": "on", "fsync": "off"},
		Files:    map[string]string{"server.crt": h.shown.certificate, "server.key": h.shown.key, "ca.crt": h.ca.PEM, "pg_hba.conf": gatehouseHBA},
	})
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(context.Background(), h.cluster.SuperDSN("postgres"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(context.Background(), `
		CREATE ROLE reader LOGIN PASSWORD 'reader-pw'; CREATE ROLE ada LOGIN PASSWORD 'ada-pw'; CREATE ROLE bob LOGIN PASSWORD 'bob-pw' IN ROLE postgres;
		CREATE ROLE clear LOGIN PASSWORD 'clear-pw'; CREATE ROLE tlsonly LOGIN PASSWORD 'tlsonly-pw'; CREATE ROLE plainonly LOGIN PASSWORD 'plainonly-pw';
		CREATE ROLE shown LOGIN; CREATE ROLE strict LOGIN PASSWORD 'strict-pw'; CREATE ROLE expired LOGIN PASSWORD 'expired-pw' VALID UNTIL '2020-01-01';
		SET password_encryption = md5; CREATE ROLE mdfive LOGIN PASSWORD 'mdfive-pw'`)
	if err == nil {
		_, err = conn.Exec(context.Background(), "CREATE DATABASE bare")
	}
	if err == nil {
		_, err = conn.Exec(context.Background(), identity.FunctionSQL(`"reader"`))
	}
	return h, err
})

func gatehouseOf(t *testing.T) *gatehouse {
	t.Helper()
	h, err := theGatehouse()
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *gatehouse) address() string { return fmt.Sprintf("localhost:%d", h.cluster.Port) }

// password is that of a role of the gatehouse.
func (h *gatehouse) password(role string) string {
	if role == h.cluster.Superuser {
		return h.cluster.Password
	}
	return role + "-pw"
}

// gate is a gateway in front of the gatehouse.
type gate struct {
	*Server
	h      *gatehouse
	t      *testing.T
	folder string
	log    *lockedBuffer
}

// open serves a configuration without protection. In extra stand the lines of upstream besides the address; own is the
// gateway's certificate, if it has one.
func (h *gatehouse) open(t *testing.T, own *pair, extra ...string) *gate {
	t.Helper()
	g := &gate{h: h, t: t, folder: filepath.Dir(shortDir(t)), log: &lockedBuffer{}}
	text := "version: 1\nlisten: 127.0.0.1:0\nupstream:\n"
	if !strings.Contains(strings.Join(extra, ""), "address:") {
		text += "  address: " + h.address() + "\n"
	}
	for _, line := range extra {
		text += "  " + line + "\n"
	}
	if own != nil {
		own.files(t, g.folder, "own")
		text += "tls: {certificate: own.crt, key: own.key}\n"
	}
	for name, content := range map[string]string{"ca.crt": h.ca.PEM, "reader.password": "reader-pw\n"} {
		if err := os.WriteFile(filepath.Join(g.folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.serve(text)
	if !strings.Contains(text, "wrong") {
		await(g.t, "serve finds the database", g.Ready())
	}
	return g
}

func (g *gate) serve(text string) {
	g.t.Helper()
	config, err := config.Parse(filepath.Join(g.folder, "sallyport.yaml"), []byte(text))
	if err != nil {
		g.t.Fatal(err)
	}
	g.Server, err = Start(context.Background(), Options{
		Config: config, Clock: g.h.clock, Data: filepath.Join(g.folder, "data"), Log: slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		g.t.Fatal(err)
	}
	s := g.Server
	g.t.Cleanup(func() { _ = s.Close() })
}

// The ways to read verifiers.
const (
	readsVerifiers = "reader: {user: reader, password_file: reader.password}"
	fromPostgres   = "verifiers: postgres"
	fromBare       = "verifiers: bare" // where the function is not installed
	verifyFull     = "tls: {mode: verify-full, ca: ca.crt}"
)

// dial logs in. Settings are pgx's, as sslmode=require and channel_binding=disable.
func (g *gate) dial(role, settings string) (*pgx.Conn, error) {
	return g.dialWith(role, g.h.password(role), settings)
}

func (g *gate) dialWith(role, password, settings string) (*pgx.Conn, error) {
	g.t.Helper()
	host, port, _ := net.SplitHostPort(g.Addr().String())
	if host != "" {
		host = "localhost"
	}
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=postgres %s", host, port, role, password, settings))
	if err != nil {
		g.t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(g.t.Context(), config)
	if err == nil {
		g.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

// encrypted asks the server whether its side of a session has TLS.
func encrypted(t *testing.T, c *pgx.Conn) (yes bool) {
	t.Helper()
	if err := c.QueryRow(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&yes); err != nil {
		t.Fatal(err)
	}
	return yes
}
