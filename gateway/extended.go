package gateway

import (
	"context"
	"encoding/binary"
	"slices"

	"sallyport/query"
	"sallyport/wire/pg"
)

// prepared is a statement that the server keeps under a name, by Parse or by PREPARE.
type prepared struct {
	name      string
	stmt      *query.Statement // nil: an empty one
	rewriting                  // of its text
	basis     basis            // what it was analysed by
	batch     uint64           // the batch in which Parse was sent
	confirmed bool
	before    *prepared // what the name meant until this is confirmed
	fields    int       // columns that the client knows of, −1 until described; only where a RETURNING was added
}

// basis is what a statement was analysed from: the index-th of a text, or what that one PREPAREs.
type basis struct {
	source   string
	index    int
	body     bool
	analyzer *query.Analyzer
}

// prepares is what becomes known once the server has executed SQL's PREPARE, nil for any other statement.
func (p *prepared) prepares() *prepared {
	if p == nil || p.stmt == nil || p.stmt.Prepare == nil {
		return nil
	}
	known := &prepared{name: p.stmt.Prepare.Name, stmt: p.stmt.Prepare.Body, basis: p.basis}
	known.basis.body = true
	return known
}

// portal is a bound statement.
type portal struct {
	prepared  *prepared
	run       *run
	batch     uint64 // in which it was bound or last described
	described bool   // a Describe of this portal was sent since Bind
	executed  bool
}

// lookup is the statement of that name, or nil. What was parsed in an earlier batch and is not confirmed yet may have
// failed, so its reply is awaited; so is that of PREPARE and DEALLOCATE.
func (s *session) lookup(name string) (*prepared, error) {
	if err := s.await(s.renaming, true); err != nil {
		return nil, err
	}
	p, settled := s.named(name)
	if settled {
		return p, nil
	}
	if err := s.forward(); err != nil { // the Sync that brings the reply may not have left yet
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		p := s.prepared[name]
		if p == nil || p.confirmed {
			return p, nil
		}
		if s.closed || s.ending != nil {
			return nil, errEnded
		}
		s.wake.Wait()
	}
}

func (s *session) named(name string) (p *prepared, settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p = s.prepared[name]
	return p, p == nil || p.confirmed || p.batch == s.batchID
}

// takeParse analyses and rewrites a statement's text once, for all its executions.
func (s *session) takeParse(ctx context.Context, m []byte) error {
	msg, err := pg.ParseParse(m)
	if err != nil {
		return err
	}
	sql, name := string(msg.SQL), string(msg.Name)
	if s.longName(msg.Name) {
		return nil
	}
	p := &prepared{name: name, batch: s.batchID, rewriting: rewriting{text: sql, sent: sql}, fields: -1}
	plan, refused := s.analyzeParse(ctx, sql)
	if refused != nil && !s.observing(refused.Sentence) {
		return s.refuseParse(p, s.refusedStatement(plan, refused), refused)
	}
	if plan != nil && len(plan.Statements) > 1 && s.gw.Observe == nil { // the server would say so, after it had read all of it
		s.noteRefusal(nil, refusal(query.CodeSyntax, "several statements in one Parse", ""))
		p.sent = "SELECT; SELECT" // so it says so of these
		return s.sendParse(p, nil, nil)
	}
	p.basis = basis{source: sql, analyzer: s.by}
	if plan != nil && len(plan.Statements) > 0 {
		p.stmt = &plan.Statements[0]
	}
	if p.stmt != nil && s.gw.Observe == nil && (len(p.stmt.Edits) > 0 || p.stmt.Capture != nil || p.stmt.Execute != nil) {
		if refused, err := s.rewriteParse(ctx, p); err != nil {
			return err
		} else if refused != nil {
			return s.refuseParse(p, p.stmt, refused)
		}
	}
	if p.stmt != nil && s.gw.Observe != nil && p.stmt.Capture != nil {
		c := p.stmt.Capture
		p.sent, p.edits = rewrite(sql, []query.Edit{{Start: c.At, End: c.At, Text: c.Text}}, nil)
	}
	return s.sendParse(p, msg.Types, nil)
}

// sendParse gives a name its meaning. What PREPARE and DEALLOCATE do to names is done before.
func (s *session) sendParse(p *prepared, types []byte, refused *query.Refusal) error {
	if p.name != "" {
		if err := s.await(s.renaming, true); err != nil {
			return err
		}
	}
	s.mu.Lock()
	p.before = s.prepared[p.name]
	s.prepared[p.name] = p
	s.mu.Unlock()
	s.expectReply(&reply{what: expectParse, stmt: p, refused: refused})
	s.toServer = pg.AppendParse(s.toServer, p.name, p.sent, types)
	return nil
}

