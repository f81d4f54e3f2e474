package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"

	"sallyport"
	"sallyport/query"
	"sallyport/token"
	"sallyport/wire/pg"
)

// While a column is moving, plain values stand in it beside tokens. In results a plain value becomes a token before anything else is done
// with it, and from there on is treated as any token; what is made from such a column in another way is masked whole (veil.go). A
// search carries both forms of its value, the one exception to "nothing plain passes" (query/wide.go). What is written is a token.

// settleFields makes tokens of the plain values of a row.
func (s *session) settleFields(r *run, l *layout, fields [][]byte) (changed bool) {
	s.unknown = s.unknown[:0]
	for _, i := range l.moving {
		c := &l.columns[i]
		if len(fields[i]) == 0 || c.form == asText && c.codec.IsToken(fields[i]) {
			continue
		}
		changed = true
		if c.codec.Recognisable() {
			fields[i] = s.settled(c, fields[i])
		} else {
			fields[i] = s.settleApart(r, c, l.key >= 0, i, fields[i])
		}
	}
	return changed
}

// settled is what is shown of one value. A value that has no token is hidden as a masked one is.
func (s *session) settled(c *column, field []byte) []byte {
	stored, ok := field, true
	if c.form != asText {
		stored, ok = s.fieldText(c, field)
	}
	if ok {
		tok, err := c.codec.Settle(nil, stored)
		if errors.Is(err, token.ErrDomain) {
			tok, err = s.gw.settleOverflow(c.protected.Column, stored)
		}
		if err == nil {
			if c.form != asText {
				tok = s.refield(tok, 0, c)
			}
			return tok
		}
	}
	if c.form != asText {
		return nil
	}
	return slices.Clone(starred)
}

// adviseOnMoving tells once a session why there is *** where there was something before.
func (s *session) adviseOnMoving() {
	if s.masked || s.advised {
		return
	}
	s.advised = true
	s.notice("NOTICE", "what is made from columns that are moving, or of integers and uuids whose keys are rotated, is masked until that is done", "Select the columns themselves.")
}

// forms are all forms of a value in which it is searched: the token first. Where one is wanted it is all there is.
func (s *session) forms(r *run, slot *query.Slot, value []byte) ([][]byte, *query.Refusal) {
	first, refused := s.slot(r, slot, value)
	if refused != nil || slot.Forms < 2 {
		return [][]byte{first}, refused
	}
	out := [][]byte{first}
	codec, err := s.gw.codecOf(slot.Column)
	if err != nil {
		return nil, refusal(codeUnsupported, "a protected column was changed meanwhile", "Try again.")
	}
	if slot.Scheme == sallyport.Date {
		value = isoParameter(value)
	}
	value = s.stoodFor(r, slot, codec, value)
	others, err := codec.Forms(value)
	if refused := s.standsForNothing(slot, codec, others...); refused != nil {
		return nil, refused
	}
	switch {
	case err == nil:
		for _, other := range others {
			if !bytes.Equal(other, first) {
				out = append(out, other)
			}
		}
	case s.rotating(slot.Column), s.hidden(slot.Column): // the vault keeps it, or it is nobody's token: it has no other form
	case !codec.IsToken(value): // the vault keeps it; a text that only looks like a token has no other form
		out = append(out, value)
		if r.vaulted == nil {
			break
		}
		if _, canonical, err := r.vaulted(slot, value); err == nil && canonical != nil {
			out = append(out, canonical)
		}
	}
	for len(out) < slot.Forms { // as many as there are places
		out = append(out, first)
	}
	return out[:slot.Forms], nil
}

// binaryForms is forms for a value in the binary format of its type.
func (s *session) binaryForms(r *run, slot *query.Slot, value []byte) ([][]byte, *query.Refusal) {
	if formOf(slot.Scheme) == asText { // the same bytes in both formats
		return s.forms(r, slot, value)
	}
	if slot.Forms > 1 && (s.rotating(slot.Column) || s.hidden(slot.Column)) {
		return s.binaryTokens(r, slot, value)
	}
	first, refused := s.binarySlot(r, slot, value)
	out := [][]byte{first}
	for len(out) < slot.Forms {
		out = append(out, value)
	}
	return out, refused
}

