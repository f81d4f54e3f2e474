package gateway

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"unicode/utf8"

	"sallyport/catalog"
	"sallyport/query"
	"sallyport/wire/pg"
)

// A masked column holds plain values, and only what leaves here is masked: whatever is traced to such a column, by the
// column's own rule; whatever may be made from one, whole. What the server says in errors and notices is cut to what cannot
// hold a value. Nothing of it is protected: the values stand in the database, its backups, and on every other way to it.

// veils tells whether columns are masked for this session, or something is moving, whose plain values are masked for everybody.
func (s *session) veils() bool {
	return !s.observing() && (s.masked || s.gw.Protection != nil && s.gw.Protection.Catalog.Snapshot().Moving())
}

// analyzer is the one by which this session's statements are read.
func (s *session) analyzer() *query.Analyzer {
	if p := s.gw.Protection; !s.masked && p.Unmasked != nil {
		return p.Unmasked()
	}
	return s.gw.Protection.Analyzer()
}

// admitMasked finds out whether columns are masked for whoever comes. Who sees them in a database that protects nothing is
// relayed like any other.
func (s *session) admitMasked() {
	s.masked = s.maskedFor()
	if snapshot := s.gw.Protection.Catalog.Snapshot(); !s.masked && len(snapshot.Masked()) > 0 && len(snapshot.Columns()) == 0 && !snapshot.Plain() {
		s.protected = false
	}
}

// maskedFor tells whether this person gets masked columns masked, in the database that has some.
func (s *session) maskedFor() bool {
	p := s.gw.Protection
	return len(p.Catalog.Snapshot().Masked()) > 0 && !slices.Contains(p.SeenBy, s.person.Staff)
}

// veilColumn masks one column of a result where it has to be; false: nothing masked stands in it.
func (s *session) veilColumn(c *column, r *run, i, visible int, f pg.Field, origin catalog.Origin, traced bool) bool {
	switch {
	case traced && f.Attr != 0 && origin.Protected != nil: // one that is moving: its plain values become tokens
		return false
	case traced && f.Attr != 0 && origin.Masked != nil:
		if !s.masked {
			return false
		}
		c.show, c.text = origin.Masked.Show, origin.Masked.Text
	case traced && origin.Veiled, !traced && s.mayHold(r, i, visible):
		c.show, c.text = catalog.ShowNone, textType(f.Type)
	default:
		return false
	}
	c.kind = veiled
	s.adviseOnMoving()
	return true
}

// mayHold tells whether something masked may stand in a column of a result that the server does not trace to a table's.
func (s *session) mayHold(r *run, i, visible int) bool {
	switch {
	case r == nil:
		return true
	case r.stmt == nil:
		return s.veiledCursor(r.cursor)
	case r.stmt.Fetch:
		return s.veiledCursor(r.stmt.Cursor)
	}
	st := r.stmt
	switch {
	case st.Explain || r.outer != nil && r.outer.Explain:
		return false
	case st.Execute != nil: // by the extended protocol: what its name meant when it ran is not known here
		return true
	case !st.Masks:
		return false
	case len(st.Veiled) == visible:
		return st.Veiled[i]
	}
	return true
}

// holdsVeiled tells whether anything made from masked columns may stand in a statement's result.
func holdsVeiled(st *query.Statement) bool {
	return st.Masks && !st.Explain && (st.Veiled == nil || slices.Contains(st.Veiled, true))
}

// mostCursors is how many names of cursors are told apart.
const mostCursors = 1000

// noteCursor remembers that a cursor or portal of this name may hold something of masked columns. Whether a later one of the
// same name took its place is not followed, so the name keeps the stain.
func (s *session) noteCursor(name string, st *query.Statement) {
	if !s.veils() || !holdsVeiled(st) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cursors == nil {
		s.cursors = map[string]struct{}{}
	}
	if len(s.cursors) < mostCursors {
		s.cursors[name] = struct{}{}
	}
}

// standing is what a name of a portal means, by the server's own word.
type standing struct {
	stmt     *query.Statement
	declared bool // by SQL: it may outlive its transaction
}

