package gateway

import (
	"encoding/binary"
	"fmt"

	"sallyport"
	"sallyport/query"
)

// The parts of COPY's binary format (sql-copy, "Binary Format").
const (
	binarySignature = iota // with flags and the length of the header's extension
	binaryExtension
	binaryCount // of a row's fields
	binaryLength
	binaryField
	binaryEnd // behind the trailer
)

// binaryHead is signature, flags and the extension's length.
const binaryHead = "PGCOPY\n\377\r\n\000"

// The bits of the flags that change how rows are read: all of the upper half. Of these PostgreSQL knew one.
const (
	binaryCritical = 0xffff0000
	binaryOIDs     = 1 << 16
)

// expect goes on to another part and says how many bytes of it are due.
func (l *loader) expect(part byte) {
	l.state = part
	l.kept = l.kept[:0]
	switch part {
	case binarySignature:
		l.pending = len(binaryHead) + 8
	case binaryCount:
		l.pending = 2
	case binaryLength:
		l.pending = 4
	}
}

// readBinary reads a piece of COPY's binary format.
func (l *loader) readBinary(b []byte) *query.Refusal {
	for len(b) > 0 {
		n := min(l.pending, len(b))
		switch l.state {
		case binaryEnd:
			return badFile("received copy data after EOF marker", "")
		case binaryExtension: // nobody reads it
		case binaryField:
			if f := l.field(); f.Slot == nil {
				l.out = append(l.out, b[:n]...)
			} else {
				l.kept = append(l.kept, b[:n]...)
			}
		default:
			l.kept = append(l.kept, b[:n]...)
		}
		b = b[n:]
		if l.pending -= n; l.pending > 0 {
			return nil
		}
		if refused := l.wholeBinary(); refused != nil {
			return refused
		}
	}
	return nil
}

// wholeBinary takes a part that is there.
func (l *loader) wholeBinary() *query.Refusal {
	switch l.state {
	case binarySignature:
		return l.headBinary()
	case binaryExtension:
		l.expect(binaryCount)
	case binaryCount:
		return l.countBinary()
	case binaryLength:
		return l.lengthBinary()
	case binaryField:
		return l.fieldBinary()
	}
	return nil
}

// headBinary passes the header on without its extension.
func (l *loader) headBinary() *query.Refusal {
	flags := binary.BigEndian.Uint32(l.kept[len(binaryHead):])
	extension := int32(binary.BigEndian.Uint32(l.kept[len(binaryHead)+4:])) //nolint:gosec // signed on the wire
	switch {
	case string(l.kept[:len(binaryHead)]) != binaryHead:
		return badFile("COPY file signature not recognized", "")
	case flags&binaryOIDs != 0:
		return badFile("invalid COPY file header (WITH OIDS)", "")
	case flags&binaryCritical != 0:
		return badFile("unrecognized critical flags in COPY file header", "")
	case extension < 0:
		return badFile("invalid COPY file header (wrong length)", "")
	}
	l.out = append(append(l.out, l.kept[:len(binaryHead)+4]...), 0, 0, 0, 0)
	l.expect(binaryCount)
	if extension > 0 {
		l.state, l.pending = binaryExtension, int(extension)
	}
	return nil
}

// countBinary begins a row, or ends the data.
func (l *loader) countBinary() *query.Refusal {
	n := int16(binary.BigEndian.Uint16(l.kept)) //nolint:gosec // signed on the wire
	l.out = append(l.out, l.kept...)
	if n == -1 {
		l.state, l.pending = binaryEnd, 1
		return nil
	}
	if int(n) != len(l.copy.Fields) {
		return badFile(fmt.Sprintf("row field count is %d, expected %d", n, len(l.copy.Fields)), "")
	}
	l.row++
	l.at = 0
	l.expect(binaryLength)
	return nil
}

// lengthBinary begins a field.
func (l *loader) lengthBinary() *query.Refusal {
	size := int32(binary.BigEndian.Uint32(l.kept)) //nolint:gosec // signed on the wire
	f := l.field()
	switch {
	case size < -1:
		return badFile("invalid field size", "")
	case size == -1 || f.Slot == nil:
		l.out = append(l.out, l.kept...)
	}
	if f.Slot != nil {
		most := longestValue
		if f.Slot.Scheme == sallyport.Text {
			most = longestText
		}
		if int(size) > most {
			return refusal(codeValue, "the value for "+f.Slot.Column.String()+" does not fit: it is too long", "")
		}
	}
	if size == -1 {
		l.nextBinary()
		return nil
	}
	l.kept, l.state, l.pending = l.kept[:0], binaryField, int(size)
	if size == 0 {
		return l.fieldBinary()
	}
	return nil
}

// fieldBinary ends a field.
func (l *loader) fieldBinary() *query.Refusal {
	if f := l.field(); f.Slot != nil {
		tok, refused := l.tokenised(l.kept)
		if refused != nil {
			return refused
		}
		l.out = binary.BigEndian.AppendUint32(l.out, uint32(len(tok))) //nolint:gosec // bounded by what is held
		l.out = append(l.out, tok...)
		l.release()
	}
	l.nextBinary()
	return nil
}

func (l *loader) nextBinary() {
	l.at++
	if l.at < len(l.copy.Fields) {
		l.expect(binaryLength)
		return
	}
	l.expect(binaryCount)
}

// endBinary has nothing to do: the server says whether something is missing.
func (l *loader) endBinary() *query.Refusal { return nil }