// binaryTokens are the tokens of both key epochs for a value in the binary format of its type.
func (s *session) binaryTokens(r *run, slot *query.Slot, value []byte) ([][]byte, *query.Refusal) {
	form := formOf(slot.Scheme)
	text, ok := appendBinary(nil, form, value)
	if !ok {
		return nil, refusal(codeValue, "the value for "+slot.Column.String()+" is not one that a token can stand for", "Send it in the type of the column, or as text.")
	}
	tokens, refused := s.forms(r, slot, text)
	if refused != nil {
		return nil, refused
	}
	for i, tok := range tokens {
		if tokens[i], ok = binaryOf(nil, form, tok, slot.Scheme); !ok || len(tokens[i]) != len(value) {
			return nil, refusal(codeValue, "the token for "+slot.Column.String()+" does not fit into the type of the parameter", "Send the value in the type of the column.")
		}
	}
	return tokens, nil
}

// rotating tells whether tokens of two key epochs stand in a column.
func (s *session) rotating(column sallyport.Column) bool {
	p := s.gw.protectedColumn(column)
	return p != nil && p.Rotating
}

// vacate sees to it that a unique index knows a value that is about to be written: where it stands in another form it becomes the same text
// first, which is its token, or of a column whose protection is being undone the plain one.
func (s *session) vacate(r *run, slot *query.Slot, becomes, value []byte) ([]byte, *query.Refusal) {
	if slot.Use != query.Store || s.observing() {
		return becomes, nil
	}
	if p := s.gw.protectedColumn(slot.Column); p != nil && p.Apart() {
		if r.announces == nil {
			return nil, apartWrite(slot.Column)
		}
		return becomes, r.announces(slot, becomes, value)
	}
	if r.vacates == nil {
		return becomes, nil
	}
	return r.vacates(slot, becomes, value)
}

// tokenAnew is a token as it is written: of the newest key, so that a program that writes back what it read does not bring an older one back.
// As a value would, it makes room for itself.
func (s *session) tokenAnew(r *run, slot *query.Slot, codec *token.Codec, stored []byte) ([]byte, *query.Refusal) {
	if !codec.IsToken(stored) || codec.Overflowed(stored) || s.gw.Standing.Dead(codec.ListDigest(stored)) {
		return stored, nil // nobody's, or it is of no epoch
	}
	if _, err := codec.Reveal(nil, stored); err != nil {
		return stored, nil // somebody made it up, or it is a shredded customer's
	}
	if newer, changed, err := codec.Renew(nil, stored, rand.Reader); err == nil && changed {
		stored = newer
	}
	return s.vacate(r, slot, stored, stored)
}

func (s *session) vacating(ctx context.Context, r *run) func(slot *query.Slot, becomes, value []byte) ([]byte, *query.Refusal) {
	return func(slot *query.Slot, becomes, value []byte) ([]byte, *query.Refusal) {
		codec := s.crowded(slot.Column, becomes)
		if codec == nil {
			return becomes, nil
		}
		forms, err := codec.Forms(value)
		if err != nil {
			forms, err = s.gw.overflowForms(ctx, slot.Column, codec, value)
		}
		if err != nil {
			return nil, refusal(codeValue, "the value for "+slot.Column.String()+" does not fit: "+reasonOf(err), "")
		}
		v := Vacate{Column: slot.Column, Becomes: string(becomes), Backend: s.backend()}
		for _, form := range forms {
			if string(form) != v.Becomes {
				v.Forms = append(v.Forms, string(form))
			}
		}
		if slot.Row != nil {
			if key, ok := r.keyValue(slot.Row); ok {
				v.Key, v.Except = slot.Row.Column, key
			}
		}
		instead, err := s.gw.Protection.Vacate(ctx, v)
		if err != nil {
			s.gw.Log.Warn("a value that is moving cannot be made a token", "column", slot.Column.String(), "reason", plainReason(err))
			return nil, refusal(codeBusy, "a row that may hold this value of "+slot.Column.String()+" is locked, and the column is moving or its keys are rotated", "Try again in a moment.")
		}
		if instead != "" {
			return []byte(instead), nil
		}
		return becomes, nil
	}
}

// codeBusy is lock_not_available.
const codeBusy = "55P03"

// mostParams is how many parameters a statement may have (55.7, Bind).
const mostParams = 65535