// refuseParse sends a Parse of that name that fails: a failed one drops the unnamed statement.
func (s *session) refuseParse(p *prepared, st *query.Statement, why *query.Refusal) error {
	s.noteRefusal(st, why)
	s.askGrammar(p.text, why)
	p.sent = failing
	return s.sendParse(p, nil, why)
}

// rewriteParse tokenises the literals of a text that is parsed now and executed later.
func (s *session) rewriteParse(ctx context.Context, p *prepared) (*query.Refusal, error) {
	current, err := s.currentPurpose(p.stmt)
	if err != nil {
		return nil, err
	}
	if p.stmt.Execute != nil && len(p.stmt.Execute.Args) > 0 {
		// What the name means may change between this Parse and its Execute.
		return refusal(codeUnsupported, "EXECUTE with arguments is passed on in simple queries only", "Bind the prepared statement itself."), nil
	}
	r, edits, refused, err := s.prepareOne(ctx, p.stmt, current, map[string]*prepared{})
	if refused != nil || err != nil {
		return refused, err
	}
	tokens := map[int]string{}
	for i, e := range edits {
		if e.Slot == nil {
			continue
		}
		tok, refused := s.literal(r, e.Slot)
		if refused != nil {
			return refused, nil
		}
		tokens[i] = tok
	}
	if c := p.stmt.Capture; c != nil {
		edits = append(slices.Clone(edits), query.Edit{Start: c.At, End: c.At, Text: c.Text})
	}
	p.sent, p.edits = rewrite(p.text, edits, tokens)
	return nil, nil
}

