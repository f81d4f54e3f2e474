package gateway

import (
	"context"

	"sallyport"
)

// codeReasonOver is what a client reads whose result was cut because its reason ended while he did not take what was ready.
const codeReasonOver = "SP014"

// mayLeave is stillHolds of a session that has rows.
func (s *session) mayLeave() error {
	if s.held == nil {
		return nil
	}
	return s.held()
}

// stillHolds sees to it that what stands in the batch still may leave. It waited for the batch before it, and so for the client, who may take
// as long as he likes: a verdict holds at sending. What is in plain already cannot be taken back, so the session ends.
func (s *session) stillHolds(ctx context.Context) error {
	if s.of == nil || s.of.sight == nil || s.values.Len()+len(s.parts) == 0 || s.observing() || s.over.Load() {
		return nil
	}
	v := s.of.sight
	s.accounts.asked = false
	before, anew := v.rulings, v.renewed
	v.current(ctx, s)
	if v.renewed == anew {
		return nil // nothing is asked anew
	}
	for _, r := range before {
		if r.ruling.Verdict == sallyport.Reveal && !v.stillShows(r) {
			s.end(fatal(codeReasonOver, "the reason for this result ended before you took it, so the rest is withheld", "Set a purpose that holds, and ask again."))
			return errEnded
		}
	}
	return nil
}

// stillShows tells whether what was shown by a ruling would be shown now.
func (v *sight) stillShows(before ruled) bool {
	if before.cover == nil {
		return v.ruling(nil, before.grant, before.column).Verdict == sallyport.Reveal
	}
	for _, c := range v.covers {
		if c.Purpose == before.cover.Purpose {
			return c.Refused == "" && v.ruling(c, nil, before.column).Verdict == sallyport.Reveal
		}
	}
	return false
}

// countLook counts looks at customers, for policies that ask how often somebody was looked at.
func (g *Gateway) countLook(e *sallyport.Event) {
	if p := g.Protection; p != nil && p.Facts != nil && e != nil {
		p.Facts.Apply(e)
	}
}
