package pg

import (
	"encoding/binary"
	"fmt"
)

// Startup is a start-up packet: protocol version and parameters in the order in which they came.
type Startup struct {
	Version uint32
	Params  [][2]string
}

// Get is the value of a parameter, the last one if it stands twice, as PostgreSQL takes it.
func (s *Startup) Get(name string) string {
	value := ""
	for _, p := range s.Params {
		if p[0] == name {
			value = p[1]
		}
	}
	return value
}

// StartupCode reads length and code of a start-up packet of which at least 8 bytes are there.
func StartupCode(b []byte) (size int, code uint32, err error) {
	n := binary.BigEndian.Uint32(b)
	if n < 8 || n > MaxStartup {
		return 0, 0, fmt.Errorf("%w: start-up packet of %d bytes", ErrMalformed, n)
	}
	return int(n), binary.BigEndian.Uint32(b[4:]), nil
}

// ParseStartup reads a whole start-up packet.
func ParseStartup(b []byte) (*Startup, error) {
	c := cursor{b: b, ok: true}
	c.int32()
	s := &Startup{Version: c.int32()}
	for c.ok {
		name := c.text()
		if len(name) == 0 {
			break
		}
		s.Params = append(s.Params, [2]string{string(name), string(c.text())})
	}
	return s, c.end("start-up packet")
}

// AppendStartup appends the packet.
func AppendStartup(dst []byte, s *Startup) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(append(dst, 0, 0, 0, 0), s.Version)
	for _, p := range s.Params {
		dst = append(append(append(append(dst, p[0]...), 0), p[1]...), 0)
	}
	dst = append(dst, 0)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start)) //nolint:gosec // a few parameters
	return dst
}

// ParseCancel reads a cancel request: process id and key, 4 bytes in protocol 3.0 and up to 256 in 3.2.
func ParseCancel(b []byte) (pid uint32, key []byte, err error) {
	if len(b) < 16 || len(b) > 12+MaxCancelKey {
		return 0, nil, fmt.Errorf("%w: cancel request", ErrMalformed)
	}
	return binary.BigEndian.Uint32(b[8:]), b[12:], nil
}

// ParseSASLInitial reads a client's choice of a mechanism and its first message.
func ParseSASLInitial(m []byte) (mechanism string, data []byte, err error) {
	c := body(m)
	mechanism = string(c.text())
	if n := c.int32(); n != null {
		data = c.take(int(min(n, MaxMessage)))
	}
	return mechanism, data, c.end("SASLInitialResponse")
}

// AppendSASLInitial appends a SASLInitialResponse.
func AppendSASLInitial(dst []byte, mechanism, data string) []byte {
	start := len(dst)
	dst = append(append(Begin(dst, Password), mechanism...), 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data))) //nolint:gosec // bounded by MaxAuthToken
	return End(append(dst, data...), start)
}

// ParseQuery reads the text of a Query message.
func ParseQuery(m []byte) ([]byte, error) {
	c := body(m)
	text := c.text()
	return text, c.end("Query")
}

// AppendQuery appends a Query message.
func AppendQuery(dst []byte, sql string) []byte { return Append(dst, Query, sql, "\x00") }

// ParseMessage is a Parse message.
type ParseMessage struct {
	Name, SQL []byte
	Types     []byte // 4 bytes each, as they came
}

// ParseParse reads a Parse message.
func ParseParse(m []byte) (ParseMessage, error) {
	c := body(m)
	p := ParseMessage{Name: c.text(), SQL: c.text()}
	p.Types = c.take(4 * c.int16())
	return p, c.end("Parse")
}

// AppendParse appends a Parse message; types are taken as ParseParse gives them.
func AppendParse(dst []byte, name, sql string, types []byte) []byte {
	start := len(dst)
	dst = Begin(dst, Parse)
	dst = append(append(append(append(dst, name...), 0), sql...), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(types)/4)) //nolint:gosec // came out of a 16-bit count
	return End(append(dst, types...), start)
}

// BindMessage is a Bind message. A nil parameter is NULL.
type BindMessage struct {
	Portal, Statement []byte
	Formats           []byte // 2 bytes each: none, one for all, or one for each parameter
	Params            [][]byte
	Results           []byte // 2 bytes each, likewise for the result's columns
}

// Format is the format code of parameter i: 0 text, 1 binary (55.7, Bind).
func (b *BindMessage) Format(i int) int { return formatOf(b.Formats, i) }

