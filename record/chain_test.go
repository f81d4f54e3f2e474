package record

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
	"sallyport/internal/durable"
)

// forge writes a record whose frames are all in order, as somebody would who can write the files: payloads go through alter.
func forge(t *testing.T, n int, alter func(seq uint64, payload []byte), erase map[int]bool) *Stream {
	t.Helper()
	dir := t.TempDir()
	var log *durable.Log
	link := func(seq uint64, prev, payload []byte) {
		if prev == nil {
			start := chainStart(log.ID())
			prev = start[:]
		}
		linkEntry(seq, prev, payload)
		alter(seq, payload)
	}
	log, err := durable.Open(dir, durable.Options{Link: link})
	if err != nil {
		t.Fatal(err)
	}
	scratch := mustOpen(t, t.TempDir(), Options{})
	for i := 1; i <= n; i++ {
		buf := scratch.buffer()
		if err := scratch.encode(buf, &sallyport.Event{Kind: sallyport.FactKind, Time: time.Unix(int64(i), 0), Note: "note"}); err != nil {
			t.Fatal(err)
		}
		payload := buf.Bytes()
		if erase[i] {
			payload = append(append(payload[:formAt:formAt], formErased), payload[:formAt]...)
		}
		if _, err := log.Append(payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, dir, Options{})
}

func TestForgedEntriesShow(t *testing.T) {
	tests := []struct {
		name    string
		alter   func(seq uint64, payload []byte)
		missing []uint64
		report  []string
	}{
		{"nothing", func(uint64, []byte) {}, nil, nil},
		{"a body", func(seq uint64, p []byte) {
			if seq == 3 {
				p[len(p)-1] ^= 1
			}
		}, []uint64{3}, []string{"entry 3: altered"}},
		{"a salt", func(seq uint64, p []byte) {
			if seq == 5 {
				p[saltAt] ^= 1
			}
		}, []uint64{5}, []string{"entry 5: altered"}},
		{"a link, on which the rest is built", func(seq uint64, p []byte) {
			if seq == 2 {
				p[0] ^= 1
			}
		}, []uint64{2}, []string{"entry 2: altered"}},
		{"the form", func(seq uint64, p []byte) {
			if seq == 4 {
				p[formAt] = 9
			}
		}, []uint64{4}, []string{"entry 4: altered: not the form"}},
		{"the first and the last", func(seq uint64, p []byte) {
			if seq == 1 || seq == 6 {
				p[saltAt+3] ^= 1
			}
		}, []uint64{1, 6}, []string{"entry 1: altered", "entry 6: altered"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := forge(t, 6, tt.alter, nil)
			seen := map[uint64]bool{}
			err := s.Read(1, func(e *sallyport.Event) error { seen[e.Seq] = true; return nil })
			if (err == nil) != (tt.report == nil) {
				t.Fatalf("read: %v", err)
			}
			for _, want := range tt.report {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("read: %v, want %q", err, want)
				}
			}
			for _, seq := range tt.missing {
				if seen[seq] {
					t.Errorf("entry %d was delivered", seq)
				}
			}
			if len(seen) != 6-len(tt.missing) {
				t.Errorf("delivered %v", seen)
			}
		})
	}
}

// TestErasedEntry keeps the chain checkable over an entry whose salt and body are gone.
func TestErasedEntry(t *testing.T) {
	s := forge(t, 4, func(uint64, []byte) {}, map[int]bool{2: true})
	var seqs []uint64
	for _, e := range readAll(t, s, 1) {
		seqs = append(seqs, e.Seq)
	}
	if diff := cmp.Diff([]uint64{1, 3, 4}, seqs); diff != "" {
		t.Error(diff)
	}
	if list := readAll(t, s, 3); len(list) != 2 {
		t.Errorf("read from behind it: %d events", len(list))
	}
	altered := forge(t, 4, func(seq uint64, p []byte) {
		if seq == 2 {
			p[saltAt] ^= 1
		}
	}, map[int]bool{2: true})
	if err := altered.Read(1, func(*sallyport.Event) error { return nil }); err == nil || !strings.Contains(err.Error(), "entry 2: altered") {
		t.Errorf("an altered commitment: %v", err)
	}
}

// TestUnwritable takes the folder away, and gives it back.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir() + "/access"
	s := mustOpen(t, dir, Options{SegmentBytes: 4096})
	e := &sallyport.Event{Kind: sallyport.FactKind, Note: strings.Repeat("x", 500)}
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	acked := 0
	for {
		_, err := s.Append(e)
		if err != nil {
			if !errors.Is(err, ErrUnwritable) || !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("append: %v", err)
			}
			break
		}
		if acked++; acked > 100 {
			t.Fatal("the folder is gone, and nothing is refused")
		}
	}
	if _, err := s.Append(e); !errors.Is(err, ErrUnwritable) {
		t.Errorf("the next append: %v", err)
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	if seq, err := s.Append(e); err != nil || seq != uint64(acked+1) {
		t.Errorf("append with the folder back: %d, %v", seq, err)
	}
	if list := readAll(t, s, 1); len(list) != acked+1 {
		t.Errorf("%d of %d events are there", len(list), acked+1)
	}
}

func TestReadEndsWithItsCallback(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	for range 3 {
		if _, err := s.Append(&sallyport.Event{Kind: sallyport.FactKind}); err != nil {
			t.Fatal(err)
		}
	}
	n, stop := 0, errors.New("enough")
	if err := s.Read(1, func(*sallyport.Event) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("%d events, %v", n, err)
	}
	n = 0
	if err := s.Read(2, func(*sallyport.Event) error { n++; return ErrEnough }); err != nil || n != 1 {
		t.Errorf("enough: %d events, %v", n, err)
	}
	for e, err := range s.Events(t.Context()) {
		if n++; err != nil || e.Seq != uint64(n-1) {
			t.Errorf("%v, %v", e, err)
		}
		if e.Seq == 2 {
			break
		}
	}
	all := func(uint64) bool { return true }
	if err := s.Pick(1, all, func(uint64, *sallyport.Event) error { n++; return fmt.Errorf("seen: %w", ErrEnough) }); err != nil || n != 4 {
		t.Errorf("enough of what was picked: %d events, %v", n, err)
	}
}
