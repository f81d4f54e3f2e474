package gateway

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"sallyport/wire/pg"
)

// cancelTimeout bounds a request to cancel: how long it waits for its statement, and how long the server may take for it.
const cancelTimeout = 5 * time.Second

// cancelFor passes a client's cancel request on, the way that it came; the key is the server's own.
func (g *Gateway) cancelFor(ctx context.Context, packet []byte, secured bool) error {
	pid, key, err := pg.ParseCancel(packet)
	if err != nil {
		return err
	}
	g.mu.Lock()
	s := g.backends[pid]
	g.mu.Unlock()
	if s != nil && subtle.ConstantTimeCompare(s.cancelKey, key) == 1 { // whoever guesses waits for nothing
		if held, last := s.awaitLooked(ctx); held {
			return s.cancelUntil(ctx, last, secured)
		}
	}
	return g.cancel(ctx, pid, key, secured)
}

// cancel asks the server to cancel what the connection with that key does, the way that a client with or without TLS would.
func (g *Gateway) cancel(ctx context.Context, pid uint32, key []byte, secured bool) error {
	ctx, done := context.WithTimeout(ctx, cancelTimeout)
	defer done()
	conn, err := g.Server.Dial(ctx, secured)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write(pg.AppendCancel(nil, pid, key)); err != nil {
		return fmt.Errorf("send cancel request: %w", err)
	}
	_, _ = conn.Read(make([]byte, 1)) // the server closes once it has passed the request on
	return nil
}

// awaitLooked waits while the server works at nothing and the client's side at what the server gets next: a server that does nothing
// ignores a request to cancel, and then the statement which it was meant for would run to its end. held says whether there was something
// to wait for, last the end of it; nil: it is over already.
func (s *session) awaitLooked(ctx context.Context) (held bool, last *reply) {
	s.cancelling.Add(1)
	defer s.cancelling.Add(-1)
	s.awhile(ctx, cancelTimeout, func() bool {
		working := s.looking.Load() && (len(s.queue) == 0 || !s.underway.Load())
		held = held || working
		return working
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 {
		last = s.queue[len(s.queue)-1]
	}
	return held, last
}

// cancelUntil asks the server to cancel what has just been forwarded, again where it had not begun with that. While a request is on its
// way nothing more is forwarded (forward): it must not find the statement behind.
func (s *session) cancelUntil(ctx context.Context, last *reply, secured bool) error {
	ctx, done := context.WithTimeout(ctx, cancelTimeout)
	defer done()
	runs := func() bool { return slices.Contains(s.queue, last) }
	for pause := 10 * time.Millisecond; ctx.Err() == nil; pause *= 2 {
		s.mu.Lock()
		over := !runs() || s.closed || s.ending != nil
		if !over {
			s.requests.Add(1)
		}
		s.mu.Unlock()
		if over {
			return nil
		}
		err := s.gw.cancel(ctx, s.pid, s.cancelKey, secured)
		s.mu.Lock()
		s.requests.Add(-1)
		s.wake.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return err
		}
		s.awhile(ctx, pause, runs)
	}
	return nil
}

// awhile waits while a condition holds that is asked with mu held, and the session lives.
func (s *session) awhile(ctx context.Context, most time.Duration, condition func() bool) {
	ctx, done := context.WithTimeout(ctx, most)
	defer done()
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wake.Broadcast()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for condition() && !s.closed && s.ending == nil && ctx.Err() == nil {
		s.wake.Wait()
	}
}

// awaitRequests waits until no request to cancel is on its way that was meant for what the server had before; cancelTimeout bounds each.
func (s *session) awaitRequests() {
	if s.requests.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.requests.Load() > 0 && !s.closed && s.ending == nil {
		s.wake.Wait()
	}
}

// looked says that the server has what the client sent so far.
func (s *session) looked() {
	s.looking.Store(false)
	if s.cancelling.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake.Broadcast()
}
