package export

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/sources"
)

// TestFileErases: what is erased goes out of the present file and of those that were rotated, in each format; everything else stays, byte for byte, and
// the file goes on. The same erasure again changes nothing.
func TestFileErases(t *testing.T) {
	for _, format := range []Format{OCSF, CEF, ECS} {
		t.Run(string(format), func(t *testing.T) { fileErases(t, format) })
	}
}

func fileErases(t *testing.T, format Format) {
	c, now := encoder(t, format), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := &File{Path: filepath.Join(t.TempDir(), "out"), Rotate: 10_000, Clock: func() time.Time { now = now.Add(time.Second); return now }}
	defer f.Close()
	want := map[string]string{}
	deliver := func(from, to uint64) {
		t.Helper()
		for seq := from; seq <= to; seq++ {
			e := &sallyport.Event{Seq: seq, Time: now, Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: "s017", Session: "x9"}, Reveal: &sallyport.Revealed{
				Statement: 12, Columns: []sallyport.Column{{Schema: "support", Table: "customers", Name: "email"}},
				Values: sallyport.ValuesOf(sallyport.RevealedValue{Subject: "48211", Digest: sallyport.Digest{1}}),
			}}
			m := c.Append(nil, e)
			if n, err := f.Deliver(t.Context(), m); n != len(m) || err != nil {
				t.Fatal(n, err)
			}
			want[m[0].UID] = string(m[0].Body)
		}
	}
	deliver(1, 100)
	gone := func(uid string) bool { return strings.HasSuffix(uid, "7") }
	n, err := f.Erase(gone)
	if n != 10 || err != nil {
		t.Fatalf("%d lines, %v", n, err)
	}
	if n, err := f.Erase(gone); n != 0 || err != nil {
		t.Fatalf("again: %d lines, %v", n, err)
	}
	deliver(101, 106)
	files, err := filepath.Glob(f.Path + "*")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	got := 0
	for _, name := range files {
		for line := range strings.Lines(unpacked(t, name)) {
			line = strings.TrimSuffix(line, "\n")
			uid := lineUID([]byte(line))
			if gone(uid) || want[uid] != line {
				t.Errorf("in %s: %s", name, line)
			}
			got++
		}
	}
	if got != 96 {
		t.Errorf("%d lines are left, want 96", got)
	}
}

func unpacked(t *testing.T, name string) string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDeadLettersErased: dead letters are files like others.
func TestDeadLettersErased(t *testing.T) {
	d := &DeadFile{Path: filepath.Join(t.TempDir(), "x.dead.jsonl")}
	for _, seq := range []uint64{1, 2, 3} {
		if err := d.Keep([]Message{{UID: sources.UID(testRecord, seq, 0), Body: []byte("body")}}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := d.Erase(func(uid string) bool { return uid == sources.UID(testRecord, 2, 0) }); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	left, err := readDead(d.Path)
	if err != nil || len(left) != 2 || left[1].UID != sources.UID(testRecord, 3, 0) {
		t.Errorf("%+v, %v", left, err)
	}
}
