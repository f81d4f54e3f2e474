package intake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"sallyport"
	"sallyport/record"
)

func idOf(n int) (key [16]byte) {
	return keyOf("crm", fmt.Sprint(n))
}

func knows(t *testing.T, k *ids, n int) bool {
	t.Helper()
	there, err := k.known([][16]byte{idOf(n)})
	fatal(t, err)
	return there[0]
}

// TestImportedIDs: ids stay over a restart, are no memory, and are begun anew where the file is damaged, another record's, or ahead of the record.
func TestImportedIDs(t *testing.T) {
	data := t.TempDir()
	stream, err := record.Open(filepath.Join(data, "access"), record.Options{Now: time.Now})
	fatal(t, err)
	defer stream.Close()
	for range 3 {
		_, err := stream.Append(&sallyport.Event{Kind: sallyport.FactKind})
		fatal(t, err)
	}
	k, err := openIDs(data, stream)
	fatal(t, err)
	const many = 200_000
	heap := func() uint64 {
		for range 3 { // pools let go of what they keep at the second
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for from := 0; from < many; from += 10_000 {
		var keys [][16]byte
		for n := from; n < from+10_000; n++ {
			keys = append(keys, idOf(n))
		}
		fatal(t, k.add(keys, 2))
	}
	after := heap()
	t.Logf("%d ids, %d KiB more on the heap", many, int64(after-before)/1024)
	if after > before+many*16/2 {
		t.Errorf("%d ids take %d bytes of the heap", many, after-before)
	}
	if !knows(t, k, 0) || !knows(t, k, many-1) || knows(t, k, many) {
		t.Error("it does not know what it knows")
	}
	if _, err := tryIDs(filepath.Join(data, idsName), stream); err == nil {
		t.Error("two have it open")
	}
	fatal(t, k.Close())
	again := func(of *record.Stream) *ids {
		t.Helper()
		k, err := openIDs(data, of)
		fatal(t, err)
		return k
	}
	k = again(stream)
	if at, err := k.position(); at != 2 || err != nil || !knows(t, k, 7) {
		t.Errorf("after a restart: at %d, %v", at, err)
	}
	fatal(t, k.add(nil, 4)) // the record has three
	fatal(t, k.Close())
	if k = again(stream); knows(t, k, 7) {
		t.Error("it is ahead of the record, and believed")
	}
	fatal(t, k.add([][16]byte{idOf(7)}, 1))
	fatal(t, k.Close())
	other, err := record.Open(filepath.Join(data, "other"), record.Options{Now: time.Now})
	fatal(t, err)
	defer other.Close()
	if k = again(other); knows(t, k, 7) {
		t.Error("it is another record's, and believed")
	}
	fatal(t, k.Close())
	fatal(t, os.WriteFile(filepath.Join(data, idsName), binary.BigEndian.AppendUint64(make([]byte, 8192), 1), 0o600))
	if k = again(stream); knows(t, k, 7) {
		t.Error("it is damaged, and believed")
	}
	fatal(t, k.Close())
}

// TestImportsLearned: what a crash left out of the file of ids is read from the record, and nothing is imported twice.
func TestImportsLearned(t *testing.T) {
	data := t.TempDir()
	stream, err := record.Open(filepath.Join(data, "access"), record.Options{Now: time.Now})
	fatal(t, err)
	defer stream.Close()
	i := New(data, stream, nil, time.Now)
	i.open = map[string]order{"im-1": {"o1", "crm"}}
	defer func() { fatal(t, i.Close()) }()
	part := func(from, to int) (list []sallyport.Access) {
		for n := from; n < to; n++ {
			list = append(list, sallyport.Access{UID: fmt.Sprint(n), Time: time.Now(), Staff: "s017"})
		}
		return list
	}
	take := func(from, to, fresh int) {
		t.Helper()
		got, err := i.Take(context.Background(), "o1", "im-1", "ocsf", part(from, to))
		if err != nil || got.New != fresh || got.Known != to-from-fresh {
			t.Fatalf("%d to %d: %+v, %v; want %d new", from, to, got, err, fresh)
		}
	}
	take(0, 1000, 1000)
	take(500, 1500, 500)
	fatal(t, i.Close())
	for n := 1500; n < 1600; n++ { // their entries are durable, and serve was killed before the file had them
		fatal(t, i.put(&sallyport.Event{Kind: sallyport.ImportedKind, Imported: &sallyport.Imported{Source: "crm", Access: part(n, n+1)[0]}}))
	}
	take(1400, 1700, 100)
	fatal(t, i.Close())
	if err := os.Remove(filepath.Join(data, idsName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	take(0, 1700, 0)
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
