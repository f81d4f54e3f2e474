package gateway

import (
	"bytes"
	"context"
	"encoding/binary"

	"sallyport/query"
	"sallyport/wire/pg"
)

// copyOutStarts prepares for rows that come as COPY data.
func (s *session) copyOutStarts(m []byte) error {
	if _, err := pg.CopyFormat(m); err != nil {
		return err
	}
	r := s.first()
	if r == nil || r.what != expectQuery && r.what != expectRows {
		return errUnexpected(pg.CopyOutResponse)
	}
	current := s.present(r)
	l := &layout{key: -1, copy: &query.Copy{Format: "binary"}}
	if current.stmt != nil && current.stmt.Copy != nil {
		l.copy = current.stmt.Copy
	}
	s.copying, current.layout = l, l
	return nil
}

// copyRow is one row of COPY TO: the server sends each in a message of its own. It passes the same doors as other rows.
func (s *session) copyRow(ctx context.Context, m []byte) error {
	r := s.first()
	if s.copying == nil || r == nil {
		return errUnexpected(pg.CopyData)
	}
	current := s.present(r)
	s.counters.rows.Add(1)
	data := m[pg.HeaderLen:]
	if _, _, _, found := s.gw.Protection.Ring.Find(data, 0); !found && current.stmt != nil && !current.stmt.Touches {
		s.out = append(s.out, m...)
		return nil
	}
	var fields [][]byte
	var ok bool
	switch c := s.copying.copy; c.Format {
	case "text":
		fields, ok = splitCopyText(data, c.Delimiter)
	case "csv":
		fields, ok = splitCopyCSV(data, c.Delimiter, c.Quote, c.Escape)
	case "binary":
		fields, ok = splitCopyBinary(data)
	}
	switch {
	case !ok:
		fields = [][]byte{data}
		s.sealCopy(1)
	case s.copying.copy.Format == "binary":
		s.sealCopy(len(fields)) // of what type they are is not said
	default:
		s.openCopy(len(fields))
	}
	changed, stop, err := s.rowFields(ctx, current, s.copying, fields)
	if err != nil || stop {
		return err
	}
	if !changed || !ok {
		s.out = append(s.out, m...)
		return nil
	}
	start := len(s.out)
	s.out = pg.Begin(s.out, pg.CopyData)
	switch s.copying.copy.Format {
	case "binary":
		s.out = joinCopyBinary(s.out, fields)
	case "csv":
		s.out = append(joinCopyCSV(s.out, fields, s.copying.copy), '\n')
	default:
		s.out = append(joinCopyText(s.out, fields, s.copying.copy.Delimiter), '\n')
	}
	s.out = pg.End(s.out, start)
	return nil
}

// splitCopyBinary reads a row of COPY's binary format (sql-copy, "Binary Format"); nil is NULL. What else there is, the head
// together with the first row and the end, is not one.
func splitCopyBinary(b []byte) ([][]byte, bool) {
	if len(b) < 2 {
		return nil, false
	}
	n, b := int(int16(binary.BigEndian.Uint16(b))), b[2:] //nolint:gosec // −1 is the end
	if n < 0 || len(b) < 4*n {
		return nil, false
	}
	fields := make([][]byte, 0, n)
	for range n {
		if len(b) < 4 {
			return nil, false
		}
		size := int64(int32(binary.BigEndian.Uint32(b))) //nolint:gosec // −1 is NULL
		b = b[4:]
		if size < 0 {
			fields = append(fields, nil)
			continue
		}
		if size > int64(len(b)) {
			return nil, false
		}
		fields = append(fields, b[:size:size])
		b = b[size:]
	}
	return fields, len(b) == 0
}

func joinCopyBinary(dst []byte, fields [][]byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(fields))) //nolint:gosec // at most 1,664
	for _, f := range fields {
		if f == nil {
			dst = binary.BigEndian.AppendUint32(dst, 0xffffffff)
			continue
		}
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(f))), f...) //nolint:gosec // below MaxMessage
	}
	return dst
}

// openCopy and sealCopy give the layout as many columns as the row has.
func (s *session) openCopy(n int) { s.copyColumns(n, column{kind: formed, typ: typeText}) }

func (s *session) sealCopy(n int) {
	s.copyColumns(n, column{kind: formed, typ: typeTextArray, binary: true})
}

