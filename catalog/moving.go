package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport"
	"sallyport/query"
)

// State is how far a configured column is on its way in.
type State uint8

// The states. Only protect, and its undoing, lead from one to the next, and the record says which holds.
const (
	Settled  State = iota // all its values are tokens
	Entering              // about to be moving: what is written is plain, until everybody has heard
	Moving                // tokens and plain values stand beside each other; what is written is a token
	Leaving               // likewise, and what is written is plain: its protection is being undone
	Plain                 // nothing of it is protected yet
	Parted                // nor any more; what was read before may still be written back
	Rotating              // all are tokens, of two key epochs; the ring of keys says so
	Turning               // likewise, and equal values of the join group have equal tokens at every moment
	Hidden                // likewise, and nothing in one tells of which epoch it is: it is shown where the database says it of the row, and not written
)

// String is the state's name, for people.
func (s State) String() string {
	switch s {
	case Settled:
		return "protected"
	case Entering, Moving:
		return "moving"
	case Leaving:
		return "leaving"
	case Plain, Parted:
		return "plain"
	case Rotating, Turning, Hidden:
		return "rotating"
	}
	return "unknown"
}

// MovingForms is in how many forms a value may stand in a column that is moving: as its token of this key epoch or the one before, as
// somebody spells it, and as it is spelt evenly.
const MovingForms = 4

// RotatingForms is in how many forms a value may stand in a column whose keys are rotated: as its token of either epoch.
const RotatingForms = 2

// Several tells whether a value may stand in the column in more forms than one.
func (p *Protected) Several() bool { return p.Moving || p.Rotating }

// Enter makes other states hold. The snapshot that is current when it returns has them; on an error the old ones hold.
func (c *Catalog) Enter(ctx context.Context, states map[string]State) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn, err := c.reader(ctx)
	if err != nil {
		return err
	}
	v, err := readVersion(ctx, conn)
	if err != nil {
		return err
	}
	config := c.config
	config.States = maps.Clone(states)
	next, v, err := load(ctx, conn, config, c.facts, v, c.current.Load())
	if err != nil {
		return fmt.Errorf("read the catalogue by other states of columns: %w", err)
	}
	c.config = config
	c.current.Store(next)
	c.know(v)
	return nil
}

// Moving tells whether any column is moving, or hidden as one that is.
func (s *Snapshot) Moving() bool { return s.moving }

// HoldsPlain tells whether plain values of any stand in the database.
func (s *Snapshot) HoldsPlain() bool { return s.holdsPlain }

// Plain tells whether a configured column is plain still.
func (s *Snapshot) Plain() bool { return s.plain }

// Parted is a column whose protection was undone; nil where it is none.
func (s *Snapshot) Parted(column sallyport.Column) *Protected {
	for _, p := range s.parted {
		if p.Column == column {
			return p
		}
	}
	return nil
}

// veilMoving hides the plain values of what is moving by a mask, in parts and under new names too.
func (b *builder) veilMoving() {
	for _, p := range b.protected {
		if p.Moving {
			b.moving, b.holdsPlain = true, b.holdsPlain || !p.Hidden
			p.veil = &Masked{Column: p.Column, Show: ShowNone, Text: textScheme(p.Scheme), Moving: true}
		}
	}
	for _, r := range b.relations {
		for i := range r.origins {
			if p := r.origins[i].Protected; p != nil && p.veil != nil {
				r.origins[i].Masked = p.veil
			}
		}
	}
}

// textScheme tells whether the values of a scheme are texts.
func textScheme(s sallyport.Scheme) bool {
	switch s {
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Name, sallyport.Text:
		return true
	case sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz, sallyport.Int4, sallyport.Int8, sallyport.UUID:
	}
	return false
}

// movingOf is maskOf for those who see masked columns: nobody sees plain values of what is moving.
func movingOf(o Origin) *query.Mask {
	switch {
	case o.Masked != nil && o.Masked.Moving:
		return &query.Mask{Column: o.Masked.Column}
	case o.Veiled:
		return &query.Mask{Derived: true}
	}
	return nil
}

// bind finds the columns that foreign keys hold equal.
func (b *builder) bind() {
	for _, f := range b.raw.foreign {
		from, to := b.relations[f.Relation], b.relations[f.References]
		if from == nil || to == nil || int(f.Column) >= len(from.origins) || int(f.ReferencesColumn) >= len(to.origins) {
			continue
		}
		p, q := from.origins[f.Column].Protected, to.origins[f.ReferencesColumn].Protected
		if p == nil || q == nil || p == q || p.Scheme != q.Scheme || p.Group != q.Group || slices.Contains(p.Bound, q) {
			continue
		}
		all := map[*Protected]bool{p: true, q: true}
		for _, one := range slices.Concat(p.Bound, q.Bound) {
			all[one] = true
		}
		bound := slices.SortedFunc(maps.Keys(all), func(x, y *Protected) int { return strings.Compare(x.Column.String(), y.Column.String()) })
		for _, one := range bound {
			one.Bound = bound
		}
	}
}

// unique tells whether a unique index holds a column, and whether one holds it alone.
func (b *builder) unique(r *relation, c *rawColumn) (any, alone bool) {
	for _, u := range b.raw.unique {
		if u.Relation == r.OID && u.Column == c.Number {
			any, alone = true, alone || u.Alone
		}
	}
	return any, alone
}

// listType is the type of an array of a column's values. One of varchar would be compared as texts all the same.
func listType(base uint32, name string) string {
	const text, bpchar, varchar, date = 25, 1042, 1043, 1082 // pg_type.dat
	switch base {
	case text, varchar:
		return "pg_catalog.text[]"
	case bpchar:
		return "pg_catalog.bpchar[]"
	case date:
		return "pg_catalog.date[]"
	}
	return name + "[]"
}

// rawUnique is a column of a unique index.
type rawUnique struct {
	Relation uint32
	Column   int16
	Alone    bool // no other column or expression stands in it, and it holds all rows
}

const selectUnique = `SELECT i.indrelid, k.attnum, i.indnkeyatts = 1 AND i.indpred IS NULL FROM pg_catalog.pg_index i
	CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, position)
	WHERE i.indisunique AND i.indislive AND k.position <= i.indnkeyatts AND k.attnum > 0 AND i.indrelid >= ` + firstNormal
