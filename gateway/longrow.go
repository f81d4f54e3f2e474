package gateway

import "sallyport/wire/pg"

// longRow is from which size on a row is passed in pieces where nothing in it is looked at.
const longRow = batchSize

// passLongRow passes a long row on as it comes, where its columns are known and nothing protected can stand in them. done is
// false where the next message is another one, or is not there yet.
func (s *session) passLongRow() (done bool, err error) {
	kind, size, ok, err := pg.Header(s.server.buf[s.server.at:])
	if err != nil || !ok || kind != pg.DataRow || size < longRow || s.server.buffered() >= size || !s.passesRows() {
		return false, nil // what is malformed, message reports
	}
	if err := s.flush(); err != nil {
		return true, err
	}
	if err := s.syncReads(); err != nil {
		return true, err
	}
	s.counters.rows.Add(1)
	for left := size; left > 0; {
		b, err := s.server.some(left)
		switch {
		case s.over.Load():
			s.torn = true
			return true, errEnded
		case err != nil && timedOut(err):
			if err := s.pause(); err != nil {
				s.torn = true
				return true, err
			}
			continue
		case err != nil:
			s.torn = true
			return true, err
		}
		n, err := s.client.write(b)
		s.tally.sent += uint64(len(b))
		s.counters.out.Add(uint64(n)) //nolint:gosec // a length
		if err != nil {
			s.torn = true
			return true, err
		}
		left -= len(b)
	}
	return true, nil
}

// passesRows says whether the rows that come now pass without a look.
func (s *session) passesRows() bool {
	r := s.first()
	if r == nil || r.what != expectRows && r.what != expectQuery {
		return false
	}
	current := s.present(r)
	if current.layout == nil && r.what == expectRows {
		current.layout = s.described[r.name]
	}
	return current.layout != nil && !current.layout.inspect && current.capture == nil
}
