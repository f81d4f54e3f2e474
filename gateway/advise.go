package gateway

import (
	"context"
	"fmt"
)

// adviseOnPurpose tells at once that a purpose that was just set reveals nothing, and what would.
func (s *session) adviseOnPurpose(ctx context.Context) {
	as := s.acts()
	s.mu.Lock()
	now := s.setting.stance()
	s.mu.Unlock()
	for _, p := range s.canonical(now.reason(as)) {
		cover, _, err := s.reason(ctx, s.placed(as), p)
		switch {
		case s.observing() && (err != nil || cover.Refused != ""):
			s.observe("set a purpose that would have revealed nothing")
		case s.observing():
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
	if r.sight != nil && r.sight.denied != nil {
		sentence = "values stay tokens: " + r.sight.denied.Because
		hint = "An administrator sees why: sallyport policy explain " + string(s.whose(r).person.Staff) + " COLUMN --purpose ticket"
	}
	if hint == "" {
		id, ok := "", false
		if r.hint.known() {
			id, ok = s.gw.Protection.Resolver.OwnTicket(ctx, s.whose(r).person, r.hint.subject())
		} else if r.leftToken != "" {
			id, ok = s.gw.Protection.Resolver.OwnTicketHolding(ctx, s.whose(r).person, r.leftToken)
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
