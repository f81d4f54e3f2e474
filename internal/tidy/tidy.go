// Package tidy sees that a test leaves nothing behind: no file in the temporary folder, and no process that names it. It is for tests alone.
package tidy

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/throwaway"
)

// Temp gives a test a temporary folder of its own (TMPDIR), and in the end an error for whatever is left in it. Without PostgreSQL's programs the test is left out.
func Temp(t *testing.T) {
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
