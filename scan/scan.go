// Package scan finds tokens, and plain values that look like personal data, in a stream of bytes: an export, a log, a dump. It says
// where each stands and, as far as form and keys tell, from which column a token comes.
//
// It refuses to hand out what it found: a Finding has places and names, never a value. It does no I/O; streams are arguments.
// Its invariants: what is found does not depend on how the stream is cut into reads, and memory does not grow with the stream, nor with
// the length of its lines.
package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"sallyport"
	"sallyport/token"
)

// Kind says what was found.
type Kind string

// The kinds of findings.
const (
	Token Kind = "token"
	Plain Kind = "plain"
)

// Finding is one place in a stream.
type Finding struct {
	Line   int64 `json:"line"`             // from 1
	Column int64 `json:"column"`           // in bytes, from 1
	Length int64 `json:"length,omitempty"` // in bytes; 0: a text that is longer than what is looked at at once
	Kind   Kind  `json:"kind"`

	// What it is: a scheme's name, or of plain values email, phone, iban or card.
	What string `json:"what"`
	// Of a token: the epoch of its keys, 0 where it does not show. Of one that was not opened it is the first epoch of its form.
	Epoch int `json:"epoch,omitempty"`
	// Columns are those that it may come from: the one whose keys opened it, else all whose tokens have this form.
	Columns []string `json:"columns,omitempty"`
	// Opened says that the keys opened it, so that it is surely a token of these columns. Telephone and reference numbers open with any
	// keys, and so prove nothing.
	Opened bool `json:"opened,omitempty"`
	// Foreign says that no key that there is opens it, though its form can be tried: it was made with others, or altered.
	Foreign bool `json:"foreign,omitempty"`
	// Canary says that a plain value is a contact detail which was shown in the place of one of a customer who does not exist.
	Canary bool `json:"canary,omitempty"`
}

// Scanner looks through streams. It is safe for use by several goroutines.
type Scanner struct {
	ring   *token.Ring
	codecs []*token.Codec
	o      Options
	window int // bytes of a stream that are looked at at once
}

// Options say what is looked for.
type Options struct {
	// Columns are those that are protected. Ring and Columns MAY have been made from a secret of no meaning; then tokens are
	// recognised by form only. Ring SHOULD know every epoch.
	Ring    *token.Ring
	Columns []token.Spec
	Opens   bool // the ring's keys are those of the columns, so tokens are tried

	// Canary tells contact details of customers who do not exist; nil: nobody knows them.
	Canary func(value []byte, what string) bool

	Only  Kind // empty: both kinds
	Dates bool // dates that look like tokens are reported without having been opened
}

// New makes the codecs of the columns.
func New(o Options) (*Scanner, error) {
	if o.Ring == nil {
		return nil, errors.New("make a scanner: there is no key ring")
	}
	s := &Scanner{ring: o.Ring, o: o, window: window}
	for _, spec := range o.Columns {
		codec, err := o.Ring.Codec(spec)
		if err != nil {
			return nil, fmt.Errorf("make a scanner: %w", err)
		}
		s.codecs = append(s.codecs, codec)
	}
	return s, nil
}

const (
	window = 1 << 20
	// ahead is how much behind a finding has to be there to tell where it ends, unless the stream does: longer than any value but a text.
	ahead = 8 << 10
	// behind is how much in front of a place is kept, to see that no word runs into it.
	behind = 512
)

// canary tells whether a plain value is a canary's.
func (s *Scanner) canary(value []byte, what string) bool {
	return s.o.Canary != nil && s.o.Canary(value, what)
}

// Scan hands over what stands in a stream, in order. An error of found ends it.
func (s *Scanner) Scan(r io.Reader, found func(Finding) error) error {
	v := &view{scanner: s, r: r, found: found, buf: make([]byte, 0, s.window), line: 1}
	for {
		if err := v.fill(); err != nil {
			return err
		}
		if err := v.look(); err != nil {
			return err
		}
		if v.ended && v.from >= len(v.buf) {
			return nil
		}
		v.shift()
	}
}

// view is the part of the stream that is in memory.
type view struct {
	scanner *Scanner
	r       io.Reader
	found   func(Finding) error

	buf   []byte
	from  int  // what stands in front of it was looked at
	free  int  // what stands in front of it belongs to a finding
	ended bool // buf ends where the stream does
	long  bool // what stands at from is the rest of a text that is longer than the window

	start     int64 // of buf in the stream
	line      int64 // of counted
	lineStart int64 // in the stream
	counted   int64 // so far lines were counted
}

