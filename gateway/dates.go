package gateway

import (
	"encoding/binary"
	"math"
	"strings"

	"sallyport/token"
)

// dateStyle is how the server writes a date (section 8.5.2); the zero value is ISO.
type dateStyle struct {
	separator byte
	order     string // of y, m, d
}

func parseDateStyle(setting string) dateStyle {
	style, order, _ := strings.Cut(setting, ",")
	dmy := strings.TrimSpace(order) == "DMY"
	switch strings.TrimSpace(style) {
	case "SQL":
		if dmy {
			return dateStyle{'/', "dmy"}
		}
		return dateStyle{'/', "mdy"}
	case "Postgres":
		if dmy {
			return dateStyle{'-', "dmy"}
		}
		return dateStyle{'-', "mdy"}
	case "German":
		return dateStyle{'.', "dmy"}
	}
	return dateStyle{}
}

// isoDate brings a date field to the form in which the catalogue reads it, YYYY-MM-DD. The result is valid until the next
// call.
func (s *session) isoDate(c *column, field []byte) ([]byte, bool) {
	if c.binary {
		if len(field) != 4 {
			return nil, false
		}
		var ok bool
		s.date, ok = appendISODate(s.date[:0], int32(binary.BigEndian.Uint32(field))) //nolint:gosec // signed on the wire
		return s.date, ok
	}
	s.mu.Lock()
	style := s.style
	s.mu.Unlock()
	if style.order == "" {
		return field, true
	}
	parts := strings.Split(string(field), string(style.separator))
	if len(parts) != 3 {
		return nil, false // infinity, BC
	}
	var y, m, d string
	for i, part := range parts {
		switch style.order[i] {
		case 'y':
			y = part
		case 'm':
			m = part
		case 'd':
			d = part
		}
	}
	s.date = append(append(append(append(append(s.date[:0], y...), '-'), m...), '-'), d...)
	return s.date, true
}

// redate brings an ISO date that ends buf from start on to the form of the field that it replaces.
func (s *session) redate(buf []byte, start int, c *column) []byte {
	day, ok := parseISODate(buf[start:])
	if !ok {
		return buf
	}
	if c.binary {
		return binary.BigEndian.AppendUint32(buf[:start], uint32(day)) //nolint:gosec // signed on the wire
	}
	s.mu.Lock()
	style := s.style
	s.mu.Unlock()
	if style.order == "" || day == math.MaxInt32 || day == math.MinInt32 {
		return buf
	}
	iso := string(buf[start:])
	buf = buf[:start]
	for i := range len(style.order) {
		if i > 0 {
			buf = append(buf, style.separator)
		}
		switch style.order[i] {
		case 'y':
			buf = append(buf, iso[:len(iso)-6]...)
		case 'm':
			buf = append(buf, iso[len(iso)-5:len(iso)-3]...)
		case 'd':
			buf = append(buf, iso[len(iso)-2:]...)
		}
	}
	return buf
}

// The first and the last day that YYYY-MM-DD can write, in days since 2000-01-01: 0001-01-01 and 9999-12-31.
const firstDay, lastDay = -730119, 2921939

// appendISODate writes a day, or infinity; false for years that have no four digits.
func appendISODate(dst []byte, day int32) ([]byte, bool) {
	switch day {
	case math.MaxInt32:
		return append(dst, token.Infinity...), true
	case math.MinInt32:
		return append(dst, token.NegativeInfinity...), true
	}
	if day < firstDay || day > lastDay {
		return dst, false
	}
	return token.AppendDay(dst, day), true
}

func parseISODate(b []byte) (int32, bool) {
	switch string(b) {
	case token.Infinity:
		return math.MaxInt32, true
	case token.NegativeInfinity:
		return math.MinInt32, true
	}
	return token.ParseDay(b)
}

// isoParameter brings a date that a client wrote as text to YYYY-MM-DD where it plainly is one, without the time of day that
// some drivers add; anything else goes as it is, and the scheme refuses it.
func isoParameter(v []byte) []byte {
	text := strings.TrimSpace(string(v))
	if len(text) == 8 && strings.Trim(text, "0123456789") == "" {
		return []byte(text[:4] + "-" + text[4:6] + "-" + text[6:])
	}
	if len(text) > 10 && (text[10] == ' ' || text[10] == 'T') && strings.Trim(text[11:], "0123456789:.+-Z ") == "" {
		return []byte(text[:10])
	}
	return []byte(text)
}
