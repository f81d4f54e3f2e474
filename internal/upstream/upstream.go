// Package upstream reaches the PostgreSQL behind: over TCP or a Unix socket, with TLS as libpq's sslmode means it, and with
// one mode more, Mirror, in which the client's own connection decides.
//
// It refuses to go on in clear where TLS was asked for, and it speaks nothing but the request for TLS: what follows is its
// callers'. Its invariant: under Require and above no byte of a start-up packet leaves before the handshake has ended well.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"sallyport/internal/socket"
)

// Mode says when TLS is used towards the server and what of its certificate is checked.
type Mode string

// The modes: Mirror is ours, the others are libpq's (section 34.19.1, "Protection Provided in Different Modes").
const (
	Mirror     Mode = "mirror"      // as the client came: with TLS, so if the server has it; in clear, so in clear
	Disable    Mode = "disable"     // never
	Prefer     Mode = "prefer"      // if the server has it; no protection against who stands between
	Require    Mode = "require"     // always, unchecked; with a CA as VerifyCA, as libpq has it
	VerifyCA   Mode = "verify-ca"   // always, and the certificate is signed by the CA
	VerifyFull Mode = "verify-full" // and it is the server's name that stands in it
)

// Modes are all of them, weakest first.
func Modes() []Mode { return []Mode{Disable, Mirror, Prefer, Require, VerifyCA, VerifyFull} }

// Checked tells whether the server must prove who it is.
func (m Mode) Checked() bool { return m == VerifyCA || m == VerifyFull }

// mayBeClear tells whether a server without TLS will do.
func (m Mode) mayBeClear() bool { return m == Disable || m == Mirror || m == Prefer }

// dialTimeout bounds each step on the way to a server, where the context does not.
const dialTimeout = 10 * time.Second

// Server is one PostgreSQL.
type Server struct {
	Network, Address string // "tcp" HOST:PORT or "unix" PATH
	Mode             Mode

	settings TLS
	tls      atomic.Pointer[tls.Config] // of the files as they were when they last made sense; nil under Disable
}

// New checks the settings and reads their files.
func New(network, address string, settings TLS) (*Server, error) {
	s := &Server{Network: network, Address: address, Mode: settings.Mode, settings: settings}
	if network == "unix" || s.Mode == "" {
		s.Mode = Disable // PostgreSQL speaks no TLS on a Unix socket
	}
	return s, s.Reload()
}

// Reload reads the certificates again. After an error the former ones stay in use.
func (s *Server) Reload() error {
	if s.Mode == Disable {
		return nil
	}
	config, err := s.settings.config(s.Mode, s.Address)
	if err != nil {
		return fmt.Errorf("read upstream.tls: %w", err)
	}
	s.tls.Store(config)
	return nil
}

// Files are the paths whose content Reload reads.
func (s *Server) Files() []string { return s.settings.files() }

// Dial connects for a client that itself came with TLS or not. A connection with TLS is a *tls.Conn, its handshake done.
func (s *Server) Dial(ctx context.Context, clientTLS bool) (net.Conn, error) {
	switch {
	case s.Mode == Disable, s.Mode == Mirror && !clientTLS:
		return s.DialClear(ctx)
	case s.Mode != Prefer:
		return s.dialTLS(ctx)
	}
	conn, err := s.dialTLS(ctx)
	if err == nil || ctx.Err() != nil || !errors.Is(err, errHandshake) {
		return conn, err
	}
	return s.DialClear(ctx) // as libpq does under prefer
}

// DialAs connects under TLS, and shows this certificate in place of the configured one.
func (s *Server) DialAs(ctx context.Context, certificate *tls.Certificate) (net.Conn, error) {
	if s.Mode == Disable {
		return nil, errors.New("show the database a certificate: upstream.tls.mode is disable, or it is reached by a socket")
	}
	config := s.tls.Load().Clone()
	config.Certificates = []tls.Certificate{*certificate}
	return s.dialWith(ctx, config, false)
}

// DialClear connects without TLS.
func (s *Server) DialClear(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, s.Network, s.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return conn, nil
}

// MayBeClear tells whether DialClear is an answer to a server that cannot be used with TLS.
func (s *Server) MayBeClear() bool { return s.Mode.mayBeClear() }

// Prefers tells whether a server that refuses a connection with TLS is asked again without, as libpq does under prefer.
func (s *Server) Prefers() bool { return s.Mode == Prefer }

// errHandshake says that the server has TLS and the two did not come to terms.
var errHandshake = errors.New("agree on TLS with the database")

// sslRequest is an SSLRequest (55.2.10, 55.7): its length and the code 80877103.
const sslRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"

// dialTLS connects and sees to TLS within the time that reaching a server may take.
func (s *Server) dialTLS(ctx context.Context) (net.Conn, error) {
	return s.dialWith(ctx, s.tls.Load(), s.Mode.mayBeClear())
}

func (s *Server) dialWith(ctx context.Context, config *tls.Config, mayBeClear bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := s.DialClear(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	encrypted, err := s.encrypt(ctx, conn, config, mayBeClear)
	if !stop() && err == nil {
		err = fmt.Errorf("ask the database for TLS: %w", ctx.Err())
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return encrypted, nil
}

// encrypt asks for TLS, takes a refusal where that is allowed, and shakes hands.
func (s *Server) encrypt(ctx context.Context, conn net.Conn, config *tls.Config, mayBeClear bool) (net.Conn, error) {
	if _, err := io.WriteString(conn, sslRequest); err != nil {
		return nil, fmt.Errorf("ask the database for TLS: %w", err)
	}
	// One byte and no more: what a server, or somebody between, says in clear behind it must not be taken for encrypted
	// (CVE-2021-23222).
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return nil, fmt.Errorf("ask the database for TLS: %w", err)
	}
	switch {
	case answer[0] == 'N' && mayBeClear:
		return conn, nil
	case answer[0] == 'N':
		return nil, fmt.Errorf("ask the database for TLS: it has none, and under upstream.tls.mode %s it is needed here", s.Mode)
	case answer[0] != 'S':
		return nil, errors.New("ask the database for TLS: it answers with something that is no PostgreSQL's, or has too many connections")
	}
	encrypted := tls.Client(&socket.Pausing{Conn: conn}, config)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	return encrypted, nil
}