// addForms numbers the parameters that hold further forms of others, behind those that the client declares or names.
func (p *prepared) addForms(declared int) *query.Refusal {
	p.params = max(declared, p.stmt.Highest)
	next := p.params
	for _, use := range p.stmt.Params {
		if use.Slot.Array {
			continue
		}
		for range use.Slot.Forms - 1 {
			next++
			if p.further == nil {
				p.further = map[int][]int{}
			}
			p.further[use.Number] = append(p.further[use.Number], next)
		}
	}
	if next > mostParams {
		return refusal(query.CodeTooComplex, "so many parameters cannot be searched in all their forms while a column is moving", "Compare with = ANY ($1) and an array.")
	}
	return nil
}

// makeRoom adds the further parameters to a Bind that has all others; of one that has not, the server complains.
func (p *prepared) makeRoom(msg *pg.BindMessage) map[int][]int {
	if p.further == nil || len(msg.Params) != p.params {
		return nil
	}
	for i := range p.params { // in the order in which they were numbered
		for range p.further[i+1] {
			if len(msg.Formats) > 2 {
				msg.Formats = binary.BigEndian.AppendUint16(slices.Clip(msg.Formats), uint16(msg.Format(i))) //nolint:gosec // 0 or 1
			}
			msg.Params = append(msg.Params, nil)
		}
	}
	return p.further
}

// knownParams takes those parameters out of a description that the client knows nothing of.
func (s *session) knownParams(m []byte) []byte {
	r := s.first()
	if r == nil || r.stmt == nil || r.stmt.further == nil || len(m) < pg.HeaderLen+2+4*r.stmt.params {
		return m
	}
	out := pg.Begin(nil, pg.ParameterDescription)
	out = binary.BigEndian.AppendUint16(out, uint16(r.stmt.params)) //nolint:gosec // came out of a 16-bit count
	return pg.End(append(out, m[pg.HeaderLen+2:pg.HeaderLen+2+4*r.stmt.params]...), 0)
}

// leaving tells whether the protection of a column is being undone: then plain values are written.
func (s *session) leaving(column sallyport.Column) bool {
	p := s.gw.protectedColumn(column)
	return p != nil && p.Leaving
}

// plainWritten lets a value be written as it is, where nobody could take it for a token. Its token is made all the same, so that what has none
// is refused as long as the column has tokens. RETURNING shows that token, and an index says whether the value is there: it is a probe.
func (s *session) plainWritten(r *run, slot *query.Slot, codec *token.Codec, value []byte) ([]byte, *query.Refusal) {
	tok, err := codec.Settle(nil, value)
	digest := codec.Digest(value)
	if err != nil {
		var refused *query.Refusal
		if tok, digest, refused = s.tokeniseSlot(r, slot, codec, value); refused != nil {
			return nil, refused
		}
	}
	if refused := s.probeUnknown(r, slot, codec, value, tok, digest); refused != nil {
		return nil, refused
	}
	if p := s.gw.protectedColumn(slot.Column); p != nil && len(p.Bound) > 0 { // what a foreign key compares is spelt evenly
		even, err := codec.Reveal(nil, tok)
		if errors.Is(err, token.ErrNotToken) {
			even, err = s.gw.revealOverflow(slot.Column, codec, nil, tok)
		}
		if value = even; err != nil {
			return nil, refusal(codeValue, "the value for "+slot.Column.String()+" does not fit: "+reasonOf(err), "Check the value's form; nothing was sent to the database.")
		}
	}
	if !codec.Recognisable() {
		return s.vacate(r, slot, value, value)
	}
	return s.vacate(r, slot, value, tok)
}

// crowded is the codec of a column in which a value may stand in the way of its other form; nil: it cannot.
func (s *session) crowded(column sallyport.Column, becomes []byte) *token.Codec {
	p := s.gw.protectedColumn(column)
	if p == nil || !p.Several() || !p.Unique && !p.Whole && len(p.Bound) == 0 || s.gw.Protection.Vacate == nil {
		return nil
	}
	codec, err := s.gw.codec(p)
	if err != nil || !codec.Deterministic() || !codec.Recognisable() { // no index holds two of its tokens apart, or it is announced (apart.go)
		return nil
	}
	if p.Rotating && codec.Overflowed(becomes) { // of no epoch
		return nil
	}
	return codec
}

// backend is the database's process behind the session.
func (s *session) backend() uint32 {
	s.gw.mu.Lock()
	defer s.gw.mu.Unlock()
	return s.pid
}
