package serve

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"
)

// TestScanLeak writes what a thief would take out of the database, in the ways in which he would, and looks for it with the keys: every token
// is found, and the column that it comes from is named.
func TestScanLeak(t *testing.T) {
	f := newFort(t, "")
	var dump bytes.Buffer
	for _, sql := range []string{
		"COPY (SELECT id, full_name, email, phone, birth_date, notes FROM support.customers WHERE phone IS NOT NULL AND birth_date IS NOT NULL AND notes IS NOT NULL ORDER BY id LIMIT 200) TO STDOUT",
		"COPY (SELECT ticket_no, subject FROM support.tickets WHERE subject IS NOT NULL LIMIT 50) TO STDOUT CSV",
	} {
		if _, err := f.direct().PgConn().CopyTo(t.Context(), &dump, sql); err != nil {
			t.Fatal(err)
		}
	}
	rows := int64(strings.Count(dump.String(), "\n")) - 50
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes(dump.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, content := range map[string][]byte{
		"dump.sql": dump.Bytes(), "dump.sql.gz": gzipped(t, dump.Bytes()), "dump.sql.zst": zstandard(t, dump.Bytes()), "excel.txt": utf16,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, told bytes.Buffer
	m := &Main{Stdout: &out, Stderr: &told, Getenv: func(string) string { return "" }}
	err = m.Run(context.WithoutCancel(t.Context()), []string{
		"scan", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, "--key-file", f.options.KeyFile, "--only", "tokens", "--count", folder,
	})
	if !errors.Is(err, errFound) {
		t.Fatalf("scan ended with %v: %s", err, told.String())
	}
	for _, name := range []string{"dump.sql", "dump.sql.gz", "dump.sql.zst", "excel.txt"} {
		for what, n := range map[string]int64{
			"name, epoch 1, of support.customers.full_name": rows, "email, epoch 1, of support.customers.email": rows, "phone, epoch 1, by its form of support.customers.phone": rows,
			"date, epoch 1, of support.customers.birth_date": rows, "text, epoch 1, of support.customers.notes": rows,
			"number, by its form of support.tickets.ticket_no": 50, "text, epoch 1, of support.tickets.subject": 50,
		} {
			if want := fmt.Sprintf("%s: %d × token of the scheme %s\n", filepath.Join(folder, name), n, what); !strings.Contains(out.String(), want) {
				t.Errorf("no line %q", want)
			}
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 4*7 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

// TestScanBroken reads what is cut off: what stood in front is reported, and that there may be more.
func TestScanBroken(t *testing.T) {
	text := []byte(strings.Repeat("jane.roe@example.com\n", 5000))
	folder := t.TempDir()
	whole := gzipped(t, text)
	for name, content := range map[string][]byte{"cut.gz": whole[:len(whole)-6], "head.gz": {0x1f, 0x8b, 'x'}, "cut.zst": zstandard(t, text)[:20]} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var out, told bytes.Buffer
		m := &Main{Stdout: &out, Stderr: &told, Getenv: func(string) string { return "" }}
		err := m.Run(context.WithoutCancel(t.Context()), []string{"scan", path})
		if exitCode(err) != ExitFailed || !strings.Contains(told.String(), "sallyport: "+path+": ") {
			t.Errorf("%s: %v, %s", name, err, told.String())
		}
	}
}

// TestScanLinkedFolder: a link that is named is followed, also to a folder; one that is met there is not.
func TestScanLinkedFolder(t *testing.T) {
	folder, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "a.txt"), []byte("jane.roe@example.com\n"), 0o600),
		os.Symlink(folder, filepath.Join(folder, "round")), os.Symlink(folder, link)); err != nil {
		t.Fatal(err)
	}
	out, err := runMainOf(t, "scan", link)
	if want := filepath.Join(link, "a.txt") + ":1:1: plain e-mail address\n0 tokens and 1 plain value in 1 of 1 file\n"; !errors.Is(err, errFound) || out != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t *testing.T, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}
