package serve

import (
	"context"
	"net/http"
	"strings"

	"sallyport"
	"sallyport/api"
	"sallyport/gateway"
	"sallyport/policy"
	"sallyport/purpose"
)

// values are the gateway's doors for who speaks no SQL, its own or those of the gateways that it leads; nil: there are none.
func (s *Server) values() *api.Values {
	if !s.O.Config.Protects() || s.O.Observe != nil {
		return nil
	}
	if s.O.Role == Controller {
		return s.valuesThere()
	}
	return &api.Values{
		Reveal: func(ctx context.Context, who *api.ValueCaller, items []api.ValueItem) ([]api.ValueAnswer, *api.Problem) {
			return s.askGateway(ctx, who, items, false)
		},
		Tokenise: func(ctx context.Context, who *api.ValueCaller, items []api.ValueItem) ([]api.ValueAnswer, *api.Problem) {
			return s.askGateway(ctx, who, items, true)
		},
	}
}

// askGateway translates a call for the gateway, and its answer back. What it refuses stands on record by its own hand.
func (s *Server) askGateway(ctx context.Context, who *api.ValueCaller, items []api.ValueItem, tokenise bool) ([]api.ValueAnswer, *api.Problem) {
	s.mu.Lock()
	gw := s.gateway
	s.mu.Unlock()
	person, ok := s.personOf(who.Staff)
	switch {
	case gw == nil:
		return nil, &api.Problem{Status: http.StatusServiceUnavailable, Code: "not_ready", Sentence: "The database cannot be served yet.", Hint: "Try again in a moment."}
	case !ok:
		return nil, &api.Problem{Status: http.StatusForbidden, Code: "nobody", Sentence: "The directory has nobody of this id.", Hint: "Ask the administrator."}
	}
	asker := &gateway.Asker{
		Person: person, Login: loginOf(person), Address: who.Address, Application: who.Application, Strength: policy.Strength(who.Strength),
		Until: who.Until, Proven: who.Proven, Factors: who.Factors, Credential: who.Credential, Actor: who.Actor, Purpose: who.Purpose,
	}
	list := make([]gateway.Item, len(items))
	for i, x := range items {
		column, named := policy.ParseColumn(x.Column)
		text := x.Token
		if tokenise {
			text = x.Value
		}
		if !named || text == "" || tokenise == (x.Token != "") {
			return nil, &api.Problem{Status: http.StatusBadRequest, Code: "bad_request", Sentence: "An item names its column, schema.table.column, and a token to reveal or a value to tokenise.", Hint: "See docs/values.md."}
		}
		list[i] = gateway.Item{Column: column, Text: text, Store: x.Store}
	}
	ask := gw.Reveal
	if tokenise {
		ask = gw.Tokenise
	}
	found, refused := ask(ctx, asker, list)
	answers := make([]api.ValueAnswer, len(found))
	for i, a := range found {
		switch {
		case !a.Done:
			answers[i].Problem = valueProblem(a.Why)
		case tokenise:
			answers[i].Token, answers[i].Older = a.Text, a.Older
		default:
			answers[i].Value = a.Text
		}
	}
	if refused.Code == "" {
		return answers, nil
	}
	return answers, valueProblem(refused)
}

// personOf is somebody of the directory, or a service, as he stands right now.
func (s *Server) personOf(who sallyport.Staff) (purpose.Person, bool) {
	everybody := directoryOf(s.O.Config)
	everybody.live = s.staffing
	if p, ok := everybody.byID(who); ok {
		return p, true
	}
	service, ok := s.O.Config.Services[string(who)]
	if !ok {
		return purpose.Person{}, false
	}
	return purpose.Person{Staff: who, Logins: service.Logins, Team: service.Team, Service: true}, true
}

func loginOf(p purpose.Person) string {
	if len(p.Logins) > 0 {
		return p.Logins[0]
	}
	return string(p.Staff)
}

// valueProblem tells a refusal of the gateway's as the api tells errors.
func valueProblem(r gateway.Refused) *api.Problem {
	status, code := http.StatusForbidden, "not_shown"
	switch r.Code {
	case "SP010":
		code = "budget_reached"
	case "SP011":
		code = "locked"
	case "SP012":
		status, code = http.StatusServiceUnavailable, "not_recorded"
	case "08001", "SP017", "57P01", "57P03", "55006", "40001", "57014", "XX000":
		status, code = http.StatusServiceUnavailable, "try_again"
	case "SP005", "SP004":
		status, code = http.StatusUnprocessableEntity, "bad_value"
	case "SP013", "0A000":
		status, code = http.StatusBadRequest, "bad_request"
	case "SP016":
		code = "forbidden"
	}
	return &api.Problem{Status: status, Code: code, Sentence: capital(r.Sentence) + ".", Hint: r.Hint}
}

// capital is a sentence with a capital letter.
func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
