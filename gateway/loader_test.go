package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sallyport"
	"sallyport/query"
)

// tokenOf stands for a value in these tests; "bad" is one that cannot be tokenised.
func tokenOf(value string) string { return "T:" + fmt.Sprintf("%x", value) }

// loadColumns are id, email (protected), plan, notes (protected).
func loadCopy(format string, change ...func(c *query.Copy)) *query.Copy {
	slot := func(name string) *query.Slot {
		return &query.Slot{Column: sallyport.Column{Schema: "s", Table: "t", Name: name}, Scheme: sallyport.Text}
	}
	c := &query.Copy{In: true, Format: format, Delimiter: '\t', Null: `\N`, Fields: []query.CopyField{
		{Name: "id"}, {Name: "email", Slot: slot("email")}, {Name: "plan"}, {Name: "notes", Slot: slot("notes")},
	}}
	if format == "csv" {
		c.Delimiter, c.Null, c.Quote, c.Escape = ',', "", '"', '"'
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// loadAll has a loader read the data in pieces of that size.
func loadAll(c *query.Copy, data []byte, piece int) (string, *query.Refusal) {
	l := newLoader(c, func(_ *query.CopyField, value []byte) ([]byte, *query.Refusal) {
		if string(value) == "bad" {
			return nil, refusal(codeValue, "bad", "")
		}
		return []byte(tokenOf(string(value))), nil
	})
	for len(data) > 0 {
		n := min(piece, len(data))
		if refused := l.take(bytes.Clone(data[:n])); refused != nil {
			return string(l.out), refused
		}
		data = data[n:]
	}
	refused := l.finish()
	return string(l.out), refused
}

func TestLoader(t *testing.T) {
	quoted := func(s string) string { return `"` + tokenOf(s) + `"` }
	for _, tt := range []struct {
		name     string
		copy     *query.Copy
		in, want string
		refused  string
	}{
		{"text", loadCopy("text"), "1\ta\tx\tb\n2\t\\N\t\\N\t\\N\n", "1\t" + tokenOf("a") + "\tx\t" + tokenOf("b") + "\n2\t\\N\t\\N\t\\N\n", ""},
		{"text without a last end", loadCopy("text"), "1\ta\tx\tb", "1\t" + tokenOf("a") + "\tx\t" + tokenOf("b"), ""},
		{"text with a marker", loadCopy("text"), "1\ta\tx\tb\n\\.\nplain\tplain\tplain\tplain\n", "1\t" + tokenOf("a") + "\tx\t" + tokenOf("b") + "\n\\.\n", ""},
		{"text with CR LF", loadCopy("text"), "1\ta\tx\tb\r\n2\tc\tx\td\r\n\\.\r\n", "1\t" + tokenOf("a") + "\tx\t" + tokenOf("b") + "\n2\t" + tokenOf("c") + "\tx\t" + tokenOf("d") + "\n\\.\n", ""},
		{"text with CR", loadCopy("text"), "1\ta\tx\tb\r2\tc\tx\td\r", "1\t" + tokenOf("a") + "\tx\t" + tokenOf("b") + "\n2\t" + tokenOf("c") + "\tx\t" + tokenOf("d") + "\n", ""},
		{"text with mixed ends", loadCopy("text"), "1\ta\tx\tb\n2\tc\tx\td\r\n", "", "literal carriage return found in data"},
		{"text escapes", loadCopy("text"), "1\\\t\\x41\t\\141\\\n\\\\\\n\tx\\\ny\tb\\x4z\n", "1\\\t\\x41\t" + tokenOf("a\n\\\n") + "\tx\\ny\t" + tokenOf("b\x04z") + "\n", ""},
		{"text default", loadCopy("text", func(c *query.Copy) { d := "D"; c.Default = &d }), "1\tD\tD\t\\D\n", "1\tD\tD\t" + tokenOf("D") + "\n", ""},
		{"text header", loadCopy("text", func(c *query.Copy) { c.Header = true }), "a@b\ta\n1\ta\tx\tb\n", "\n1\t" + tokenOf("a") + "\tx\t" + tokenOf("b") + "\n", ""},
		{"text header match", loadCopy("text", func(c *query.Copy) { c.Header, c.Match = true, true }), "id\temail\tplan\tnotes\n1\ta\tx\tb\n", "id\temail\tplan\tnotes\n1\t" + tokenOf("a") + "\tx\t" + tokenOf("b") + "\n", ""},
		{"text header mismatch", loadCopy("text", func(c *query.Copy) { c.Header, c.Match = true, true }), "id\ta@b\tplan\tnotes\n", "", "the names in the header are not those of the columns"},
		{"text too many", loadCopy("text"), "1\ta\tx\tb\tplain\n", "", "extra data after last expected column"},
		{"text too few", loadCopy("text"), "1\ta\n", "1\t" + tokenOf("a") + "\n", ""},
		{"text bad", loadCopy("text"), "1\tbad\tx\tb\n", "", "bad"},
		{"csv", loadCopy("csv"), "1,a,x,\"b \"\"c\"\"\nd\"\n2,,,\"\"\n", "1," + quoted("a") + ",x," + quoted("b \"c\"\nd") + "\n2,,," + quoted("") + "\n", ""},
		{"csv halves", loadCopy("csv"), "1,a\",\"b,x\"\n\"y,\"c\"d\n", "1," + quoted("a,b") + ",x\"\n\"y," + quoted("cd") + "\n", ""},
		{"csv other signs", loadCopy("csv", func(c *query.Copy) { c.Delimiter, c.Quote, c.Escape, c.Null = ';', '\'', '\\', "nil" }), "1;'a\\'b\\\\\\c';'nil';nil\n", "1;'" + tokenOf("a'b\\\\c") + "';'nil';nil\n", ""},
		{"csv forced", loadCopy("csv", func(c *query.Copy) { c.Fields[1].ForceNull, c.Fields[3].NotNull = true, true }), "1,\"\",x,\n", "1,\"\",x," + quoted("") + "\n", ""},
		{"csv CR LF", loadCopy("csv"), "1,a,x,\"b\r\n\"\r\n", "1," + quoted("a") + ",x," + quoted("b\r\n") + "\n", ""},
		{"csv marker", loadCopy("csv"), "1,a,x,b\n\\.\n", "1," + quoted("a") + ",x," + quoted("b") + "\n\\.\n", ""},
		{"csv open quote", loadCopy("csv"), "1,\"a", "", "unterminated CSV quoted field"},
		{"csv header", loadCopy("csv", func(c *query.Copy) { c.Header = true }), "\"a\n@b\",a\n1,a,x,b\n", "\n1," + quoted("a") + ",x," + quoted("b") + "\n", ""},
		{"csv header match", loadCopy("csv", func(c *query.Copy) { c.Header, c.Match = true, true }), "id,\"email\",plan,notes\n1,a,x,b\n", "\"id\",\"email\",\"plan\",\"notes\"\n1," + quoted("a") + ",x," + quoted("b") + "\n", ""},
		{"csv too many", loadCopy("csv"), "1,a,x,b,plain\n", "", "extra data after last expected column"},
	} {
		for _, piece := range []int{1, 2, 3, 7, 1 << 20} {
			got, refused := loadAll(tt.copy, []byte(tt.in), piece)
			switch {
			case tt.refused != "" && (refused == nil || refused.Sentence != tt.refused):
				t.Errorf("%s in pieces of %d: refused %v", tt.name, piece, refused)
			case tt.refused == "" && refused != nil:
				t.Errorf("%s in pieces of %d: %s", tt.name, piece, refused.Sentence)
			case tt.refused == "" && got != tt.want:
				t.Errorf("%s in pieces of %d: %q, want %q", tt.name, piece, got, tt.want)
			}
		}
	}
}

// binaryRows writes COPY's binary format.
func binaryRows(rows ...[]string) []byte {
	out := append([]byte(binaryHead), 0, 0, 0, 0, 0, 0, 0, 3, 'x', 'y', 'z') // with an extension
	for _, row := range rows {
		out = binary.BigEndian.AppendUint16(out, uint16(len(row)))
		for _, v := range row {
			if v == "∅" {
				out = binary.BigEndian.AppendUint32(out, 0xffffffff)
				continue
			}
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(v))), v...)
		}
	}
	return append(out, 0xff, 0xff)
}

