package sources

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one line of a context file, whichever of the two forms the file has: texts by column, or by path in an OCSF object.
type row struct {
	fields []field
	what   string // the first thing wrong with it
}

type field struct{ name, text string }

// get is the text of a column, empty where there is none.
func (r *row) get(name string) string {
	for i := range r.fields {
		if r.fields[i].name == name {
			return r.fields[i].text
		}
	}
	return ""
}

func (r *row) wrong(what string) {
	if r.what == "" {
		r.what = what
	}
}

// need is the text of a required column.
func (r *row) need(name string) string {
	s := r.get(name)
	if s == "" {
		r.wrong("no " + name)
	}
	return s
}

// when is a time; zero where the column is empty.
func (r *row) when(name string) time.Time {
	s := r.get(name)
	if s == "" {
		return time.Time{}
	}
	t, ok := moment([]byte(s))
	if !ok {
		r.wrong(name + " is no time; expected RFC 3339 with an offset, as 2026-03-02T09:30:00+01:00, or milliseconds since 1970")
	}
	return t
}

func (r *row) needWhen(name string) time.Time {
	r.need(name)
	return r.when(name)
}

func (r *row) whole(name string) int64 {
	s := r.get(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		r.wrong(name + " is not a whole number")
	}
	return n
}

// one is a required text out of a list.
func (r *row) one(name string, of ...string) string {
	s := strings.ToLower(r.need(name))
	if !slices.Contains(of, s) {
		r.wrong(fmt.Sprintf("%s is none of %s", name, strings.Join(of, ", ")))
	}
	return s
}

// rows calls each for every line of a CSV or JSON Lines file; what it leaves in row.what is the problem of that line.
func (r *Reader) rows(name string, required []string, each func(*row)) error {
	l, err := r.open(name)
	if err != nil {
		return err
	}
	defer l.close()
	if startsObject(l) {
		return r.jsonRows(l, each)
	}
	return r.csvRows(l, required, each)
}

// startsObject tells whether the first thing in a file is a brace.
func startsObject(l *lines) bool {
	for n := 1; n <= 4096; n *= 2 {
		head, err := l.from.Peek(n)
		if trimmed := bytes.TrimLeft(head, " \t\r\n"); len(trimmed) > 0 {
			return trimmed[0] == '{'
		}
		if err != nil {
			return false
		}
	}
	return false
}

func (r *Reader) jsonRows(l *lines, each func(*row)) error {
	f := &flattener{}
	f.inner = f.field
	for {
		line, err := l.next()
		if errors.Is(err, errLong) {
			if err := r.problem(l.name, l.at, errLong.Error()); err != nil {
				return err
			}
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return r.problem(l.name, l.at, "the file breaks off: "+cause(err))
		}
		if blank(line) {
			continue
		}
		f.row = row{fields: f.row.fields[:0]}
		f.c.reset(line)
		f.prefix = f.prefix[:0]
		f.c.object(f.inner)
		f.c.end()
		f.row.wrong(f.c.fail)
		if f.row.what == "" {
			each(&f.row)
		}
		if f.row.what != "" {
			if err := r.problem(l.name, l.at, f.row.what); err != nil {
				return err
			}
		}
	}
}

// flattener turns an object into texts by path, as actor.user.uid. Of a list the first element counts.
type flattener struct {
	c      cursor
	row    row
	prefix []byte
	inner  func([]byte)
}

func (f *flattener) field(key []byte) {
	length := len(f.prefix)
	if length > 0 {
		f.prefix = append(f.prefix, '.')
	}
	f.prefix = append(f.prefix, key...)
	f.value()
	f.prefix = f.prefix[:length]
}

func (f *flattener) value() {
	switch f.c.peek() {
	case '{':
		f.c.object(f.inner)
	case '[':
		f.c.array(f.value)
	default:
		text := f.c.text()
		if f.c.fail == "" && f.row.get(string(f.prefix)) == "" && len(f.row.fields) < 1000 {
			f.row.fields = append(f.row.fields, field{string(f.prefix), string(text)})
		}
	}
}

func (r *Reader) csvRows(l *lines, required []string, each func(*row)) error {
	c := csv.NewReader(l.from)
	c.ReuseRecord, c.FieldsPerRecord = true, -1
	header, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil // an empty file says nothing
	}
	if err != nil {
		return r.problem(l.name, 1, "a header that is no CSV")
	}
	names := make([]string, len(header))
	for i, h := range header {
		names[i] = strings.ToLower(strings.TrimSpace(h))
	}
	for _, need := range required {
		if !slices.Contains(names, need) {
			return r.problem(l.name, 1, fmt.Sprintf("no column %s in the header; the file is not read", need))
		}
	}
	w := &row{}
	for {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		at, _ := c.FieldPos(0)
		*w = row{fields: w.fields[:0]}
		var syntax *csv.ParseError
		switch {
		case errors.As(err, &syntax):
			at = syntax.Line
			w.wrong("a line that is no CSV: " + syntax.Err.Error())
		case err != nil:
			return r.problem(l.name, at, "the file breaks off: "+cause(err))
		case len(record) > len(names):
			w.wrong("more fields than the header has columns")
		default:
			for i, text := range record {
				w.fields = append(w.fields, field{names[i], text})
			}
			each(w)
		}
		if w.what != "" {
			if err := r.problem(l.name, at, w.what); err != nil {
				return err
			}
		}
	}
}
