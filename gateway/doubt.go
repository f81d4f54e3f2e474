package gateway

import (
	"context"

	"sallyport/catalog"
	"sallyport/query"
	"sallyport/wire/pg"
)

// doubt is what has to be found out about statements that are under way: whether the catalogue by which they were read holds what was
// committed before they came. Only look-ups by key (query.Statement.Lookup) are forwarded so, to a server that is at rest. In front
// of them it is asked for its moment, by a function call of the protocol (55.2.4), in a transaction of its own: nothing of the session is open
// that it could end. The answer comes first, while the server is at the statement already, and the server's side takes up nothing behind
// it before all is known; so a result is never read by a catalogue that does not hold.
type doubt struct {
	bases  []basis
	before []*query.Statement // what each of bases was taken for
	runs   []*run             // whose entries are made meanwhile
	sent   bool               // nothing more is added; session.mu guards it
}

// postpones says whether the question for a statement may be asked together with it, and sees to it that it is.
func (s *session) postpones(b basis, st *query.Statement) bool {
	if !st.Lookup || b.body || s.observing() {
		return false
	}
	if s.doubt == nil {
		if !s.begins || len(s.toServer) > 0 || !s.idle.Load() || !s.atRest() {
			return false
		}
		s.doubt = &doubt{}
		s.expectReply(&reply{what: expectMoment, doubt: s.doubt})
		s.toServer = pg.AppendFunctionCall(s.toServer, catalog.MomentFunction)
	}
	s.doubt.bases, s.doubt.before = append(s.doubt.bases, b), append(s.doubt.before, st)
	return true
}

// atRest says whether the server owes nothing and skips nothing.
func (s *session) atRest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) == 0 && !s.skipping && !s.copyIn
}

// handDoubt gives what is in doubt to the server's side, before it is sent.
func (s *session) handDoubt() {
	if s.doubt == nil {
		return
	}
	s.mu.Lock()
	s.doubt.sent = true
	s.mu.Unlock()
	s.doubt = nil
}

// answerMoment is the end of the answer to the question. Where a statement would be read otherwise now, its result is not for the client:
// the session ends, which is what a database that changes under a statement is worth.
func (s *session) answerMoment(ctx context.Context, d *doubt) error {
	s.done()
	s.mu.Lock()
	sent := d.sent
	s.mu.Unlock()
	if !sent {
		return errUnexpected(pg.ReadyForQuery)
	}
	holds := s.gw.Protection.Catalog.Holds(s.moment)
	s.moment = s.moment[:0]
	why := s.enqueueReads(d.runs)
	if why == nil && !holds {
		var err error
		if why, err = s.freshBeside(ctx); err != nil {
			return err
		}
	}
	for i := range d.bases {
		if why == nil && !s.stands(&d.bases[i], d.before[i]) {
			why = refusal(codeChanged, "the database changed under the statement", "Connect again, and try again.")
		}
	}
	if why != nil {
		s.end(fatal(why.Code, why.Sentence, why.Hint))
		return errEnded
	}
	return nil
}

// freshBeside is fresh, of which the end of the session need not wait for the end.
func (s *session) freshBeside(ctx context.Context) (*query.Refusal, error) {
	var why *query.Refusal
	answered := false // s.mu guards both
	s.asking.Go(func() {
		defer s.guard()
		refused := s.fresh(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		why, answered = refused, true
		s.wake.Broadcast()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for !answered {
		if s.ending != nil || s.closed {
			return nil, errEnded
		}
		s.wake.Wait()
	}
	return why, nil
}

// stands tells whether a statement means by the catalogue of now what it was taken for.
func (s *session) stands(b *basis, before *query.Statement) bool {
	current := s.analyzer()
	if current == b.analyzer {
		return true
	}
	plan, err := current.Analyze(b.source, true)
	return err == nil && b.means(plan, before)
}
