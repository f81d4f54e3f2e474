package protect_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/throwaway"
	"sallyport/internal/upstream"
	"sallyport/protect"
	"sallyport/sim"
)

func TestSense(t *testing.T) {
	// A cluster of its own: roles belong to all databases of one.
	c, err := throwaway.Start(t.Context(), throwaway.Options{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	addr := net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	if id, marked, err := protect.Sense(t.Context(), server(t, "tcp", addr)); err != nil || marked || id != "" {
		t.Errorf("unmarked server: %q, %v, %v", id, marked, err)
	}
	conn := connect(t, c.SuperDSN("postgres"))
	if _, err := conn.Exec(t.Context(), sim.Schema); err != nil {
		t.Fatal(err)
	}
	conn.Close(t.Context())
	o := options(t, "postgres")
	o.DSN = c.SuperDSN("postgres")
	waitAloneOn(t, c, "postgres")
	if _, err := protect.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if id, marked, err := protect.Sense(t.Context(), server(t, "tcp", addr)); err != nil || !marked || id != recordID {
		t.Errorf("marked server: %q, %v, %v", id, marked, err)
	}
	socket := filepath.Join(c.SocketDir, fmt.Sprintf(".s.PGSQL.%d", c.Port))
	if id, marked, err := protect.Sense(t.Context(), server(t, "unix", socket)); err != nil || !marked || id != recordID {
		t.Errorf("marked server on its socket: %q, %v, %v", id, marked, err)
	}
	hba := hostFile(t, c)
	for _, test := range []struct {
		lines  string
		id     string
		marked bool
		err    error
	}{
		{"host all all 127.0.0.1/32 md5", recordID, true, nil},
		{"host all all 127.0.0.1/32 trust", "", true, nil},
		{"host all all 127.0.0.1/32 password", "", false, protect.ErrCannotTell},
		{"hostssl all all 127.0.0.1/32 scram-sha-256", recordID, true, nil},
		{"host nobody all 127.0.0.1/32 scram-sha-256", "", false, protect.ErrCannotTell},
	} {
		hba(test.lines)
		// The server rereads the file when it gets to it.
		waitFor(t, func() bool {
			id, marked, err := protect.Sense(t.Context(), server(t, "tcp", addr))
			return id == test.id && marked == test.marked && errors.Is(err, test.err)
		})
	}
	hba("host all all 127.0.0.1/32 scram-sha-256")
	waitFor(t, func() bool {
		_, marked, err := protect.Sense(t.Context(), server(t, "tcp", addr))
		return marked && err == nil
	})
	for _, password := range []string{"", recordID, "sallyport"} {
		if _, err := pgx.Connect(t.Context(), c.DSN("sallyport_mark", password, "postgres")); err == nil {
			t.Error("the role of the mark let somebody in")
		}
	}
}

// TestSenseUnmarked goes through the ways to authenticate on a server without the role.
func TestSenseUnmarked(t *testing.T) {
	c, err := throwaway.Start(t.Context(), throwaway.Options{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	addr := net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	hba := hostFile(t, c)
	for _, method := range []string{"trust", "scram-sha-256", "md5"} {
		lines := "host all all 127.0.0.1/32 " + method
		hba(lines)
		waitFor(t, func() bool {
			id, marked, err := protect.Sense(t.Context(), server(t, "tcp", addr))
			if marked || id != "" {
				t.Fatalf("%s: %q, %v", lines, id, marked)
			}
			return err == nil
		})
	}
	hba("host all all 127.0.0.1/32 password")
	waitFor(t, func() bool {
		_, _, err := protect.Sense(t.Context(), server(t, "tcp", addr))
		return errors.Is(err, protect.ErrCannotTell)
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := protect.Sense(ctx, server(t, "tcp", addr)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := protect.Sense(t.Context(), server(t, "tcp", addr)); err == nil || errors.Is(err, protect.ErrCannotTell) {
		t.Errorf("nobody listens: %v", err)
	}
}

// server is one whose way is the client's choice.
func server(t *testing.T, network, address string) *upstream.Server {
	t.Helper()
	s, err := upstream.New(network, address, upstream.TLS{Mode: upstream.Mirror})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hostFile gives a function that replaces pg_hba.conf, with TLS switched on; the socket stays open to the superuser.
func hostFile(t *testing.T, c *throwaway.Cluster) func(lines string) {
	t.Helper()
	data := filepath.Join(c.Dir, "data")
	write := func(name string, content []byte) {
		path := filepath.Join(data, name)
		owner, err := os.Stat(data)
		if err == nil {
			err = os.WriteFile(path, content, 0o600)
		}
		if err == nil {
			stat := owner.Sys().(*syscall.Stat_t)
			err = os.Chown(path, int(stat.Uid), int(stat.Gid))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	certificate, key := selfSigned(t)
	write("server.crt", certificate)
	write("server.key", key)
	super := connect(t, fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=postgres", c.SocketDir, c.Port, c.Superuser, c.Password))
	if _, err := super.Exec(t.Context(), "ALTER SYSTEM SET ssl = on"); err != nil {
		t.Fatal(err)
	}
	return func(lines string) {
		t.Helper()
		write("pg_hba.conf", []byte("local all postgres scram-sha-256\n"+lines+"\n"))
		if _, err := super.Exec(t.Context(), "SELECT pg_reload_conf()"); err != nil {
			t.Fatal(err)
		}
	}
}

func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}
