package serve

import (
	"context"
	"strings"

	"sallyport/api"
	"sallyport/config"
	"sallyport/program"
)

// drift holds documents to policies, and both to the record.
func (r *ProgramRecord) drift(ctx context.Context, q *api.ReportQuestion) (*program.Drift, error) {
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
	return program.FindDrift(docs, policies, r.members(), r.book.Read), nil
}

// enforcing are today's policies, with what the record has against each.
func (r *ProgramRecord) enforcing(ctx context.Context, days int) (out []program.Enforcing, err error) {
	report, err := Replay(r.Config, ctx, Replayed{Before: r.set, After: r.set, Access: r.access, Control: r.control, From: r.now.AddDate(0, 0, -days), Until: r.now, Names: r.names})
	if err != nil {
		return nil, err
	}
	deeds := program.NewDeeds()
	if err := r.accesses(ctx, deeds.Access); err != nil {
		return nil, err
	}
	for _, p := range r.set.All() {
		e := program.Enforcing{ID: p.Policy, Document: p.Document, Place: p.Place, Bites: deeds.Of(p.Policy)}
		for _, x := range report.Refused {
			// What would have waited or gone slower may have: that it left contradicts nothing.
			if against := x.What == "token" || x.What == "mask" || x.What == "statement" || x.What == "suspend"; against && decidedBy(x.Policy, p.Policy) {
				e.Against += x.Accesses
				e.People = max(e.People, x.People)
			}
		}
		out = append(out, e)
	}
	return out, nil
}

func decidedBy(ids, id string) bool {
	for one := range strings.SplitSeq(ids, ",") {
		if one == id {
			return true
		}
	}
	return false
}
