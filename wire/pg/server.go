package pg

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Field describes one column of a result (55.7, RowDescription).
type Field struct {
	Name     []byte
	Table    uint32 // OID, 0 where the column is not simply one of a table's
	Attr     uint16
	Type     uint32
	TypeSize uint16
	TypeMod  uint32
	Format   uint16
}

// ParseRowDescription appends the fields of m to dst; names stay within m.
func ParseRowDescription(dst []Field, m []byte) ([]Field, error) {
	c := body(m)
	for range c.int16() {
		f := Field{Name: c.text(), Table: c.int32(), Attr: uint16(c.int16()), Type: c.int32()} //nolint:gosec // 16-bit
		f.TypeSize, f.TypeMod, f.Format = uint16(c.int16()), c.int32(), uint16(c.int16())      //nolint:gosec // 16-bit
		if !c.ok {
			break
		}
		dst = append(dst, f)
	}
	return dst, c.end("RowDescription")
}

// AppendRowDescription appends the message.
func AppendRowDescription(dst []byte, fields []Field) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(Begin(dst, RowDescription), uint16(len(fields))) //nolint:gosec // came out of a 16-bit count
	for _, f := range fields {
		dst = append(append(dst, f.Name...), 0)
		dst = binary.BigEndian.AppendUint32(dst, f.Table)
		dst = binary.BigEndian.AppendUint16(dst, f.Attr)
		dst = binary.BigEndian.AppendUint32(dst, f.Type)
		dst = binary.BigEndian.AppendUint16(dst, f.TypeSize)
		dst = binary.BigEndian.AppendUint32(dst, f.TypeMod)
		dst = binary.BigEndian.AppendUint16(dst, f.Format)
	}
	return End(dst, start)
}

// ParseDataRow appends the row's fields to dst; nil is NULL, slices stay within m.
func ParseDataRow(dst [][]byte, m []byte) ([][]byte, error) {
	dst, _, _, err := ParseDataRowFront(dst, m, math.MaxUint16)
	return dst, err
}

// ParseDataRowFront appends the first fields of a row to dst, at most so many. rest are the others as they stand in m, unread: whether
// they are as many as they should be is not known. count is the number of all. nil is NULL, slices stay within m.
func ParseDataRowFront(dst [][]byte, m []byte, most int) (fields [][]byte, rest []byte, count int, err error) {
	if len(m) < HeaderLen+2 {
		return dst, nil, 0, (&cursor{}).end("DataRow")
	}
	count, b := int(binary.BigEndian.Uint16(m[HeaderLen:])), m[HeaderLen+2:]
	for range min(count, most) {
		if len(b) < 4 {
			return dst, nil, 0, (&cursor{}).end("DataRow")
		}
		size := binary.BigEndian.Uint32(b)
		b = b[4:]
		switch {
		case size == null:
			dst = append(dst, nil)
		case uint64(size) > uint64(len(b)):
			return dst, nil, 0, (&cursor{}).end("DataRow")
		default:
			dst = append(dst, b[:size:size])
			b = b[size:]
		}
	}
	if count <= most && len(b) > 0 {
		c := cursor{b: b, ok: true}
		return dst, nil, 0, c.end("DataRow")
	}
	return dst, b, count, nil
}

// AppendDataRow appends the message.
func AppendDataRow(dst []byte, fields [][]byte) []byte {
	return AppendDataRowFront(dst, fields, nil, len(fields))
}

// AppendDataRowFront appends the message of count fields, whose first ones are fields, and whose others stand in rest as
// ParseDataRowFront left them.
func AppendDataRowFront(dst []byte, fields [][]byte, rest []byte, count int) []byte {
	size := HeaderLen + 2 + 4*len(fields) + len(rest)
	for _, v := range fields {
		size += len(v)
	}
	dst = slices.Grow(dst, size)
	dst = binary.BigEndian.AppendUint32(append(dst, DataRow), uint32(size-1)) //nolint:gosec // of fields that came in one message, or shorter ones
	dst = binary.BigEndian.AppendUint16(dst, uint16(count))                   //nolint:gosec // came out of a 16-bit count
	for _, v := range fields {
		if v == nil {
			dst = binary.BigEndian.AppendUint32(dst, null)
			continue
		}
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(v))), v...) //nolint:gosec // likewise
	}
	return append(dst, rest...)
}

// CommandTag reads the tag of a CommandComplete message.
func CommandTag(m []byte) ([]byte, error) {
	c := body(m)
	tag := c.text()
	return tag, c.end("CommandComplete")
}

// ParseParameterStatus reads name and value.
func ParseParameterStatus(m []byte) (name, value []byte, err error) {
	c := body(m)
	name, value = c.text(), c.text()
	return name, value, c.end("ParameterStatus")
}

// ParseNotification reads a NotificationResponse: the process that sent it, its channel and payload.
func ParseNotification(m []byte) (process uint32, channel, payload []byte, err error) {
	c := body(m)
	process, channel, payload = c.int32(), c.text(), c.text()
	return process, channel, payload, c.end("NotificationResponse")
}

// AppendNotification writes a NotificationResponse.
func AppendNotification(dst []byte, process uint32, channel, payload []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(Begin(dst, Notification), process)
	dst = append(append(dst, channel...), 0)
	return End(append(append(dst, payload...), 0), start)
}

