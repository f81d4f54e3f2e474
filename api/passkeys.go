package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"sallyport"
	"sallyport/control"
)

// Passkeys are proofs by a key in somebody's authenticator (WebAuthn Level 3), which had him prove to it who he is. The protocol is the library's; who
// may add one, and that each use is on record with its counter before it counts, is decided here.
type Passkeys struct {
	web *webauthn.WebAuthn

	mu       sync.Mutex // guards attempts
	attempts map[string]*passkeyAttempt
}

// passkeyAttempt is a ceremony under way: good once, for passkeyFor.
type passkeyAttempt struct {
	session webauthn.SessionData
	who     sallyport.Staff // whose; empty: he says by the passkey
	from    string          // the place of who is not known yet
	does    string          // add, first, enter, confirm
	halves  [2][sha256.Size]byte
	begun   time.Time
}

const (
	passkeyFor     = 5 * time.Minute
	mostCeremonies = 1000             // of those who are not known yet, at a time
	mostOfPlace    = 50               // of them from one place
	mostOfPerson   = 5                // of somebody who is known
	freshFor       = 10 * time.Minute // before a passkey is added somebody has proven anew who he is
)

// NewPasskeys are those of pages at one origin, https://HOST[:PORT]: a passkey is bound to HOST, and answers from elsewhere are refused.
func NewPasskeys(origin string) (*Passkeys, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("passkeys at %q: that is no https://HOST[:PORT]", origin)
	}
	web, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "Sallyport", RPOrigins: []string{"https://" + u.Host},
		AttestationPreference:  protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired},
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys at %q: %w", origin, err)
	}
	return &Passkeys{web: web, attempts: map[string]*passkeyAttempt{}}, nil
}

// holder is somebody as the library knows him. His handle tells nobody who he is.
type holder struct {
	who  sallyport.Staff
	keys []control.Passkey
}

// WebAuthnID is his handle.
func (h holder) WebAuthnID() []byte { return handleOf(h.who) }

// WebAuthnName is what his device shows.
func (h holder) WebAuthnName() string { return string(h.who) }

// WebAuthnDisplayName is likewise.
func (h holder) WebAuthnDisplayName() string { return string(h.who) }

// WebAuthnCredentials are his passkeys.
func (h holder) WebAuthnCredentials() (list []webauthn.Credential) {
	for _, k := range h.keys {
		list = append(list, webauthn.Credential{
			ID: k.ID, PublicKey: k.Public, Flags: webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: k.Backup},
			Authenticator: webauthn.Authenticator{AAGUID: k.Kind, SignCount: k.Count},
		})
	}
	return list
}

func handleOf(who sallyport.Staff) []byte {
	sum := sha256.Sum256([]byte("sallyport passkey\x00" + string(who)))
	return sum[:]
}

func (s *Server) holderOf(who sallyport.Staff) holder { return holder{who, s.state.Passkeys(who)} }

// HasPasskeys tells whether pages take any.
func (s *Server) HasPasskeys() bool { return s.c.Passkeys != nil }

func noPasskeys() error {
	return &Problem{http.StatusConflict, "no_passkeys", "Nobody proves who he is by a passkey here.", "console.address of the configuration says where pages are; passkeys are bound to it."}
}

// keep notes a ceremony that began.
// keep begins a ceremony. Who is known has a number of his own, whose oldest goes: whoever begins log-ins by the thousand keeps nobody from confirming.
func (p *Passkeys) keep(a *passkeyAttempt, now time.Time) (id string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	unknown, alike, oldest := 0, 0, ""
	for old, x := range p.attempts {
		if now.Sub(x.begun) >= passkeyFor {
			delete(p.attempts, old)
			continue
		}
		if x.who == "" {
			unknown++
		}
		if x.who == a.who && x.from == a.from {
			if alike++; oldest == "" || x.begun.Before(p.attempts[oldest].begun) {
				oldest = old
			}
		}
	}
	switch {
	case a.who != "" && alike >= mostOfPerson:
		delete(p.attempts, oldest)
	case a.who == "" && (alike >= mostOfPlace || unknown >= mostCeremonies):
		return "", &Problem{http.StatusTooManyRequests, "too_many_requests", "Too many are proving who they are right now.", "Try again in a moment."}
	}
	a.begun, id = now, rand.Text()
	p.attempts[id] = a
	return id, nil
}

