package gateway

import (
	"context"
	"slices"
	"strconv"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/exposure"
	"sallyport/token"
	"sallyport/wire/pg"
)

// batchSize is how much goes to the client under one entry of the record. (Measured: a sync for each 64 KiB costs a third of
// the throughput, for each 1 MiB nothing.)
const batchSize = 1 << 20

// batch is what is on its way to the client. out[:clean] may leave; what stands behind may hold revealed values that are
// not on record yet.
type batch struct {
	out   []byte
	clean int

	synced      uint64 // so many of session.reads are on disk
	of          *run   // whose values these are
	values      sallyport.Values
	columns     []sallyport.Column
	lastOf      *catalog.Protected // the column of the last value; it stands in columns at lastAt
	lastAt      int
	recent      []recent // by digest
	grant       string   // under which values left, or none
	parts       []part   // what left under other grants, or none
	reached     []sallyport.Subject
	reachedRows []sallyport.Digest
	keys        keyTexts              // of reached
	again       *[agains]exposure.Key // of the present run: some of the keys that are on record

	// Scratch of the row path.
	fields  []pg.Field
	values0 [][]byte
	row0    seen
	sees    *run // whose row that is
	lastKey lastKey
	space   token.Room
	plain   []byte
	shade   []byte    // of masked values
	unknown []unknown // fields of the row of which nobody could tell what they are
	date    []byte
	key     []byte
	until   time.Time // the server's present read deadline
}

func (b *batch) free(pool *buffers) {
	if b.out != nil {
		pool.put(b.out)
		b.out = nil
	}
}

// letGo forgets the last row and the last description. They point into the buffer that they were read into, and an idle
// session would keep all of it from being freed.
func (b *batch) letGo() {
	clear(b.values0[:cap(b.values0)])
	clear(b.fields[:cap(b.fields)])
	b.sees = nil
}

// waiting says whether something stands in the batch that must be recorded before it leaves.
func (b *batch) waiting() bool { return b.values.Len()+len(b.reached)+len(b.reachedRows) > 0 }

// recents is how many values of a batch are remembered, so that one that is repeated soon stands once in the record.
const recents = 128

// recent is a value that is on the list of the batch.
type recent struct {
	under    *decided
	customer customer
	column   uint16
	digest   sallyport.Digest
}

// part is what leaves of a batch under one grant, or under none: the record and a restart tell them apart.
type part struct {
	grant   string
	values  sallyport.Values
	columns []sallyport.Column
}

// under goes on with the part of the batch that is under a grant.
func (s *session) under(grant string) {
	if grant == s.grant {
		return
	}
	if s.values.Len() > 0 {
		s.parts = append(s.parts, part{s.grant, s.values, s.columns})
		s.values, s.columns = sallyport.Values{}, nil
	}
	s.grant, s.lastOf = grant, nil
	if i := slices.IndexFunc(s.parts, func(p part) bool { return p.grant == grant }); i >= 0 {
		s.values, s.columns = s.parts[i].values, s.parts[i].columns
		s.parts = slices.Delete(s.parts, i, i+1)
	}
}

// addValue notes that a value leaves in plain.
func (s *session) addValue(r *run, v *shown) {
	s.belong(r)
	s.borrowing.begin(s.gw)
	if v.stands != nil {
		s.noteStandIn(r, v.stands)
	}
	if v.under != nil {
		s.under(v.under.grant.ID)
		if v.under.grant.asked && (r.stmt == nil || !r.stmt.Writes) && s.granting.Load() == nil {
			s.granting.Store(&v.under.grant.ID)
			s.showing = true
		}
	} else {
		s.under("")
	}
	now := recent{under: v.under, customer: v.customer, column: uint16(s.columnAt(v.of)), digest: v.digest} //nolint:gosec // a table has at most 1,600 columns
	if s.recent == nil {
		s.recent = make([]recent, recents)
	}
	before := &s.recent[v.digest[0]%recents]
	if before.digest == now.digest && *before == now {
		return
	}
	if *before = now; v.customer.numbered {
		s.values.AddNumber(v.customer.number, now.column, v.digest)
		return
	}
	s.values.Add(sallyport.RevealedValue{Subject: v.customer.text, Column: now.column, Digest: v.digest})
}

// columnAt is where a column stands among those of the present part.
func (s *session) columnAt(of *catalog.Protected) int {
	if of == s.lastOf {
		return s.lastAt
	}
	s.lastOf, s.lastAt = of, slices.Index(s.columns, of.Column)
	if s.lastAt < 0 {
		s.lastAt = len(s.columns)
		s.columns = append(s.columns, of.Column)
	}
	return s.lastAt
}

// addReached notes a customer whose row was returned outside the purpose.
func (s *session) addReached(r *run, key exposure.Key, who *customer, digest sallyport.Digest) {
	s.belong(r)
	s.borrowing.begin(s.gw)
	if s.again == nil {
		s.again = new([agains]exposure.Key)
	}
	s.again[place(&key)] = key
	if who != nil {
		s.reached = append(s.reached, s.keys.of(who))
	} else {
		s.reachedRows = append(s.reachedRows, digest)
	}
}

// agains is how many customers of a result are remembered, so that one who is reached again soon is counted and recorded once.
const agains = 128

func place(key *exposure.Key) int { return int(key[0]) % agains }

// reachedBefore says whether the present run has just reached this customer. No customer's key is the empty one.
func (s *session) reachedBefore(key *exposure.Key) bool {
	return s.again != nil && s.again[place(key)] == *key && *key != exposure.Key{}
}

// belong starts a run's part of the batch. finish has recorded that of the run before.
func (s *session) belong(r *run) {
	if s.of != r {
		s.of = r
		if s.again != nil {
			clear(s.again[:])
		}
	}
}

