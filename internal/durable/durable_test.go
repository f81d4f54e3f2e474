package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// TestFullAndBrokenDisk refuses each kind of operation once: the append in hand fails, the next works, nothing is lost.
func TestFullAndBrokenDisk(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "write and sync", "rename", "syncfolder", "one write", "undo", "removes too", "truncates too"} {
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
				if i%3 != 0 {
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
	}{{"one write", 1}, {"sync", 2}, {"write and sync", 2}, {"undo", 2}} {
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
	d.Mu.Lock() // the sync of the first append cannot go on
	var wg sync.WaitGroup
	wg.Go(func() { mustAppend(t, l, "first") })
	waitFor(t, l, func() bool { return l.inFlight == 1 })
	const n = 20
	for range n {
		wg.Go(func() { mustAppend(t, l, "next") })
	}
	waitFor(t, l, func() bool { return len(l.queue) == n })
	d.Mu.Unlock()
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

// TestSync waits for what was enqueued and takes no sequence of its own; what a full disk has refused it keeps.
func TestSync(t *testing.T) {
	d := newSimDisk(1)
	l := mustOpen(t, "sim", Options{Disk: d, Linger: time.Hour})
	want := map[uint64]string{}
	for i := 1; i <= 6; i++ {
		if seq, err := l.Enqueue([]byte(payloadOf(i))); err != nil || seq != uint64(i) {
			t.Fatal(seq, err)
		}
		want[uint64(i)] = payloadOf(i)
		if i == 3 {
			d.refuse("sync")
			if err := l.Sync(); err == nil || !l.Failing() {
				t.Fatalf("synced a broken disk: %v", err)
			}
			d.refuse("")
			continue
		}
		if err := l.Sync(); err != nil || l.Failing() {
			t.Fatal(err)
		}
		if l.Last() != uint64(i) {
			t.Errorf("%d is durable, not %d", l.Last(), i)
		}
	}
	before := l.Batches()
	if err := l.Sync(); err != nil || l.Batches() != before {
		t.Errorf("synced nothing with %d writes: %v", l.Batches()-before, err)
	}
	if seq := mustAppend(t, l, "seven"); seq != 7 {
		t.Errorf("append got %d", seq)
	}
	want[7] = "seven"
	check(t, l, want)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Sync(); !errors.Is(err, ErrClosed) {
		t.Errorf("sync after close: %v", err)
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
