package serve

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"sallyport"
	"sallyport/config"
	"sallyport/scim"
	"sallyport/staff"
)

// scimListener is where the identity provider is heard. A nil one is nowhere.
type scimListener struct {
	listener net.Listener
	http     *http.Server
}

// openDirectory says anew what groups mean, and listens for the identity provider if the configuration says so.
func (s *Server) openDirectory(ctx context.Context) error {
	s.staffing = newStaffing(s)
	if s.entrances != nil {
		s.entrances.Listed = s.staffing.imported
	}
	if s.link != nil {
		return nil // the controller hears the sources
	}
	if err := s.staffing.resettle(); err != nil {
		return err
	}
	c := s.O.Config.Directory.SCIM
	if c.Listen == "" {
		return nil
	}
	handler, err := s.scim()
	if err != nil {
		return err
	}
	shown, err := scimCertificate(s.O.Config)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	plain, err := lc.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen for the identity provider: %w", err)
	}
	s.provider = &scimListener{
		listener: tls.NewListener(plain, &tls.Config{GetCertificate: shown.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}),
		http: &http.Server{
			Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
			MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		},
	}
	return nil
}

// scim makes the handler.
func (s *Server) scim() (*scim.Server, error) {
	c := s.O.Config.Directory.SCIM
	var tokens []scim.Token
	for _, text := range c.Tokens {
		t, err := scim.ParseToken(text)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
	}
	mapping := s.O.Config.Mapping()
	return scim.New(scim.Config{
		Directory: s.State.Directory(),
		Record: func(people []sallyport.Listed, groups []sallyport.ListedGroup) error {
			return s.staffing.tell(staff.SCIM, people, groups)
		},
		Mapping: func() *staff.Mapping { return mapping },
		ID:      c.ID, Account: s.staffing.account, Known: s.staffing.known,
		Program: s.O.Config.IsProgram,
		Tokens:  tokens, Now: s.O.Clock, NewID: func() string { return strings.ToLower(rand.Text()) }, Log: s.log,
		Bad: func(refused uint64) {
			e := &sallyport.Event{
				Time: s.O.Clock(), Kind: sallyport.LogInBad, Order: &sallyport.Order{Action: "scim"},
				Note: fmt.Sprintf("wrong bearer tokens at the listener for the identity provider: %d", refused),
			}
			if err := s.orders.Give(nil, e); err != nil {
				s.log.Error("wrong bearer tokens could not be put on record", "why", err.Error())
			}
		},
	})
}

// serve answers until ctx ends.
func (l *scimListener) serve(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.http.BaseContext = func(net.Listener) context.Context { return ctx }
	done := make(chan error, 1)
	go func() { done <- l.http.Serve(l.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("hear the identity provider: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := l.http.Shutdown(grace); err != nil {
		_ = l.http.Close() // what was answered is on record
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("hear the identity provider: %w", err)
	}
	return nil
}

func (l *scimListener) close() error {
	if l == nil {
		return nil
	}
	if err := l.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// addr is where the identity provider calls.
func (l *scimListener) addr() net.Addr { return l.listener.Addr() }

// renewedCertificate is a certificate that is read again when its files change.
type renewedCertificate struct {
	certificate, key string

	mu   sync.Mutex // guards what follows
	pair *tls.Certificate
	at   [2]time.Time // when the files were changed
}

// scimCertificate is what the identity provider is shown.
func scimCertificate(c *config.Config) (*renewedCertificate, error) {
	own := c.Directory.SCIM
	r := &renewedCertificate{certificate: c.Path(own.Certificate), key: c.Path(own.Key)}
	if own.Certificate == "" {
		r.certificate, r.key = c.Path(c.TLS.Certificate), c.Path(c.TLS.Key)
	}
	_, err := r.get(nil)
	return r, err
}

// get is the certificate as the files have it; where they make no sense, as they had it last.
func (r *renewedCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var at [2]time.Time
	for i, file := range []string{r.certificate, r.key} {
		if info, err := os.Stat(file); err == nil {
			at[i] = info.ModTime()
		}
	}
	if r.pair != nil && at == r.at {
		return r.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(r.certificate, r.key)
	switch {
	case err == nil:
		r.pair, r.at = &pair, at
	case r.pair == nil:
		return nil, fmt.Errorf("load the certificate for the identity provider: %w", err)
	}
	return r.pair, nil
}
