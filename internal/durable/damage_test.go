package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// copyOf opens a copy of the one segment of a log that was not closed, after change.
func copyOf(t *testing.T, l *Log, change func(b []byte) []byte) *Log {
	t.Helper()
	name := segmentName(l.segments[0].first)
	b, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	d := newSimDisk(1)
	f, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(change(b), 0); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, "sim", Options{SegmentBytes: minSegmentBytes, Disk: d})
}

// TestTornTail stops the writing of the last entry at each byte.
func TestTornTail(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{SegmentBytes: minSegmentBytes})
	mustAppend(t, l, payloadOf(1))
	before := l.segments[0].end
	mustAppend(t, l, payloadOf(20))
	after := l.segments[0].end
	last := before + int64(frameBytes+len(payloadOf(20))) // what follows is padding
	for at := before; at < after; at++ {
		for _, truncated := range []bool{false, true} {
			torn := copyOf(t, l, func(b []byte) []byte {
				if truncated {
					return b[:at]
				}
				clear(b[at:])
				return b
			})
			want := uint64(1)
			if !truncated && at >= last {
				want = 2
			}
			assertZeroAfterEnd(t, torn)
			_, repaired := torn.Repaired()
			if torn.Last() != want || repaired != (at > before && want == 1) {
				t.Fatalf("torn at %d of %d–%d: %d entries, repaired %v", at, before, after, torn.Last(), repaired)
			}
			if seq := mustAppend(t, torn, "next"); seq != want+1 {
				t.Fatalf("torn at %d: the next entry got %d", at, seq)
			}
			if got, err := entries(t, torn, 1); err != nil || got[1] != payloadOf(1) || got[want+1] != "next" || len(got) != int(want)+1 {
				t.Fatalf("torn at %d: %v, %v", at, got, err)
			}
			if err := torn.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// assertZeroAfterEnd looks for anything in the last segment that a later start could take for an entry.
func assertZeroAfterEnd(t *testing.T, l *Log) {
	t.Helper()
	s := l.segments[len(l.segments)-1]
	f, err := l.disk.Open(segmentName(s.first))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	sc := scanner{f: f, limit: size}
	if end, err := sc.zeroFrom(s.end); err != nil || end != s.end {
		t.Fatalf("bytes %d to %d are left over, %v", s.end, end, err)
	}
}

// TestTornBatch loses the first of two entries that were written together: nobody had been told that either was there.
func TestTornBatch(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{SegmentBytes: minSegmentBytes, Linger: time.Hour})
	mustAppend(t, l, "before")
	at := l.segments[0].end
	if _, err := l.Enqueue([]byte("first")); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, "second")
	torn := copyOf(t, l, func(b []byte) []byte { b[at+frameBytes] ^= 1; return b })
	if d, ok := torn.Repaired(); torn.Last() != 1 || !ok || d.Offset != at {
		t.Errorf("%d entries, repaired %v", torn.Last(), d)
	}
	if got, err := entries(t, torn, 1); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestDamageInTheMiddle changes an entry that a later sync proves to have been durable.
func TestDamageInTheMiddle(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{SegmentBytes: minSegmentBytes})
	ends := []int64{headerBytes}
	for i := 1; i <= 5; i++ {
		mustAppend(t, l, payloadOf(i))
		ends = append(ends, l.segments[0].end)
	}
	for i := 1; i <= 4; i++ {
		bad := copyOf(t, l, func(b []byte) []byte { b[ends[i]-9] ^= 1; return b })
		if _, ok := bad.Repaired(); ok || bad.Last() != 5 {
			t.Fatalf("entry %d: damage was repaired away, last is %d", i, bad.Last())
		}
		mustAppend(t, bad, "next")
		got, err := entries(t, bad, 1)
		var damage *DamageError
		if !errors.As(err, &damage) || len(damage.List) != 1 {
			t.Fatalf("entry %d: %v", i, err)
		}
		d := damage.List[0]
		if d.File != segmentName(1) || d.Offset != ends[i-1] || d.First != uint64(i) || d.Last != uint64(i) {
			t.Errorf("entry %d: %+v", i, d)
		}
		if _, ok := got[uint64(i)]; ok || len(got) != 5 || got[6] != "next" {
			t.Errorf("entry %d: the rest is %v", i, got)
		}
	}
}

// TestDamageAtTheSealedEnd changes the last entry of a log that was closed: that cannot be a torn write.
func TestDamageAtTheSealedEnd(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	mustAppend(t, l, "one")
	at := l.segments[0].end
	mustAppend(t, l, "two")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	bad := copyOf(t, l, func(b []byte) []byte { b[at+frameBytes] ^= 1; return b })
	if _, err := entries(t, bad, 1); err == nil || !strings.Contains(err.Error(), "entry 2 lost") {
		t.Errorf("read: %v", err)
	}
	if seq := mustAppend(t, bad, "three"); seq != 3 {
		t.Errorf("the next entry got %d: the lost one's sequence must not be used again", seq)
	}
}

func TestMissingAndBrokenSegments(t *testing.T) {
	fill := func(t *testing.T) (*Log, []string) {
		l := mustOpen(t, t.TempDir(), Options{SegmentBytes: minSegmentBytes})
		for i := 1; len(l.segments) < 4; i++ {
			mustAppend(t, l, payloadOf(i))
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range l.segments {
			names = append(names, filepath.Join(l.dir, segmentName(s.first)))
		}
		return l, names
	}
	flip := func(at int64) func(*testing.T, string) {
		return func(t *testing.T, name string) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b[at] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(t *testing.T, name string) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	shorten := func(t *testing.T, name string) {
		if err := os.Truncate(name, 2000); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name    string
		segment int
		do      func(*testing.T, string)
		lost    func(from, next uint64) (least, most uint64) // entries, of those in the segment
	}{
		{"first removed", 0, remove, func(a, b uint64) (uint64, uint64) { return b - a, b - a }},
		{"one removed", 1, remove, func(a, b uint64) (uint64, uint64) { return b - a, b - a }},
		{"one shortened", 1, shorten, func(a, b uint64) (uint64, uint64) { return 1, b - a - 1 }},
		{"first header", 0, flip(3), func(a, b uint64) (uint64, uint64) { return 0, 0 }},
		{"a header", 2, flip(40), func(a, b uint64) (uint64, uint64) { return 0, 0 }},
		{"last header", 3, flip(20), func(a, b uint64) (uint64, uint64) { return 0, 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, names := fill(t)
			first, next := l.segments[tt.segment].first, l.last+1
			if tt.segment+1 < len(l.segments) {
				next = l.segments[tt.segment+1].first
			}
			tt.do(t, names[tt.segment])
			for range 2 { // the second time after an append and a close
				again := mustOpen(t, l.dir, Options{SegmentBytes: minSegmentBytes})
				last := mustAppend(t, again, "next")
				got, err := entries(t, again, 1)
				if err == nil || !strings.Contains(err.Error(), ".log at byte") {
					t.Errorf("read: %v", err)
				}
				least, most := tt.lost(first, next)
				if lost := last - uint64(len(got)); lost < least || lost > most {
					t.Errorf("%d entries are lost, want %d to %d: %v", lost, least, most, err)
				}
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestNoReadableHeader(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{})
	mustAppend(t, l, "one")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(l.dir, segmentName(1))
	if err := os.Truncate(name, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(l.dir, Options{}); err == nil || !strings.Contains(err.Error(), segmentName(1)) {
		t.Errorf("open: %v", err)
	}
}