func TestLoaderBinary(t *testing.T) {
	in := binaryRows([]string{"1", "a", "x", "∅"}, []string{"", "", "∅", "long"})
	want := binaryRows([]string{"1", tokenOf("a"), "x", "∅"}, []string{"", tokenOf(""), "∅", tokenOf("long")})
	want = append(append(want[:len(binaryHead)+4:len(binaryHead)+4], 0, 0, 0, 0), want[len(binaryHead)+11:]...)
	for _, piece := range []int{1, 2, 3, 7, 1 << 20} {
		got, refused := loadAll(loadCopy("binary"), in, piece)
		if refused != nil || got != string(want) {
			t.Errorf("in pieces of %d: %q %v", piece, got, refused)
		}
	}
	for name, data := range map[string][]byte{
		"COPY file signature not recognized":                   []byte(strings.Repeat("x", 30)),
		"invalid COPY file header (WITH OIDS)":                 append([]byte(binaryHead), 0, 1, 0, 0, 0, 0, 0, 0),
		"row field count is 3, expected 4":                     binaryRows([]string{"1", "2", "3"}),
		"received copy data after EOF marker":                  append(binaryRows(), 0),
		"invalid field size":                                   append(append(binaryRows()[:len(binaryRows())-2], 0, 4), 0xff, 0xff, 0xff, 0xfe),
		"the value for s.t.email does not fit: it is too long": append(append(binaryRows()[:len(binaryRows())-2], 0, 4), 0, 0, 0, 0, 0x7f, 0, 0, 0),
	} {
		if _, refused := loadAll(loadCopy("binary"), data, 1); refused == nil || refused.Sentence != name {
			t.Errorf("%s: %v", name, refused)
		}
	}
}

