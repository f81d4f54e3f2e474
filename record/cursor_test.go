package record

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
)

func mustCursor(t *testing.T, dir, name string) *Cursor {
	t.Helper()
	c, err := OpenCursor(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestCursor: it keeps its place over a restart, never goes back, and belongs to one reader.
func TestCursor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cursors")
	c := mustCursor(t, dir, "syslog.a-1")
	if c.Position() != 0 {
		t.Errorf("a new cursor stands at %d", c.Position())
	}
	for _, seq := range []uint64{1, 7, 7, 1 << 40} {
		if err := c.Advance(seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Advance(8); err == nil || c.Position() != 1<<40 {
		t.Errorf("back to 8: %v, it stands at %d", err, c.Position())
	}
	if _, err := OpenCursor(dir, "syslog.a-1"); !errors.Is(err, ErrInUse) {
		t.Errorf("a second reader under the same name: %v", err)
	}
	if other := mustCursor(t, dir, "history"); other.Position() != 0 {
		t.Errorf("another name stands at %d", other.Position())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Advance(1 << 41); !errors.Is(err, ErrClosed) {
		t.Errorf("advance after close: %v", err)
	}
	if again := mustCursor(t, dir, "syslog.a-1"); again.Position() != 1<<40 {
		t.Errorf("opened again it stands at %d", again.Position())
	}
	for _, name := range []string{"", "../x", "A", ".x", "x.tmp", "x.lock", "a b", "a/b", strings.Repeat("a", 101)} {
		if c, err := OpenCursor(dir, name); err == nil {
			_ = c.Close()
			t.Errorf("the name %q was taken", name)
		}
	}
}

// TestCursorTorn stops the replacement of the file at each of its steps: the former position stays. A file that was altered is never taken for 0.
func TestCursorTorn(t *testing.T) {
	dir := t.TempDir()
	c := mustCursor(t, dir, "c")
	if err := c.Advance(12345); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "c")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole { // a crash while the new file was written
		if err := os.WriteFile(path+".tmp", whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := OpenCursor(dir, "c")
		if err != nil || again.Position() != 12345 {
			t.Fatalf("with %d bytes of the next one: %v", n, err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := OpenCursor(dir, "c"); err == nil {
			_ = c.Close()
			t.Errorf("cut to %q it was taken", whole[:n])
		}
	}
}

// TestCursorFollows: each of two readers gets every event, over restarts of the reader, at its own pace.
func TestCursorFollows(t *testing.T) {
	s, dir := mustOpen(t, t.TempDir(), Options{}), t.TempDir()
	const events = 60
	for range events {
		if _, err := s.Append(&sallyport.Event{Kind: sallyport.FactKind}); err != nil {
			t.Fatal(err)
		}
	}
	enough := errors.New("enough for this run")
	for _, reader := range []struct {
		name  string
		every int // events a run, of which the last is not confirmed
	}{{"fast", 50}, {"slow", 7}} {
		seen := map[uint64]int{}
		for runs := 0; len(seen) < events; runs++ {
			if runs > events {
				t.Fatalf("%s: %d events after %d runs", reader.name, len(seen), runs)
			}
			c, n := mustCursor(t, dir, reader.name), 0
			err := s.Follow(context.Background(), c.Position()+1, func(e *sallyport.Event) error {
				seen[e.Seq]++
				if n++; n == reader.every || e.Seq == events {
					return enough // it was delivered, and the crash comes before Advance
				}
				return c.Advance(e.Seq)
			})
			if !errors.Is(err, enough) {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for seq := range uint64(events) {
			if seen[seq+1] == 0 {
				t.Errorf("%s missed entry %d", reader.name, seq+1)
			}
		}
	}
}
