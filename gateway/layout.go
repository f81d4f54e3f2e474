package gateway

import (
	"bytes"
	"fmt"
	"slices"

	"sallyport"
	"sallyport/catalog"
	"sallyport/query"
	"sallyport/token"
	"sallyport/wire/pg"
)

// columnKind says how the fields of one result column are treated.
type columnKind uint8

const (
	passing columnKind = iota // nothing protected can stand in it
	guarded                   // traced to a protected column
	formed                    // not traced: tokens are recognised by form
	keyed                     // the customer's key
	veiled                    // masked, or made from what is
)

// column is one column of a result.
type column struct {
	kind      columnKind
	protected *catalog.Protected // guarded
	codec     *token.Codec       // guarded
	home      home               // guarded
	form      fieldForm          // guarded
	typ       uint32
	binary    bool
	moving    bool         // guarded: plain values may stand in it
	text      bool         // veiled: *** is a value of its type
	show      catalog.Show // veiled: what is left to see
}

// layout is how the rows of one result are read.
type layout struct {
	columns []column
	inspect bool  // any column is not passing, or not for the client
	looks   bool  // any is neither passing nor veiled
	front   int   // behind so many columns all others are passing, and for the client
	key     int   // index of the customer's key, −1 without
	visible int   // columns that the client sees; what stands behind was added to learn facts
	veils   []int // the veiled columns
	moving  []int // those in which plain values may stand beside tokens
	touched []sallyport.Column
	lane    bool // its rows may come through the lane
	value   int  // of those: the protected column
}

// newLayout decides for each column once, so that nothing is decided per row.
func (s *session) newLayout(r *run, fields []pg.Field, hidden int) (*layout, error) {
	l := &layout{columns: make([]column, len(fields)), key: -1, visible: len(fields) - hidden}
	snapshot, veils := s.gw.Protection.Catalog.Snapshot(), s.veils()
	for i, f := range fields {
		c := &l.columns[i]
		c.typ, c.binary = f.Type, f.Format == 1
		if i >= l.visible {
			continue
		}
		origin, traced := snapshot.Trace(f.Table, f.Attr)
		switch {
		case veils && s.veilColumn(c, r, i, l.visible, f, origin, traced):
			l.veils = append(l.veils, i)
		case traced && f.Attr != 0 && origin.Protected != nil:
			if err := s.gw.guard(c, origin.Protected); err != nil {
				return nil, err
			}
			l.touched = append(l.touched, origin.Protected.Column)
		case traced && f.Attr != 0 && origin.CustomerKey:
			c.kind = keyed
			if l.key < 0 {
				l.key = i
			}
		case traced && f.Attr != 0 && !origin.Opaque, plainTypes[f.Type]:
		default:
			c.kind = formed
		}
		l.inspect = l.inspect || c.kind != passing
		l.looks = l.looks || c.kind != passing && c.kind != veiled
	}
	l.inspect = l.inspect || hidden > 0
	l.noteMoving()
	l.front = l.frontOf()
	l.value, l.lane = l.laneOf()
	return l, nil
}

// noteMoving finds the columns in which plain values may stand.
func (l *layout) noteMoving() {
	for i := range l.columns {
		if l.columns[i].moving {
			l.moving = append(l.moving, i)
		}
	}
}

// guard makes a column of a result that of a protected column.
func (g *Gateway) guard(c *column, p *catalog.Protected) error {
	codec, err := g.codec(p)
	if err != nil {
		return fmt.Errorf("make codec: %w", err)
	}
	c.kind, c.protected, c.codec, c.home, c.form, c.moving = guarded, p, codec, g.kin.column(p.Column), formOf(p.Scheme), p.Moving
	return nil
}

// frontOf is how many fields of a row have to be found.
func (l *layout) frontOf() int {
	if l.visible < len(l.columns) {
		return len(l.columns)
	}
	for i, c := range slices.Backward(l.columns) {
		if c.kind != passing {
			return i + 1
		}
	}
	return 0
}

