package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/login"
)

// Session is somebody who logged in once, for the many calls of pages. Whoever holds it calls in his name: it stays in this process, and pages
// know him by a cookie of their own. Each call looks at his standing anew, and a lock ends it for good.
type Session struct {
	who   caller
	until time.Time // zero: as long as the pages keep it

	mu    sync.Mutex // guards what follows
	ended bool
	live  time.Time // when it was recorded last that he looks at what goes on right now
}

// Staff is whose session it is.
func (v *Session) Staff() sallyport.Staff { return v.who.staff }

// Ended tells whether it is over, for whatever reason.
func (v *Session) Ended() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended
}

// End ends it.
func (v *Session) End() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
}

// sessionKey is where the context of a call of pages has its session. Nothing that comes over a network sets it.
type sessionKey struct{}

// sessionOf is the session of a call; nil: it came by another way.
func sessionOf(r *http.Request) *Session {
	v, _ := r.Context().Value(sessionKey{}).(*Session) // nil where there is none
	return v
}

// Ways are the ways to log in on pages. Where there is a provider, a password counts for those alone who are named for when it is away.
func (s *Server) Ways() (provider, password bool) {
	return s.c.LogIns != nil, s.c.LogIns == nil || len(s.c.LogIns.Passwords) > 0
}

// Enter logs somebody in on pages by name and password, as the control socket does; from is his HOST:PORT.
func (s *Server) Enter(from, name, password string) (*Session, error) {
	if err := s.checkPassword(from, name, password); err != nil {
		return nil, err
	}
	who, err := s.free(&caller{staff: sallyport.Staff(name), strength: "password"}, "page", false)
	if err != nil {
		return nil, err
	}
	return &Session{who: *who}, nil
}

// checkPassword puts a wrong one on record.
func (s *Server) checkPassword(from, name, password string) error {
	result, wait := s.tryFrom(&http.Request{RemoteAddr: from}, name, []byte(password))
	switch result {
	case shut:
		return &Problem{http.StatusTooManyRequests, "too_many_failures", "Too many wrong passwords for this name, or from this place.", "Try again in " + strconv.Itoa(int(wait/time.Second)+1) + " s."}
	case wrong:
		if err := s.failedLogIn(sallyport.Staff(name)); err != nil {
			return err
		}
		return &Problem{http.StatusUnauthorized, "log_in", "Name or password is wrong.", "Ask for a new one: sallyport invite."}
	case right:
	}
	return nil
}

// BeginEntry begins a log-in at the identity provider whose browser comes back to the pages; fresh: he is to prove anew who he is.
func (s *Server) BeginEntry(ctx context.Context, from, redirect string, fresh bool) (login.Browser, error) {
	if s.c.LogIns == nil {
		return login.Browser{}, noProvider()
	}
	b, err := s.c.LogIns.Provider.Begin(ctx, source(&http.Request{RemoteAddr: from}), redirect, fresh)
	return b, problemOf(err)
}

// FinishEntry ends it. A fresh one confirms who he is besides.
func (s *Server) FinishEntry(ctx context.Context, id, state, code string) (*Session, error) {
	me, said, err := s.said(ctx, finishRequest{ID: id, State: state, Code: code})
	if errors.Is(err, login.ErrPending) {
		return nil, problemOf(login.ErrAttempt)
	}
	if err != nil {
		return nil, err
	}
	if hear := s.c.LogIns.Groups; hear != nil {
		if err := hear(me, said.Groups); err != nil {
			return nil, err
		}
	}
	who, err := s.free(&caller{staff: me, strength: "oidc", proven: said.Proven, factors: said.Factors}, "page oidc", false)
	if err != nil {
		return nil, err
	}
	if said.Fresh {
		if _, err := s.confirmFresh(me, said); err != nil {
			return nil, err
		}
	}
	return &Session{who: *who, until: s.c.Now().Add(s.c.LogIns.Lifetime)}, nil
}

// ConfirmEntry proves anew who somebody is, by his password; where there is a provider only a fresh log-in there does.
func (s *Server) ConfirmEntry(v *Session, from, password string) error {
	if s.c.LogIns != nil {
		return &Problem{http.StatusForbidden, "fresh_login", "Here people confirm by a fresh log-in at the identity provider.", ""}
	}
	if err := s.goOn(v); err != nil {
		return err
	}
	if err := s.checkPassword(from, string(v.who.staff), password); err != nil {
		return err
	}
	_, err := s.confirmed(v.who.staff, "")
	return err
}

// goOn tells whether a session still lets somebody in.
func (s *Server) goOn(v *Session) error {
	standing := s.state.Standing(v.who.staff)
	switch {
	case standing.Locked || standing.Suspended || standing.Left:
		v.End()
		return &Problem{http.StatusForbidden, "locked", "You are locked or suspended.", "Somebody else proposes the unlock: sallyport unlock " + string(v.who.staff)}
	case v.Ended(), !v.until.IsZero() && !s.c.Now().Before(v.until):
		v.End()
		return &Problem{http.StatusUnauthorized, "log_in", "This session is over.", "Log in anew."}
	}
	return nil
}

// EndLocked ends the sessions of whoever is locked, at once: one that is given back later opens none of them again. The result ends that.
func (s *Server) EndLocked(sessions func(sallyport.Staff) []*Session) (cancel func()) {
	return s.state.Watch(func(who sallyport.Staff, st control.Standing) {
		if !st.Locked && !st.Suspended && !st.Left {
			return
		}
		for _, v := range sessions(who) {
			v.End()
		}
	})
}

// Inside is a client in the name of a session, without a network between; from is where its browser is, which policies may go by.
func (s *Server) Inside(v *Session, from string) *Client {
	return &Client{path: "serve", base: "http://sallyport", http: &http.Client{Transport: inside{s, v, from}}}
}

// inside carries calls of pages to the same routes as every other call.
type inside struct {
	s    *Server
	who  *Session
	from string
}

// RoundTrip is http.RoundTripper's.
func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	call := r.Clone(context.WithValue(r.Context(), sessionKey{}, i.who))
	call.RemoteAddr = i.from
	if call.Body == nil {
		call.Body = http.NoBody
	}
	a := &answer{header: http.Header{}}
	i.s.http.Handler.ServeHTTP(a, call)
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return &http.Response{Status: http.StatusText(a.status), StatusCode: a.status, Header: a.header, Body: io.NopCloser(&a.body), Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
}

// answer keeps what a route answers.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is http.ResponseWriter's.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader is http.ResponseWriter's.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write is http.ResponseWriter's.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}
