package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/login"
)

// LogIns is how people log in at the company's identity provider.
type LogIns struct {
	Provider *login.Provider
	// Person is who that is. An error is for him to read.
	Person func(login.Person) (sallyport.Staff, error)
	// Groups hears of his groups before he is let in; nil: they count for nothing.
	Groups func(who sallyport.Staff, groups []string) error
	// Lifetime is how long a credential is good for.
	Lifetime time.Duration
	// Ended ends what a credential opened, by its digest, once it is on record that it was given back, and says how many sessions those were.
	Ended func([sha256.Size]byte) int
	// Passwords are the people whose password counts all the same, for when the provider is away.
	Passwords []sallyport.Staff
}

// passwordCounts tells whether somebody may log in with his password.
func (l *LogIns) passwordCounts(who sallyport.Staff) bool {
	return slices.Contains(l.Passwords, who)
}

// challenge names the ways to log in (RFC 9110, 11.6.1).
func (s *Server) challenge() string {
	if s.c.LogIns == nil {
		return `Basic realm="sallyport"`
	}
	return `Bearer realm="sallyport"`
}

// howToLogIn is the hint for who is not logged in.
func (s *Server) howToLogIn(byPassword string) string {
	if s.c.LogIns == nil {
		return byPassword
	}
	return "Log in with: sallyport login"
}

// loginRoutes are for who is not logged in yet.
func (s *Server) loginRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/login/browser", s.before(s.beginBrowser))
	mux.Handle("POST /v1/login/device", s.before(s.beginDevice))
	mux.Handle("POST /v1/login/finish", s.before(s.finishLogIn))
	mux.Handle("POST /v1/login/end", s.as(everybody, s.endLogIn))
	mux.Handle("GET /v1/waiting", s.as(everybody, s.waiting))
}

// Waiting is a result of somebody's that waits at the second door.
type Waiting struct {
	What        string    `json:"what"` // its verb and reasons
	Because     string    `json:"because"`
	Address     string    `json:"address"`
	Application string    `json:"application,omitempty"`
	Since       time.Time `json:"since"`
}

// waiting lists what a confirmation would open: who did not ask for that has somebody else in his place.
func (s *Server) waiting(r *http.Request, me sallyport.Staff) (any, error) {
	list := []Waiting{}
	if s.c.Waiting != nil {
		list = append(list, s.c.Waiting(me)...)
	}
	return paged(r, "waiting", list, func(w *Waiting) string { return w.Address + " " + w.Since.String() })
}

// before wraps an endpoint that comes before the log-in. A page in a browser has no business here.
func (s *Server) before(do func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
		answer, err := func() (any, error) {
			if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
				return nil, &Problem{http.StatusForbidden, "not_for_pages", "This is for commands, not for pages.", "Run: sallyport login"}
			}
			return do(r)
		}()
		s.answer(w, answer, err)
	})
}

// source is where a request comes from, for what one place may begin; empty: the socket of this machine.
func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// beginRequest begins a log-in. Redirect is where the browser comes back to.
type beginRequest struct {
	Redirect string `json:"redirect,omitempty"`
	Fresh    bool   `json:"fresh,omitempty"`
}

// noProvider is the answer where there is none.
func noProvider() error {
	return &Problem{http.StatusNotFound, "no_provider", "No identity provider is configured here.", "Log in with your password (--as NAME), or configure login.issuer."}
}

func (s *Server) beginBrowser(r *http.Request) (any, error) {
	var q beginRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if s.c.LogIns == nil {
		return nil, noProvider()
	}
	b, err := s.c.LogIns.Provider.Begin(r.Context(), source(r), q.Redirect, q.Fresh)
	return b, problemOf(err)
}

func (s *Server) beginDevice(r *http.Request) (any, error) {
	var q beginRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if s.c.LogIns == nil {
		return nil, noProvider()
	}
	d, err := s.c.LogIns.Provider.BeginDevice(r.Context(), source(r), q.Fresh)
	return d, problemOf(err)
}

// problemOf is an error of the provider's as people read it.
func problemOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, login.ErrMany):
		return &Problem{http.StatusTooManyRequests, "too_many_failures", "Too many log-ins were begun.", "Try again in ten minutes."}
	case errors.Is(err, login.ErrAttempt):
		return &Problem{http.StatusConflict, "no_such_attempt", sentence(err), "Begin anew: sallyport login"}
	case errors.Is(err, login.ErrRedirect):
		return &Problem{http.StatusBadRequest, "bad_request", sentence(err), ""}
	case errors.Is(err, login.ErrRefused):
		return &Problem{http.StatusForbidden, "log_in_refused", sentence(err), "Begin anew; if it stays so, the administrator finds what each refusal means in docs/login.md."}
	}
	return &Problem{http.StatusBadGateway, "provider_away", sentence(err), "Try again in a moment; whoever is named under login.passwords can log in with a password meanwhile."}
}

