package reports

import (
	"context"
	"slices"
	"strings"

	"sallyport/api"
	"sallyport/config"
	"sallyport/program"
	"sallyport/rulebook"
)

// drift holds documents to policies, and both to the record.
func (r *Record) drift(ctx context.Context, q *api.ReportQuestion) (*program.Drift, error) {
	docs, err := config.DocumentsOf(q)
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, config.Usagef("there is no document to hold to the record; name one, or put it into console.documents")
	}
	policies, err := r.enforcing(ctx, q.Days)
	if err != nil {
		return nil, err
	}
	return program.FindDrift(docs, policies, r.members(), r.Book.Read), nil
}

// enforcing are today's policies, with what the record has against each.
func (r *Record) enforcing(ctx context.Context, days int) (out []program.Enforcing, err error) {
	report, err := rulebook.Replay(r.Config, ctx, rulebook.Replayed{Before: r.Set, After: r.Set, Access: r.Access, Control: r.Control, From: r.Now.AddDate(0, 0, -days), Until: r.Now, Names: r.Names})
	if err != nil {
		return nil, err
	}
	deeds := program.NewDeeds()
	if err := r.accesses(ctx, deeds.Access); err != nil {
		return nil, err
	}
	for _, p := range r.Set.All() {
		e := program.Enforcing{ID: p.Policy, Document: p.Document, Place: p.Place, Bites: deeds.Of(p.Policy)}
		for _, x := range report.Refused {
			// What would have waited or gone slower may have: that it left contradicts nothing.
			if against := x.What == "token" || x.What == "mask" || x.What == "statement" || x.What == "suspend"; against && slices.Contains(strings.Split(x.Policy, ","), p.Policy) {
				e.Against += x.Accesses
				e.People = max(e.People, x.People)
			}
		}
		out = append(out, e)
	}
	return out, nil
}
