package serve

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"time"

	"sallyport/api"
	"sallyport/gateway"
	"sallyport/record"
)

// The time between attempts to reach the database.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// retry tries until it works, ctx ends, or the error is one that no waiting mends.
func (s *Server) retry(ctx context.Context, try func(context.Context) error) error {
	last := ""
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := try(ctx)
		var stop *hopeless
		switch {
		case err == nil || ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &stop):
			return stop.error
		}
		s.wait(err)
		if text := err.Error(); text != last {
			last = text
			s.log.Warn("not serving yet; trying again until it works", "why", text)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		case <-s.shares.complete():
		}
	}
}

// hopeless is an error that no waiting mends.
type hopeless struct{ error }

func (s *Server) wait(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = why
}

func (s *Server) whyWaiting() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// Ready is closed when clients are served.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Done is closed when the server has ended by itself or after Close; then Err says why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server ended, nil after Close. It waits for the end.
func (s *Server) Err() error {
	<-s.done
	return s.err
}

// Renew reads the certificates again, as a change of their files does by itself.
func (s *Server) Renew() {
	select {
	case s.renew <- struct{}{}:
	default: // it is about to
	}
}

// reloaded logs what became of reading the certificates again.
func (s *Server) reloaded(err error) {
	if err != nil {
		s.log.Error("certificates were not read again; the former ones stay in use", "why", err.Error())
		return
	}
	s.log.Info("certificates were read again")
}

// Addr is where clients connect, or gateways to a controller.
func (s *Server) Addr() net.Addr {
	if s.Hub != nil {
		return s.Hub.listener.Addr()
	}
	return s.listener.Addr()
}

// Control is the path of the control socket.
func (s *Server) Control() string { return filepath.Join(s.O.Data, SocketName) }

// Close ends the sessions, makes everything durable and waits for it.
func (s *Server) Close() error {
	s.stop()
	return s.Err()
}

// closeFiles closes what open opened; what is missing was never open.
func (s *Server) closeFiles() error {
	var errs []error
	if s.link != nil {
		s.link.stop()
	}
	if s.Hub != nil {
		if err := s.Hub.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for _, l := range s.commands() {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, s.provider.close(), s.exports.close(), s.imports.Close(), s.reports.close(), s.console.close(), s.customers.close())
	for _, stream := range []*record.Stream{s.AccessStream, s.ControlStream} {
		if stream != nil {
			errs = append(errs, stream.Close())
		}
	}
	return errors.Join(errs...)
}

// run serves until ctx ends or something fails that cannot be waited out.
func (s *Server) run(ctx context.Context, people *api.Server) {
	defer close(s.done)
	ctx, cancel := context.WithCancelCause(ctx)
	s.endsBy(cancel)
	longer, end := context.WithCancel(context.WithoutCancel(ctx)) // orders are heard as long as anybody has a session
	var wg sync.WaitGroup
	s.alone(longer, cancel, &wg, people)
	wg.Go(func() {
		defer end()
		cancel(s.serve(ctx))
	})
	wg.Go(func() { s.certificates.Watch(ctx, s.renew, s.reloaded) })
	wg.Go(func() { s.room.Watch(longer) })
	if s.link == nil {
		wg.Go(func() { s.tendErasures(ctx) })
	} else {
		wg.Go(func() { s.tendMirrors(ctx) })
	}
	endLedger := s.runLedger(ctx)
	<-ctx.Done()
	close(s.canaries.over)
	wg.Wait()
	endLedger()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		s.err = cause
	}
	s.err = errors.Join(s.err, s.closeFiles())
}

// alone starts what there is once, however many gateways there are.
func (s *Server) alone(longer context.Context, cancel context.CancelCauseFunc, wg *sync.WaitGroup, people *api.Server) {
	if s.link != nil {
		return
	}
	wg.Go(func() {
		if err := people.Serve(longer, s.commands()...); err != nil {
			cancel(err)
		}
	})
	wg.Go(func() { s.staffing.tend(longer) })
	wg.Go(func() { s.exports.run(longer) })
	wg.Go(func() { s.reports.run(longer) })
	wg.Go(func() { s.casing.run(longer) })
	wg.Go(func() { s.tendProgram(longer) })
	wg.Go(func() { s.teaching.run(longer) })
	wg.Go(func() { s.detection.run(longer, s.newDetecting) })
	if s.history != nil {
		wg.Go(func() { s.history.Run(longer) })
	}
	wg.Go(func() {
		if err := s.provider.serve(longer); err != nil {
			cancel(err)
		}
	})
	for _, pages := range []*pageListener{s.console, s.customers} {
		wg.Go(func() {
			if err := pages.serve(longer, s); err != nil {
				cancel(err)
			}
		})
	}
	wg.Go(func() { s.outbox.run(longer) })
	if s.granting.tell != nil {
		wg.Go(func() { s.granting.tell.run(longer) })
	}
}

// serve refuses clients until the database can be served, then serves it.
func (s *Server) serve(ctx context.Context) error {
	if s.Hub != nil {
		return s.serveGateways(ctx)
	}
	config := gateway.Config{
		Server: s.Upstream, TLS: s.certificates.Current,
		Access: s.AccessStream, Standing: s.State, Book: s.book, Clock: s.O.Clock, Log: s.log, Observe: s.O.Observe,
		Drain: s.O.Drain, Fresh: s.O.Config.LogIn.Issuer != "", ConfirmAt: s.confirmAt(),
	}
	if s.link != nil {
		config.Shares = s.link
	}
	if s.entrances != nil {
		config.Entrances = s.entrances
		defer s.entrances.Close(context.WithoutCancel(ctx))
	}
	if s.verifiers != nil {
		config.Verifiers = s.verifiers
		defer s.verifiers.Close(context.WithoutCancel(ctx))
	}
	g := &guard{s: s}
	defer g.close(ctx)
	err := s.refuseUntil(ctx, config, func(ctx context.Context) (err error) {
		if s.O.OnlyOrders {
			return errors.New("only orders are heard (--only-orders)")
		}
		config.Protection, err = g.prepare(ctx)
		return err
	})
	if err != nil {
		return err
	}
	err = s.pass(ctx, config, g)
	g.leave(ctx)
	return err
}
