package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/jackc/pgx/v5/pgconn"
)

// TLS is how the server's certificate is checked and what is shown to it. All but ServerName and Mode are paths of PEM files.
type TLS struct {
	Mode        Mode
	CA          string // who signs the server's certificate; empty: the system's authorities
	ServerName  string // that stands in the certificate; empty: the host of the address
	Certificate string // shown to the server; empty: none
	Key         string // its key
}

func (t TLS) files() []string {
	var out []string
	for _, path := range []string{t.CA, t.Certificate, t.Key} {
		if path != "" {
			out = append(out, path)
		}
	}
	return out
}

// config reads the files.
func (t TLS) config(mode Mode, address string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, NextProtos: []string{"postgresql"}} // ALPN: since PostgreSQL 17
	if t.ServerName != "" {
		c.ServerName = t.ServerName
	}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", t.CA)
		}
	}
	if t.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	switch {
	case mode == VerifyFull:
	case mode == VerifyCA, t.CA != "": // libpq checks under the weaker modes too where there is a root certificate
		c.InsecureSkipVerify = true // #nosec G402 -- the chain is checked below, the name on purpose not
		c.VerifyConnection = func(state tls.ConnectionState) error { return verify(state, c.RootCAs, "") }
	default:
		c.InsecureSkipVerify = true // #nosec G402 -- what these modes mean; Mode.Checked is demanded where it matters
	}
	return c, nil
}

// verify checks who signed the certificate, and whose it is unless name is empty.
func verify(state tls.ConnectionState, roots *x509.CertPool, name string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the database shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: name})
	return err
}

// lasting is a configuration for connections that are opened long from now: it looks at what Reload read last.
func (s *Server) lasting() *tls.Config {
	c := s.tls.Load().Clone()
	if s.Mode == VerifyFull {
		c.InsecureSkipVerify = true // #nosec G402 -- checked here, against the authorities of then
		c.VerifyConnection = func(state tls.ConnectionState) error {
			now := s.tls.Load()
			return verify(state, now.RootCAs, now.ServerName)
		}
	} else if c.VerifyConnection != nil {
		c.VerifyConnection = func(state tls.ConnectionState) error { return s.tls.Load().VerifyConnection(state) }
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if now := s.tls.Load(); len(now.Certificates) > 0 {
			return &now.Certificates[0], nil
		}
		return &tls.Certificate{}, nil
	}
	return c
}

// Configure makes Sallyport's own connections go to this server in the same way. Under Mirror there is no client to do as,
// so TLS is used where the server has it.
func (s *Server) Configure(c *pgconn.Config) error {
	c.Fallbacks, c.TLSConfig = nil, nil
	if s.Network == "unix" {
		c.Host, c.Port = s.Address, 5432
		c.DialFunc = dialTo("unix", s.Address)
		return nil
	}
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return errors.New("no address that can be used; expected HOST:PORT")
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return errors.New("no port that can be used; expected HOST:PORT")
	}
	c.Host, c.Port = host, uint16(n) //nolint:gosec // LookupPort's are ports
	c.DialFunc = dialTo("tcp", s.Address)
	if s.Mode == Disable {
		return nil
	}
	c.TLSConfig = s.lasting()
	if s.Mode.mayBeClear() {
		c.Fallbacks = []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port}}
	}
	return nil
}

func dialTo(network, address string) pgconn.DialFunc {
	s := &Server{Network: network, Address: address}
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return s.DialClear(ctx) }
}