// take ends a ceremony: what comes a second time is refused.
func (p *Passkeys) take(id, does string, now time.Time) (*passkeyAttempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.attempts[id]
	delete(p.attempts, id)
	if a == nil || a.does != does || now.Sub(a.begun) >= passkeyFor {
		return nil, &Problem{http.StatusConflict, "no_such_attempt", "This was not begun, or has taken too long.", "Begin anew."}
	}
	return a, nil
}

// BeginPasskey begins to add one to whoever is logged in, who has proven anew who he is; who has passkeys by one of them.
func (s *Server) BeginPasskey(v *Session) (id string, options json.RawMessage, err error) {
	if s.c.Passkeys == nil {
		return "", nil, noPasskeys()
	}
	if err := s.goOn(v); err != nil {
		return "", nil, err
	}
	return s.beginAdding(v.who.staff, "add", [2][sha256.Size]byte{}, s.mayAdd(v.who.staff))
}

// mayAdd tells why somebody may not add a passkey now.
func (s *Server) mayAdd(me sallyport.Staff) func() error {
	return func() error {
		if err := s.stillFree(me)(); err != nil {
			return err
		}
		door, has := s.state.Door(me), s.state.Passkeys(me)
		switch {
		case door.Confirmed.IsZero() || s.c.Now().Sub(door.Confirmed) > freshFor:
			return &Problem{http.StatusForbidden, "confirm_first", "Before a passkey is added you prove anew who you are.", "Confirm, then add it within ten minutes."}
		case len(has) > 0 && door.How != control.ByPasskey:
			return &Problem{http.StatusForbidden, "confirm_first", "Who has a passkey confirms by it before he adds another.", "Where it is lost, somebody who administers ends it."}
		case len(has) >= control.MostPasskeys:
			return &Problem{http.StatusConflict, "too_many_passkeys", "You have ten passkeys.", "End one first."}
		}
		return nil
	}
}

// BeginFirst begins to give somebody his first passkey by the two halves of an invitation, in place of a password.
func (s *Server) BeginFirst(staff sallyport.Staff, first, second string) (id string, options json.RawMessage, err error) {
	if s.c.Passkeys == nil {
		return "", nil, noPasskeys()
	}
	if wait := s.door.charge("invited\x00" + string(staff)); wait > 0 {
		return "", nil, &Problem{http.StatusTooManyRequests, "too_many_failures", "Too many wrong codes for this name.", "Try again in a few minutes."}
	}
	halves := [2][sha256.Size]byte{[sha256.Size]byte(digestOf(first)), [sha256.Size]byte(digestOf(second))}
	invited := s.invited(staff, halves)
	if bad := invited(); bad != nil {
		return "", nil, refused(bad, s.failedLogIn(staff))
	}
	s.door.open("invited\x00" + string(staff))
	return s.beginAdding(staff, "first", halves, invited)
}

func (s *Server) invited(staff sallyport.Staff, halves [2][sha256.Size]byte) func() error {
	return func() error {
		if _, person := s.c.People[staff]; !person || !s.state.Invited(staff, halves[0], halves[1], s.c.Now()) {
			return &Problem{http.StatusForbidden, "no_invitation", "This code is not good: it is another's, was used, or is out of time.", "Ask for another: sallyport passwd --invite ID"}
		}
		return s.stillFree(staff)()
	}
}

