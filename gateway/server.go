package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"sallyport/wire/pg"
)

// trickle is how long revealed values wait for company before their record is written: a result that comes slowly must
// not wait for its end.
const trickle = 20 * time.Millisecond

// fromServer reads the server until it closes or the session ends.
func (s *session) fromServer(ctx context.Context) error {
	if !s.protected {
		return s.relayServer()
	}
	s.held = func() error { return s.stillHolds(ctx) }
	for {
		if err := s.nextAnswer(ctx); err != nil {
			return err
		}
		if len(s.out) >= batchSize {
			if err := s.handOver(); err != nil {
				return err
			}
			s.accounts.asked = false // the client may have taken its time
		}
	}
}

// nextAnswer waits for one message of the server's and takes it up.
func (s *session) nextAnswer(ctx context.Context) error {
	if !s.server.whole() {
		ready, err := s.gather()
		if err == nil && !ready {
			err = s.pause()
		}
		if err != nil {
			return err
		}
		s.accounts.asked = false
	}
	if done, err := s.passLongRow(); done || err != nil {
		return err
	}
	kind, m, err := s.server.message()
	if s.out == nil {
		s.out = s.gw.pool.get()
	}
	switch {
	case s.over.Load():
		return errEnded
	case err == nil:
		return s.answer(ctx, kind, m)
	case timedOut(err): // what waited for company has waited long enough
		return s.flush()
	default:
		return errors.Join(s.flush(), err)
	}
}

// pause prepares to wait for the server: what is ready goes to the client, except values that wait for their batch.
func (s *session) pause() error {
	if s.gathering.patient {
		if err := s.gatherNoMore(); err != nil {
			return err
		}
	}
	if s.waiting() {
		return s.deadline(time.Now().Add(trickle))
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.letGo()
	return s.deadline(time.Time{})
}

// deadline sets the server's read deadline unless the session is ending.
func (s *session) deadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending != nil {
		return errEnded
	}
	if t.Equal(s.until) {
		return nil
	}
	s.until = t
	return s.serverConn.SetReadDeadline(t)
}

func (s *session) keepKey(m []byte) {
	if pid, key, err := pg.KeyData(m); err == nil {
		s.pid, s.cancelKey = pid, append([]byte(nil), key...)
		s.gw.mu.Lock()
		s.gw.backends[pid] = s
		s.gw.mu.Unlock()
	}
}

// answer is one message of the server's. What the client gets of it is appended to out.
func (s *session) answer(ctx context.Context, kind byte, m []byte) error {
	switch kind {
	case pg.DataRow:
		return s.rows(ctx, m)
	case pg.RowDescription, pg.NoData:
		return s.answerDescription(kind, m)
	case pg.CommandComplete, pg.EmptyQuery, pg.PortalSuspended:
		s.showing = false
		return s.answerEnd(ctx, kind, m)
	case pg.ReadyForQuery:
		return s.answerReady(ctx, m)
	case pg.ErrorResponse:
		s.showing = false
		return s.answerError(ctx, m)
	case pg.NoticeResponse:
		return s.answerNotice(ctx, m)
	case pg.ParseComplete, pg.BindComplete, pg.CloseComplete:
		return s.answerDone(kind, m)
	case pg.CopyInResponse:
		if err := s.copyStarts(m); err != nil {
			return err
		}
	case pg.CopyOutResponse:
		if err := s.copyOutStarts(m); err != nil {
			return err
		}
	case pg.CopyData:
		return s.copyRow(ctx, m)
	case pg.CopyDone:
		s.copyOut = nil
	case pg.ParameterStatus:
		return s.answerParameter(ctx, m)
	case pg.Notification:
		return s.answerNotification(ctx, m)
	case pg.BackendKeyData:
		s.keepKey(m)
	case pg.FunctionCallResult:
		return s.answerCall(m)
	case pg.ParameterDescription:
		m = s.knownParams(m)
	case pg.NegotiateVersion:
	default: // COPY BOTH among them
		return fmt.Errorf("%w: %q from the server", pg.ErrMalformed, kind)
	}
	s.out = append(s.out, m...)
	return nil
}

// answerDone is a reply without content.
func (s *session) answerDone(kind byte, m []byte) error {
	r := s.first()
	if r == nil {
		return errUnexpected(kind)
	}
	switch {
	case kind == pg.ParseComplete && r.what == expectParse:
		s.mu.Lock()
		r.stmt.confirmed, r.stmt.before = true, nil
		s.mu.Unlock()
	case kind == pg.BindComplete && r.what == expectBind:
		delete(s.described, r.name)
		if r.stmt != nil {
			s.stand(r.name, r.stmt.stmt, false)
		}
	case kind == pg.CloseComplete && r.what == expectClose:
		s.mu.Lock()
		if r.stmt != nil && s.prepared[r.name] == r.stmt {
			delete(s.prepared, r.name)
		}
		s.mu.Unlock()
	case kind == pg.ParseComplete && r.what == expectLook: // the server reads what we do not; the refusal stands behind it
	default:
		return errUnexpected(kind)
	}
	s.done()
	if r.says != nil {
		s.out = pg.AppendNotice(s.out, pg.NoticeResponse, *r.says)
	}
	if !r.swallow {
		s.out = append(s.out, m...)
	}
	return nil
}

func errUnexpected(kind byte) error {
	return fmt.Errorf("%w: %q from the server where something else was due", pg.ErrMalformed, kind)
}

