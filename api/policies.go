package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"sallyport"
)

// Rulebook answers what the policies say. Every function is required.
type Rulebook struct {
	Policies func() (Policies, error)
	// Replay runs the record of the last days under the budgets of now times percent/100. People stand in it by pseudonym. Its error is a sentence.
	Replay func(ctx context.Context, days, percent int) (json.RawMessage, error)
}

// Policies are those that hold, with the written policy beside them and what their tests came to.
type Policies struct {
	Policies  []PolicyText `json:"policies"`
	Documents []WrittenDoc `json:"documents"`
	Cases     []PolicyCase `json:"cases"` // those that did not come out as they should, and how many did
	Passed    int          `json:"passed"`
	Problem   string       `json:"problem,omitempty"` // why tests were not asked
}

// PolicyText is one policy.
type PolicyText struct {
	ID        string `json:"id"`
	Effect    string `json:"effect"` // permit, forbid
	Because   string `json:"because"`
	Document  string `json:"document,omitempty"`  // file.md#2.7
	Paragraph string `json:"paragraph,omitempty"` // its text; empty: it stands in none of the documents
	Place     string `json:"place"`
	Text      string `json:"text"` // Cedar
}

// WrittenDoc is a written policy, and where it and the policies part.
type WrittenDoc struct {
	Name       string      `json:"name"`
	Version    string      `json:"version"` // SHA-256
	Paragraphs int         `json:"paragraphs"`
	Readers    int         `json:"readers"` // who must have acknowledged it
	Have       int         `json:"have"`    // and has
	Parts      []DataDrift `json:"parts"`
}

// PolicyCase is a test of the policies that failed.
type PolicyCase struct {
	Case  string `json:"case"`
	Place string `json:"place"`
	Want  string `json:"want"`
	Got   string `json:"got"`
}

type replayRequest struct {
	Days    int `json:"days"`
	Percent int `json:"percent"` // of today's budgets
}

// The bounds of a replay that a page asks for.
const (
	mostReplayDays    = 90
	mostReplayPercent = 400
	replayFor         = 2 * time.Minute
)

func (s *Server) policyRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/policies", s.as(overseers, s.policies))
	mux.Handle("POST /v1/replay", s.as(investigators, s.replay))
}

func (s *Server) noRules() error {
	if s.c.Rulebook == nil {
		return &Problem{http.StatusNotFound, "no_policies", "This serve has no policies to show.", "See docs/policies.md."}
	}
	return nil
}

// policies answers what holds. It tells of nobody's work, so it is not recorded that somebody asks.
func (s *Server) policies(*http.Request, sallyport.Staff) (any, error) {
	if err := s.noRules(); err != nil {
		return nil, err
	}
	return s.c.Rulebook.Policies()
}

// replay answers what other budgets would have meant. That somebody asks is recorded first, and one question is answered at a time.
func (s *Server) replay(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noRules(); err != nil {
		return nil, err
	}
	var q replayRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if q.Days < 1 || q.Days > mostReplayDays || q.Percent < 1 || q.Percent > mostReplayPercent {
		return nil, &Problem{http.StatusBadRequest, "bad_request", "That cannot be replayed.", "Between 1 and 90 days, and budgets from 1 to 400 percent of today's. For more: sallyport replay."}
	}
	if err := s.asked(me, "replay", "", "replayed the record under other budgets"); err != nil {
		return nil, err
	}
	if !s.replaying.TryLock() {
		return nil, &Problem{http.StatusTooManyRequests, "busy", "Another replay is under way.", "Try again in a moment."}
	}
	defer s.replaying.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), replayFor)
	defer cancel()
	answer, err := s.c.Rulebook.Replay(ctx, q.Days, q.Percent)
	if ctx.Err() != nil {
		return nil, &Problem{http.StatusServiceUnavailable, "too_long", "So long a record takes longer than a page waits.", "Ask for fewer days, or run 'sallyport replay' on a copy of the folder."}
	}
	return answer, err
}

// Policies asks what the policies say.
func (c *Client) Policies(ctx context.Context) (p Policies, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/policies", nil, &p)
	return p, err
}

// Replay asks what budgets of so many percent would have meant in the last days. The report is that of 'sallyport replay --json'.
func (c *Client) Replay(ctx context.Context, days, percent int) (report json.RawMessage, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/replay", replayRequest{days, percent}, &report)
	return report, err
}
