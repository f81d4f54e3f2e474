package gateway

import (
	"bytes"
	"encoding/binary"
	"strings"

	"sallyport/query"
)

// arrayElements tokenises each element of a PostgreSQL array: the text form '{a,"b c"}' of one dimension, or the binary
// form of strings (array_recv, arrayfuncs.c).
func (s *session) arrayElements(r *run, slot *query.Slot, value []byte, binaryForm bool) ([]byte, *query.Refusal) {
	unreadable := refusal("SP001", "the array compared with "+slot.Column.String()+" cannot be read", "Give a one-dimensional array of strings.")
	if binaryForm {
		return s.binaryArray(r, slot, value, unreadable)
	}
	elements, nulls, ok := parseArray(string(value))
	if !ok {
		return nil, unreadable
	}
	out := []byte{'{'}
	for i, e := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		if nulls[i] {
			out = append(out, "NULL"...)
			continue
		}
		forms, refused := s.forms(r, slot, []byte(e))
		if refused != nil {
			return nil, refused
		}
		for k, form := range forms {
			if k > 0 {
				out = append(out, ',')
			}
			out = appendElement(out, form)
		}
	}
	return append(out, '}'), nil
}

func (s *session) binaryArray(r *run, slot *query.Slot, v []byte, unreadable *query.Refusal) ([]byte, *query.Refusal) {
	if len(v) < 12 {
		return nil, unreadable
	}
	dims := binary.BigEndian.Uint32(v)
	if dims == 0 {
		return v, nil
	}
	if dims != 1 || len(v) < 20 {
		return nil, unreadable
	}
	n, rest, count := binary.BigEndian.Uint32(v[12:]), v[20:], uint32(0)
	out := bytes.Clone(v[:20])
	for range n {
		if len(rest) < 4 {
			return nil, unreadable
		}
		size := int32(binary.BigEndian.Uint32(rest)) //nolint:gosec // −1 is NULL
		rest = rest[4:]
		if size < 0 {
			out = binary.BigEndian.AppendUint32(out, 0xffffffff)
			count++
			continue
		}
		if int(size) > len(rest) {
			return nil, unreadable
		}
		forms, refused := s.binaryForms(r, slot, rest[:size])
		if refused != nil {
			return nil, refused
		}
		for _, form := range forms {
			out = binary.BigEndian.AppendUint32(out, uint32(len(form))) //nolint:gosec // a message is shorter than 1 GiB
			out = append(out, form...)
			count++
		}
		rest = rest[size:]
	}
	if len(rest) != 0 {
		return nil, unreadable
	}
	binary.BigEndian.PutUint32(out[12:], count)
	return out, nil
}

// appendElement writes an element of an array in quotes.
func appendElement(dst, element []byte) []byte {
	dst = append(dst, '"')
	for _, c := range element {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// parseArray reads the text form of a one-dimensional array (section 8.15.6).
func parseArray(text string) (elements []string, nulls []bool, ok bool) {
	text = strings.TrimSpace(text)
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, nil, false
	}
	body := text[1 : len(text)-1]
	if strings.TrimSpace(body) == "" {
		return nil, nil, true
	}
	var word strings.Builder
	quoted, inQuotes := false, false
	finish := func() {
		e := word.String()
		if !quoted {
			e = strings.TrimSpace(e)
		}
		elements, nulls = append(elements, e), append(nulls, !quoted && strings.EqualFold(e, "NULL"))
		word.Reset()
		quoted = false
	}
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\\' && i+1 < len(body):
			i++
			word.WriteByte(body[i])
			quoted = true
		case c == '"':
			inQuotes, quoted = !inQuotes, true
		case inQuotes:
			word.WriteByte(c)
		case c == '{' || c == '}':
			return nil, nil, false
		case c == ',':
			finish()
		case quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
		default:
			word.WriteByte(c)
		}
	}
	finish()
	return elements, nulls, !inQuotes
}
