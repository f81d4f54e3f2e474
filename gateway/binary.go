package gateway

import "encoding/binary"

// mostNesting bounds rows within arrays within rows; PostgreSQL's own output of deeper ones is not looked into.
const mostNesting = 16

// insideBinary looks for tokens inside a row or an array in its binary form (record_send, rowtypes.c; array_send,
// arrayfuncs.c) and replaces those that the purpose covers. false: it is neither, and nothing was done.
func (s *session) insideBinary(r *run, row *seen, i int, field []byte) bool {
	if !isContainer(field) {
		return false
	}
	before := len(row.shown)
	out := s.containerFields(r, row, i, nil, field, mostNesting)
	for k := before; k < len(row.shown); k++ {
		row.shown[k].plain = out
	}
	return true
}

// isContainer says whether b is exactly one row or array. They are told apart by the second number: whether an array has
// NULLs, and the type of a row's first field, which is never 0 or 1.
func isContainer(b []byte) bool {
	return eachField(b, func([]byte, uint32, []byte) {})
}

// eachField hands over every field: what stands between the last one and its value, with the value's length at the end;
// its type; and its value, nil for NULL. false: b is neither a row nor an array, and what was handed over means nothing.
func eachField(b []byte, take func(head []byte, oid uint32, value []byte)) bool {
	if len(b) < 12 {
		return false
	}
	n, second := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	at, array, oid := 0, second <= 1, uint32(0)
	if array {
		dimensions := n
		oid = binary.BigEndian.Uint32(b[8:])
		at = 12 + 8*int(dimensions)
		if dimensions == 0 || dimensions > 6 || at > len(b) { // MAXDIM
			return false
		}
		n = 1
		for d := range int(dimensions) {
			size := binary.BigEndian.Uint32(b[12+8*d:])
			if size > uint32(len(b)) || n*size > uint32(len(b)) { //nolint:gosec // a message is shorter than 1 GiB; each element has 4 bytes
				return false
			}
			n *= size
		}
	} else {
		at = 4
	}
	from := 0
	for range n {
		if !array {
			if len(b)-at < 4 {
				return false
			}
			oid = binary.BigEndian.Uint32(b[at:])
			at += 4
		}
		if len(b)-at < 4 {
			return false
		}
		size := int32(binary.BigEndian.Uint32(b[at:])) //nolint:gosec // −1 is NULL
		at += 4
		if size < 0 {
			take(b[from:at], oid, nil)
			from = at
			continue
		}
		if int(size) > len(b)-at {
			return false
		}
		take(b[from:at], oid, b[at:at+int(size):at+int(size)])
		at += int(size)
		from = at
	}
	return at == len(b)
}

// containerFields appends the row or array with what may be read in it, each value behind its new length.
func (s *session) containerFields(r *run, row *seen, i int, dst, b []byte, depth int) []byte {
	eachField(b, func(head []byte, oid uint32, value []byte) {
		dst = append(dst, head...)
		if value == nil {
			return
		}
		start := len(dst)
		if depth > 0 && !plainTypes[oid] && containerOf(&column{typ: oid, binary: true}) == sealed && isContainer(value) {
			dst = s.containerFields(r, row, i, dst, value, depth-1)
		} else {
			dst = append(dst, s.leaf(r, row, i, oid, value)...)
		}
		binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start)) //nolint:gosec // bounded by MaxMessage where messages are built
	})
	return dst
}

// leaf is one value inside a row or array: the plain one where it may be read.
func (s *session) leaf(r *run, row *seen, i int, oid uint32, value []byte) []byte {
	if plainTypes[oid] || len(value) == 0 {
		return value
	}
	before := len(row.shown)
	c := column{kind: formed, typ: oid, binary: true}
	s.formedField(r, row, &c, i, value)
	if len(row.shown) == before {
		return value
	}
	return row.shown[len(row.shown)-1].plain
}
