package gateway

import (
	"context"
)

// Await waits until nobody works any more by what the catalogue was before the call: every statement that was taken then has ended, with its
// transaction. Sessions that still do when ctx ends are named; those that come meanwhile know better. Those that replicate are ended where
// columns are moving.
func (g *Gateway) Await(ctx context.Context) (waiting []string) {
	moving := g.Protection != nil && g.Protection.Catalog.Snapshot().HoldsPlain()
	g.mu.Lock()
	var pending, streams []*session
	for s := range g.sessions {
		switch {
		case s.replicating && moving:
			streams = append(streams, s)
		case s.protected && !s.replicating:
			pending = append(pending, s)
		}
	}
	g.mu.Unlock()
	for _, s := range streams {
		s.end(refusedWhileMoving())
	}
	return awaitRest(ctx, pending)
}

// rests tells whether a session has, or had at some moment since, nothing under way: what its client sends next is read by the present
// catalogue.
func (s *session) rests() bool {
	return s.over.Load() || s.resting.Load() && s.idle.Load() && !s.owed()
}
