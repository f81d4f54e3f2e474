package gateway

import (
	"fmt"
	"slices"

	"sallyport/query"
	"sallyport/wire/pg"
)

// Whether the server reads COPY data decides what it answers: while it does, Sync and Flush go unheard (55.2.6). So
// after a statement that asks for data nothing more of the client's is looked at until the server has asked for them or
// has refused, and then only data pass until their end. Those for protected columns go through a loader.

// asksData says whether a statement asks the client for data.
func asksData(st *query.Statement) bool {
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
			s.copyFrom, s.loading = r, nil
			if c := s.copyRun; c != nil && c.stmt != nil && c.stmt.Copy != nil && len(c.stmt.Copy.Fields) > 0 && !s.observing() {
				s.loading = s.newLoading(c)
			}
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

// reading says whether the server still reads data. It may have refused a row meanwhile; then what follows is ignored.
func (s *session) reading(last bool) bool {
	s.mu.Lock()
	reading := s.copyIn
	if last {
		s.copyIn = false
	}
	s.mu.Unlock()
	if !reading {
		s.copyFrom, s.loading = nil, nil
	}
	return reading
}

// takeCopy is a message while the server reads data; done is false when it does not.
func (s *session) takeCopy(kind byte, m []byte) (done bool, err error) {
	if s.copyFrom == nil || !s.reading(kind == pg.CopyDone || kind == pg.CopyFail) {
		return false, nil
	}
	switch kind {
	case pg.CopyData:
		s.copyData(m[pg.HeaderLen:])
		return true, nil
	case pg.Sync, pg.Flush:
		return true, nil
	case pg.CopyDone, pg.CopyFail:
		return true, s.endCopy(kind, m)
	case pg.Terminate:
		return false, nil
	}
	return true, fmt.Errorf("%w: %q while the server reads COPY data", pg.ErrMalformed, kind)
}

// takeLongCopy takes a CopyData message that is too long to be held, piece by piece: where messages end means nothing to
// the server. done is false where the next message is another one.
func (s *session) takeLongCopy() (done bool, err error) {
	if s.copyFrom == nil {
		return false, nil
	}
	kind, size, err := s.client.head()
	if err != nil || kind != pg.CopyData || size <= bufferSize {
		return false, err
	}
	if _, err := s.client.exactly(pg.HeaderLen); err != nil {
		return true, err
	}
	s.counters.in.Add(uint64(size)) //nolint:gosec // a length
	for left := size - pg.HeaderLen; left > 0; {
		piece, err := s.client.some(left)
		if err != nil {
			return true, err
		}
		left -= len(piece)
		if s.copyFrom == nil || !s.reading(false) {
			continue
		}
		s.borrow()
		s.copyData(piece)
		if err := s.forwardReady(); err != nil {
			return true, err
		}
	}
	return true, nil
}

// copyData passes a piece of the data on.
func (s *session) copyData(b []byte) {
	if s.loading != nil {
		s.load(b)
		return
	}
	start := len(s.toServer)
	s.toServer = pg.End(append(pg.Begin(s.toServer, pg.CopyData), b...), start)
}

// endCopy ends the data, well or not.
func (s *session) endCopy(kind byte, m []byte) error {
	from := s.copyFrom
	if s.loading != nil && kind == pg.CopyDone {
		if !s.endLoad() {
			return nil
		}
	}
	s.copyFrom, s.loading = nil, nil
	s.toServer = append(s.toServer, m...)
	if from.what == expectQuery { // there may be another COPY in the same string
		return s.awaitCopy(from)
	}
	return nil
}

// copyStarts is told that the server asks for data.
func (s *session) copyStarts(m []byte) error {
	format, columns, err := pg.CopyFormat(m)
	if err != nil {
		return err
	}
	r := s.first()
	if r == nil || !r.asksData {
		return errUnexpected(pg.CopyInResponse)
	}
	current := s.present(r)
	if current.stmt != nil && current.stmt.Copy != nil && !s.observing() {
		c := current.stmt.Copy
		if len(c.Fields) > 0 && (len(c.Fields) != columns || (c.Format == "binary") != (format == 1)) {
			return errUnexpected(pg.CopyInResponse) // the server has read another statement than we have
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copyIn, s.copyRun = true, current
	s.wake.Broadcast()
	return nil
}
