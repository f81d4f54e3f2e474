package api

import (
	"net/http"
	"slices"
	"time"

	"sallyport"
	"sallyport/control"
)

// Proposal is something that one person proposed and another decides.
type Proposal struct {
	ID      string          `json:"id"`
	Action  string          `json:"action"`
	By      sallyport.Staff `json:"by"`
	About   sallyport.Staff `json:"about"`
	Reason  string          `json:"reason"`
	Details string          `json:"details,omitempty"`
	At      time.Time       `json:"at"`
	Status  string          `json:"status"`

	Decider sallyport.Staff `json:"decider,omitempty"` // who approved or declined
	Done    bool            `json:"done,omitempty"`    // Sallyport carried it out, where there is something to carry out
	Result  string          `json:"result,omitempty"`  // then: what it did
}

func proposalOf(p control.Proposal) Proposal {
	return Proposal{
		ID: p.ID, Action: p.Action, By: p.By, About: p.About, Reason: p.Reason, Details: p.Details, At: p.At, Status: string(p.Status),
		Decider: p.Decider, Done: p.Done, Result: p.Result,
	}
}

func (s *Server) proposals(*http.Request, sallyport.Staff) (any, error) {
	list := []Proposal{}
	for _, p := range s.state.Proposals() {
		list = append(list, proposalOf(p))
	}
	return map[string]any{"proposals": list}, nil
}

// Status is what a running serve says about itself.
type Status struct {
	You    sallyport.Staff   `json:"you"`
	Locked []sallyport.Staff `json:"locked"`
	Record Position          `json:"record"`
	More   []Standby         `json:"more,omitempty"`
	// Observing: everybody reads plain values and nobody is barred. Locks are recorded, and bite once serve guards.
	Observing bool `json:"observing,omitempty"`
}

// Position is how far a stream reaches.
type Position struct {
	ID   string `json:"id"`
	Last uint64 `json:"last"`
}

func (s *Server) status(r *http.Request, me sallyport.Staff) (any, error) {
	status := Status{You: me, Locked: []sallyport.Staff{}, Record: Position{s.c.Access.ID(), s.c.Access.Last()}, Observing: s.c.Observing}
	for who := range s.c.People {
		if standing := s.state.Standing(who); standing.Locked || standing.Suspended {
			status.Locked = append(status.Locked, who)
		}
	}
	slices.Sort(status.Locked)
	if s.c.Status != nil {
		status.More = s.c.Status(r.Context())
	}
	return status, nil
}