// describeRun takes a simple query's RowDescription.
func (s *session) describeRun(r *run, m []byte) error {
	l, out, err := s.readDescription(r, r.capture, m)
	if err != nil {
		return err
	}
	r.layout = l
	if out[0] == pg.RowDescription { // the simple protocol says nothing of a statement without rows
		s.out = append(s.out, out...)
	}
	return nil
}

// describePortal keeps the layout for the portal's rows.
func (s *session) describePortal(r *reply, kind byte, m []byte) error {
	if kind == pg.NoData {
		delete(s.described, r.name)
	} else {
		var capture *query.Capture
		if r.run != nil {
			capture = r.run.capture
		}
		l, out, err := s.readDescription(s.describes(r.name, r.run), capture, m)
		if err != nil {
			return err
		}
		s.described[r.name] = l
		m = out
	}
	if !r.swallow {
		s.out = append(s.out, m...)
	}
	return nil
}

// describeStatement passes a statement's description on; it may be stale, as PostgreSQL's own may, so rows are read by the portal's.
func (s *session) describeStatement(r *reply, kind byte, m []byte) error {
	var capture *query.Capture
	if r.stmt != nil && r.stmt.stmt != nil {
		capture = r.stmt.stmt.Capture
	}
	if kind == pg.RowDescription && (capture != nil || bytes.Contains(m, []byte(query.CapturedName))) {
		_, out, err := s.readDescription(nil, capture, m)
		if err != nil {
			return err
		}
		m = out
	}
	s.out = append(s.out, m...)
	return nil
}

// readDescription reads the columns and takes away those that the gateway added.
func (s *session) readDescription(r *run, capture *query.Capture, m []byte) (*layout, []byte, error) {
	if l := s.before.same(s, r, capture, m); l != nil {
		return l, m, nil
	}
	fields, err := pg.ParseRowDescription(s.fields[:0], m)
	if err != nil {
		return nil, nil, err
	}
	s.fields = fields
	hidden := captured(fields)
	if capture != nil {
		hidden = capture.Columns
		if hidden > len(fields) {
			return nil, nil, errUnexpected(pg.RowDescription)
		}
	}
	l, err := s.newLayout(r, fields, hidden)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case hidden == 0 && len(m) > mostRemembered:
		return l, m, nil
	case hidden == 0:
		s.before = lastLayout{stmt: statementOf(r), snapshot: s.gw.Protection.Catalog.Snapshot(), message: append(s.before.message[:0], m...), layout: l}
		return l, m, nil
	case capture != nil && !capture.HadReturning:
		return l, pg.Append(nil, pg.NoData), nil
	}
	return l, pg.AppendRowDescription(nil, slices.Clone(fields[:l.visible])), nil
}

// captured is how many of the last columns the gateway added to what a portal returns, which SQL's FETCH reads like any cursor. A
// client that gives its own columns that name does without them.
func captured(fields []pg.Field) int {
	n := 0
	for n < len(fields) && string(fields[len(fields)-1-n].Name) == query.CapturedName {
		n++
	}
	return n
}

// lastLayout is the layout that was made last: a client that asks the same again and again has it made once.
type lastLayout struct {
	stmt     *query.Statement // where columns are masked, what may stand in a result hangs on it
	snapshot *catalog.Snapshot
	message  []byte // the description as it came
	layout   *layout
}

func statementOf(r *run) *query.Statement {
	if r == nil {
		return nil
	}
	return r.stmt
}

// mostRemembered bounds the description that a session keeps.
const mostRemembered = 2 << 10

// same is that layout if this description is the same, by the same catalogue and with nothing to take away.
func (b *lastLayout) same(s *session, r *run, capture *query.Capture, m []byte) *layout {
	if st := statementOf(r); s.veils() && (st == nil || st != b.stmt || st.Fetch) {
		return nil
	}
	if capture != nil || len(m) > mostRemembered || !bytes.Equal(m, b.message) || b.snapshot != s.gw.Protection.Catalog.Snapshot() {
		return nil
	}
	return b.layout
}
