package staff

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport"
)

// Row is one line of a staff file.
type Row struct {
	Line   int
	Listed sallyport.Listed // without Place and Want, which follow from Says
	Says   sallyport.Place
	at     map[string]int // column of the file → where its field begins, for problems
}

// Problem is something wrong with a staff file, and where.
type Problem struct {
	Line, Column int // from 1
	Text         string
}

// Limits of a staff file: ten times the largest directory that Sallyport is made for.
const (
	maxRows  = 100_000
	maxField = 256
)

// ReadCSV reads a staff file (RFC 4180, with a header): id and name are required; team, role, manager, employment, notice_from, left, firm, mail,
// user_name and kind may stand there, and anything else. A line that makes no sense is a problem and is left out; the rest goes on. The error is one of
// the reader, or a header without which nothing can be read.
func ReadCSV(in io.Reader, roles []string) ([]Row, []Problem, error) {
	buffered := bufio.NewReader(in)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" { // as Excel writes it
		_, _ = buffered.Discard(3)
	}
	r := csv.NewReader(buffered)
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	if head, _ := buffered.Peek(512); separatedBySemicolons(head) {
		r.Comma = ';'
	}
	f := &staffFile{r: r, roles: roles, seen: map[sallyport.Staff]int{}}
	if err := f.header(); err != nil {
		return nil, f.problems, err
	}
	for {
		fields, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return f.rows, f.problems, nil
		case err != nil:
			if wrong := (*csv.ParseError)(nil); errors.As(err, &wrong) {
				f.problems = append(f.problems, Problem{wrong.Line, wrong.Column, wrong.Err.Error()})
				continue
			}
			return f.rows, f.problems, fmt.Errorf("read the staff file: %w", err)
		case len(f.rows) == maxRows:
			return f.rows, f.problems, fmt.Errorf("read the staff file: more than %d people", maxRows)
		}
		f.row(fields)
	}
}

// separatedBySemicolons tells whether the first line has semicolons and no commas, as Excel writes in half of Europe.
func separatedBySemicolons(head []byte) bool {
	line, _, _ := strings.Cut(string(head), "\n")
	return strings.Contains(line, ";") && !strings.Contains(line, ",")
}

// staffFile is a file that is being read.
type staffFile struct {
	r        *csv.Reader
	roles    []string
	columns  map[string]int // name → index
	seen     map[sallyport.Staff]int
	rows     []Row
	problems []Problem
}

func (f *staffFile) header() error {
	fields, err := f.r.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("nothing stands in the staff file; expected a first line with the columns id,name,team,role,manager")
	}
	if err != nil {
		return fmt.Errorf("read the header of the staff file: %w", err)
	}
	f.columns = map[string]int{}
	for i, name := range fields {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := f.columns[name]; twice && name != "" {
			line, column := f.r.FieldPos(i)
			return fmt.Errorf("%d:%d: the column %q stands twice", line, column, name)
		}
		f.columns[name] = i
	}
	for _, name := range []string{"id", "name"} {
		if _, ok := f.columns[name]; !ok {
			return fmt.Errorf("1:1: the first line names no column %q; expected at least id,name", name)
		}
	}
	return nil
}

// row reads one line, or says what is wrong with it.
func (f *staffFile) row(fields []string) {
	line, _ := f.r.FieldPos(0)
	row := Row{Line: line, at: map[string]int{}}
	bad := false
	problem := func(name, format string, args ...any) {
		l, c := line, 1
		if i, ok := f.columns[name]; ok && i < len(fields) {
			l, c = f.r.FieldPos(i)
		}
		f.problems, bad = append(f.problems, Problem{l, c, fmt.Sprintf(format, args...)}), true
	}
	get := func(name string) string {
		i, ok := f.columns[name]
		if !ok || i >= len(fields) {
			return ""
		}
		_, row.at[name] = f.r.FieldPos(i)
		text := strings.TrimSpace(fields[i])
		if len(text) > maxField || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			problem(name, "%s is no text of one line of at most %d bytes", name, maxField)
			return ""
		}
		return text
	}
	id := get("id")
	p := &row.Listed
	p.Staff, p.Name, p.Mail, p.UserName, p.Manager = sallyport.Staff(id), get("name"), first(get("mail"), get("email")), get("user_name"), sallyport.Staff(get("manager"))
	row.Says = sallyport.Place{Team: get("team"), Role: get("role")}
	p.Employment, p.Firm = get("employment"), get("firm")
	p.Notice, p.Leaves = f.date(get("notice_from"), "notice_from", problem), f.date(get("left"), "left", problem)
	if kind := get("kind"); kind != "" && kind != "human" {
		problem("kind", "%q is no person; services stand in the configuration", kind)
	}
	switch first, twice := f.seen[p.Staff]; {
	case !GoodID(id):
		problem("id", "no id that can be used; expected letters, digits and the like, without spaces, colons and commas")
	case twice:
		problem("id", "%q stands in line %d already", id, first)
	case p.Name == "":
		problem("name", "no name")
	case row.Says.Role != "" && !slices.Contains(f.roles, row.Says.Role):
		problem("role", "unknown role %q; expected one of %s", row.Says.Role, strings.Join(f.roles, ", "))
	case p.Employment != "" && !slices.Contains(Employments(), p.Employment):
		problem("employment", "unknown state %q; expected one of %s", p.Employment, strings.Join(Employments(), ", "))
	case p.Manager == p.Staff:
		problem("manager", "%q is his own manager", id)
	}
	if _, twice := f.seen[p.Staff]; !twice {
		f.seen[p.Staff] = line
	}
	if !bad {
		f.rows = append(f.rows, row)
	}
}

// date reads a day or a moment; empty: never.
func (f *staffFile) date(text, name string, problem func(string, string, ...any)) time.Time {
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	problem(name, "%q is no day; expected one such as 2026-03-31", text)
	return time.Time{}
}

// Place is where in the file a field of the row stands, for what is found later.
func (r *Row) Place(field string) (line, column int) { return r.Line, max(r.at[field], 1) }

// GoodID tells whether a text can be somebody's id: printable ASCII without spaces, colons (login:NAME is made by Sallyport itself) and commas.
func GoodID(id string) bool {
	return id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' || r == ',' })
}
