// Package sources reads what other systems know: access events, and facts about the organisation beside them (staff, tickets, contacts,
// jobs, personnel, log-ins, alerts, reports), from JSON Lines and CSV, plain or compressed, and puts them into the order of time.
//
// What is wrong with a line is a Problem with file and line; it is counted, and the rest of the file is read. It refuses to quote a value
// in a problem, to keep a literal of a statement, and to let a later fact be known earlier: a ticket comes as it stood when it was opened.
// Its invariant: memory does not grow with the number of events.
package sources

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Problem is what is wrong with one line of a file.
type Problem struct {
	File string
	Line int
	What string
}

func (p *Problem) Error() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What) }

// Reader reads files. Its zero value reads what it can and keeps count of what it cannot.
type Reader struct {
	Stdin  io.Reader      // what the name "-" stands for
	Strict bool           // the first problem ends the reading, as its error
	Report func(*Problem) // hears of each problem; nil: nobody does
	Bad    int64          // problems so far
	Other  int64          // events of OCSF's other classes, which say nothing of an access: they are passed over
}

// problem counts and reports; its error is nil unless the reader is strict.
func (r *Reader) problem(file string, line int, what string) error {
	r.Bad++
	p := &Problem{File: file, Line: line, What: what}
	if r.Report != nil {
		r.Report(p)
	}
	if r.Strict {
		return p
	}
	return nil
}

// Bounds of what is read. A line with 100,000 customers has about a million bytes.
const (
	bufferSize = 1 << 20
	longest    = 64 << 20  // of a line
	mostWindow = 128 << 20 // what a zstd stream may ask to be kept in memory
)

// lines gives the lines of one file, unpacked.
type lines struct {
	name   string
	at     int // number of the last line given, from 1
	from   *bufio.Reader
	long   []byte
	close  func()
	failed error
}

var errLong = errors.New("the line is longer than 64 MiB")

// open opens a file by what is in it, not by its name.
func (r *Reader) open(name string) (*lines, error) {
	var raw io.Reader
	closing := func() {}
	switch {
	case name != "-":
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read events and facts: %w", err)
		}
		raw, closing = f, func() { f.Close() }
	case r.Stdin != nil:
		raw, name = r.Stdin, "standard input"
	default:
		return nil, errors.New("read standard input: there is none")
	}
	packed := bufio.NewReaderSize(raw, 256<<10)
	content := io.Reader(packed)
	head, _ := packed.Peek(4) // shorter files are none of these
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		zipped, err := gzip.NewReader(packed)
		if err != nil {
			closing()
			return nil, fmt.Errorf("unpack %s: %w", name, err)
		}
		content = zipped
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		zipped, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(mostWindow))
		if err != nil {
			closing()
			return nil, fmt.Errorf("unpack %s: %w", name, err)
		}
		inner := closing
		content, closing = zipped, func() { zipped.Close(); inner() }
	}
	l := &lines{name: name, from: bufio.NewReaderSize(content, bufferSize), close: closing}
	if mark, _ := l.from.Peek(3); bytes.Equal(mark, []byte{0xef, 0xbb, 0xbf}) {
		_, _ = l.from.Discard(3) // it has just been seen
	}
	return l, nil
}

// next gives a line without its end, good until the next call; io.EOF after the last one; errLong for one that was passed over.
func (l *lines) next() ([]byte, error) {
	if l.failed != nil {
		return nil, l.failed
	}
	line, err := l.from.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.rest(line)
	}
	l.at++
	switch {
	case err == nil || errors.Is(err, errLong):
	case errors.Is(err, io.EOF) && len(line) > 0:
		l.failed = io.EOF // once more, then
		err = nil
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	default: // a packed file that breaks off: what came before it was read
		l.failed = fmt.Errorf("read %s, line %d: %w", l.name, l.at, err)
		return nil, l.failed
	}
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), err
}

// rest gathers a line that is longer than the buffer.
func (l *lines) rest(head []byte) ([]byte, error) {
	l.long = append(l.long[:0], head...)
	tooLong := false
	for {
		more, err := l.from.ReadSlice('\n')
		if !tooLong {
			l.long = append(l.long, more...)
		}
		tooLong = tooLong || len(l.long) > longest
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case tooLong && (err == nil || errors.Is(err, io.EOF)):
			return nil, errLong
		default:
			return l.long, err
		}
	}
}