// currentPurpose is the purpose that holds now; where the statement touches nothing it does not matter and is not awaited.
func (s *session) currentPurpose(st *query.Statement) (string, error) {
	if st.Touches || st.Comment != nil || len(st.Params) > 0 {
		if err := s.settle(); err != nil {
			return "", err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setting.value(), nil
}

// refuseMessage sends a Parse that fails in place of the client's message; the server then skips to Sync, as after any error.
func (s *session) refuseMessage(st *query.Statement, why *query.Refusal) {
	s.noteRefusal(st, why)
	s.expectReply(&reply{what: expectBind, refused: why})
	s.toServer = pg.AppendParse(s.toServer, failingName, failing, nil)
}

// takeBind tokenises parameters.
func (s *session) takeBind(ctx context.Context, m []byte) error {
	msg, err := pg.ParseBind(m)
	if err != nil {
		return err
	}
	if s.longName(msg.Statement) || s.longName(msg.Portal) {
		return nil
	}
	p, err := s.lookup(string(msg.Statement))
	if err != nil {
		return err
	}
	if p == nil {
		s.refuseMessage(nil, noStatement(string(msg.Statement)))
		return nil
	}
	bound := &portal{prepared: p, batch: s.batchID}
	if refused, err := s.renew(ctx, p); err != nil {
		return err
	} else if refused != nil {
		s.refuseMessage(p.stmt, refused)
		return nil
	}
	if p.stmt != nil && s.gw.Observe == nil && (p.stmt.Touches || p.stmt.Masks || len(p.stmt.Params) > 0 || p.stmt.Capture != nil || len(p.stmt.Powers) > 0 || len(p.stmt.Copies) > 0) {
		refused, err := s.bindRun(ctx, bound, &msg)
		if err != nil {
			return err
		}
		if refused != nil {
			s.refuseMessage(p.stmt, refused)
			return nil
		}
		m = pg.AppendBind(nil, &msg)
	}
	if p.stmt != nil && s.gw.Observe != nil && p.stmt.Capture != nil {
		bound.run = &run{id: s.statements.Add(1), stmt: p.stmt, outer: p.stmt, rewriting: p.rewriting, capture: p.stmt.Capture}
		extendResults(&msg, p.stmt.Capture)
		m = pg.AppendBind(nil, &msg)
	}
	name := string(msg.Portal)
	if name != "" && p.stmt != nil {
		s.noteCursor(name, p.stmt) // FETCH finds it too
	}
	s.portals[name] = bound
	s.expectReply(&reply{what: expectBind, name: name, stmt: p})
	return s.send(m)
}

func (s *session) bindRun(ctx context.Context, bound *portal, msg *pg.BindMessage) (*query.Refusal, error) {
	st := bound.prepared.stmt
	current, err := s.currentPurpose(st)
	if err != nil {
		return nil, err
	}
	r, refused, err := s.prepareRun(ctx, st, current)
	if refused != nil || err != nil {
		return refused, err
	}
	r.outer, r.rewriting, r.bound = st, bound.prepared.rewriting, msg
	bound.run = r
	for i := range st.Params {
		if refused := s.parameter(r, &st.Params[i], msg); refused != nil {
			return refused, nil
		}
	}
	r.bound = nil // its bytes are the stream's
	extendResults(msg, st.Capture)
	return nil, nil
}

// extendResults asks for the columns that the gateway added in text, where the client named a format for each column.
func extendResults(msg *pg.BindMessage, c *query.Capture) {
	if c != nil && len(msg.Results) > 2 {
		msg.Results = append(slices.Clone(msg.Results), make([]byte, 2*c.Columns)...)
	}
}

// parameter tokenises one use of a parameter in place.
func (s *session) parameter(r *run, use *query.Param, msg *pg.BindMessage) *query.Refusal {
	i := use.Number - 1
	if i < 0 || i >= len(msg.Params) || msg.Params[i] == nil {
		return nil // the server refuses a wrong number; NULL stays
	}
	value, binaryForm := msg.Params[i], msg.Format(i) == 1
	var out []byte
	var refused *query.Refusal
	switch {
	case use.Slot.Array:
		out, refused = s.arrayElements(r, &use.Slot, value, binaryForm)
	case binaryForm && use.Slot.Scheme == "date":
		out, refused = s.binaryDate(r, &use.Slot, value)
	default: // text and varchar are the same bytes in both formats
		out, refused = s.slot(r, &use.Slot, value)
	}
	if refused == nil {
		msg.Params[i] = out
	}
	return refused
}

// binaryDate tokenises a date as date_send writes it: days since 2000-01-01 in 4 bytes.
func (s *session) binaryDate(r *run, slot *query.Slot, value []byte) ([]byte, *query.Refusal) {
	if len(value) != 4 {
		return nil, refusal(codeValue, "the value for "+slot.Column.String()+" is not a date", "")
	}
	day := int32(binary.BigEndian.Uint32(value)) //nolint:gosec // signed on the wire
	text, ok := appendISODate(nil, day)
	if !ok {
		return nil, refusal(codeValue, "the value for "+slot.Column.String()+" is not a day that a token can stand for", "")
	}
	tok, refused := s.slot(r, slot, text)
	if refused != nil {
		return nil, refused
	}
	if day, ok = parseISODate(tok); !ok {
		return nil, refusal(codeValue, "the value for "+slot.Column.String()+" cannot be tokenised", "")
	}
	return binary.BigEndian.AppendUint32(nil, uint32(day)), nil //nolint:gosec // signed on the wire
}

// takeDescribe notes whose description comes.
func (s *session) takeDescribe(m []byte) error {
	what, target, err := pg.ParseTarget(m)
	if err != nil {
		return err
	}
	if s.longName(target) {
		return nil
	}
	name := string(target)
	if what == 'P' {
		if p := s.portals[name]; p != nil {
			p.described, p.batch = true, s.batchID
		}
		s.expectReply(&reply{what: expectPortal, name: name, run: s.portalRun(name)})
	} else {
		p, err := s.lookup(name)
		if err != nil {
			return err
		}
		s.expectReply(&reply{what: expectStatement, name: name, stmt: p})
	}
	s.toServer = append(s.toServer, m...)
	return nil
}

func (s *session) portalRun(name string) *run {
	switch p := s.portals[name]; {
	case p == nil:
		return &run{cursor: name}
	case p.run == nil && p.prepared != nil && p.prepared.stmt != nil:
		return &run{stmt: p.prepared.stmt, rewriting: p.prepared.rewriting}
	default:
		return p.run
	}
}

// takeExecute records and forwards. The result's columns must be known before its rows come, so a Describe is put in
// front where the client sends none; its reply is swallowed. (FACTS: clean in every case.)
func (s *session) takeExecute(ctx context.Context, m []byte) error {
	target, most, err := pg.ParseExecute(m)
	if err != nil {
		return err
	}
	if s.longName(target) {
		return nil
	}
	name := string(target)
	bound, err := s.boundPortal(name)
	if err != nil {
		return err
	}
	s.unsynced = true
	if r := bound.run; r != nil && bound.executed && r.capture != nil && !r.capture.HadReturning {
		// The server would go on with the rows that are returned to us. Whether the portal is still there is its to say.
		s.expectReply(&reply{what: expectPortal, name: name, swallow: true, run: r})
		s.toServer = pg.AppendTarget(s.toServer, pg.Describe, 'P', name)
		s.refuseMessage(r.stmt, ranPortal(name))
		return nil
	}
	s.counters.statements.Add(1)
	r, refused, err := s.executeRun(ctx, name, bound)
	if err != nil {
		return err
	}
	if refused != nil {
		s.refuseMessage(r.stmt, refused)
		return nil
	}
	if !bound.described {
		bound.described = true
		s.expectReply(&reply{what: expectPortal, name: name, swallow: true, run: r})
		s.toServer = pg.AppendTarget(s.toServer, pg.Describe, 'P', name)
	}
	entry := &reply{what: expectRows, name: name, run: r}
	if st := r.outer; st != nil {
		entry.changes, entry.renames, entry.copies = changes(st), renames(st), copiesIn(st)
	}
	s.expectReply(entry)
	if r.capture != nil && !r.capture.HadReturning && most != 0 {
		m = pg.AppendExecute(nil, name, 0) // the client expects no rows, so it gets no suspension either
	}
	s.toServer = append(s.toServer, m...)
	if entry.copies {
		return s.awaitCopy(entry)
	}
	return nil
}

// boundPortal is the portal of that name; one of which nothing is known is a cursor that SQL declared, or one that the server
// does not know either. One of an earlier batch has gone with its transaction, or a cursor may have its name by now.
func (s *session) boundPortal(name string) (*portal, error) {
	bound := s.portals[name]
	if bound == nil {
		return &portal{}, nil
	}
	if bound.batch == s.batchID {
		return bound, nil
	}
	if err := s.drain(); err != nil {
		return nil, err
	}
	if s.idle.Load() {
		delete(s.portals, name)
		return &portal{}, nil
	}
	bound.batch, bound.described = s.batchID, false
	return bound, nil
}

// executeRun is the run of this Execute: Bind's for the first, a fresh one when a suspended portal goes on or a quiet
// statement is executed. The purpose is looked at again at each.
func (s *session) executeRun(ctx context.Context, name string, bound *portal) (*run, *query.Refusal, error) {
	r := bound.run
	if r == nil {
		r = &run{id: s.statements.Add(1), cursor: name}
		p := bound.prepared
		if p == nil || p.stmt == nil {
			return r, nil, nil
		}
		r.stmt, r.outer, r.rewriting, r.prepares = p.stmt, p.stmt, p.rewriting, p.prepares()
		return r, nil, nil
	}
	if bound.executed { // the run before belongs to the server's side by now
		r = &run{id: s.statements.Add(1), stmt: r.stmt, outer: r.outer, rewriting: r.rewriting, capture: r.capture}
	}
	bound.executed = true
	r.prepares = bound.prepared.prepares()
	current, err := s.currentPurpose(r.stmt)
	if err != nil {
		return r, nil, err
	}
	fresh, refused, err := s.prepareRun(ctx, r.stmt, current)
	if refused != nil || err != nil {
		return r, refused, err
	}
	r.sight = fresh.sight
	return r, s.recordStatement(r), nil
}

// takeClose forgets a statement or a portal as the server does.
func (s *session) takeClose(m []byte) error {
	what, target, err := pg.ParseTarget(m)
	if err != nil {
		return err
	}
	if s.longName(target) {
		return nil
	}
	name := string(target)
	closing := &reply{what: expectClose, name: name}
	if what == 'P' {
		delete(s.portals, name)
	} else if closing.stmt, err = s.lookup(name); err != nil {
		return err
	}
	s.expectReply(closing)
	s.toServer = append(s.toServer, m...)
	return nil
}

// longestName is what the server keeps of a name (NAMEDATALEN − 1). Of longer ones it would take two for the same, and we
// would not.
const longestName = 63

// longName refuses a name that the server would cut.
func (s *session) longName(name []byte) bool {
	if len(name) <= longestName {
		return false
	}
	s.refuseMessage(nil, refusal("42622", "names of statements and portals have at most 63 bytes here", "Choose a shorter name."))
	return true
}
