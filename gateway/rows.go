package gateway

import (
	"context"

	"sallyport"
	"sallyport/catalog"
	"sallyport/exposure"
	"sallyport/purpose"
	"sallyport/wire/pg"
)

// rows are a row of a result and those behind it that have come already, as many as a batch has room for.
func (s *session) rows(ctx context.Context, m []byte) error {
	r := s.first()
	if r == nil || r.what != expectRows && r.what != expectQuery {
		return errUnexpected(pg.DataRow)
	}
	current := s.present(r)
	if current.layout == nil && r.what == expectRows {
		current.layout = s.described[r.name]
	}
	if current.layout == nil {
		return errUnexpected(pg.DataRow)
	}
	n, before := uint64(0), s.server.at-len(m)
	defer func() {
		s.counters.rows.Add(n)
		s.gathering.came += s.server.at - before
	}()
	for {
		n++
		if err := s.row(ctx, current, m); err != nil || s.over.Load() {
			return err
		}
		if current.layout.lane {
			n += s.takeLane(current)
		}
		if len(s.out) >= batchSize {
			return nil
		}
		if m = s.server.another(pg.DataRow); m == nil {
			return nil
		}
	}
}

// row is one row: each value that the purpose covers, and no other, becomes readable.
func (s *session) row(ctx context.Context, current *run, m []byte) error {
	l := current.layout
	if !l.inspect && current.capture == nil {
		s.out = append(s.out, m...)
		return nil
	}
	fields, rest, count, err := pg.ParseDataRowFront(s.values0[:0], m, l.front)
	if err != nil {
		return err
	}
	s.values0 = fields
	if count != len(l.columns) {
		return errUnexpected(pg.DataRow)
	}
	if c := current.capture; c != nil {
		s.learn(current, l, fields)
		if !c.HadReturning {
			return nil
		}
	}
	if l.visible < len(l.columns) {
		fields, count, rest = fields[:l.visible], l.visible, nil
	}
	changed, stop, err := s.veiledFields(ctx, current, l, fields)
	if err != nil || stop {
		return err
	}
	if !changed && l.visible == len(l.columns) {
		s.out = append(s.out, m...)
		return nil
	}
	s.out = pg.AppendDataRowFront(s.out, fields, rest, count)
	return nil
}

// seen is what one row holds, before anything is counted.
type seen struct {
	customer customer // by the customer's key, else by a covered value
	keyed    bool     // by the key
	shown    []shown
	masked   []int  // fields that policies mask
	left     int    // protected values that stay tokens
	tokens   []left // those of them that are known for tokens
}

// mostScratch is how many tokens of a row a session keeps room for.
const mostScratch = 4096

// shown is one value that would leave in plain.
type shown struct {
	of       *catalog.Protected
	customer customer
	digest   sallyport.Digest
	under    *decided // the grant, or nil
	index    int      // of the field
	plain    []byte
	stands   *standIn // plain is one for this viewer; nil: it is the value
}

// rowFields looks at every field, counts what the row shows, and only then changes it. stop says that the result is cut
// here.
func (s *session) rowFields(ctx context.Context, r *run, l *layout, fields [][]byte) (changed, stop bool, err error) {
	if err := s.ensureSight(ctx, r); err != nil {
		return false, false, err
	}
	if s.accounts.stepped {
		s.accounts.stepped, r.waited = false, false
		r.sight.anew(s)
	}
	row := s.seeRow(r, l, fields) //nolint:contextcheck // the vault bounds its own time
	if r.sight.waits != nil && !r.waited {
		r.waited = true
		if err := s.waitAtDoor(ctx, r); err != nil {
			return false, true, err
		}
		return s.rowFields(ctx, r, l, fields)
	}
	if r.sight.slow { // the policies have been asked about this row by now
		if err := s.slowDown(ctx, r); err != nil {
			return false, true, err
		}
	}
	limit := s.count(r, row)
	switch {
	case limit == nil:
	case s.observing() && r.limit == nil:
		r.limit = limit
		s.observe(observedLimit(limit))
	case !s.observing():
		if stop := s.overspent(r, limit); stop {
			return false, true, nil
		}
		if limit.Measure == string(exposure.Reached) {
			r.dropped = true
			return false, true, nil // the statement writes and runs to its end, but these rows are not for the client
		}
	}
	if s.observing() {
		return false, false, nil
	}
	if r.spent {
		r.left += len(row.shown)
		return false, false, nil
	}
	for _, v := range row.shown {
		fields[v.index] = v.plain
	}
	for _, i := range row.masked {
		fields[i] = stars()
	}
	r.masked += len(row.masked)
	return len(row.shown)+len(row.masked) > 0, false, nil
}

