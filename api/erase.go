package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"sallyport"
	"sallyport/control"
)

// eraseRequest is the body of a proposal to erase entries of the record.
type eraseRequest struct {
	Stream string   `json:"stream"` // access or control
	Runs   []uint64 `json:"runs"`   // first and last of each run of sequences, in ascending order
	Reason string   `json:"reason"`

	Customer sallyport.Subject `json:"customer,omitempty"` // in place of stream and runs: all that speaks of him
}

// MostRuns bounds one proposal.
const MostRuns = 2000

// Owed is what an erasure by customer does not reach, in entries.
type Owed struct {
	Young         int       `json:"young,omitempty"` // too young
	Until         time.Time `json:"until,omitzero"`  // when the last of them is not any more
	Shared        int       `json:"shared,omitempty"`
	SharedEntries []string  `json:"shared_entries,omitempty"` // the first of those that speak of others, too, and that a gateway wrote
	Held          int       `json:"held,omitempty"`           // evidence, or on legal hold
	Needed        int       `json:"needed,omitempty"`         // from which it follows who may see what
	Later         int       `json:"later,omitempty"`          // that did not fit into one proposal
	Sent          []string  `json:"sent,omitempty"`           // outputs whose receivers have what was sent
}

// CustomerErasure is what was proposed for a customer: a proposal for each stream that says something of him.
type CustomerErasure struct {
	Proposals []string `json:"proposals"`
	Entries   uint64   `json:"entries"`
	Owed      Owed     `json:"owed"`
}

func (s *Server) erasureRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/record/erase", s.as(administrators, s.erase))
}

// erase proposes to erase entries. What is approved is those very entries, by a digest of what they are now.
func (s *Server) erase(r *http.Request, me sallyport.Staff) (any, error) {
	var q eraseRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reason := request{Reason: q.Reason}
	if err := reason.reasoned(); err != nil {
		return nil, err
	}
	if q.Customer != "" {
		return s.eraseCustomer(r, me, q.Customer, reason.Reason)
	}
	if s.c.Erase == nil || len(q.Runs) == 0 || len(q.Runs)%2 != 0 || len(q.Runs) > 2*MostRuns {
		return nil, &Problem{http.StatusBadRequest, "no_entries", "It must say which entries of which stream, in at most 2,000 runs.", "Give access:SEQ or access:SEQ-SEQ."}
	}
	list, err := s.c.Erase(q.Stream, q.Runs)
	if err != nil {
		return nil, &Problem{http.StatusConflict, "not_erased", sentence(err), "docs/record.md says what can be erased."}
	}
	return s.propose(me, sallyport.Order{Action: control.Erase, Reason: reason.Reason, Details: q.Stream, Erased: list}, func() error { return nil })
}

// Erase proposes to erase entries of a stream, and returns the proposal's id.
func (c *Client) Erase(ctx context.Context, stream string, runs []uint64, reason string) (string, error) {
	var answer struct {
		Proposal string `json:"proposal"`
	}
	err := c.call(ctx, http.MethodPost, "/v1/record/erase", eraseRequest{Stream: stream, Runs: runs, Reason: reason}, &answer)
	return answer.Proposal, err
}

// eraseCustomer proposes to erase what the record says of one customer, and says what is owed. What the same entries say of others is said again first.
func (s *Server) eraseCustomer(r *http.Request, me sallyport.Staff, customer sallyport.Subject, reason string) (any, error) {
	if s.c.EraseCustomer == nil || len(customer) > 200 {
		return nil, &Problem{http.StatusBadRequest, "no_customer", "No customer is named.", "Give the customer's id."}
	}
	lists, owed, err := s.c.EraseCustomer(r.Context(), customer)
	if err != nil {
		return nil, err
	}
	answer := CustomerErasure{Proposals: []string{}, Owed: owed}
	for _, stream := range slices.Sorted(maps.Keys(lists)) {
		order := sallyport.Order{Action: control.Erase, Reason: reason, Details: stream, Erased: lists[stream], Customer: customer, Position: s.c.Access.Last()}
		given, err := s.propose(me, order, func() error { return nil })
		if err != nil {
			return nil, err
		}
		id, _ := given.(map[string]string)
		answer.Proposals = append(answer.Proposals, id["proposal"])
		answer.Entries += lists[stream].Count
	}
	return answer, nil
}

// EraseCustomer proposes to erase what the record says of one customer.
func (c *Client) EraseCustomer(ctx context.Context, customer sallyport.Subject, reason string) (answer CustomerErasure, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/record/erase", eraseRequest{Customer: customer, Reason: reason}, &answer)
	return answer, err
}