func (s *Server) beginAdding(who sallyport.Staff, does string, halves [2][sha256.Size]byte, may func() error) (id string, options json.RawMessage, err error) {
	if err := may(); err != nil {
		return "", nil, err
	}
	h := s.holderOf(who)
	creation, session, err := s.c.Passkeys.web.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return "", nil, fmt.Errorf("begin to add a passkey: %w", err)
	}
	if options, err = json.Marshal(creation); err != nil {
		return "", nil, fmt.Errorf("begin to add a passkey: %w", err)
	}
	id, err = s.c.Passkeys.keep(&passkeyAttempt{session: *session, who: who, does: does, halves: halves}, s.c.Now())
	return id, options, err
}

// AddPasskey ends it with what the browser answered.
func (s *Server) AddPasskey(v *Session, id, label string, answer []byte) error {
	if s.c.Passkeys == nil {
		return noPasskeys()
	}
	if err := s.goOn(v); err != nil {
		return err
	}
	a, err := s.c.Passkeys.take(id, "add", s.c.Now())
	if err == nil && a.who != v.who.staff {
		err = &Problem{http.StatusConflict, "no_such_attempt", "This was begun by somebody else.", "Begin anew."}
	}
	if err != nil {
		return err
	}
	return s.add(a, label, answer, s.mayAdd(a.who))
}

// AddFirst ends it, and tells whose it is.
func (s *Server) AddFirst(id, label string, answer []byte) (sallyport.Staff, error) {
	if s.c.Passkeys == nil {
		return "", noPasskeys()
	}
	a, err := s.c.Passkeys.take(id, "first", s.c.Now())
	if err != nil {
		return "", err
	}
	return a.who, s.add(a, label, answer, s.invited(a.who, a.halves)) // once more, at the moment at which it takes effect: a code is good once
}

func (s *Server) add(a *passkeyAttempt, label string, answer []byte, may func() error) error {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return badPasskey()
	}
	made, err := s.c.Passkeys.web.CreateCredential(s.holderOf(a.who), a.session, parsed)
	if err != nil || !made.Flags.UserVerified {
		return refused(badPasskey(), s.refusedPasskey(a.who, "a passkey that was to be added"))
	}
	if label = strings.TrimSpace(label); label == "" || len(label) > 100 {
		label = "passkey"
	}
	return s.c.Orders.Give(may, s.event(sallyport.PasskeyAdded, a.who, &sallyport.Order{Action: "add_passkey", By: a.who, About: a.who, Passkey: &sallyport.Passkey{
		ID: made.ID, Public: made.PublicKey, Count: made.Authenticator.SignCount, Backup: made.Flags.BackupEligible, Kind: made.Authenticator.AAGUID, Label: label,
	}}))
}

func badPasskey() *Problem {
	return &Problem{http.StatusForbidden, "log_in_refused", "This passkey proves nothing here: it is of another address, of nobody whom there is, or did not have you prove who you are.", "Begin anew."}
}

// refused is why somebody was refused; where that could not be put on record, that.
func refused(why, unrecorded error) error {
	if unrecorded != nil {
		return unrecorded
	}
	return why
}

// refusedPasskey puts on record that one was refused.
func (s *Server) refusedPasskey(who sallyport.Staff, what string) error {
	e := s.event(sallyport.LogInBad, who, &sallyport.Order{Action: "log_in", About: who, Details: control.ByPasskey})
	e.Note = what
	return s.c.Orders.Give(nil, e)
}

