package disk

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
)

// Sim is a Disk in memory that knows what would survive a power cut: a sector that was written and not synced is there or
// not, each by itself; names that were not synced are there up to some point.
type Sim struct {
	Mu    sync.Mutex // guards everything here and is held during each operation
	names map[string]*simInode
	// stable is what the folder holds on the medium; pending are the changes since.
	stable  map[string]*simInode
	pending []func(map[string]*simInode)
	rng     *rand.Rand
	syncs   int

	// Fail, where set, is asked before each operation ("write", "sync", …) and may refuse it; ErrPower is the end of it. It is called with Mu held.
	Fail func(op, name string) error
	dead bool
}

const sector = 512

type simInode struct {
	data, stable []byte
	dirty        map[int64]bool // sectors that differ
}

// ErrPower is what a disk answers from the power cut on.
var ErrPower = errors.New("power cut")

// NewSim is an empty disk; what survives a power cut is drawn from seed.
func NewSim(seed uint64) *Sim {
	return &Sim{names: map[string]*simInode{}, stable: map[string]*simInode{}, rng: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // the same faults for the same seed
}

// Cut is the disk as the next start finds it. The old one answers nothing any more.
func (d *Sim) Cut() *Sim {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	d.dead = true
	n := &Sim{rng: d.rng, names: maps.Clone(d.stable)}
	for _, op := range d.pending[:d.rng.IntN(len(d.pending)+1)] {
		op(n.names)
	}
	for name, f := range n.names {
		n.names[name] = f.afterCut(d.rng)
	}
	n.stable = maps.Clone(n.names)
	return n
}

func (f *simInode) afterCut(rng *rand.Rand) *simInode {
	size := len(f.stable)
	if rng.IntN(2) == 0 {
		size = len(f.data)
	}
	b := make([]byte, size)
	copy(b, f.stable)
	keep := rng.IntN(4) // of 3: also the cases that all or nothing arrived
	for s := range f.dirty {
		if start := s * sector; start < int64(size) && rng.IntN(3) < keep && start < int64(len(f.data)) {
			end := min(start+sector, int64(size))
			clear(b[start:end])
			copy(b[start:end], f.data[start:])
		}
	}
	return &simInode{data: b, stable: slices.Clone(b), dirty: map[int64]bool{}}
}

// allow is called first in each operation, with Mu held.
func (d *Sim) allow(op, name string) error {
	if d.dead {
		return ErrPower
	}
	if d.Fail == nil {
		return nil
	}
	err := d.Fail(op, name)
	d.dead = errors.Is(err, ErrPower)
	return err
}

func (d *Sim) change(op func(map[string]*simInode)) {
	op(d.names)
	d.pending = append(d.pending, op)
}

// List is part of Disk.
func (d *Sim) List() ([]string, error) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.allow("list", ""); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(d.names)), nil
}

// Open is part of Disk.
func (d *Sim) Open(name string) (File, error) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.allow("open", name); err != nil {
		return nil, err
	}
	f := d.names[name]
	if f == nil {
		return nil, syscall.ENOENT
	}
	return &simFile{d, f, name}, nil
}

// Create is part of Disk.
func (d *Sim) Create(name string) (File, error) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.allow("create", name); err != nil {
		return nil, err
	}
	f := &simInode{dirty: map[int64]bool{}}
	d.change(func(m map[string]*simInode) { m[name] = f })
	return &simFile{d, f, name}, nil
}

// Rename is part of Disk.
func (d *Sim) Rename(from, to string) error {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.allow("rename", to); err != nil {
		return err
	}
	f := d.names[from]
	d.change(func(m map[string]*simInode) { delete(m, from); m[to] = f })
	return nil
}

// Remove is part of Disk.
func (d *Sim) Remove(name string) error {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.allow("remove", name); err != nil {
		return err
	}
	d.change(func(m map[string]*simInode) { delete(m, name) })
	return nil
}

// Sync is part of Disk.
func (d *Sim) Sync() error {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.allow("syncfolder", ""); err != nil {
		return err
	}
	d.stable, d.pending = maps.Clone(d.names), nil
	return nil
}

type simFile struct {
	d    *Sim
	f    *simInode
	name string
}

func (s *simFile) ReadAt(b []byte, off int64) (int, error) {
	s.d.Mu.Lock()
	defer s.d.Mu.Unlock()
	if err := s.d.allow("read", s.name); err != nil {
		return 0, err
	}
	if off >= int64(len(s.f.data)) {
		return 0, io.EOF
	}
	n := copy(b, s.f.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (s *simFile) WriteAt(b []byte, off int64) (int, error) {
	s.d.Mu.Lock()
	defer s.d.Mu.Unlock()
	if s.d.dead {
		return 0, ErrPower
	}
	err := s.d.allow("write", s.name)
	if err != nil && !s.d.dead { // the write during which the power goes is one that was not synced
		b = b[:s.d.rng.IntN(len(b)+1)] // a refused write may have got somewhere
	}
	if end := off + int64(len(b)); end > int64(len(s.f.data)) {
		s.f.data = append(s.f.data, make([]byte, end-int64(len(s.f.data)))...)
	}
	copy(s.f.data[off:], b)
	for at := off / sector; at*sector < off+int64(len(b)); at++ {
		s.f.dirty[at] = true
	}
	if err == nil {
		err = s.d.allow("write and sync", s.name)
		if err != nil && !errors.Is(err, ErrPower) {
			s.settle(err)
			return 0, fmt.Errorf("%w: %w", ErrUnsynced, err)
		}
	}
	return len(b), err
}

func (s *simFile) Truncate(size int64) error {
	s.d.Mu.Lock()
	defer s.d.Mu.Unlock()
	if err := s.d.allow("truncate", s.name); err != nil {
		return err
	}
	if size < int64(len(s.f.data)) {
		s.f.data = s.f.data[:size:size]
	} else {
		s.f.data = append(s.f.data, make([]byte, size-int64(len(s.f.data)))...)
	}
	return nil
}

func (s *simFile) Size() (int64, error) {
	s.d.Mu.Lock()
	defer s.d.Mu.Unlock()
	return int64(len(s.f.data)), nil
}

// Sync that fails drops what was not written yet and forgets about it, as kernels do: the next one succeeds.
func (s *simFile) Sync() error {
	s.d.Mu.Lock()
	defer s.d.Mu.Unlock()
	err := s.d.allow("sync", s.name)
	if errors.Is(err, ErrPower) {
		return err
	}
	s.d.syncs++
	s.settle(err)
	return err
}

// settle is what is on the medium after a sync that ended so.
func (s *simFile) settle(err error) {
	if len(s.f.stable) != len(s.f.data) {
		old := s.f.stable
		s.f.stable = make([]byte, len(s.f.data))
		copy(s.f.stable, old)
	}
	for at := range s.f.dirty {
		if start := at * sector; start < int64(len(s.f.data)) && (err == nil || s.d.rng.IntN(2) == 0) {
			end := min(start+sector, int64(len(s.f.data)))
			copy(s.f.stable[start:end], s.f.data[start:end])
		}
	}
	clear(s.f.dirty)
}

func (s *simFile) Close() error { return nil }
