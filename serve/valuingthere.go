package serve

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"sallyport/api"
	"sallyport/lease"
)

// A controller has no doors of its own: it hands a call for values to one of its gateways, which decides and records as if the program had come to it, and
// hands back the answer. Budgets, locks and assertions are counted by the controller for all gateways anyway.

// askedThere is the call, as it goes to a gateway.
type askedThere struct {
	Who      api.ValueCaller `json:"who"`
	Items    []api.ValueItem `json:"items"`
	Tokenise bool            `json:"tokenise,omitempty"`
}

// answeredThere is what comes back.
type answeredThere struct {
	Answers []api.ValueAnswer `json:"answers"`
	Stopped *api.Problem      `json:"stopped,omitempty"`
}

// askingThere bounds a call: a gateway that is asked for longer is taken for gone.
const askingThere = 30 * time.Second

// valuesThere are the doors of the gateways.
func (s *Server) valuesThere() *api.Values {
	ask := func(tokenise bool) func(context.Context, *api.ValueCaller, []api.ValueItem) ([]api.ValueAnswer, *api.Problem) {
		return func(ctx context.Context, who *api.ValueCaller, items []api.ValueItem) ([]api.ValueAnswer, *api.Problem) {
			return s.askThere(ctx, &askedThere{*who, items, tokenise})
		}
	}
	return &api.Values{Reveal: ask(false), Tokenise: ask(true)}
}

func (s *Server) askThere(ctx context.Context, q *askedThere) ([]api.ValueAnswer, *api.Problem) {
	ctx, cancel := context.WithTimeout(ctx, askingThere)
	defer cancel()
	body, err := json.Marshal(q)
	if err == nil {
		body, err = s.Hub.Ask(ctx, body)
	}
	var a answeredThere
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	clear(body)
	switch {
	case errors.Is(err, lease.ErrNobody):
		return nil, &api.Problem{Status: http.StatusServiceUnavailable, Code: "not_ready", Sentence: "No gateway is here that could reveal or tokenise anything.", Hint: "Start one: 'sallyport status' says which are missing."}
	case err != nil: // it might quote what was asked
		return nil, &api.Problem{Status: http.StatusServiceUnavailable, Code: "try_again", Sentence: "The gateway that was asked did not answer; what it may have revealed stands on record.", Hint: "Ask again in a moment, for less at once where it was much."}
	}
	return a.Answers, a.Stopped
}

// answerValues is how a gateway answers its controller.
func (s *Server) answerValues(ctx context.Context, body []byte) []byte {
	var q askedThere
	var a answeredThere
	if err := json.Unmarshal(body, &q); err != nil {
		a.Stopped = &api.Problem{Status: http.StatusBadRequest, Code: "bad_request", Sentence: "The controller's question cannot be read.", Hint: "Both must be of the same release."}
	} else {
		a.Answers, a.Stopped = s.askGateway(ctx, &q.Who, q.Items, q.Tokenise)
	}
	answer, err := json.Marshal(a)
	if err != nil {
		return nil
	}
	return answer
}
