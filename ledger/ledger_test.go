package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/klog/v2"

	"sallyport"
	"sallyport/record"
)

// crashEnv names the data folder in which a child of the crash test appends and follows.
const crashEnv = "SALLYPORT_LEDGER_CRASH_DIR"

func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))) // the library's
	if dir := os.Getenv(crashEnv); dir != "" {
		appendAndFollow(dir)
	}
	goleak.VerifyTestMain(m)
}

// world is a data folder with both streams open.
type world struct {
	key             *record.Key // nil: plain entries
	t               testing.TB
	dir             string
	access, control *record.Stream
	segment         int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), segment: 4 << 10}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	for name, s := range map[string]**record.Stream{"access": &w.access, "control": &w.control} {
		if *s, err = record.Open(filepath.Join(w.dir, name), record.Options{SegmentBytes: w.segment, Key: w.key}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) close() {
	w.t.Helper()
	for _, s := range []*record.Stream{w.access, w.control} {
		if err := s.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func sourceOf(s Stream, r *record.Stream) Source {
	return Source{Stream: s, ID: r.RawID(), Last: r.Last, Wait: r.Wait, Open: func(from uint64) Tap { return r.Tap(from) }}
}

func (w *world) options() Options {
	return Options{Data: w.dir, Sources: []Source{sourceOf(Control, w.control), sourceOf(Access, w.access)}}
}

// add appends so many entries: one in seven to the control stream.
func (w *world) add(n int) {
	w.t.Helper()
	for i := range n {
		s, e := w.access, &sallyport.Event{Kind: sallyport.SessionStart, Who: sallyport.Who{Staff: "s001", Session: fmt.Sprint(i)}, Note: strings.Repeat("x", i%90)}
		if i%7 == 6 {
			s, e = w.control, &sallyport.Event{Kind: sallyport.LogInOK, Order: &sallyport.Order{By: "s050", Details: fmt.Sprint(i)}}
		}
		if _, err := s.Append(e); err != nil {
			w.t.Fatal(err)
		}
	}
}

// follow runs a ledger until everything that is durable now is under a checkpoint, and ends it in order.
func (w *world) follow(o Options) *Ledger {
	w.t.Helper()
	l, err := Open(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	want := w.access.Last() + w.control.Last()
	w.run(l, func() bool { return l.Status().Size >= want })
	if l.Status().Lag != 0 {
		w.t.Fatalf("it ended with %+v", l.Status())
	}
	return l
}

func (w *world) run(l *Ledger, until func() bool) {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%+v", l.Status())
		}
	}()
	within(w.t, 30*time.Second, until)
	stop()
	<-done
}

// within waits for a condition.
func within(t testing.TB, most time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(most); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("it did not come true within %s", most)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// verify expects nothing to be found.
func (w *world) verify(out Outside) *Report {
	w.t.Helper()
	r, err := Verify(os.DirFS(w.dir), out)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range r.Findings {
		w.t.Errorf("%s: %s", f.Where, f.What)
	}
	return r
}

func (w *world) read(name string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, filepath.FromSlash(name)))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// TestEveryEntryEntersTheLedger follows two streams over several starts: each entry has its leaf, in order, under one checkpoint.
func TestEveryEntryEntersTheLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(10)
	l := w.follow(w.options())
	before := w.read("ledger/checkpoint")
	w.add(700)
	w.follow(w.options())
	w.close()
	w.open()
	w.add(33)
	w.follow(w.options())
	w.close()

	key := l.Status().Key
	r := w.verify(Outside{Key: key, Checkpoints: map[string][]byte{"yesterday's": before, "today's": w.read("ledger/checkpoint")}})
	if r.Leaves != 743 || r.Signed != 743 || r.Entries["access"]+r.Entries["control"] != 743 || r.Unledgered["access"] != 0 {
		t.Errorf("%+v", r)
	}
	for _, c := range r.Checkpoints {
		if !c.Fits {
			t.Errorf("%s does not fit", c.Name)
		}
	}
	r = w.verify(Outside{})
	if text := strings.Join(r.NotChecked, "\n"); !strings.Contains(text, "whoever holds the ledger's key") || !strings.Contains(text, "taken from the copy") {
		t.Errorf("without anything outside, what is not checked is %s", text)
	}
}

// TestNewestEntriesAreNamed shows what a verifier says of entries that are in no log yet.
func TestNewestEntriesAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(20)
	w.follow(w.options())
	w.add(7)
	w.close()
	r := w.verify(Outside{})
	if r.Unledgered["access"] != 6 || r.Unledgered["control"] != 1 || !strings.Contains(strings.Join(r.NotChecked, "\n"), "newest 6 entries of the access") {
		t.Errorf("%v %v", r.Unledgered, r.NotChecked)
	}
}