// record makes the batch's entry durable. Whatever stands in out may leave afterwards; if the record cannot be written,
// nothing more leaves and the session ends.
func (s *session) record() error {
	if err := s.join(); err != nil {
		return err
	}
	e, err := s.batchEvent()
	if err != nil {
		return err
	}
	if e != nil {
		reads := s.reads.Load()
		if _, err := s.gw.Access.Append(e); err != nil {
			return s.unrecorded()
		}
		s.gw.countLook(e)
		s.synced = reads // they stand in front of it
		s.values.Reset()
		clear(s.recent)
		s.columns, s.lastOf, s.reached, s.reachedRows, s.keys, s.grant = s.columns[:0], nil, s.reached[:0], s.reachedRows[:0], keyTexts{}, ""
	}
	s.clean = len(s.out)
	return nil
}

// batchEvent is the entry of what stands in the batch; nil: nothing of it needs one.
func (s *session) batchEvent() (*sallyport.Event, error) {
	if !s.waiting() {
		return nil, nil
	}
	if s.gw.Shares != nil {
		if err := s.mayShow(); err != nil {
			return nil, err
		}
	}
	r := s.of
	if !r.recorded { // a cursor or a view of which the statement did not tell
		e := s.statementEvent(r, nil)
		if r.layout != nil {
			e.Statement.Columns = r.layout.touched
		}
		if _, err := s.gw.Access.Enqueue(e); err != nil {
			return nil, s.unrecorded()
		}
		r.recorded = true
	}
	for _, p := range s.parts { // they are on disk with what stands behind them
		e := &sallyport.Event{
			Kind: s.observedOr(sallyport.RevealKind), Time: s.gw.Clock(), Who: s.whose(r).who,
			Reveal: &sallyport.Revealed{Statement: r.id, Columns: p.columns, Values: p.values, Purposes: r.sight.purposes, Grant: p.grant},
		}
		e.Charged = s.chargedTo(e)
		if _, err := s.gw.Access.Enqueue(e); err != nil {
			return nil, s.unrecorded()
		}
		s.gw.countLook(e)
	}
	s.parts = nil
	e := &sallyport.Event{Kind: sallyport.RevealKind, Time: s.gw.Clock(), Who: s.whose(r).who}
	if s.values.Len() == 0 {
		e.Kind = sallyport.TouchKind
	} else {
		e.Reveal = &sallyport.Revealed{Statement: r.id, Columns: s.columns, Values: s.values, Purposes: r.sight.purposes, Grant: s.grant}
		r.tellRulings(e.Reveal)
	}
	if len(s.reached)+len(s.reachedRows) > 0 {
		e.Touch = &sallyport.Touched{Statement: r.id, Reached: s.reached, Values: s.reachedRows}
	}
	e.Kind = s.observedOr(e.Kind)
	e.Charged = s.chargedTo(e)
	s.borrowing.done()
	return e, nil
}

// syncReads makes the entries durable of the reading statements that were forwarded. Nothing of their results may leave before.
func (s *session) syncReads() error {
	if err := s.join(); err != nil {
		return err
	}
	reads := s.reads.Load()
	if reads == s.synced {
		return nil
	}
	if s.gw.Access.Sync() != nil {
		return s.unrecorded()
	}
	s.synced = reads
	return nil
}

func (s *session) unrecorded() error {
	s.end(fatal(codeJournal, "the record cannot be written, so nothing is revealed", "The administrator reads the cause in Sallyport's log and must look at the disk of Sallyport's data folder. Other tables are not concerned."))
	return errEnded
}

// flush records and writes what stands in out.
func (s *session) flush() error {
	if err := s.record(); err != nil {
		return err
	}
	if len(s.out) == 0 {
		return nil
	}
	if err := s.syncReads(); err != nil {
		return err
	}
	n, err := s.client.write(s.out)
	s.tally.sent += uint64(len(s.out))
	s.counters.out.Add(uint64(n)) //nolint:gosec // a length
	s.clean, s.torn = 0, s.torn || err != nil
	if !s.showing {
		s.granting.Store(nil)
	}
	if s.server.buffered() > 0 && cap(s.out) <= 2*batchSize {
		s.out = s.out[:0]
		return err
	}
	s.gw.pool.put(s.out) // an idle session holds no buffer, and nobody that of one long row
	s.out = nil
	s.behind.release(&s.gw.pool)
	return err
}

// finish ends a run's rows: its entry is durable before the end of the result leaves, and the client reads why values
// stayed tokens.
func (s *session) finish(ctx context.Context, r *run, tag string) error {
	if s.waiting() {
		if err := s.record(); err != nil {
			return err
		}
	}
	s.of = nil
	if r.spent {
		sentence, hint := limitSentence(r.limit)
		if r.overGrant {
			hint = hintGrant
		}
		remaining := "the remaining fields are tokens, for "
		if r.dropped {
			remaining = "the remaining rows are left out, for "
		}
		s.notice("WARNING", remaining+sentence, hint)
		return nil
	}
	switch {
	case r.left == 0:
	case s.observing(): // the client has plain values before it: a notice about tokens would be untrue
		s.observe("would have left " + strconv.Itoa(r.left) + " values as tokens")
	case r.revealed == 0 && tag != "":
		s.adviseOnResult(ctx, r)
	}
	return nil
}

// notice appends a notice for the client.
func (s *session) notice(severity, sentence, hint string) {
	s.out = pg.AppendNotice(s.out, pg.NoticeResponse, pg.NewNotice(severity, codeNotice, "sallyport: "+sentence, "", hint))
}
