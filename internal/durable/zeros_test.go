package durable

import (
	"bytes"
	"testing"
)

// TestZeroPrefix holds the count of zeros to one that looks at each byte, around every length at which it goes over to smaller steps.
func TestZeroPrefix(t *testing.T) {
	for _, size := range []int{0, 1, 7, 8, 9, 23, 24, 31, len(zeros) - 1, len(zeros), len(zeros) + 1, 2*len(zeros) + 17} {
		b := make([]byte, size)
		if got := zeroPrefix(b); got != size || !allZero(b) {
			t.Errorf("%d of %d zeros", got, size)
		}
		for at := range b {
			b[at] = 1
			if got := zeroPrefix(b); got != at || allZero(b) {
				t.Fatalf("%d zeros before the byte at %d of %d", got, at, size)
			}
			b[at] = 0
		}
	}
}

// TestFindBehindZeros finds a frame behind zeros of every length, at every distance from where the window ends.
func TestFindBehindZeros(t *testing.T) {
	text := appendFrame(nil, 2, 2, []byte("entry"))
	sealFrame(text, 7)
	for _, gap := range []int{0, 8, 16, 24, 32, 4072, 4080, 4096, 4104, window - 48, window - 24, window - 8, window, window + 8, 2*window + 64} {
		segment := make([]byte, headerBytes+gap+len(text)+4096)
		copy(segment[headerBytes+gap:], text)
		sc := scanner{f: memory{bytes.NewReader(segment)}, seed: 7, pos: headerBytes, limit: int64(len(segment))}
		f, ok, err := sc.find(1, true)
		if err != nil || !ok || f.seq != 2 || sc.pos != int64(headerBytes+gap) || string(f.payload) != "entry" {
			t.Errorf("behind %d zeros: %v %v %+v at %d", gap, ok, err, f, sc.pos)
		}
		sc = scanner{f: memory{bytes.NewReader(segment[:headerBytes+gap])}, seed: 7, pos: headerBytes, limit: int64(headerBytes + gap)}
		if _, ok, err := sc.find(1, true); ok || err != nil || sc.pos != headerBytes {
			t.Errorf("in %d zeros: %v %v at %d", gap, ok, err, sc.pos)
		}
	}
}

// memory is a file that is only read.
type memory struct{ *bytes.Reader }

func (memory) WriteAt([]byte, int64) (int, error) { panic("only read") }
func (memory) Truncate(int64) error               { panic("only read") }
func (memory) Sync() error                        { return nil }
func (memory) Close() error                       { return nil }
func (m memory) Size() (int64, error)             { return m.Reader.Size(), nil }