// TestOlderLedgerIsRefused puts an older copy of everything back: the checkpoint kept elsewhere is newer.
func TestOlderLedgerIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	elsewhere := filepath.Join(t.TempDir(), "checkpoint")
	o := func() Options { o := w.options(); o.Copies = []string{elsewhere}; return o }
	w.add(20)
	w.run(mustOpen(t, o()), func() bool {
		b, err := os.ReadFile(elsewhere)
		return err == nil && strings.Contains(string(b), "\n20\n")
	})
	w.close()
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.add(20)
	w.run(mustOpen(t, o()), func() bool {
		b, err := os.ReadFile(elsewhere)
		return err == nil && strings.Contains(string(b), "\n40\n")
	})
	w.close()

	w.dir = old
	w.open()
	defer w.close()
	if _, err := Open(t.Context(), o()); err == nil || !strings.Contains(err.Error(), "40 entries, and here are 20") || !strings.Contains(err.Error(), "Restore a newer backup") {
		t.Errorf("an older copy is opened: %v", err)
	}
}

func mustOpen(t *testing.T, o Options) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestKeyAndNameStay holds a ledger to its key and its name.
func TestKeyAndNameStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(3)
	w.follow(w.options())
	defer w.close()
	o := w.options()
	o.Origin = "another/name"
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "a name is for ever") {
		t.Errorf("another name: %v", err)
	}
	key := filepath.Join(w.dir, KeyFile)
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), w.options()); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("without its key: %v", err)
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(w.dir, Folder)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), w.options()); err == nil || !strings.Contains(err.Error(), "a second history") {
		t.Errorf("a key without its ledger: %v", err)
	}
}

// TestNothingIsSignedButTheRecord asks the signer for trees that are not what was expected.
func TestNothingIsSignedButTheRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	defer w.close()
	l := mustOpen(t, w.options())
	l.key.begin(factory().NewEmptyRange(0))
	leaves := [][]byte{Leaf{Access, [16]byte{1}, 1, [32]byte{1}}.Hash(), Leaf{Access, [16]byte{1}, 2, [32]byte{2}}.Hash()}
	if err := l.key.expect(leaves, 10); err != nil {
		t.Fatal(err)
	}
	one, err := rootOf(factory().NewEmptyRange(0), leaves[:1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.key.Sign([]byte(checkpointText("x", 1, one))); err != nil {
		t.Errorf("the first leaf: %v", err)
	}
	for _, text := range []string{checkpointText("x", 2, one), checkpointText("x", 3, one), "x\n1\n", "free text"} {
		if _, err := l.key.Sign([]byte(text)); err == nil {
			t.Errorf("it signs %q", text)
		}
	}
	other, err := rootOf(factory().NewEmptyRange(0), leaves[1:])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.key.Sign([]byte(checkpointText("x", 1, other))); err == nil {
		t.Error("it signs a log with a hole at its beginning")
	}
}

// TestUnsignedLeavesAreTakenBack puts a wrong leaf behind the last checkpoint, as a batch does that failed in its middle, and expects
// it gone; under a checkpoint it is a contradiction that nobody resolves but a person.
func TestUnsignedLeavesAreTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(300)
	w.follow(w.options())
	w.add(5)
	wrong := Leaf{Access, w.access.RawID(), 4711, [32]byte{1}}
	w.putLeaf(wrong)
	l := w.follow(w.options())
	w.add(1)
	w.follow(w.options())
	w.close()
	if r := w.verify(Outside{Key: l.Status().Key}); r.Leaves != 306 {
		t.Errorf("%d leaves", r.Leaves)
	}
}

// putLeaf writes a leaf at the end of the log, as the library would, and signs nothing.
func (w *world) putLeaf(leaf Leaf) {
	w.t.Helper()
	log := tiles{os.DirFS(filepath.Join(w.dir, Folder))}
	var leaves []Leaf
	var state treeState
	readJSON(filepath.Join(w.dir, Folder, filepath.FromSlash(stateName)), &state)
	for i := uint64(0); i*256 < state.Size; i++ {
		b, err := log.bundle(i, state.Size)
		if err != nil {
			w.t.Fatal(err)
		}
		leaves = append(leaves, b...)
	}
	for name, b := range logFiles(w.t, append(leaves, leaf)) {
		path := filepath.Join(w.dir, Folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}
