package durable

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// Damage is one place in the files that does not read back as it was written.
type Damage struct {
	File        string
	Offset      int64
	Bytes       int64  // how many are unreadable; 0 where that is not known
	First, Last uint64 // the entries lost; none where Last < First
	Detail      string
}

// String is one line for people.
func (d Damage) String() string {
	lost := "no entry lost"
	switch {
	case d.Last == d.First:
		lost = fmt.Sprintf("entry %d lost", d.First)
	case d.Last > d.First:
		lost = fmt.Sprintf("entries %d to %d lost", d.First, d.Last)
	}
	return fmt.Sprintf("%s at byte %d: %s, %s", d.File, d.Offset, d.Detail, lost)
}

// DamageError says that a log was read, but not whole.
type DamageError struct {
	Dir  string
	List []Damage
}

// Error names every place.
func (e *DamageError) Error() string {
	lines := make([]string, len(e.List))
	for i, d := range e.List {
		lines[i] = d.String()
	}
	return fmt.Sprintf("the log in %s is damaged: %s", e.Dir, strings.Join(lines, "; "))
}

// Reader goes through the durable entries in order. It is for one goroutine; the log may be written meanwhile.
type Reader struct {
	l      *Log
	from   uint64 // entries before it are passed over
	next   uint64 // the sequence expected
	first  uint64 // of the segment that is open, 0 before the first
	made   int    // likewise: see segment
	sc     scanner
	damage []Damage
}

// Reader starts at the entry from (or at the first entry, for 0).
func (l *Log) Reader(from uint64) *Reader {
	return &Reader{l: l, from: max(from, 1)}
}

// Next is the next durable entry; its payload is valid until the call after. io.EOF says that there is none yet: the caller may
// Wait and call again. Damaged places are passed over and collected for Damage; other errors are those of the disk.
func (r *Reader) Next() (seq uint64, payload []byte, err error) {
	for {
		ok, err := r.position()
		if err != nil {
			return 0, nil, fmt.Errorf("read log %s: %w", r.l.dir, err)
		}
		if !ok {
			return 0, nil, io.EOF
		}
		f, err := r.frame()
		if err != nil {
			return 0, nil, fmt.Errorf("read log %s: %w", r.l.dir, err)
		}
		if f.payload != nil && f.seq >= r.from {
			return f.seq, f.payload, nil
		}
	}
}

// Damage is everything that was passed over so far as a *DamageError, nil where nothing was.
func (r *Reader) Damage() error {
	if len(r.damage) == 0 {
		return nil
	}
	return &DamageError{Dir: r.l.dir, List: r.damage}
}

// Close gives the open file free.
func (r *Reader) Close() error {
	if r.sc.f == nil {
		return nil
	}
	err := r.sc.f.Close()
	r.sc.f = nil
	return err
}

// position makes sure that unread durable bytes stand at the scanner. It is false at the durable end.
func (r *Reader) position() (bool, error) {
	for {
		seg, following, last := r.l.view(r.first, r.from)
		ok, err := r.at(seg, following)
		if err != nil || !ok {
			return false, err
		}
		r.sc.limit = seg.end
		stop := last + 1
		if following != 0 {
			stop = following
		}
		// Where the following header is broken nobody knows what this segment's end is, but how many entries it has.
		if r.sc.pos < r.sc.limit && (seg.endKnown || r.next < stop) {
			return true, nil
		}
		r.finish(stop)
		if following == 0 {
			return false, nil
		}
		if err := r.Close(); err != nil {
			return false, err
		}
		r.first = following
	}
}

// at makes sure that the segment's file is open as it is now. It is false where nothing is in it yet, and another file may still take its name.
func (r *Reader) at(seg segment, following uint64) (bool, error) {
	if r.sc.f != nil && seg.made != r.made { // it was written anew: offsets are others
		r.from = max(r.from, r.next)
		if err := r.Close(); err != nil {
			return false, err
		}
	}
	if r.sc.f != nil {
		return true, nil
	}
	if following == 0 && seg.end == headerBytes {
		return false, nil
	}
	return true, r.open(seg)
}

// finish says of a segment that was read to its end, where the entry stop should follow, which entries it lacked.
func (r *Reader) finish(stop uint64) {
	if r.next < stop {
		r.note(r.sc.pos, 0, stop-1, "entries are missing")
		r.next = stop
	}
}

// view is the segment that starts at first, or for 0 the one where from is to be looked for; then where the following segment
// starts, 0 where there is none, and the highest durable sequence.
func (l *Log) view(first, from uint64) (seg segment, following, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first == 0 {
		first = max(from, l.segments[0].first)
	}
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].first > first }) - 1
	if i+1 < len(l.segments) {
		following = l.segments[i+1].first
	}
	return l.segments[i], following, l.last
}

func (r *Reader) open(seg segment) error {
	name := segmentName(seg.first)
	h, ok, err := r.l.readHeader(seg.first)
	if err != nil {
		return err
	}
	f, err := r.l.disk.Open(name)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	if now, _, _ := r.l.view(seg.first, 0); now.made != seg.made { // between the two
		return errors.Join(f.Close(), r.open(now))
	}
	r.made = seg.made
	if r.next == 0 {
		r.next = min(r.from, seg.first)
	}
	r.first = seg.first
	r.sc = scanner{f: f, seed: r.l.seed, pos: headerBytes, limit: seg.end, buf: r.sc.buf[:0]}
	if r.next < seg.first {
		r.note(0, 0, seg.first-1, "the segments before it are missing")
	}
	r.next = seg.first
	if !ok || h.id != r.l.id {
		r.note(0, headerBytes, seg.first-1, "the segment's header is broken")
	}
	return nil
}

// frame is the next frame of the open segment. Its payload is nil where there was only a seal, or damage.
func (r *Reader) frame() (frame, error) {
	f, ok, err := r.sc.frame(r.sc.pos)
	if err != nil {
		return frame{}, err
	}
	if ok && f.seq == r.next {
		r.sc.pos += int64(f.size)
		if f.payload != nil {
			r.next++
		}
		return f, nil
	}
	start := r.sc.pos
	f, found, err := r.sc.find(r.next, false)
	if err != nil {
		return frame{}, err
	}
	if !found {
		r.sc.pos = r.sc.limit
		_, following, last := r.l.view(r.first, 0)
		if following == 0 {
			following = last + 1
		}
		r.note(start, r.sc.limit-start, following-1, "unreadable to its end")
		r.next = following
		return frame{}, nil
	}
	r.note(start, r.sc.pos-start, f.seq-1, "unreadable")
	r.next = f.seq
	return frame{}, nil // the next call finds the frame where find has left off
}

// note records damage that costs the entries from r.next to last.
func (r *Reader) note(off, n int64, last uint64, detail string) {
	r.damage = append(r.damage, Damage{File: segmentName(r.first), Offset: off, Bytes: n, First: r.next, Last: last, Detail: detail})
}
