package purpose

import (
	"context"
	"slices"
	"strings"

	"sallyport"
)

// granted asks for what the database holds of certain customers; nobody can write it, because a purpose's kind is trimmed.
const granted = " granted"

// Customers reads what the database holds of certain customers, or of those of a team's open tickets, for a grant that is for them and no
// others. Tickets count by the word of others than who asks, as for any purpose.
func (r *Resolver) Customers(ctx context.Context, who Person, subjects []sallyport.Subject, team string) (*Cover, error) {
	list := make([]string, len(subjects))
	for i, subject := range subjects {
		list[i] = string(subject)
	}
	return r.ask(ctx, who, sallyport.Purpose{Kind: granted, Ref: team + "\x00" + strings.Join(list, "\x00")})
}

// customers answers Customers.
func (s *search) customers(ctx context.Context, ref string, logins func(team string) []string) (*Cover, error) {
	list := strings.Split(ref, "\x00")
	team, texts := list[0], list[1:]
	var subjects []sallyport.Subject
	for _, text := range texts {
		if text != "" {
			subjects = append(subjects, sallyport.Subject(text))
		}
	}
	if team != "" {
		var err error
		if subjects, err = s.ofTickets(ctx, logins, team); err != nil {
			return nil, err
		}
		if len(subjects) == 0 {
			return &Cover{Refused: "the team " + team + " has no open ticket that counts"}, nil
		}
	}
	cover := &Cover{Reason: sallyport.Reason{Kind: "grant", Covers: true, Open: true}, Values: map[string]Value{}}
	return cover, s.addValues(ctx, cover, s.values, subjects)
}

// ofTickets are the customers of a team's open tickets that are reasons.
func (s *search) ofTickets(ctx context.Context, logins func(team string) []string, team string) ([]sallyport.Subject, error) {
	if logins == nil {
		return nil, nil
	}
	var b batch
	b.add(s.mine, textArray(logins(team)), textArray(s.config.Ticket.Open))
	results, err := b.run(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	var subjects []sallyport.Subject
	for _, t := range readTickets(results[0]) {
		_, refused := s.rules.attested(sallyport.Reason{}, s.who, t, nil)
		if refused == "" && t.customer != "" && !slices.Contains(subjects, sallyport.Subject(t.customer)) {
			subjects = append(subjects, sallyport.Subject(t.customer))
		}
	}
	return subjects, nil
}
