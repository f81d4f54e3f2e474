package gateway

import (
	"context"
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

	types   []byte        // that the client declared, 4 bytes each
	params  int           // that the client knows of
	further map[int][]int // number of a parameter → those that hold the other forms of its value, behind params
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
	p := &prepared{name: name, batch: s.batchID, rewriting: rewriting{text: sql, sent: sql}, types: slices.Clone(msg.Types), fields: -1}
	plan, refused := s.analyzeParse(ctx, sql)
	if refused != nil && !s.onlyObserves(refused.Sentence) {
		return s.refuseParse(p, s.refusedStatement(plan, refused), refused)
	}
	if plan != nil && len(plan.Statements) > 1 && !s.observing() { // the server would say so, after it had read all of it
		s.noteRefusal(nil, refusal(query.CodeSyntax, "several statements in one Parse", ""))
		p.sent = "SELECT; SELECT" // so it says so of these
		return s.sendParse(p, nil, nil)
	}
	p.basis = basis{source: sql, analyzer: s.by}
	if plan != nil {
		p.text, p.sent = plan.Text, plan.Text
	}
	if plan != nil && len(plan.Statements) > 0 {
		p.stmt = &plan.Statements[0]
	}
	if p.stmt != nil && !s.observing() && (len(p.stmt.Edits) > 0 || p.stmt.Capture != nil || p.stmt.Execute != nil) {
		if refused := p.addForms(len(msg.Types) / 4); refused != nil {
			return s.refuseParse(p, p.stmt, refused)
		}
		if refused, err := s.rewriteParse(ctx, p); err != nil {
			return err
		} else if refused != nil {
			return s.refuseParse(p, p.stmt, refused)
		}
	}
	if p.stmt != nil && s.observing() && p.stmt.Capture != nil {
		c := p.stmt.Capture
		p.sent, p.edits = rewrite(p.text, []query.Edit{{Start: c.At, End: c.At, Text: c.Text}}, nil, nil)
	}
	return s.sendParse(p, msg.Types, nil)
}

// analyzeParse is analyze for what will be executed later, together with nobody knows what.
func (s *session) analyzeParse(ctx context.Context, sql string) (*query.Plan, *query.Refusal) {
	plan, refused := s.analyze(ctx, sql)
	if refused == nil && !s.observing() && wantsAlone(plan) {
		refused = notByItself()
	}
	return plan, refused
}

// sendParse gives a name its meaning. What PREPARE and DEALLOCATE do to names is done before.
func (s *session) sendParse(p *prepared, types []byte, refused *query.Refusal) error {
	return s.giveMeaning(p, types, &reply{what: expectParse, stmt: p, refused: refused})
}

func (s *session) giveMeaning(p *prepared, types []byte, answer *reply) error {
	if p.name != "" {
		if err := s.await(s.renaming, true); err != nil {
			return err
		}
	}
	s.mu.Lock()
	p.before = s.prepared[p.name]
	s.prepared[p.name] = p
	s.mu.Unlock()
	s.expectReply(answer)
	s.toServer = pg.AppendParse(s.toServer, p.name, p.sent, types)
	return nil
}

// refuseParse sends a Parse of that name that fails: a failed one drops the unnamed statement.
func (s *session) refuseParse(p *prepared, st *query.Statement, why *query.Refusal) error {
	s.unspoken(why)
	s.noteRefusal(st, why)
	s.askGrammar(p.text, why)
	p.sent = failing
	return s.sendParse(p, nil, why)
}

// rewriteParse tokenises the literals of a text that is parsed now and executed later.
func (s *session) rewriteParse(ctx context.Context, p *prepared) (*query.Refusal, error) {
	now, err := s.stance(p.stmt)
	if err != nil {
		return nil, err
	}
	switch e := p.stmt.Execute; { // what the name means may change between this Parse and its Execute
	case e != nil && len(e.Args) > 0:
		return refusal(codeUnsupported, "EXECUTE with arguments is passed on in simple queries only", "Bind the prepared statement itself."), nil
	case e != nil && p.stmt.Keeps: // and what it kept would be readable where it is kept
		return refusal(codeUnsupported, "CREATE TABLE AS EXECUTE is passed on in simple queries only", "Send it by itself, or write the query in place of EXECUTE."), nil
	}
	r, edits, refused, err := s.prepareOne(ctx, p.stmt, &now, map[string]*prepared{}, true)
	if refused != nil || err != nil {
		return refused, err
	}
	tokens := map[int][]string{}
	for i, e := range edits {
		if e.Slot == nil {
			continue
		}
		tok, refused := s.literal(r, e.Slot) //nolint:contextcheck // the vault bounds its own time
		if refused != nil {
			return refused, nil
		}
		tokens[i] = tok
	}
	if c := p.stmt.Capture; c != nil {
		edits = append(slices.Clone(edits), query.Edit{Start: c.At, End: c.At, Text: c.Text})
	}
	p.sent, p.edits = rewrite(p.text, edits, tokens, p.further)
	return nil, nil
}

// refuseMessage sends a Parse that fails in place of the client's message; the server then skips to Sync, as after any error.
func (s *session) refuseMessage(st *query.Statement, why *query.Refusal) {
	s.unspoken(why)
	s.noteRefusal(st, why)
	s.expectReply(&reply{what: expectBind, refused: why})
	s.toServer = pg.AppendParse(s.toServer, failingName, failing, nil)
}
