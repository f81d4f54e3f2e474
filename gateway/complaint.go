package gateway

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

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
	if r != nil && r.what == expectMoment && n.Get(pg.SeverityV) == "ERROR" {
		return nil // the server does not tell; then the catalogue's connection is asked
	}
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
	s.copyOut = nil
	s.out = pg.AppendNotice(s.out, pg.ErrorResponse, n)
	if current != nil && current.id != 0 {
		s.countStatement(current, true)
	}
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

// hush leaves of an error or a notice what cannot hold a masked value.
func (s *session) hush(r *run, n pg.Notice) pg.Notice {
	if !s.veils() {
		return n
	}
	st := r.stmt
	speaks := st == nil || st.Masks || st.Fetch || st.Tx != nil || st.Verb == "SET" || st.Execute != nil // of masked columns, perhaps
	if !speaks && !st.Writes {
		return n
	}
	code, inside := n.Get(pg.SQLState), n.Get(pg.Where) != ""
	out := n[:0:0]
	for _, f := range n {
		switch f.Code {
		case pg.Detail:
			continue
		case pg.Hint:
			if speaks && !strings.HasPrefix(code, "42") {
				continue
			}
		case pg.Where, pg.InternalQuery, pg.InternalPosition:
			if speaks {
				continue
			}
		case pg.Message:
			if speaks && (inside || !quotesNothing(code)) {
				f.Value = []byte("sallyport: what the server says here may hold a masked value, and is left out")
			}
		}
		out = append(out, f)
	}
	return out
}

// quotesNothing tells whether the server's own messages under a code name objects, not values (errcodes.txt).
func quotesNothing(code string) bool {
	switch code {
	case "22001", "22012": // too long, division by zero
		return true
	}
	if len(code) != 5 {
		return false
	}
	switch code[:2] {
	case "00", "01", "02", "08", "0A", "23", "25", "26", "28", "34", "3D", "3F", "40", "42", "53", "54", "55", "57":
		return true
	}
	return false
}

// doors passes the texts of an error or a notice through the same doors as a result, and carries the position back to the
// text that the client wrote.
func (s *session) doors(ctx context.Context, r *run, n pg.Notice) pg.Notice {
	out := n[:0:0]
	for _, f := range n {
		switch f.Code {
		case pg.Position:
			f.Value = s.position(r, f.Value)
		case pg.Severity, pg.SeverityV, pg.SQLState:
		default:
			f.Value = s.throughDoors(ctx, r, f.Value)
		}
		out = append(out, f)
	}
	if s.waiting() {
		if err := s.record(); err != nil {
			return pg.NewNotice("ERROR", codeJournal, "sallyport: the record cannot be written", "", "")
		}
	}
	return out
}

// throughDoors treats one text as a field that cannot be traced.
func (s *session) throughDoors(ctx context.Context, r *run, text []byte) []byte {
	if _, _, _, found := s.gw.Protection.Ring.Find(text, 0); !found {
		return text
	}
	l := &layout{columns: []column{{kind: formed, typ: typeText}}, key: -1, visible: 1, inspect: true}
	fields := [][]byte{text}
	left := r.left
	_, stop, err := s.rowFields(ctx, r, l, fields)
	r.left = left // what an error quotes needs no advice
	if err != nil || stop {
		return []byte("sallyport: left out")
	}
	return append([]byte(nil), fields[0]...)
}

// position carries the server's position back to the client's text.
func (s *session) position(r *run, value []byte) []byte {
	if len(r.edits) == 0 {
		return value
	}
	var at int
	if _, err := fmt.Sscanf(string(value), "%d", &at); err != nil || !utf8.ValidString(r.sent) {
		return value
	}
	return fmt.Append(nil, clientPosition(r.text, r.sent, r.edits, at))
}
