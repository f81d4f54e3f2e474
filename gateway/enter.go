package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport"
	"sallyport/identity"
	"sallyport/policy"
	"sallyport/wire/pg"
)

// Entrances say of whom the gateway asks itself who he is, and how it enters the database for him.
type Entrances interface {
	// Entry is that of a log-in; not ok: the server checks it.
	Entry(login string) (entry Entry, ok bool)
	// Check says why nobody may enter as a role; nil: it is no superuser and cannot become one. It asks the server anew.
	Check(ctx context.Context, role string) error
	// Holder is whose certificate a client has shown, one that TLS has verified.
	Holder(shown *x509.Certificate) (sallyport.Staff, error)
}

// Entry is how the gateway enters the database for one log-in: with its certificate or, where that is nil, with its secret.
type Entry struct {
	Staff       sallyport.Staff // whose log-in it is
	As          string          // the role at the server
	Certificate *tls.Certificate
	Secret      string
}

// proof is how somebody proved to Sallyport itself who he is. The zero value: the server checked him.
type proof struct {
	until  time.Time // when it ends
	at     time.Time // when he proved it to the identity provider
	second bool      // with more than a password

	credential [sha256.Size]byte // digest of the one that let him in; zero: it was none
}

// minutes is the MFA age: this log-in's, or what is known besides, whichever is younger. -1: he never did.
func (p *proof) minutes(now time.Time, besides int64) int64 {
	if !p.second || p.at.IsZero() {
		return besides
	}
	own := max(int64(now.Sub(p.at)/time.Minute), 0)
	if besides >= 0 {
		return min(own, besides)
	}
	return own
}

// note is what stands of it in the entry of the session's start.
func (p *proof) note(strength policy.Strength) string {
	if p.until.IsZero() {
		return ""
	}
	return "logged in by " + string(strength) + ", until " + p.until.UTC().Format(time.RFC3339)
}

// entry is how the gateway enters for this session.
func (s *session) entry() (Entry, bool) {
	if s.gw.Entrances == nil {
		return Entry{}, false
	}
	return s.gw.Entrances.Entry(s.who.Login)
}

// Sentences of a refusal before anybody knows who it is.
const (
	needsTLS     = "this role logs in over TLS only"
	hintTLS      = "Connect over TCP with sslmode=verify-full."
	noCredential = "what was sent as the password is no credential that holds: it is unknown, has ended, was taken away, or is somebody else's"
	hintLogIn    = "Get one with: sallyport login"
)

// enter ends the log-in here: the person shows a certificate or, as the password, a credential, and the gateway enters the database
// in its own name as the role that his log-in is mapped to. A password is asked for inside TLS only.
func (s *session) enter(ctx context.Context, packet *pg.Startup, e *Entry) error {
	if s.front.secure == nil {
		return s.turnAway("28000", needsTLS, hintTLS)
	}
	if err := s.whoIs(e); err != nil {
		return err
	}
	if s.gw.Protection == nil {
		s.person.Staff = e.Staff // nobody else says whose log-in it is
	}
	s.who.Staff = s.person.Staff
	if err := s.gw.Entrances.Check(ctx, e.As); err != nil {
		s.gw.Log.Error("nobody is let in as this role", "login", s.who.Login, "role", e.As, "reason", err.Error())
		return s.turnAway("28000", "nobody is let in as the role of this log-in", "The administrator reads why in Sallyport's log.")
	}
	return s.enterAs(ctx, renamed(packet, e.As), e)
}

// renamed is a start-up packet of another role's, for the same database.
func renamed(packet *pg.Startup, role string) *pg.Startup {
	out := &pg.Startup{Version: packet.Version}
	database := packet.Get("database")
	if database == "" {
		database = packet.Get("user")
	}
	for _, p := range packet.Params {
		if p[0] != "user" && p[0] != "database" {
			out.Params = append(out.Params, p)
		}
	}
	out.Params = append([][2]string{{"user", role}, {"database", database}}, out.Params...)
	return out
}

