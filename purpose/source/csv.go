package source

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/purpose"
)

// file is a CSV file that is read again when it changes. One that cannot be read as a whole proves nothing.
type file struct {
	path   string
	kinds  []string
	hide   func(string) string
	now    func() time.Time
	silent time.Duration // 0: it may be as old as it likes
	log    func(string)

	mu      sync.Mutex // guards everything below
	seen    stamp
	problem error
	items   map[string][]purpose.Thing // by id
	numbers map[string][]string
	list    []purpose.Thing // the newest first
}

// stamp tells one state of a file from another.
type stamp struct {
	size     int64
	modified time.Time
	file     fs.FileInfo
}

func (s stamp) same(info fs.FileInfo) bool {
	return s.file != nil && s.size == info.Size() && s.modified.Equal(info.ModTime()) && os.SameFile(s.file, info)
}

// mostFile is how long a file may be.
const mostFile = 64 << 20

func openCSV(c *purpose.CSVConfig, silent time.Duration, o Options) (*file, error) {
	return &file{path: o.Path(c.File), kinds: o.Kinds, hide: o.Hide, now: o.Now, silent: silent, log: o.Log}, nil
}

// look reads the file anew where it has changed. f.mu is held.
func (f *file) look() error {
	info, err := os.Stat(f.path)
	if err != nil {
		f.seen = stamp{}
		return fmt.Errorf("look at a file of reasons: %w", err)
	}
	if !f.seen.same(info) {
		f.seen = stamp{info.Size(), info.ModTime(), info}
		f.items, f.numbers, f.list = nil, nil, nil
		if f.problem = f.read(info); f.problem != nil {
			f.log(f.problem.Error())
		}
		// Who writes within the clock's grain leaves the same stamp: what is young is read again.
		if f.now().Sub(info.ModTime()) < time.Second {
			f.seen = stamp{}
		}
	}
	if f.problem == nil && f.silent > 0 && f.now().Sub(info.ModTime()) > f.silent {
		return purpose.ErrSilent
	}
	return f.problem
}

func (f *file) read(info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("read %s: it is no regular file", f.path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("read %s: others may write it, and would make their own reasons; run chmod go-w on it", f.path)
	case info.Size() > mostFile:
		return fmt.Errorf("read %s: it has %d bytes, at most %d are read", f.path, info.Size(), mostFile)
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("read a file of reasons: %w", err)
	}
	return f.parse(text)
}

// parse takes what stands in the file, as a whole or not at all.
func (f *file) parse(text []byte) error {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("read %s: line 1: %w", f.path, plainCSV(err))
	}
	columns := slices.Clone(header)
	for i := range columns {
		columns[i] = strings.Clone(strings.TrimSpace(columns[i]))
	}
	if err := checkColumns(columns, f.kinds, f.path+", line 1"); err != nil {
		return err
	}
	return f.rows(r, columns)
}

func (f *file) rows(r *csv.Reader, columns []string) error {
	items, numbers, list := map[string][]purpose.Thing{}, map[string][]string{}, []purpose.Thing(nil)
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", f.path, plainCSV(err))
		}
		line, _ := r.FieldPos(0)
		t, err := thingOf(columns, row)
		if err != nil {
			return fmt.Errorf("read %s: line %d: %w", f.path, line, err)
		}
		if t.Number != "" {
			t.Number = f.hide(t.Number)
			if !slices.Contains(numbers[t.Number], t.ID) {
				numbers[t.Number] = append(numbers[t.Number], t.ID)
			}
		}
		items[t.ID] = append(items[t.ID], t)
		list = append(list, t)
	}
	slices.SortStableFunc(list, func(a, b purpose.Thing) int { return b.From.Compare(a.From) })
	f.items, f.numbers, f.list = items, numbers, list
	return nil
}

// plainCSV is an error without what stands in the file.
func plainCSV(err error) error {
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d, column %d: %w", p.Line, p.Column, p.Err)
	}
	return err
}

// Find returns what a reference names. An id that stands twice is ambiguous.
func (f *file) Find(_ context.Context, ref purpose.Ref) ([]purpose.Thing, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(); err != nil {
		return nil, err
	}
	found := slices.Clone(f.items[ref.Text])
	if ref.Number != "" {
		found = append(found, f.items[ref.Number]...)
	}
	if len(found) == 0 {
		for _, id := range f.numbers[f.hide(ref.Asked())] {
			found = append(found, f.items[id]...)
		}
	}
	return found[:min(len(found), 2)], nil
}

// Mine returns what is assigned to somebody.
func (f *file) Mine(_ context.Context, names []string, most int) ([]purpose.Thing, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(); err != nil {
		return nil, err
	}
	var found []purpose.Thing
	for i := range f.list {
		t := &f.list[i]
		if slices.Contains(names, strings.ToLower(t.Assignee)) && len(f.items[t.ID]) == 1 {
			if found = append(found, *t); len(found) == most {
				break
			}
		}
	}
	return found, nil
}

// Check says what does not work.
func (f *file) Check(context.Context) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// Close gives back nothing.
func (f *file) Close() error { return nil }
