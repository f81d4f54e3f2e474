package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"time"

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
	if s.hub != nil {
		return s.hub.listener.Addr()
	}
	return s.listener.Addr()
}

// Control is the path of the control socket.
func (s *Server) Control() string { return filepath.Join(s.o.Data, socketName) }

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
	if s.hub != nil {
		if err := s.hub.listener.Close(); !errors.Is(err, net.ErrClosed) {
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
	errs = append(errs, s.provider.close(), s.exports.close(), s.imports.close(), s.reports.close(), s.console.close(), s.customers.close())
	for _, stream := range []*record.Stream{s.access, s.control} {
		if stream != nil {
			errs = append(errs, stream.Close())
		}
	}
	return errors.Join(errs...)
}
