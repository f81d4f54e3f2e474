package gateway

import (
	"encoding/binary"
	"sync"

	"sallyport"
	"sallyport/catalog"
	"sallyport/exposure"
	"sallyport/wire/pg"
)

// Most rows of a long result are alike: a customer's number, one value of his, and columns that nobody looks at. They go through the lane:
// hundreds that have come together are read, then all of them are counted, then all are noted, where row does it all for one after the
// other. The lane decides nothing. It takes no row of which anything is unusual, no matter what: such a row, and each first one of those that
// came together, goes the whole way (row), and what is looked at for a statement or a moment is looked at there.

// laneRows is how many rows are taken at once.
const laneRows = 512

// lane is the room for rows that are taken at once.
type lane struct {
	numbers [laneRows]uint64 // the customers
	owners  [laneRows]exposure.Key
	hashes  [laneRows]uint64 // of values, for kin
	ends    [laneRows]int    // of rows, in what was read
	digests [laneRows]sallyport.Digest
	outs    [laneRows]int          // where rows begin in what leaves
	fresh   [laneRows]exposure.Key // owners who were not reached just before,
	rows    [laneRows]int          // and the rows they are of
}

// lanes lends that room, so that a session that does nothing holds none.
type lanes struct{ pool sync.Pool }

func (p *lanes) get() *lane {
	if l, ok := p.pool.Get().(*lane); ok {
		return l
	}
	return new(lane)
}

// laneOf is the one protected column of a layout whose rows may come through the lane.
func (l *layout) laneOf() (value int, ok bool) {
	if l.key < 0 || l.columns[l.key].binary || l.visible < len(l.columns) || len(l.veils)+len(l.moving) > 0 {
		return 0, false
	}
	for i := range l.columns {
		switch c := &l.columns[i]; c.kind {
		case passing, keyed:
		case guarded:
			if ok || c.form != asText || c.codec == nil {
				return 0, false
			}
			value, ok = i, true
		case formed, veiled:
			return 0, false
		}
	}
	return value, ok
}

// takeLane takes rows that are there already, up to the first that is unusual, and returns how many.
func (s *session) takeLane(r *run) uint64 {
	c := &r.layout.columns[r.layout.value]
	grant, ok := s.laneSight(r, c.protected)
	if !ok {
		return 0
	}
	rows := s.gw.lanes.get()
	defer s.gw.lanes.pool.Put(rows)
	taken := uint64(0)
	for !s.over.Load() && len(s.out) < batchSize {
		n := 0
		if grant == nil {
			n = s.leaveRows(r, c, rows)
		} else {
			n = s.revealRows(r, c, grant, rows)
		}
		taken += uint64(n) //nolint:gosec // a length
		if n < laneRows {
			break
		}
	}
	return taken
}

// laneSight tells whether nothing about the statement, the person and this moment is unusual, and by which grant values are seen; nil: they stay tokens.
func (s *session) laneSight(r *run, of *catalog.Protected) (grant *decided, ok bool) {
	v := r.sight
	if v == nil || r.capture != nil || r.spent || v.waits != nil || v.slow || v.denied != nil || len(s.written) > 0 || s.observing() || s.gw.Shares != nil || s.accounts.stepped {
		return nil, false
	}
	for _, cover := range v.covers {
		if len(cover.Values)+len(cover.Subjects) > 0 {
			return nil, false
		}
	}
	if len(v.grants) == 0 {
		a := s.accountsOf(r)
		return nil, len(a.reached) == 1 && a.lender == nil && !a.stepped
	}
	for _, d := range v.decided {
		if d.column != of {
			continue
		}
		if grant != nil || d.grant == nil || d.grant.only != nil {
			return nil, false
		}
		grant = d
	}
	known := of.Scheme == sallyport.Email || of.Scheme == sallyport.Phone
	if grant == nil || !known || s.gw.Standing.Shreds() || s.gw.plays(s.whose(r).person.Staff) || grant.over(s) != nil {
		return nil, false
	}
	return grant, true
}

// laneRow finds the customer's number and the value in the next row, and where in it the value begins; ok is false where that row is not there
// as a whole, or something about it is unusual.
func laneRow(b []byte, l *layout) (m []byte, number uint64, at, size int, ok bool) {
	if len(b) == 0 || b[0] != pg.DataRow {
		return nil, 0, 0, 0, false
	}
	_, whole, ok, err := pg.Header(b)
	if err != nil || !ok || whole > len(b) || whole < pg.HeaderLen+2 || int(binary.BigEndian.Uint16(b[pg.HeaderLen:])) != len(l.columns) {
		return nil, 0, 0, 0, false
	}
	m = b[:whole:whole]
	next, keyed := pg.HeaderLen+2, false
	for i := range l.front {
		if len(m)-next < 4 {
			return nil, 0, 0, 0, false
		}
		n := int(int32(binary.BigEndian.Uint32(m[next:]))) //nolint:gosec // −1 is NULL
		next += 4
		if n < 0 {
			if n != -1 || i == l.key || i == l.value {
				return nil, 0, 0, 0, false
			}
			continue
		}
		if n > len(m)-next {
			return nil, 0, 0, 0, false
		}
		switch i {
		case l.key:
			number, keyed = sallyport.WholeNumber(m[next : next+n])
		case l.value:
			at, size = next, n
		}
		next += n
	}
	if l.front == len(l.columns) && next != len(m) {
		return nil, 0, 0, 0, false
	}
	return m, number, at, size, keyed && size > 0
}