// AskPasskey begins a log-in, or, for who has a session, a confirmation. Nobody is told who has passkeys.
func (s *Server) AskPasskey(v *Session, from string) (id string, options json.RawMessage, err error) {
	if s.c.Passkeys == nil {
		return "", nil, noPasskeys()
	}
	a := &passkeyAttempt{does: "enter", from: source(&http.Request{RemoteAddr: from})}
	var assertion *protocol.CredentialAssertion
	var session *webauthn.SessionData
	if v != nil {
		if err := s.goOn(v); err != nil {
			return "", nil, err
		}
		a.does, a.who, a.from = "confirm", v.who.staff, ""
		if h := s.holderOf(a.who); len(h.keys) > 0 {
			assertion, session, err = s.c.Passkeys.web.BeginLogin(h, webauthn.WithUserVerification(protocol.VerificationRequired))
		} else {
			err = &Problem{http.StatusConflict, "no_passkeys", "You have no passkey.", "Confirm in another way, and add one."}
		}
	} else {
		assertion, session, err = s.c.Passkeys.web.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	}
	if err != nil {
		return "", nil, err
	}
	if options, err = json.Marshal(assertion); err != nil {
		return "", nil, fmt.Errorf("ask for a passkey: %w", err)
	}
	a.session = *session
	id, err = s.c.Passkeys.keep(a, s.c.Now())
	return id, options, err
}

// EnterPasskey ends a log-in: whose the passkey is, is logged in, and has confirmed who he is.
func (s *Server) EnterPasskey(id string, answer []byte) (*Session, error) {
	who, err := s.proven(id, "enter", answer)
	if err != nil {
		return nil, err
	}
	c, err := s.free(&caller{staff: who, strength: "passkey", proven: s.c.Now(), factors: true}, "page passkey", false)
	if err != nil {
		return nil, err
	}
	if _, err := s.confirmed(who, control.ByPasskey); err != nil {
		return nil, err
	}
	return &Session{who: *c}, nil
}

// ConfirmPasskey ends a confirmation.
func (s *Server) ConfirmPasskey(v *Session, id string, answer []byte) error {
	if err := s.goOn(v); err != nil {
		return err
	}
	who, err := s.proven(id, "confirm", answer)
	if err == nil && who != v.who.staff {
		err = badPasskey()
	}
	if err != nil {
		return err
	}
	_, err = s.confirmed(who, control.ByPasskey)
	return err
}

// proven holds an answer to its ceremony, and puts the use on record with its counter. One whose counter did not go on may have been copied: it ends.
func (s *Server) proven(id, does string, answer []byte) (sallyport.Staff, error) {
	if s.c.Passkeys == nil {
		return "", noPasskeys()
	}
	a, err := s.c.Passkeys.take(id, does, s.c.Now())
	if err != nil {
		return "", err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return "", badPasskey()
	}
	who, used, err := s.validate(a, parsed)
	if err != nil || !parsed.Response.AuthenticatorData.Flags.HasUserVerified() {
		return "", refused(badPasskey(), s.refusedPasskey(who, "a passkey that proves nothing here"))
	}
	counted := &sallyport.Passkey{ID: used.ID, Count: used.Authenticator.SignCount}
	if used.Authenticator.CloneWarning {
		return "", refused(&Problem{http.StatusForbidden, "copied_passkey", "The counter of this passkey did not go on: there may be a copy of it, so it is good for nothing any more.", "Tell security, and add another one."},
			s.c.Orders.Give(nil, s.event(sallyport.PasskeyEnded, who, &sallyport.Order{Action: "end_passkey", About: who, Reason: "its counter did not go on: it may have been copied", Passkey: counted})))
	}
	e := s.event(sallyport.PasskeyUsed, who, &sallyport.Order{Action: "log_in", By: who, About: who, Details: control.ByPasskey, Passkey: counted})
	return who, s.c.Orders.Give(func() error {
		for _, k := range s.state.Passkeys(who) { // two answers with one counter at once: the second finds it used
			if bytes.Equal(k.ID, used.ID) && (counted.Count == 0 && k.Count == 0 || counted.Count > k.Count) {
				return s.stillFree(who)()
			}
		}
		return badPasskey()
	}, e)
}

