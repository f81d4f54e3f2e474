package api

import (
	"context"
	"net/http"

	"sallyport"
	"sallyport/control"
)

// Moving is what serve does for a protect that works beside it: protect changes rows, and serve alone writes the record and tells sessions.
// Every function is required.
type Moving struct {
	Refuses error                                                              // why nothing may begin to move here; nil: it may
	Record  func(ctx context.Context, me sallyport.Staff, states States) error // puts states on record, unless they may not follow on what holds
	Enter   func(ctx context.Context) (waiting []string, err error)            // makes what is on record hold; waiting are sessions that still work by what held before
	Serving func() Serving
	Undo    func() string // what an undoing would be about, as Order.Details
}

// States are how far the columns of the served database are: schema.table.column → the form of its tokens, and which of them move.
type States struct {
	Columns  map[string]string `json:"columns"`
	Moving   []string          `json:"moving"`
	Leaving  []string          `json:"leaving"`
	Entering []string          `json:"entering,omitempty"` // those of Moving in which plain values are written as yet
	Proposal string            `json:"proposal,omitempty"` // that two people agreed on, where protection begins to be undone
}

// Serving is what protect has to know of serve: what the mark in the database has to say, whose sessions it has, and what is on record.
type Serving struct {
	RecordID string   `json:"record_id"`
	Position uint64   `json:"position"`
	Backends []uint32 `json:"backends"` // the database's processes behind its sessions
	States   States   `json:"states"`

	Keys *sallyport.Ring `json:"keys,omitempty"` // that serve opened
}

// movingRoutes adds the endpoints for protect.
func (s *Server) movingRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/protect/states", s.as(administrators, s.recordStates))
	mux.Handle("POST /v1/protect/enter", s.as(administrators, s.enterStates))
	mux.Handle("GET /v1/protect", s.as(administrators, s.serving))
	mux.Handle("POST /v1/protect/undo", s.as(administrators, s.undo))
}

func (s *Server) moving() (*Moving, error) {
	if s.c.Moving == nil {
		return nil, &Problem{http.StatusConflict, "protects_nothing", "This serve protects nothing.", "Start it with the configuration whose columns are to be protected."}
	}
	if err := s.c.Moving.Refuses; err != nil {
		return nil, &Problem{http.StatusConflict, "several_gateways", sentence(err), "docs/gateways.md says what it takes."}
	}
	return s.c.Moving, nil
}

func (s *Server) recordStates(r *http.Request, me sallyport.Staff) (any, error) {
	m, err := s.moving()
	if err != nil {
		return nil, err
	}
	var states States
	if err := body(r, &states); err != nil {
		return nil, err
	}
	return map[string]bool{"recorded": true}, m.Record(r.Context(), me, states)
}

func (s *Server) enterStates(r *http.Request, _ sallyport.Staff) (any, error) {
	m, err := s.moving()
	if err != nil {
		return nil, err
	}
	waiting, err := m.Enter(r.Context())
	return map[string][]string{"waiting": waiting}, err
}

func (s *Server) serving(*http.Request, sallyport.Staff) (any, error) {
	m, err := s.moving()
	if err != nil {
		return nil, err
	}
	return m.Serving(), nil
}

// undo proposes to take the protection of the served database away.
func (s *Server) undo(r *http.Request, me sallyport.Staff) (any, error) {
	m, err := s.moving()
	if err != nil {
		return nil, err
	}
	q, err := s.order(r)
	if err != nil {
		return nil, err
	}
	return s.propose(me, sallyport.Order{Action: control.Undo, Reason: q.Reason, Details: m.Undo()}, func() error { return nil })
}

// Record asks serve to put states on record.
func (c *Client) Record(ctx context.Context, states States) error {
	return c.call(ctx, http.MethodPost, "/v1/protect/states", states, nil)
}

// Enter asks serve to let the states hold that are on record, and names the sessions that still work by those before.
func (c *Client) Enter(ctx context.Context) (waiting []string, err error) {
	var answer struct {
		Waiting []string `json:"waiting"`
	}
	err = c.call(ctx, http.MethodPost, "/v1/protect/enter", nil, &answer)
	return answer.Waiting, err
}

// Serving is what protect has to know of serve.
func (c *Client) Serving(ctx context.Context) (Serving, error) {
	var s Serving
	err := c.call(ctx, http.MethodGet, "/v1/protect", nil, &s)
	return s, err
}

// Undo proposes to take the protection of the served database away, and returns the proposal's id.
func (c *Client) Undo(ctx context.Context, reason string) (string, error) {
	return c.propose(ctx, "/v1/protect/undo", request{Reason: reason})
}
