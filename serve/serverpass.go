package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/gateway"
)

// pass serves clients.
func (s *Server) pass(ctx context.Context, config gateway.Config, g *guard) error {
	gw, err := gateway.New(config)
	if err != nil {
		return err
	}
	var latest time.Time
	err = s.AccessStream.Read(1, func(e *sallyport.Event) error {
		gw.Restore(e)
		s.granting.days.note(e)
		latest = later(latest, e.Time)
		return nil
	})
	s.State.Advance(latest) // a clock that was set back meanwhile brings no grant back
	if err != nil {
		return fmt.Errorf("count what was seen before: %w", err)
	}
	defer s.State.Watch(func(who sallyport.Staff, st control.Standing) {
		if st.Locked || st.Suspended || st.Left {
			gw.EndSessions(who, "you are locked or suspended", "Ask a lead or security for `sallyport unlock`.")
		}
	})()
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx)) // the catalogue is looked after while sessions drain
	wg.Go(func() {
		if err := g.watch(watching); err != nil {
			cancel(err)
		}
	})
	wg.Go(func() {
		if err := g.sources.run(ctx, s.hears); err != nil {
			cancel(err)
		}
	})
	turns := newRotations(g, gw)
	if s.link != nil {
		wg.Go(func() { s.link.endSilent(watching, gw) })
	}
	if s.link == nil {
		wg.Go(func() { turns.tend(watching) })
		wg.Go(func() { turns.tendShreds(watching) })
	}
	wg.Go(func() { s.granting.tendAll(watching) })
	if s.link == nil {
		wg.Go(func() { s.canaries.tend(ctx) })
		wg.Go(func() { s.drills.tend(ctx) })
		wg.Go(func() { s.drills.plan.run(ctx) })
	}
	defer wg.Wait()
	defer cancel(nil)
	defer stopWatching()

	s.mu.Lock()
	s.gateway, s.reasons, s.guard, s.turns, s.opened, s.waiting = gw, g.resolver, g, turns, g.sources, nil
	s.mu.Unlock()
	if s.link != nil && g.keyring != nil { // an order may have come since it was looked
		if err := g.destroyGone(); err != nil {
			return err
		}
	}
	close(s.ready)
	if err := gw.Serve(ctx, s.listener); err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// refuseUntil tells clients why they must wait, while prepare is tried again and again.
func (s *Server) refuseUntil(ctx context.Context, config gateway.Config, prepare func(context.Context) error) error {
	config.Ready, config.Drain = s.whyWaiting, 0
	s.wait(errors.New("Sallyport is starting")) //nolint:staticcheck // a sentence that clients read
	waiting, err := gateway.New(config)
	if err != nil {
		return err
	}
	lent, takeBack := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- waiting.Serve(lent, onLoan{s.listener}) }()
	err = s.retry(ctx, prepare)
	takeBack()
	return errors.Join(err, <-served, s.listener.SetDeadline(time.Time{}))
}

// onLoan lends a listener to one who closes it.
type onLoan struct{ listener }

// Close ends Accept and leaves the listener open.
func (l onLoan) Close() error { return l.SetDeadline(time.Unix(1, 0)) }
