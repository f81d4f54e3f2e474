package gateway

import (
	"fmt"
	"slices"

	"sallyport/query"
	"sallyport/wire/pg"
)

// Whether the server reads COPY data decides what it answers: while it does, Sync and Flush go unheard (55.2.6). So
// after a statement that asks for data nothing more of the client's is looked at until the server has asked for them or
// has refused, and then only data pass until their end.

// copiesIn says whether a statement asks the client for data.
func copiesIn(st *query.Statement) bool {
	return st.Copy != nil && st.Copy.In && !st.Copy.File && !st.Copy.Program
}

// awaitCopy waits until the server asks for data or the statement is done.
func (s *session) awaitCopy(r *reply) error {
	if err := s.forward(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.copyIn:
			s.copyFrom = r
			return nil
		case !s.queued(r):
			s.copyFrom = nil
			return nil
		case s.closed || s.ending != nil:
			return errEnded
		}
		s.wake.Wait()
	}
}

// queued says whether a reply is due still. The caller holds mu.
func (s *session) queued(r *reply) bool {
	return slices.Contains(s.queue, r)
}

// takeCopy is a message while the server reads data; done is false when it does not.
func (s *session) takeCopy(kind byte, m []byte) (done bool, err error) {
	if s.copyFrom == nil {
		return false, nil
	}
	s.mu.Lock()
	reading := s.copyIn
	if kind == pg.CopyDone || kind == pg.CopyFail {
		s.copyIn = false
	}
	s.mu.Unlock()
	if !reading { // it refused a row meanwhile
		s.copyFrom = nil
		return false, nil
	}
	switch kind {
	case pg.CopyData:
		s.toServer = append(s.toServer, m...)
		return true, nil
	case pg.Sync, pg.Flush:
		return true, nil
	case pg.CopyDone, pg.CopyFail:
		from := s.copyFrom
		s.copyFrom = nil
		s.toServer = append(s.toServer, m...)
		if from.what == expectQuery { // there may be another COPY in the same string
			return true, s.awaitCopy(from)
		}
		return true, nil
	case pg.Terminate:
		return false, nil
	}
	return true, fmt.Errorf("%w: %q while the server reads COPY data", pg.ErrMalformed, kind)
}

// copyStarts is told that the server asks for data; false where no statement did.
func (s *session) copyStarts() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || !s.queue[0].copies {
		return false
	}
	s.copyIn = true
	s.wake.Broadcast()
	return true
}
