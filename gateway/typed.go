package gateway

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strconv"

	"sallyport"
	"sallyport/catalog"
	"sallyport/query"
	"sallyport/token"
)

// fieldForm says how a protected column's fields become the text by which its tokens are known, and values become fields.
type fieldForm uint8

const (
	asText fieldForm = iota // the field is that text, in both formats
	asDate
	asMoment
	asZoned // a moment with a time zone
	asInteger
	asUUID
)

func formOf(s sallyport.Scheme) fieldForm {
	switch s {
	case sallyport.Date:
		return asDate
	case sallyport.Timestamp:
		return asMoment
	case sallyport.Timestamptz:
		return asZoned
	case sallyport.Int4, sallyport.Int8:
		return asInteger
	case sallyport.UUID:
		return asUUID
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Name, sallyport.Text:
	}
	return asText
}

// many tells whether one value may be that of many people, so that it is a stranger's where the row says so.
func (f fieldForm) many() bool { return f != asText }

// fieldText is the text of a protected field as the catalogue reads it. It is valid until the next call; false: it cannot be told.
func (s *session) fieldText(c *column, field []byte) ([]byte, bool) {
	switch c.form {
	case asText:
		return field, true
	case asDate:
		return s.isoDate(c, field)
	case asMoment, asZoned:
		return s.momentText(c, field)
	case asInteger, asUUID:
		if !c.binary {
			return field, true
		}
		var ok bool
		s.date, ok = appendBinary(s.date[:0], c.form, field)
		return s.date, ok
	}
	return nil, false
}

// momentText brings a moment to the catalogue's style: ISO, and in UTC where it has a zone. A moment in another DateStyle cannot be
// told, since its zone is an abbreviation there.
func (s *session) momentText(c *column, field []byte) ([]byte, bool) {
	if c.binary {
		var ok bool
		s.date, ok = appendBinary(s.date[:0], c.form, field)
		return s.date, ok
	}
	s.mu.Lock()
	style := s.style
	s.mu.Unlock()
	if style.order != "" {
		return nil, false
	}
	at, zoned, ok := token.ParseMoment(field)
	if !ok || zoned != (c.form == asZoned) {
		return nil, false
	}
	if !zoned {
		return field, true
	}
	s.date = append(token.AppendMoment(s.date[:0], at), "+00"...)
	return s.date, true
}

// fieldKey is what a cover knows a protected field by.
func (s *session) fieldKey(p *catalog.Protected, stored []byte) []byte {
	if !p.Formless() {
		return stored
	}
	s.key = append(s.key[:0], p.Key("")...)
	s.key = append(s.key, stored...)
	return s.key
}

// refield brings a value that ends buf from start on to the form of the field that it replaces.
func (s *session) refield(buf []byte, start int, c *column) []byte {
	switch c.form {
	case asText:
	case asDate:
		return s.redate(buf, start, c)
	case asMoment, asZoned, asInteger, asUUID:
		if c.binary {
			var room [16]byte
			if out, ok := binaryOf(room[:0], c.form, buf[start:], c.protected.Scheme); ok {
				return append(buf[:start], out...)
			}
		}
	}
	return buf
}

// The first and the last moment of which the year has four digits, in microseconds since 2000-01-01.
const firstMoment, lastMoment = firstDay * 86_400_000_000, (lastDay+1)*86_400_000_000 - 1

// appendBinary appends the text of a value in its type's binary form (timestamp_send, int4send, int8send, uuid_send).
func appendBinary(dst []byte, form fieldForm, b []byte) ([]byte, bool) {
	switch form {
	case asMoment, asZoned:
		if len(b) != 8 {
			return dst, false
		}
		at := int64(binary.BigEndian.Uint64(b)) //nolint:gosec // signed on the wire
		switch at {
		case math.MaxInt64:
			return append(dst, token.Infinity...), true
		case math.MinInt64:
			return append(dst, token.NegativeInfinity...), true
		}
		if at < firstMoment || at > lastMoment {
			return dst, false
		}
		if dst = token.AppendMoment(dst, at); form == asZoned {
			dst = append(dst, "+00"...)
		}
		return dst, true
	case asInteger:
		switch len(b) {
		case 2:
			return strconv.AppendInt(dst, int64(int16(binary.BigEndian.Uint16(b))), 10), true //nolint:gosec // signed on the wire
		case 4:
			return strconv.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(b))), 10), true //nolint:gosec // signed on the wire
		case 8:
			return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(b)), 10), true //nolint:gosec // signed on the wire
		}
	case asUUID:
		if len(b) != 16 {
			return dst, false
		}
		return appendUUID(dst, b), true
	case asDate:
		if len(b) == 4 {
			return appendISODate(dst, int32(binary.BigEndian.Uint32(b))) //nolint:gosec // signed on the wire
		}
	case asText:
	}
	return dst, false
}

