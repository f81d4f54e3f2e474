package export

import (
	"strconv"
	"unicode/utf8"
)

// object writes JSON without reflection: an export of a year is a hundred million objects. Fields that are empty are left out.
type object struct{ b []byte }

func (o *object) open() { o.b = append(o.b, '{') }
func (o *object) shut() { o.b = append(o.b, '}') }

// key begins a field.
func (o *object) key(name string) {
	if last := o.b[len(o.b)-1]; last != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) begin(name string) {
	o.key(name)
	o.open()
}

func (o *object) text(name, value string) {
	if value != "" {
		o.key(name)
		o.b = quote(o.b, value)
	}
}

func (o *object) number(name string, value int64) {
	o.key(name)
	o.b = strconv.AppendInt(o.b, value, 10)
}

func (o *object) count(name string, value int64) {
	if value != 0 {
		o.number(name, value)
	}
}

// texts writes a list.
func texts[T ~string](o *object, name string, list []T) {
	if len(list) == 0 {
		return
	}
	o.key(name)
	o.b = append(o.b, '[')
	for i, one := range list {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = quote(o.b, one)
	}
	o.b = append(o.b, ']')
}

const hexDigits = "0123456789abcdef"

// quote writes a text as JSON, RFC 8259, section 7. What is no UTF-8 becomes U+FFFD.
func quote[T ~string](b []byte, s T) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
		if r == utf8.RuneError && size == 1 {
			b = append(append(b, s[from:i]...), "\ufffd"...)
			i++
			from = i
			continue
		}
		i += size
	}
	return append(append(b, s[from:]...), '"')
}
