package record

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sallyport"
	"sallyport/internal/disk"
)

// TestPowerCutsSealed writes an encrypted record to a simulated disk from several goroutines and cuts the power at a random operation, also
// during the repair at start: sectors that were not synced survive or not. Whatever was acknowledged, and whatever was synced, is there and
// opens; the chain holds; nothing is there that nobody wrote.
func TestPowerCutsSealed(t *testing.T) {
	cuts, last := 0, uint64(0)
	for seed := range uint64(6) {
		run := cutRun{rng: rand.New(rand.NewPCG(seed, 8)), disk: disk.NewSim(seed), acked: map[uint64]string{}, synced: map[string]bool{}, tried: map[string]bool{}}
		for round := range 12 {
			run.round(t, round)
			if t.Failed() {
				t.Fatalf("seed %d, round %d", seed, round)
			}
			cuts++
		}
		last += run.last
	}
	t.Logf("%d power cuts, %d entries", cuts, last)
}

type cutRun struct {
	rng  *rand.Rand
	disk *disk.Sim

	mu     sync.Mutex // guards what follows
	acked  map[uint64]string
	synced map[string]bool
	tried  map[string]bool
	last   uint64
}

func (c *cutRun) round(t *testing.T, round int) {
	left, refuse := c.rng.IntN(300), round%3 == 1
	faults := rand.New(rand.NewPCG(c.rng.Uint64(), 9))
	c.disk.Mu.Lock()
	c.disk.Fail = func(op, _ string) error {
		if left--; left < 0 {
			return disk.ErrPower
		}
		if refuse && op != "read" && op != "list" && op != "open" && faults.IntN(12) == 0 {
			return syscall.EIO
		}
		return nil
	}
	c.disk.Mu.Unlock()
	s, err := Open("sim", Options{SegmentBytes: int64(4096) << c.rng.IntN(4), Disk: c.disk, Key: testKey(t, 1)})
	if err != nil {
		if !errors.Is(err, disk.ErrPower) && !errors.Is(err, syscall.EIO) {
			t.Errorf("open: %v", err)
		}
		c.disk = c.disk.Cut()
		return
	}
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() { c.untilCut(s, fmt.Sprint(round, " ", g)) })
	}
	wg.Wait()
	c.disk = c.disk.Cut()
	_ = s.Close() // its disk is gone
	c.verify(t)
}

func (c *cutRun) untilCut(s *Stream, name string) {
	rng := rand.New(rand.NewPCG(uint64(len(name)), 4))
	for i := 0; ; i++ {
		e := &sallyport.Event{Kind: sallyport.FactKind, Note: fmt.Sprint(name, " ", i, " ", strings.Repeat("y", rng.IntN(900)))}
		if i%9 == 5 {
			note := e.Note
			e = bigReveal(30)
			e.Note = note
		}
		c.note(func() { c.tried[e.Note] = true })
		if i%7 == 3 {
			if _, err := s.Enqueue(e); err != nil {
				continue
			}
			switch err := s.Sync(); {
			case errors.Is(err, disk.ErrPower):
				return
			case err == nil:
				c.note(func() { c.synced[e.Note] = true })
			}
			continue
		}
		switch seq, err := s.Append(e); {
		case errors.Is(err, disk.ErrPower):
			return
		case err == nil:
			c.note(func() { c.acked[seq] = e.Note })
		}
	}
}

func (c *cutRun) note(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

func (c *cutRun) verify(t *testing.T) {
	t.Helper()
	s, err := Open("sim", Options{SegmentBytes: 4096, Disk: c.disk, Key: testKey(t, 1)})
	if err != nil {
		t.Errorf("open after the cut: %v", err)
		return
	}
	defer s.Close()
	got, there := map[uint64]string{}, map[string]bool{}
	err = s.Read(1, func(e *sallyport.Event) error {
		got[e.Seq], there[e.Note] = e.Note, true
		return nil
	})
	if err != nil {
		t.Errorf("after the cut: %v", err)
	}
	for seq, note := range c.acked {
		if got[seq] != note {
			t.Errorf("acknowledged entry %d is %.20q, was %.20q", seq, got[seq], note)
		}
	}
	for note := range c.synced {
		if !there[note] {
			t.Errorf("the synced entry %.20q is gone", note)
		}
	}
	for seq, note := range got {
		if !c.tried[note] {
			t.Errorf("entry %d is %.20q, which nobody wrote", seq, note)
		}
	}
	c.last = s.Last()
	c.disk.Mu.Lock()
	c.disk.Fail = nil
	c.disk.Mu.Unlock()
}
