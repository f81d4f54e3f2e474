package gateway

import (
	"slices"

	"sallyport"
	"sallyport/query"
)

// recordStatement puts the statement on record. What may change something is on disk before it is forwarded; what only reads is on disk before
// anything of its result leaves (syncReads), mostly together with what it revealed. The entry of a look-up in doubt is made while the server
// works; nothing of its result is taken up before (answerMoment).
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
	r.recorded = true
	switch {
	case r.stmt.Verb != "SELECT" || r.stmt.Writes || s.gw.Access.Failing():
		if _, err := s.gw.Access.Append(s.statementEvent(r, nil)); err != nil {
			r.recorded = false
			return unreached()
		}
		return nil
	case s.doubt != nil:
		s.doubt.runs = append(s.doubt.runs, r)
		return nil
	}
	return s.enqueueReads([]*run{r})
}

// enqueueReads hands the entries of reading statements to the record.
func (s *session) enqueueReads(runs []*run) *query.Refusal {
	for _, r := range runs {
		if _, err := s.gw.Access.Enqueue(s.statementEvent(r, nil)); err != nil {
			r.recorded = false
			return unreached()
		}
		s.reads.Add(1)
	}
	return nil
}

func unreached() *query.Refusal {
	return refusal(codeJournal, "the record cannot be written, so nothing protected is reached", hintJournal+" Other tables are not concerned.")
}

func (s *session) statementEvent(r *run, refused *query.Refusal) *sallyport.Event {
	e := &sallyport.Event{Kind: sallyport.StatementKind, Time: s.gw.Clock(), Who: s.who, Statement: &sallyport.Statement{ID: r.id}}
	if r.as != nil {
		e.Who = r.as.who
	}
	if r.stmt != nil {
		e.Statement.Fingerprint, e.Statement.Verb, e.Statement.Columns, e.Statement.Writes = r.stmt.Fingerprint, r.stmt.Verb, r.stmt.Columns, r.stmt.Writes
		e.Statement.Tables = r.stmt.Mentions
	}
	if r.sight != nil {
		e.Statement.Purposes, e.Statement.Covers, e.Statement.Known = r.sight.purposes, r.sight.subjects(100), r.sight.known(s)
		e.Statement.Resolved, e.Statement.Trust = r.sight.resolved(), r.sight.trust()
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
	as := s.acts()
	e := s.statementEvent(&run{id: s.statements.Add(1), stmt: st, as: as}, why)
	if s.protected && as != nil {
		e.Statement.Trust = s.gw.Protection.Moment(as.person).Trust + 1
	}
	if why.Code == "42601" {
		e.Note = "" // a parser's sentence quotes the text
	}
	switch {
	case why.Decision != nil:
		s.noteDenial(e, why.Decision)
	case len(st.Powers) > 0:
		s.notePower(e, st.Powers)
	default:
		s.note(*e)
	}
}

// recordFirst puts an entry on disk before what it tells of is forwarded. so is what does not happen where that cannot be done.
func (s *session) recordFirst(e *sallyport.Event, so string) *query.Refusal {
	if _, err := s.gw.Access.Append(e); err != nil {
		return refusal(codeJournal, "the record cannot be written, so "+so, hintJournal)
	}
	return nil
}

// noteDurably waits until the entry of a refusal is on disk: who tries is to be known. Where the disk is full it is kept as any
// other refusal is.
func (s *session) noteDurably(e *sallyport.Event) {
	if _, err := s.gw.Access.Append(e); err != nil {
		s.note(*e)
	}
}

// refusedStatement is the statement of a plan that a refusal is about, or nil.
func (s *session) refusedStatement(plan *query.Plan, why *query.Refusal) *query.Statement {
	if plan == nil {
		return nil
	}
	for i := range plan.Statements {
		st := &plan.Statements[i]
		if st.Refusal != nil || why.Code == codePower && s.mayUse(s.me(), st) != nil || why.Decision != nil && len(st.Copies) > 0 {
			return st
		}
	}
	if i := slices.IndexFunc(plan.Statements, func(st query.Statement) bool { return st.Alone }); i >= 0 {
		return &plan.Statements[i]
	}
	if len(plan.Statements) == 1 {
		return &plan.Statements[0]
	}
	return nil
}
