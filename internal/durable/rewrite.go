package durable

import (
	"errors"
	"fmt"
)

// rewriteName is the file that replaces a segment. Open removes it.
const rewriteName = "rewrite.tmp"

// Roll ends the present segment where it holds an entry, so that it can be rewritten.
func (l *Log) Roll() error {
	_, err := l.awaitAs(nil, true)
	if err != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("end the segment of log %s: %w", l.dir, err)
	}
	return err
}

// Rewrite writes the segments that hold any of some entries anew: change gets each entry of them, in ascending order, and returns what
// stands in its place, which must not be empty and may be the payload itself. Runs are the firsts and lasts of sequences, in ascending
// order. Sequences stay. A segment is whole as it was or as it will be, whenever the power goes; readers go on undisturbed. It refuses a
// segment that does not read back.
func (l *Log) Rewrite(runs []uint64, change func(seq uint64, payload []byte) []byte) error {
	if len(runs) == 0 || len(runs)%2 != 0 || runs[len(runs)-1] > l.Last() {
		return fmt.Errorf("rewrite log %s: no runs of entries that are there", l.dir)
	}
	l.rewriting.Lock()
	defer l.rewriting.Unlock()
	l.mu.Lock()
	present := l.segments[len(l.segments)-1].first
	l.mu.Unlock()
	if runs[len(runs)-1] >= present {
		if err := l.Roll(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	segments := append([]segment(nil), l.segments...)
	l.mu.Unlock()
	for i := 0; i+1 < len(segments); i++ {
		for len(runs) > 0 && runs[1] < segments[i].first {
			runs = runs[2:]
		}
		if len(runs) == 0 || runs[0] >= segments[i+1].first {
			continue
		}
		if err := l.rewrite(segments[i], segments[i+1].first, change); err != nil {
			return fmt.Errorf("rewrite %s of log %s: %w", segmentName(segments[i].first), l.dir, err)
		}
	}
	return nil
}

// rewrite makes one segment anew; next is the sequence with which the following begins.
func (l *Log) rewrite(seg segment, next uint64, change func(seq uint64, payload []byte) []byte) (err error) {
	if seg.broken {
		return errors.New("its header is broken; restore it from a backup first")
	}
	old, err := l.disk.Open(segmentName(seg.first))
	if err != nil {
		return err
	}
	defer func() { _ = old.Close() }() // only read
	file, err := l.disk.Create(rewriteName)
	if err != nil {
		return err
	}
	end, err := l.copyFrames(file, old, seg, next, change)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = l.replace(seg.first, end)
	}
	if err != nil {
		_ = l.disk.Remove(rewriteName) // else the next Open does
		return err
	}
	return nil
}

// replace puts the new file in the place of the old one, at a moment at which nobody learns where the segment ends.
func (l *Log) replace(first uint64, end int64) error {
	l.mu.Lock()
	err := l.disk.Rename(rewriteName, segmentName(first))
	if err == nil {
		for i := range l.segments {
			if l.segments[i].first == first {
				l.segments[i].end, l.segments[i].endKnown = end, true
				l.segments[i].made++
			}
		}
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.disk.Sync()
}

// copyFrames writes the header and the frames, and returns where they end.
func (l *Log) copyFrames(to, from File, seg segment, next uint64, change func(seq uint64, payload []byte) []byte) (int64, error) {
	head := make([]byte, headerBytes)
	if _, err := from.ReadAt(head, 0); err != nil {
		return 0, err
	}
	sc := scanner{f: from, seed: l.seed, pos: headerBytes, limit: seg.end}
	buf, off, seq := head, int64(0), seg.first
	for sc.pos < sc.limit {
		f, ok, err := sc.frame(sc.pos)
		if err != nil {
			return 0, err
		}
		if !ok || f.seq != seq {
			return 0, fmt.Errorf("it does not read back at byte %d; restore it from a backup first", sc.pos)
		}
		sc.pos += int64(f.size)
		if f.payload != nil {
			f.payload = change(seq, f.payload)
			seq++
		}
		start := len(buf)
		buf = appendFrame(buf, f.seq, f.batch, f.payload)
		sealFrame(buf[start:], l.seed)
		if len(buf) >= window {
			if _, err := to.WriteAt(buf, off); err != nil {
				return 0, err
			}
			off, buf = off+int64(len(buf)), buf[:0]
		}
	}
	if seq != next {
		return 0, fmt.Errorf("it lacks the entries %d to %d; restore it from a backup first", seq, next-1)
	}
	_, err := to.WriteAt(buf, off)
	return off + int64(len(buf)), err
}