// seeRow looks at every field, and changes none.
func (s *session) seeRow(r *run, l *layout, fields [][]byte) *seen {
	s.plain, s.sees = s.plain[:0], r
	row := &s.row0
	*row = seen{shown: row.shown[:0], tokens: row.tokens[:0], masked: row.masked[:0]}
	if cap(row.tokens) > mostScratch {
		row.tokens = nil
	}
	if l.key >= 0 {
		row.customer = rowKey(&l.columns[l.key], fields[l.key])
		row.keyed = row.customer.known()
	}
	for i := range fields {
		c := &l.columns[i]
		if c.kind == passing || c.kind == keyed || c.kind == veiled || len(fields[i]) == 0 {
			continue
		}
		if c.kind == guarded {
			s.guardedField(r, row, c, i, fields[i])
		} else {
			s.formedField(r, row, c, i, fields[i])
		}
	}
	return row
}

// ensureSight resolves the purpose where the statement did not let on that it reaches anything protected.
func (s *session) ensureSight(ctx context.Context, r *run) error {
	if r.sight != nil {
		r.sight.current(ctx, s)
		return nil
	}
	as := s.whose(r)
	s.mu.Lock()
	now := s.setting.stance()
	s.mu.Unlock()
	v, err := s.look(ctx, r.stmt, as, now.reason(as))
	if err != nil {
		s.gw.Log.Warn("the purpose cannot be checked", "reason", plainReason(err))
		s.notice("WARNING", "values stay tokens: the purpose cannot be checked now", "Try again in a moment.")
		v = &sight{as: as, policies: s.gw.Protection.Policies(), turned: s.gw.Standing.Turned()}
	}
	r.sight = v
	return nil
}

// guardedField is a field of a protected column.
func (s *session) guardedField(r *run, row *seen, c *column, i int, field []byte) {
	stored, key := field, field
	if c.form != asText {
		var ok bool
		if stored, ok = s.fieldText(c, field); !ok {
			row.left++
			return
		}
		key = s.fieldKey(c.protected, stored)
	}
	// Many people are born on one day: a date is a stranger's where the row says so.
	stranger := c.form.many() && row.keyed && !r.sight.covered(&row.customer)
	if v, ok := s.readable(r, key); ok && !stranger {
		if s.showCovered(row, v, c, i, stored) {
			return
		}
	} else if g := r.sight.grant(s.gw, c.protected, key, &row.customer, c.form.many()); g != nil && (s.gw.Protection.Ties == nil || !s.gw.Protection.Ties.Stray(c.protected, stored, &row.customer)) {
		who := g.whose(key, &row.customer)
		if s.show(row, c.protected, &who, g, c, i, stored, r.sight.plain(key)) {
			s.countAlone(r, &row.shown[len(row.shown)-1], key) //nolint:contextcheck // the resolver bounds its own time
			return
		}
	}
	if r.leftToken == "" {
		r.leftToken = string(key)
	}
	if textType(c.typ) && r.sight.masks(key) {
		row.masked = append(row.masked, i)
	}
	s.leave(row, c, key)
}

// readable says whether a stored text may be read: the purpose covers it, or the person wrote it himself.
func (s *session) readable(r *run, stored []byte) (purpose.Value, bool) {
	if len(r.sight.covers) > 0 {
		if v, ruling, ok := r.sight.find(stored); ok {
			return v, ruling.Verdict == sallyport.Reveal
		}
	}
	if len(s.written) == 0 || !r.sight.good() {
		return purpose.Value{}, false
	}
	v, ok := s.readBack(stored, s.whose(r).person.Staff)
	return v, ok && r.sight.written(v.Column).Verdict == sallyport.Reveal
}

