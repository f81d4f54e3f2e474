package gateway

import (
	"bytes"
	"context"
	"slices"

	"sallyport"
	"sallyport/query"
	"sallyport/token"
)

// As protection is undone, programs hold what they read before: tokens, and veils of integers and uuids. Who saves such a row by its key writes them back, perhaps
// long after the column is plain. Then they are no values: the row keeps what it holds. So a column whose protection was undone is looked at where it is
// written, for as long as the configuration names it (docs/decisions/0065-a-veil-stands-for-what-nobody-can-tell.md).

// writtenLeaving is what is written into a column that leaves.
func (s *session) writtenLeaving(r *run, slot *query.Slot, codec *token.Codec, value []byte) ([]byte, *query.Refusal) {
	if codec.IsToken(value) {
		return s.tokenLeaves(r, slot, codec, value)
	}
	return s.plainWritten(r, slot, codec, value)
}

// tokenLeaves writes the value of a token into a column that leaves: a token would stay there, where all rows have moved.
func (s *session) tokenLeaves(r *run, slot *query.Slot, codec *token.Codec, tok []byte) ([]byte, *query.Refusal) {
	if refused := s.tokenWritten(r, slot, tok); refused != nil {
		return nil, refused
	}
	plain, err := s.plainOf(slot, codec, tok)
	if err != nil { // somebody made it up, or it is a shredded customer's, which stays
		return s.tokenAnew(r, slot, codec, tok)
	}
	if slot.Row != nil && r.held != nil {
		if stored, ok := r.held(slot); ok && spells(codec, stored, plain) {
			plain = []byte(stored)
		}
	}
	return s.vacate(r, slot, plain, tok)
}

// standsPlain tells whether the row that a statement pins holds the value of a token in plain, however that is spelt: its column moves, and the token was shown of it.
func (s *session) standsPlain(r *run, slot *query.Slot, tok []byte) bool {
	p := s.gw.protectedColumn(slot.Column)
	if p == nil || !p.Moving || p.Hidden || r.held == nil {
		return false
	}
	codec, err := s.gw.codec(p)
	if err != nil {
		return false
	}
	plain, err := s.plainOf(slot, codec, tok)
	if err != nil {
		return false
	}
	stored, ok := r.held(slot)
	return ok && spells(codec, stored, plain)
}

// shownBefore is the token that a row holds whose name or text was shown as another one while its column moved in: equal values have different tokens there, and what stands
// for one in plain is drawn from it (token.Settle).
func (s *session) shownBefore(r *run, slot *query.Slot, codec *token.Codec, tok []byte) ([]byte, bool) {
	if codec.Deterministic() || slot.Row == nil || r.held == nil {
		return nil, false
	}
	stored, ok := r.held(slot)
	if !ok || !codec.IsToken([]byte(stored)) {
		return nil, false
	}
	plain, err := codec.Reveal(nil, []byte(stored))
	if err != nil {
		return nil, false
	}
	shown, err := codec.Settle(nil, plain)
	return []byte(stored), err == nil && bytes.Equal(shown, tok)
}

// parted is what is written into a column whose protection was undone: what comes, or what the row holds, where that was shown as what comes. A token that is
// another value's is refused: it would stand there for ever.
func (s *session) parted(r *run, slot *query.Slot, value []byte) ([]byte, *query.Refusal) {
	codec, err := s.gw.partedCodec(slot.Column)
	if err != nil {
		return nil, refusal(codeChanged, "a column's protection changed under the statement", "Try again.")
	}
	written := value
	if slot.Scheme == sallyport.Date {
		written = isoParameter(value)
	}
	if codec.Recognisable() && !codec.IsToken(written) {
		return value, nil
	}
	stored, found, err := "", false, error(nil)
	if slot.Row != nil && r.heldPlain != nil {
		stored, found, err = r.heldPlain(slot)
	}
	switch {
	case err != nil:
		s.gw.Log.Warn("what a row holds cannot be read", "column", slot.Column.String(), "reason", plainReason(err))
		return nil, refusal(codeBusy, "protection of "+slot.Column.String()+" was undone, and it cannot be told now whether this is a value or what was shown in the place of one", "Try again in a moment.")
	case found && stored == string(written):
		return value, nil
	case !codec.Recognisable():
		if found && shownOf(codec, written, []byte(stored)) {
			return []byte(stored), nil
		}
		return value, nil
	}
	plain, err := s.plainOf(slot, codec, written)
	switch {
	case err != nil && !codec.Overflowed(written): // nobody made it with these keys
		return value, nil
	case err == nil && found && spells(codec, stored, plain):
		return []byte(stored), nil
	}
	return nil, refusal(codeTokenWrite, "a token cannot be written into "+slot.Column.String()+", which is plain again", "Read the row anew, and write what it holds now.")
}

