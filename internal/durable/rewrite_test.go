package durable

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/disk"
)

// shorten is what the tests put in the place of every third entry.
func shorten(seq uint64, payload []byte) []byte {
	if seq%3 == 0 {
		return fmt.Appendf(nil, "gone %d", seq)
	}
	return payload
}

// TestRewrite writes segments anew beside a reader and a writer, and reads everything back, also after a restart.
func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{SegmentBytes: minSegmentBytes})
	if err != nil {
		t.Fatal(err)
	}
	add := func(n int) {
		for range n {
			if _, err := l.Append([]byte(strings.Repeat("x", 200))); err != nil {
				t.Error(err)
			}
		}
	}
	add(100)
	early := l.Reader(1)
	defer early.Close()
	for range 5 {
		if _, _, err := early.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	before := l.Last()
	var wg sync.WaitGroup
	wg.Go(func() { add(100) })
	wg.Go(func() { // readers come and go meanwhile
		for range 30 {
			if got, damage := entries(t, l, 1); damage != nil || uint64(len(got)) < before {
				t.Errorf("%d entries, %v", len(got), damage)
			}
		}
	})
	if err := l.Rewrite([]uint64{1, before}, shorten); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for want := uint64(6); want <= 200; want++ {
		seq, payload, err := early.Next()
		if err != nil || seq != want || want > 12 && want <= before && seq%3 == 0 && !strings.HasPrefix(string(payload), "gone") {
			t.Fatalf("the reader that was there before: %d %.20q %v, expected %d", seq, payload, err, want)
		}
	}
	if err := early.Damage(); err != nil {
		t.Error(err)
	}
	check := func(l *Log) {
		t.Helper()
		got, damage := entries(t, l, 1)
		if damage != nil || len(got) != 200 {
			t.Fatalf("%d entries, %v", len(got), damage)
		}
		for seq, payload := range got {
			if gone := strings.HasPrefix(payload, "gone"); gone != (seq%3 == 0 && seq <= before) {
				t.Errorf("entry %d is %.20q", seq, payload)
			}
		}
	}
	check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(dir, Options{SegmentBytes: minSegmentBytes}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	check(l)
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	if err := l.Roll(); err != nil { // an empty one stays
		t.Fatal(err)
	}
	add(1)
	if got, damage := entries(t, l, 1); damage != nil || len(got) != 201 {
		t.Errorf("%d entries, %v", len(got), damage)
	}
}

// TestRewritePowerCuts cuts the power at every operation of a rewrite: each entry is what it was or what it becomes, none is lost, and a
// second attempt ends it.
func TestRewritePowerCuts(t *testing.T) {
	cuts := 0
	for at := 0; ; at++ {
		sim := newSimDisk(uint64(at))
		l, err := Open("sim", Options{SegmentBytes: minSegmentBytes, Disk: sim})
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			if _, err := l.Append([]byte(strings.Repeat("x", 300))); err != nil {
				t.Fatal(err)
			}
		}
		left := at
		sim.Mu.Lock()
		sim.Fail = func(string, string) error {
			if left--; left < 0 {
				return disk.ErrPower
			}
			return nil
		}
		sim.Mu.Unlock()
		err = l.Rewrite([]uint64{1, 60}, shorten)
		if err != nil && !errors.Is(err, disk.ErrPower) {
			t.Fatal(err)
		}
		next := cut(sim)
		_ = l.Close() // of a log whose disk is gone
		cuts++
		if l, err = Open("sim", Options{SegmentBytes: minSegmentBytes, Disk: next}); err != nil {
			t.Fatalf("cut %d: %v", at, err)
		}
		for _, whole := range []bool{false, true} {
			got, damage := entries(t, l, 1)
			if damage != nil || len(got) != 60 {
				t.Fatalf("cut %d: %d entries, %v", at, len(got), damage)
			}
			for seq, payload := range got {
				if gone := strings.HasPrefix(payload, "gone"); gone && seq%3 != 0 || whole && gone != (seq%3 == 0) || !gone && payload != strings.Repeat("x", 300) {
					t.Fatalf("cut %d: entry %d is %.20q", at, seq, payload)
				}
			}
			if whole {
				break
			}
			if err := l.Rewrite([]uint64{1, 60}, shorten); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if left > 0 {
			break // it was done before the power went
		}
	}
	t.Logf("%d power cuts", cuts)
}
