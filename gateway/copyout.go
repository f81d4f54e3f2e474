package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

	"sallyport"
	"sallyport/catalog"
	"sallyport/query"
	"sallyport/wire/pg"
)

// copyOut is a COPY TO STDOUT whose rows come: the server sends each in a message of its own, behind the header.
type copyOut struct {
	layout
	copy  *query.Copy
	begun bool
	whole layout // of a row that cannot be read: tokens in it are counted and stay
}

// copyOutStarts prepares for rows that come as COPY data.
func (s *session) copyOutStarts(m []byte) error {
	format, columns, err := pg.CopyFormat(m)
	if err != nil {
		return err
	}
	r := s.first()
	if r == nil || r.what != expectQuery && r.what != expectRows {
		return errUnexpected(pg.CopyOutResponse)
	}
	current := s.present(r)
	c := &query.Copy{Format: "unknown"}
	if current.stmt != nil && current.stmt.Copy != nil && (current.stmt.Copy.Format == "binary") == (format == 1) {
		c = current.stmt.Copy
	}
	sealedColumn := column{kind: formed, typ: typeTextArray, binary: true}
	o := &copyOut{copy: c, whole: layout{columns: []column{sealedColumn}, key: -1, visible: 1, inspect: true}}
	o.layout = layout{columns: make([]column, columns), key: -1, visible: columns, inspect: true}
	for i := range o.columns {
		output := query.ColumnInfo{}
		if len(c.Outputs) == columns {
			output = c.Outputs[i]
		}
		if o.columns[i], err = s.copyColumn(output, format == 1); err != nil {
			return err
		}
		if o.columns[i].kind == keyed && o.key < 0 {
			o.key = i
		}
	}
	o.noteMoving()
	s.veilCopy(o, current)
	s.copyOut, current.layout = o, &o.layout
	return nil
}

// copyColumn is how one field of the rows is treated: by its column where the statement names one, else by form. In binary
// nothing tells a text from what else it could be, so only what is a token from end to end is changed there, and what is one
// within an array or a row.
func (s *session) copyColumn(o query.ColumnInfo, binaryForm bool) (column, error) {
	c := column{kind: formed, typ: typeText, binary: binaryForm}
	switch {
	case binaryForm && o.TypeOID != 0:
		c.typ = o.TypeOID
	case binaryForm:
		c.typ = typeTextArray
	}
	switch {
	case o.Customer:
		c.kind = keyed
	case o.Protect != nil:
		p := s.gw.protectedColumn(o.Protect.Column)
		if p == nil {
			break
		}
		if err := s.gw.guard(&c, p); err != nil {
			return c, err
		}
		if p.Scheme == sallyport.Date {
			c.typ = typeDate
		}
	}
	return c, nil
}

// copyRow is one row of COPY TO: it passes the same doors as other rows.
func (s *session) copyRow(ctx context.Context, m []byte) error {
	r := s.first()
	o := s.copyOut
	if o == nil || r == nil {
		return errUnexpected(pg.CopyData)
	}
	current := s.present(r)
	s.counters.rows.Add(1)
	data := m[pg.HeaderLen:]
	if _, _, _, found := s.gw.Protection.Ring.Find(data, 0); !found && current.stmt != nil && !current.stmt.Touches && o.veils == nil {
		s.out = append(s.out, m...)
		return nil
	}
	head := o.takeHead(data)
	row, fields, ok := o.split(data[head:])
	l := &o.layout
	if !ok {
		l, fields = &o.whole, [][]byte{data}
	}
	if len(fields) == 0 { // a header, or the end
		s.out = append(s.out, m...)
		return nil
	}
	if o.veils != nil || o.moving != nil {
		if !ok {
			return errUnexpected(pg.CopyData)
		}
		if err := s.ensureApart(ctx, current, l); err != nil {
			return err
		}
		o.veilCopied(s, current, row, fields) //nolint:contextcheck // the vault bounds its own time
	}
	changed, stop, err := s.rowFields(ctx, current, l, fields)
	if err != nil || stop {
		return err
	}
	if !changed && o.veils == nil && o.moving == nil || !ok {
		s.out = append(s.out, m...)
		return nil
	}
	start := len(s.out)
	s.out = append(pg.Begin(s.out, pg.CopyData), data[:head]...)
	s.out = pg.End(o.join(s.out, row, fields, s.row0.shown), start)
	return nil
}

