package gateway

import (
	"context"
	"slices"
	"strings"

	"sallyport"
	"sallyport/query"
	"sallyport/wire/pg"
)

// takeQuery is a simple query: one string, any number of statements.
func (s *session) takeQuery(ctx context.Context, m []byte) error {
	text, err := pg.ParseQuery(m)
	if err != nil {
		return err
	}
	sql := string(text)
	s.batchID++
	plan, refused := s.analyze(ctx, sql)
	if refused == nil {
		if refused, err = s.byItself(plan); err != nil {
			return err
		}
	}
	if refused != nil && !s.onlyObserves(refused.Sentence) {
		s.refuseQuery(sql, s.refusedStatement(plan, refused), refused)
		return nil
	}
	if plan == nil { // observing what cannot be analysed
		plan = &query.Plan{Text: sql}
	}
	entry := &reply{what: expectQuery, plan: plan}
	needsWork := len(plan.Edits) > 0
	for i := range plan.Statements {
		st := &plan.Statements[i]
		s.counters.statements.Add(1)
		entry.changes = entry.changes || changes(st)
		entry.renames = entry.renames || renames(st)
		entry.asksData = entry.asksData || asksData(st)
		needsWork = needsWork || !quiet(st)
	}
	if s.observing() && needsWork {
		return s.sendQuery(entry, s.captureOnly(entry, plan)) //nolint:contextcheck // the vault bounds its own time
	}
	if !needsWork {
		return s.sendQuery(entry, plan.Text) //nolint:contextcheck // the vault bounds its own time
	}
	sent, refused, err := s.prepareQuery(ctx, entry, plan)
	if err != nil {
		return err
	}
	if refused != nil {
		s.refuseQuery(sql, s.refusedStatement(plan, refused), refused)
		return nil
	}
	return s.sendQuery(entry, sent) //nolint:contextcheck // the vault bounds its own time
}

// sendQuery forwards the string; where it asks for COPY data, what the server makes of that is awaited.
func (s *session) sendQuery(entry *reply, sent string) error {
	s.expectReply(entry)
	s.toServer = pg.AppendQuery(s.toServer, sent)
	if entry.asksData {
		return s.awaitCopy(entry)
	}
	return nil
}

// settleFor waits for whatever may change what the statements of a string find.
func (s *session) settleFor(plan *query.Plan) error {
	s.mu.Lock()
	spoken := s.setting.spoken != nil
	s.mu.Unlock()
	if spoken || slices.ContainsFunc(plan.Statements, func(st query.Statement) bool { return st.Actor != nil }) {
		return s.await(s.turning, true)
	}
	return s.settle()
}

// captureOnly is what observing changes in a string of statements: it learns who made which reason, and the client sees
// nothing of it.
func (s *session) captureOnly(entry *reply, plan *query.Plan) string {
	var edits []query.Edit
	entry.runs = make([]*run, len(plan.Statements))
	for i := range plan.Statements {
		st := &plan.Statements[i]
		if c := st.Capture; c != nil {
			edits = append(edits, query.Edit{Start: c.At, End: c.At, Text: c.Text})
			entry.runs[i] = &run{id: s.statements.Add(1), stmt: st, outer: st, capture: c}
		}
	}
	sent, _ := rewrite(plan.Text, edits, nil, nil)
	return sent
}

// refuseQuery sends a statement that fails in place of the client's.
func (s *session) refuseQuery(sql string, st *query.Statement, why *query.Refusal) {
	s.unspoken(why)
	s.noteRefusal(st, why)
	if s.askGrammar(sql, why) {
		s.expectReply(&reply{what: expectBind, refused: why})
		s.expectReply(&reply{what: expectSync})
		s.toServer = pg.AppendParse(s.toServer, failingName, failing, nil)
		s.toServer = pg.Append(s.toServer, pg.Sync)
		return
	}
	s.expectReply(&reply{what: expectQuery, refused: why, plan: &query.Plan{}})
	s.toServer = pg.AppendQuery(s.toServer, failing)
}

