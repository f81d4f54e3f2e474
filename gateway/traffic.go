package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"sallyport"
	"sallyport/query"
)

// How a statement ended goes on record behind what it revealed: of one that is on record as a result of its own, of any other as its share of
// the session's traffic, in sums each second. Neither waits for the disk; what was revealed has done so before.

// tally is what the server's side had counted when the statement before ended.
type tally struct {
	rows, bytes uint64
	sent        uint64 // bytes that were handed on to be sent
}

// passed is how many bytes the client has got or is about to get.
func (s *session) passed() uint64 { return s.tally.sent + uint64(len(s.out)) }

// countStatement notes how a statement ended, or a part of one of which rows are fetched in parts.
func (s *session) countStatement(r *run, failed bool) {
	rows, bytes := s.counters.rows.Load(), s.passed()
	n := sallyport.Counters{Statements: 1, Rows: rows - s.tally.rows, BytesOut: bytes - s.tally.bytes}
	s.tally.rows, s.tally.bytes = rows, bytes
	if r.recorded {
		s.noteResult(r, &n, failed)
		return
	}
	fingerprint := ""
	if r.stmt != nil {
		fingerprint = r.stmt.Fingerprint
		n.BytesIn = uint64(max(r.stmt.End-r.stmt.Start, 0)) //nolint:gosec // a length
	}
	s.traffic.add(fingerprint, r.stmt, &n, failed)
}

// countCut notes that the session ends in the middle of a result.
func (s *session) countCut() {
	if r := s.first(); r != nil && r.run != nil && r.run.recorded && (r.what == expectRows || r.what == expectQuery) {
		s.countStatement(r.run, true)
	}
}

func (s *session) noteResult(r *run, n *sallyport.Counters, failed bool) {
	who := s.whose(r).who
	e := sallyport.Event{
		Kind: sallyport.ResultKind, Who: sallyport.Who{Staff: who.Staff, Login: who.Login, Session: who.Session, Via: who.Via},
		Statement: &sallyport.Statement{ID: r.id},
		Result: &sallyport.Result{
			Rows: n.Rows, Bytes: n.BytesOut, Failed: failed,
			Revealed: uint64(max(r.revealed, 0)), Left: uint64(max(r.left, 0)), Masked: uint64(max(r.masked, 0)), //nolint:gosec // counts
		},
	}
	if r.sight != nil {
		e.Result.Rulings, e.Result.Trust = r.sight.ruled(), r.sight.trust()
	}
	s.note(e)
	if !failed {
		s.gw.shapes.note(s, r.stmt)
	}
}

// trust is one more than how far the person was trusted when the policies were asked.
func (v *sight) trust() int64 { return v.asking.Context.Trust + 1 }

// mostRulings bounds what one entry says of a statement.
const mostRulings = 64

// ruled is what the policies said so far, for the record.
func (v *sight) ruled() []sallyport.Ruled {
	if len(v.rulings) == 0 {
		return nil
	}
	out := make([]sallyport.Ruled, 0, min(len(v.rulings), mostRulings))
	for i := range v.rulings[:min(len(v.rulings), mostRulings)] {
		r := &v.rulings[i]
		one := sallyport.Ruled{Column: r.column, Verdict: r.ruling.Verdict.String(), Policy: r.ruling.Policy()}
		if r.cover != nil {
			one.Purpose = slices.Index(v.purposes, r.cover.Purpose) + 1
		}
		if r.grant != nil {
			one.Grant = r.grant.ID
		}
		out = append(out, one)
	}
	return out
}

// tellRulings puts what the policies said into the entry of a batch, unless an entry of this statement says it already.
func (r *run) tellRulings(to *sallyport.Revealed) {
	now := [2]int{len(r.sight.rulings), r.sight.renewed}
	if now == r.toldRulings {
		return
	}
	r.toldRulings, to.Rulings, to.Trust = now, r.sight.ruled(), r.sight.trust()
}

// resolved is how many customers each purpose covers.
func (v *sight) resolved() []uint64 {
	if len(v.covers) == 0 {
		return nil
	}
	out := make([]uint64, len(v.covers))
	for i, c := range v.covers {
		out[i] = uint64(len(c.Subjects))
	}
	return out
}

// traffic is what a session did that touches nothing protected, by fingerprint, since that was put on record last.
type traffic struct {
	mu sync.Mutex // guards by
	by map[string]*portion
}

// portion is that of one fingerprint.
type portion struct {
	n  sallyport.Counters
	st *query.Statement // of which one ended well; nil: none yet, or nothing was read
}

// mostShares is how many fingerprints a session keeps room for between two seconds.
const mostShares = 256

func (t *traffic) add(fingerprint string, st *query.Statement, n *sallyport.Counters, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.by[fingerprint]
	if one == nil {
		if t.by == nil {
			t.by = map[string]*portion{}
		}
		one = &portion{}
		t.by[fingerprint] = one
	}
	one.n.Statements += n.Statements
	one.n.Rows += n.Rows
	one.n.BytesIn += n.BytesIn
	one.n.BytesOut += n.BytesOut
	if one.st == nil && !failed {
		one.st = st
	}
}

// putTraffic puts what was counted on record. What the record does not take is counted on.
func (s *session) putTraffic() {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	for fingerprint, one := range s.traffic.by {
		if one.n == (sallyport.Counters{}) {
			if len(s.traffic.by) > mostShares {
				delete(s.traffic.by, fingerprint)
			}
			continue
		}
		n := one.n
		e := sallyport.Event{
			Kind: sallyport.CountersKind, Time: s.gw.Clock(), Who: s.who,
			Statement: &sallyport.Statement{Fingerprint: fingerprint}, Counters: &n,
		}
		if _, err := s.gw.Access.Enqueue(&e); err != nil {
			return
		}
		one.n = sallyport.Counters{}
		s.gw.shapes.note(s, one.st)
	}
}

// countEvery is how often traffic is put on record.
const countEvery = time.Second

// putTrafficEachSecond puts the traffic of all sessions on record until ctx ends.
func (g *Gateway) putTrafficEachSecond(ctx context.Context) {
	ticker := time.NewTicker(countEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		g.mu.Lock()
		live := make([]*session, 0, len(g.sessions))
		for s := range g.sessions {
			live = append(live, s)
		}
		g.mu.Unlock()
		for _, s := range live {
			s.putTraffic()
		}
	}
}

// shapes are the fingerprints whose text is on record since the gateway started.
type shapes struct {
	mu    sync.Mutex // guards known
	known map[string]struct{}
}

// mostShapes bounds them; whoever makes up more has some recorded again.
const mostShapes = 1 << 14

// note puts the shape of a statement on record, once. The server took the statement, so its names are names of things there.
func (k *shapes) note(s *session, st *query.Statement) {
	if st == nil || st.Shape == "" {
		return
	}
	k.mu.Lock()
	_, known := k.known[st.Fingerprint]
	if !known {
		if k.known == nil || len(k.known) >= mostShapes {
			k.known = map[string]struct{}{}
		}
		k.known[st.Fingerprint] = struct{}{}
	}
	k.mu.Unlock()
	if !known {
		s.note(sallyport.Event{
			Kind: sallyport.ShapeKind, Who: sallyport.Who{Staff: s.who.Staff, Session: s.who.Session, Database: s.who.Database},
			Statement: &sallyport.Statement{Fingerprint: st.Fingerprint, Verb: st.Verb, Tables: st.Mentions, Shape: st.Shape},
		})
	}
}
