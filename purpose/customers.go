package purpose

import (
	"context"
	"fmt"
	"sallyport/catalog"
	"slices"
	"time"

	"sallyport"
)

// TeamCustomers are the customers of a team's open tickets in the protected database, for a grant that is for them and no others. A ticket counts by the
// word of others than who asks, as for any purpose.
func (r *Resolver) TeamCustomers(ctx context.Context, who Person, team string) ([]sallyport.Subject, error) {
	q, err := r.queriesOf(r.catalog())
	if err != nil || q.tickets == "" || r.options.Logins == nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout+time.Second)
	defer cancel()
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to check a grant: %w", plain(err))
	}
	defer conn.Release()
	s := &search{queries: q, rules: &r.rules, conn: conn.Conn(), who: who, forms: r.forms}
	var b batch
	b.add(s.mine, textArray(r.options.Logins(team)), textArray(s.config.Ticket.Open))
	results, err := b.run(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	var subjects []sallyport.Subject
	for _, t := range readTickets(results[0]) {
		_, refused := s.rules.attested(sallyport.Reason{}, who, t, nil)
		if refused == "" && t.customer != "" && !slices.Contains(subjects, sallyport.Subject(t.customer)) {
			subjects = append(subjects, sallyport.Subject(t.customer))
		}
	}
	return subjects, nil
}

// Holder is the one customer whose rows hold a value, by the forms under which it may stand; ok is false where there is none, or more than one.
func (r *Resolver) Holder(ctx context.Context, q catalog.HolderQuery, forms []string) (subject sallyport.Subject, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout+time.Second)
	defer cancel()
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return "", false, fmt.Errorf("look for a customer: %w", plain(err))
	}
	defer conn.Release()
	var b batch
	b.add(q.SQL, textArray(forms))
	results, err := b.run(ctx, conn.Conn())
	if err != nil {
		return "", false, fmt.Errorf("look for a customer: %w", plain(err))
	}
	if rows := results[0].Rows; len(rows) == 1 {
		return sallyport.Subject(rows[0][0]), true, nil
	}
	return "", false, nil
}
