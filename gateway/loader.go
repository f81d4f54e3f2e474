package gateway

import (
	"sallyport"
	"sallyport/query"
)

// loader is the data of a COPY FROM STDIN on their way into protected columns. They come in pieces that end anywhere; of a
// field that passes no more is held than one byte, of one that is tokenised all of it. It reads rows exactly as PostgreSQL
// does (copyfromparse.c) and writes them so that they can be read in one way only.
//
// A loader does no I/O and knows no session: value tokenises. What it refuses ends the COPY, so that nothing of it is stored.
type loader struct {
	copy  *query.Copy
	value func(f *query.CopyField, value []byte) ([]byte, *query.Refusal)
	read  func(b []byte) *query.Refusal // of the format
	end   func() *query.Refusal

	out    []byte // what the server gets
	kept   []byte // the present field, where it is held
	row    int    // of data, from 1
	at     int    // index of the present field
	header bool   // the present row is the header
	begun  bool   // the present row has any byte
	quoted bool   // the present field has a quote (CSV)
	ended  bool   // the end marker came: nothing behind it is read

	line    lineEnd
	state   byte // of the format's own
	pending int  // bytes that are still to come of what state says (binary)
}

// What a field may hold before it is tokenised, so that a promise of more costs nothing: a text's bound is its scheme's.
const (
	longestText  = 64 << 20
	longestValue = 16 << 10
)

func newLoader(c *query.Copy, value func(*query.CopyField, []byte) ([]byte, *query.Refusal)) *loader {
	l := &loader{copy: c, value: value, row: 1, header: c.Header}
	if l.header {
		l.row = 0
	}
	switch c.Format {
	case "binary":
		l.read, l.end, l.row, l.header = l.readBinary, l.endBinary, 0, false
		l.expect(binarySignature)
	case "csv":
		l.read, l.end = l.readCSV, l.endCSV
	default:
		l.read, l.end = l.readText, l.endText
	}
	return l
}

// take reads a piece; out grows by what the server gets of it.
func (l *loader) take(b []byte) *query.Refusal {
	if l.ended {
		return nil // the server would not look at it either
	}
	return l.read(b)
}

// finish is told that the client has sent everything.
func (l *loader) finish() *query.Refusal {
	if l.ended {
		return nil
	}
	return l.end()
}

// field is the present field, nil behind the last one.
func (l *loader) field() *query.CopyField {
	if l.at < len(l.copy.Fields) {
		return &l.copy.Fields[l.at]
	}
	return nil
}

// holds says whether the present field is held until it is whole.
func (l *loader) holds() bool {
	f := l.field()
	return l.header || f != nil && f.Slot != nil
}

// keep adds to a field that is held.
func (l *loader) keep(b ...byte) *query.Refusal {
	if l.header && !l.copy.Match { // the server looks whether it is the end marker, and no further; so it does not get it
		l.kept = append(l.kept, b[:min(len(b), 3-min(3, len(l.kept)))]...)
		return nil
	}
	most := longestValue
	if f := l.field(); f != nil && f.Slot != nil && f.Slot.Scheme == sallyport.Text {
		most = 2 * longestText // escapes take more
	}
	if len(l.kept)+len(b) > most {
		if l.header {
			return l.mismatch()
		}
		return refusal(codeValue, "the value for "+l.field().Slot.Column.String()+" does not fit: it is too long", "")
	}
	l.kept = append(l.kept, b...)
	return nil
}

// tokenised is the token of a field's value.
func (l *loader) tokenised(value []byte) ([]byte, *query.Refusal) { return l.value(l.field(), value) }

// next goes on to the next field; a row has as many as columns are written, and what is too much goes nowhere.
func (l *loader) next() *query.Refusal {
	l.at++
	l.quoted = false
	l.release()
	if l.at >= len(l.copy.Fields) && (!l.header || l.copy.Match) {
		return badFile("extra data after last expected column", "")
	}
	return nil
}

// release forgets the field that was held, and the room of a long one.
func (l *loader) release() {
	if cap(l.kept) > longestValue {
		l.kept = nil
	}
	l.kept = l.kept[:0]
}

// nextRow begins another row.
func (l *loader) nextRow() {
	l.row++
	l.at, l.header, l.begun, l.quoted = 0, false, false, false
	l.release()
}

// mismatch is what the server says of a header that does not name the columns; what stands there is not repeated.
func (l *loader) mismatch() *query.Refusal {
	return badFile("the names in the header are not those of the columns", "HEADER true leaves them unread.")
}

// matches holds a name of the header to its column's.
func (l *loader) matches(name []byte) bool {
	f := l.field()
	return f != nil && string(name) == f.Name
}

// badFile is an error in PostgreSQL's words (ERRCODE_BAD_COPY_FILE_FORMAT).
func badFile(sentence, hint string) *query.Refusal { return refusal(codeBadCopy, sentence, hint) }

// lineEnd follows how the client ends its lines: the first one decides for all, as the server has it. The server itself gets
// nothing but line feeds.
type lineEnd struct {
	kind    byte // 0 not known yet, 'n' LF, 'r' CR, 'b' both
	pending bool // a CR came that may be half of CR LF
}

// The words of copyfromparse.c for line ends of another kind.
func (l *loader) strayEnd(c byte) *query.Refusal {
	switch csv := l.copy.Format == "csv"; {
	case csv && c == '\r':
		return badFile("unquoted carriage return found in data", "Use quoted CSV field to represent carriage return.")
	case csv:
		return badFile("unquoted newline found in data", "Use quoted CSV field to represent newline.")
	case c == '\r':
		return badFile("literal carriage return found in data", `Use "\r" to represent carriage return.`)
	}
	return badFile("literal newline found in data", `Use "\n" to represent newline.`)
}

// lineFeed says whether a LF ends the line.
func (l *loader) lineFeed() *query.Refusal {
	if l.line.kind == 'r' || l.line.kind == 'b' {
		return l.strayEnd('\n')
	}
	l.line.kind = 'n'
	return nil
}

// carriageReturn says whether a CR ends the line by itself; pending: what follows decides.
func (l *loader) carriageReturn() (ends bool, refused *query.Refusal) {
	switch l.line.kind {
	case 'n':
		return false, l.strayEnd('\r')
	case 'r':
		return true, nil
	}
	l.line.pending = true
	return false, nil
}

// settleReturn decides on a pending CR by the byte behind it. It says whether that byte belongs to the line's end.
func (l *loader) settleReturn(c byte) (taken bool, refused *query.Refusal) {
	l.line.pending = false
	switch {
	case c == '\n':
		l.line.kind = 'b'
		return true, nil
	case l.line.kind == 'b':
		return false, l.strayEnd('\r')
	}
	l.line.kind = 'r'
	return false, nil
}
