package main

import (
	"crypto/rand"
	"fmt"
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
	now := s.o.Clock()
	door := s.state.Door(who)
	c := policy.Context{Trust: int64(door.Trust), MFAMinutes: since(now, door.Confirmed), SecondMinutes: since(now, door.Seconded)}
	hour, day, month := s.seen(now, who)
	c.SeenHour, c.SeenDay, c.SeenMonth = int64(hour), int64(day), int64(month)
	c.Ended = s.ended(who, now)
	c.Hour, c.Weekday, c.OnShift = s.o.Config.local(who, now)
	if s.teaching != nil {
		c.TrainingOverdue = s.teaching.book.Overdue(who, now)
	}
	return c
}

// local is somebody's hour and weekday at a time, and whether he is on shift then.
func (c *Config) local(who sallyport.Staff, at time.Time) (hour, weekday int64, onShift bool) {
	person := c.People[string(who)]
	local := at
	if zone, err := person.zone(); err == nil {
		local = at.In(zone)
	}
	onShift = true
	if shift, err := person.hours(); err == nil && shift != nil {
		onShift = shift.holds(local)
	}
	return int64(local.Hour()), int64((local.Weekday()+6)%7) + 1, onShift
}

// since is whole minutes, -1 for a time that never was.
func since(now, then time.Time) int64 {
	if then.IsZero() {
		return -1
	}
	return max(int64(now.Sub(then)/time.Minute), 0)
}

// zone is the person's time zone.
func (p *Person) zone() (*time.Location, error) {
	if p.Timezone == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(p.Timezone)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q; expected one such as Europe/Berlin", p.Timezone)
	}
	return zone, nil
}

// shift is a working time, in minutes of the day.
type shift struct{ from, to int }

// hours reads the person's working time; nil: always.
func (p *Person) hours() (*shift, error) {
	if p.Shift == "" {
		return nil, nil
	}
	wrong := fmt.Errorf("%q is no working time; expected one such as 08:00-16:00", p.Shift)
	from, to, ok := strings.Cut(p.Shift, "-")
	if !ok {
		return nil, wrong
	}
	var s shift
	for text, minutes := range map[string]*int{from: &s.from, to: &s.to} {
		at, err := time.Parse("15:04", strings.TrimSpace(text))
		if err != nil {
			return nil, wrong
		}
		*minutes = at.Hour()*60 + at.Minute()
	}
	return &s, nil
}

// holds tells whether a moment is within the shift, which may go over midnight.
func (s *shift) holds(t time.Time) bool {
	m := t.Hour()*60 + t.Minute()
	if s.from <= s.to {
		return s.from <= m && m < s.to
	}
	return m >= s.from || m < s.to
}

// second proposes that a colleague agree to what somebody does, unless that stands proposed already.
func (g *guard) second(who sallyport.Staff, what string) (id string, err error) {
	for _, p := range g.s.state.Proposals() {
		if p.Action == control.Second && p.Status == control.Open && p.By == who && p.Details == what {
			return p.ID, nil
		}
	}
	order := &sallyport.Order{ID: strings.ToLower(rand.Text()[:10]), Action: control.Second, By: who, Reason: "what he does is unlike him", Details: what}
	return order.ID, g.s.orders.Give(func() error { return g.s.state.CheckProposal(order) }, &sallyport.Event{Time: g.s.o.Clock(), Kind: sallyport.Proposed, Order: order})
}
