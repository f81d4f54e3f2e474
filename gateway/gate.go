package gateway

import (
	"context"
	"time"

	"sallyport"
	"sallyport/policy"
	"sallyport/query"
	"sallyport/wire/pg"
)

// A statement that policies have wait stands at a gate of its own: the client's side holds it back, and nothing of it has been forwarded. What came
// before is answered first, so that the client reads the notice at once and the server has nothing to do meanwhile.

// gate is where one statement waits, however many of its acts are to be opened: for two minutes in all.
type gate struct {
	late     *time.Timer
	waited   bool
	analyzer *query.Analyzer // by which it was read
}

func (g *gate) close() {
	if g.late != nil {
		g.late.Stop()
	}
}

// waitToAct holds a statement back until the policies let it do something, or refuse it, or nobody opens in time. how says what would have opened.
func (s *session) waitToAct(ctx context.Context, g *gate, st *query.Statement, v *sight, a act) (opened bool, how string, err error) {
	who := v.as.person.Staff
	what := st.Verb + " by " + string(who)
	r, _ := v.acting(a)
	how, ok := s.howToOpen(who, r, what)
	if !ok || s.unattended {
		return false, how, nil
	}
	if err := s.awaitAll(); err != nil {
		return false, how, err
	}
	s.mu.Lock()
	skipped := s.skipping // the server does not look at it, behind an error
	s.mu.Unlock()
	if skipped {
		return false, how, nil
	}
	if g.late == nil {
		g.late, g.analyzer = time.NewTimer(atDoorFor), s.analyzer()
	}
	g.waited = true
	s.cancelled.Store(false)
	defer s.gw.waiting.waits(s, who, what, r.Because)()
	if err := s.say("this waits: "+r.Because, how+" (within two minutes; cancel the statement to leave it)."); err != nil {
		return false, how, err
	}
	opened, err = s.gateOpens(ctx, g, v, a)
	return opened, how, err
}

// gateOpens waits until the policies say something else of an act, and tells whether they let it happen then.
func (s *session) gateOpens(ctx context.Context, g *gate, v *sight, a act) (bool, error) {
	look := time.NewTicker(100 * time.Millisecond) // the session may have been ended or its statement cancelled
	defer look.Stop()
	for {
		v.anew(s)
		if r, refused := v.acting(a); r.Verdict != sallyport.Wait {
			return !refused, nil
		}
		select {
		case <-v.turned:
		case <-look.C:
			if s.over.Load() {
				return false, errEnded
			}
			if s.cancelled.Load() || s.hungUp() { // whoever confirms something else later does not mean this
				return false, nil
			}
		case <-g.late.C:
			g.late.Reset(0) // for what else the statement does
			return false, nil
		case <-ctx.Done():
			return false, errEnded
		}
	}
}

// asBefore refuses a statement that waited where something else holds now: who acts has come to his end, or the database changed.
func (s *session) asBefore(ctx context.Context, v *sight, analyzer *query.Analyzer) *query.Refusal {
	if as := v.as; as.service != nil && !s.gw.Clock().Before(as.expires) {
		return refusal(codeActor, "the assertion that this transaction began with has expired", "Get a new one, and begin the transaction anew.")
	}
	if st := s.gw.Standing.Standing(v.as.person.Staff); st.Locked || st.Suspended || st.Left {
		return refusal(codeLocked, "you are locked or suspended", "Ask a lead for `sallyport unlock`.")
	}
	if refused := s.fresh(ctx); refused != nil {
		return refused
	}
	if s.analyzer() != analyzer {
		return refusal(codeChanged, "the database changed while the statement waited", "Send it again.")
	}
	return nil
}

// howToOpen says what opens a door or gate. ok is false where nothing can: no colleague can be asked.
func (s *session) howToOpen(who sallyport.Staff, r policy.Ruling, what string) (hint string, ok bool) {
	switch {
	case r.Respond == policy.SecondPerson:
		id, err := s.gw.Protection.Second(who, what)
		if err != nil {
			s.gw.Log.Warn("a colleague cannot be asked", "reason", plainReason(err))
			return "No colleague can be asked now. Try again in a moment.", false
		}
		return "Ask a lead or security for: sallyport approve " + id, true
	}
	how := "sallyport confirm"
	if !s.gw.Fresh {
		how += " --as " + string(who)
	}
	if page := s.gw.ConfirmAt; page != "" {
		return "Confirm that it is you: open " + page + ", or run " + how, true
	}
	return "Confirm that it is you: " + how, true
}

// say has the client read a notice while the server has nothing to do. Only the server's side writes to the client: it says it when the server answers
// a message that means nothing.
func (s *session) say(sentence, hint string) error {
	s.borrow()
	notice := pg.NewNotice("NOTICE", codeNotice, "sallyport: "+sentence, "", hint)
	s.expectReply(&reply{what: expectClose, name: failingName, swallow: true, says: &notice})
	s.toServer = pg.AppendTarget(s.toServer, pg.Close, 'S', failingName)
	s.toServer = append(s.toServer, flushMessage...)
	return s.forward()
}