// stand notes what the server has just bound or declared. The caller is the server's side, so it is in the order of the answers.
func (s *session) stand(name string, st *query.Statement, declared bool) {
	if !s.veils() {
		return
	}
	if s.standings == nil || len(s.standings) >= mostCursors { // of those that are forgotten nothing is known
		s.standings = map[string]standing{}
	}
	s.standings[name] = standing{st, declared}
}

// fall forgets the portals that ended with their transaction.
func (s *session) fall() {
	maps.DeleteFunc(s.standings, func(_ string, is standing) bool { return !is.declared })
}

// describes is the run by which a portal is described; nil: nobody knows which. The client's side may hold it for another's than the server, which was
// told by SQL to close it and declare one of its name, or did not bind what should have taken its place.
func (s *session) describes(name string, r *run) *run {
	if s.veils() && r != nil && r.stmt != nil && s.standings[name].stmt != r.stmt {
		return nil
	}
	return r
}

func (s *session) veiledCursor(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, stained := s.cursors[name]
	return stained || len(s.cursors) >= mostCursors
}

// keepsVeiled refuses CREATE TABLE AS EXECUTE where what was prepared has masked columns in its result.
func (s *session) keepsVeiled(outer, body *query.Statement) *query.Refusal {
	if !s.veils() || !outer.Keeps || !holdsVeiled(body) {
		return nil
	}
	return refusal(query.CodeMasked, "what stands in a masked column would be copied to where it is not masked",
		"Leave the column out, or have somebody do it whom the configuration names under mask.seen_by.")
}

// starred stands in the place of a text. Any other value becomes NULL: there is nothing of its type that says it is masked.
var starred = []byte("***") //nolint:gochecknoglobals // a constant

// veiledFields is rowFields behind the masks.
func (s *session) veiledFields(ctx context.Context, r *run, l *layout, fields [][]byte) (changed, stop bool, err error) {
	// Before anything else is done with them.
	if err := s.ensureApart(ctx, r, l); err != nil {
		return false, false, err
	}
	settled := s.settleFields(r, l, fields) //nolint:contextcheck // the vault bounds its own time
	defer s.veilUnknown(fields)             // behind all that is done with them
	if l.veils == nil {
		changed, stop, err = s.rowFields(ctx, r, l, fields)
		return changed || settled, stop, err
	}
	s.veilFields(l, fields)
	if l.looks {
		_, stop, err = s.rowFields(ctx, r, l, fields)
	}
	return true, stop, err
}

// veilFields masks a row's fields in place.
func (s *session) veilFields(l *layout, fields [][]byte) {
	s.shade = s.shade[:0]
	for _, i := range l.veils {
		if fields[i] != nil {
			s.shade, fields[i] = veilValue(s.shade, &l.columns[i], fields[i])
		}
	}
}

// veilValue is what is left of one value. What is not constant is appended to scratch.
func veilValue(scratch []byte, c *column, value []byte) (out, left []byte) {
	if !c.text {
		return scratch, nil
	}
	start, shown := len(scratch), []byte(nil)
	scratch = append(scratch, starred...)
	switch c.show {
	case catalog.ShowLast4:
		if value = bytes.TrimRight(value, " "); utf8.RuneCount(value) >= 8 {
			at := len(value)
			for range 4 {
				_, size := utf8.DecodeLastRune(value[:at])
				at -= size
			}
			shown = value[at:]
		}
		scratch = append(scratch, shown...)
	case catalog.ShowFirst:
		if utf8.RuneCount(bytes.TrimRight(value, " ")) >= 2 {
			_, size := utf8.DecodeRune(value)
			shown = value[:size]
		}
		scratch = append(append(scratch[:start], shown...), starred...)
	case catalog.ShowDomain:
		if at := bytes.LastIndexByte(value, '@'); at >= 0 {
			shown = value[at:]
		}
		scratch = append(scratch, shown...)
	case catalog.ShowNone:
	}
	return scratch, scratch[start:len(scratch):len(scratch)]
}
