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
	n, at, oid, ok := binary.BigEndian.Uint32(b), 4, uint32(0), true
	array := binary.BigEndian.Uint32(b[4:]) <= 1
	if array {
		if n, at, oid, ok = arrayHead(b); !ok {
			return false
		}
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
		value, end, ok := sizedValue(b, at)
		if !ok {
			return false
		}
		take(b[from:at+4], oid, value)
		at, from = end, end
	}
	return at == len(b)
}

// arrayHead reads what stands before an array's elements: how many they are, where the first begins, and their type.
func arrayHead(b []byte) (n uint32, at int, oid uint32, ok bool) {
	dimensions := binary.BigEndian.Uint32(b)
	if dimensions == 0 || dimensions > 6 || 12+8*int(dimensions) > len(b) { // MAXDIM
		return 0, 0, 0, false
	}
	n = 1
	for d := range int(dimensions) {
		size := binary.BigEndian.Uint32(b[12+8*d:])
		if size > uint32(len(b)) || n*size > uint32(len(b)) { //nolint:gosec // a message is shorter than 1 GiB; each element has 4 bytes
			return 0, 0, 0, false
		}
		n *= size
	}
	return n, 12 + 8*int(dimensions), binary.BigEndian.Uint32(b[8:]), true
}

// sizedValue reads the length at a position and the value behind it, nil for NULL; end is where that ends.
func sizedValue(b []byte, at int) (value []byte, end int, ok bool) {
	if len(b)-at < 4 {
		return nil, 0, false
	}
	size := int32(binary.BigEndian.Uint32(b[at:])) //nolint:gosec // −1 is NULL
	at += 4
	if size < 0 {
		return nil, at, true
	}
	if int(size) > len(b)-at {
		return nil, 0, false
	}
	end = at + int(size)
	return b[at:end:end], end, true
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
