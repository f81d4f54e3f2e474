package durable

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestModel lets many goroutines append, enqueue and sync on a disk that refuses something now and then, and closes the log under them.
// Whoever is told that something is durable reads it at once. Afterwards the log holds what was acknowledged under its sequence, what was
// enqueued once and in order, nothing else but refused entries whose sync failed, and every sequence once.
func TestModel(t *testing.T) {
	for seed := range uint64(6) {
		m := &model{disk: newSimDisk(seed), by: make([]*author, 8)}
		m.run(t, rand.New(rand.NewPCG(seed, 5)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

type model struct {
	disk *simDisk
	by   []*author
}

// author is one goroutine and what it was told.
type author struct {
	name    string
	acked   map[uint64]string // by Append
	order   []string          // what must be in the log, in this order
	refused map[string]bool
}

func (m *model) run(t *testing.T, rng *rand.Rand) {
	var flaky atomic.Bool
	flaky.Store(rng.IntN(3) > 0)
	faults := rand.New(rand.NewPCG(rng.Uint64(), 6))
	m.disk.Fail = func(op, _ string) error {
		if flaky.Load() && op != "read" && op != "list" && op != "open" && faults.IntN(9) == 0 {
			return syscall.EIO
		}
		return nil
	}
	var l *Log
	var err error
	for l == nil { // the disk may refuse even the first segment
		if l, err = Open("sim", Options{SegmentBytes: int64(minSegmentBytes) << rng.IntN(4), Linger: time.Millisecond, Disk: m.disk}); err != nil && !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	early := rng.IntN(2) == 0
	var steps atomic.Int64
	enough := make(chan struct{})
	for i := range m.by {
		a := &author{name: fmt.Sprint("author ", i), acked: map[uint64]string{}, refused: map[string]bool{}}
		m.by[i] = a
		own := rand.New(rand.NewPCG(rng.Uint64(), 7))
		wg.Go(func() {
			for n := range 60 {
				if steps.Add(1) == 240 {
					close(enough)
				}
				if !a.step(t, l, own, n) {
					return
				}
			}
		})
	}
	if early {
		<-enough
		flaky.Store(false) // so that nothing may be lost
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	wg.Wait()
	flaky.Store(false)
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	m.check(t)
}

// step is one call; false once the log is closed.
func (a *author) step(t *testing.T, l *Log, rng *rand.Rand, n int) bool {
	payload := fmt.Sprint(a.name, " ", n, " ", strings.Repeat("z", rng.IntN(700)))
	switch rng.IntN(5) {
	case 0, 1:
		seq, err := l.Append([]byte(payload))
		if err != nil {
			a.refused[payload] = true
			return !errors.Is(err, ErrClosed)
		}
		if a.acked[seq] != "" {
			t.Errorf("sequence %d twice", seq)
		}
		a.acked[seq] = payload
		a.order = append(a.order, payload)
		a.durable(t, l)
	case 2, 3:
		if _, err := l.Enqueue([]byte(payload)); err != nil {
			a.refused[payload] = true
			return !errors.Is(err, ErrClosed)
		}
		a.order = append(a.order, payload)
	default:
		err := l.Sync()
		if err == nil {
			a.durable(t, l)
		}
		return !errors.Is(err, ErrClosed)
	}
	return true
}

// durable looks for what this author wrote last in what readers see: after Append and Sync all of it is there.
func (a *author) durable(t *testing.T, l *Log) {
	if len(a.order) == 0 {
		return
	}
	last := l.Last()
	r := l.Reader(last - min(last, 400) + 1)
	defer r.Close()
	want := a.order[len(a.order)-1]
	for {
		_, payload, err := r.Next()
		if err != nil {
			t.Errorf("%.30q is not durable: %v", want, err)
			return
		}
		if string(payload) == want {
			return
		}
	}
}

func (m *model) check(t *testing.T) {
	l := mustOpen(t, "sim", Options{Disk: m.disk})
	defer l.Close()
	got, damage := entries(t, l, 1)
	if damage != nil {
		t.Errorf("%v", damage)
	}
	if len(got) != int(l.Last()) { //nolint:gosec // a few hundred
		t.Errorf("%d entries up to %d", len(got), l.Last())
	}
	places := map[string]uint64{}
	for seq, payload := range got {
		if places[payload] != 0 {
			t.Errorf("%.30q stands at %d and %d", payload, places[payload], seq)
		}
		places[payload] = seq
	}
	accounted := 0
	for _, a := range m.by {
		for seq, payload := range a.acked {
			if got[seq] != payload {
				t.Errorf("acknowledged entry %d is %.30q, was %.30q", seq, got[seq], payload)
			}
		}
		at := make([]uint64, len(a.order))
		for i, payload := range a.order {
			if at[i] = places[payload]; at[i] == 0 {
				t.Errorf("%.30q is gone", payload)
			}
		}
		if !slices.IsSorted(at) {
			t.Errorf("the entries of %s are out of order", a.name)
		}
		accounted += len(a.order)
		for payload := range a.refused {
			if places[payload] != 0 {
				accounted++ // its sync failed, and it turned up at the next start
			}
		}
	}
	if accounted != len(got) {
		t.Errorf("%d of %d entries were written by somebody", accounted, len(got))
	}
}
