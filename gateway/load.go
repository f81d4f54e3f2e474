package gateway

import (
	"fmt"

	"sallyport"
	"sallyport/exposure"
	"sallyport/query"
	"sallyport/wire/pg"
)

// loading is a COPY into protected columns under way: its loader, and the probes that are not on record yet. What they were
// made of leaves only behind their record.
type loading struct {
	*loader
	run    *run
	probes sallyport.Touched
	known  map[sallyport.Digest]struct{} // of probes
}

// newLoading makes the loader of a statement.
func (s *session) newLoading(r *run) *loading {
	l := &loading{run: r, known: map[sallyport.Digest]struct{}{}}
	c := r.stmt.Copy
	l.loader = newLoader(c, func(f *query.CopyField, value []byte) ([]byte, *query.Refusal) {
		if c.Format == "binary" {
			return s.binarySlot(r, f.Slot, value)
		}
		return s.slot(r, f.Slot, value)
	})
	return l
}

// load passes a piece of the data through the loader.
func (s *session) load(b []byte) {
	start := len(s.toServer)
	s.loading.out = pg.Begin(s.toServer, pg.CopyData)
	refused := s.loading.take(b)
	s.takeLoaded(start)
	if refused != nil {
		s.failCopy(refused)
	}
}

// takeLoaded makes a message of what the loader wrote.
func (s *session) takeLoaded(start int) {
	s.toServer = s.loading.out
	s.loading.out = nil
	if len(s.toServer) == start+pg.HeaderLen {
		s.toServer = s.toServer[:start]
		return
	}
	s.toServer = pg.End(s.toServer, start)
}

// endLoad ends the data; false: they are refused. Everything is on record before the server may store it.
func (s *session) endLoad() bool {
	start := len(s.toServer)
	s.loading.out = pg.Begin(s.toServer, pg.CopyData)
	refused := s.loading.finish()
	s.takeLoaded(start)
	if refused == nil {
		refused = s.recordProbes()
	}
	if refused != nil {
		s.failCopy(refused)
		return false
	}
	return true
}

// failCopy ends a COPY of which nothing may be stored. The server is told so, and says what becomes of the transaction.
func (s *session) failCopy(why *query.Refusal) {
	if row := s.loading.row; row > 0 && why.Code != codeBudget && why.Code != codeBadCopy {
		located := *why
		located.Sentence += fmt.Sprintf(" (row %d)", row)
		why = &located
	}
	s.noteRefusal(s.loading.run.stmt, why)
	_ = s.recordProbes() // nothing leaves any more; a record that cannot be written is in the log
	from := s.copyFrom
	s.copyFrom, s.loading = nil, nil
	s.mu.Lock()
	s.copyIn = false
	from.broken = why
	s.mu.Unlock()
	s.toServer = pg.Append(s.toServer, pg.CopyFail, "refused\x00")
}

// recordProbes makes the probes of what is about to leave durable.
func (s *session) recordProbes() *query.Refusal {
	l := s.loading
	if len(l.probes.Probes)+len(l.probes.Dates) == 0 {
		return nil
	}
	l.probes.Statement = l.run.id
	e := &sallyport.Event{Kind: sallyport.TouchKind, Time: s.gw.Clock(), Who: s.whose(l.run).who, Touch: &l.probes, Charged: s.borrowing.take(exposure.Probed)}
	if refused := s.recordFirst(e, "nothing is stored"); refused != nil {
		return refused
	}
	l.probes.Probes, l.probes.Dates = l.probes.Probes[:0], l.probes.Dates[:0]
	clear(l.known)
	return nil
}

// forwardReady forwards what has been collected where it is much, or the client has nothing more at hand. Of a COPY into
// protected columns a whole batch is collected: each has an entry of its own in the record.
func (s *session) forwardReady() error {
	if s.loading != nil {
		if len(s.toServer) < batchSize {
			return nil
		}
		if refused := s.recordProbes(); refused != nil {
			s.toServer = s.toServer[:0]
			s.failCopy(refused)
		}
		return s.forward()
	}
	if s.client.whole() && len(s.toServer) < bufferSize {
		return nil
	}
	return s.forward()
}