// whoIs finds out who the client is: by the certificate that he has shown, or by a credential.
func (s *session) whoIs(e *Entry) error {
	if chains := s.front.secure.ConnectionState().VerifiedChains; len(chains) > 0 {
		shown := chains[0][0]
		who, err := s.gw.Entrances.Holder(shown)
		if err != nil || who != e.Staff {
			return s.turnAway("28000", "the client certificate is not of the person whose role this is", "Show your own, or connect without one and give a credential as the password.")
		}
		s.strength, s.proof = policy.Certificate, proof{until: shown.NotAfter}
		return nil
	}
	if _, err := s.clientConn.Write(pg.AppendAuth(nil, pg.AuthCleartext, "")); err != nil {
		return err
	}
	answer, err := s.password()
	if err != nil {
		return err
	}
	text := answer[pg.HeaderLen:]
	if n := len(text); n > 0 && text[n-1] == 0 {
		text = text[:n-1]
	}
	digest := sha256.Sum256(text)
	clear(answer)
	c, ok := s.gw.Standing.Credential(digest, s.gw.Clock())
	if !ok || c.Staff != e.Staff {
		return s.turnAway("28P01", noCredential, hintLogIn)
	}
	s.strength, s.proof = policy.ByOIDC, proof{until: c.Until, at: c.Proven, second: c.Factors, credential: digest}
	return nil
}

// enterAs logs in to the server. What the client reads of it begins with AuthenticationOk.
func (s *session) enterAs(ctx context.Context, packet *pg.Startup, e *Entry) error {
	s.entering = true
	if err := s.dialAs(ctx, packet, e); err != nil {
		return err
	}
	for {
		kind, m, err := s.server.message()
		if err != nil {
			return fmt.Errorf("enter the database: %w", err)
		}
		done := false
		switch kind {
		case pg.Authentication:
			done, err = s.answerServer(m, e)
		case pg.ErrorResponse:
			err = s.entryFailed(m)
		case pg.NegotiateVersion, pg.NoticeResponse:
			_, err = s.clientConn.Write(m)
		default:
			err = fmt.Errorf("%w: %q during the log-in", pg.ErrMalformed, kind)
		}
		if done || err != nil {
			return err
		}
	}
}

// dialAs connects with the certificate of the entry, or as the client came.
func (s *session) dialAs(ctx context.Context, packet *pg.Startup, e *Entry) (err error) {
	if e.Certificate == nil {
		return s.dial(ctx, packet, false)
	}
	if s.serverConn, err = s.gw.Server.DialAs(ctx, e.Certificate); err != nil {
		s.gw.Log.Warn("database unreachable", "reason", serverReason(err))
		return s.refuseStart(fatal(codeAway, "the database cannot be reached", "Try again in a moment; the administrator sees the reason in Sallyport's log."))
	}
	s.server = newStream(s.serverConn, &s.gw.pool)
	_ = s.serverConn.SetDeadline(time.Now().Add(startTimeout))
	if _, err := s.serverConn.Write(pg.AppendStartup(nil, packet)); err != nil {
		return fmt.Errorf("send start-up packet: %w", err)
	}
	return nil
}

// errEntry says that the server wants something that the gateway does not give it.
var errEntry = errors.New("the database asks for something else than upstream.enter has for it")

