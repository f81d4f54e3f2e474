package serve

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/record"
)

// keeping is a watchtower whose detection keeps what it has learnt.
func keeping(t *testing.T) *watchtower {
	w := newWatchtower(t)
	w.folder = t.TempDir()
	var err error
	w.keep, err = record.NewKey(bytes.Repeat([]byte{7}, record.KeySize))
	fatal(t, err)
	return w
}

// life runs detection over more entries, and says from which entry it went on.
func (w *watchtower) life(more []*sallyport.Event) (from uint64) {
	w.t.Helper()
	d := w.detecting()
	stop := w.run(d)
	within(w.t, 60*time.Second, "it has begun", func() bool {
		return d.read.Load() > 0 || w.access.Last() == 0 || strings.Contains(w.log.String(), "put aside")
	})
	from = d.read.Load()
	w.append(more)
	w.caughtUp(d)
	stop()
	return from
}

// TestAStartGoesOnFromWhatWasKept: four lives of serve that go on from each other find to the letter what one finds that read everything.
func TestAStartGoesOnFromWhatWasKept(t *testing.T) {
	all := weeks(newWatchtower(t).staff(), 16)
	part := func(i int) []*sallyport.Event { return all[i*len(all)/4 : (i+1)*len(all)/4] }
	plain := newWatchtower(t)
	plain.life(all)
	w := keeping(t)
	for i := range 4 {
		if from := w.life(part(i)); i > 0 && from < uint64(i*len(all)/4) { //nolint:gosec // small
			t.Errorf("life %d began at entry %d of %d", i, from, i*len(all)/4)
		}
	}
	if got, want := w.lines(), plain.lines(); len(want) == 0 || !slices.Equal(got, want) {
		t.Fatalf("it found\n%s\n\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	file := filepath.Join(w.folder, keepName)
	text, err := os.ReadFile(file)
	fatal(t, err)
	if bytes.Contains(text, []byte("s004")) {
		t.Error("who looked at whom stands in plain in what is kept")
	}
	found := len(w.lines())
	for name, bad := range map[string][]byte{"changed": append(text[:len(text)-1:len(text)-1], text[len(text)-1]^1), "cut": text[:len(text)/2], "empty": nil} {
		fatal(t, os.WriteFile(file, bad, 0o600))
		d := w.detecting()
		if fatal(t, d.begin()); d.at != 0 {
			t.Errorf("what was kept was %s, and it goes on from it at %d", name, d.at)
		}
	}
	fatal(t, os.WriteFile(file, text, 0o600))
	other := w.detecting()
	if other.settings = "others"; other.begin() != nil || other.at != 0 {
		t.Errorf("under other settings it goes on at %d", other.at)
	}
	if w.life(nil); len(w.lines()) != found {
		t.Errorf("a start found %d lines a second time", len(w.lines())-found)
	}
}

// TestWhatIsErasedIsNotKept: an erasure removes what was learnt, and nothing is kept until a start has read the record without it.
func TestWhatIsErasedIsNotKept(t *testing.T) {
	w := keeping(t)
	all := weeks(w.staff(), 4)
	file := filepath.Join(w.folder, keepName)
	w.life(all[:len(all)/2])
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	d := w.detecting()
	stop := w.run(d)
	within(t, 20*time.Second, "it has taken up what was kept", func() bool { return d.read.Load() > 0 })
	fatal(t, w.orders.Give(nil, &sallyport.Event{Time: all[0].Time, Kind: sallyport.Erasing, Order: &sallyport.Order{Action: "erase", Erased: &sallyport.Erasure{}}}))
	within(t, 20*time.Second, "it is gone", func() bool { _, err := os.Stat(file); return os.IsNotExist(err) })
	w.append(all[len(all)/2:])
	w.caughtUp(d)
	stop()
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("what was learnt of what is erased was kept: %v", err)
	}
	w.life(nil)
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the next start keeps it again: %v", err)
	}
}
