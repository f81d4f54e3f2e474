package scan

import (
	"bytes"
	"slices"
	"strings"

	"sallyport"
	"sallyport/token"
)

// Integers, uuids, names and numbers without a country code look like anything. What tells of them is the name of the field in which they stand: a table with a
// header (CSV, COPY), JSON, key=value. So a value counts if it is of the scheme's form in a field named like a protected column, and the name is not one that many
// tables have: it has an underscore or eight letters, or stands beside the name of another protected column of the table.

const (
	mostLine   = 16 << 10 // of longer lines fields are not told apart
	fewDigits  = 4        // an integer of fewer could be a count of anything
	plainName  = 100      // bytes
	usualName  = 8        // letters from which on a name is not a usual one
	mostCells  = 512
	copyBegins = "COPY "
	copyEnds   = "FROM stdin;"
)

// fields follows a stream line by line and keeps what it found until the view comes by. It is a writer, so that it sees what the view does.
type fields struct {
	codecs  []*token.Codec
	named   map[string][]int // a column's name in lower case → codecs
	line    []byte
	long    bool
	number  int64 // of the line, from 1
	at      int64 // of the line in the stream
	delim   byte
	header  []int // cell → codec, −1: none; nil: there is none
	table   string
	waiting []waiting
}

// waiting is a finding and where it stands.
type waiting struct {
	start, end int64
	f          Finding
}

func newFields(codecs []*token.Codec) *fields {
	f := &fields{codecs: codecs, named: map[string][]int{}, number: 1}
	for i, c := range codecs {
		name := strings.ToLower(c.Spec().Column.Name)
		f.named[name] = append(f.named[name], i)
	}
	return f
}

func (f *fields) write(p []byte) {
	for len(p) > 0 {
		part, rest, ends := bytes.Cut(p, []byte{'\n'})
		if f.long = f.long || len(f.line)+len(part) > mostLine; !f.long {
			f.line = append(f.line, part...)
		}
		size := int64(len(part))
		if ends {
			f.end(size + 1)
		} else {
			f.at += size
		}
		p = rest
	}
}

// end is the end of a line; size is how much of it was not counted yet.
func (f *fields) end(size int64) {
	f.at += size
	if !f.long {
		f.whole(bytes.TrimSuffix(f.line, []byte{'\r'}), f.at-int64(len(f.line))-min(1, size))
	} else if f.number == 1 {
		f.header = nil
	}
	f.line, f.long, f.number = f.line[:0], false, f.number+1
}

// close takes the last line, which may have no end.
func (f *fields) close() {
	if len(f.line) > 0 {
		f.end(0)
	}
}

func (f *fields) whole(line []byte, at int64) {
	switch {
	case bytes.HasPrefix(line, []byte(copyBegins)) && bytes.HasSuffix(line, []byte(copyEnds)):
		f.copyHeader(string(line))
	case string(line) == `\.`:
		f.header = nil
	case f.number == 1 && f.csvHeader(line):
	case f.header != nil:
		f.row(line, at)
	default:
		f.pairs(line, at)
	}
}

// copyHeader reads what pg_dump writes in front of a table's rows.
func (f *fields) copyHeader(line string) {
	f.header = nil
	table, list, ok := strings.Cut(line[len(copyBegins):], " (")
	list, _, closed := strings.Cut(list, ")")
	if !ok || !closed {
		return
	}
	f.delim, f.table = '\t', strings.ReplaceAll(table, `"`, "")
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		names = append(names, strings.Trim(strings.TrimSpace(name), `"`))
	}
	f.take(names, true)
}

// csvHeader reads a first line that holds nothing but names.
func (f *fields) csvHeader(line []byte) bool {
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	most := 0
	for _, c := range []byte(",;\t|") {
		if n := bytes.Count(line, []byte{c}); n > most {
			f.delim, most = c, n
		}
	}
	if most == 0 || most >= mostCells {
		return false
	}
	var names []string
	for cell := range bytes.SplitSeq(line, []byte{f.delim}) {
		name := strings.Trim(strings.TrimSpace(string(cell)), `"'`)
		if name == "" || len(name) > 63 || isDigit(name[0]) || strings.ContainsFunc(name, func(r rune) bool { return strings.ContainsRune(`@:=/\{}()<>"'`, r) }) {
			return false
		}
		names = append(names, name)
	}
	f.table = ""
	return f.take(names, false)
}

// take makes a header of names, those of one table; false where none counts.
func (f *fields) take(names []string, known bool) bool {
	header, any := make([]int, len(names)), false
	for i, name := range names {
		header[i] = -1
		for _, k := range f.named[strings.ToLower(strings.ReplaceAll(name, " ", "_"))] {
			if known && tableOf(f.codecs[k]) != f.table || !known && !f.tells(k, names) {
				continue
			}
			header[i], any = k, true
			break
		}
	}
	if any {
		f.header = header
	}
	return any
}

func tableOf(c *token.Codec) string {
	column := c.Spec().Column
	return column.Schema + "." + column.Table
}

// tells tells whether a column's name among others says enough.
func (f *fields) tells(k int, names []string) bool {
	own := f.codecs[k].Spec().Column
	if strings.ContainsRune(own.Name, '_') || len(own.Name) >= usualName {
		return true
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return !strings.EqualFold(name, own.Name) && slices.ContainsFunc(f.named[strings.ToLower(name)], func(other int) bool { return tableOf(f.codecs[other]) == tableOf(f.codecs[k]) })
	})
}

