package gateway

import (
	"context"
	"crypto/subtle"
	"fmt"
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
		s.awaitLooked(ctx)
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
// ignores a request to cancel, and then the statement which it was meant for would run to its end.
func (s *session) awaitLooked(ctx context.Context) {
	ctx, done := context.WithTimeout(ctx, cancelTimeout)
	defer done()
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wake.Broadcast()
	})()
	s.cancelling.Add(1)
	defer s.cancelling.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.looking.Load() && (len(s.queue) == 0 || !s.underway.Load()) && !s.closed && s.ending == nil && ctx.Err() == nil {
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