// takeHead is how many bytes in front of the first row are the header's.
func (o *copyOut) takeHead(data []byte) int {
	first := !o.begun
	o.begun = true
	switch {
	case !first:
	case o.copy.Format == "binary":
		const fixed = len(binaryHead) + 8
		if len(data) < fixed || string(data[:len(binaryHead)]) != binaryHead {
			return 0
		}
		if extension := int64(binary.BigEndian.Uint32(data[fixed-4:])); extension <= int64(len(data)-fixed) {
			return fixed + int(extension)
		}
	case o.copy.Header:
		return len(data)
	}
	return 0
}

// split parts a row into its fields: as they stand in it (text and CSV), and what they mean.
func (o *copyOut) split(data []byte) (row, fields [][]byte, ok bool) {
	if len(data) == 0 {
		return nil, nil, true
	}
	switch c := o.copy; c.Format {
	case "text":
		row, fields = splitCopyText(data, c.Delimiter)
		ok = true
	case "csv":
		row, fields, ok = splitCopyCSV(data, c.Delimiter, c.Quote, c.Escape)
	case "binary":
		fields, ok = splitCopyBinary(data)
		if ok && fields == nil {
			return nil, nil, true // the trailer
		}
	}
	return row, fields, ok && len(fields) == len(o.columns)
}

// join writes a row of which some fields were changed; all others stay as the server wrote them.
func (o *copyOut) join(dst []byte, row, fields [][]byte, changed []shown) []byte {
	if o.copy.Format == "binary" {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(fields))) //nolint:gosec // came out of a 16-bit count
		for _, f := range fields {
			dst = pg.AppendField(dst, f)
		}
		return dst
	}
	for _, v := range changed {
		if o.copy.Format == "csv" {
			row[v.index] = appendCopyCSV(nil, fields[v.index], o.copy, len(row[v.index]) > 0 && row[v.index][0] == o.copy.Quote)
		} else {
			row[v.index] = appendCopyText(nil, fields[v.index], o.copy.Delimiter)
		}
	}
	for i, f := range row {
		if i > 0 {
			dst = append(dst, o.copy.Delimiter)
		}
		dst = append(dst, f...)
	}
	return append(dst, '\n')
}

// splitCopyBinary reads one row of COPY's binary format; no fields are the trailer.
func splitCopyBinary(data []byte) (fields [][]byte, ok bool) {
	if len(data) < 2 {
		return nil, false
	}
	n := int16(binary.BigEndian.Uint16(data)) //nolint:gosec // signed on the wire
	data = data[2:]
	for range n {
		if len(data) < 4 {
			return nil, false
		}
		size := int32(binary.BigEndian.Uint32(data)) //nolint:gosec // −1 is NULL
		data = data[4:]
		switch {
		case size == -1:
			fields = append(fields, nil)
			continue
		case size < 0 || int(size) > len(data):
			return nil, false
		}
		fields = append(fields, data[:size:size])
		data = data[size:]
	}
	return fields, len(data) == 0
}

// splitCopyText reads one line of COPY's text format (sql-copy, "Text Format"); nil is NULL, written \N.
func splitCopyText(line []byte, delimiter byte) (row, fields [][]byte) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
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
		row = append(row, field)
		switch {
		case string(field) == `\N`:
			fields = append(fields, nil)
		case escaped:
			fields = append(fields, unescapeCopy(field))
		default:
			fields = append(fields, field)
		}
		if end == len(line) {
			return row, fields
		}
		line = line[end+1:]
	}
}