// leaveRows takes rows whose value stays a token.
func (s *session) leaveRows(r *run, c *column, rows *lane) int {
	if r.leftToken == "" {
		return 0 // the first is looked at by row
	}
	a, b, n, end := s.accountsOf(r), s.server.ahead(), 0, 0
	for ; n < laneRows && len(s.out)+end < batchSize; n++ {
		m, number, at, size, ok := laneRow(b[end:], r.layout)
		if !ok {
			break
		}
		end += len(m)
		who := customer{number: number, numbered: true}
		rows.numbers[n], rows.owners[n] = number, s.lastKey.of(&who)
		rows.hashes[n], rows.ends[n] = s.gw.kin.token(m[at:at+size]), end
	}
	n = s.gw.kin.belong(a.kinship, c.home, rows.owners[:n], rows.hashes[:n])
	if n = s.reachEach(r, a, rows, n); n == 0 {
		return 0
	}
	r.hint = customer{number: rows.numbers[n-1], numbered: true}
	r.left += n
	s.out = append(s.out, b[:rows.ends[n-1]]...)
	s.server.skip(rows.ends[n-1])
	return n
}

// reachEach counts and notes the customers of the first n rows as reached, and returns how many rows may leave.
func (s *session) reachEach(r *run, a *accounts, rows *lane, n int) int {
	s.belong(r)
	if s.again == nil {
		s.again = new([agains]exposure.Key)
	}
	fresh := 0
	for i := range n {
		key := &rows.owners[i]
		if s.reachedBefore(key) {
			continue
		}
		s.again[place(key)] = *key
		rows.fresh[fresh], rows.rows[fresh] = *key, i
		fresh++
	}
	counted := a.reached[0].ReserveEach(a.time, rows.fresh[:fresh])
	for _, i := range rows.rows[:counted] {
		who := customer{number: rows.numbers[i], numbered: true}
		s.reached = append(s.reached, s.keys.of(&who))
	}
	if counted == fresh {
		return n
	}
	clear(s.again[:]) // of those who were not counted, too
	return rows.rows[counted]
}

// revealRows takes rows whose value is seen under a grant.
func (s *session) revealRows(r *run, c *column, grant *decided, rows *lane) int {
	book, b, n, end := s.gw.Protection.Canaries, s.server.ahead(), 0, 0
	for ; n < laneRows && len(s.out) < batchSize; n++ {
		m, number, at, size, ok := laneRow(b[end:], r.layout)
		if !ok {
			break
		}
		start := len(s.out)
		s.out = append(s.out, m[:at]...)
		var err error
		if s.out, rows.digests[n], err = c.codec.RevealDigest(&s.space, s.out, m[at:at+size]); err != nil || book != nil && book.ByValue(rows.digests[n]) != nil {
			s.takeBack(start)
			break
		}
		shown := len(s.out) - start - at
		s.out = append(s.out, m[at+size:]...)
		binary.BigEndian.PutUint32(s.out[start+1:], uint32(len(s.out)-start-1)) //nolint:gosec // shorter than what came
		binary.BigEndian.PutUint32(s.out[start+at-4:], uint32(shown))           //nolint:gosec // likewise
		end += len(m)
		who := customer{number: number, numbered: true}
		rows.numbers[n], rows.owners[n] = number, s.lastKey.of(&who)
		rows.hashes[n], rows.ends[n], rows.outs[n] = binary.LittleEndian.Uint64(rows.digests[n][:]), end, start
	}
	all := n
	n = s.gw.kin.belong(grant.kinship, grant.home, rows.owners[:n], rows.hashes[:n])
	n = grant.customers.ReserveNumbers(rows.numbers[:n], grant.grant.Customers)
	if n < all {
		s.takeBack(rows.outs[n])
	}
	for i := range n {
		who := customer{number: rows.numbers[i], numbered: true}
		s.addValue(r, &shown{of: c.protected, customer: who, digest: rows.digests[i], under: grant})
	}
	if n > 0 {
		r.revealed += n
		s.server.skip(rows.ends[n-1])
	}
	return n
}

// takeBack takes rows that do not leave out of what leaves, and what was readable in them.
func (s *session) takeBack(from int) {
	clear(s.out[from:])
	s.out = s.out[:from]
}
