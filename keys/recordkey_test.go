package keys

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func makeRecord(t *testing.T, dir string, p Provider) []byte {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	key, err := MakeRecord(context.Background(), dir, p, time.Now())
	must(t, err)
	return key
}

// TestRecordKey: the key is made once, comes back, does not stand in the folder, and is never made anew over one that is there.
func TestRecordKey(t *testing.T) {
	ctx := context.Background()
	dir, keyFile := places(t)
	p := &KeyFile{Path: keyFile, Dir: dir}
	if _, err := OpenRecord(ctx, dir, p); !errors.Is(err, ErrNone) {
		t.Errorf("before there is one: %v", err)
	}
	key := makeRecord(t, dir, p)
	if provider, err := LookRecord(dir); provider != AgeProvider || err != nil {
		t.Errorf("look: %q, %v", provider, err)
	}
	again, err := OpenRecord(ctx, dir, p)
	if err != nil || !bytes.Equal(again, key) || len(key) != KeySize {
		t.Errorf("opened again: %v, the same: %v", err, bytes.Equal(again, key))
	}
	path := filepath.Join(dir, RecordKeyName)
	content, err := os.ReadFile(path)
	must(t, err)
	if bytes.Contains(content, key) {
		t.Error("the key stands in the file")
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := MakeRecord(ctx, dir, p, time.Now()); err == nil {
		t.Error("a second key was made over the first")
	}
	for i := range content {
		must(t, os.WriteFile(path, append(bytes.Clone(content[:i]), append([]byte{content[i] ^ 1}, content[i+1:]...)...), 0o600))
		if got, err := OpenRecord(ctx, dir, p); err == nil && !bytes.Equal(got, key) {
			t.Fatalf("byte %d changed: another key", i)
		}
	}
}

// TestRecordKeyRewrap: another provider opens it, the same key comes back, and the ring's rotation does not touch it.
func TestRecordKeyRewrap(t *testing.T) {
	ctx := context.Background()
	dir, keyFile := places(t)
	age := &KeyFile{Path: keyFile, Dir: dir}
	ring := mustOpen(t, dir, keyFile)
	key := makeRecord(t, dir, age)
	before, err := os.ReadFile(filepath.Join(dir, RecordKeyName))
	must(t, err)
	if _, err := ring.Rotate("phone"); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, RecordKeyName))
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("a rotation of the ring's keys changed the record's")
	}
	vault := mustVault(t, newFakeVault(t).options(t))
	must(t, RewrapRecord(ctx, dir, age, vault, time.Now()))
	if got, err := OpenRecord(ctx, dir, vault); err != nil || !bytes.Equal(got, key) {
		t.Errorf("by the fake Vault: %v, the same: %v", err, bytes.Equal(got, key))
	}
	if _, err := OpenRecord(ctx, dir, age); err == nil || !strings.Contains(err.Error(), "was wrapped by vault://") {
		t.Errorf("by the former provider: %v", err)
	}
}

// TestRecordKeyNeedsTheRightFile: beside a ring no key is wrapped by another key file than the ring's, and none is made.
func TestRecordKeyNeedsTheRightFile(t *testing.T) {
	ctx := context.Background()
	dir, keyFile := places(t)
	mustOpen(t, dir, keyFile).Close()
	missing := filepath.Join(t.TempDir(), "missing.txt")
	if _, err := MakeRecord(ctx, dir, &KeyFile{Path: missing, Dir: dir}, time.Now()); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("with a key file that is not there: %v", err)
	}
	if have, _ := exists(missing); have {
		t.Error("a key file was made beside a ring that another one opens")
	}
	_, other := places(t)
	otherDir := t.TempDir()
	mustOpen(t, otherDir, other).Close()
	if _, err := MakeRecord(ctx, dir, &KeyFile{Path: other, Dir: dir}, time.Now()); err == nil || !strings.Contains(err.Error(), "was not wrapped for the identity") {
		t.Errorf("with another key file: %v", err)
	}
	if _, err := LookRecord(dir); !errors.Is(err, ErrNone) {
		t.Errorf("after that: %v", err)
	}
}
