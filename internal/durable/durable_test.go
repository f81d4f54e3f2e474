package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustOpen(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func mustAppend(t testing.TB, l *Log, payload string) uint64 {
	t.Helper()
	seq, err := l.Append([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// entries reads everything; the error is what the reader passed over.
func entries(t testing.TB, l *Log, from uint64) (map[uint64]string, error) {
	t.Helper()
	r := l.Reader(from)
	defer r.Close()
	got, last := map[uint64]string{}, uint64(0)
	for {
		seq, payload, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got, r.Damage()
		}
		if err != nil {
			t.Fatal(err)
		}
		if seq <= last || seq < from {
			t.Fatalf("entry %d after %d, read from %d", seq, last, from)
		}
		got[seq], last = string(payload), seq
	}
}

func payloadOf(i int) string { return fmt.Sprint("entry ", i, " ", strings.Repeat("x", i%61)) }

func TestAppendAndRead(t *testing.T) {
	dir := t.TempDir()
	o := Options{SegmentBytes: minSegmentBytes}
	l := mustOpen(t, dir, o)
	id := l.ID()
	const n = 500
	want := func(i int) string {
		if i%100 == 50 {
			return strings.Repeat("long", 3000) // longer than a segment
		}
		return payloadOf(i)
	}
	for i := 1; i <= n; i++ {
		if seq := mustAppend(t, l, want(i)); seq != uint64(i) {
			t.Fatalf("append %d got %d", i, seq)
		}
		if i%120 == 0 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, dir, o)
		}
	}
	for _, from := range []uint64{0, 1, 2, 120, 121, 499, 500, 501, 9999} {
		got, err := entries(t, l, from)
		if err != nil {
			t.Fatalf("from %d: %v", from, err)
		}
		first := max(int(from), 1)
		if len(got) != max(0, n+1-first) {
			t.Errorf("from %d: %d entries", from, len(got))
		}
		for i := first; i <= n; i++ {
			if got[uint64(i)] != want(i) {
				t.Fatalf("entry %d is wrong", i)
			}
		}
	}
	if l.ID() != id || l.Last() != n {
		t.Errorf("id %x, was %x; last %d", l.ID(), id, l.Last())
	}
	if _, err := l.Append(nil); err == nil {
		t.Error("an empty entry was taken")
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second open: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, Options{})
}

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

// TestFullAndBrokenDisk refuses each kind of operation once: the append in hand fails, the next works, nothing is lost.
func TestFullAndBrokenDisk(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "rename", "syncfolder", "one write", "undo", "removes too", "truncates too"} {
		t.Run(op, func(t *testing.T) {
			d := newSimDisk(7)
			l := mustOpen(t, "sim", Options{SegmentBytes: minSegmentBytes, Disk: d})
			want := map[uint64]string{}
			add := func(i int) error {
				seq, err := l.Append([]byte(payloadOf(i)))
				if err == nil {
					want[seq] = payloadOf(i)
				}
				return err
			}
			failed := 0
			for i := 1; i <= 400; i++ {
				if i%5 == 0 {
					d.refuse(op)
				}
				err := add(i)
				d.refuse("")
				if err != nil {
					failed++
					if !errors.Is(err, syscall.ENOSPC) {
						t.Fatal(err)
					}
					if err := add(i); err != nil {
						t.Fatalf("append %d did not recover: %v", i, err)
					}
				}
				if i%50 == 0 {
					check(t, l, want)
				}
				if i%90 == 0 {
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					l = mustOpen(t, "sim", Options{SegmentBytes: minSegmentBytes, Disk: d})
				}
			}
			if failed == 0 {
				t.Error("nothing was refused")
			}
			check(t, l, want)
		})
	}
}