func appendUUID(dst, b []byte) []byte {
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

// binaryOf appends the binary form of a canonical text.
func binaryOf(dst []byte, form fieldForm, text []byte, scheme sallyport.Scheme) ([]byte, bool) {
	switch form {
	case asMoment, asZoned:
		switch string(text) {
		case token.Infinity:
			return binary.BigEndian.AppendUint64(dst, math.MaxInt64), true
		case token.NegativeInfinity:
			return binary.BigEndian.AppendUint64(dst, 1<<63), true
		}
		at, _, ok := token.ParseMoment(text)
		return binary.BigEndian.AppendUint64(dst, uint64(at)), ok //nolint:gosec // signed on the wire
	case asInteger:
		width := 8
		if scheme == sallyport.Int4 {
			width = 4
		}
		return integerOf(dst, text, width)
	case asUUID:
		for i := 0; i+1 < len(text); {
			if text[i] == '-' {
				i++
				continue
			}
			var err error
			if dst, err = hex.AppendDecode(dst, text[i:i+2]); err != nil {
				return dst, false
			}
			i += 2
		}
		return dst, true
	case asDate:
		day, ok := parseISODate(text)
		return binary.BigEndian.AppendUint32(dst, uint32(day)), ok //nolint:gosec // signed on the wire
	case asText:
	}
	return dst, false
}

// integerOf writes an integer of so many bytes; false where it does not fit.
func integerOf(dst, text []byte, width int) ([]byte, bool) {
	n, err := strconv.ParseInt(string(text), 10, 8*width)
	if err != nil {
		return dst, false
	}
	switch width {
	case 2:
		return binary.BigEndian.AppendUint16(dst, uint16(n)), true //nolint:gosec // signed on the wire
	case 4:
		return binary.BigEndian.AppendUint32(dst, uint32(n)), true //nolint:gosec // signed on the wire
	}
	return binary.BigEndian.AppendUint64(dst, uint64(n)), true //nolint:gosec // signed on the wire
}

// binarySlot tokenises a value in its type's binary form, into the same form.
func (s *session) binarySlot(r *run, slot *query.Slot, value []byte) ([]byte, *query.Refusal) {
	form := formOf(slot.Scheme)
	if form == asText {
		return s.slot(r, slot, value)
	}
	text, ok := appendBinary(nil, form, value)
	if !ok {
		return nil, refusal(codeValue, "the value for "+slot.Column.String()+" is not one that a token can stand for", "Send it in the type of the column, or as text.")
	}
	tok, refused := s.slot(r, slot, text)
	if refused != nil {
		return nil, refused
	}
	var out []byte
	if form == asInteger {
		out, ok = integerOf(nil, tok, len(value))
	} else {
		out, ok = binaryOf(nil, form, tok, slot.Scheme)
	}
	if !ok {
		return nil, refusal(codeValue, "the token for "+slot.Column.String()+" does not fit into the type of the parameter", "Send the value in the type of the column.")
	}
	return out, nil
}

// kept tells whether a value without a form that is written is the token that stands there already: a program that saves whole rows
// writes what it read.
func (s *session) kept(r *run, slot *query.Slot, codec *token.Codec, value []byte) ([]byte, bool) {
	if codec.Recognisable() || slot.Use != query.Store || slot.Row == nil || r.held == nil {
		return nil, false
	}
	written, err := codec.Canonical(nil, value)
	if err != nil {
		return nil, false
	}
	stored, ok := r.held(slot)
	if !ok || stored == string(written) {
		return written, ok
	}
	return []byte(stored), s.stoodThere(slot, codec, written, stored) || veiledThere(codec, written, stored)
}

// veiledThere tells whether a number is what was shown of a row while its column was on its way (unknown), in whichever form it stood there then.
func veiledThere(codec *token.Codec, written []byte, stored string) bool {
	forms := [][]byte{[]byte(stored)}
	if tokens, err := codec.Searches([]byte(stored)); err == nil {
		forms = append(forms, tokens...)
	}
	for _, epoch := range codec.KeyEpochs() {
		plain, err := codec.RevealEpoch(nil, []byte(stored), epoch)
		if err != nil {
			continue
		}
		forms = append(forms, plain)
		for _, other := range codec.KeyEpochs() {
			if tok, err := codec.TokenEpoch(nil, plain, other); err == nil {
				forms = append(forms, tok)
			}
		}
	}
	return slices.ContainsFunc(forms, func(form []byte) bool {
		veil, err := codec.Veil(nil, form)
		return err == nil && bytes.Equal(veil, written)
	})
}

// stoodThere tells whether a number is the token that stood in a row before that went over to its other form: who read it before writes it back now.
func (s *session) stoodThere(slot *query.Slot, codec *token.Codec, written []byte, stored string) bool {
	if p := s.gw.protectedColumn(slot.Column); p == nil || !p.Apart() {
		return false
	}
	if s.leaving(slot.Column) {
		plain, err := codec.Reveal(nil, written)
		return err == nil && string(plain) == stored
	}
	turned, err := codec.Turn(nil, written)
	return err == nil && string(turned) == stored
}
