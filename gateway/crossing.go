package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"sallyport/query"
)

// crossing is the moment in which new tokens begin to be of another key. Nobody may then have written a token of the former key that is not
// committed: whoever writes the same value as a token of the new key would not see it, and neither would a unique index. So
// transactions that write tokens are let end, and others wait, for a second at most.
type crossing struct {
	one  sync.Mutex    // held by who crosses
	mu   sync.RWMutex  // guards held, and the moment in which a session is seen to store
	held chan struct{} // closed when it is over; nil: there is none
}

// crossingPatience is how long somebody waits who wants to write.
const crossingPatience = 3 * time.Second

// Cross does something while no transaction of a session holds tokens that were written before, and none writes any. Sessions that did not end
// their transactions by the end of ctx are named; then nothing was done.
func (g *Gateway) Cross(ctx context.Context, do func() error) (waiting []string, err error) {
	// A transaction that stays open is told of before anybody has to wait for it.
	if waiting := awaitEach(ctx, g.storing(), (*session).hasStored); len(waiting) > 0 {
		return waiting, nil
	}
	g.crossing.one.Lock()
	defer g.crossing.one.Unlock()
	over := make(chan struct{})
	g.crossing.mu.Lock()
	g.crossing.held = over
	g.crossing.mu.Unlock()
	defer func() {
		g.crossing.mu.Lock()
		g.crossing.held = nil
		g.crossing.mu.Unlock()
		close(over)
	}()
	if waiting := awaitEach(ctx, g.storing(), (*session).hasStored); len(waiting) > 0 {
		return waiting, nil
	}
	return nil, do()
}

// silentWrites is why nothing is written.
const silentWrites = "the controller does not answer, so nothing is written into protected columns"

// EndStoring ends the sessions whose transactions wrote tokens, or are about to: the controller is not heard, and may have other keys used.
func (g *Gateway) EndStoring() {
	for _, s := range g.storing() {
		s.end(fatal(codeSilent, silentWrites, hintSilent))
	}
}

// storing are the sessions whose transactions wrote tokens.
func (g *Gateway) storing() (list []*session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.sessions {
		if s.storing.Load() {
			list = append(list, s)
		}
	}
	return list
}

// stores notes that a session is about to write a token into a column whose keys are rotated or, where there are several gateways, into any. It waits where a crossing is under way, unless the
// session's transaction wrote some before: that one has to come to its end.
func (s *session) stores() *query.Refusal {
	if s.gw.Shares != nil && !s.gw.Shares.Heard() { // it may be exchanging the very keys, and this gateway not know
		return refusal(codeSilent, silentWrites, hintSilent)
	}
	if s.storing.Load() {
		return nil
	}
	c := &s.gw.crossing
	patience := time.NewTimer(crossingPatience)
	defer patience.Stop()
	for {
		c.mu.RLock()
		held := c.held
		if held == nil || s.storing.Load() {
			s.storing.Store(true)
			c.mu.RUnlock()
			return nil
		}
		c.mu.RUnlock()
		select {
		case <-held:
		case <-patience.C:
			return refusal(codeBusy, "the keys of a column are being exchanged", "Try again in a moment.")
		}
	}
}

// stored forgets what a session wrote, once its transaction has ended. It is called between two messages of the client.
func (s *session) stored() {
	if s.storing.Load() && !s.open && s.copyFrom == nil && s.idle.Load() && !s.owed() {
		s.storing.Store(false)
	}
}

// hasStored tells whether the transaction in which a session wrote has ended. The next one may be open: it has not written, and would wait to.
func (s *session) hasStored() bool { return !s.storing.Load() || s.rests() }

// awaitRest waits until each session has nothing under way, and names those that still have when ctx ends.
func awaitRest(ctx context.Context, pending []*session) (waiting []string) {
	return awaitEach(ctx, pending, (*session).rests)
}

// awaitEach waits until something is so of each session at some moment, and names those of which it is not when ctx ends.
func awaitEach(ctx context.Context, pending []*session, is func(*session) bool) (waiting []string) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		pending = slices.DeleteFunc(pending, is)
		if len(pending) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			for _, s := range pending {
				waiting = append(waiting, s.who.Login+" ("+s.id+")")
			}
			slices.Sort(waiting)
			return waiting
		case <-ticker.C:
		}
	}
}