// shownOf tells whether a number or uuid was shown in the place of a value: as its token, or as a veil of either.
func shownOf(codec *token.Codec, written, stored []byte) bool {
	plain, err := codec.Canonical(nil, stored)
	text, err2 := codec.Canonical(nil, written)
	if err != nil || err2 != nil {
		return false
	}
	forms := [][]byte{plain}
	for _, epoch := range codec.KeyEpochs() {
		if tok, err := codec.TokenEpoch(nil, plain, epoch); err == nil {
			forms = append(forms, tok)
		}
	}
	return slices.ContainsFunc(forms, func(form []byte) bool {
		veil, err := codec.Veil(nil, form)
		return bytes.Equal(form, text) || err == nil && bytes.Equal(veil, text)
	})
}

// plainOf is the value of a token whose form is known.
func (s *session) plainOf(slot *query.Slot, codec *token.Codec, tok []byte) ([]byte, error) {
	if !codec.Overflowed(tok) {
		return codec.Reveal(nil, tok)
	}
	if s.gw.Protection.Vault == nil {
		return nil, token.ErrNotToken
	}
	return s.gw.revealOverflow(slot.Column, codec, nil, tok)
}

// spells tells whether a text is a value, however it is spelt.
func spells(codec *token.Codec, stored string, plain []byte) bool {
	even, err := codec.Canonical(nil, []byte(stored))
	if err == nil {
		return bytes.Equal(even, plain)
	}
	o, err := codec.Overflow() // only the vault knows how such a value is spelt evenly
	if err != nil {
		return stored == string(plain)
	}
	even, err = o.Canonical(nil, []byte(stored))
	return err == nil && bytes.Equal(even, plain)
}

// partedParameter is parted of a parameter. What the column's type does not tell is not looked at.
func (s *session) partedParameter(r *run, slot *query.Slot, value []byte, binaryForm bool) ([]byte, *query.Refusal) {
	form := formOf(slot.Scheme)
	if !binaryForm || form == asText {
		return s.parted(r, slot, value)
	}
	text, ok := appendBinary(nil, form, value)
	if !ok {
		return value, nil
	}
	out, refused := s.parted(r, slot, text)
	if refused != nil || bytes.Equal(out, text) {
		return value, refused
	}
	if form == asInteger {
		out, ok = integerOf(nil, out, len(value))
	} else {
		out, ok = binaryOf(nil, form, out, slot.Scheme)
	}
	if !ok {
		return nil, refusal(codeValue, "what the row holds in "+slot.Column.String()+" does not fit into the type of the parameter", "Send the value in the type of the column.")
	}
	return out, nil
}

// holdingPlain is holding of a column whose protection was undone.
func (s *session) holdingPlain(ctx context.Context, r *run) func(slot *query.Slot) (string, bool, error) {
	return func(slot *query.Slot) (string, bool, error) {
		value, ok := r.keyValue(slot.Row)
		if !ok {
			return "", false, nil
		}
		return s.gw.Protection.Resolver.HeldPlain(ctx, slot.Row.Schema+"."+slot.Row.Table, slot.Row.Column, value, slot.Column.Name)
	}
}

func (g *Gateway) partedCodec(column sallyport.Column) (*token.Codec, error) {
	if p := g.Protection.Catalog.Snapshot().Parted(column); p != nil {
		return g.codec(p)
	}
	return nil, errUnknownColumn
}