// TestRefusedEntriesAreGone looks at the file: what was refused is undone, or the file is given up where that cannot be known.
func TestRefusedEntriesAreGone(t *testing.T) {
	for _, tt := range []struct {
		refuse   string
		segments int
	}{{"one write", 1}, {"sync", 2}, {"undo", 2}} {
		d := newSimDisk(3)
		l := mustOpen(t, "sim", Options{SegmentBytes: 64 << 10, Disk: d})
		mustAppend(t, l, "one")
		d.refuse(tt.refuse)
		if _, err := l.Append([]byte(strings.Repeat("refused ", 1000))); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%s: %v", tt.refuse, err)
		}
		d.refuse("")
		if tt.segments == 1 {
			assertZeroAfterEnd(t, l)
		}
		mustAppend(t, l, "two")
		assertZeroAfterEnd(t, l)
		if len(l.segments) != tt.segments {
			t.Errorf("%s: %d segments", tt.refuse, len(l.segments))
		}
		check(t, l, map[uint64]string{1: "one", 2: "two"})
	}
}

// refuse makes the disk refuse one kind of operation with ENOSPC; "" ends it. "undo" refuses all writes and syncs.
func (d *simDisk) refuse(kind string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	also := map[string]string{"undo": "write sync", "removes too": "syncfolder remove", "truncates too": "sync truncate"}[kind]
	once := kind == "one write"
	d.fail = func(op, _ string) error {
		if once && op == "write" {
			once = false
			return syscall.ENOSPC
		}
		if kind != "" && (op == kind || strings.Contains(also, op)) {
			return syscall.ENOSPC
		}
		return nil
	}
}

func check(t *testing.T, l *Log, want map[uint64]string) {
	t.Helper()
	got, err := entries(t, l, 1)
	if err != nil {
		t.Fatal(err)
	}
	for seq, payload := range want {
		if got[seq] != payload {
			t.Fatalf("entry %d is %q, want %q", seq, got[seq], payload)
		}
	}
}

// TestGroupCommit holds one sync up: what arrives meanwhile shares the next.
func TestGroupCommit(t *testing.T) {
	d := newSimDisk(1)
	l := mustOpen(t, "sim", Options{Disk: d})
	d.mu.Lock() // the sync of the first append cannot go on
	var wg sync.WaitGroup
	wg.Go(func() { mustAppend(t, l, "first") })
	waitFor(t, l, func() bool { return l.inFlight == 1 })
	const n = 20
	for range n {
		wg.Go(func() { mustAppend(t, l, "next") })
	}
	waitFor(t, l, func() bool { return len(l.queue) == n })
	d.mu.Unlock()
	wg.Wait()
	if l.Batches() != 2 || l.Last() != n+1 {
		t.Errorf("%d entries in %d batches", l.Last(), l.Batches())
	}
}

