package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/throwaway"
)

// ownTemp gives the demonstration a temporary folder of its own, and sees to it that nothing is left in it.
func ownTemp(t *testing.T) {
	t.Helper()
	if _, err := throwaway.FindBin(); errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	// Not t.TempDir: the path of a socket must stay short.
	dir, err := os.MkdirTemp("", "demo")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // PostgreSQL runs as another user when we are root
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			t.Errorf("left behind: %s", e.Name())
		}
		for _, command := range processesOf(dir) {
			t.Errorf("still running: %s", command)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
}

// processesOf are the command lines that name a folder, where /proc tells.
func processesOf(dir string) (list []string) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(dir)) { //nolint:gosec // /proc
			list = append(list, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return list
}

// cancelAt ends a context when a text is written.
type cancelAt struct {
	text   string
	cancel context.CancelFunc
	mu     sync.Mutex // guards all
	all    bytes.Buffer
}

func (c *cancelAt) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Write(p)
	if bytes.Contains(c.all.Bytes(), []byte(c.text)) {
		c.cancel()
	}
	return len(p), nil
}

// TestDemoInterrupted interrupts the story in different acts; ownTemp looks for what is left.
func TestDemoInterrupted(t *testing.T) {
	moments := []string{"A private PostgreSQL", "Protect what is there", "before and after he says why"}
	if large() {
		moments = append(moments, "low and slow:") // nearly at its end, which takes a whole demonstration
	}
	for _, text := range moments {
		t.Run(text, func(t *testing.T) {
			ownTemp(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &cancelAt{text: text, cancel: cancel}
			m := &Main{Stdin: strings.NewReader(""), Stdout: out, Stderr: io.Discard, Getenv: os.Getenv}
			err := m.Run(ctx, []string{"demo", "--customers", "2000"})
			if err == nil || !strings.Contains(err.Error(), "interrupted") || exitCode(err) != ExitFailed {
				t.Errorf("interrupted, it says %v", err)
			}
			if strings.Contains(out.all.String(), "What became of it") {
				t.Error("it went on to the end")
			}
		})
	}
}
