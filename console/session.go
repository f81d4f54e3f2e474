package console

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"sallyport"
	"sallyport/api"
)

// cookieName binds the cookie to this very host and path, and to TLS (RFC 6265bis, 4.1.3.2).
const cookieName = "__Host-sallyport"

// The bounds of sessions.
const (
	mostSessions = 10_000
	mostOfOne    = 10 // of one person; the oldest goes
)

// sessions are who is logged in, by the digest of his cookie.
type sessions struct {
	now  func() time.Time
	idle time.Duration

	mu   sync.Mutex // guards what follows
	open map[[sha256.Size]byte]*entry
}

// entry is one browser that is logged in.
type entry struct {
	session     *api.Session
	begun, used time.Time
}

func newSessions(now func() time.Time, idle time.Duration) *sessions {
	return &sessions{now: now, idle: idle, open: map[[sha256.Size]byte]*entry{}}
}

// begin opens a session under a number that nobody has ever seen, whatever the browser brought along.
func (s *sessions) begin(who *api.Session) *http.Cookie {
	text := rand.Text() + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	var oldest *entry
	var key [sha256.Size]byte
	n := 0
	for k, e := range s.open {
		if e.session.Staff() != who.Staff() {
			continue
		}
		if n++; oldest == nil || e.begun.Before(oldest.begun) {
			oldest, key = e, k
		}
	}
	if n >= mostOfOne || len(s.open) >= mostSessions && oldest != nil {
		oldest.session.End()
		delete(s.open, key)
	}
	now := s.now()
	s.open[sha256.Sum256([]byte(text))] = &entry{session: who, begun: now, used: now}
	return cookie(text, 0)
}

// cookie is of a session; a negative age takes it away.
func cookie(text string, age int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: text, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

// sweep forgets what is over. s.mu is held.
func (s *sessions) sweep() {
	now := s.now()
	for k, e := range s.open {
		if s.over(e, now) {
			e.session.End()
			delete(s.open, k)
		}
	}
}

func (s *sessions) over(e *entry, now time.Time) bool {
	return e.session.Ended() || now.Sub(e.used) >= s.idle || now.Sub(e.begun) >= longest
}

// find is the session of a request; nil: nobody is logged in. use says that somebody sits there, so that it goes on.
func (s *sessions) find(r *http.Request, use bool) *api.Session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sha256.Sum256([]byte(c.Value))
	e := s.open[key]
	if e == nil {
		return nil
	}
	now := s.now()
	if s.over(e, now) {
		e.session.End()
		delete(s.open, key)
		return nil
	}
	if use {
		e.used = now
	}
	return e.session
}

// end ends the session of a request.
func (s *sessions) end(r *http.Request) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sha256.Sum256([]byte(c.Value))
	if e := s.open[key]; e != nil {
		e.session.End()
		delete(s.open, key)
	}
}

// of are somebody's sessions.
func (s *sessions) of(who sallyport.Staff) (list []*api.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.open {
		if e.session.Staff() == who {
			list = append(list, e.session)
		}
	}
	return list
}

func (s *sessions) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range s.open {
		e.session.End()
		delete(s.open, k)
	}
}
