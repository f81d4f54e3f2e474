package sources

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// cursor walks one JSON text, strictly (RFC 8259), without building anything. The first mistake is kept in fail, and from then on every
// call does nothing. Bytes that it gives are good until the next call.
type cursor struct {
	b     []byte
	at    int
	depth int
	fail  string
	plain []byte // an unescaped string
}

// deepest bounds the nesting of a line.
const deepest = 64

func (c *cursor) reset(b []byte) { c.b, c.at, c.depth, c.fail = b, 0, 0, "" }

func (c *cursor) wrong(what string) {
	if c.fail == "" {
		c.fail = what
	}
	c.at = len(c.b)
}

func (c *cursor) space() {
	for c.at < len(c.b) {
		switch c.b[c.at] {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return
		}
	}
}

// peek is the next byte that is not white space, 0 at the end.
func (c *cursor) peek() byte {
	if c.at < len(c.b) && c.b[c.at] > ' ' {
		return c.b[c.at]
	}
	c.space()
	if c.at < len(c.b) {
		return c.b[c.at]
	}
	return 0
}

// end holds that nothing follows.
func (c *cursor) end() {
	if c.fail == "" && c.peek() != 0 {
		c.wrong("something follows the JSON object")
	}
}

// object calls field for each key, which MUST take the value. A key is good until then. null counts as an empty object.
func (c *cursor) object(field func(key []byte)) {
	if c.depth > 0 && c.peek() == 'n' {
		c.skip()
		return
	}
	if c.peek() != '{' {
		c.wrong("expected a JSON object")
		return
	}
	if c.enter(); c.peek() == '}' {
		c.leave()
		return
	}
	for c.fail == "" {
		if c.peek() != '"' {
			c.wrong("expected a key in quotes")
			return
		}
		key := c.quoted()
		if c.peek() != ':' {
			c.wrong("expected a colon after a key")
			return
		}
		c.at++
		field(key)
		switch c.peek() {
		case ',':
			c.at++
		case '}':
			c.leave()
			return
		default:
			c.wrong("expected a comma or the end of an object")
		}
	}
}

// array calls item for each element, which MUST take it. null counts as an empty array.
func (c *cursor) array(item func()) {
	if c.peek() == 'n' {
		c.skip()
		return
	}
	if c.peek() != '[' {
		c.wrong("expected a JSON array")
		return
	}
	if c.enter(); c.peek() == ']' {
		c.leave()
		return
	}
	for c.fail == "" {
		item()
		switch c.peek() {
		case ',':
			c.at++
		case ']':
			c.leave()
			return
		default:
			c.wrong("expected a comma or the end of an array")
		}
	}
}

func (c *cursor) enter() {
	c.at++
	if c.depth++; c.depth > deepest {
		c.wrong("it is nested too deeply")
	}
}

func (c *cursor) leave() { c.at++; c.depth-- }

// quoted is a string; the cursor stands at its first quote.
func (c *cursor) quoted() []byte {
	from := c.at + 1
	for i := from; i < len(c.b); i++ {
		switch ch := c.b[i]; {
		case ch == '"':
			c.at = i + 1
			return c.b[from:i]
		case ch == '\\':
			return c.escaped(from, i)
		case ch < ' ':
			c.wrong("a control character in a string")
			return nil
		}
	}
	c.wrong("a string without an end")
	return nil
}

// escaped is a string with escapes, for which the standard library is fast enough.
func (c *cursor) escaped(from, i int) []byte {
	for ; i < len(c.b) && c.b[i] != '"'; i++ {
		if c.b[i] == '\\' {
			i++
		}
	}
	if i >= len(c.b) {
		c.wrong("a string without an end")
		return nil
	}
	var s string
	if json.Unmarshal(c.b[from-1:i+1], &s) != nil {
		c.wrong("a string with a wrong escape")
		return nil
	}
	c.at = i + 1
	c.plain = append(c.plain[:0], s...)
	return c.plain
}

// text is a string; a number or a truth value is its text, null is empty.
func (c *cursor) text() []byte {
	switch c.peek() {
	case '"':
		return c.quoted()
	case 'n':
		c.skip()
		return nil
	case '{', '[':
		c.wrong("expected a text, not an object or a list")
		return nil
	}
	from := c.at
	c.skip()
	if c.fail != "" {
		return nil
	}
	return c.b[from:c.at]
}

// whole is a whole number, also one in quotes; null is 0. ok is false, and nothing wrong, for another number.
func (c *cursor) whole() (n int64, ok bool) {
	b := c.text()
	if len(b) == 0 {
		return 0, c.fail == ""
	}
	if n, ok := digits(b); ok {
		return n, true
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.Abs(f) > 1<<53 || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

func digits(b []byte) (n int64, ok bool) {
	minus := len(b) > 1 && b[0] == '-'
	if minus {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, ch := range b {
		if ch < '0' || ch > '9' {
			return 0, false
		}
		n = n*10 + int64(ch-'0')
	}
	if minus {
		n = -n
	}
	return n, true
}

// skip passes over one value.
func (c *cursor) skip() {
	switch ch := c.peek(); {
	case ch == '"':
		c.quoted()
	case ch == '{':
		c.object(c.skipField)
	case ch == '[':
		c.array(c.skip)
	case ch == '-' || ch >= '0' && ch <= '9':
		c.number()
	case ch == 't':
		c.word("true")
	case ch == 'f':
		c.word("false")
	case ch == 'n':
		c.word("null")
	default:
		c.wrong("expected a JSON value")
	}
}

func (c *cursor) skipField([]byte) { c.skip() }

func (c *cursor) word(w string) {
	if !bytes.HasPrefix(c.b[c.at:], []byte(w)) {
		c.wrong("expected a JSON value")
		return
	}
	c.at += len(w)
}

// number passes over a number by the grammar: no leading zeros, digits after a point.
func (c *cursor) number() {
	if c.b[c.at] == '-' {
		c.at++
	}
	if c.at < len(c.b) && c.b[c.at] == '0' {
		c.at++
	} else if !c.digits() {
		return
	}
	if c.at < len(c.b) && c.b[c.at] == '.' {
		if c.at++; !c.digits() {
			return
		}
	}
	if c.at < len(c.b) && (c.b[c.at] == 'e' || c.b[c.at] == 'E') {
		if c.at++; c.at < len(c.b) && (c.b[c.at] == '+' || c.b[c.at] == '-') {
			c.at++
		}
		c.digits()
	}
}

func (c *cursor) digits() bool {
	from := c.at
	for c.at < len(c.b) && c.b[c.at] >= '0' && c.b[c.at] <= '9' {
		c.at++
	}
	if c.at == from {
		c.wrong("a number that is none")
		return false
	}
	return true
}
