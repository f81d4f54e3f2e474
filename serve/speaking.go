package serve

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport"
	"sallyport/config"
	"sallyport/gateway"
	"sallyport/identity/assertion"
	"sallyport/purpose"
)

// speaker finds out for whom a service acts.
type speaker struct {
	config   *config.Config
	verifier *assertion.Verifier
	person   func(id sallyport.Staff) (purpose.Person, bool)
}

// speaker is what the gateway asks; nil: nobody acts for anybody. Keys that cannot be read now are tried again when they are needed.
func (g *guard) speaker(ctx context.Context, d *directory) (func(context.Context, purpose.Person, string, time.Time) (gateway.Spoken, error), error) {
	v, err := g.s.O.Config.Verifier()
	if v == nil || err != nil {
		return nil, err
	}
	if err := v.Load(ctx); err != nil {
		g.s.log.Warn("nobody can act for anybody by these assertions until their keys can be read", "why", err.Error())
	}
	return (&speaker{g.s.O.Config, v, d.byID}).speak, nil
}

func (s *speaker) speak(ctx context.Context, service purpose.Person, text string, now time.Time) (gateway.Spoken, error) {
	acts := s.config.Services[string(service.Staff)].ActsFor
	if len(acts.Assertions) == 0 {
		return gateway.Spoken{}, &gateway.Told{Sentence: "this service may not act for anybody", Hint: "The configuration says which may: services.ID.acts_for."}
	}
	word, err := s.verifier.Verify(ctx, text, acts.Assertions, now)
	if refused, ok := errors.AsType[*assertion.Refused](err); ok {
		return gateway.Spoken{}, &gateway.Told{Sentence: refused.Sentence, Hint: refused.Hint}
	}
	if err != nil {
		return gateway.Spoken{}, err
	}
	person, ok := s.person(sallyport.Staff(word.Person))
	switch {
	case acts.Client != "" && word.Client != acts.Client:
		return gateway.Spoken{}, &gateway.Told{Sentence: "the assertion was issued to another application", Hint: "Its azp or client_id must be the service's: services.ID.acts_for.client."}
	case !ok:
		return gateway.Spoken{}, &gateway.Told{Sentence: "the assertion is about nobody whom the directory knows", Hint: "Its claim must hold the person's id, as people and the configuration have it."}
	case len(acts.Teams) > 0 && !slices.Contains(acts.Teams, person.Team):
		return gateway.Spoken{}, &gateway.Told{Sentence: "this service may not act for people of that team", Hint: "The configuration says for whose: services.ID.acts_for.teams."}
	}
	return gateway.Spoken{Person: person, Source: word.Source, Claim: word.ByService, ID: word.ID, Expires: word.Expires}, nil
}
