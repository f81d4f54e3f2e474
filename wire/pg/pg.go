// Package pg turns bytes of PostgreSQL's protocol 3 into messages and back, in place: a message is a slice of the buffer it
// came in, a field a slice of its message.
//
// It does no I/O, keeps no state and interprets nothing: which message may follow which is the gateway's affair. It
// refuses lengths that PostgreSQL refuses and never reads past what a length promises.
// Source: PostgreSQL 15 documentation, chapter 55 "Frontend/Backend Protocol", sections 55.7 and 55.8.
package pg

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Messages of the client (55.7).
const (
	Query        = 'Q'
	Parse        = 'P'
	Bind         = 'B'
	Describe     = 'D'
	Execute      = 'E'
	Close        = 'C'
	Flush        = 'H'
	Sync         = 'S'
	CopyData     = 'd' // both ways
	CopyDone     = 'c' // both ways
	CopyFail     = 'f'
	FunctionCall = 'F'
	Password     = 'p' // password, SASL and GSS responses
	Terminate    = 'X'
)

// Messages of the server (55.7).
const (
	Authentication       = 'R'
	BackendKeyData       = 'K'
	ParameterStatus      = 'S'
	ReadyForQuery        = 'Z'
	RowDescription       = 'T'
	DataRow              = 'D'
	CommandComplete      = 'C'
	EmptyQuery           = 'I'
	ErrorResponse        = 'E'
	NoticeResponse       = 'N'
	Notification         = 'A'
	ParseComplete        = '1'
	BindComplete         = '2'
	CloseComplete        = '3'
	NoData               = 'n'
	PortalSuspended      = 's'
	ParameterDescription = 't'
	CopyInResponse       = 'G'
	CopyOutResponse      = 'H'
	CopyBothResponse     = 'W'
	FunctionCallResult   = 'V'
	NegotiateVersion     = 'v'
)

// Codes that stand in place of a protocol version (55.2.10, 55.2.11).
const (
	CancelRequestCode = 80877102
	SSLRequestCode    = 80877103
	GSSRequestCode    = 80877104
)

// Bounds.
const (
	HeaderLen    = 5
	MaxStartup   = 10000      // MAX_STARTUP_PACKET_LENGTH, libpq/pqcomm.h
	MaxCancelKey = 256        // 55.7, BackendKeyData and CancelRequest (PostgreSQL 18)
	MaxMessage   = 0x3fffffff // PQ_LARGE_MESSAGE_LIMIT (MaxAllocSize − 1), libpq/libpq.h
)

// MaxAuthToken is the longest message that a client may answer a log-in request with (PG_MAX_AUTH_TOKEN_LENGTH, libpq/auth.h).
const MaxAuthToken = 65535

// ErrMalformed says that bytes are not a message of the protocol. Errors of this package wrap it.
var ErrMalformed = errors.New("malformed message")

// Header reads kind and whole size (with kind byte and length) of the message that begins at b[0]. ok is false while
// fewer than HeaderLen bytes are there.
func Header(b []byte) (kind byte, size int, ok bool, err error) {
	if len(b) < HeaderLen {
		return 0, 0, false, nil
	}
	n := binary.BigEndian.Uint32(b[1:5])
	if n < 4 || n > MaxMessage {
		return 0, 0, false, fmt.Errorf("%w: length %d", ErrMalformed, n)
	}
	return b[0], int(n) + 1, true, nil
}

// Begin appends kind and a place for the length; End fills the length in. start is len(dst) before Begin.
func Begin(dst []byte, kind byte) []byte { return append(dst, kind, 0, 0, 0, 0) }

// End fills in the length of the message that began at start.
func End(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-1)) //nolint:gosec // bounded by MaxMessage where messages are built
	return dst
}

// Append appends a whole message.
func Append(dst []byte, kind byte, body ...string) []byte {
	start := len(dst)
	dst = Begin(dst, kind)
	for _, part := range body {
		dst = append(dst, part...)
	}
	return End(dst, start)
}

// cursor walks a message's body; after the first violation every read yields zero and ok is false.
type cursor struct {
	b  []byte
	ok bool
}

func (c *cursor) take(n int) []byte {
	if !c.ok || n < 0 || n > len(c.b) {
		c.ok = false
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) int16() int {
	if b := c.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) int32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// text reads a zero-terminated string.
func (c *cursor) text() []byte {
	if !c.ok {
		return nil
	}
	for i, x := range c.b {
		if x == 0 {
			out := c.b[:i:i]
			c.b = c.b[i+1:]
			return out
		}
	}
	c.ok = false
	return nil
}

func (c *cursor) end(what string) error {
	if !c.ok {
		return fmt.Errorf("%w: %s ends too early", ErrMalformed, what)
	}
	if len(c.b) != 0 {
		return fmt.Errorf("%w: %s has %d bytes too many", ErrMalformed, what, len(c.b))
	}
	return nil
}

// body strips the header.
func body(m []byte) cursor {
	if len(m) < HeaderLen {
		return cursor{}
	}
	return cursor{b: m[HeaderLen:], ok: true}
}
