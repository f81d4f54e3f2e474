package durable

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// TestFullDiskLosesNothingEnqueued fills the disk: appends are refused and one cause is told; what was enqueued meanwhile is there
// after Close, though there is still no room for a segment.
func TestFullDiskLosesNothingEnqueued(t *testing.T) {
	d := newSimDisk(5)
	var told []string
	o := Options{SegmentBytes: 64 << 10, Disk: d, Trouble: func(cause error, refused uint64) {
		told = append(told, fmt.Sprintf("%v %d", cause, refused))
	}}
	l := mustOpen(t, "sim", o)
	mustAppend(t, l, "first") // before half of the segment is full, no spare is made
	want := map[uint64]string{1: "first"}
	d.refuse("create")
	full := func() uint64 {
		for {
			text := strings.Repeat("x", 1000)
			seq, err := l.Append([]byte(text))
			if err != nil {
				if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "room for a segment of 65536 bytes") {
					t.Fatal(err)
				}
				return seq
			}
			want[seq] = text
		}
	}
	full()
	for range 3 { // one failure after the other is one trouble
		full()
	}
	for i := range 40 {
		text := fmt.Sprintf("session %d", i)
		if _, err := l.Enqueue([]byte(text)); err != nil {
			t.Fatal(err)
		}
		want[uint64(len(want)+1)] = text
	}
	if err := l.Close(); err != nil {
		t.Fatalf("close on a full disk: %v", err)
	}
	if len(told) != 1 || !strings.Contains(told[0], syscall.ENOSPC.Error()) {
		t.Errorf("told %q, want one cause", told)
	}
	d.refuse("")
	again := mustOpen(t, "sim", o)
	check(t, again, want)
	if seq := mustAppend(t, again, "room again"); seq != uint64(len(want)+1) {
		t.Errorf("the next entry is %d after %d", seq, len(want))
	}
}

// TestTroubleEnds tells once that writing works again, and what was turned away meanwhile.
func TestTroubleEnds(t *testing.T) {
	d := newSimDisk(6)
	var told []string
	l := mustOpen(t, "sim", Options{Disk: d, Trouble: func(cause error, refused uint64) {
		told = append(told, fmt.Sprintf("%v %d", cause != nil, refused))
	}})
	d.refuse("write")
	for range 5 {
		if _, err := l.Append([]byte("x")); err == nil {
			t.Fatal("a full disk was written")
		}
	}
	big := make([]byte, maxRetained-100)
	big[0] = 1
	taken := 0
	for range 10 {
		if _, err := l.Enqueue(big); err == nil {
			taken++
		}
	}
	d.refuse("")
	mustAppend(t, l, "y")
	mustAppend(t, l, "z")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"true 0", fmt.Sprintf("false %d", 10-taken)}; fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