func (s *session) copyColumns(n int, c column) {
	l := s.copying
	if len(l.columns) == n && (n == 0 || l.columns[0] == c) {
		return
	}
	l.columns = l.columns[:0]
	for range n {
		l.columns = append(l.columns, c)
	}
}

// splitCopyText reads one line of COPY's text format (sql-copy, "Text Format"); nil is NULL, written \N.
func splitCopyText(line []byte, delimiter byte) ([][]byte, bool) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	var fields [][]byte
	for {
		end, escaped := len(line), false
		for i := 0; i < len(line); i++ {
			if line[i] == '\\' {
				escaped = true
				i++
				continue
			}
			if line[i] == delimiter {
				end = i
				break
			}
		}
		field := line[:end:end]
		switch {
		case string(field) == `\N`:
			fields = append(fields, nil)
		case escaped:
			fields = append(fields, unescapeCopy(field))
		default:
			fields = append(fields, field)
		}
		if end == len(line) {
			return fields, true
		}
		line = line[end+1:]
	}
}

var copyEscapes = []struct{ plain, letter byte }{ //nolint:gochecknoglobals // a constant table
	{'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'\v', 'v'}, {'\\', '\\'},
}

func unescapeCopy(field []byte) []byte {
	out := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		if field[i] != '\\' || i+1 == len(field) {
			out = append(out, field[i])
			continue
		}
		i++
		c := field[i]
		for _, e := range copyEscapes {
			if e.letter == c {
				c = e.plain
				break
			}
		}
		out = append(out, c)
	}
	return out
}

func joinCopyText(dst []byte, fields [][]byte, delimiter byte) []byte {
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, delimiter)
		}
		if f == nil {
			dst = append(dst, '\\', 'N')
			continue
		}
		dst = appendCopyText(dst, f, delimiter)
	}
	return dst
}

func appendCopyText(dst, field []byte, delimiter byte) []byte {
next:
	for _, c := range field {
		for _, e := range copyEscapes {
			if c == e.plain {
				dst = append(dst, '\\', e.letter)
				continue next
			}
		}
		if c == delimiter {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// splitCopyCSV reads one record of COPY's CSV format. An unquoted empty field is NULL by default and stays as it is.
func splitCopyCSV(line []byte, delimiter, quote, escape byte) ([][]byte, bool) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	var fields [][]byte
	for at := 0; ; at++ {
		var field []byte
		if at < len(line) && line[at] == quote {
			var ok bool
			if field, at, ok = quotedCSV(line, at+1, quote, escape); !ok {
				return nil, false
			}
		} else {
			field, at = bareCSV(line, at, delimiter)
		}
		fields = append(fields, field)
		if at == len(line) {
			return fields, true
		}
		if line[at] != delimiter {
			return nil, false
		}
	}
}

// quotedCSV reads a field from behind its opening quote; end is behind the closing one, and without that ok is false.
func quotedCSV(line []byte, at int, quote, escape byte) (field []byte, end int, ok bool) {
	field = []byte{} // a quoted empty field is not NULL
	for ; at < len(line); at++ {
		if line[at] == escape && at+1 < len(line) && (line[at+1] == quote || line[at+1] == escape) {
			at++
		} else if line[at] == quote {
			return field, at + 1, true
		}
		field = append(field, line[at])
	}
	return nil, at, false
}

// bareCSV reads a field without quotes up to its end, nil where it is empty.
func bareCSV(line []byte, at int, delimiter byte) (field []byte, end int) {
	end = len(line)
	if i := bytes.IndexByte(line[at:], delimiter); i >= 0 {
		end = at + i
	}
	if end == at {
		return nil, end
	}
	return line[at:end:end], end
}

func joinCopyCSV(dst []byte, fields [][]byte, c *query.Copy) []byte {
	special := string([]byte{c.Delimiter, c.Quote, c.Escape, '\n', '\r'})
	for i, f := range fields {
		switch {
		case i > 0:
			dst = append(dst, c.Delimiter)
		}
		switch {
		case f == nil:
		case len(f) > 0 && !bytes.ContainsAny(f, special):
			dst = append(dst, f...)
		default:
			dst = append(dst, c.Quote)
			for _, b := range f {
				if b == c.Quote || b == c.Escape {
					dst = append(dst, c.Escape)
				}
				dst = append(dst, b)
			}
			dst = append(dst, c.Quote)
		}
	}
	return dst
}