// answerServer answers one request of the server's. done says that the client is in.
func (s *session) answerServer(m []byte, e *Entry) (done bool, err error) {
	code, rest, err := pg.AuthCode(m)
	switch {
	case err != nil:
		return false, err
	case code == pg.AuthOK:
		ok := append([]byte(nil), m...)
		if err := s.mere(); err != nil {
			return false, err
		}
		return true, s.accepted(ok)
	case code != pg.AuthSASL || e.Certificate != nil || e.Secret == "": // never a password in clear, and no MD5
		s.gw.Log.Error("the database cannot be entered", "login", s.who.Login, "role", e.As, "reason", errEntry.Error(), "request", code,
			"next", "see docs/login.md: cert or scram-sha-256 in pg_hba.conf, for the gateway's address")
		return false, s.turnAway("28000", "the database does not let Sallyport in for you", "The administrator reads why in Sallyport's log.")
	}
	offered, err := pg.ParseMechanisms(rest)
	if err != nil {
		return false, err
	}
	return false, s.proveSecret(offered, e.Secret)
}

// proveSecret is the client's side of SCRAM, bound to the server's certificate where there is one.
func (s *session) proveSecret(offered []string, secret string) error {
	var binding []byte
	if s.serverTLS() != nil {
		binding = s.serverBinding()
	}
	up, err := identity.NewClient(offered, binding, rand.Reader)
	if err != nil {
		return fmt.Errorf("%w: %w", pg.ErrMalformed, err)
	}
	salt, iterations, err := s.challenge(up)
	if err != nil {
		return err
	}
	client, server, err := identity.Keys(secret, salt, iterations)
	if err != nil {
		return err
	}
	defer server.Wipe()
	defer client.Wipe()
	final, err := s.pass(up, &client)
	if err != nil {
		return err
	}
	if err := up.Verify(&server, final); err != nil {
		s.gw.Log.Error("the database does not prove that it knows the role's secret: is it another server?", "reason", err.Error())
		return s.refuseStart(fatal(codeAway, "the database does not prove that it is the database", "The administrator must look at Sallyport's log."))
	}
	return nil
}

// entryFailed is an error of the server's while it is entered. That it refuses the gateway is the administrator's to read.
func (s *session) entryFailed(m []byte) error {
	n, err := pg.ParseNotice(m)
	if err != nil {
		return err
	}
	if state := n.Get(pg.SQLState); len(state) == 5 && state[:2] != "28" {
		_, _ = s.clientConn.Write(m) // there is no such database, it is starting, it is full: the client's to read
		return errRefused
	}
	s.gw.Log.Error("the database does not let Sallyport in", "login", s.who.Login, "reason", n.Get(pg.Message),
		"next", "see docs/login.md: pg_hba.conf, pg_ident.conf and upstream.enter must fit each other")
	return s.turnAway("28000", "the database does not let Sallyport in for you", "The administrator reads why in Sallyport's log.")
}

// mere holds the session's role to what the server says of it: a superuser's ends before anything of it has left. What is read of
// the server's stays to be read.
func (s *session) mere() error {
	for at := 0; at < bufferSize; {
		b, err := s.server.peek(at + pg.HeaderLen)
		if err != nil {
			return fmt.Errorf("enter the database: %w", err)
		}
		kind, size, _, err := pg.Header(b[at:])
		if err != nil {
			return err
		}
		if b, err = s.server.peek(min(at+size, bufferSize)); err != nil {
			return fmt.Errorf("enter the database: %w", err)
		}
		switch kind {
		case pg.ErrorResponse:
			return nil // there is no such database, or the server is full: the client reads it, and that is the end
		case pg.NoticeResponse, pg.NegotiateVersion:
		case pg.ParameterStatus:
			switch super, err := superuser(b[at:]); {
			case err != nil:
				return err
			case super == "off":
				return nil
			case super != "":
				return s.notMere("it is a superuser's")
			}
		default:
			return s.notMere("the database does not say whether it is a superuser's")
		}
		at += size
	}
	return s.notMere("the database says much, and not whether it is a superuser's")
}

// superuser reads a ParameterStatus: on or off of is_superuser, empty of any other.
func superuser(m []byte) (string, error) {
	name, value, err := pg.ParseParameterStatus(m)
	if string(name) != "is_superuser" {
		return "", err
	}
	return string(value), err
}

