package gateway

import (
	"errors"

	"sallyport"
)

// behind is a full batch that is put on record and sent while the next one is made: a long result would otherwise stand still
// for each sync and for each time that the client has to catch up. There is one at most, and whatever else is recorded or sent
// waits for it (join), so that the order stays.
type behind struct {
	done        chan error // nil: none is under way
	out         []byte
	values      sallyport.Values
	reached     []sallyport.Subject
	reachedRows []sallyport.Digest
	reads       uint64 // of session.reads, that are on disk with it
}

// errUnrecorded says that a batch could not be recorded, so it was not sent.
var errUnrecorded = errors.New("the record cannot be written")

// handOver gives the batch away to be recorded and sent.
func (s *session) handOver() error {
	if err := s.join(); err != nil {
		return err
	}
	e, err := s.batchEvent()
	if err != nil {
		return err
	}
	b := &s.behind
	s.tally.sent += uint64(len(s.out))
	b.out, s.out, s.clean = s.out, b.out[:0], 0
	clear(s.recent)
	b.values, s.values = s.values, b.values
	s.values.Reset()
	b.reached, s.reached = s.reached, b.reached[:0]
	b.reachedRows, s.reachedRows = s.reachedRows, b.reachedRows[:0]
	s.keys = keyTexts{}
	b.reads = s.reads.Load()
	s.columns, s.lastOf, s.grant = nil, nil, ""
	b.done = make(chan error, 1)
	go func() {
		err := errEnded // where guard has to catch something
		defer func() { b.done <- err }()
		defer s.guard()
		err = s.deliver(b, e)
	}()
	return nil
}

// deliver records a batch and only then sends it.
func (s *session) deliver(b *behind, e *sallyport.Event) (err error) {
	if e != nil {
		_, err = s.gw.Access.Append(e)
	} else if b.reads != s.synced { // which changes in join only
		err = s.gw.Access.Sync()
	}
	if err != nil {
		return errUnrecorded
	}
	s.gw.countLook(e)
	n, err := s.client.write(b.out)
	s.counters.out.Add(uint64(n)) //nolint:gosec // a length
	return err
}

// join waits until the batch before has left. What it held is used again for the next but one. Behind one that has not left as a whole
// nothing leaves.
func (s *session) join() error {
	b := &s.behind
	switch {
	case b.done != nil:
	case s.torn:
		return errEnded
	default:
		return nil
	}
	err := <-b.done
	b.done = nil
	switch {
	case err == nil:
		s.synced = max(s.synced, b.reads)
		return s.mayLeave()
	case errors.Is(err, errUnrecorded):
		return s.unrecorded()
	}
	s.torn = true
	return err
}

// release gives the buffers back, between results.
func (b *behind) release(pool *buffers) {
	if b.done == nil && b.out != nil {
		pool.put(b.out)
		*b = behind{}
	}
}
