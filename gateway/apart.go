package gateway

import (
	"context"

	"sallyport"
	"sallyport/query"
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
func (s *session) settledApart(r *run, c *column, keyed bool, field []byte) []byte {
	stored, ok := s.fieldText(c, field)
	if !ok || r == nil || r.sight == nil {
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
