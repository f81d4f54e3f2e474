package gateway

import (
	"bytes"
	"context"
	"slices"

	"sallyport"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/token"
)

// Of an integer or a uuid on its way nothing in a field tells whether it is a token, or of which key. What a reason covers does: its values were read
// together with what the database says of their rows, and are known in each form in which they may stand there now (purpose.Apart). So a field that
// is one of those is his value. Anything else is not shown at all, since it may be a plain value.

// announcing tells the database what is about to be written into such a column, so that it notes in the row's own transaction what it is.
func (s *session) announcing(ctx context.Context, r *run) func(slot *query.Slot, becomes, value []byte) *query.Refusal {
	return func(slot *query.Slot, becomes, value []byte) *query.Refusal {
		p := s.gw.protectedColumn(slot.Column)
		if p == nil || !p.Apart() {
			return nil
		}
		if s.gw.Protection.Announce == nil {
			return apartWrite(slot.Column)
		}
		v := Vacate{Column: slot.Column, Becomes: string(becomes), Forms: []string{string(value)}, Backend: s.backend()}
		if slot.Row != nil {
			if key, ok := r.keyValue(slot.Row); ok {
				v.Key, v.Except = slot.Row.Column, key
			}
		}
		ready, err := s.gw.Protection.Announce(ctx, p, v)
		switch {
		case err != nil:
			s.gw.Log.Warn("a value cannot be written into a column on its way", "column", slot.Column.String(), "reason", plainReason(err))
			return refusal(codeBusy, slot.Column.String()+" is moving or its keys are rotated, and the value cannot be written now: a row that may hold it is locked, or the database does not answer", "Try again in a moment.")
		case !ready:
			return apartWrite(slot.Column)
		}
		return nil
	}
}

// boundApart tells whether foreign keys hold such a column equal to others: one form is written at a time, and everybody goes over to the other at once.
func (s *session) boundApart(column sallyport.Column) bool {
	p := s.gw.protectedColumn(column)
	return p != nil && p.Apart() && len(p.Bound) > 0
}

// codeInUse is object_in_use, which the database answers with, too.
const codeInUse = "55006"

func apartWrite(column sallyport.Column) *query.Refusal {
	return refusal(codeInUse, column.String()+" is moving or its keys are rotated, and nothing in the database is ready to note what is written into it",
		"Try again in a moment. Where protect or the rotation was begun by an older version, run 'sallyport protect --online' or 'sallyport keys rotate' with --owner once more.")
}

// ensureApart resolves the purpose where what it covers decides about a field's form.
func (s *session) ensureApart(ctx context.Context, r *run, l *layout) error {
	for _, i := range l.moving {
		if l.columns[i].protected.Apart() {
			return s.ensureSight(ctx, r)
		}
	}
	return nil
}

// settledApart is the token of such a field, by the key of new ones; nil where no reason covers it.
func (s *session) settledApart(r *run, c *column, keyed bool, stored []byte) []byte {
	if r == nil || r.sight == nil {
		return nil
	}
	state := s.gw.Standing
	if state.Shreds() {
		now, before := c.codec.ListDigest(stored), c.codec.BeforeDigest(stored)
		if state.Dead(now) || state.Dead(before) || !keyed && (state.Buried(now) || state.Buried(before)) {
			return nil
		}
	}
	tok := r.sight.tokenOf(s.fieldKey(c.protected, stored))
	if tok == "" {
		s.adviseOnHidden(c.protected)
		return nil
	}
	if c.form != asText {
		return s.refield([]byte(tok), 0, c)
	}
	return []byte(tok)
}

// unknown is a field of which nobody could tell whether it is a token, and what is shown in its place: not NULL, which a program that saves whole
// rows would write over the value.
type unknown struct {
	field int
	veil  []byte
}

