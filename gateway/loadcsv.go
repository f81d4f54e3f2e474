package gateway

import "sallyport/query"

// The states of COPY's CSV format (sql-copy, "CSV Format").
const (
	csvPlain   = iota
	csvQuoted  // between quotes
	csvEscaped // in quotes, behind the escape character
	csvClosing // in quotes, behind a quote that may escape another one
)

// readCSV reads a piece of COPY's CSV format.
func (l *loader) readCSV(b []byte) *query.Refusal {
	for len(b) > 0 && !l.ended {
		var refused *query.Refusal
		switch {
		case l.line.pending:
			var taken bool
			if taken, refused = l.settleReturn(b[0]); taken {
				b = b[1:]
			}
			if refused == nil {
				refused = l.endCSVRow()
			}
		case l.state == csvPlain:
			b, refused = l.plainCSV(b)
		default:
			b, refused = l.quotedCSV(b)
		}
		if refused != nil {
			return refused
		}
	}
	return nil
}

// plainCSV takes what stands outside of quotes, up to the next sign that means something, and that sign.
func (l *loader) plainCSV(b []byte) ([]byte, *query.Refusal) {
	n := 0
	for n < len(b) && b[n] != l.copy.Quote && b[n] != '\n' && b[n] != '\r' && b[n] != l.copy.Delimiter {
		n++
	}
	if n > 0 {
		if refused := l.putCSV(b[:n], true); refused != nil {
			return nil, refused
		}
	}
	if n == len(b) {
		return nil, nil
	}
	c, rest := b[n], b[n+1:]
	switch c {
	case l.copy.Delimiter: // as the server, which looks for it first
		if refused := l.endCSVField(); refused != nil {
			return nil, refused
		}
		l.begun = true
		if !l.header || l.copy.Match {
			l.out = append(l.out, c)
		}
		return rest, l.next()
	case l.copy.Quote:
		l.state, l.quoted = csvQuoted, true
		return rest, l.putCSV(b[n:n+1], false)
	case '\n':
		if refused := l.lineFeed(); refused != nil {
			return nil, refused
		}
		return rest, l.endCSVRow()
	}
	ends, refused := l.carriageReturn()
	if !ends {
		return rest, refused
	}
	return rest, l.endCSVRow()
}

// putCSV adds to the present field: as it stands where the field passes, and what it means where it is held.
func (l *loader) putCSV(b []byte, meant bool) *query.Refusal {
	l.begun = true
	switch {
	case !l.holds():
		l.out = append(l.out, b...)
	case meant:
		return l.keep(b...)
	}
	return nil
}

// quotedCSV takes a step between quotes.
func (l *loader) quotedCSV(b []byte) ([]byte, *query.Refusal) {
	quote, escape := l.copy.Quote, l.copy.Escape
	switch l.state {
	case csvEscaped: // the escape character means itself before anything but a quote and itself
		l.state = csvQuoted
		if b[0] == quote || b[0] == escape {
			return b[1:], l.putCSV(b[:1], true)
		}
		if l.holds() {
			return b, l.keep(escape)
		}
		return b, nil
	case csvClosing:
		if b[0] == quote {
			l.state = csvQuoted
			return b[1:], l.putCSV(b[:1], true)
		}
		l.state = csvPlain
		return b, nil
	}
	n := 0
	for n < len(b) && b[n] != quote && b[n] != escape {
		n++
	}
	if n > 0 {
		if refused := l.putCSV(b[:n], true); refused != nil {
			return nil, refused
		}
	}
	if n == len(b) {
		return nil, nil
	}
	switch {
	case b[n] == quote && quote == escape:
		l.state = csvClosing
	case b[n] == quote:
		l.state = csvPlain
	default:
		l.state = csvEscaped
	}
	return b[n+1:], l.putCSV(b[n:n+1], false)
}

// endCSVField writes a field that was held. A token is quoted, whatever DELIMITER and NULL are.
func (l *loader) endCSVField() *query.Refusal {
	if !l.holds() {
		return nil
	}
	if l.header {
		return l.endCSVName()
	}
	f := l.field()
	null := string(l.kept) == l.copy.Null
	switch {
	case !l.quoted && null && !f.NotNull, !l.quoted && l.copy.Default != nil && string(l.kept) == *l.copy.Default:
		l.out = append(l.out, l.kept...)
		return nil
	case l.quoted && null && f.ForceNull:
		l.quoteCSV(l.kept)
		return nil
	}
	tok, refused := l.tokenised(l.kept)
	if refused == nil {
		l.quoteCSV(tok)
	}
	return refused
}

// endCSVName is a name of the header.
func (l *loader) endCSVName() *query.Refusal {
	switch {
	case !l.copy.Match:
		return nil
	case !l.matches(l.kept):
		return l.mismatch()
	}
	l.quoteCSV(l.kept)
	return nil
}

func (l *loader) quoteCSV(b []byte) {
	l.out = append(l.out, l.copy.Quote)
	for _, c := range b {
		if c == l.copy.Quote || c == l.copy.Escape {
			l.out = append(l.out, l.copy.Escape)
		}
		l.out = append(l.out, c)
	}
	l.out = append(l.out, l.copy.Quote)
}

func (l *loader) endCSVRow() *query.Refusal {
	if l.marksEnd() {
		l.ended = true
		return nil
	}
	if refused := l.endCSVField(); refused != nil {
		return refused
	}
	l.out = append(l.out, '\n')
	l.nextRow()
	return nil
}

// marksEnd says whether the row is \. alone, which up to PostgreSQL 17 ends the data. Where the field passes, the server
// itself sees it.
func (l *loader) marksEnd() bool {
	return l.at == 0 && !l.quoted && l.holds() && string(l.kept) == `\.`
}

// endCSV ends the data; the last line may lack its end.
func (l *loader) endCSV() *query.Refusal {
	switch {
	case l.line.pending:
		return l.endCSVRow()
	case (l.state == csvQuoted || l.state == csvEscaped) && l.holds():
		return badFile("unterminated CSV quoted field", "")
	case !l.begun || l.marksEnd():
		return nil
	}
	return l.endCSVField()
}
