package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// TestHungUp: a client that closes is gone, also where what it sent last waits to be read: PostgreSQL's goodbye, TLS's, or both.
func TestHungUp(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secure := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	for _, network := range []string{"tcp", "unix"} {
		for _, under := range []bool{false, true} {
			for _, last := range []string{"", "X\x00\x00\x00\x04"} {
				address := "127.0.0.1:0"
				if network == "unix" {
					address = filepath.Join(t.TempDir(), "socket")
				}
				ln, err := net.Listen(network, address)
				if err != nil {
					t.Fatal(err)
				}
				client, err := net.Dial(network, ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				server, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				s := &session{clientConn: server}
				if under {
					at := tls.Server(server, secure)
					s.clientConn = at
					met := make(chan error, 1)
					go func() { met <- at.Handshake() }()
					client = tls.Client(client, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a certificate of this test's
					if _, err := client.Write([]byte("hello")); err != nil {
						t.Fatal(err)
					}
					if err := <-met; err != nil {
						t.Fatal(err)
					}
				} else if _, err := client.Write([]byte("hello")); err != nil {
					t.Fatal(err)
				}
				if s.hungUp() {
					t.Errorf("%s, TLS %t: it is gone before it has gone", network, under)
				}
				if _, err := client.Write([]byte(last)); err != nil {
					t.Fatal(err)
				}
				if err := client.Close(); err != nil {
					t.Fatal(err)
				}
				end := time.Now().Add(5 * time.Second)
				for !s.hungUp() && time.Now().Before(end) {
					runtime.Gosched()
				}
				if !s.hungUp() {
					t.Errorf("%s, TLS %t, behind %d bytes: nobody sees that it has gone", network, under, len(last))
				}
				one := make([]byte, 1)
				if n, _ := s.clientConn.Read(one); n != 1 || one[0] != 'h' {
					t.Errorf("%s, TLS %t: looking took something of what was sent", network, under)
				}
				_ = server.Close()
				_ = ln.Close()
			}
		}
	}
}
