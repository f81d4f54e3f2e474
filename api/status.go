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
	Code    string          `json:"code,omitempty"`    // half of an invitation's, for who has just approved it

	Subjects []sallyport.Staff `json:"subjects,omitempty"` // whom it is about besides About
	Diff     string            `json:"diff,omitempty"`     // what files change; where one proposal is asked for
}

func proposalOf(p control.Proposal) Proposal {
	return Proposal{
		ID: p.ID, Action: p.Action, By: p.By, About: p.About, Reason: p.Reason, Details: p.Details, At: p.At, Status: string(p.Status),
		Decider: p.Decider, Done: p.Done, Result: p.Result, Subjects: p.Subjects,
	}
}

func (s *Server) proposals(r *http.Request, me sallyport.Staff) (any, error) {
	list := []Proposal{}
	for _, p := range s.state.Proposals() {
		if s.barredFrom(me, &p) {
			continue
		}
		list = append(list, s.proposalTo(me, p))
	}
	return paged(r, "proposals", list, func(p *Proposal) string { return p.ID })
}

// Status is what a running serve says about itself.
type Status struct {
	You    sallyport.Staff   `json:"you"`
	Locked []sallyport.Staff `json:"locked"`
	Record Position          `json:"record"`
	More   []Standby         `json:"more,omitempty"`
	// Rotations are of the join groups with two keys.
	Rotations []Rotation `json:"rotations,omitempty"`
	// Observing: everybody reads plain values and nobody is barred. Locks are recorded, and bite once serve guards.
	Observing bool `json:"observing,omitempty"`
	// ToDecide are requests and proposals that whoever asks may decide about.
	ToDecide int `json:"to_decide,omitempty"`
}

// Rotation is how far the exchange of a join group's key is.
type Rotation struct {
	Group string `json:"group"`
	From  int    `json:"from"` // epochs
	To    int    `json:"to"`
	State string `json:"state"` // starting, renewing, done: no older token is left
	// Whole: equal values have equal tokens at every moment, so that columns may be compared with each other.
	Whole bool `json:"whole"`

	Rows      int64   `json:"rows"`                 // that this serve gave new tokens
	Stuck     int64   `json:"stuck,omitempty"`      // that the database will not have changed
	Table     string  `json:"table,omitempty"`      // where it is
	Seen      float64 `json:"seen"`                 // part of the tables that the present pass has looked through, 0 to 1
	PerSecond float64 `json:"per_second,omitempty"` // rows, in this pass
	Left      int64   `json:"left,omitempty"`       // rows still to come, if they are spread evenly
	Remaining string  `json:"remaining,omitempty"`  // time until then, as 1h2m3s
	Why       string  `json:"why,omitempty"`        // what is in the way

	// Hidden are columns whose tokens do not show of which key they are: only what a reason covers is shown of them meanwhile, and nothing is written into them.
	Hidden []string `json:"hidden,omitempty"`
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
	if s.c.Rotations != nil {
		status.Rotations = s.c.Rotations()
	}
	if s.c.Status != nil {
		status.More = s.statusTo(me, s.c.Status(r.Context()))
	}
	status.ToDecide = s.toDecide(r, me)
	return status, nil
}

// toDecide counts what waits for somebody's word.
func (s *Server) toDecide(r *http.Request, me sallyport.Staff) (n int) {
	s.state.Advance(s.c.Now())
	if s.c.Desk != nil {
		for _, g := range s.state.Grants() {
			if g.Status == control.GrantAsked && s.mayGrant(&g, me) {
				n++
			}
		}
	}
	if !s.allows(r, callerOf(r), approvers) {
		return n
	}
	for _, p := range s.state.Proposals() {
		if p.Status == control.Open && !s.barredFrom(me, &p) && s.state.CheckApproval(p.ID, me) == nil {
			n++
		}
	}
	return n
}
