// Package console are the pages: what goes on, requests, findings and cases, the record, who saw a customer, and who is behind reports; and, on a
// listener of their own without anything about staff, the pages for customers.
//
// It refuses to know any right: every page asks the same routes as every other program, in the name of whoever is logged in (api.Server.Inside), and
// shows what these answer. It keeps no value: cookies hold random numbers, addresses name pages, and what is searched for travels in bodies.
// Invariant: nothing here decides who may see or do something.
//
// Pages work without script; the one script there is exchanges a part of a page that the server has rendered.
package console

import (
	"context"
	"embed"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"sallyport/api"
)

// Config is what a Console needs; every field without a word about zero is required.
type Config struct {
	API     *api.Server
	Now     func() time.Time
	Idle    time.Duration // a session that nobody used for so long is over; 0: DefaultIdle
	Address string        // https://HOST[:PORT] by which browsers know the console, where the identity provider sends them back to; empty: by password alone
	Log     *slog.Logger  // nil: none
}

// The bounds of a session and of what a browser sends.
const (
	DefaultIdle = 15 * time.Minute
	longest     = 12 * time.Hour
	mostBody    = 64 << 10
	mostUpload  = 1 << 20
)

// CallbackPath is where the identity provider sends browsers back to, below Config.Address.
const CallbackPath = "/login/callback"

// Console serves the pages for staff.
type Console struct {
	c        Config
	sessions *sessions
	pages    *pages
	handler  http.Handler
	unwatch  func()
}

//go:embed static pages
var files embed.FS

// New makes the pages. Close it after use.
func New(c Config) (*Console, error) {
	if c.API == nil || c.Now == nil {
		return nil, errors.New("make console: API and Now are required")
	}
	if c.Idle == 0 {
		c.Idle = DefaultIdle
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	parsed, err := parsePages(files)
	if err != nil {
		return nil, err
	}
	s := &Console{c: c, sessions: newSessions(c.Now, c.Idle), pages: parsed}
	s.unwatch = c.API.EndLocked(s.sessions.of)
	s.handler = guarded(s.routes(), staffPolicy)
	return s, nil
}

// Close ends every session.
func (s *Console) Close() {
	s.unwatch()
	s.sessions.endAll()
}

// ServeHTTP is http.Handler's.
func (s *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Console) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", static(files))
	mux.HandleFunc("GET /login", s.showLogin)
	mux.HandleFunc("POST /login", s.logIn)
	mux.HandleFunc("GET /login/provider", s.beginProvider)
	mux.HandleFunc("GET "+CallbackPath, s.finishProvider)
	mux.Handle("POST /logout", s.as(s.logOut))
	mux.Handle("GET /confirm", s.as(s.showConfirm))
	mux.Handle("POST /confirm", s.as(s.confirm))
	mux.Handle("GET /{$}", s.as(s.home))
	mux.Handle("GET /now", s.as(s.now))
	mux.Handle("GET /now/part", s.as(s.nowPart))
	mux.HandleFunc("GET /now/stream", s.nowStream)
	s.passkeyRoutes(mux)
	s.callRoutes(mux)
	s.requestRoutes(mux)
	s.findingRoutes(mux)
	s.caseRoutes(mux)
	s.recordRoutes(mux)
	s.customerRoutes(mux)
	s.traceRoutes(mux)
	s.peopleRoutes(mux)
	s.dataRoutes(mux)
	s.policyRoutes(mux)
	s.drillRoutes(mux)
	s.trainingRoutes(mux)
	s.programmeRoutes(mux)
	mux.Handle("/", s.as(func(v *visit) error {
		return &api.Problem{Status: http.StatusNotFound, Code: "no_such_page", Sentence: "There is no such page.", Hint: "The pages there are stand at the top."}
	}))
	return mux
}

// staffPolicy is the Content-Security-Policy of the pages: nothing inline, nothing from elsewhere, in nobody's frame.
const staffPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guarded gives every answer what keeps a page to itself, refuses requests that another site has a browser make, and bounds what is sent.
func guarded(next http.Handler, policy string) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Strict-Transport-Security", "max-age=31536000")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if err := origin.Check(r); err != nil {
			http.Error(w, "This was sent by another site, so nothing was done.", http.StatusForbidden)
			return
		}
		most := int64(mostBody)
		if strings.HasSuffix(r.URL.Path, "/upload") {
			most = mostUpload
		}
		r.Body = http.MaxBytesReader(w, r.Body, most)
		next.ServeHTTP(w, r)
	})
}

// static serves what is the same for everybody; it may be kept for an hour.
func static(files fs.FS) http.Handler {
	inner := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") || path.Clean(r.URL.Path) != r.URL.Path { // no list, and nothing beside it
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=3600")
		inner.ServeHTTP(w, r)
	})
}

// Serve answers on a listener until ctx ends or it fails.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug), // whoever knocks could fill a log
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	if _, ok := h.(*Public); ok {
		server.WriteTimeout = time.Minute // no stream, and nothing that takes long
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close() // what was ordered is on record
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// drained reads what is left of a body, so that a connection can be used again.
func drained(r *http.Request) { _, _ = io.Copy(io.Discard, io.LimitReader(r.Body, mostBody)) }
