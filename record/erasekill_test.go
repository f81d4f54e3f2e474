package record

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport"
	"sallyport/internal/disk"
	"sallyport/internal/durable"
)

// eraseEnv is "OPERATION FOLDER": a child erases there, and is killed at that operation on the disk.
const eraseEnv = "SALLYPORT_ERASE_DIR"

// deadly is the real disk, at one operation of which the process is killed (kill -9): before it, so that all before it have happened.
type deadly struct {
	disk.Disk
	left atomic.Int64
}

func (d *deadly) operation() {
	if d.left.Add(-1) < 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more is done
	}
}

func (d *deadly) Create(name string) (disk.File, error) {
	d.operation()
	f, err := d.Disk.Create(name)
	return &deadlyFile{f, d}, err
}

func (d *deadly) Rename(from, to string) error {
	d.operation()
	return d.Disk.Rename(from, to)
}

func (d *deadly) Sync() error {
	d.operation()
	return d.Disk.Sync()
}

type deadlyFile struct {
	disk.File
	d *deadly
}

func (f *deadlyFile) WriteAt(b []byte, off int64) (int, error) {
	f.d.operation()
	return f.File.WriteAt(b, off)
}

func (f *deadlyFile) Sync() error {
	f.d.operation()
	return f.File.Sync()
}

// erasedRuns are what the test erases: two of each five entries, over all segments.
func erasedRuns(last uint64) (runs []uint64) {
	for seq := uint64(2); seq+1 <= last; seq += 5 {
		runs = append(runs, seq, seq+1)
	}
	return runs
}

// eraseUntilKilled opens the record, and counts operations from the erasure on.
func eraseUntilKilled(text string) {
	number, dir, _ := strings.Cut(text, " ")
	left, err := strconv.Atoi(number)
	var folder disk.Disk
	if err == nil {
		folder, err = durable.Folder(dir)
	}
	d := &deadly{Disk: folder}
	d.left.Store(1 << 40)
	var s *Stream
	if err == nil {
		s, err = Open(dir, Options{SegmentBytes: 64 << 10, Key: mustKey(1), Disk: d})
	}
	if err == nil {
		d.left.Store(int64(left))
		err = s.Erase(erasedRuns(s.Last()))
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0) // it was done before
}

// TestEraseKilled kills a process (kill -9) in the middle of an erasure, at one operation on the disk after the other: each entry is whole or
// erased, none is lost, what was not to be erased reads back, the chain holds, and the same erasure ends what was begun.
func TestEraseKilled(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{SegmentBytes: 64 << 10, Key: testKey(t, 1)})
	for i := range 400 {
		e := bigReveal(20)
		e.Note = fmt.Sprint("entry ", i+1)
		if _, err := s.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	last := s.Last()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	step := 3
	if os.Getenv("SALLYPORT_SIEGE") != "" {
		step = 1
	}
	partly := 0
	for at := 0; ; at += step {
		work := t.TempDir()
		if err := os.CopyFS(work, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", eraseEnv, at, work))
		out, err := child.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != -1) {
			t.Fatalf("the child was not killed: %v %s", err, out)
		}
		s := mustOpen(t, work, Options{SegmentBytes: 64 << 10, Key: testKey(t, 1), Now: time.Now})
		whole := erasedOf(t, s, last)
		if whole > 0 && whole < len(erasedRuns(last)) {
			partly++
		}
		if err := s.Erase(erasedRuns(last)); err != nil {
			t.Fatalf("killed at operation %d, and it cannot be ended: %v", at, err)
		}
		if left := erasedOf(t, s, last); left != 0 {
			t.Fatalf("killed at operation %d: %d entries are there still", at, left)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			t.Logf("killed at every %dth of %d operations; in %d cases a part was erased", step, at, partly)
			break
		}
	}
	if partly == 0 {
		t.Error("it was never killed in the middle")
	}
}

// erasedOf reads everything, and counts the entries that are to be erased and are there.
func erasedOf(t *testing.T, s *Stream, last uint64) (there int) {
	t.Helper()
	seen := map[uint64]bool{}
	if err := s.Read(1, func(e *sallyport.Event) error {
		if e.Note != fmt.Sprint("entry ", e.Seq) {
			return fmt.Errorf("entry %d is %q", e.Seq, e.Note)
		}
		seen[e.Seq] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	runs := erasedRuns(last)
	for seq := uint64(1); seq <= last; seq++ {
		gone := len(runs) > 0 && seq >= runs[0]
		switch {
		case gone && seen[seq]:
			there++
		case !gone && !seen[seq]:
			t.Fatalf("entry %d is lost", seq)
		}
		if gone && seq == runs[1] {
			runs = runs[2:]
		}
	}
	r := s.log.Reader(1)
	defer func() { _ = r.Close() }()
	n := uint64(0)
	for {
		_, _, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != last {
		t.Fatalf("%d places of entries, expected %d", n, last)
	}
	return there
}
