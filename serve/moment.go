package serve

import (
	"crypto/rand"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/policy"
	"sallyport/purpose"
)

// moment is what is known of a person right now: how far he is trusted, when he last proved who he is, what he has seen.
func (g *guard) moment(p purpose.Person) policy.Context { return g.s.moment(p.Staff) }

func (s *Server) moment(who sallyport.Staff) policy.Context {
	now := s.O.Clock()
	door := s.State.Door(who)
	c := policy.Context{Trust: int64(door.Trust), MFAMinutes: since(now, door.Confirmed), SecondMinutes: since(now, door.Seconded)}
	hour, day, month := s.seen(now, who)
	c.SeenHour, c.SeenDay, c.SeenMonth = int64(hour), int64(day), int64(month)
	c.Ended = s.ended(who, now)
	c.Hour, c.Weekday, c.OnShift = s.O.Config.Local(who, now)
	c.TrainingOverdue = s.teaching.book.Overdue(who, now)
	return c
}

// since is whole minutes, -1 for a time that never was.
func since(now, then time.Time) int64 {
	if then.IsZero() {
		return -1
	}
	return max(int64(now.Sub(then)/time.Minute), 0)
}

// second proposes that a colleague agree to what somebody does, unless that stands proposed already.
func (g *guard) second(who sallyport.Staff, what string) (id string, err error) {
	for _, p := range g.s.State.Proposals() {
		if p.Action == control.Second && p.Status == control.Open && p.By == who && p.Details == what {
			return p.ID, nil
		}
	}
	order := &sallyport.Order{ID: strings.ToLower(rand.Text()[:10]), Action: control.Second, By: who, Reason: "what he does is unlike him", Details: what}
	return order.ID, g.s.orders.Give(func() error { return g.s.State.CheckProposal(order) }, &sallyport.Event{Time: g.s.O.Clock(), Kind: sallyport.Proposed, Order: order})
}
