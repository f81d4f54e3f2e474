package gateway

import (
	"context"
	"time"

	"sallyport"
)

// atDoorFor is how long a result waits at the second door, or a statement at a gate, for a person to confirm who he is, or for a colleague to agree.
const atDoorFor = 2 * time.Minute

// waitAtDoor holds a result back until the policies let it pass, or refuse it. What came before goes to the client, with how to open the
// door. Afterwards the sight knows what holds then; where nobody opened it, values stay tokens.
func (s *session) waitAtDoor(ctx context.Context, r *run) error {
	w := *r.sight.waits
	if s.observing() {
		s.observe("would have waited: " + w.ruling.Because)
		return nil
	}
	hint, ok := s.howToOpen(s.whose(r).person.Staff, w.ruling, r.second(s))
	if !ok || s.unattended {
		s.notice("NOTICE", "values stay tokens: "+w.ruling.Because, hint)
		return nil
	}
	s.notice("NOTICE", "this waits: "+w.ruling.Because, hint+" (within two minutes; cancel the statement to go on without).")
	s.cancelled.Store(false)
	defer s.gw.waiting.waits(s, s.whose(r).person.Staff, r.second(s), w.ruling.Because)()
	if err := s.flush(); err != nil {
		return err
	}
	if s.out == nil {
		s.out = s.gw.pool.get()
	}
	opened := s.opened(ctx, r, w)
	s.accounts.asked = false // it took its time: the reasons are checked anew
	if !opened && !s.over.Load() {
		s.notice("NOTICE", "values stay tokens: nobody opened the door in time", hint)
	}
	if s.over.Load() {
		return errEnded
	}
	return nil
}

// opened waits until something else is ruled, and tells whether it was.
func (s *session) opened(ctx context.Context, r *run, w ruled) bool {
	late := time.NewTimer(atDoorFor)
	defer late.Stop()
	look := time.NewTicker(100 * time.Millisecond) // the session may have been ended or its statement cancelled
	defer look.Stop()
	for {
		r.sight.anew(s)
		if r.sight.ruling(w.cover, w.grant, w.column).Verdict != sallyport.Wait {
			return true
		}
		select {
		case <-r.sight.turned:
		case <-look.C:
			if s.over.Load() || s.cancelled.Load() || s.hungUp() { // whoever confirms something else later does not mean this
				return false
			}
		case <-late.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// slowRow is how long each row takes while policies throttle.
const slowRow = 250 * time.Millisecond

// slowDown lets a row wait whose statement policies throttle; what came before is with the client.
func (s *session) slowDown(ctx context.Context, r *run) error {
	if r.revealed == 0 || s.observing() {
		return nil // the first row comes at once
	}
	if err := s.flush(); err != nil {
		return err
	}
	if s.out == nil {
		s.out = s.gw.pool.get()
	}
	wait := time.NewTimer(slowRow)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	s.accounts.asked = false
	if s.over.Load() {
		return errEnded
	}
	return nil
}

// second says what a colleague is to agree to.
func (r *run) second(s *session) string {
	what := "a statement"
	if r.stmt != nil {
		what = r.stmt.Verb
	}
	for i, p := range r.sight.purposes {
		if i == 0 {
			what += " for"
		}
		what += " " + p.String()
	}
	return what + " by " + string(s.whose(r).person.Staff)
}

// stars are what leaves in place of a value that policies mask.
func stars() []byte { return []byte("***") }
