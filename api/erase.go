package api

import (
	"context"
	"net/http"

	"sallyport"
	"sallyport/control"
)

// eraseRequest is the body of a proposal to erase entries of the record.
type eraseRequest struct {
	Stream string   `json:"stream"` // access or control
	Runs   []uint64 `json:"runs"`   // first and last of each run of sequences, in ascending order
	Reason string   `json:"reason"`
}

// mostRuns bounds one proposal.
const mostRuns = 2000

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
	if s.c.Erase == nil || len(q.Runs) == 0 || len(q.Runs)%2 != 0 || len(q.Runs) > 2*mostRuns {
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
	err := c.call(ctx, http.MethodPost, "/v1/record/erase", eraseRequest{stream, runs, reason}, &answer)
	return answer.Proposal, err
}