// settleApart settles one field, and keeps the veil of one that no reason covers until the row has been looked at: it is no token, and counts for none.
func (s *session) settleApart(r *run, c *column, keyed bool, i int, field []byte) []byte {
	stored, ok := s.fieldText(c, field)
	if !ok {
		return nil
	}
	tok := s.settledApart(r, c, keyed, stored)
	if tok == nil {
		if veil, err := c.codec.Veil(nil, stored); err == nil {
			s.unknown = append(s.unknown, unknown{i, s.refield(veil, 0, c)})
		}
	}
	return tok
}

// veilUnknown shows the veils of a row that has been looked at.
func (s *session) veilUnknown(fields [][]byte) {
	for _, u := range s.unknown {
		fields[u.field] = u.veil
	}
	s.unknown = s.unknown[:0]
}

// heldApart is the value of the row of a column on its way that a statement pins, where the database tells it, and whether what is written is what was shown of it: a
// token, or a veil.
func (s *session) heldApart(r *run, slot *query.Slot, codec *token.Codec, value []byte) (held purpose.Apart, known, same bool) {
	if p := s.gw.protectedColumn(slot.Column); slot.Use != query.Store || slot.Row == nil || r.heldApart == nil || p == nil || !p.Apart() {
		return held, false, false
	}
	written, err := codec.Canonical(nil, value)
	if err != nil {
		return held, false, false
	}
	if held, known = r.heldApart(slot); !known || held.Plain == string(written) {
		return held, known, false
	}
	return held, true, slices.ContainsFunc(held.Forms, func(form string) bool {
		veil, err := codec.Veil(nil, []byte(form))
		return form == string(written) || err == nil && bytes.Equal(veil, written)
	})
}

// writeAgain writes the value that a row holds as any other is written: in the form in which all will be, and announced. The row may go over to its other form before
// the statement comes to it, so that what stands there now would be wrong by then.
func (s *session) writeAgain(r *run, slot *query.Slot, held purpose.Apart) ([]byte, *query.Refusal) {
	becomes := held.Token
	if s.leaving(slot.Column) {
		becomes = held.Plain
	}
	return s.vacate(r, slot, []byte(becomes), []byte(held.Plain))
}

// tokenOf is the token by the key of new ones of what a reason or a grant for certain customers covers; empty where none does.
func (v *sight) tokenOf(key []byte) string {
	for _, c := range v.covers {
		if found, ok := c.Values[string(key)]; ok {
			return found.Token
		}
	}
	for _, h := range v.grants {
		if h.only != nil {
			if found, ok := h.only.Values[string(key)]; ok {
				return found.Token
			}
		}
	}
	return ""
}

// plain is what a covered token stands for, where the cover says so.
func (v *sight) plain(key []byte) string {
	for _, c := range v.covers {
		if found, ok := c.Values[string(key)]; ok {
			return found.Plain
		}
	}
	for _, h := range v.grants {
		if h.only != nil {
			if found, ok := h.only.Values[string(key)]; ok {
				return found.Plain
			}
		}
	}
	return ""
}

// lone refuses to search an integer of 32 bits on its way where a row that holds another value would be found, too, which may have one of its forms. Of
// wider ones no two values ever have.
func (s *session) lone(ctx context.Context) func(slot *query.Slot, value []byte) *query.Refusal {
	return func(slot *query.Slot, value []byte) *query.Refusal {
		p := s.gw.protectedColumn(slot.Column)
		if p == nil || !p.Apart() || p.Scheme != sallyport.Int4 || s.gw.Protection.Lone == nil {
			return nil
		}
		lone, err := s.gw.Protection.Lone(ctx, p, value)
		switch {
		case err != nil:
			s.gw.Log.Warn("an integer on its way cannot be searched", "column", slot.Column.String(), "reason", plainReason(err))
			return refusal(codeBusy, slot.Column.String()+" is moving or its keys are rotated, and it cannot be told now what would be found by this value", "Try again in a moment, or find rows by another column; an index on it helps.")
		case !lone:
			return refusal(query.CodeUntraceable, slot.Column.String()+" is moving or its keys are rotated, and by this value a row with another one would be found, too", "Find rows by another column until that is done.")
		}
		return nil
	}
}