// row looks at the cells of one row.
func (f *fields) row(line []byte, at int64) {
	for cell, i := 0, 0; i <= len(line) && cell < len(f.header); cell++ {
		start, end, next := f.cell(line, i)
		if k := f.header[cell]; k >= 0 {
			f.value(line, start, end, at, k)
		}
		i = next
	}
}

// cell is where the content of the cell stands that begins at i, and where the next one begins. Within quotes a doubled one is one.
func (f *fields) cell(line []byte, i int) (start, end, next int) {
	start, end = i, -1
	if f.delim != '\t' && i < len(line) && line[i] == '"' {
		start = i + 1
		for end = start; end < len(line) && (line[end] != '"' || end+1 < len(line) && line[end+1] == '"'); end++ {
			if line[end] == '"' {
				end++
			}
		}
		end = min(end, len(line))
		i = min(end+1, len(line))
	}
	for i < len(line) && line[i] != f.delim {
		i++
	}
	if end < 0 {
		end = i
	}
	return start, end, i + 1
}

// pairs looks for names with a value behind them: "name": "value", name=value.
func (f *fields) pairs(line []byte, at int64) {
	type pair struct{ k, start, end int }
	var found []pair
	var names []string
	for i := 0; i < len(line); i++ {
		if !isWord(line[i]) || isDigit(line[i]) || i > 0 && isWord(line[i-1]) {
			continue
		}
		end := i
		for end < len(line) && isWord(line[end]) {
			end++
		}
		name := string(line[i:end])
		i = end - 1
		known := f.named[strings.ToLower(name)]
		if len(known) == 0 {
			continue
		}
		if start, stop, ok := valueBehind(line, end); ok {
			names = append(names, name)
			for _, k := range known {
				found = append(found, pair{k, start, stop})
			}
		}
	}
	last := -1
	for _, p := range found {
		if p.start > last && f.tells(p.k, names) && f.value(line, p.start, p.end, at, p.k) {
			last = p.start
		}
	}
}

// valueBehind is where the value stands that follows a name.
func valueBehind(line []byte, i int) (start, end int, ok bool) {
	skip := func(set string) {
		for i < len(line) && strings.IndexByte(set, line[i]) >= 0 {
			i++
		}
	}
	skip(`\"'`)
	skip(" ")
	if i >= len(line) || line[i] != ':' && line[i] != '=' {
		return 0, 0, false
	}
	skip(":=>")
	skip(" ")
	skip(`\`)
	quote := byte(0)
	if i < len(line) && (line[i] == '"' || line[i] == '\'') {
		quote = line[i]
		i++
	}
	for start, end = i, i; end < len(line); end++ {
		if c := line[end]; quote != 0 && (c == quote || c == '\\') || quote == 0 && strings.IndexByte(" ,;}])&\t", c) >= 0 {
			break
		}
	}
	return start, end, end > start
}

// value keeps a finding where what stands in the field is of the column's form.
func (f *fields) value(line []byte, start, end int, at int64, k int) bool {
	for start < end && line[start] == ' ' {
		start++
	}
	for end > start && line[end-1] == ' ' {
		end--
	}
	codec := f.codecs[k]
	kind, what, ok := formOf(codec, line[start:end])
	if !ok {
		return false
	}
	f.waiting = append(f.waiting, waiting{
		at + int64(start), at + int64(end),
		Finding{Line: f.number, Column: int64(start) + 1, Length: int64(end - start), Kind: kind, What: what, Columns: []string{codec.Spec().Column.String()}, Named: true},
	})
	return true
}

// formOf tells whether a text could be a value of a column, or its token where that has no form.
func formOf(codec *token.Codec, text []byte) (kind Kind, what string, ok bool) {
	scheme := codec.Spec().Scheme
	switch scheme {
	case sallyport.Int4, sallyport.Int8:
		digits := bytes.TrimPrefix(text, []byte("-"))
		if len(digits) < fewDigits || len(bytes.Trim(digits, "0123456789")) > 0 {
			return "", "", false
		}
		_, err := codec.Canonical(nil, text)
		return Token, string(scheme), err == nil
	case sallyport.UUID:
		_, err := codec.Canonical(nil, text)
		return Token, string(scheme), err == nil && len(text) == 36
	case sallyport.Phone:
		_, err := codec.Canonical(nil, text)
		return Plain, string(scheme), err == nil
	case sallyport.Date:
		_, err := codec.Canonical(nil, text)
		return Plain, string(scheme), err == nil
	case sallyport.Name:
		lettered := bytes.ContainsFunc(text, func(r rune) bool { return 'a' <= r|0x20 && r|0x20 <= 'z' || r > 0x7f })
		return Plain, string(scheme), lettered && len(text) <= plainName && !bytes.ContainsAny(text, "0123456789@{}[]\\") && !codec.IsToken(text) && !slices.Contains([]string{"NULL", "null", "true", "false"}, string(text))
	case sallyport.Email, sallyport.Number, sallyport.Text, sallyport.Timestamp, sallyport.Timestamptz: // found by their own form, or by none
	}
	return "", "", false
}

// before hands over what stands in front of a place, and drops what stands in a finding there.
func (f *fields) before(start, end int64, found func(Finding) error) error {
	for len(f.waiting) > 0 && f.waiting[0].start < end {
		w := f.waiting[0]
		f.waiting = f.waiting[1:]
		if w.end > start {
			continue
		}
		if err := found(w.f); err != nil {
			return err
		}
	}
	return nil
}
