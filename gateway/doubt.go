package gateway

import (
	"context"

	"sallyport/query"
)

// doubt is what the client's side still has to find out about a statement that is under way: whether the catalogue by which it was
// read holds what was committed before it came. Only a look-up by key (query.Statement.Lookup) is forwarded so, to a server that owes
// nothing, and the server's side takes up no message until it is known. So the question costs the time of the longer of two ways and
// not of both, and a result is never read by a catalogue that does not hold.
type doubt struct {
	ctx    context.Context //nolint:containedctx // of the statement; it ends with forward
	bases  []basis
	before []*query.Statement // what each of bases was taken for
}

// mostDoubted is how many bytes may be under way with a doubt: the server's socket takes them, whatever it is doing.
const mostDoubted = 4 << 10

// postpones says whether the question for a statement may be asked behind it, and notes that it must be.
func (s *session) postpones(ctx context.Context, b basis, st *query.Statement) bool {
	if !st.Lookup || b.body || s.gw.Observe != nil {
		return false
	}
	if s.doubt == nil {
		if !s.idle.Load() || s.owed() {
			return false
		}
		s.doubt = &doubt{ctx: ctx}
	}
	s.doubt.bases, s.doubt.before = append(s.doubt.bases, b), append(s.doubt.before, st)
	return true
}

// doubtful lets the server's side wait.
func (s *session) doubtful(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsure.Store(is)
	s.wake.Broadcast()
}

// sure waits until nothing that is under way is in doubt. Only the server's side calls it.
func (s *session) sure() error {
	if !s.unsure.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.unsure.Load() {
		if s.ending != nil || s.closed {
			return errEnded
		}
		s.wake.Wait()
	}
	return nil
}

// resolve asks whether the catalogue holds, behind the statements in doubt. Where one of them would be read otherwise now, its result
// is not for the client: the session ends, which is what a database that changes under a statement is worth.
func (s *session) resolve(d *doubt) {
	if refused := s.fresh(d.ctx); refused != nil {
		s.end(fatal(refused.Code, refused.Sentence, refused.Hint))
		return
	}
	for i := range d.bases {
		if !s.stands(&d.bases[i], d.before[i]) {
			s.end(fatal(codeChanged, "the database changed under the statement", "Connect again, and try again."))
			return
		}
	}
	s.doubtful(false)
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
