// Package durable is an append-only log of opaque payloads in one folder: zero-filled segments of framed entries, made durable
// in groups with fdatasync.
//
// It refuses to interpret what it stores, to acknowledge anything that is not on stable storage, to trust a file after a sync
// of it has failed, and to hide damage: only what a crash can have left unfinished at the very end is cut, everything else
// that does not read back as written is reported with its file, its offset and what is lost.
//
// Invariant: once Append has returned a sequence, every later Open of the folder finds that entry under that sequence, until
// somebody damages the files; and a reader never sees an entry before it is durable.
package durable

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the log is closed")

// ErrFull says that Options.MaxBytes is reached.
var ErrFull = errors.New("it has reached the size that it may have")

// ErrInUse says that another process (or another Open in this one) holds the folder.
var ErrInUse = errors.New("in use by another process")

const (
	defaultSegmentBytes = 16 << 20
	minSegmentBytes     = 4 << 10
	defaultLinger       = 50 * time.Millisecond
	maxPayload          = math.MaxInt32 // a frame's length is a uint32 and must be addressable everywhere

	// maxRetained bounds what Enqueue may pile up while nothing can be written: twice as much, what is in flight and what is queued,
	// fits into the reserve of a segment of the usual size.
	maxRetained = 1<<20 - frameBytes
	// reservePart of each segment is kept for what is still enqueued at Close on a disk that is full.
	reservePart = 8
	// maxHead is how much of a payload Link can see of the one before it.
	maxHead = 64
)

// Options of Open. The zero value is safe.
type Options struct {
	// SegmentBytes is the size of a segment file; 0 means 16 MiB. An entry larger than that gets a segment of its own.
	SegmentBytes int64
	// Linger is how long an enqueued entry may wait for the company of an Append; 0 means 50 ms.
	Linger time.Duration
	// Link, where set, completes a payload in place just before it is written: seq is its sequence and prev the first 64
	// bytes (or fewer) of the payload before it, nil for the first entry. Where a write fails it is called anew with the payload as it was handed
	// over, and another sequence perhaps. It MUST NOT keep its arguments. It is called by one goroutine at a time, in order.
	Link func(seq uint64, prev, payload []byte)
	// Trouble, where set, is called when writing begins to fail, with the cause, and when it works again, with nil and how many
	// enqueued entries were refused meanwhile. It is called by one goroutine at a time and MUST NOT use the log.
	Trouble func(cause error, refused uint64)
	// MaxBytes, where set, is how much the segments may take, the one prepared for later among them: what would take more is refused with ErrFull
	// as on a full disk.
	MaxBytes int64
	// Disk stands in for the folder in tests of faults; nil is the real folder, locked against other processes.
	Disk Disk
}

// Log is an open log. It is safe for use by many goroutines.
type Log struct {
	dir     string
	id      [16]byte
	seed    uint32 // of the frames' checksums: a frame of another log is never taken for ours
	o       Options
	disk    Disk
	unlock  io.Closer
	done    chan struct{} // closed when the writing goroutine has ended
	w       writer        // after Open: whose writing is true
	failing atomic.Bool   // Options.Trouble was told of it
	repair  *Damage       // what Open cut off the end; nil where the log had ended cleanly

	mu       sync.Mutex // guards everything below
	work     sync.Cond  // the writing goroutine waits here
	queue    []*entry
	queued   int  // entries of queue that will be written: all but those of Sync
	inFlight int  // entries that are being written
	writing  bool // somebody writes
	mine     bool // it is the log's own goroutine
	retained int  // bytes of enqueued entries that nobody waits for
	urgent   bool // the queue shall be written now
	armed    bool // a timer will set urgent
	linger   *time.Timer
	refused  uint64 // entries that Enqueue turned away since writing began to fail
	closing  bool
	closeErr error
	segments []segment
	present  int64         // size of the last segment's file
	spare    int64         // size of the file for the next one, as far as it is being made
	last     uint64        // highest durable sequence
	batches  uint64        // written and synced since Open
	changed  chan struct{} // closed when last rises or the log closes; nil while nobody waits

	pool sync.Pool // of *entry

	rewriting sync.Mutex // held by who rewrites segments
}