func (s *session) notMere(why string) error {
	s.gw.Log.Error("nobody is let in as this role", "login", s.who.Login, "reason", why)
	return s.turnAway("28000", "nobody is let in as the role of this log-in", "The administrator reads why in Sallyport's log.")
}

// lapseGrace is how long a transaction may go on when what its person logged in with has ended. lapseLook is how long a session sleeps before it
// looks at the clock again: a machine that was asleep itself has not let its timers run.
const (
	lapseGrace = 5 * time.Minute
	lapseLook  = 5 * time.Second
)

// lapse sees to the end of a session whose person logged in for a while: with its transaction, or a little later.
func (s *session) lapse(ctx context.Context) (stop func()) {
	if s.proof.until.IsZero() {
		return func() {}
	}
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for !s.endsWith(s.gw.Clock()) {
			wait := lapseLook
			if left := s.proof.until.Sub(s.gw.Clock()); left > 0 {
				wait = min(wait, left)
			}
			select {
			case <-time.After(wait):
			case <-over:
				return
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		close(over)
		wg.Wait()
	}
}

// endsWith ends the session where what its person logged in with has ended by now, and tells whether it did.
func (s *session) endsWith(now time.Time) bool {
	switch {
	case s.gone(now): // between the log-in and the first look, for example
		s.handBack()
		return true
	case now.Before(s.proof.until):
		return false
	}
	s.lapsed.Store(true)
	s.draining.Store(true)
	if s.idle.Load() && !s.owed() || !now.Before(s.proof.until.Add(lapseGrace)) {
		s.end(s.drained())
		return true
	}
	return false
}

// gone tells whether the credential that opened the session was given back, or taken away, before its time.
func (s *session) gone(now time.Time) bool {
	if s.proof.credential == ([sha256.Size]byte{}) || !now.Before(s.proof.until) {
		return false
	}
	_, holds := s.gw.Standing.Credential(s.proof.credential, now)
	return !holds
}

// handBack ends a session whose credential was given back: at once, as a lock does.
func (s *session) handBack() {
	s.lapsed.Store(true)
	s.end(s.drained())
}

// EndLogIn ends the live sessions that one credential, by its digest, let in. It does not wait for them.
func (g *Gateway) EndLogIn(credential [sha256.Size]byte) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.sessions {
		if s.proof.credential != credential {
			continue
		}
		if n++; !g.observing() {
			s.handBack()
		}
	}
	return n
}

// drained is what a client reads whose session ended with its transaction.
func (s *session) drained() pg.Notice {
	if s.lapsed.Load() {
		return fatal("28P01", "what you logged in with has ended", "Log in anew: sallyport login")
	}
	return shutdown()
}

// turnedAway bounds how many refusals stand on record: whoever knocks a million times fills no disk.
type turnedAway struct {
	mu    sync.Mutex // guards what follows
	since time.Time
	n     int
	more  int // that were not recorded since
}

const (
	mostTurnedAway = 60
	turnedAwayFor  = time.Minute
)

// note counts one, and tells whether it is to be recorded and how many before it were not.
func (t *turnedAway) note(now time.Time) (record bool, unrecorded int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.since) >= turnedAwayFor {
		t.since, t.n = now, 0
	}
	if t.n++; t.n > mostTurnedAway {
		t.more++
		return false, 0
	}
	unrecorded, t.more = t.more, 0
	return true, unrecorded
}

// turnAway refuses somebody whose log-in the gateway ends itself, and puts that on record.
func (s *session) turnAway(code, sentence, hint string) error {
	if record, unrecorded := s.gw.turnedAway.note(s.gw.Clock()); record {
		note := sentence
		if unrecorded > 0 {
			note += fmt.Sprintf(" (%d more before this are not on record)", unrecorded)
		}
		s.note(sallyport.Event{Kind: sallyport.EntryRefused, Note: note})
	}
	return s.refuseStart(fatal(code, sentence, hint))
}
