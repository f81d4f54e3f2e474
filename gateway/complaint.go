package gateway

import (
	"context"

	"sallyport/query"
	"sallyport/wire/pg"
)

// answerError passes an error on: ours where we caused it, else the server's with the same doors for what it quotes.
func (s *session) answerError(ctx context.Context, m []byte) error {
	n, err := pg.ParseNotice(m)
	if err != nil {
		return err
	}
	r := s.first()
	var broken *query.Refusal
	s.mu.Lock()
	s.copyIn = false
	if r != nil {
		broken = r.broken
	}
	s.setting.fail()
	s.facts.fail()
	s.mu.Unlock()
	var current *run
	switch {
	case r == nil: // between statements: the server is going away
		current = &run{}
	case r.what == expectLook && n.Get(pg.SQLState) == query.CodeSyntax:
		n = inWordsOf(r.text, n)
	case broken != nil && n.Get(pg.SQLState) == codeCanceled: // what it makes of CopyFail
		n = errorOf(broken)
	case r.refused != nil:
		if replaces(r, n.Get(pg.SQLState)) {
			n = errorOf(r.refused)
		}
	default:
		current = s.runOf(r)
	}
	if current != nil {
		if err := s.finish(ctx, current, ""); err != nil {
			return err
		}
		n = s.doors(ctx, current, s.hush(current, n))
	}
	s.copying = nil
	s.out = pg.AppendNotice(s.out, pg.ErrorResponse, n)
	if r != nil && !r.endsReady() {
		s.skip()
	}
	return nil
}

// replaces says whether what comes with that code is the error that stands in for our refusal. A server that ends says so,
// and in a failed transaction it looks at nothing but the syntax, and at the name in Bind.
func replaces(r *reply, code string) bool {
	return code == failingCode || r.what == expectLook || r.refused.Code == query.CodeSyntax || r.what == expectBind && r.refused.Code == codeNoStatement
}

// runOf is the run that an error or a notice speaks of.
func (s *session) runOf(r *reply) *run {
	switch {
	case r.what == expectQuery:
		return s.present(r)
	case r.run != nil:
		return r.run
	case r.stmt != nil:
		return &run{stmt: r.stmt.stmt, rewriting: r.stmt.rewriting}
	}
	return &run{}
}

// answerNotice passes a notice on through the same doors.
func (s *session) answerNotice(ctx context.Context, m []byte) error {
	n, err := pg.ParseNotice(m)
	if err != nil {
		return err
	}
	current := &run{}
	if r := s.first(); r != nil && r.refused == nil {
		current = s.runOf(r)
		n = s.hush(current, n)
	}
	n = s.doors(ctx, current, n)
	s.out = pg.AppendNotice(s.out, pg.NoticeResponse, n)
	return nil
}