// validate asks the library, which checks challenge, origin, host, signature and flags.
func (s *Server) validate(a *passkeyAttempt, parsed *protocol.ParsedCredentialAssertionData) (who sallyport.Staff, used *webauthn.Credential, err error) {
	if a.who != "" {
		used, err = s.c.Passkeys.web.ValidateLogin(s.holderOf(a.who), a.session, parsed)
		return a.who, used, err
	}
	find := func(_, handle []byte) (webauthn.User, error) {
		for id := range s.c.People {
			if bytes.Equal(handleOf(id), handle) {
				who = id
				return s.holderOf(id), nil
			}
		}
		return nil, errors.New("nobody has this handle")
	}
	used, err = s.c.Passkeys.web.ValidateDiscoverableLogin(find, a.session, parsed)
	return who, used, err
}

// PasskeyInfo is one as its owner sees it.
type PasskeyInfo struct {
	ID     string    `json:"id"`
	Label  string    `json:"label"`
	Added  time.Time `json:"added"`
	Used   time.Time `json:"used,omitzero"`
	Backup bool      `json:"backup,omitempty"` // it may be copied to other devices
}

func (s *Server) passkeyRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/passkeys", s.as(everybody, s.listPasskeys))
	mux.Handle("POST /v1/passkeys/end", s.as(everybody, s.endPasskey))
}

func (s *Server) listPasskeys(r *http.Request, me sallyport.Staff) (any, error) {
	list := []PasskeyInfo{}
	for _, k := range s.state.Passkeys(me) {
		list = append(list, PasskeyInfo{base64.RawURLEncoding.EncodeToString(k.ID), k.Label, k.Added, k.Used, k.Backup})
	}
	return paged(r, "passkeys", list, func(p *PasskeyInfo) string { return p.ID })
}

// endPasskeyRequest ends one of one's own, or, for who administers, all of somebody's.
type endPasskeyRequest struct {
	ID     string          `json:"id,omitempty"`
	Staff  sallyport.Staff `json:"staff,omitempty"`
	Reason string          `json:"reason"`
}

func (s *Server) endPasskey(r *http.Request, me sallyport.Staff) (any, error) {
	var q endPasskeyRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reasoned := request{Reason: q.Reason}
	if err := reasoned.reasoned(); err != nil {
		return nil, err
	}
	whose := me
	if door := s.state.Door(me); (q.Staff == "" || q.Staff == me) && (door.How != control.ByPasskey || s.c.Now().Sub(door.Confirmed) > freshFor) {
		return nil, &Problem{http.StatusForbidden, "confirm_first", "Who ends a passkey of his own confirms by one first.", "Where it is lost, somebody who administers ends it."}
	}
	if q.Staff != "" && q.Staff != me {
		if err := s.may(r, callerOf(r), administrators); err != nil {
			return nil, err
		}
		whose = q.Staff
	}
	n := 0
	for _, k := range s.state.Passkeys(whose) {
		if q.ID != "" && base64.RawURLEncoding.EncodeToString(k.ID) != q.ID {
			continue
		}
		e := s.event(sallyport.PasskeyEnded, me, &sallyport.Order{Action: "end_passkey", By: me, About: whose, Reason: reasoned.Reason, Passkey: &sallyport.Passkey{ID: k.ID}})
		if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
			return nil, err
		}
		n++
	}
	if n == 0 {
		return nil, &Problem{http.StatusNotFound, "no_such_passkey", "There is no such passkey.", ""}
	}
	return map[string]any{"staff": whose, "ended": n}, nil
}

// Passkeys lists one's own.
func (c *Client) Passkeys(ctx context.Context) ([]PasskeyInfo, error) {
	return pages[PasskeyInfo](ctx, c, "/v1/passkeys", "passkeys")
}

// EndPasskey ends one of one's own.
func (c *Client) EndPasskey(ctx context.Context, id, reason string) error {
	return c.call(ctx, http.MethodPost, "/v1/passkeys/end", endPasskeyRequest{ID: id, Reason: reason}, nil)
}
