package gateway

import (
	"context"
	"slices"

	"sallyport/query"
	"sallyport/wire/pg"
)

// portal is a bound statement.
type portal struct {
	prepared  *prepared
	run       *run
	batch     uint64 // in which it was bound or last described
	described bool   // a Describe of this portal was sent since Bind
	executed  bool
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
	p, refused, err := s.renewed(ctx, p)
	if err != nil {
		return err
	}
	if refused != nil {
		s.refuseMessage(p.stmt, refused)
		return nil
	}
	bound := &portal{prepared: p, batch: s.batchID}
	if p.stmt != nil && !s.observing() && (p.stmt.Touches || p.stmt.Masks || p.stmt.Actor != nil || len(p.stmt.Params) > 0 || p.stmt.Capture != nil || len(p.stmt.Powers) > 0 || len(p.stmt.Copies) > 0) {
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
	if p.stmt != nil && s.observing() && p.stmt.Capture != nil {
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
	if st.Verb == "SELECT" && st.Comment == nil && len(st.Params) == 0 { // Execute looks at the purpose
		bound.run = &run{id: s.statements.Add(1), stmt: st, outer: st, capture: st.Capture, rewriting: bound.prepared.rewriting}
		extendResults(msg, st.Capture)
		return nil, nil
	}
	now, err := s.stance(st)
	if err != nil {
		return nil, err
	}
	r, refused, err := s.prepareRun(ctx, st, &now, false)
	if refused != nil || err != nil {
		return refused, err
	}
	r.outer, r.rewriting, r.bound, r.types = st, bound.prepared.rewriting, msg, bound.prepared.types
	bound.run = r
	room := bound.prepared.makeRoom(msg)
	for i := range st.Params {
		if refused := s.parameter(r, &st.Params[i], msg, room); refused != nil { //nolint:contextcheck // the vault bounds its own time
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
func (s *session) parameter(r *run, use *query.Param, msg *pg.BindMessage, further map[int][]int) *query.Refusal {
	i := use.Number - 1
	if i < 0 || i >= len(msg.Params) || msg.Params[i] == nil {
		return nil // the server refuses a wrong number; NULL stays
	}
	value, binaryForm := msg.Params[i], msg.Format(i) == 1
	var forms [][]byte
	var refused *query.Refusal
	switch {
	case use.Slot.Parted:
		msg.Params[i], refused = s.partedParameter(r, &use.Slot, value, binaryForm)
		return refused
	case use.Slot.Array:
		forms = make([][]byte, 1)
		forms[0], refused = s.arrayElements(r, &use.Slot, value, binaryForm)
	case binaryForm:
		forms, refused = s.binaryForms(r, &use.Slot, value)
	default: // text and varchar are the same bytes in both formats
		forms, refused = s.forms(r, &use.Slot, value)
	}
	if refused != nil {
		return refused
	}
	msg.Params[i] = forms[0]
	for k, number := range further[use.Number] {
		msg.Params[number-1] = forms[1+k]
	}
	return nil
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
// front where the client sends none; its reply is swallowed. (Tried: clean in every case.)
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
		entry.changes, entry.renames, entry.asksData = changes(st), renames(st), asksData(st)
	}
	s.expectReply(entry)
	if r.capture != nil && !r.capture.HadReturning && most != 0 {
		m = pg.AppendExecute(nil, name, 0) // the client expects no rows, so it gets no suspension either
	}
	s.toServer = append(s.toServer, m...)
	if entry.asksData {
		return s.awaitCopy(entry) //nolint:contextcheck // the vault bounds its own time
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
	if err := s.awaitAll(); err != nil {
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
	now, err := s.stance(r.stmt)
	if err != nil {
		return r, nil, err
	}
	fresh, refused, err := s.prepareRun(ctx, r.stmt, &now, false)
	if refused != nil || err != nil {
		return r, refused, err
	}
	r.sight, r.as = fresh.sight, fresh.as
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
