package api

import (
	"context"
	"net/http"
	"strings"

	"sallyport"
)

// findRequest asks whose a value is.
type findRequest struct {
	Value   string `json:"value"`             // an e-mail address
	Purpose string `json:"purpose,omitempty"` // as SET sallyport.purpose takes it; a value outside of it counts as a probe
}

// Found is whose a value is; more than one are where a value stands in several rows.
type Found struct {
	Customers []sallyport.Subject `json:"customers"`
}

func (s *Server) findRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/customers/find", s.as(investigators, s.find))
}

// find looks for a customer by his e-mail address. The gateway tokenises it for who asks, as it does in a search by SQL: policies decide about the
// search, a value outside his reasons counts as a probe, and it stands on record. The address itself goes no further than there.
func (s *Server) find(r *http.Request, me sallyport.Staff) (any, error) {
	var q findRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if s.c.Find == nil || s.c.Values == nil || len(s.c.FindBy) == 0 {
		return nil, &Problem{http.StatusConflict, "no_search", "Customers are not found by a value here: no e-mail address of theirs is protected, or the gateways run elsewhere.", "Ask by the customer's id."}
	}
	if !strings.Contains(q.Value, "@") || len(q.Value) > 320 {
		return nil, &Problem{http.StatusBadRequest, "no_address", "This is no e-mail address.", "Ask by the customer's id otherwise."}
	}
	c := callerOf(r)
	who := &ValueCaller{
		Staff: me, Strength: c.strength, Until: c.until, Proven: c.proven, Factors: c.factors, Credential: c.credential, Address: r.RemoteAddr, Application: "api", Purpose: q.Purpose,
	}
	if source(r) == "" {
		who.Address = "[local]"
	}
	out := Found{Customers: []sallyport.Subject{}}
	for _, column := range s.c.FindBy {
		answers, stopped := s.c.Values.Tokenise(r.Context(), who, []ValueItem{{Column: column, Value: q.Value}})
		switch {
		case stopped != nil:
			return nil, stopped
		case len(answers) != 1:
			continue
		case answers[0].Problem != nil:
			return nil, answers[0].Problem
		}
		list, err := s.c.Find(r.Context(), column, append([]string{answers[0].Token}, answers[0].Older...))
		if err != nil {
			return nil, err
		}
		out.Customers = append(out.Customers, list...)
	}
	return out, nil
}

// FindCustomer asks whose an e-mail address is.
func (c *Client) FindCustomer(ctx context.Context, value, purpose string) ([]sallyport.Subject, error) {
	var out Found
	err := c.call(ctx, http.MethodPost, "/v1/customers/find", findRequest{value, purpose}, &out)
	return out.Customers, err
}
