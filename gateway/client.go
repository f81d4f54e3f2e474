package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/query"
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
	if s.gw.Observe == nil {
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
		kind, m, err := s.client.message()
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

// borrow makes sure that there is a buffer for what the server gets.
func (s *session) borrow() {
	if s.toServer == nil {
		s.toServer = s.gw.pool.get()
	}
}

// relayClient passes bytes on as they come, beginning with what the client sent before its log-in was over.
func (s *session) relayClient() error {
	for {
		if b := s.client.buf[s.client.at:]; len(b) > 0 {
			s.counters.in.Add(uint64(len(b)))
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

// forward writes what has been collected for the server.
func (s *session) forward() error {
	if len(s.toServer) == 0 {
		return nil
	}
	_, err := s.server.write(s.toServer)
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
	return err
}

// take is one message of the client's: what the server gets instead of it stands in toServer afterwards.
func (s *session) take(ctx context.Context, kind byte, m []byte) error {
	if done, err := s.takeCopy(kind, m); done || err != nil {
		return err
	}
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

// run is one execution of one statement.
type run struct {
	id       uint64
	stmt     *query.Statement // what is executed; nil: a cursor that SQL made, of which nothing is known
	outer    *query.Statement // the statement as it stands: EXECUTE, where stmt is the prepared one
	cursor   string           // where stmt is nil
	prepares *prepared        // what becomes known once the server confirms SQL's PREPARE
	rewriting
	sight    *sight // nil until it is needed
	recorded bool   // its statement entry is on disk

	layout    *layout // of its result
	capture   *query.Capture
	bound     *pg.BindMessage                            // its parameters; nil: none
	pinned    func(slot *query.Slot, stored []byte) bool // says whether the row that a slot goes to holds the token already
	copied    []sallyport.Column                         // of which tokens are on record as copied by it
	revealed  int                                        // values
	left      int                                        // protected values that left as tokens
	spent     bool
	dropped   bool // rows of it were kept from the client
	limit     *sallyport.Limit
	hint      sallyport.Subject // a customer whose row was reached: whose ticket would have helped
	leftToken string            // the first token that was left, where the customer is not known
}

// rewriting is a text before and after, to carry the server's positions back to the client's text.
type rewriting struct {
	text, sent string
	edits      []applied
}

// touches says whether anything protected may be concerned.
func (r *run) touches() bool { return r.stmt != nil && r.stmt.Touches }

// quiet says that a statement needs nothing before it is forwarded but its place in the queue.
func quiet(st *query.Statement) bool {
	return !st.Touches && !st.Masks && len(st.Edits) == 0 && st.Refusal == nil && st.Prepare == nil && st.Execute == nil &&
		st.Capture == nil && st.Comment == nil && len(st.Params) == 0 && len(st.Powers) == 0 && len(st.Copies) == 0
}

// changes says whether purpose or transaction may change with a statement.
func changes(st *query.Statement) bool { return st.Purpose != nil || st.Tx != nil }

// renames says whether a name of a prepared statement may mean something else after a statement.
func renames(st *query.Statement) bool {
	return st.Prepare != nil || st.Deallocate != nil || st.Purpose != nil && st.Purpose.All
}

// analyze is the plan of a text, or why there is none. Where a backslash stands in it, its reading hangs on settings, and the
// server tells of those only before ReadyForQuery: so what was sent before is awaited, and behind a statement that was
// executed since the last Sync such strings cannot be read at all.
func (s *session) analyze(ctx context.Context, sql string) (*query.Plan, *query.Refusal) {
	backslash := strings.IndexByte(sql, '\\') >= 0
	if backslash {
		if err := s.drain(); err != nil {
			return nil, refusal(codeShutdown, "the session ends", "")
		}
	}
	s.mu.Lock()
	scs, foreign := !s.unread, s.foreign
	s.mu.Unlock()
	if backslash && s.unsynced {
		scs = false
		if !ascii(sql) {
			return nil, refusal(codeUnsupported, "letters beside a backslash cannot be read safely behind a statement that may change client_encoding",
				"Send a Sync before it.")
		}
	}
	plan, err := s.plan(ctx, sql, scs)
	if err != nil {
		if r, ok := errors.AsType[*query.Refusal](err); ok {
			return nil, r
		}
		return nil, refusal("42601", "the statement cannot be analysed", "")
	}
	for i := range plan.Statements {
		if refused := s.refuses(&plan.Statements[i], sql, foreign); refused != nil {
			return plan, refused
		}
	}
	return plan, nil
}

// refuses is why a statement does not pass, whatever may be known once it is executed. foreign: client_encoding is not UTF8.
func (s *session) refuses(st *query.Statement, sql string, foreign bool) *query.Refusal {
	switch {
	case st.Refusal != nil:
		return st.Refusal
	case foreign && (st.Prepare != nil || st.Execute != nil || st.Deallocate != nil) && !ascii(sql):
		return refusal(codeUnsupported, "names of prepared statements are ASCII in this client_encoding", "SET client_encoding = 'UTF8'; and try again.")
	case foreign && st.Touches:
		return refusal(codeUnsupported, "protected columns are reached with client_encoding UTF8 only", "SET client_encoding = 'UTF8'; and try again.")
	}
	if refused := s.mayCopy(st); refused != nil {
		return refused
	}
	return s.mayUse(st)
}

// plan analyses a text by a catalogue that holds whatever was committed before it came, where that may matter.
func (s *session) plan(ctx context.Context, sql string, scs bool) (*query.Plan, error) {
	analyzer := s.analyzer()
	s.by = analyzer // or a later one: then what is prepared of it is looked at once more
	plan, err := analyzer.Analyze(sql, scs)
	if err != nil || !slices.ContainsFunc(plan.Statements, func(st query.Statement) bool { return leans(&st) }) {
		return plan, err
	}
	if refused := s.fresh(ctx); refused != nil {
		return nil, refused
	}
	if current := s.analyzer(); current != analyzer {
		return current.Analyze(sql, scs)
	}
	return plan, nil
}

func leans(st *query.Statement) bool {
	return st.Leans || st.Prepare != nil && st.Prepare.Body != nil && st.Prepare.Body.Leans
}

// freshTimeout bounds how long a statement waits for the catalogue: it may be its own transaction that keeps it from being read.
const freshTimeout = 3 * time.Second

func (s *session) fresh(ctx context.Context) *query.Refusal {
	ctx, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()
	if _, err := s.gw.Protection.Catalog.Fresh(ctx); err != nil {
		s.gw.Log.Warn("the catalogue cannot be read", "reason", plainReason(err))
		return refusal(codeAway, "what is protected cannot be looked up now", "Try again in a moment; the administrator sees the reason in Sallyport's log.")
	}
	return nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// prepareRun does for one statement what must be done before it is forwarded: who, why, tokens, budget of probes.
// current is the purpose that will hold when the server reaches it.
func (s *session) prepareRun(ctx context.Context, st *query.Statement, current string) (*run, *query.Refusal, error) {
	r := &run{id: s.statements.Add(1), stmt: st, capture: st.Capture}
	if st.Verb == "DECLARE" {
		s.noteCursor(st.Cursor, st)
	}
	claimed := st.Comment
	if st.Purpose != nil {
		claimed = &st.Purpose.Value
	}
	if claimed != nil {
		if refused := s.probePurpose(ctx, r, *claimed); refused != nil {
			return nil, refused, nil
		}
	}
	if st.Touches || st.Comment != nil {
		sight, err := s.look(ctx, st, current)
		if err != nil {
			return nil, refusal(codeAway, "the purpose cannot be checked now", "Try again in a moment."), nil
		}
		r.sight = sight
	}
	if st.Touches && st.Writes {
		r.pinned = s.pinning(ctx, r)
	}
	return r, nil, nil
}

// recordStatement puts the statement on record. What may change something is on disk before it is forwarded; what only reads is on disk before
// anything of its result leaves (syncReads), mostly together with what it revealed.
func (s *session) recordStatement(r *run) *query.Refusal {
	if r.recorded {
		return nil
	}
	if refused := s.recordPower(r); refused != nil {
		return refused
	}
	if refused := s.recordCopies(r); refused != nil || !r.touches() {
		return refused
	}
	put, reads := s.gw.Access.Append, uint64(0)
	if r.stmt.Verb == "SELECT" && !r.stmt.Writes && !s.gw.Access.Failing() {
		put, reads = s.gw.Access.Enqueue, 1
	}
	if _, err := put(s.statementEvent(r, nil)); err != nil {
		return refusal(codeJournal, "the record cannot be written, so nothing protected is reached", "The administrator reads the cause in Sallyport's log and must look at the disk of Sallyport's data folder. Other tables are not concerned.")
	}
	r.recorded = true
	s.reads.Add(reads)
	return nil
}

func (s *session) statementEvent(r *run, refused *query.Refusal) *sallyport.Event {
	e := &sallyport.Event{Kind: sallyport.StatementKind, Time: s.gw.Clock(), Who: s.who, Statement: &sallyport.Statement{ID: r.id}}
	if r.stmt != nil {
		e.Statement.Fingerprint, e.Statement.Verb, e.Statement.Columns, e.Statement.Writes = r.stmt.Fingerprint, r.stmt.Verb, r.stmt.Columns, r.stmt.Writes
	}
	if r.sight != nil {
		e.Statement.Purposes, e.Statement.Covers = r.sight.purposes, r.sight.subjects(100)
	}
	if refused != nil {
		e.Kind, e.Statement.Refused, e.Note = sallyport.RefusedKind, refused.Code, refused.Sentence
	}
	return e
}

// noteRefusal records that a statement was refused.
func (s *session) noteRefusal(st *query.Statement, why *query.Refusal) {
	if st == nil {
		st = &query.Statement{}
	}
	e := s.statementEvent(&run{id: s.statements.Add(1), stmt: st}, why)
	if why.Code == "42601" {
		e.Note = "" // a parser's sentence quotes the text
	}
	switch {
	case why.Decision != nil:
		s.noteDenial(e, why.Decision)
		return
	case len(st.Powers) > 0:
		s.notePower(e, st.Powers)
		return
	}
	s.note(*e)
}
