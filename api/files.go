package api

import (
	"context"
	"net/http"

	"sallyport"
	"sallyport/control"
)

// FilesRequest are a configuration and policies that are to hold.
type FilesRequest struct {
	Config       string       `json:"config,omitempty"` // its text
	Policies     []PolicyFile `json:"policies"`
	PoliciesOnly bool         `json:"policies_only,omitempty"` // with the configuration that holds
	Reason       string       `json:"reason"`
}

// PolicyFile is one file of policies, by its name without a folder.
type PolicyFile struct {
	Name    string `json:"name"`
	Content string `json:"content"`
}

// FilesChange is what files change, when they are kept and can be approved.
type FilesChange struct {
	Hash, Base string
	Diff       string
	Subjects   []sallyport.Staff // who have no say
	Alone      bool              // one person may change them from then on
}

// FilesProposed is the answer to a proposal of files.
type FilesProposed struct {
	Proposal string            `json:"proposal"`
	Hash     string            `json:"hash"`
	Diff     string            `json:"diff"`
	Subjects []sallyport.Staff `json:"subjects,omitempty"`
}

// maxFiles bounds a configuration and its policies.
const maxFiles = 48 << 20

func (s *Server) filesRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/files/propose", s.upTo(maxFiles, administrators, s.proposeFiles))
	mux.Handle("GET /v1/proposals/{id}", s.as(overseers, s.showProposal))
}

func (s *Server) proposeFiles(r *http.Request, me sallyport.Staff) (any, error) {
	if s.c.Files == nil {
		return nil, &Problem{http.StatusConflict, "nothing_configured", "This serve has no files to change.", ""}
	}
	var q FilesRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	about := request{Reason: q.Reason}
	if err := about.reasoned(); err != nil {
		return nil, err
	}
	change, err := s.c.Files(q)
	if err != nil {
		return nil, err
	}
	if change.Hash == change.Base {
		return nil, &Problem{http.StatusConflict, "approved_already", "These very files hold already.", ""}
	}
	answer, err := s.propose(me, sallyport.Order{
		Action: control.Files, Reason: about.Reason, Details: change.Hash, Base: change.Base, Diff: change.Diff, Subjects: change.Subjects, Alone: change.Alone,
	}, func() error { return nil })
	if err != nil {
		return nil, err
	}
	id, _ := answer.(map[string]string)
	return FilesProposed{Proposal: id["proposal"], Hash: change.Hash, Diff: change.Diff, Subjects: change.Subjects}, nil
}

func (s *Server) showProposal(r *http.Request, me sallyport.Staff) (any, error) {
	p, ok := s.proposal(r.PathValue("id"))
	if !ok {
		return nil, &Problem{http.StatusNotFound, "no_such_proposal", "There is no proposal with this id.", "sallyport proposals lists those that are open."}
	}
	answer := s.proposalTo(me, p)
	answer.Diff = p.Diff
	return answer, nil
}

// ProposeFiles proposes a configuration and policies.
func (c *Client) ProposeFiles(ctx context.Context, q FilesRequest) (FilesProposed, error) {
	var answer FilesProposed
	err := c.call(ctx, http.MethodPost, "/v1/files/propose", q, &answer)
	return answer, err
}

// Proposal is one proposal, with what it changes.
func (c *Client) Proposal(ctx context.Context, id string) (Proposal, error) {
	var p Proposal
	err := c.call(ctx, http.MethodGet, "/v1/proposals/"+id, nil, &p)
	return p, err
}