// prepareQuery prepares every statement of the string in order. The purpose runs ahead: a SET in the string holds for what
// follows it, for if the SET fails, nothing of the string follows.
func (s *session) prepareQuery(ctx context.Context, entry *reply, plan *query.Plan) (string, *query.Refusal, error) {
	if err := s.settleFor(plan); err != nil {
		return "", nil, err
	}
	s.mu.Lock()
	ahead := s.setting.clone()
	s.mu.Unlock()
	ended := false // a transaction has, in this string
	by := s.by
	edits := slices.Clone(plan.Edits) // of a text that is nothing but comments
	tokens := map[int][]string{}
	fresh := map[string]*prepared{} // PREPAREd within this string
	entry.runs = make([]*run, len(plan.Statements))
	for i := range plan.Statements {
		st := &plan.Statements[i]
		if ended && st.Actor != nil {
			return "", refusal(codeActor, "who acts is said behind the end of another transaction", "Send each transaction by itself."), nil
		}
		now := ahead.stance()
		r, own, refused, err := s.prepareOne(ctx, st, &now, fresh, false)
		if refused != nil || err != nil {
			return "", refused, err
		}
		ahead.spoken = now.spoken
		entry.runs[i] = r
		if r.prepares != nil {
			r.prepares.basis = basis{source: plan.Text, index: i, body: true, analyzer: by}
		}
		if edits, refused = s.appendEdits(edits, tokens, r, own); refused != nil { //nolint:contextcheck // the vault bounds its own time
			return "", refused, nil
		}
		if refused := s.recordStatement(r); refused != nil {
			return "", refused, nil
		}
		switch {
		case st.Purpose != nil:
			ahead.change(st.Purpose)
		case st.Tx != nil:
			ahead.transaction(st.Tx, "")
			ended = ended || ends(st.Tx)
		}
	}
	sent, made := rewrite(plan.Text, edits, tokens, nil)
	for _, r := range entry.runs {
		r.edits, r.text, r.sent = made, plan.Text, sent
	}
	return sent, nil, nil
}

// prepareOne prepares one statement of a string and gives its edits.
func (s *session) prepareOne(ctx context.Context, st *query.Statement, now *stance, fresh map[string]*prepared, look bool) (*run, []query.Edit, *query.Refusal, error) {
	edits := st.Edits
	body := st
	if st.Execute != nil {
		p, refused, err := s.executed(ctx, st.Execute.Name, fresh)
		if refused != nil || err != nil {
			return nil, nil, refused, err
		}
		if p.stmt != nil {
			if edits, refused = st.ExecuteEdits(p.stmt); refused != nil {
				return nil, nil, refused, nil
			}
			if refused := s.keepsVeiled(st, p.stmt); refused != nil {
				return nil, nil, refused, nil
			}
			body = withComment(p.stmt, st)
		}
	}
	r, refused, err := s.prepareRun(ctx, body, now, look)
	if refused != nil || err != nil {
		return nil, nil, refused, err
	}
	if refused := r.as.mayClaim(st.Purpose); refused != nil {
		return nil, nil, refused, nil
	}
	if st.Execute != nil {
		r.capture = nil // PREPARE's text has no RETURNING of ours: such a write makes no fact
	}
	r.outer = st
	if st.Prepare != nil {
		p := &prepared{name: st.Prepare.Name, stmt: st.Prepare.Body}
		r.prepares = p
		fresh[st.Prepare.Name] = p
	}
	return r, edits, nil, nil
}

// executed is the prepared statement that an EXECUTE names, by the catalogue of now.
func (s *session) executed(ctx context.Context, name string, fresh map[string]*prepared) (*prepared, *query.Refusal, error) {
	p := fresh[name]
	if p == nil {
		var err error
		if p, err = s.lookup(name); err != nil {
			return nil, nil, err
		}
	}
	if p == nil {
		return nil, noStatement(name), nil
	}
	if p.stmt == nil {
		return p, nil, nil
	}
	refused, err := s.renew(ctx, p)
	return p, refused, err
}

// appendEdits adds a statement's own edits to those of its string, and the token of each literal under its edit's place.
func (s *session) appendEdits(edits []query.Edit, tokens map[int][]string, r *run, own []query.Edit) ([]query.Edit, *query.Refusal) {
	for _, e := range own {
		if e.Slot != nil {
			token, refused := s.literal(r, e.Slot)
			if refused != nil {
				return nil, refused
			}
			tokens[len(edits)] = token
		}
		edits = append(edits, e)
	}
	if c := r.capture; c != nil { // behind all other edits of its statement, so the order holds
		edits = append(edits, query.Edit{Start: c.At, End: c.At, Text: c.Text})
	}
	return edits, nil
}

// unreadable is why a text is no list of purposes; it never repeats the text.
func unreadable(err error) string {
	return strings.TrimPrefix(err.Error(), sallyport.ErrPurpose.Error()+": ")
}

// withComment is a prepared body under the comment of the EXECUTE that runs it.
func withComment(body, outer *query.Statement) *query.Statement {
	st := *body
	st.Comment, st.Actor, st.Edits = outer.Comment, outer.Actor, nil
	return &st
}
