package serve

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/purpose"
	"sallyport/purpose/source"
)

// sources are the systems outside the protected database that say what is a reason.
type sources struct {
	byName map[string]purpose.Source
	hooks  webhookAddress
	log    func(source, problem string)
	// handler is of the log, for what the HTTP server says of broken connections.
	handler slog.Handler

	mu    sync.Mutex // guards the rest
	last  map[string]string
	since map[string]time.Time
}

// trouble is told each time that a source does not answer; the log hears of it once in a while.
func (s *sources) trouble(name string, err error) {
	const again, other = 10 * time.Second, time.Second // anybody may send what is not signed
	s.mu.Lock()
	ago := time.Since(s.since[name])
	told := ago < other || s.last[name] == err.Error() && ago < again
	if !told {
		s.last[name], s.since[name] = err.Error(), time.Now()
	}
	s.mu.Unlock()
	if !told {
		s.log(name, err.Error())
	}
}

// status says how the sources are.
func (s *sources) status(ctx context.Context) (lines []api.Standby) {
	if s == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		how := "answers"
		if _, err := s.byName[name].Find(ctx, purpose.Ref{Text: "0"}); err != nil {
			how = "covers nothing: " + err.Error()
		}
		lines = append(lines, api.Standby{What: "source " + name, How: how})
	}
	return lines
}

// webhookAddress is where messages of other systems arrive, and by which certificate.
type webhookAddress struct{ listen, certificate, key string }

// runner is a source that has something to do while serve runs.
type runner interface{ Run(ctx context.Context) }

// openSources opens those that a kind of purpose is checked by.
func (g *guard) openSources() error {
	c := g.s.O.Config
	g.sources = &sources{
		byName: map[string]purpose.Source{}, last: map[string]string{}, since: map[string]time.Time{}, hooks: webhookAddress{c.Purposes.Webhooks.Listen, c.Path(c.Purposes.Webhooks.Certificate), c.Path(c.Purposes.Webhooks.Key)},
		handler: g.s.log.Handler(), log: func(name, what string) { g.s.log.Warn("a source of reasons", "source", name, "problem", what) },
	}
	for _, name := range slices.Sorted(maps.Keys(c.Purposes.Sources)) {
		if len(c.Purposes.UsedBy(name)) == 0 {
			continue
		}
		settings, o := c.Purposes.Sources[name], c.SourceOptions(name, g.s.O.Data)
		o.Hide, o.Log = g.hideNumber, func(what string) { g.sources.log(name, what) }
		o.Arrived = func(states []string) error { return g.s.arrived(name, thingsFormat, states) }
		opened, err := source.Open(name, &settings, o)
		if err != nil {
			return &hopeless{err}
		}
		g.sources.byName[name] = opened
	}
	return nil
}

// close gives back what the sources hold.
func (s *sources) close() {
	if s == nil {
		return
	}
	for name, one := range s.byName {
		if err := one.Close(); err != nil {
			s.log(name, err.Error())
		}
	}
}

// run listens for what other systems send, and lets sources do what they have to, until ctx ends.
func (s *sources) run(ctx context.Context, listening func(net.Addr)) error {
	if s == nil {
		return nil
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	hearers := map[string]source.Hearer{}
	for name, one := range s.byName {
		if h, ok := one.(source.Hearer); ok {
			hearers[name] = h
		}
		if r, ok := one.(runner); ok {
			wg.Go(func() { r.Run(ctx) })
		}
	}
	if len(hearers) == 0 {
		<-ctx.Done()
		return nil
	}
	listener, err := s.listen(ctx)
	if err != nil {
		return err
	}
	listening(listener.Addr())
	server := &http.Server{
		ErrorLog: slog.NewLogLogger(s.handler, slog.LevelDebug),
		Handler:  source.Handler(hearers, func(name, what string) { s.trouble(name, errors.New(what)) }), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	wg.Go(func() {
		<-ctx.Done()
		_ = server.Close() // what was taken is kept; the rest is sent again
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("listen for messages of other systems: %w", err)
	}
	return nil
}

func (s *sources) listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.hooks.listen)
	if err != nil {
		return nil, fmt.Errorf("listen for messages of other systems: %w", err)
	}
	if s.hooks.certificate == "" {
		if at, ok := listener.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
			return nil, errors.Join(fmt.Errorf("listen for messages of other systems on %s: expected a loopback address, or webhooks.certificate", s.hooks.listen), listener.Close())
		}
		return listener, nil
	}
	files := s.hooks
	return tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { // a renewed one is taken with the next connection
			pair, err := tls.LoadX509KeyPair(files.certificate, files.key)
			return &pair, err
		},
	}), nil
}

// hideNumber is by what a ticket's number is kept outside the protected database: its keyed digest, where numbers are protected.
func (g *guard) hideNumber(number string) string {
	for _, p := range g.catalog.Snapshot().Columns() {
		if p.Scheme != sallyport.Number {
			continue
		}
		if codec, err := g.codecFor(p); err == nil {
			d := codec.Digest([]byte(number))
			return hex.EncodeToString(d[:])
		}
	}
	return number
}

// plainNumber is the number that a token stands for.
func (g *guard) plainNumber(tok string) (string, bool) {
	for _, p := range g.catalog.Snapshot().Columns() {
		if p.Scheme != sallyport.Number {
			continue
		}
		codec, err := g.codecFor(p)
		if err != nil || !codec.IsToken([]byte(tok)) {
			continue
		}
		if plain, err := codec.Reveal(nil, []byte(tok)); err == nil {
			return string(plain), true
		}
	}
	return "", false
}

// named is whose a name is in another system: known_as, else an id or a log-in.
func (d *directory) named(name string) (purpose.Person, bool) {
	p, ok := d.Listing.Named(name)
	if !ok && d.live != nil {
		p.Staff, ok = d.live.called(name)
		if p.Logins = d.Logins[p.Staff]; ok && len(p.Logins) == 0 {
			p.Logins = []string{string(p.Staff)} // whom only a source of the directory knows
		}
	}
	return d.placed(p), ok
}

// sources asks each source what does not work, without keeping anything.
func (c *check) sources(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(c.config.Purposes.Sources)) {
		where := "purposes.sources." + name
		settings := c.config.Purposes.Sources[name]
		if len(c.config.Purposes.UsedBy(name)) == 0 {
			c.note(where, "no kind of purpose is checked by this source; expected it as source of one of purposes.kinds")
			continue
		}
		problems, err := source.Check(ctx, name, &settings, c.config.SourceOptions(name, ""))
		if err != nil {
			problems = append(problems, err.Error())
		}
		for _, what := range problems {
			c.found(where, "%s", what)
		}
	}
}

// hears is told where messages of other systems arrive.
func (s *Server) hears(at net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = at
	s.log.Info("other systems send their messages here", "address", at.String(), "path", "/purposes/NAME")
}

// arrived puts on record what a source said, in the order in which it arrived.
func (s *Server) arrived(source, format string, texts []string) error {
	list := make([]sallyport.Heard, len(texts))
	for i, text := range texts {
		list[i] = sallyport.Heard{Source: source, Format: format, Text: text}
	}
	return s.ControlStream.AppendInputs(list, s.O.Clock())
}