// TxStatus reads the status byte of ReadyForQuery: 'I' idle, 'T' in a transaction, 'E' in a failed one.
func TxStatus(m []byte) (byte, error) {
	c := body(m)
	s := c.byte()
	if err := c.end("ReadyForQuery"); err != nil {
		return 0, err
	}
	if s != 'I' && s != 'T' && s != 'E' {
		return 0, fmt.Errorf("%w: transaction status", ErrMalformed)
	}
	return s, nil
}

// AuthCode reads the code of an Authentication message and what follows it.
func AuthCode(m []byte) (code uint32, rest []byte, err error) {
	c := body(m)
	code = c.int32()
	if !c.ok {
		return 0, nil, c.end("Authentication")
	}
	return code, c.b, nil
}

// Codes of Authentication messages that the gateway tells apart (55.7).
const (
	AuthOK           = 0
	AuthCleartext    = 3
	AuthMD5          = 5
	AuthSASL         = 10
	AuthSASLContinue = 11
	AuthSASLFinal    = 12
)

// AppendAuth appends an Authentication message.
func AppendAuth(dst []byte, code uint32, rest string) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(Begin(dst, Authentication), code)
	return End(append(dst, rest...), start)
}

// ParseMechanisms reads what stands behind AuthSASL: names, each ended by a zero, and one more zero.
func ParseMechanisms(rest []byte) ([]string, error) {
	c := cursor{b: rest, ok: true}
	var names []string
	for c.ok {
		name := c.text()
		if len(name) == 0 {
			break
		}
		names = append(names, string(name))
	}
	return names, c.end("AuthenticationSASL")
}

// AppendMechanisms appends an AuthenticationSASL.
func AppendMechanisms(dst []byte, names []string) []byte {
	return AppendAuth(dst, AuthSASL, strings.Join(names, "\x00")+"\x00\x00")
}

// KeyData reads process id and the cancel key (4 bytes in protocol 3.0, up to 256 in 3.2).
func KeyData(m []byte) (pid uint32, key []byte, err error) {
	c := body(m)
	pid = c.int32()
	if !c.ok || len(c.b) < 4 || len(c.b) > MaxCancelKey {
		return 0, nil, fmt.Errorf("%w: BackendKeyData", ErrMalformed)
	}
	return pid, c.b, nil
}

// ParseFunctionResult reads what a function returned; nil is NULL.
func ParseFunctionResult(m []byte) (value []byte, err error) {
	c := body(m)
	if size := c.int32(); size != null {
		value = c.take(int(min(size, MaxMessage+1)))
	}
	return value, c.end("FunctionCallResponse")
}

// AppendCancel appends a cancel request.
func AppendCancel(dst []byte, pid uint32, key []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(12+len(key))) //nolint:gosec // at most 256
	dst = binary.BigEndian.AppendUint32(dst, CancelRequestCode)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return append(dst, key...)
}

// CopyFormat reads the overall format of a CopyInResponse, CopyOutResponse or CopyBothResponse, 0 text, 1 binary, and how
// many columns a row has.
func CopyFormat(m []byte) (format byte, columns int, err error) {
	c := body(m)
	format, columns = c.byte(), c.int16()
	c.take(2 * columns)
	return format, columns, c.end("CopyResponse")
}

// Notice is an error or a notice: the fields by their letter (55.8) in the order in which they came.
type Notice []NoticeField

// NoticeField is one field.
type NoticeField struct {
	Code  byte
	Value []byte
}

// Field letters of section 55.8 that people build or change.
const (
	Severity  = 'S'
	SeverityV = 'V' // never localised
	SQLState  = 'C'
	Message   = 'M'
	Detail    = 'D'
	Hint      = 'H'
	Position  = 'P'

	InternalPosition = 'p'
	InternalQuery    = 'q'
	Where            = 'W' // the context: functions, and lines of COPY
)

// ParseNotice reads an ErrorResponse or NoticeResponse.
func ParseNotice(m []byte) (Notice, error) {
	c := body(m)
	var n Notice
	for c.ok {
		code := c.byte()
		if code == 0 {
			break
		}
		n = append(n, NoticeField{code, c.text()})
	}
	return n, c.end("error or notice")
}

// Get is the value of the field, or empty.
func (n Notice) Get(code byte) string {
	for _, f := range n {
		if f.Code == code {
			return string(f.Value)
		}
	}
	return ""
}

// AppendNotice appends an ErrorResponse or NoticeResponse.
func AppendNotice(dst []byte, kind byte, n Notice) []byte {
	start := len(dst)
	dst = Begin(dst, kind)
	for _, f := range n {
		dst = append(append(append(dst, f.Code), f.Value...), 0)
	}
	return End(append(dst, 0), start)
}

// NewNotice makes the fields that people read. detail and hint may be empty.
func NewNotice(severity, state, message, detail, hint string) Notice {
	n := Notice{
		{Severity, []byte(severity)},
		{SeverityV, []byte(severity)},
		{SQLState, []byte(state)},
		{Message, []byte(message)},
	}
	if detail != "" {
		n = append(n, NoticeField{Detail, []byte(detail)})
	}
	if hint != "" {
		n = append(n, NoticeField{Hint, []byte(hint)})
	}
	return n
}
