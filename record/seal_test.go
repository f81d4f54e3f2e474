package record

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
	"sallyport/internal/disk"
	"sallyport/internal/durable"
)

func mustKey(b byte) *Key {
	k, err := NewKey(bytes.Repeat([]byte{b}, KeySize))
	if err != nil {
		panic(err)
	}
	return k
}

func testKey(t testing.TB, b byte) *Key {
	t.Helper()
	return mustKey(b)
}

const secretNote = "customer 48211 was looked at"

func noted(i int) *sallyport.Event {
	return &sallyport.Event{Kind: sallyport.FactKind, Time: time.Unix(int64(i), 0).UTC(), Note: fmt.Sprint(secretNote, " ", i)}
}

func appendNoted(t *testing.T, s *Stream, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if seq, err := s.Append(noted(i)); err != nil || seq != uint64(i) {
			t.Fatalf("append %d: %d, %v", i, seq, err)
		}
	}
}

// TestSealedAtRest: nothing of an event is readable on disk, the right key reads all of it, and no other key, nor none, anything.
func TestSealedAtRest(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{Key: testKey(t, 1)})
	full := fullEvent()
	if _, err := s.Append(full); err != nil {
		t.Fatal(err)
	}
	appendNoted(t, s, 2, 20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(segments(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{secretNote, "s001", "support", "fact", "customers"} {
		if bytes.Contains(stored, []byte(word)) {
			t.Errorf("%q stands on disk", word)
		}
	}

	again := mustOpen(t, dir, Options{Key: testKey(t, 1)})
	if !again.Sealed() {
		t.Error("it says that nothing is encrypted")
	}
	got := readAll(t, again, 1)
	full.Seq = 1
	if diff := cmp.Diff(full, got[0]); diff != "" {
		t.Error(diff)
	}
	if len(got) != 21 || got[20].Note != noted(21).Note {
		t.Errorf("%d events, the last is %q", len(got), got[len(got)-1].Note)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}

	if _, err := Open(dir, Options{Key: testKey(t, 2)}); !errors.Is(err, ErrSealed) {
		t.Errorf("with another key: %v", err)
	}
	none := mustOpen(t, dir, Options{})
	if err := none.Read(1, func(*sallyport.Event) error { t.Error("an event without the key"); return nil }); !errors.Is(err, ErrSealed) {
		t.Errorf("read without a key: %v", err)
	}
	for name, put := range map[string]func(*sallyport.Event) (uint64, error){"append": none.Append, "enqueue": none.Enqueue} {
		if _, err := put(noted(22)); !errors.Is(err, ErrSealed) {
			t.Errorf("%s in plain beside what is encrypted: %v", name, err)
		}
	}
}

// TestPlainBecomesSealed: what was written before there was a key stays readable, and in the same chain.
func TestPlainBecomesSealed(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{SegmentBytes: 4096})
	appendNoted(t, s, 1, 30)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for run := range 3 { // each has a key of its own
		s = mustOpen(t, dir, Options{SegmentBytes: 4096, Key: testKey(t, 1)})
		appendNoted(t, s, 31+30*run, 30)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s = mustOpen(t, dir, Options{Key: testKey(t, 1)})
	for i, e := range readAll(t, s, 1) {
		if e.Note != noted(i+1).Note {
			t.Fatalf("entry %d is %q", i+1, e.Note)
		}
	}
	if s.Last() != 120 {
		t.Errorf("%d entries", s.Last())
	}
	for _, from := range []uint64{29, 31, 60, 61, 119} {
		if list := readAll(t, s, from); len(list) != int(121-from) { //nolint:gosec // small
			t.Errorf("from %d on there are %d", from, len(list))
		}
	}
}

// TestChainNeedsNoKey computes the chain from what stands on disk, as an auditor does who has no key.
func TestChainNeedsNoKey(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{Key: testKey(t, 1)})
	appendNoted(t, s, 1, 50)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	link, n := [32]byte{}, 0
	rawEntries(t, dir, func(log *durable.Log, seq uint64, payload []byte) {
		if n++; n == 1 {
			id := log.ID()
			link = sha256.Sum256(id[:])
		}
		commitment := sha256.Sum256(payload[33:]) // docs/record.md
		var b []byte
		b = append(b, link[:]...)
		b = append(b, 0, 0, 0, 0, 0, 0, 0, byte(seq))
		b = append(b, commitment[:]...)
		if link = sha256.Sum256(b); link != [32]byte(payload) {
			t.Errorf("entry %d: the link does not follow", seq)
		}
		if payload[32] != 5 {
			t.Errorf("entry %d has the form %d", seq, payload[32])
		}
	})
	if n != 50 {
		t.Errorf("%d entries", n)
	}
}

func rawEntries(t *testing.T, dir string, fn func(log *durable.Log, seq uint64, payload []byte)) {
	t.Helper()
	log, err := durable.Open(dir, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r := log.Reader(1)
	defer r.Close()
	for {
		seq, payload, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		fn(log, seq, payload)
	}
}

// TestMovedEntriesShow has somebody without the key write sealed entries elsewhere, the chain made anew as it must be: they do not open there.
func TestMovedEntriesShow(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{Key: testKey(t, 1)})
	appendNoted(t, s, 1, 4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var bodies [][]byte
	rawEntries(t, dir, func(_ *durable.Log, _ uint64, payload []byte) { bodies = append(bodies, bytes.Clone(payload[formAt:])) })

	// The same record id, so that only the place is another one.
	first := segments(t, dir)[0]
	header, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	clear(header[64:])
	if err := os.WriteFile(first, header, 0o600); err != nil {
		t.Fatal(err)
	}
	var log *durable.Log
	log, err = durable.Open(dir, durable.Options{Link: func(seq uint64, prev, payload []byte) {
		if prev == nil {
			start := chainStart(log.ID())
			prev = start[:]
		}
		linkEntry(seq, prev, payload)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 2, 1, 3, 3} { // swapped, and the last one replayed
		commitment := sha256.Sum256(bodies[i][1:])
		if _, err := log.Append(append(commitment[:], bodies[i]...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	forged := mustOpen(t, dir, Options{Key: testKey(t, 1)})
	var seen []string
	err = forged.Read(1, func(e *sallyport.Event) error { seen = append(seen, e.Note); return nil })
	if diff := cmp.Diff([]string{noted(1).Note, noted(4).Note}, seen); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"entry 2: altered", "entry 3: altered", "entry 5: altered"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("read: %v, want %q", err, want)
		}
	}
}

// TestNonces: whatever fails and is written again, and whenever it is opened anew, nothing is sealed twice under one key and number.
func TestNonces(t *testing.T) {
	d := disk.NewSim(1)
	type sealed struct {
		key    [KeySize]byte
		number [8]byte
	}
	seen, keys := map[sealed]string{}, map[[KeySize]byte]int{}
	for run := range 5 {
		s := mustOpen(t, "sim", Options{SegmentBytes: 4096, Disk: d, Key: testKey(t, 1)})
		s.seal.cipher = func(key []byte) (cipher.AEAD, error) {
			inner, err := gcm(key)
			own := [KeySize]byte(key)
			return spy{inner, func(nonce, plain []byte) {
				k := sealed{key: own, number: [8]byte(nonce[4:])}
				if what, again := seen[k]; again {
					t.Errorf("the number %x of a run seals %.30q and before %.30q", k.number, plain, what)
				}
				seen[k] = string(plain)
				keys[own]++
			}}, err
		}
		for i := range 60 {
			d.Mu.Lock()
			d.Fail = nil
			if i%3 == run%3 {
				d.Fail = func(op, _ string) error {
					if strings.Contains(op, []string{"write", "sync", "create"}[i%3]) {
						return syscall.EIO
					}
					return nil
				}
			}
			d.Mu.Unlock()
			_, err := s.Append(noted(i))
			if i%3 != run%3 && err != nil {
				t.Fatal(err)
			}
			_, _ = s.Enqueue(noted(i)) // it is kept, and sealed again with the next batch
		}
		d.Mu.Lock()
		d.Fail = nil
		d.Mu.Unlock()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) < 400 || len(keys) != len(seen) {
		t.Errorf("%d entries were sealed, by %d keys", len(seen), len(keys))
	}
}

// spy tells what is sealed.
type spy struct {
	inner interface {
		NonceSize() int
		Overhead() int
		Seal(dst, nonce, plain, additional []byte) []byte
		Open(dst, nonce, ciphertext, additional []byte) ([]byte, error)
	}
	told func(nonce, plain []byte)
}

func (s spy) NonceSize() int { return s.inner.NonceSize() }
func (s spy) Overhead() int  { return s.inner.Overhead() }
func (s spy) Seal(dst, nonce, plain, additional []byte) []byte {
	s.told(nonce, plain)
	return s.inner.Seal(dst, nonce, plain, additional)
}

func (s spy) Open(dst, nonce, ciphertext, additional []byte) ([]byte, error) {
	return s.inner.Open(dst, nonce, ciphertext, additional)
}

// TestFull: what must be on record first is refused, what may come later is written all the same, and it ends.
func TestFull(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	cause := errors.New("the cause")
	s.SetFull(cause)
	if _, err := s.Append(noted(1)); !errors.Is(err, ErrUnwritable) || !errors.Is(err, cause) || !s.Failing() {
		t.Errorf("append: %v, failing %v", err, s.Failing())
	}
	if err := s.Sync(); !errors.Is(err, ErrUnwritable) {
		t.Errorf("sync: %v", err)
	}
	if _, err := s.Enqueue(noted(1)); err != nil {
		t.Errorf("enqueue: %v", err)
	}
	s.SetFull(nil)
	if seq, err := s.Append(noted(2)); err != nil || seq != 2 {
		t.Errorf("append with room: %d, %v", seq, err)
	}
}

// TestMaxBytes: the files never take more than they may, everything acknowledged is there, and with more room it goes on.
func TestMaxBytes(t *testing.T) {
	dir := t.TempDir()
	o := Options{SegmentBytes: 4096, MaxBytes: 5 * 4096, Key: testKey(t, 1)}
	s := mustOpen(t, dir, o)
	n := 0
	for {
		if _, err := s.Append(noted(n)); err != nil {
			if !errors.Is(err, ErrUnwritable) || !errors.Is(err, durable.ErrFull) {
				t.Fatal(err)
			}
			break
		}
		if n++; n > 1000 {
			t.Fatal("it takes more than it may")
		}
		if size := onDisk(t, dir); s.Size() > o.MaxBytes || size > o.MaxBytes {
			t.Fatalf("it takes %d bytes, and says %d of %d", size, s.Size(), o.MaxBytes)
		}
	}
	if n < 30 {
		t.Errorf("full after %d entries", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.MaxBytes *= 2
	s = mustOpen(t, dir, o)
	if s.Last() != uint64(n) { //nolint:gosec // small
		t.Errorf("%d entries, %d were acknowledged", s.Last(), n)
	}
	if _, err := s.Append(noted(n)); err != nil {
		t.Errorf("with more room: %v", err)
	}
}

func onDisk(t *testing.T, dir string) (size int64) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := name.Info(); err == nil { // else it was renamed meanwhile
			size += info.Size()
		}
	}
	return size
}
