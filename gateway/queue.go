package gateway

import (
	"slices"

	"sallyport/query"
	"sallyport/wire/pg"
)

// expect is what a reply answers.
type expect uint8

const (
	expectParse expect = iota
	expectBind
	expectStatement // Describe of a statement
	expectPortal    // Describe of a portal
	expectRows      // Execute
	expectClose
	expectSync
	expectQuery  // a simple query: several statements, then ReadyForQuery
	expectLook   // what the server thinks of the grammar of a text that could not be parsed here
	expectCall   // a function call: its result, then ReadyForQuery
	expectMoment // the gateway's own function call in front of what is in doubt
)

// reply is one entry of the queue of expected replies.
type reply struct {
	what     expect
	name     string         // of statement or portal
	swallow  bool           // it answers something that the gateway injected
	changes  bool           // purpose or transaction may change with it
	renames  bool           // names of prepared statements may change with it
	refused  *query.Refusal // the error that comes is ours
	text     string         // expectLook: the text as the client wrote it
	stmt     *prepared      // expectParse: confirmed with the reply; expectStatement: whose description
	run      *run           // expectRows, and the present one of expectQuery
	plan     *query.Plan    // expectQuery: to find the next run
	next     int            // expectQuery: index of the next statement
	runs     []*run         // expectQuery: those that were prepared beforehand, by index; nil: nothing to say of that one
	asksData bool           // the server may ask the client for the data of COPY FROM STDIN
	doubt    *doubt         // expectMoment
	says     *pg.Notice     // what the client reads when it comes
	broken   *query.Refusal // why the gateway failed the COPY; session.mu guards it
}

// endsReady says whether ReadyForQuery ends what the reply answers, also behind an error.
func (r *reply) endsReady() bool {
	return r.what == expectSync || r.what == expectQuery || r.what == expectCall || r.what == expectMoment
}

// expectReply appends to the queue, unless the server will not answer: after an error in the extended protocol it skips
// everything up to Sync (55.2.3). A statement whose Parse is skipped was never prepared.
func (s *session) expectReply(r *reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.what == expectSync:
		s.skipping = false
	case s.skipping:
		s.unprepare(r, false)
		return
	}
	if len(s.queue) == 0 {
		s.queue = s.room[:0] // from its beginning again: a queue that only moves on would grow for ever
	}
	s.queue = append(s.queue, r)
	if len(s.queue) == 1 {
		s.room = s.queue[:0]
	}
}

// first is the entry that the next reply answers, or nil. Only the server's side asks, and only it takes entries away.
func (s *session) first() *reply {
	if s.head != nil {
		return s.head
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 {
		s.head = s.queue[0]
	}
	return s.head
}

// done removes the first entry.
func (s *session) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head = nil
	s.queue[0] = nil
	s.queue = s.queue[1:]
	if len(s.queue) == 0 {
		s.underway.Store(false)
	}
	s.wake.Broadcast()
}

// skip drops what the server skips after an error in the extended protocol: everything up to the next Sync.
func (s *session) skip() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copyIn = false
	s.head = nil
	n := len(s.queue)
	for i, r := range s.queue {
		if r.what == expectSync {
			n = i
			break
		}
	}
	for i, r := range slices.Backward(s.queue[:n]) { // so that a name means again what it meant before the first of them
		s.unprepare(r, i == 0)
	}
	s.skipping = n == len(s.queue)
	s.queue = s.queue[n:]
	if len(s.queue) == 0 {
		s.underway.Store(false)
	}
	s.wake.Broadcast()
}

// unprepare restores what a name meant before a Parse that failed or was skipped, also under what was parsed later and is not
// answered yet. A failed one has dropped the unnamed statement before it failed. The caller holds mu.
func (s *session) unprepare(r *reply, failed bool) {
	if r.what != expectParse || r.stmt == nil {
		return
	}
	name, before := r.stmt.name, r.stmt.before
	if failed && name == "" {
		before = nil
	}
	top := s.prepared[name]
	switch {
	case top != r.stmt:
		for p := top; p != nil; p = p.before {
			if p.before == r.stmt {
				p.before = before
			}
		}
	case before == nil:
		delete(s.prepared, name)
	default:
		s.prepared[name] = before
	}
}

// awaitAll waits until no reply is due at all.
func (s *session) awaitAll() error {
	return s.await(func() bool { return len(s.queue) > 0 }, true)
}

// started waits for the end of the log-in: only then is it known how the server reads strings.
func (s *session) started() error {
	return s.await(func() bool { return len(s.queue) > 0 }, false)
}

// settle waits until no reply is due that may change the purpose. It asks the server to answer what it has: a client may
// send SET and what depends on it in one go.
func (s *session) settle() error { return s.await(s.changing, true) }

// await waits while due says so, which is called with mu held. ask has the server send what it has.
func (s *session) await(due func() bool, ask bool) error {
	s.mu.Lock()
	waiting := due()
	s.mu.Unlock()
	if !waiting {
		return nil
	}
	if ask {
		s.toServer = append(s.toServer, flushMessage...)
		if err := s.forward(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for due() {
		if s.closed || s.ending != nil {
			return errEnded
		}
		s.wake.Wait()
	}
	return nil
}

// owed says whether any reply is due.
func (s *session) owed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) > 0
}

func (s *session) unsettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changing()
}

func (s *session) changing() bool {
	return slices.ContainsFunc(s.queue, func(r *reply) bool { return r.changes })
}

func (s *session) renaming() bool {
	return slices.ContainsFunc(s.queue, func(r *reply) bool { return r.renames })
}

var flushMessage = []byte{'H', 0, 0, 0, 4} //nolint:gochecknoglobals // a constant that Go cannot write as one
