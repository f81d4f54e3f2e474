package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
)

// TokenPrefix is how the text of a token of the api begins: then come its id, and the two halves of its code.
const TokenPrefix = "sallyport_api_"

// TokenRequest proposes a token in somebody's name.
type TokenRequest struct {
	Staff  sallyport.Staff `json:"staff"`
	Scopes []string        `json:"scopes"`
	Days   int             `json:"days,omitempty"` // that it holds; 0: 90, 366 at most
	Reason string          `json:"reason"`
}

// TokenProposed is the first half of a token. Who approves the proposal gets the other; the two make the token: TokenPrefix, id, _, first half, _, second half.
type TokenProposed struct {
	Proposal string `json:"proposal"`
	Code     string `json:"code"`
}

// TokenInfo is a token that holds, without what it is.
type TokenInfo struct {
	ID       string          `json:"id"`
	Staff    sallyport.Staff `json:"staff"`
	Scopes   []string        `json:"scopes"`
	Until    time.Time       `json:"until"`
	Proposed sallyport.Staff `json:"proposed"`
	Approved sallyport.Staff `json:"approved"`
}

func (s *Server) tokenRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/api-tokens", s.as(everybody, s.listTokens))
	mux.Handle("POST /v1/api-tokens", s.as(administrators, s.proposeToken))
	mux.Handle("POST /v1/api-tokens/{id}/end", s.as(everybody, s.endToken))
}

// proposeToken gives power to a program, so it takes two people, neither of them whose name it bears.
func (s *Server) proposeToken(r *http.Request, me sallyport.Staff) (any, error) {
	var q TokenRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	about, err := s.about(request{Staff: q.Staff, Reason: q.Reason})
	if err != nil {
		return nil, err
	}
	days := cmp.Or(q.Days, 90)
	if days < 1 || days > int(control.TokenLifetime/(24*time.Hour)) {
		return nil, &Problem{http.StatusBadRequest, "bad_token", "A token holds from 1 to 366 days.", ""}
	}
	slices.Sort(q.Scopes)
	code := halfACode()
	order := sallyport.Order{
		Action: control.APIToken, About: q.Staff, Reason: about.Reason, Details: strings.Join(q.Scopes, " "), Code: digestOf(code),
		APIToken: &sallyport.APIToken{Scopes: slices.Compact(q.Scopes), Until: s.c.Now().Add(time.Duration(days) * 24 * time.Hour).UTC()},
	}
	answer, err := s.propose(me, order, func() error { return nil })
	if err != nil {
		return nil, err
	}
	return TokenProposed{Proposal: answer.(map[string]string)["proposal"], Code: code}, nil
}

// listTokens shows everybody his own, and who administers all of them.
func (s *Server) listTokens(r *http.Request, me sallyport.Staff) (any, error) {
	all := s.allows(r, callerOf(r), administrators)
	list := []TokenInfo{}
	for _, t := range s.state.Tokens(s.c.Now()) {
		if all || t.Staff == me {
			list = append(list, TokenInfo{ID: t.ID, Staff: t.Staff, Scopes: t.Scopes, Until: t.Until, Proposed: t.By[0], Approved: t.By[1]})
		}
	}
	return paged(r, "tokens", list, func(t *TokenInfo) string { return t.ID })
}

// endToken takes one away. That takes power, so one person is enough: whose it is, or who administers.
func (s *Server) endToken(r *http.Request, me sallyport.Staff) (any, error) {
	q, err := s.order(r)
	if err != nil {
		return nil, err
	}
	id, all := r.PathValue("id"), s.allows(r, callerOf(r), administrators)
	order := &sallyport.Order{ID: id, Action: "end_api_token", By: me, Reason: q.Reason}
	err = s.c.Orders.Give(func() error {
		for _, t := range s.state.Tokens(s.c.Now()) {
			if t.ID == id && (all || t.Staff == me) {
				order.About = t.Staff
				return s.stillFree(me)()
			}
		}
		return &Problem{http.StatusNotFound, "no_such_token", "There is no token of this id that is yours to end.", "sallyport api-token ls"}
	}, s.event(sallyport.APITokenEnded, me, order))
	if err != nil {
		return nil, err
	}
	return map[string]any{"token": id, "ended": true}, nil
}

// byToken finds out who calls by a token of the api.
func (s *Server) byToken(text string) (*caller, bool) {
	id, code, _ := strings.Cut(strings.TrimPrefix(text, TokenPrefix), "_")
	first, second, _ := strings.Cut(code, "_")
	t, ok := s.state.Token(id, [sha256.Size]byte(digestOf(first)), [sha256.Size]byte(digestOf(second)), s.c.Now())
	if !ok {
		return nil, false
	}
	return &caller{staff: t.Staff, strength: "password", token: t.ID, scopes: t.Scopes, until: t.Until}, true
}

// withinScope refuses what a token is not for. Policies are asked besides.
func (c *caller) withinScope(r *http.Request, who audience) error {
	if c.token == "" {
		return nil
	}
	scope := scopeOf(strings.TrimPrefix(r.URL.Path, "/api"), who)
	if scope == "" || !slices.ContainsFunc(strings.Fields(scope), func(one string) bool { return slices.Contains(c.scopes, one) }) {
		hint := "It would take the scope " + strings.Join(strings.Fields(scope), " or ") + ": sallyport api-token ask."
		if scope == "" {
			hint = "A person does this, logged in as himself."
		}
		return &Problem{http.StatusForbidden, "out_of_scope", "This token is not for that.", hint}
	}
	return nil
}

// scopeOf are the scopes any of which lets a token call an endpoint; empty: none does.
func scopeOf(path string, who audience) string {
	part, rest, _ := strings.Cut(strings.TrimPrefix(path, "/v1/"), "/")
	switch part {
	case "reveal", "tokenise", "calls":
		return part
	case "reports":
		return control.ScopeReports + " " + control.ScopeInvestigate
	case "confirm", "unseal", "break-glass", "api-tokens", "password", "login", "passkeys":
		return ""
	case "proposals", "grants":
		if strings.HasSuffix(rest, "/approve") {
			return ""
		}
	}
	if who == everybody {
		return control.ScopeWork
	}
	return strings.TrimSpace(strings.ReplaceAll(string(who), string(approvers), ""))
}

// ProposeToken proposes a token and returns the half of its code that is the proposer's.
func (c *Client) ProposeToken(ctx context.Context, q TokenRequest) (p TokenProposed, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/api-tokens", q, &p)
	return p, err
}

// Tokens lists those that hold.
func (c *Client) Tokens(ctx context.Context) ([]TokenInfo, error) {
	return pages[TokenInfo](ctx, c, "/v1/api-tokens", "tokens")
}

// EndToken takes one away.
func (c *Client) EndToken(ctx context.Context, id, reason string) error {
	return c.call(ctx, http.MethodPost, "/v1/api-tokens/"+url.PathEscape(id)+"/end", request{Reason: reason}, nil)
}
