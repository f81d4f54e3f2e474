package durable

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestDirect holds files written past the page cache to what a plain slice of bytes would be, over writes of all sizes at all places,
// zeros, truncation and opening anew.
func TestDirect(t *testing.T) {
	for seed := range uint64(4) {
		checkDirect(t, rand.New(rand.NewPCG(seed, 7)))
	}
}

func checkDirect(t *testing.T, rng *rand.Rand) {
	t.Helper()
	dir, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	file, err := dir.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	f := file.(*diskFile)
	if f.direct.file == nil {
		t.Skip("the file system of the temporary folder cannot be written to past the page cache")
	}
	var model []byte
	write := func(b []byte, off int) {
		if need := off + len(b); need > len(model) {
			model = append(model, make([]byte, need-len(model))...)
		}
		copy(model[off:], b)
		if n, err := f.WriteAt(b, int64(off)); err != nil || n != len(b) {
			t.Fatalf("write %d bytes at %d: %d, %v", len(b), off, n, err)
		}
	}
	write(make([]byte, 3<<20+rng.IntN(2)*700), 0)
	end := 0
	for range 300 {
		b := make([]byte, rng.IntN([]int{100, 5000, 70_000, 2 << 20}[rng.IntN(4)]))
		if rng.IntN(5) > 0 {
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
		}
		switch rng.IntN(12) {
		case 0: // anywhere
			write(b, rng.IntN(len(model)))
		case 1: // once more at the same place, as an undo
			write(make([]byte, len(b)), max(0, end-len(b)))
		case 2:
			if size := rng.IntN(len(model)); rng.IntN(4) == 0 {
				if err := f.Truncate(int64(size)); err != nil {
					t.Fatal(err)
				}
				model, end = model[:size:size], min(end, size)
			}
		case 3:
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if file, err = dir.Open("f"); err != nil {
				t.Fatal(err)
			}
			f = file.(*diskFile)
		default: // as a log does
			if end+len(b) > 6<<20 {
				end = 0
			}
			write(b, end)
			end += len(b)
		}
		at := rng.IntN(len(model) + 1)
		got := make([]byte, min(9000, len(model)-at))
		if _, err := f.ReadAt(got, int64(at)); err != nil && len(got) > 0 {
			t.Fatal(err)
		}
		if !bytes.Equal(got, model[at:at+len(got)]) {
			t.Fatalf("%d bytes at %d differ", len(got), at)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if size, err := f.Size(); err != nil || size != int64(len(model)) {
		t.Errorf("size %d, %v, want %d", size, err, len(model))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir.dir, "f"))
	if err != nil || !bytes.Equal(got, model) {
		t.Error("the file differs")
	}
}

// TestDirectSyncsOnce tells which writes leave nothing for Sync to do: those within the file, while nothing else is to be synced.
func TestDirectSyncsOnce(t *testing.T) {
	dir, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	file, err := dir.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	f := file.(*diskFile)
	defer f.Close()
	if f.direct.file == nil {
		t.Skip("the file system of the temporary folder cannot be written to past the page cache")
	}
	write := func(size int, off int64, unsynced bool) {
		t.Helper()
		if _, err := f.WriteAt(make([]byte, size), off); err != nil {
			t.Fatal(err)
		}
		if f.direct.twice {
			t.Skip("the kernel does not write and sync in one call")
		}
		if f.direct.unsynced != unsynced {
			t.Errorf("%d bytes at %d: unsynced %t", size, off, f.direct.unsynced)
		}
	}
	write(2<<20, 0, true) // it makes the file longer
	write(100, 0, true)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	write(100, 50, false)
	write(5000, 4000, false)
	write(1500<<10, 0, true) // two writes
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1<<20 + 10); err != nil {
		t.Fatal(err)
	}
	write(100, 0, true)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	write(100, 0, false)
	write(10, 1<<20, true) // not by whole blocks, so through the page cache
}
