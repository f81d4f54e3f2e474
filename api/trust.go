package api

import (
	"context"
	"net/http"
	"strconv"

	"sallyport"
	"sallyport/control"
)

// confirm notes that whoever calls has just proven who he is: by the log-in of this very call.
func (s *Server) confirm(r *http.Request, me sallyport.Staff) (any, error) {
	if sessionOf(r) != nil {
		return nil, &Problem{http.StatusForbidden, "fresh_login", "An open page is no proof of who sits before it.", "Confirm on the page for that, with the password."}
	}
	if s.c.LogIns != nil { // a password, or a credential that lies on the same machine, is no proof that it is he who sits there
		return nil, &Problem{http.StatusForbidden, "fresh_login", "Here people confirm by a fresh log-in at the identity provider.", "Run 'sallyport confirm' without --as."}
	}
	return s.confirmed(me, "")
}

// confirmed puts a confirmation on record; how is empty for a password.
func (s *Server) confirmed(me sallyport.Staff, how string) (any, error) {
	e := s.event(sallyport.Confirmed, me, &sallyport.Order{Action: "confirm", By: me, About: me, Details: how})
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	return map[string]any{"staff": me, "confirmed": e.Time}, nil
}

// trustRequest is how far somebody is to be trusted.
type trustRequest struct {
	Staff  sallyport.Staff `json:"staff"`
	Trust  int             `json:"trust"`
	Reason string          `json:"reason"`
}

// trust lowers somebody's trust at once; more of it is proposed.
func (s *Server) trust(r *http.Request, me sallyport.Staff) (any, error) {
	var q trustRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	about, err := s.about(request{Staff: q.Staff, Reason: q.Reason})
	if err != nil {
		return nil, err
	}
	if q.Trust < 0 || q.Trust > control.FullTrust {
		return nil, &Problem{http.StatusBadRequest, "bad_trust", "Trust goes from 0 to 100.", ""}
	}
	if q.Staff == me {
		return nil, &Problem{http.StatusForbidden, "yourself", "Nobody says how far he is trusted himself.", "Ask another lead or security."}
	}
	details := strconv.Itoa(q.Trust)
	if q.Trust > s.state.Door(q.Staff).Trust {
		return s.propose(me, sallyport.Order{Action: control.Trust, About: q.Staff, Reason: about.Reason, Details: details}, func() error { return nil })
	}
	e := s.event(sallyport.Trusted, me, &sallyport.Order{Action: "trust", By: me, About: q.Staff, Reason: about.Reason, Details: details})
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	return map[string]any{"staff": q.Staff, "trust": q.Trust}, nil
}

// Confirm proves anew who one is.
func (c *Client) Confirm(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/confirm", struct{}{}, nil)
}

// Trust lowers how far somebody is trusted; to raise it returns the proposal's id.
func (c *Client) Trust(ctx context.Context, staff sallyport.Staff, trust int, reason string) (proposal string, err error) {
	var answer struct {
		Proposal string `json:"proposal"`
	}
	err = c.call(ctx, http.MethodPost, "/v1/trust", trustRequest{Staff: staff, Trust: trust, Reason: reason}, &answer)
	return answer.Proposal, err
}