// entry is a payload on its way to the disk; without one it waits for those before it.
type entry struct {
	payload []byte
	waited  bool       // somebody receives from done
	done    chan error // one result
	seq     uint64
	roll    bool // without a payload: the segment ends here
}

// segment is one file as readers know it.
type segment struct {
	first    uint64
	end      int64 // bytes that hold durable frames, header included
	endKnown bool  // end is exact; false where the following segment's header is broken
	broken   bool  // its header did not read back
	made     int   // how often it was written anew: then end is another file's
}

// Open opens the log in dir, creating the folder and the first segment where there is none, and repairs a torn tail.
func Open(dir string, o Options) (*Log, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	o.SegmentBytes = max(o.SegmentBytes, minSegmentBytes)
	if o.Linger == 0 {
		o.Linger = defaultLinger
	}
	l := &Log{dir: dir, o: o, disk: o.Disk, done: make(chan struct{})}
	l.work.L = &l.mu
	l.pool.New = func() any { return &entry{done: make(chan error, 1)} }
	if l.disk == nil {
		folder, err := openFolder(dir)
		if err != nil {
			return nil, fmt.Errorf("open log %s: %w", dir, err)
		}
		l.disk, l.unlock = folder, folder
	}
	if err := l.load(); err != nil {
		l.release()
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	go l.write()
	return l, nil
}

// load reads what is on disk, or makes the first segment.
func (l *Log) load() error {
	found, err := l.recoverSegments()
	if err != nil || found {
		return err
	}
	if _, err := rand.Read(l.id[:]); err != nil {
		return fmt.Errorf("choose an id: %w", err)
	}
	l.seed = seedOf(l.id)
	return l.roll(headerBytes + frameBytes)
}

// ID is the random id that the log got when it was made. It stands in every segment.
func (l *Log) ID() [16]byte { return l.id }

// Last is the highest durable sequence; 0 while the log is empty.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Size is how many bytes the log takes on disk.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size()
}

// size is Size. l.mu is held.
func (l *Log) size() int64 {
	n := l.present + l.spare
	for i := range l.segments[:max(len(l.segments), 1)-1] {
		n += l.segments[i].end
	}
	return n
}

// Written is how many bytes of what is durable there are in all segments.
func (l *Log) Written() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.segments {
		n += l.segments[i].end
	}
	return n
}

// Batches is how many times entries were written and synced together since Open.
func (l *Log) Batches() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.batches
}

// Failing says whether the last attempt to write has failed, or there will be none because the log is closed.
func (l *Log) Failing() bool {
	if l.failing.Load() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}

// Repaired describes what Open cut off the end because a crash had left it unfinished. The entries in it were never
// acknowledged, unless the disk itself broke what it had confirmed.
func (l *Log) Repaired() (Damage, bool) {
	if l.repair == nil {
		return Damage{}, false
	}
	return *l.repair, true
}

// Append writes one entry and returns its sequence once it is on stable storage. The payload must not be empty, and must not
// be changed until Append returns. After an error the entry is not in the log, except that an entry whose sync failed may
// turn up after a crash; the next Append tries again by itself.
func (l *Log) Append(payload []byte) (uint64, error) {
	if err := checkPayload(payload); err != nil {
		return 0, err
	}
	seq, err := l.await(payload)
	if err != nil && !errors.Is(err, ErrClosed) {
		return 0, fmt.Errorf("append to log %s: %w", l.dir, err)
	}
	return seq, err
}

// Sync returns once everything that was enqueued before it is on stable storage. After an error it is kept and tried again, and the
// next Sync waits for that.
func (l *Log) Sync() error {
	_, err := l.await(nil)
	if err != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("sync log %s: %w", l.dir, err)
	}
	return err
}

