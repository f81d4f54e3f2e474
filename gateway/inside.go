package gateway

import (
	"bytes"
	"strings"

	"sallyport/purpose"
)

// container says how a plain value must be written where a token stood inside a larger text.
type container uint8

const (
	inText container = iota
	inJSON
	inComposite // a row or an array: (a,"b c") or {a,"b c"}
	sealed      // the inside cannot be changed
)

// containerOf decides by type and format.
func containerOf(c *column) container {
	switch {
	case c.typ == typeJSON, c.typ == typeJSONB:
		return inJSON
	case textType(c.typ):
		return inText
	case c.typ == typeXML, c.binary:
		return sealed
	}
	return inComposite
}

// insideField looks for tokens inside a field that cannot be traced and replaces those that the purpose covers.
func (s *session) insideField(r *run, row *seen, c *column, i int, field []byte) {
	if c.binary && c.typ != typeXML && containerOf(c) == sealed && s.insideBinary(r, row, i, field) {
		return
	}
	how := containerOf(c)
	if c.binary && how == sealed {
		s.leaveSealed(row, field)
		return
	}
	ring := s.gw.Protection.Ring
	at, from := 0, 0
	start := len(s.plain)
	replaced := false
	for {
		b, e, scheme, ok := ring.Find(field, from)
		if !ok {
			break
		}
		from = e
		value, known := s.readable(r, field[b:e])
		if !known || how == sealed {
			s.leaveFormed(row, scheme, field[b:e])
			continue
		}
		mark := len(s.plain)
		s.plain = append(s.plain, field[at:b]...)
		text := len(s.plain)
		if !s.showInside(row, value, i, field[b:e]) {
			s.plain = s.plain[:mark]
			s.leaveFormed(row, scheme, field[b:e])
			continue
		}
		whole, done := embed(s.plain[text:], how, field, b, e)
		if !done {
			s.plain = s.plain[:mark]
			row.shown = row.shown[:len(row.shown)-1]
			s.leaveFormed(row, scheme, field[b:e])
			continue
		}
		s.plain = append(s.plain[:text], whole...)
		at, replaced = e, true
	}
	if !replaced {
		return
	}
	s.plain = append(s.plain, field[at:]...)
	out := s.plain[start:len(s.plain):len(s.plain)]
	for k := range row.shown {
		if row.shown[k].index == i {
			row.shown[k].plain = out
		}
	}
}

// showInside decrypts a token behind what stands in plain already.
func (s *session) showInside(row *seen, v purpose.Value, i int, tok []byte) bool {
	c := column{typ: typeText}
	mark := len(s.plain)
	if !s.showCovered(row, v, &c, i, tok) {
		s.plain = s.plain[:mark]
		return false
	}
	return true
}

// embed writes a plain value in the place of field[b:e] of its container.
func embed(plain []byte, how container, field []byte, b, e int) ([]byte, bool) {
	switch how {
	case inText:
		return bytes.Clone(plain), true
	case inJSON:
		if b == 0 || field[b-1] != '"' && !insideJSONString(field, b) {
			return nil, false
		}
		return jsonEscape(plain), true
	case inComposite:
		return embedComposite(plain, field, b, e)
	case sealed:
	}
	return nil, false
}

// insideJSONString says whether position b of a JSON text lies within a string.
func insideJSONString(field []byte, b int) bool {
	in := false
	for i := 0; i < b; i++ {
		switch field[i] {
		case '\\':
			if in {
				i++
			}
		case '"':
			in = !in
		}
	}
	return in
}

func jsonEscape(plain []byte) []byte {
	const hex = "0123456789abcdef"
	out := make([]byte, 0, len(plain)+8)
	for _, c := range plain {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return out
}

// embedComposite quotes a value as row and array output does (sections 8.15.6, 8.16.6), also in a row or array that is itself
// quoted in another, or in a text in it. Within more levels the token stays: how often to escape would be a guess.
func embedComposite(plain, field []byte, b, e int) ([]byte, bool) {
	special := len(plain) == 0 || bytes.ContainsAny(plain, "\",\\(){} \t\n\r\v\f") || strings.EqualFold(string(plain), "null")
	if !special {
		return bytes.Clone(plain), true
	}
	opener, ok := openQuote(field, b)
	edge := func(i int) bool { return i >= 0 && i < len(field) && bytes.IndexByte([]byte("(),{}"), field[i]) >= 0 }
	alone := edge(b-1) && edge(e)
	switch {
	case !ok:
		return nil, false
	case opener < 0 && alone:
		return append(escapeIn(field[0], []byte{'"'}, plain), '"'), true
	case opener < 0:
		return nil, false
	case field[opener+1] != '(' && field[opener+1] != '{': // a text
		return escapeIn(field[0], nil, plain), true
	case !alone:
		return nil, false
	}
	return escapeIn(field[0], nil, append(escapeIn(field[opener+1], []byte{'"'}, plain), '"')), true
}

// openQuote is where the quotes around position b were opened, or -1 outside of quotes. false: b stands in quotes within them.
func openQuote(field []byte, b int) (opener int, ok bool) {
	opener, within := -1, false
	for i := 0; i < b; i++ {
		switch c := field[i]; {
		case opener < 0 && c == '"':
			opener, within = i, false
		case opener < 0:
		case c == '\\' && i+1 < b: // \" is a quote of the inner level, and \\" a quote escaped in it
			i++
			if field[i] == '\\' && i+1 < b {
				i++
				if field[i] == '\\' || field[i] == '"' {
					i++
				}
			} else if field[i] == '"' {
				within = !within
			}
		case c == '"' && i+1 < len(field) && field[i+1] == '"':
			i++
			within = !within
		case c == '"':
			opener = -1
		}
	}
	return opener, opener < 0 || !within && opener+1 < b
}

// escapeIn appends text as it stands between the quotes of a row, which doubles what is special, or of an array.
func escapeIn(container byte, dst, text []byte) []byte {
	for _, c := range text {
		switch {
		case c == '\\', c == '"' && container == '{':
			dst = append(dst, '\\')
		case c == '"':
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return dst
}
