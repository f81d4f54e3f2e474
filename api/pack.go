package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"sallyport"
	"sallyport/cases"
)

// WholeEntries is what a proposal of an evidence pack says where entries are to be shown whole.
const WholeEntries = "whole"

// packAnswer is an archive.
type packAnswer struct {
	Pack []byte `json:"pack"`
}

// pack gives an evidence pack to one of the two who agreed on it.
func (s *Server) pack(r *http.Request, me sallyport.Staff) (any, error) {
	c, err := s.caseFor(me, r.PathValue("n"))
	if err != nil {
		return nil, err
	}
	p, err := s.agreed(r.PathValue("id"), cases.ProposalOf, me)
	if err != nil {
		return nil, err
	}
	if p.Case == nil || p.Case.Do != cases.DoExport || p.Case.Case != c.Number || s.c.Cases.Pack == nil {
		return nil, &Problem{http.StatusNotFound, "no_such_proposal", "You agreed on no evidence pack of this case by this proposal.", "sallyport case export " + r.PathValue("n") + " --reason …"}
	}
	if err := s.stillFree(me)(); err != nil {
		return nil, err
	}
	b, err := s.c.Cases.Pack(r.Context(), &c, p, me)
	if err != nil {
		return nil, err
	}
	return packAnswer{b}, nil
}

// packs are the evidence packs of a case that were proposed, the newest first.
func (s *Server) packs(me sallyport.Staff, n uint64) (list []CasePack) {
	for _, p := range slices.Backward(s.state.Proposals()) {
		if p.Case == nil || p.Case.Do != cases.DoExport || p.Case.Case != n {
			continue
		}
		_, err := s.agreed(p.ID, cases.ProposalOf, me)
		list = append(list, CasePack{p.ID, byWhom(p.By), p.At, string(p.Status), p.Case.State == WholeEntries, err == nil})
	}
	return list
}

// Pack fetches an evidence pack.
func (c *Client) Pack(ctx context.Context, n, proposal string) ([]byte, error) {
	var answer packAnswer
	err := c.call(ctx, http.MethodGet, "/v1/cases/"+url.PathEscape(n)+"/pack/"+url.PathEscape(proposal), nil, &answer)
	return answer.Pack, err
}