// errServer is any error of the server's.
var errServer = errors.New("the server refuses") //nolint:gochecknoglobals // a constant

// serverLines parts data into lines as CopyReadLineText of PostgreSQL 15 does (copyfromparse.c), for both formats.
func serverLines(c *query.Copy, data string) (lines []string, err error) {
	csv := c.Format == "csv"
	quote, escape := c.Quote, c.Escape
	if quote == escape {
		escape = 0
	}
	at := 0
	var eol byte
	for at < len(data) {
		start, inQuote, wasEscape, first := at, false, false, true
		line, done, ended := "", false, false
		for at < len(data) && !done {
			before := at
			ch := data[at]
			at++
			if csv {
				if inQuote && escape != 0 && ch == escape {
					wasEscape = !wasEscape
				}
				if ch == quote && !wasEscape {
					inQuote = !inQuote
				}
				if escape == 0 || ch != escape {
					wasEscape = false
				}
			}
			switch {
			case ch == '\r' && !(csv && inQuote):
				switch {
				case (eol == 0 || eol == 'b') && at < len(data) && data[at] == '\n':
					at++
					eol = 'b'
				case eol == 'b' || eol == 'n':
					return lines, errServer
				default:
					eol = 'r'
				}
				line, done = data[start:before], true
			case ch == '\n' && !(csv && inQuote):
				if eol == 'r' || eol == 'b' {
					return lines, errServer
				}
				eol = 'n'
				line, done = data[start:before], true
			case ch == '\\' && (!csv || first):
				if at < len(data) && data[at] == '.' {
					rest := data[at+1:]
					mark := strings.TrimPrefix(rest, "\r")
					if csv && !(strings.HasPrefix(rest, "\n") || strings.HasPrefix(rest, "\r")) {
						break
					}
					if !strings.HasPrefix(rest, "\n") && !strings.HasPrefix(rest, "\r") {
						return lines, errServer
					}
					_ = mark
					line, done, ended = data[start:before], true, true
				} else if !csv && at < len(data) {
					at++
				}
			}
			first = false
		}
		if !done {
			line = data[start:]
		}
		if ended {
			if line != "" {
				lines = append(lines, line)
			}
			return lines, nil
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// serverFields parts a line into fields as CopyReadAttributesText and …CSV do: raw, what it means, and whether it had a quote.
func serverFields(c *query.Copy, line string) (fields []serverField, err error) {
	at := 0
	for {
		f := serverField{}
		start, delimited := at, false
		end := len(line)
		switch c.Format {
		case "text":
			for at < len(line) {
				if line[at] == c.Delimiter {
					end, delimited = at, true
					break
				}
				if line[at] == '\\' {
					at++
				}
				at++
			}
			f.raw = line[start:end]
			f.value = string(unescapeCopy([]byte(f.raw)))
		default:
			in := false
			for ; at < len(line); at++ {
				ch := line[at]
				switch {
				case !in && ch == c.Delimiter:
					end, delimited = at, true
				case !in && ch == c.Quote:
					in, f.quoted = true, true
				case !in:
					f.value += string([]byte{ch})
				case ch == c.Escape && at+1 < len(line) && (line[at+1] == c.Escape || line[at+1] == c.Quote):
					at++
					f.value += string([]byte{line[at]})
				case ch == c.Quote:
					in = false
				default:
					f.value += string([]byte{ch})
				}
				if delimited {
					break
				}
			}
			if in {
				return fields, errServer
			}
			f.raw = line[start:end]
		}
		fields = append(fields, f)
		if !delimited {
			return fields, nil
		}
		at = end + 1
	}
}

type serverField struct {
	raw, value string
	quoted     bool
}

// FuzzLoader holds what a loader writes to what PostgreSQL would have read of its input: the same rows, each protected field
// the token of its value, however the data are cut.
func FuzzLoader(f *testing.F) {
	f.Add([]byte("1\ta\tx\tb\n2\t\\N\t\\\\x\t\\x41\n\\.\n"), byte(0), byte(3))
	f.Add([]byte("1,a,x,\"b\"\"\nc\"\r\n2,\"\",,\r\n"), byte(1), byte(1))
	f.Add([]byte("1;'a\\'b';x;nil\n\\.\n"), byte(2), byte(2))
	f.Add([]byte("id\temail\tplan\tnotes\n1\\\n\ta\\\rb\tx\tb\r"), byte(4), byte(9))
	f.Fuzz(func(t *testing.T, data []byte, kind, piece byte) {
		c := loadCopy("text")
		switch kind % 3 {
		case 1:
			c = loadCopy("csv")
		case 2:
			c = loadCopy("csv", func(c *query.Copy) { c.Delimiter, c.Quote, c.Escape, c.Null = ';', '\'', '\\', "nil" })
		}
		c.Header = kind&4 != 0
		if kind&8 != 0 {
			c.Fields[1].ForceNull, c.Fields[3].NotNull = true, true
		}
		out, refused := loadAll(c, data, int(piece)+1)
		again, refusedAgain := loadAll(c, data, len(data)+1)
		if (refused == nil) != (refusedAgain == nil) || refused == nil && out != again {
			t.Fatalf("in pieces of %d: %q %v, whole: %q %v", int(piece)+1, out, refused, again, refusedAgain)
		}
		if refused != nil {
			return
		}
		checkLoaded(t, c, string(data), out)
	})
}

func checkLoaded(t *testing.T, c *query.Copy, in, out string) {
	wrote, outErr := serverLines(c, out)
	lines, inErr := serverLines(c, in)
	if c.Header && len(wrote) == 0 && len(lines) == 1 {
		return // a header without an end: there are no rows
	}
	if outErr == nil && inErr == nil && len(lines) != len(wrote) {
		t.Fatalf("%d lines became %d: %q → %q", len(lines), len(wrote), in, out)
	}
	for n, line := range wrote { // what the server reads before its error, it reads
		fields, err := serverFields(c, line)
		if c.Header && n == 0 {
			if line != "" {
				t.Fatalf("a header left: %q", out)
			}
			continue
		}
		var meant []serverField
		if n < len(lines) {
			if meant, _ = serverFields(c, lines[n]); err == nil && len(meant) != len(fields) {
				t.Fatalf("%d fields became %d: %q → %q", len(meant), len(fields), in, out)
			}
		}
		for i, f := range fields {
			if i < len(c.Fields) && i < len(meant) {
				checkField(t, c, i, meant[i], f)
			}
		}
	}
}

func checkField(t *testing.T, c *query.Copy, i int, in, out serverField) {
	f := c.Fields[i]
	isNull := in.raw == c.Null && !in.quoted
	switch {
	case f.Slot == nil && (in.value != out.value || in.quoted != out.quoted || isNull != (out.raw == c.Null && !out.quoted)):
		t.Fatalf("a field that passes changed: %q → %q", in.raw, out.raw)
	case f.Slot == nil:
	case isNull && !f.NotNull, f.ForceNull && in.value == c.Null:
		if out.value != in.value && out.raw != c.Null {
			t.Fatalf("NULL became %q", out.raw)
		}
	case out.value != tokenOf(in.value) && in.raw != `\.`:
		t.Fatalf("%q became %q", in.value, out.value)
	}
}