// fill reads until the window is full or the stream ends.
func (v *view) fill() error {
	for empty := 0; !v.ended && len(v.buf) < cap(v.buf); {
		n, err := v.r.Read(v.buf[len(v.buf):cap(v.buf)])
		v.buf = v.buf[:len(v.buf)+n]
		switch {
		case errors.Is(err, io.EOF):
			v.ended = true
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case n > 0:
			empty = 0
		default:
			if empty++; empty > 100 {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// shift makes room and keeps what stands in front of from, to see what a finding follows.
func (v *view) shift() {
	drop := max(0, v.from-behind)
	v.count(v.start + int64(drop))
	n := copy(v.buf, v.buf[drop:])
	v.buf, v.from, v.free, v.start = v.buf[:n], v.from-drop, max(0, v.free-drop), v.start+int64(drop)
}

// count notes the lines up to a position of the stream.
func (v *view) count(to int64) {
	for v.counted < to {
		rest := v.buf[v.counted-v.start : to-v.start]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			v.counted = to
			return
		}
		v.counted += int64(i) + 1
		v.line, v.lineStart = v.line+1, v.counted
	}
}

// look goes through what can be told for sure.
func (v *view) look() error {
	if v.long {
		v.from += base64Run(v.buf[v.from:])
		if v.from == len(v.buf) {
			return nil
		}
		v.long = false
	}
	limit := len(v.buf)
	if !v.ended {
		limit -= ahead
		start := v.unfinished()
		if start >= 0 && start <= behind { // longer than all there is room for
			return v.tooLong(start)
		}
		if start >= 0 {
			limit = min(limit, start) // next time, with as much of it as there is room for
		}
	}
	for v.from < limit {
		start, end, scheme, ok := v.scanner.ring.Find(v.buf, v.from)
		if !ok || start >= limit {
			return v.plain(limit)
		}
		if err := v.plain(start); err != nil {
			return err
		}
		if err := v.token(start, end, scheme); err != nil {
			return err
		}
		v.from = max(end, v.from)
	}
	return nil
}

// mark begins the tokens of names and texts (docs/tokens).
const mark = "tk1:"

// unfinished is where a text begins that may go on behind the window; −1: none does.
func (v *view) unfinished() int {
	i := len(v.buf)
	for i > v.from && base64Run(v.buf[i-1:i]) == 1 {
		i--
	}
	start := i - len(mark)
	if start < v.from || string(v.buf[start:i]) != mark {
		return -1
	}
	return start
}

// tooLong reports a text by its first letter and goes past it.
func (v *view) tooLong(start int) error {
	if err := v.plain(start); err != nil {
		return err
	}
	v.long = true
	v.from = len(v.buf)
	if letter := v.buf[start+len(mark)]; letter < 'a' || letter > 'z' {
		return nil // no text
	}
	return v.token(start, len(v.buf), "")
}

// plain reports the plain values up to a limit.
func (v *view) plain(limit int) error {
	for v.from < limit && v.scanner.o.Only != Token {
		start, end, what := findPlain(v.buf, v.free, v.from, limit)
		if what == "" {
			break
		}
		if err := v.report(start, end, Finding{Kind: Plain, What: what, Canary: v.scanner.canary(v.buf[start:end], what)}); err != nil {
			return err
		}
		v.from = end
	}
	v.from = max(v.from, limit)
	return nil
}

// token reports a token and what is known about it.
func (v *view) token(start, end int, scheme sallyport.Scheme) error {
	if v.scanner.o.Only == Plain {
		return nil
	}
	f, ok := v.scanner.describe(v.buf[start:end], scheme, v.long)
	if !ok {
		return nil
	}
	return v.report(start, end, f)
}

func (v *view) report(start, end int, f Finding) error {
	at := v.start + int64(start)
	v.count(at)
	v.free = end
	f.Line, f.Column, f.Length = v.line, at-v.lineStart+1, int64(end-start)
	if v.long {
		f.Length = 0
	}
	return v.found(f)
}

func base64Run(b []byte) int {
	for i, c := range b {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return i
		}
	}
	return len(b)
}
