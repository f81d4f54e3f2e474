package gateway

import (
	"context"
	"fmt"
	"unicode/utf8"

	"sallyport/wire/pg"
)

// adviseOnPurpose tells at once that a purpose that was just set reveals nothing, and what would.
func (s *session) adviseOnPurpose(ctx context.Context) {
	s.mu.Lock()
	current := s.setting.value()
	s.mu.Unlock()
	for _, p := range s.canonical(current) {
		cover, err := s.gw.Protection.Resolver.Resolve(ctx, s.person, p)
		switch {
		case s.gw.Observe != nil && (err != nil || cover.Refused != ""):
			s.observe("set a purpose that would have revealed nothing")
		case s.gw.Observe != nil:
		case err != nil:
			s.notice("NOTICE", "the purpose cannot be checked now", "Values stay tokens until it can.")
		case cover.Refused != "":
			s.notice("NOTICE", "this purpose reveals nothing: "+cover.Refused, cover.Help)
		}
	}
}

// adviseOnResult tells why values of a result stayed tokens, with the line that would help where there is one.
func (s *session) adviseOnResult(ctx context.Context, r *run) {
	sentence := "values stay tokens: no purpose is set"
	hint := ""
	if r.sight != nil && len(r.sight.covers) > 0 {
		sentence = "values stay tokens: the purpose does not cover these customers"
		for _, c := range r.sight.covers {
			if c.Refused != "" {
				sentence, hint = "values stay tokens: "+c.Refused, c.Help
				break
			}
		}
	}
	if hint == "" {
		id, ok := "", false
		if r.hint != "" {
			id, ok = s.gw.Protection.Resolver.OwnTicket(ctx, s.person, r.hint)
		} else if r.leftToken != "" {
			id, ok = s.gw.Protection.Resolver.OwnTicketHolding(ctx, s.person, r.leftToken)
		}
		if ok {
			hint = fmt.Sprintf("SET sallyport.purpose = 'ticket:%s';", id)
		}
	}
	if hint == "" {
		hint = "Set the ticket that you work on: SET sallyport.purpose = 'ticket:NUMBER'; your own open ones: SET sallyport.purpose = 'work:mine';"
	}
	s.notice("NOTICE", sentence, hint)
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
