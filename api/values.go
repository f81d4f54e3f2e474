package api

import (
	"context"
	"crypto/sha256"
	"net/http"
	"time"

	"sallyport"
)

// Values lets programs that speak no SQL pass the gateway's doors. Both functions return once the entry that names what they answer is durable; a
// Problem beside answers says why there are no more of them.
type Values struct {
	Reveal   func(ctx context.Context, who *ValueCaller, items []ValueItem) ([]ValueAnswer, *Problem)
	Tokenise func(ctx context.Context, who *ValueCaller, items []ValueItem) ([]ValueAnswer, *Problem)
}

// ValueCaller is who asks, and why.
type ValueCaller struct {
	Staff       sallyport.Staff
	Strength    string // of his log-in
	Until       time.Time
	Proven      time.Time
	Factors     bool
	Credential  [sha256.Size]byte // digest of what he logged in with; zero: a password or a page
	Address     string
	Application string
	Actor       string
	Purpose     string
}

// ValueItem is a token that is to be revealed, or a value that is to be tokenised.
type ValueItem struct {
	Column string `json:"column"` // schema.table.column
	Token  string `json:"token,omitempty"`
	Value  string `json:"value,omitempty"`
	Store  bool   `json:"store,omitempty"` // of a value: it is to be written, and not only searched for
}

// ValueAnswer is what became of an item: a value or a token, or why there is none.
type ValueAnswer struct {
	Value   string   `json:"value,omitempty"`
	Token   string   `json:"token,omitempty"`
	Older   []string `json:"older,omitempty"` // tokens of an older key, under which the value may still stand
	Problem *Problem `json:"problem,omitempty"`
}

// ValuesRequest asks for one item or for several.
type ValuesRequest struct {
	Purpose string      `json:"purpose"`         // as SET sallyport.purpose takes it: ticket:4711
	Actor   string      `json:"actor,omitempty"` // the assertion that says for whom a service acts
	Items   []ValueItem `json:"items,omitempty"`
	ValueItem
}

// ValuesAnswer answers several, in their order. Where it was cut, the last ones are missing and Stopped says why.
type ValuesAnswer struct {
	ValueAnswer               // of a call with one
	Items       []ValueAnswer `json:"items,omitempty"`
	Stopped     *Problem      `json:"stopped,omitempty"`
}

// mostValues bounds the body of a call for values.
const mostValues = 1 << 20

func (s *Server) valueRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/reveal", s.upTo(mostValues, everybody, s.reveal))
	mux.Handle("POST /v1/tokenise", s.upTo(mostValues, everybody, s.tokenise))
}

func (s *Server) reveal(r *http.Request, me sallyport.Staff) (any, error) {
	return s.values(r, me, func(v *Values) func(context.Context, *ValueCaller, []ValueItem) ([]ValueAnswer, *Problem) {
		return v.Reveal
	})
}

func (s *Server) tokenise(r *http.Request, me sallyport.Staff) (any, error) {
	return s.values(r, me, func(v *Values) func(context.Context, *ValueCaller, []ValueItem) ([]ValueAnswer, *Problem) {
		return v.Tokenise
	})
}

// values hands a call to the gateway, which decides and records.
func (s *Server) values(r *http.Request, me sallyport.Staff, which func(*Values) func(context.Context, *ValueCaller, []ValueItem) ([]ValueAnswer, *Problem)) (any, error) {
	if s.c.Values == nil {
		return nil, &Problem{http.StatusConflict, "no_values", "This serve protects nothing, or only observes, so that there is nothing to reveal or to tokenise.", "Protect columns first: docs/moving-in.md."}
	}
	var q ValuesRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	items := q.Items
	single := q.ValueItem != ValueItem{}
	if single == (len(items) > 0) {
		return nil, &Problem{http.StatusBadRequest, "bad_request", "A call has either one column with its token or value, or items.", "See docs/values.md."}
	}
	if single {
		items = []ValueItem{q.ValueItem}
	}
	c := callerOf(r)
	who := &ValueCaller{
		Staff: me, Strength: c.strength, Until: c.until, Proven: c.proven, Factors: c.factors, Credential: c.credential,
		Address: r.RemoteAddr, Application: "api", Actor: q.Actor, Purpose: q.Purpose,
	}
	if source(r) == "" {
		who.Address = "[local]"
	}
	answers, stopped := which(s.c.Values)(r.Context(), who, items)
	switch {
	case stopped != nil && (single || len(answers) == 0):
		return nil, stopped
	case single && len(answers) == 1 && answers[0].Problem != nil:
		return nil, answers[0].Problem
	case single && len(answers) == 1:
		return answers[0], nil
	}
	return ValuesAnswer{Items: answers, Stopped: stopped}, nil
}

// Reveal asks what tokens stand for.
func (c *Client) Reveal(ctx context.Context, q ValuesRequest) (a ValuesAnswer, err error) {
	return c.values(ctx, "/v1/reveal", q)
}

// Tokenise asks for the tokens of values.
func (c *Client) Tokenise(ctx context.Context, q ValuesRequest) (a ValuesAnswer, err error) {
	return c.values(ctx, "/v1/tokenise", q)
}

func (c *Client) values(ctx context.Context, path string, q ValuesRequest) (a ValuesAnswer, err error) {
	if q.Items == nil {
		q.Items, q.ValueItem = []ValueItem{q.ValueItem}, ValueItem{}
	}
	err = c.call(ctx, http.MethodPost, path, q, &a)
	return a, err
}
