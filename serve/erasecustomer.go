package serve

import (
	"context"
	"fmt"
	"slices"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/ledger"
	"sallyport/record"
)

// mostOwed is how many entries that stay are named one by one.
const mostOwed = 100

// customerErasure finds what the record says of one customer: what may be erased of each stream, and what is owed still. An entry that speaks
// of others, too, is their evidence as well: what it says of them is said again before it goes. One that a gateway wrote is not ours to say again.
func (s *Server) customerErasure(ctx context.Context, customer sallyport.Subject) (lists map[string]*sallyport.Erasure, owed api.Owed, err error) {
	lists = map[string]*sallyport.Erasure{}
	for _, which := range []ledger.Stream{ledger.Access, ledger.Control} {
		runs, err := s.customerRuns(ctx, which, customer, &owed)
		if err != nil {
			return nil, owed, err
		}
		if len(runs) == 0 {
			continue
		}
		stream, _ := s.streamOf(which.String())
		if lists[which.String()], err = stream.Erasure(runs); err != nil {
			return nil, owed, err
		}
	}
	if s.exports != nil {
		owed.Sent = slices.Sorted(slices.Values(s.exports.sent))
	}
	return lists, owed, nil
}

// customerRuns goes through one stream, as it stands now.
func (s *Server) customerRuns(ctx context.Context, which ledger.Stream, customer sallyport.Subject, owed *api.Owed) (runs []uint64, err error) {
	stream, _ := s.streamOf(which.String())
	last, latest := stream.Last(), s.O.Clock().AddDate(0, 0, -config.FewestDays)
	err = stream.Read(1, func(e *sallyport.Event) error {
		if e.Seq > last {
			return record.ErrEnough
		}
		of := config.SpokenOf(e)
		if !of[customer] {
			return ctx.Err()
		}
		name := fmt.Sprintf("%s:%d", which, e.Seq)
		switch {
		case !slices.Contains(config.ErasableKinds(which), e.Kind):
			owed.Needed++
		case e.AsItWas().Time.After(latest):
			owed.Young++
			owed.Until = later(owed.Until, e.AsItWas().Time.AddDate(0, 0, config.FewestDays))
		case s.keeps(which, e) != "":
			owed.Held++
		case len(of) > 1 && !restatable(which, e):
			if owed.Shared++; len(owed.SharedEntries) < mostOwed {
				owed.SharedEntries = append(owed.SharedEntries, name)
			}
		case len(runs) > 0 && runs[len(runs)-1]+1 == e.Seq:
			runs[len(runs)-1] = e.Seq
		case len(runs) == 2*api.MostRuns:
			owed.Later++
		default:
			runs = append(runs, e.Seq, e.Seq)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read what the record says of the customer: %w", err)
	}
	return runs, nil
}

// restatable says whether what an entry says of others can be said again.
func restatable(which ledger.Stream, e *sallyport.Event) bool {
	return which == ledger.Access && e.Origin == nil && len(e.Facts) == 0 && len(e.Ties) == 0
}

// restate says again what entries that are erased because of a customer say of others, each once, also where a serve that was killed had begun to. It is
// durable before the first of them goes.
func (s *Server) restate(p *control.Proposal) error {
	stream, which := s.streamOf(p.Erased.Record)
	if p.Customer == "" || which != ledger.Access {
		return nil
	}
	said := map[uint64]bool{}
	err := stream.Read(p.Position+1, func(e *sallyport.Event) error {
		if e.Restates != nil {
			said[e.Restates.Entry] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what was said again: %w", err)
	}
	var list []*sallyport.Event
	for i := 0; i+1 < len(p.Erased.Runs); i += 2 {
		err := stream.Read(p.Erased.Runs[i], func(e *sallyport.Event) error {
			if e.Seq > p.Erased.Runs[i+1] {
				return record.ErrEnough
			}
			if of := config.SpokenOf(e); of[p.Customer] && len(of) > 1 && !said[e.Seq] {
				list = append(list, e.Restate(p.Customer, s.O.Clock()))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read what is said again: %w", err)
		}
	}
	for _, e := range list {
		if _, err := stream.Append(e); err != nil {
			return fmt.Errorf("say again what is erased: %w", err)
		}
	}
	return nil
}
