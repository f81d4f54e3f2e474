package api

import (
	"context"
	"net/http"
	"net/url"

	"sallyport"
	"sallyport/control"
)

func (s *Server) gatewayRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/gateways/{name}/forget", s.as(administrators, s.forgetGateway))
}

// forgetGateway proposes that what a gateway was lent, whose disk is lost, be taken for spent.
func (s *Server) forgetGateway(r *http.Request, me sallyport.Staff) (any, error) {
	q, err := s.order(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	return s.propose(me, sallyport.Order{Action: control.ForgetGateway, Reason: q.Reason, Details: name}, func() error {
		if s.c.Forgets == nil {
			return &Problem{http.StatusConflict, "no_gateways", "This serve is alone: there are no gateways.", "serve --role controller counts for gateways: docs/gateways.md."}
		}
		if err := s.c.Forgets(name); err != nil {
			return &Problem{http.StatusConflict, "gateway_stays", sentence(err), ""}
		}
		return nil
	})
}

// ForgetGateway proposes that a gateway be forgotten, and returns the proposal's id.
func (c *Client) ForgetGateway(ctx context.Context, name, reason string) (string, error) {
	return c.propose(ctx, "/v1/gateways/"+url.PathEscape(name)+"/forget", request{Reason: reason})
}