// waitFor waits until cond, which is asked under the log's lock, is true.
func waitFor(t *testing.T, l *Log, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		l.mu.Lock()
		ok := cond()
		l.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the condition did not come true")
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func TestEnqueue(t *testing.T) {
	d := newSimDisk(1)
	l := mustOpen(t, "sim", Options{Disk: d, Linger: time.Hour})
	for i := 1; i <= 3; i++ {
		if seq, err := l.Enqueue([]byte(payloadOf(i))); err != nil || seq != uint64(i) {
			t.Fatal(seq, err)
		}
	}
	if l.Last() != 0 {
		t.Error("an enqueued entry did not wait for company")
	}
	d.refuse("write")
	if _, err := l.Append([]byte("refused")); err == nil {
		t.Error("append on a full disk succeeded")
	}
	d.refuse("")
	if seq := mustAppend(t, l, "four"); seq != 4 {
		t.Errorf("append got %d", seq)
	}
	check(t, l, map[uint64]string{1: payloadOf(1), 2: payloadOf(2), 3: payloadOf(3), 4: "four"})
	if l.Batches() != 1 {
		t.Errorf("%d batches", l.Batches())
	}
	if _, err := l.Enqueue([]byte("five")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, l, map[uint64]string{5: "five"}) // a reader may go on after Close
	if _, err := l.Enqueue([]byte("six")); !errors.Is(err, ErrClosed) {
		t.Errorf("enqueue after close: %v", err)
	}
}

func TestEnqueueBecomesDurableByItself(t *testing.T) {
	l := mustOpen(t, "sim", Options{Disk: newSimDisk(1), Linger: time.Millisecond})
	for i := 1; i <= 3; i++ {
		seq, err := l.Enqueue([]byte("counters"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := l.Wait(ctx, seq); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
}

func TestEnqueueIsBounded(t *testing.T) {
	d := newSimDisk(1)
	l := mustOpen(t, "sim", Options{Disk: d, Linger: time.Hour})
	d.refuse("write")
	big := bytes.Repeat([]byte("x"), 1<<20)
	for i := 0; ; i++ {
		if _, err := l.Enqueue(big); err != nil {
			break
		}
		if i > 100 {
			t.Fatal("a log that cannot be written takes everything")
		}
	}
	waitFor(t, l, func() bool { return l.inFlight == 0 && !l.urgent })
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("close with lost entries: %v", err)
	}
}

func TestWaitEnds(t *testing.T) {
	l := mustOpen(t, "sim", Options{Disk: newSimDisk(1)})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("wait with a done context: %v", err)
	}
	end := make(chan error)
	go func() { end <- l.Wait(context.Background(), 1) }()
	waitFor(t, l, func() bool { return l.changed != nil })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-end; !errors.Is(err, ErrClosed) {
		t.Errorf("wait ended with %v", err)
	}
}

func FuzzDecodeFrame(f *testing.F) {
	const seed = 99
	good := appendFrame(nil, 7, 5, []byte("payload"))
	sealFrame(good, seed)
	f.Add(good)
	f.Add(make([]byte, frameBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := decodeFrame(b, seed)
		if !ok {
			return
		}
		again := appendFrame(nil, got.seq, got.batch, got.payload)
		sealFrame(again, seed)
		if !bytes.Equal(again, b[:got.size]) {
			t.Errorf("%x decodes as %+v, which encodes as %x", b, got, again)
		}
	})
}

// FuzzOpen lets the rest of a segment be anything: it opens, reads to an end, and takes new entries.
func FuzzOpen(f *testing.F) {
	id := [16]byte{1}
	var whole []byte
	for seq := range uint64(4) {
		start := len(whole)
		whole = appendFrame(whole, seq+1, seq/2*2+1, []byte(payloadOf(int(seq))))
		sealFrame(whole[start:], seedOf(id))
	}
	f.Add(whole, -1)
	f.Add(whole, 30)
	f.Add(append(make([]byte, 100), whole...), 5)
	f.Fuzz(func(t *testing.T, b []byte, flip int) {
		if flip >= 0 && flip < len(b) {
			b[flip] ^= 0x40
		}
		d := newSimDisk(1)
		file, err := d.Create(segmentName(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(append(header{id: id, first: 1}.append(nil), b...), 0); err != nil {
			t.Fatal(err)
		}
		l := mustOpen(t, "sim", Options{Disk: d, SegmentBytes: minSegmentBytes})
		before, _ := entries(t, l, 1)
		seq := mustAppend(t, l, "next")
		after, _ := entries(t, l, 1)
		if after[seq] != "next" || len(after) != len(before)+1 || seq <= uint64(len(before)) {
			t.Errorf("%d entries, then %d, the new one is %d", len(before), len(after), seq)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestHeader(t *testing.T) {
	h := header{id: [16]byte{1, 2, 3}, first: 77, prevFirst: 5, prevEnd: 4096}
	b := h.append(nil)
	if got, ok := decodeHeader(b); !ok || got != h || len(b) != headerBytes {
		t.Errorf("%+v became %+v", h, got)
	}
	for i := range b {
		b[i] ^= 4
		if _, ok := decodeHeader(b); ok {
			t.Errorf("byte %d of the header is not covered", i)
		}
		b[i] ^= 4
	}
	if _, ok := decodeHeader(b[:headerBytes-1]); ok {
		t.Error("a short header was taken")
	}
	if first, ok := parseSegmentName(segmentName(77)); !ok || first != 77 {
		t.Error("a segment's name does not read back")
	}
}
