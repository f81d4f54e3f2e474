package gateway

import (
	"bytes"

	"sallyport/query"
)

// The states of COPY's text format (sql-copy, "Text Format").
const (
	textPlain   = iota
	textEscaped // behind a backslash
	textMarker  // behind \.
)

// readText reads a piece of COPY's text format.
func (l *loader) readText(b []byte) *query.Refusal {
	for len(b) > 0 && !l.ended {
		var refused *query.Refusal
		switch {
		case l.line.pending:
			var taken bool
			if taken, refused = l.settleReturn(b[0]); taken {
				b = b[1:]
			}
			if refused == nil {
				refused = l.endTextRow()
			}
		case l.state == textEscaped:
			refused = l.escapedText(b[0])
			b = b[1:]
		case l.state == textMarker:
			l.markText(b[0])
		default:
			b, refused = l.plainText(b)
		}
		if refused != nil {
			return refused
		}
	}
	return nil
}

// plainText takes what stands before the next sign that means something, and that sign.
func (l *loader) plainText(b []byte) ([]byte, *query.Refusal) {
	n := 0
	for n < len(b) && b[n] != '\\' && b[n] != '\n' && b[n] != '\r' && b[n] != l.copy.Delimiter {
		n++
	}
	if n > 0 {
		if refused := l.put(b[:n]...); refused != nil {
			return nil, refused
		}
	}
	if n == len(b) {
		return nil, nil
	}
	c, rest := b[n], b[n+1:]
	switch c {
	case '\\':
		l.state = textEscaped
	case '\n':
		if refused := l.lineFeed(); refused != nil {
			return nil, refused
		}
		return rest, l.endTextRow()
	case '\r':
		ends, refused := l.carriageReturn()
		if !ends {
			return rest, refused
		}
		return rest, l.endTextRow()
	default:
		if refused := l.endTextField(); refused != nil {
			return nil, refused
		}
		l.begun = true
		if !l.header || l.copy.Match {
			l.out = append(l.out, c)
		}
		return rest, l.next()
	}
	return rest, nil
}

// put adds to the present field as it stands in the row.
func (l *loader) put(b ...byte) *query.Refusal {
	l.begun = true
	if l.holds() {
		return l.keep(b...)
	}
	l.out = append(l.out, b...)
	return nil
}

// escapedText takes the byte behind a backslash. A line's end there is data and is written as a letter.
func (l *loader) escapedText(c byte) *query.Refusal {
	l.state = textPlain
	switch c {
	case '.':
		if l.header {
			l.ended = true
			return nil
		}
		l.state = textMarker
		if !l.begun {
			return nil
		}
		return l.endTextField() // up to PostgreSQL 17 what stands before is a row
	case '\n':
		c = 'n'
	case '\r':
		c = 'r'
	}
	return l.put('\\', c)
}

// markText ends the data: \. and a line's end. What it makes of another byte is the server's affair.
func (l *loader) markText(c byte) {
	if c == '\r' {
		c = '\n' // as all line ends are here
	}
	l.out = append(l.out, '\\', '.', c)
	l.ended = true
}

// endTextField writes a field that was held.
func (l *loader) endTextField() *query.Refusal {
	if !l.holds() {
		return nil
	}
	switch {
	case l.header && !l.copy.Match:
		return nil
	case l.header && !l.matches(unescapeCopy(l.kept)):
		return l.mismatch()
	case l.header:
		l.out = append(l.out, l.kept...)
		return nil
	}
	if string(l.kept) == l.copy.Null || l.copy.Default != nil && string(l.kept) == *l.copy.Default {
		l.out = append(l.out, l.kept...)
		return nil
	}
	tok, refused := l.tokenised(unescapeCopy(l.kept))
	if refused != nil {
		return refused
	}
	l.out = appendCopyText(l.out, tok, l.copy.Delimiter)
	return nil
}

func (l *loader) endTextRow() *query.Refusal {
	if refused := l.endTextField(); refused != nil {
		return refused
	}
	l.out = append(l.out, '\n')
	l.nextRow()
	return nil
}

// endText ends the data without a marker; the last line may lack its end.
func (l *loader) endText() *query.Refusal {
	switch {
	case l.line.pending:
		return l.endTextRow()
	case l.state == textMarker:
		l.out = append(l.out, '\\', '.')
		return nil
	case l.state == textEscaped:
		if refused := l.put('\\'); refused != nil {
			return refused
		}
	}
	if !l.begun {
		return nil
	}
	return l.endTextField()
}

// unescapeCopy decodes a field of COPY's text format as CopyReadAttributesText does.
func unescapeCopy(field []byte) []byte {
	if bytes.IndexByte(field, '\\') < 0 {
		return field
	}
	out := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		if i++; i == len(field) {
			break
		}
		meant, more := escapeCode(field[i:])
		out = append(out, meant)
		i += more
	}
	return out
}

// escapeCode is the byte that stands behind a backslash: up to three octal digits, x and up to two hexadecimal ones, a
// letter, or itself. more is how many bytes it takes beyond the first.
func escapeCode(b []byte) (c byte, more int) {
	c = b[0]
	base, from, most := 0, 0, 0
	switch {
	case digitOf(c) < 8 && c <= '9':
		base, most = 8, 3
	case c == 'x' && len(b) > 1 && digitOf(b[1]) < 16:
		base, from, most = 16, 1, 3
	default:
		for _, e := range copyEscapes {
			if e.letter == c {
				return e.plain, 0
			}
		}
		return c, 0
	}
	v, n := 0, from
	for n < most && n < len(b) && digitOf(b[n]) < base {
		v = v*base + digitOf(b[n])
		n++
	}
	return byte(v), n - 1 //nolint:gosec // the server takes the low byte, too
}

// digitOf is the value of a digit, 99 for what is none.
func digitOf(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return 99
}