// pollFor is how long one question waits for the person with a device code. It MUST be shorter than the server's ReadTimeout, which ends what
// takes longer.
const pollFor = 20 * time.Second

// finishRequest ends a log-in with what the browser brought; for a device code it waits.
type finishRequest struct {
	ID    string `json:"id"`
	State string `json:"state,omitempty"`
	Code  string `json:"code,omitempty"`
}

// LoggedIn is the end of a log-in. A fresh one that was asked for confirms, and makes no credential.
type LoggedIn struct {
	Staff      sallyport.Staff `json:"staff"`
	Credential string          `json:"credential,omitempty"`
	Until      time.Time       `json:"until,omitzero"`
	Confirmed  time.Time       `json:"confirmed,omitzero"`
	Pending    bool            `json:"pending,omitempty"` // the person has not done his part yet: ask again
	Logins     []string        `json:"logins,omitempty"`  // database roles that are his
}

// finishLogIn verifies who logged in, and makes him a credential: recorded, by its digest, before he has it.
func (s *Server) finishLogIn(r *http.Request) (any, error) {
	var q finishRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	me, said, err := s.said(r.Context(), q)
	if errors.Is(err, login.ErrPending) {
		return LoggedIn{Pending: true}, nil
	}
	if err != nil {
		return nil, err
	}
	if said.Fresh {
		return s.confirmFresh(me, said)
	}
	return s.makeCredential(me, *said)
}

// said is what the provider says at the end of an attempt, and who of the configuration that is. errors.Is(err, login.ErrPending) while the
// person has not done his part.
func (s *Server) said(ctx context.Context, q finishRequest) (sallyport.Staff, *login.Person, error) {
	if s.c.LogIns == nil {
		return "", nil, noProvider()
	}
	wait, cancel := context.WithTimeout(ctx, pollFor)
	defer cancel()
	said, err := s.c.LogIns.Provider.Finish(wait, q.ID, q.State, q.Code)
	if errors.Is(err, login.ErrPending) {
		return "", nil, err
	}
	if err != nil {
		if errors.Is(err, login.ErrRefused) {
			if err := s.refusedLogIn(err.Error()); err != nil {
				return "", nil, err
			}
		}
		return "", nil, problemOf(err)
	}
	me, err := s.c.LogIns.Person(said)
	if err == nil {
		if !s.knows(me) {
			err = errors.New("the identity provider knows you, and the configuration names nobody who is you")
		}
	}
	if err != nil {
		if err := s.refusedLogIn("somebody whom the configuration does not name"); err != nil {
			return "", nil, err
		}
		return "", nil, &Problem{http.StatusForbidden, "nobody", sentence(err), "Ask the administrator to name you under people, by the claim in login.claim."}
	}
	if standing := s.state.Standing(me); standing.Locked || standing.Suspended {
		return "", nil, &Problem{http.StatusForbidden, "locked", "You are locked or suspended.", "Somebody else proposes the unlock: sallyport unlock " + string(me)}
	}
	return me, &said, nil
}

// refusedLogIn records that the provider's word about somebody was refused. Attempts are bounded, and with them these entries.
func (s *Server) refusedLogIn(why string) error {
	e := s.event(sallyport.LogInBad, "", &sallyport.Order{Action: "log_in", Details: "oidc"})
	e.Note = why
	return s.c.Orders.Give(nil, e)
}

func (s *Server) confirmFresh(me sallyport.Staff, said *login.Person) (any, error) {
	how := control.ByProvider
	switch {
	case said.Factors:
		how = control.ByTwoFactors
	case said.Methods:
		how = control.ByOneFactor
	}
	if _, err := s.confirmed(me, how); err != nil {
		return nil, err
	}
	return LoggedIn{Staff: me, Confirmed: s.c.Now()}, nil
}

