package api

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestListen(t *testing.T) {
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "control.sock")

	// What a killed run left: a socket on which nobody answers.
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()

	l, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v %v; want a socket of mode 0600", info.Mode(), err)
	}
	if _, err := Listen(t.Context(), path); !errors.Is(err, ErrAnswered) {
		t.Errorf("a second serve: %v", err)
	}
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}

	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file in its place: %v", err)
	}
	if _, err := Listen(t.Context(), filepath.Join(dir, strings.Repeat("x", 200))); err == nil || !strings.Contains(err.Error(), "shorter folder") {
		t.Errorf("a long path: %v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	c := NewClient(filepath.Join(t.TempDir(), "control.sock"), "s050", password)
	defer c.Close()
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "is 'sallyport serve' running") || strings.Contains(err.Error(), password) {
		t.Error(err)
	}
}
