package durable

import (
	"fmt"
	"slices"
)

// recoverSegments finds the segments on disk and makes the last one ready for writing. It is false where there are none.
func (l *Log) recoverSegments() (bool, error) {
	names, err := l.disk.List()
	if err != nil {
		return false, fmt.Errorf("list segments: %w", err)
	}
	for _, name := range names {
		if name == spareName || name == rewriteName {
			if err := l.disk.Remove(name); err != nil {
				return false, fmt.Errorf("remove unfinished segment: %w", err)
			}
		}
		if first, ok := parseSegmentName(name); ok {
			l.segments = append(l.segments, segment{first: first})
		}
	}
	if len(l.segments) == 0 {
		return false, nil
	}
	slices.SortFunc(l.segments, func(a, b segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	if err := l.readHeaders(); err != nil {
		return false, err
	}
	if err := l.trimFinished(); err != nil {
		return false, err
	}
	return true, l.recoverLast()
}

// readHeaders learns the log's id and where each finished segment ends.
func (l *Log) readHeaders() error {
	known := false
	for i := range l.segments {
		s := &l.segments[i]
		h, ok, err := l.readHeader(s.first)
		if err != nil {
			return err
		}
		if !ok {
			s.broken = true
			continue
		}
		if known && h.id != l.id {
			return fmt.Errorf("segment %s belongs to another log", segmentName(s.first))
		}
		l.id, known = h.id, true
		l.w.prevFirst, l.w.prevEnd = h.prevFirst, h.prevEnd
		if i > 0 && l.segments[i-1].first == h.prevFirst {
			l.segments[i-1].end, l.segments[i-1].endKnown = h.prevEnd, true
		}
	}
	if !known {
		return fmt.Errorf("no segment has a readable header (%s and %d more): restore the folder from a backup, or move it away to begin anew",
			segmentName(l.segments[0].first), len(l.segments)-1)
	}
	l.seed = seedOf(l.id)
	return nil
}

func (l *Log) readHeader(first uint64) (header, bool, error) {
	name := segmentName(first)
	f, err := l.disk.Open(name)
	if err != nil {
		return header{}, false, fmt.Errorf("open segment: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	size, err := f.Size()
	if err != nil {
		return header{}, false, fmt.Errorf("open segment %s: %w", name, err)
	}
	b := make([]byte, min(size, headerBytes))
	if _, err := f.ReadAt(b, 0); err != nil && len(b) > 0 {
		return header{}, false, fmt.Errorf("read segment %s: %w", name, err)
	}
	h, ok := decodeHeader(b)
	return h, ok && h.first == first, nil
}

// trimFinished cuts what lies beyond a finished segment's end: unused space, or a batch that was refused.
func (l *Log) trimFinished() error {
	for i := range len(l.segments) - 1 {
		s := &l.segments[i]
		f, err := l.disk.Open(segmentName(s.first))
		if err != nil {
			return fmt.Errorf("open segment: %w", err)
		}
		size, err := f.Size()
		if err == nil && (!s.endKnown || size < s.end) { // it was written anew, and is shorter
			s.end = size
		}
		if err == nil && size > s.end {
			err = f.Truncate(s.end)
		}
		_ = f.Close() // nothing was written that must not be lost
		if err != nil {
			return fmt.Errorf("trim segment %s: %w", segmentName(s.first), err)
		}
	}
	return nil
}

// recoverLast finds the end of the last segment, cuts a torn tail and opens the segment for writing.
func (l *Log) recoverLast() error {
	s := &l.segments[len(l.segments)-1]
	name := segmentName(s.first)
	f, err := l.disk.Open(name)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	size, err := f.Size()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("open segment %s: %w", name, err)
	}
	w := &l.w
	w.file, w.first, w.size = f, s.first, size
	l.present = size
	w.distrusted = s.broken // new entries shall not stand behind a broken header

	sc := scanner{f: f, seed: l.seed, pos: headerBytes, limit: size}
	tail, err := l.walk(&sc, s.first)
	if err != nil {
		return fmt.Errorf("read segment %s: %w", name, err)
	}
	if err := l.cutTail(&sc, name, tail.next); err != nil {
		return err
	}
	w.off, w.sealed, w.head = sc.pos, tail.sealed, tail.head
	s.end, s.endKnown = sc.pos, true
	l.last = tail.next - 1
	if tail.next == s.first || s.broken {
		return l.recoverBefore(tail.next == s.first)
	}
	return nil
}

// tail is what a walk over a segment found at its end.
type tail struct {
	next   uint64 // sequence after the last entry
	sealed bool
	head   []byte
}

// walk moves sc to the end of the last frame that was durable. Damage on the way is left for readers to report.
func (l *Log) walk(sc *scanner, first uint64) (tail, error) {
	t := tail{next: first}
	for {
		f, ok, err := sc.frame(sc.pos)
		if err != nil {
			return t, err
		}
		if !ok || f.seq != t.next {
			if f, ok, err = sc.find(t.next, true); err != nil || !ok {
				return t, err
			}
		}
		sc.pos += int64(f.size)
		t.sealed = f.payload == nil
		t.next = f.seq
		if !t.sealed {
			t.next++
			t.head = append(t.head[:0], f.payload[:min(len(f.payload), maxHead)]...)
		}
	}
}

// cutTail zeroes what follows the last frame. Only a batch whose sync never returned can be there.
func (l *Log) cutTail(sc *scanner, name string, next uint64) error {
	zero, err := sc.zeroFrom(sc.pos)
	if err != nil {
		return fmt.Errorf("read segment %s: %w", name, err)
	}
	if zero == sc.pos {
		return nil
	}
	_, err = sc.f.WriteAt(make([]byte, zero-sc.pos), sc.pos)
	if err == nil {
		err = sc.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("cut the torn end of segment %s: %w", name, err)
	}
	l.repair = &Damage{
		File: name, Offset: sc.pos, Bytes: zero - sc.pos, First: next, Last: next - 1,
		Detail: "unfinished entries cut",
	}
	return nil
}

// recoverBefore reads the last segment but one where the last one cannot say what stood before it: because it is empty, or
// because its header is broken.
func (l *Log) recoverBefore(empty bool) error {
	if len(l.segments) == 1 {
		l.w.prevFirst, l.w.prevEnd = 0, 0
		return nil
	}
	s := &l.segments[len(l.segments)-2]
	f, err := l.disk.Open(segmentName(s.first))
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	sc := scanner{f: f, seed: l.seed, pos: headerBytes, limit: s.end}
	t, err := l.walk(&sc, s.first)
	_ = f.Close() // only read
	if err != nil {
		return fmt.Errorf("read segment %s: %w", segmentName(s.first), err)
	}
	if l.w.distrusted {
		l.w.prevFirst, l.w.prevEnd = s.first, sc.pos
	}
	if empty && t.next == l.last+1 {
		l.w.head = t.head // else the last entry is lost, and what follows is linked to nothing
	}
	return nil
}
