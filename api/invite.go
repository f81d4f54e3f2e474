package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"net/http"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
)

// passwordRoutes are those by which somebody gets a password of his own. It takes two people: one who could let in whom he likes
// would be two people from then on.
func (s *Server) passwordRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/password/invite", s.as(administrators, s.invite))
	mux.Handle("POST /v1/password", s.before(s.setPassword))
}

// Invited is half a code, and until when it is good.
type Invited struct {
	Staff    sallyport.Staff `json:"staff"`
	Proposal string          `json:"proposal"`
	Code     string          `json:"code"`
}

// invite proposes that somebody may set a password. The proposer gets half of the code, who approves it the other half.
func (s *Server) invite(r *http.Request, me sallyport.Staff) (any, error) {
	q, err := s.orderAbout(r)
	if err != nil {
		return nil, err
	}
	if _, person := s.c.People[q.Staff]; !person {
		return nil, &Problem{http.StatusNotFound, "no_such_staff", "Nobody among the people of the configuration has this id.", "Services and log-ins that nobody owns give no orders."}
	}
	code := halfACode()
	answer, err := s.propose(me, sallyport.Order{Action: control.Invite, About: q.Staff, Reason: q.Reason, Code: digestOf(code)}, func() error { return nil })
	if err != nil {
		return nil, err
	}
	return Invited{Staff: q.Staff, Proposal: answer.(map[string]string)["proposal"], Code: code}, nil
}

// halfACode is 80 bits, as people read them out to each other: four letters and digits at a time.
func halfACode() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	text := base32.StdEncoding.EncodeToString(b[:])
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// digestOf is that of half a code, however it was typed.
func digestOf(code string) []byte {
	sum := sha256.Sum256([]byte(strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code))))
	return sum[:]
}

// passwordRequest sets a password by the two halves of a code.
type passwordRequest struct {
	Staff    sallyport.Staff `json:"staff"`
	First    string          `json:"first"`  // of who proposed it
	Second   string          `json:"second"` // of who approved it
	Password string          `json:"password"`
}

// MinPassword is NIST SP 800-63B's least length of a password that is checked against nothing else (section 5.1.1.2).
const MinPassword = 8

// setPassword sets somebody's password, once, by an invitation.
func (s *Server) setPassword(r *http.Request) (any, error) {
	var q passwordRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if len(q.Password) < MinPassword {
		return nil, &Problem{http.StatusBadRequest, "short_password", "A password has at least 8 characters.", ""}
	}
	if wait := s.door.charge("invited\x00" + string(q.Staff)); wait > 0 {
		return nil, &Problem{http.StatusTooManyRequests, "too_many_failures", "Too many wrong codes for this name.", "Try again in a few minutes."}
	}
	first, second := [sha256.Size]byte(digestOf(q.First)), [sha256.Size]byte(digestOf(q.Second))
	good := func() error {
		if _, person := s.c.People[q.Staff]; !person || !s.state.Invited(q.Staff, first, second, s.c.Now()) {
			return &Problem{http.StatusForbidden, "no_invitation", "This code is not good: it is another's, was used, or is out of time.", "Ask for another: sallyport passwd --invite ID"}
		}
		return s.stillFree(q.Staff)()
	}
	if bad := good(); bad != nil {
		return nil, errors.Join(bad, s.failedLogIn(q.Staff))
	}
	s.door.work <- struct{}{}
	hash, err := HashPassword([]byte(q.Password), rand.Reader)
	<-s.door.work
	if err != nil {
		return nil, err
	}
	e := s.event(sallyport.PasswordSet, q.Staff, &sallyport.Order{Action: "set_password", By: q.Staff, About: q.Staff, Password: string(hash)})
	if err := s.c.Orders.Give(good, e); err != nil { // once more, at the moment at which it takes effect: a code is good once
		return nil, err
	}
	s.door.open("invited\x00" + string(q.Staff))
	return map[string]any{"staff": q.Staff, "set": s.c.Now().UTC().Format(time.RFC3339)}, nil
}

// Invite proposes that somebody may set a password, and returns half of the code.
func (c *Client) Invite(ctx context.Context, staff sallyport.Staff, reason string) (Invited, error) {
	var i Invited
	err := c.call(ctx, http.MethodPost, "/v1/password/invite", request{Staff: staff, Reason: reason}, &i)
	return i, err
}

// SetPassword sets one's password by the two halves of a code.
func (c *Client) SetPassword(ctx context.Context, staff sallyport.Staff, first, second, password string) error {
	return c.call(ctx, http.MethodPost, "/v1/password", passwordRequest{staff, first, second, password}, nil)
}