var copyEscapes = []struct{ plain, letter byte }{ //nolint:gochecknoglobals // a constant table
	{'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'\v', 'v'}, {'\\', '\\'},
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
func splitCopyCSV(line []byte, delimiter, quote, escape byte) (row, fields [][]byte, ok bool) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	for at := 0; ; at++ {
		start := at
		var field []byte
		if at < len(line) && line[at] == quote {
			if field, at, ok = quotedCopyCSV(line, at+1, quote, escape); !ok {
				return nil, nil, false
			}
		} else {
			for at < len(line) && line[at] != delimiter {
				at++
			}
			if at > start {
				field = line[start:at:at]
			}
		}
		row, fields = append(row, line[start:at:at]), append(fields, field)
		switch {
		case at >= len(line):
			return row, fields, true
		case line[at] != delimiter:
			return nil, nil, false
		}
	}
}

// quotedCopyCSV reads a field from behind its opening quote on; end is behind the closing one.
func quotedCopyCSV(line []byte, at int, quote, escape byte) (field []byte, end int, ok bool) {
	field = []byte{}
	for ; at < len(line); at++ {
		switch {
		case line[at] == escape && at+1 < len(line) && (line[at+1] == quote || line[at+1] == escape):
			at++
		case line[at] == quote:
			return field, at + 1, true
		}
		field = append(field, line[at])
	}
	return nil, at, false
}

// appendCopyCSV writes a field as the server would: in quotes where it must be, or where forced.
func appendCopyCSV(dst, field []byte, c *query.Copy, forced bool) []byte {
	special := string([]byte{c.Delimiter, c.Quote, '\n', '\r'})
	if !forced && string(field) != c.Null && string(field) != `\.` && !bytes.ContainsAny(field, special) {
		return append(dst, field...)
	}
	dst = append(dst, c.Quote)
	for _, b := range field {
		if b == c.Quote || b == c.Escape {
			dst = append(dst, c.Escape)
		}
		dst = append(dst, b)
	}
	return append(dst, c.Quote)
}

// veilCopy says which fields of COPY's rows are masked, and how.
func (s *session) veilCopy(o *copyOut, r *run) {
	if !s.veils() || r.stmt == nil || !r.stmt.Masks {
		return
	}
	for i := range o.columns {
		if len(r.stmt.Veiled) == len(o.columns) && !r.stmt.Veiled[i] {
			continue
		}
		c := &o.columns[i]
		if c.moving {
			continue
		}
		*c = column{kind: veiled, typ: c.typ, binary: c.binary, show: catalog.ShowNone}
		if len(o.copy.Outputs) == len(o.columns) {
			s.veilOutput(c, &o.copy.Outputs[i])
		}
		o.veils = append(o.veils, i)
		if o.key == i {
			o.key = -1
		}
	}
}

// veilOutput says how much of one output of COPY is shown: of a column itself, what its rule says.
func (s *session) veilOutput(c *column, output *query.ColumnInfo) {
	c.text = textType(output.TypeOID)
	if output.Mask == nil {
		return
	}
	for _, m := range s.gw.Protection.Catalog.Snapshot().Masked() {
		if m.Column == output.Mask.Column {
			c.show, c.text = m.Show, m.Text
		}
	}
}

// veilCopied masks one row of COPY: as its fields stand in it, and what they mean.
func (o *copyOut) veilCopied(s *session, r *run, row, fields [][]byte) {
	s.veilFields(&o.layout, fields)
	s.settleFields(r, &o.layout, fields)
	shown := slices.Clone(fields)
	if o.copy.Format != "binary" {
		s.veilUnknown(shown)
	}
	for _, i := range slices.Concat(o.veils, o.moving) {
		switch c := o.copy; {
		case c.Format == "binary":
		case shown[i] == nil:
			row[i] = []byte(c.Null)
		case c.Format == "csv":
			row[i] = appendCopyCSV(nil, shown[i], c, true)
		default:
			row[i] = appendCopyText(nil, shown[i], c.Delimiter)
		}
	}
}
