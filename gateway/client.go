package gateway

import (
	"context"
	"errors"
	"fmt"

	"sallyport/wire/pg"
)

// mostPortals is when portals that are gone are forgotten.
const mostPortals = 256

// errEnded says that the session is ending for a reason that stands in it.
var errEnded = errors.New("session ended")

// fromClient reads the client until it leaves.
func (s *session) fromClient(ctx context.Context) error {
	switch {
	case s.over.Load():
		return errEnded
	case s.guarded:
		return s.relayGuarded()
	case !s.protected:
		return s.relayClient()
	}
	if err := s.started(); err != nil {
		return err
	}
	s.mu.Lock()
	claimed := s.setting.value() // by the start-up packet
	s.mu.Unlock()
	if !s.observing() {
		_ = s.probePurpose(ctx, &run{}, claimed) // over the budget the session ends
	}
	for {
		if s.copyFrom != nil {
			done, err := s.takeLongCopy()
			if err != nil {
				return err
			}
			if done {
				continue
			}
		}
		kind, m, err := s.nextMessage()
		if err != nil {
			return err
		}
		s.borrow()
		s.counters.in.Add(uint64(len(m)))
		if err := s.take(ctx, kind, m); err != nil {
			return err
		}
		if kind == pg.Terminate {
			return s.forward()
		}
		if err := s.forwardReady(); err != nil {
			return err
		}
	}
}

// nextMessage waits for the client. Meanwhile the session rests, unless something stands open.
func (s *session) nextMessage() (kind byte, m []byte, err error) {
	s.resting.Store(!s.open && s.copyFrom == nil)
	if !s.client.whole() {
		s.looked()
	}
	kind, m, err = s.client.message()
	s.looking.Store(true)
	s.resting.Store(false) // before the message is looked at by any catalogue
	s.stored()
	return kind, m, err
}

// borrow makes sure that there is a buffer for what the server gets.
func (s *session) borrow() {
	if s.toServer == nil {
		s.toServer = s.gw.pool.get()
	}
}

// forward writes what has been collected for the server.
func (s *session) forward() error {
	if len(s.toServer) == 0 {
		return nil
	}
	s.awaitRequests()
	s.handDoubt()
	_, err := s.server.write(s.toServer)
	s.underway.Store(true)
	if s.client.buffered() > 0 {
		s.toServer = s.toServer[:0]
		return err
	}
	s.gw.pool.put(s.toServer) // an idle session holds no buffer
	s.toServer = nil
	return err
}

// send puts a message behind what the server gets; a long one is not copied.
func (s *session) send(m []byte) error {
	if len(m) < batchSize {
		s.toServer = append(s.toServer, m...)
		return nil
	}
	if err := s.forward(); err != nil {
		return err
	}
	s.borrow()
	_, err := s.serverConn.Write(m)
	s.underway.Store(true)
	return err
}

// take is one message of the client's: what the server gets instead of it stands in toServer afterwards.
func (s *session) take(ctx context.Context, kind byte, m []byte) error {
	if done, err := s.takeCopy(kind, m); done || err != nil { //nolint:contextcheck // the vault bounds its own time
		return err
	}
	s.begins = !s.open
	s.open = kind != pg.Sync && kind != pg.Query && (s.open || kind == pg.Parse || kind == pg.Bind || kind == pg.Execute)
	switch kind {
	case pg.Query:
		return s.takeQuery(ctx, m)
	case pg.Parse:
		return s.takeParse(ctx, m)
	case pg.Bind:
		return s.takeBind(ctx, m)
	case pg.Describe:
		return s.takeDescribe(m)
	case pg.Execute:
		return s.takeExecute(ctx, m)
	case pg.Close:
		return s.takeClose(m)
	case pg.Sync:
		s.batchID++
		s.unsynced = false
		if len(s.portals) > mostPortals && s.idle.Load() && !s.owed() {
			clear(s.portals) // they do not outlive their transaction; one that is used all the same is described anew
		}
		s.expectReply(&reply{what: expectSync, changes: s.unsettled()})
	case pg.CopyData, pg.CopyDone, pg.CopyFail:
		return nil // the server ignores them outside of COPY, for instance behind a row that it refused
	case pg.Flush, pg.Terminate:
	case pg.FunctionCall:
		return s.takeCall(m)
	default:
		return fmt.Errorf("%w: %q from a client", pg.ErrMalformed, kind)
	}
	s.toServer = append(s.toServer, m...)
	return nil
}
