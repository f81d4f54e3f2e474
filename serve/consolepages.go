package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"sallyport/api"
	"sallyport/console"
	"sallyport/ledger"
)

// pageListener is a listener with pages on it. A nil one is nowhere.
type pageListener struct {
	listener net.Listener
	handler  http.Handler
	end      func()
}

// openConsole listens for browsers of the staff, if the configuration says so.
func (s *Server) openConsole(ctx context.Context, people *api.Server) error {
	c := &s.O.Config.Console
	if c.Listen == "" || s.link != nil {
		return nil
	}
	idle, err := c.IdleFor()
	if err != nil {
		return err
	}
	pages, err := console.New(console.Config{API: people, Now: s.O.Clock, Idle: idle, Address: c.Origin(), Log: s.log}) //nolint:contextcheck // pages have the context of each request
	if err != nil {
		return err
	}
	listener, err := s.listenForPages(ctx, c.Listen, c.Certificate, c.Key, 0)
	if err != nil {
		pages.Close()
		return err
	}
	s.console = &pageListener{listener: listener, handler: pages, end: pages.Close}
	return nil
}

// confirmAt is where people confirm who they are in a browser; empty: nowhere.
func (s *Server) confirmAt() string {
	switch address := s.O.Config.Console.Origin(); {
	case address != "":
		return address + "/confirm"
	case s.console != nil:
		return "https://" + s.console.listener.Addr().String() + "/confirm"
	}
	return ""
}

// passkeys are bound to the address by which browsers know the pages; nil: they have none.
func (s *Server) passkeys() (*api.Passkeys, error) {
	address := s.O.Config.Console.Origin()
	u, err := url.Parse(address)
	if s.O.Config.Console.Listen == "" || address == "" || err != nil || net.ParseIP(u.Hostname()) != nil { // no passkey is bound to an IP address
		return nil, nil
	}
	return api.NewPasskeys(address)
}

// The most connections of browsers at a time: of a listener, and of one place of customers (staff may all come from one).
const (
	mostBrowsers = 2000
	mostOfPlace  = 100
)

// listenForPages listens over TLS, under a certificate that is read again when it changes.
func (s *Server) listenForPages(ctx context.Context, address, certificate, key string, each int) (net.Listener, error) {
	config := s.O.Config
	shown := &renewedCertificate{certificate: config.Path(certificate), key: config.Path(key)}
	if certificate == "" {
		shown.certificate, shown.key = config.Path(config.TLS.Certificate), config.Path(config.TLS.Key)
	}
	if _, err := shown.get(nil); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	plain, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for browsers: %w", err)
	}
	return tls.NewListener(console.Bounded(plain, mostBrowsers, each), &tls.Config{GetCertificate: shown.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), nil
}

// serve answers until ctx ends.
func (p *pageListener) serve(ctx context.Context, s *Server) error {
	if p == nil {
		return nil
	}
	defer p.end()
	if err := console.Serve(ctx, p.listener, p.handler, s.log); err != nil {
		return fmt.Errorf("serve pages: %w", err)
	}
	return nil
}

// close closes the listener, where serve ends before it runs.
func (p *pageListener) close() error {
	if p == nil {
		return nil
	}
	if err := p.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Console is where browsers of the staff come; nil: nowhere.
func (s *Server) Console() net.Addr {
	if s.console == nil {
		return nil
	}
	return s.console.listener.Addr()
}

// Customers is where browsers of customers come; nil: nowhere.
func (s *Server) Customers() net.Addr {
	if s.customers == nil {
		return nil
	}
	return s.customers.listener.Addr()
}

// prove shows by hashes that an entry stands in the ledger: what it says does not leave this function.
func (s *Server) prove(ctx context.Context, stream string, seq uint64) (p api.Proven, err error) {
	of := ledger.Access
	if stream == ledger.Control.String() {
		of = ledger.Control
	}
	proof, err := ledger.Prove(ctx, os.DirFS(s.O.Data), of, seq)
	if err != nil {
		return p, err
	}
	if err := proof.Check(proof.Key); err != nil {
		return p, err
	}
	c, err := ledger.OpenCheckpoint([]byte(proof.Checkpoint), proof.Key)
	if err != nil {
		return p, err
	}
	leaf, err := proof.LeafOf()
	if err != nil {
		return p, err
	}
	p = api.Proven{LeafHash: fmt.Sprintf("%x", leaf.Hash()), Event: proof.Event, Leaf: proof.Leaf, Size: c.Size, Checkpoint: proof.Checkpoint, Key: proof.Key, Cosigned: strings.Count(proof.Checkpoint, "\n\u2014 ") > 1}
	for _, h := range proof.Inclusion {
		p.Inclusion = append(p.Inclusion, fmt.Sprintf("%x", h))
	}
	return p, nil
}
