package purpose

import (
	"context"
	"slices"
	"time"

	"sallyport"
)

// noSource stands where a kind is checked by the protected database itself.
type noSource struct{}

// Find finds nothing.
func (noSource) Find(context.Context, Ref) ([]Thing, error) { return nil, nil }

// Mine finds nothing.
func (noSource) Mine(context.Context, []string, int) ([]Thing, error) { return nil, nil }

// Close gives back nothing.
func (noSource) Close() error { return nil }

// ownCall resolves call:ID, a contact of the protected database: one that came in, that a configured service wrote as it stands there, and
// that this person took a moment ago.
func (r *Resolver) ownCall(ctx context.Context, q *queries, u *outside, who Person, p sallyport.Purpose) (*Cover, error) {
	if q.contactByID == "" || !isID(p.Ref) {
		return &Cover{Refused: "there is no such call"}, nil
	}
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return nil, plain(err)
	}
	var b batch
	b.add(q.contactByID, p.Ref)
	results, err := b.run(ctx, conn.Conn())
	conn.Release()
	if err != nil {
		return nil, err
	}
	contacts := q.readContacts(results[0])
	if len(contacts) != 1 {
		return &Cover{Refused: "there is no such call"}, nil
	}
	known, refused := r.rules.call(who, contacts[0], u.now(), u.after)
	if refused != "" {
		return &Cover{Refused: refused}, nil
	}
	return r.cover(ctx, q, who, p, known, []sallyport.Subject{sallyport.Subject(contacts[0].customer)})
}

// call says what is known of a contact that is a call of somebody's, or why it is none.
func (r *rules) call(who Person, c contactRow, now time.Time, lasts time.Duration) (known sallyport.Reason, refused string) {
	name := "call " + c.id
	at := time.UnixMicro(c.at)
	by, same := r.facts.lookUpContact(c)
	known = sallyport.Reason{
		Kind: "call", Covers: true, Open: true, State: "incoming", Mine: true, Team: who.Team, Contacted: true, OpenedByProgram: string(by.staff),
		Minutes: max(int64(now.Sub(at)/time.Minute), 0),
	}
	if !who.Service {
		known.Assignee = who.Staff
	}
	switch {
	case c.customer == "":
		refused = name + " is about no customer"
	case !c.incoming:
		refused = name + " was begun by us, and nobody else arranged it"
	case c.staff == "":
		refused = name + " is assigned to nobody"
	case !slices.Contains(who.Logins, c.staff):
		refused = name + " is somebody else's"
	case !same || by.none() || by.baseline:
		refused = "nobody is on record for " + name + " as it stands there"
	case !slices.Contains(r.writers, by.staff) || !slices.Contains(r.services, by.staff) || by.staff == who.Staff:
		refused = name + " was written down by an account whose word about calls does not count"
	case now.Before(at.Add(-mostClockSkew)):
		refused = name + " has not begun"
	case now.After(at.Add(lasts)):
		refused = name + " is over"
	}
	return known, refused
}