// answerDescription is a result's columns, or that there is none.
func (s *session) answerDescription(kind byte, m []byte) error {
	r := s.first()
	if r == nil {
		return errUnexpected(kind)
	}
	switch r.what {
	case expectQuery:
		if kind != pg.RowDescription {
			return errUnexpected(kind)
		}
		return s.describeRun(s.present(r), m)
	case expectStatement:
		s.done()
		return s.describeStatement(r, kind, m)
	case expectPortal:
		s.done()
		return s.describePortal(r, kind, m)
	case expectParse, expectBind, expectRows, expectClose, expectSync, expectLook, expectCall, expectMoment:
	}
	return errUnexpected(kind)
}

// present is the run of a simple query whose replies come now.
func (s *session) present(r *reply) *run {
	if r.run != nil {
		return r.run
	}
	if r.next < len(r.runs) && r.runs[r.next] != nil {
		r.run = r.runs[r.next]
		return r.run
	}
	r.run = &run{id: s.statements.Add(1)}
	if r.plan != nil && r.next < len(r.plan.Statements) {
		r.run.stmt = &r.plan.Statements[r.next]
		r.run.outer = r.run.stmt
	}
	return r.run
}

// answerEnd is the end of one statement's replies.
func (s *session) answerEnd(ctx context.Context, kind byte, m []byte) error {
	r := s.first()
	if r == nil || r.what != expectRows && (r.what != expectQuery || kind == pg.PortalSuspended) {
		return errUnexpected(kind)
	}
	current := s.present(r)
	tag := ""
	if kind == pg.CommandComplete {
		t, err := pg.CommandTag(m)
		if err != nil {
			return err
		}
		tag = string(t)
	}
	if err := s.gatherNoMore(); err != nil {
		return err
	}
	if err := s.finish(ctx, current, tag); err != nil {
		return err
	}
	s.out = append(s.out, m...)
	s.countStatement(current, false)
	if kind == pg.CommandComplete {
		s.confirm(ctx, current, tag)
	}
	if r.what == expectRows {
		s.done()
		return nil
	}
	r.run = nil
	r.next++
	return nil
}

// confirm applies what a statement changed in the session, now that the server has said so.
func (s *session) confirm(ctx context.Context, r *run, tag string) {
	if r.outer == nil {
		return
	}
	word, _, _ := strings.Cut(tag, " ")
	if r.outer.Verb == "DECLARE" {
		s.stand(r.outer.Cursor, r.outer, true)
		delete(s.described, r.outer.Cursor) // of a portal that had the name
	}
	s.mu.Lock()
	switch o := r.outer; {
	case o.Purpose != nil:
		s.setting.change(o.Purpose)
		if o.Purpose.All && word == "DISCARD" {
			s.forgetPrepared()
		}
	case o.Tx != nil:
		s.setting.transaction(o.Tx, word)
		s.facts.transaction(o.Tx, word)
	case r.prepares != nil:
		p := *r.prepares
		p.confirmed = true
		s.prepared[p.name] = &p
	case o.Deallocate != nil && o.Deallocate.All:
		s.forgetPrepared()
	case o.Deallocate != nil:
		delete(s.prepared, o.Deallocate.Name)
	}
	s.mu.Unlock()
	if o := r.outer; o.Purpose != nil && !o.Purpose.Reset && !o.Purpose.All {
		s.adviseOnPurpose(ctx)
	}
	if r.outer.DDL {
		s.gw.refreshCatalog(ctx)
	}
}

// forgetPrepared drops what DEALLOCATE ALL and DISCARD ALL drop: every name, but not the unnamed statement. The caller holds mu.
func (s *session) forgetPrepared() {
	maps.DeleteFunc(s.prepared, func(name string, _ *prepared) bool { return name != "" })
}

// answerReady ends a batch: the transaction's state is the server's word.
func (s *session) answerReady(ctx context.Context, m []byte) error {
	status, err := pg.TxStatus(m)
	if err != nil {
		return err
	}
	r := s.first()
	if r == nil || !r.endsReady() {
		return errUnexpected(pg.ReadyForQuery)
	}
	if r.what == expectMoment {
		return s.answerMoment(ctx, r.doubt)
	}
	s.idle.Store(status == 'I') // before done: whoever waits for the last reply looks at it
	s.done()
	s.mu.Lock()
	s.setting.ready(status)
	committed := s.facts.ready(status)
	s.mu.Unlock()
	if status == 'I' {
		clear(s.described) // portals do not outlive their transaction
		s.fall()
	}
	if err := s.publish(committed); err != nil {
		return err
	}
	if s.winding.Load() {
		return s.unwind() // what was to be written is; the client reads FATAL in place of ReadyForQuery
	}
	s.out = append(s.out, m...)
	if status == 'I' && s.draining.Load() && !s.owed() {
		return s.endDrained()
	}
	return nil
}

// endDrained ends a session whose transaction was waited for.
func (s *session) endDrained() error {
	if err := s.flush(); err != nil {
		return err
	}
	s.end(s.drained())
	return errEnded
}

// refreshCatalog reads the catalogue again after a statement that may have changed it.
func (g *Gateway) refreshCatalog(ctx context.Context) {
	if _, err := g.Protection.Catalog.Refresh(ctx); err != nil {
		g.Log.Warn("the catalogue cannot be read again", "reason", plainReason(err))
	}
}