// showCovered is show of a value that a purpose covers, wherever it stands.
func (s *session) showCovered(row *seen, v purpose.Value, c *column, i int, stored []byte) bool {
	of := c.protected
	if of == nil || of.Column != v.Column {
		if of = s.gw.protectedColumn(v.Column); of == nil {
			return false // not any more
		}
	}
	who := customerOf(v.Subject)
	return s.show(row, of, &who, nil, c, i, stored, v.Plain)
}

// show decrypts one value into the row's list; false where it is no token after all. plain is what it stands for where that is known otherwise.
func (s *session) show(row *seen, of *catalog.Protected, who *customer, g *decided, c *column, i int, stored []byte, plain string) bool {
	codec := c.codec
	if codec == nil || of != c.protected {
		var err error
		if codec, err = s.gw.codec(of); err != nil {
			return false
		}
	}
	if s.gw.shredded(of, codec, who, stored) || s.playing() && !s.drillsOn(who) {
		return false
	}
	start := len(s.plain)
	var digest sallyport.Digest
	switch {
	case s.observing(): // values stand there in plain still
		s.plain = append(s.plain, stored...)
		digest = codec.Digest(stored)
	case plain != "":
		s.plain = append(s.plain, plain...)
		digest = codec.DigestRevealed(s.plain[start:])
	default:
		var err error
		if s.plain, digest, err = codec.RevealDigest(&s.space, s.plain, stored); err != nil {
			if s.plain, err = s.gw.revealOverflow(of.Column, codec, s.plain[:start], stored); err != nil {
				s.plain = s.plain[:start]
				return false
			}
			digest = codec.DigestRevealed(s.plain[start:])
		}
	}
	if s.playing() && !s.drillsOnValue(of, digest) {
		s.plain = s.plain[:start]
		return false
	}
	x := s.standsIn(of, g, digest)
	if x != nil {
		s.plain = append(s.plain[:start], x.text...)
	}
	switch {
	case c.form != asText:
		s.plain = s.refield(s.plain, start, c)
	case of.Scheme == sallyport.Date && c.typ == typeDate:
		s.plain = s.redate(s.plain, start, c)
	}
	if !row.customer.known() {
		row.customer = *who
	}
	row.shown = append(row.shown, shown{of, *who, digest, g, i, s.plain[start:len(s.plain):len(s.plain)], x})
	return true
}

// formedField is a field that cannot be traced: a token may be all of it or stand somewhere inside.
func (s *session) formedField(r *run, row *seen, c *column, i int, field []byte) {
	stored := field
	if c.typ == typeDate {
		var ok bool
		if stored, ok = s.isoDate(c, field); !ok {
			return
		}
	}
	if v, ok := s.readable(r, stored); ok && s.showCovered(row, v, c, i, stored) {
		return
	}
	if c.typ == typeDate {
		return
	}
	s.insideField(r, row, c, i, field)
}

// count reserves what the row shows and reaches; the first budget that is reached is returned, and nothing may be shown. While
// observing the row is shown all the same, so it is on record all the same.
func (s *session) count(r *run, row *seen) *sallyport.Limit {
	var over *sallyport.Limit
	s.spentGrant = ""
	for i := range row.shown {
		v := &row.shown[i]
		if r.spent {
			break
		}
		if over = s.reserve(r, v); over != nil {
			if v.under != nil && v.under.grant.asked {
				s.spentGrant = v.under.grant.ID
			}
			break
		}
	}
	if over == nil || s.observing() {
		if limit := s.countReach(r, row); over == nil {
			over = limit
		}
	}
	if over != nil && !s.observing() {
		return over
	}
	r.left += row.left
	for i := range row.shown { // only now: what is cut off is not on record as revealed
		if r.spent {
			break
		}
		s.addValue(r, &row.shown[i])
		r.revealed++
	}
	return over
}