func (s *Server) makeCredential(me sallyport.Staff, said login.Person) (any, error) {
	if hear := s.c.LogIns.Groups; hear != nil { // none is something to hear, too
		if err := hear(me, said.Groups); err != nil {
			return nil, err
		}
	}
	text := login.Mint()
	digest := sha256.Sum256([]byte(text))
	now := s.c.Now()
	c := &sallyport.Credential{Digest: digest[:], Until: now.Add(s.c.LogIns.Lifetime), Proven: said.Proven, Factors: said.Factors}
	e := s.event(sallyport.CredentialMade, me, &sallyport.Order{Action: "log_in", By: me, About: me, Details: "oidc", Credential: c})
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	logins := s.c.People[me].Logins
	if _, configured := s.c.People[me]; !configured {
		logins = []string{string(me)} // as the directory has it
	}
	return LoggedIn{Staff: me, Credential: text, Until: c.Until, Logins: logins}, nil
}

// knows tells whether somebody is of the configuration or of the directory.
func (s *Server) knows(who sallyport.Staff) bool {
	_, known := s.c.People[who]
	if !known && s.c.Directory != nil {
		_, known = s.c.Directory.Show(who)
	}
	return known
}

// bearer finds out who calls by a credential.
func (s *Server) bearer(r *http.Request, text string, unrecorded bool) (*caller, error) {
	if strings.HasPrefix(text, TokenPrefix) {
		if c, ok := s.byToken(text); ok {
			return s.free(c, "api token "+c.token, unrecorded)
		}
	}
	digest := sha256.Sum256([]byte(text))
	c, ok := s.state.Credential(digest, s.c.Now())
	if ok {
		return s.free(&caller{staff: c.Staff, strength: "oidc", proven: c.Proven, factors: c.Factors, until: c.Until, credential: digest}, "oidc", unrecorded)
	}
	// Nobody guesses one; whoever tries fills no disk with it either.
	if wait := s.door.charge("bearer\x00" + source(r)); wait == 0 {
		e := s.event(sallyport.LogInBad, "", &sallyport.Order{Action: "log_in", Details: "oidc"})
		e.Note = "a credential that does not hold"
		if err := s.c.Orders.Give(nil, e); err != nil {
			return nil, err
		}
	}
	return nil, &Problem{http.StatusUnauthorized, "log_in", "This credential does not hold: it is unknown, has ended, or was taken away.", "Log in anew: sallyport login"}
}

// endLogIn gives the credential back by which it is called. Sessions that were opened with it end.
func (s *Server) endLogIn(r *http.Request, me sallyport.Staff) (any, error) {
	text := r.Header.Get("Authorization")
	if len(text) <= len("Bearer ") {
		return nil, &Problem{http.StatusBadRequest, "no_credential", "There is no credential to give back: you are logged in by a password.", ""}
	}
	digest := sha256.Sum256([]byte(text[len("Bearer "):]))
	e := s.event(sallyport.CredentialEnded, me, &sallyport.Order{Action: "log_out", By: me, About: me, Credential: &sallyport.Credential{Digest: digest[:]}})
	if err := s.c.Orders.Give(nil, e); err != nil {
		return nil, err
	}
	sessions := 0
	if s.c.LogIns != nil && s.c.LogIns.Ended != nil {
		sessions = s.c.LogIns.Ended(digest)
	}
	return map[string]any{"staff": me, "ended": true, "sessions": sessions}, nil
}

// BeginBrowser begins a log-in whose browser comes back to redirect.
func (c *Client) BeginBrowser(ctx context.Context, redirect string, fresh bool) (login.Browser, error) {
	var b login.Browser
	err := c.call(ctx, http.MethodPost, "/v1/login/browser", beginRequest{redirect, fresh}, &b)
	return b, err
}

// BeginDevice begins a log-in by a device code.
func (c *Client) BeginDevice(ctx context.Context, fresh bool) (login.Device, error) {
	var d login.Device
	err := c.call(ctx, http.MethodPost, "/v1/login/device", beginRequest{Fresh: fresh}, &d)
	return d, err
}

// Finish ends a log-in; of a device code it waits for the person.
func (c *Client) Finish(ctx context.Context, id, state, code string) (l LoggedIn, err error) {
	for l.Pending = true; l.Pending; { // until the attempt is over, which serve sees to
		l = LoggedIn{}
		if err := c.call(ctx, http.MethodPost, "/v1/login/finish", finishRequest{id, state, code}, &l); err != nil {
			return l, err
		}
	}
	if l.Staff == "" {
		return l, fmt.Errorf("ask %s: it does not say who is logged in", c.path)
	}
	return l, nil
}

// Waiting lists what waits for whoever is logged in.
func (c *Client) Waiting(ctx context.Context) ([]Waiting, error) {
	return pages[Waiting](ctx, c, "/v1/waiting", "waiting")
}

// EndLogIn gives the credential back.
func (c *Client) EndLogIn(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/login/end", struct{}{}, nil)
}