// await queues a payload, or none, and waits until it and what is in front of it is durable.
func (l *Log) await(payload []byte) (uint64, error) { return l.awaitAs(payload, false) }

func (l *Log) awaitAs(payload []byte, roll bool) (uint64, error) {
	e, ok := l.pool.Get().(*entry)
	if !ok {
		e = &entry{done: make(chan error, 1)}
	}
	e.payload, e.waited, e.roll = payload, true, roll

	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return 0, ErrClosed
	}
	l.queue = append(l.queue, e)
	if payload != nil {
		l.queued++
	}
	if l.writing {
		l.urgent = true // who writes now will wake who writes this
		l.mu.Unlock()
	} else {
		batch := l.grab()
		l.mu.Unlock()
		l.lead(batch)
	}

	err := <-e.done
	seq := e.seq
	e.payload = nil
	l.pool.Put(e)
	return seq, err
}

// Enqueue takes a copy of one entry that becomes durable with the next sync, at the latest after Options.Linger. The sequence is
// the one it will have unless a write fails first; it is in order with all entries of the same caller. While the
// log cannot be written, enqueued entries are kept and tried again, until there are too many of them.
func (l *Log) Enqueue(payload []byte) (uint64, error) {
	if err := checkPayload(payload); err != nil {
		return 0, err
	}
	e := &entry{payload: append([]byte(nil), payload...)}

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return 0, ErrClosed
	}
	if l.retained+sizeOf(len(payload)) > maxRetained && len(l.queue) > 0 {
		l.urgent = true
		l.refused++
		l.work.Signal()
		return 0, fmt.Errorf("enqueue to log %s: %d bytes are waiting to be written", l.dir, l.retained)
	}
	l.retained += sizeOf(len(payload))
	l.queue = append(l.queue, e)
	l.queued++
	switch {
	case l.retained > maxRetained/4:
		l.urgent = true
		l.work.Signal()
	case !l.urgent && !l.armed:
		l.armed = true
		l.arm()
	}
	return l.last + uint64(l.inFlight+l.queued), nil
}

// arm starts the timer that ends the wait for company. l.mu is held.
func (l *Log) arm() {
	if l.linger != nil {
		l.linger.Reset(l.o.Linger)
		return
	}
	l.linger = time.AfterFunc(l.o.Linger, func() {
		l.mu.Lock()
		l.armed = false
		l.urgent = len(l.queue) > 0
		l.mu.Unlock()
		l.work.Signal()
	})
}

func checkPayload(p []byte) error {
	if len(p) == 0 {
		return errors.New("append to log: an entry must not be empty")
	}
	if len(p) > maxPayload {
		return fmt.Errorf("append to log: an entry of %d bytes is too long", len(p))
	}
	return nil
}

// Wait returns nil once the entry seq is durable.
func (l *Log) Wait(ctx context.Context, seq uint64) error {
	for {
		l.mu.Lock()
		if l.last >= seq {
			l.mu.Unlock()
			return nil
		}
		if l.closed() {
			l.mu.Unlock()
			return ErrClosed
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// closed says whether nothing more will become durable.
func (l *Log) closed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// Close writes what is queued, ends the writing goroutine and gives the folder free. Readers may go on with what is durable.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closing = true
	if l.linger != nil {
		l.linger.Stop()
	}
	l.mu.Unlock()
	l.work.Signal()
	<-l.done

	l.mu.Lock()
	defer l.mu.Unlock()
	l.notify()
	l.release()
	return l.closeErr
}

// notify wakes everybody in Wait. l.mu is held.
func (l *Log) notify() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

func (l *Log) release() {
	if l.w.file != nil {
		_ = l.w.file.Close() // everything acknowledged has been synced
		l.w.file = nil
	}
	if l.unlock != nil {
		_ = l.unlock.Close()
		l.unlock = nil
	}
}
