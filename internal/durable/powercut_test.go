package durable

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/disk"
)

// TestPowerCuts writes to a simulated disk from several goroutines, cuts the power at a random operation, and lets each sector and
// each name that was not synced survive or not. In some rounds operations are refused before. Afterwards every acknowledged entry
// is there under its sequence, nothing is there that nobody wrote, and nothing is called damaged.
func TestPowerCuts(t *testing.T) {
	cuts, entriesSeen, repaired := 0, uint64(0), 0
	for seed := range uint64(12) {
		run := powerRun{rng: rand.New(rand.NewPCG(seed, 2)), disk: newSimDisk(seed), acked: map[uint64]string{}, synced: map[string]bool{}, tried: map[string]bool{}}
		for round := range 12 {
			run.round(t, round)
			if t.Failed() {
				t.Fatalf("seed %d, round %d", seed, round)
			}
			cuts++
		}
		entriesSeen += run.last
		repaired += run.repaired
	}
	t.Logf("%d power cuts, %d entries, %d torn tails repaired", cuts, entriesSeen, repaired)
}

type powerRun struct {
	rng  *rand.Rand
	disk *simDisk

	mu       sync.Mutex // guards what follows
	acked    map[uint64]string
	synced   map[string]bool
	tried    map[string]bool
	last     uint64
	repaired int
}

func (p *powerRun) round(t *testing.T, round int) {
	p.disk.Mu.Lock()
	p.disk.Fail = p.faults(round%3 == 1)
	p.disk.Mu.Unlock()

	size := int64(minSegmentBytes)
	if p.rng.IntN(2) == 0 {
		size = 64 << 10
	}
	l, err := Open("sim", Options{SegmentBytes: size, Linger: time.Millisecond, Disk: p.disk})
	if err != nil {
		if !errors.Is(err, disk.ErrPower) && !errors.Is(err, syscall.EIO) {
			t.Errorf("open: %v", err)
		}
		p.disk = cut(p.disk) // the power went off during the repair
		return
	}
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() { p.appendUntilCut(l, fmt.Sprint(round, " ", g)) })
	}
	wg.Wait()
	p.disk = cut(p.disk)
	_ = l.Close() // of a log whose disk is gone
	p.verify(t)
}

// faults counts operations down to the power cut, and refuses some on the way.
func (p *powerRun) faults(refuse bool) func(op, name string) error {
	left := p.rng.IntN(400)
	rng := rand.New(rand.NewPCG(p.rng.Uint64(), 3))
	return func(op, _ string) error {
		if left--; left < 0 {
			return disk.ErrPower
		}
		if refuse && op != "read" && op != "list" && op != "open" && rng.IntN(12) == 0 {
			return syscall.EIO
		}
		return nil
	}
}

func (p *powerRun) appendUntilCut(l *Log, name string) {
	rng := rand.New(rand.NewPCG(uint64(len(name)), 4))
	for i := 0; ; i++ {
		payload := fmt.Sprint(name, " ", i, " ", strings.Repeat("y", rng.IntN(1500)))
		p.mu.Lock()
		p.tried[payload] = true
		p.mu.Unlock()
		if i%7 == 3 {
			_, refused := l.Enqueue([]byte(payload)) // may be lost
			if i%2 == 0 || refused != nil {
				continue
			}
			err := l.Sync()
			if errors.Is(err, disk.ErrPower) {
				return
			}
			if err == nil {
				p.mu.Lock()
				p.synced[payload] = true
				p.mu.Unlock()
			}
			continue
		}
		seq, err := l.Append([]byte(payload))
		if errors.Is(err, disk.ErrPower) {
			return
		}
		if err == nil {
			p.mu.Lock()
			p.acked[seq] = payload
			p.mu.Unlock()
		}
	}
}

func (p *powerRun) verify(t *testing.T) {
	t.Helper()
	l, err := Open("sim", Options{SegmentBytes: minSegmentBytes, Disk: p.disk})
	if err != nil {
		t.Errorf("open after the cut: %v", err)
		return
	}
	defer l.Close()
	got, damage := entries(t, l, 1)
	if damage != nil {
		t.Errorf("after the cut: %v", damage)
	}
	for seq, payload := range p.acked {
		if got[seq] != payload {
			t.Errorf("acknowledged entry %d is %.20q, was %.20q", seq, got[seq], payload)
		}
	}
	there := map[string]bool{}
	for _, payload := range got {
		there[payload] = true
	}
	for payload := range p.synced {
		if !there[payload] {
			t.Errorf("the synced entry %.20q is gone", payload)
		}
	}
	for seq, payload := range got {
		if !p.tried[payload] {
			t.Errorf("entry %d is %.40q, which nobody wrote", seq, payload)
		}
	}
	if uint64(len(got)) != l.Last() {
		t.Errorf("%d entries, the last is %d", len(got), l.Last())
	}
	p.last = l.Last()
	if _, ok := l.Repaired(); ok {
		p.repaired++
	}
	p.disk.Mu.Lock()
	p.disk.Fail = nil
	p.disk.Mu.Unlock()
}