// Result is the format code of result column i.
func (b *BindMessage) Result(i int) int { return formatOf(b.Results, i) }

func formatOf(codes []byte, i int) int {
	switch len(codes) {
	case 0:
		return 0
	case 2:
		return int(binary.BigEndian.Uint16(codes))
	}
	if 2*i+2 > len(codes) {
		return 0
	}
	return int(binary.BigEndian.Uint16(codes[2*i:]))
}

// ParseBind reads a Bind message; its slices stay within m.
func ParseBind(m []byte) (BindMessage, error) {
	c := body(m)
	b := BindMessage{Portal: c.text(), Statement: c.text()}
	b.Formats = c.take(2 * c.int16())
	n := c.int16()
	if c.ok && n*4 > len(c.b) { // each parameter has at least its length
		return b, fmt.Errorf("%w: Bind promises %d parameters", ErrMalformed, n)
	}
	b.Params = make([][]byte, 0, n)
	for range n {
		size := c.int32()
		if size == null {
			b.Params = append(b.Params, nil)
			continue
		}
		if size > MaxMessage {
			c.ok = false
			break
		}
		v := c.take(int(size))
		if v == nil {
			v = []byte{}
		}
		b.Params = append(b.Params, v)
	}
	b.Results = c.take(2 * c.int16())
	return b, c.end("Bind")
}

// AppendBind appends the message.
func AppendBind(dst []byte, b *BindMessage) []byte {
	start := len(dst)
	dst = Begin(dst, Bind)
	dst = append(append(append(append(dst, b.Portal...), 0), b.Statement...), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b.Formats)/2)) //nolint:gosec // came out of a 16-bit count
	dst = append(dst, b.Formats...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b.Params))) //nolint:gosec // came out of a 16-bit count
	for _, p := range b.Params {
		dst = AppendField(dst, p)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b.Results)/2)) //nolint:gosec // came out of a 16-bit count
	return End(append(dst, b.Results...), start)
}

// null is the length of what is NULL, or not there.
const null = 0xffffffff

// AppendField appends length and value; nil is NULL.
func AppendField(dst, v []byte) []byte {
	if v == nil {
		return binary.BigEndian.AppendUint32(dst, null)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v))) //nolint:gosec // bounded by MaxMessage
	return append(dst, v...)
}

// ParseTarget reads a Describe or Close message: 'S' statement or 'P' portal, and its name.
func ParseTarget(m []byte) (what byte, name []byte, err error) {
	c := body(m)
	what, name = c.byte(), c.text()
	if err := c.end("Describe or Close"); err != nil {
		return 0, nil, err
	}
	if what != 'S' && what != 'P' {
		return 0, nil, fmt.Errorf("%w: Describe or Close of neither statement nor portal", ErrMalformed)
	}
	return what, name, nil
}

// AppendTarget appends a Describe or Close message.
func AppendTarget(dst []byte, kind, what byte, name string) []byte {
	return Append(dst, kind, string(what), name, "\x00")
}

// ParseFunctionCall reads which function a FunctionCall message calls, by its OID; what it is called with is only held to
// its lengths.
func ParseFunctionCall(m []byte) (function uint32, err error) {
	c := body(m)
	function = c.int32()
	c.take(2 * c.int16())
	for range c.int16() {
		if size := c.int32(); size != null {
			c.take(int(min(size, MaxMessage+1)))
		}
		if !c.ok {
			break
		}
	}
	c.int16()
	return function, c.end("FunctionCall")
}

// AppendFunctionCall appends a FunctionCall message for a function without arguments, with its result as text.
func AppendFunctionCall(dst []byte, function uint32) []byte {
	dst = append(dst, FunctionCall, 0, 0, 0, 14)
	dst = binary.BigEndian.AppendUint32(dst, function)
	return append(dst, 0, 0, 0, 0, 0, 0)
}

// ParseExecute reads an Execute message.
func ParseExecute(m []byte) (portal []byte, maxRows uint32, err error) {
	c := body(m)
	portal, maxRows = c.text(), c.int32()
	return portal, maxRows, c.end("Execute")
}

// AppendExecute appends an Execute message.
func AppendExecute(dst []byte, portal string, maxRows uint32) []byte {
	start := len(dst)
	dst = append(append(Begin(dst, Execute), portal...), 0)
	return End(binary.BigEndian.AppendUint32(dst, maxRows), start)
}
