package gateway

import (
	"fmt"

	"sallyport/wire/pg"
)

// relayClient passes bytes on as they come, beginning with what the client sent before its log-in was over.
func (s *session) relayClient() error {
	for {
		if b := s.client.buf[s.client.at:]; len(b) > 0 {
			s.counters.in.Add(uint64(len(b)))
			s.watch.sees(s.gw, b)
			s.idle.Store(false)
			if _, err := s.server.write(b); err != nil {
				return err
			}
			s.client.at = len(s.client.buf)
			s.client.release()
		}
		if err := s.client.fill(1); err != nil {
			return err
		}
	}
}

// relayServer passes bytes on as they come and counts rows and statements on the way, beginning with what came behind the
// log-in. A message longer than the buffer goes through in pieces.
func (s *session) relayServer() error {
	_, err := s.client.write(s.out)
	s.gw.pool.put(s.out) // an idle session holds no buffer
	s.out = nil
	skip := 0 // of a message whose beginning was passed on already
	for ; err == nil; err = s.server.fill(pg.HeaderLen + 1) {
		if skip, err = s.relayReady(skip); err != nil {
			return err
		}
	}
	return err
}

// relayReady passes on what has been read but for a header of which a part is missing.
func (s *session) relayReady(skip int) (int, error) {
	b := s.server.buf[s.server.at:]
	n := min(skip, len(b))
	skip -= n
	for skip == 0 && len(b)-n >= pg.HeaderLen {
		kind, size, _, err := pg.Header(b[n:])
		if err != nil {
			return 0, err
		}
		if kind == pg.ReadyForQuery {
			if size != pg.HeaderLen+1 {
				return 0, fmt.Errorf("%w: a ReadyForQuery of %d bytes from the server", pg.ErrMalformed, size)
			}
			if len(b)-n < size {
				break // its status is still to come
			}
			s.idle.Store(b[n+pg.HeaderLen] == 'I')
		}
		s.answered(kind, size)
		s.countReply(kind, b[n:])
		skip = max(0, size-(len(b)-n))
		n += min(size, len(b)-n)
	}
	if n == 0 {
		return skip, nil
	}
	if _, err := s.client.write(b[:n]); err != nil {
		return 0, err
	}
	s.counters.out.Add(uint64(n)) //nolint:gosec // a length
	s.server.at += n
	s.server.release()
	if s.draining.Load() && s.idle.Load() && skip == 0 {
		s.end(s.drained())
		return 0, errEnded
	}
	return skip, nil
}

func (s *session) countReply(kind byte, m []byte) {
	switch kind {
	case pg.DataRow:
		s.counters.rows.Add(1)
	case pg.CommandComplete:
		s.counters.statements.Add(1)
	case pg.BackendKeyData:
		if _, size, _, err := pg.Header(m); err == nil && size <= len(m) {
			s.keepKey(m[:size])
		}
	}
}
