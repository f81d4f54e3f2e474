// Package record is a durable stream of events: each entry has a sequence, a salt, a commitment and a link of a hash chain, so
// that an altered, removed or reordered entry shows, and so that one entry can later be erased without breaking the chain.
//
// It refuses to acknowledge an event before it is on stable storage, to show one before it is durable, and to pass over a
// broken chain in silence. It does not judge events and keeps no state of what they mean: that is for those who fold them.
//
// With a Key what is appended is encrypted on disk. The chain is over what stands there, so that it is checked without the key.
//
// Invariant: what Read delivers is exactly what was appended, in that order, as far as the chain reaches; where anything
// is missing or altered, Read delivers the rest and ends with an error that names it. The format stands in docs/record.md.
package record

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
	"sallyport/internal/disk"
	"sallyport/internal/durable"
)

// ErrUnwritable says that an event could not be made durable: the disk is full, gone or broken. The next Append tries again.
var ErrUnwritable = errors.New("the record cannot be written")

// ErrClosed is returned after Close.
var ErrClosed = durable.ErrClosed

// ErrInUse says that another process holds the record.
var ErrInUse = durable.ErrInUse

// Options of Open. The zero value is safe.
type Options struct {
	SegmentBytes int64            // 0 means 16 MiB
	Now          func() time.Time // the time of events that carry none; nil means time.Now
	// Key encrypts what is appended and opens what was. nil: what is appended is plain, and a record of which the last entries are encrypted is
	// not appended to, nor read.
	Key *Key
	// MaxBytes, where set, is how much the record may take on disk; beyond that Append is ErrUnwritable, as on a full disk.
	MaxBytes int64
	// Disk stands in for the folder in tests of faults; nil is the real folder.
	Disk disk.Disk
	// Trouble, where set, is told once when the disk begins to refuse, with the cause, and once when it works again, with nil and how
	// many enqueued events were refused meanwhile. It MUST NOT use the stream.
	Trouble func(cause error, refused uint64)
}

// Stream is an open record. It is safe for use by many goroutines.
type Stream struct {
	dir   string
	id    [16]byte
	log   *durable.Log
	codec codec
	now   func() time.Time
	bufs  sync.Pool // of *bytes.Buffer
	open  opener
	seal  *sealer // nil: without a key
	plain error   // why nothing may be appended: it would be plain beside what is encrypted
	full  atomic.Pointer[error]
}

// Open opens the record in dir, creating it where there is none, and repairs a torn tail. A second process is refused.
func Open(dir string, o Options) (*Stream, error) {
	s := &Stream{dir: dir, now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.codec, err = newCodec(); err != nil {
		return nil, fmt.Errorf("open record %s: %w", dir, err)
	}
	link := func(seq uint64, prev, payload []byte) {
		if prev == nil {
			start := chainStart(s.id) // known by now: nothing is written before Open has returned
			prev = start[:]
		}
		s.finishEntry(seq, prev, payload)
	}
	s.log, err = durable.Open(dir, durable.Options{SegmentBytes: o.SegmentBytes, MaxBytes: o.MaxBytes, Link: link, Trouble: o.Trouble, Disk: o.Disk})
	if err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	s.id = s.log.ID()
	if err := s.unlock(o.Key); err != nil {
		return nil, fmt.Errorf("open record %s: %w", dir, errors.Join(err, s.log.Close()))
	}
	return s, nil
}

// unlock gets ready to seal and to open.
func (s *Stream) unlock(key *Key) error {
	s.open.key, s.open.id = key, s.id
	sealed, err := s.checkKey()
	if err != nil {
		return err
	}
	if key == nil {
		if sealed {
			s.plain = ErrSealed
		}
		return nil
	}
	s.seal, err = newSealer(key, s.id)
	return err
}

// Sealed says whether what is appended is encrypted.
func (s *Stream) Sealed() bool { return s.seal != nil }

// Size is how many bytes the record takes on disk.
func (s *Stream) Size() int64 { return s.log.Size() }

// SetFull has every Append and Sync refused with this cause, as if the disk were full, until it is called with nil. What is enqueued goes on
// being written: it is for who keeps the last room of a disk for what must not be lost.
func (s *Stream) SetFull(cause error) {
	if cause == nil {
		s.full.Store(nil)
		return
	}
	s.full.Store(&cause)
}

// ID is the random id that the record got when it was made, 32 hexadecimal digits.
func (s *Stream) ID() string { return hex.EncodeToString(s.id[:]) }

// Last is the highest durable sequence; 0 while the record is empty.
func (s *Stream) Last() uint64 { return s.log.Last() }

// Repaired says in one line what Open cut off the end because a crash had left it unfinished; empty where nothing was.
func (s *Stream) Repaired() string {
	if d, ok := s.log.Repaired(); ok {
		return d.String()
	}
	return ""
}

// Append returns the event's sequence once it is on stable storage. A lone event does not wait; what arrives during a sync shares
// the next one. The event is not changed, and may be reused afterwards; its Seq is ignored, and a zero Time is now.
// errors.Is(err, ErrUnwritable) where the disk refused.
func (s *Stream) Append(e *sallyport.Event) (uint64, error) {
	if full := s.full.Load(); full != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnwritable, *full)
	}
	return s.put(e, s.log.Append)
}

// Enqueue hands over an event that becomes durable with the next sync, within a moment, in order with the caller's other
// events. It is for counters: what is enqueued right before a crash is lost.
func (s *Stream) Enqueue(e *sallyport.Event) (uint64, error) {
	return s.put(e, s.log.Enqueue)
}

// Sync returns once every event that was enqueued before it is on stable storage. After an error they are kept and tried again, and the
// next Sync waits for them. errors.Is(err, ErrUnwritable) where the disk refused.
func (s *Stream) Sync() error {
	if full := s.full.Load(); full != nil {
		return fmt.Errorf("%w: %w", ErrUnwritable, *full)
	}
	err := s.log.Sync()
	if err != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	return err
}

// Syncs is how many times events were made durable since Open, each time as many as there were.
func (s *Stream) Syncs() uint64 { return s.log.Batches() }

// Failing says whether the disk refused the last time, or is full, or the record is closed.
func (s *Stream) Failing() bool { return s.full.Load() != nil || s.log.Failing() }

func (s *Stream) put(e *sallyport.Event, write func([]byte) (uint64, error)) (uint64, error) {
	if s.plain != nil {
		return 0, fmt.Errorf("append to record %s: %w", s.dir, s.plain)
	}
	buf := s.buffer()
	defer s.recycle(buf)
	if err := s.encode(buf, e); err != nil {
		return 0, fmt.Errorf("encode event %s: %w", e.Kind, err)
	}
	seq, err := write(buf.Bytes())
	if errors.Is(err, ErrClosed) {
		return 0, fmt.Errorf("append to record %s: %w", s.dir, err)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	return seq, nil
}

// keptBuffer is how large an encoding buffer may stay between events.
const keptBuffer = 4 << 20

func (s *Stream) buffer() *bytes.Buffer {
	if buf, ok := s.bufs.Get().(*bytes.Buffer); ok {
		return buf
	}
	return new(bytes.Buffer)
}

func (s *Stream) recycle(buf *bytes.Buffer) {
	if buf.Cap() <= keptBuffer {
		buf.Reset()
		s.bufs.Put(buf)
	}
}

// encode makes the stored form. Of a plain entry the commitment stands where the link will; one that is to be sealed has room for that, and
// gets it where it is written (finishEntry), since it is bound to its place.
func (s *Stream) encode(buf *bytes.Buffer, e *sallyport.Event) error {
	at := e.Time
	if at.IsZero() {
		at = s.now()
	}
	var front [ciphertext]byte
	front[formAt] = formWhole
	if _, err := rand.Read(front[saltAt:bodyAt]); err != nil {
		return fmt.Errorf("choose a salt: %w", err)
	}
	if s.seal != nil && e.Kind != sallyport.Erasing { // what lists an erasure is read by who has no key
		front[formAt] = formOwn
		buf.Write(front[:])
		if err := s.codec.append(buf, e, at); err != nil {
			return err
		}
		var tag [tagBytes]byte // it gets there with the place
		buf.Write(tag[:])
		return nil
	}
	buf.Write(front[:bodyAt])
	if err := s.codec.append(buf, e, at); err != nil {
		return err
	}
	commitment := sha256.Sum256(buf.Bytes()[saltAt:])
	copy(buf.Bytes(), commitment[:])
	return nil
}

// Read delivers all durable events from seq on, in order, and checks the chain between them. An error of fn ends it and is returned
// as it is, but for ErrEnough, which is none. Where entries are lost or altered, the others are still delivered, and the error in the end names all of it.
// An erased entry is not delivered; its place in the chain is checked. Each event delivered is fn's own.
func (s *Stream) Read(from uint64, fn func(*sallyport.Event) error) error {
	r := s.reader(from)
	defer r.close()
	if err := r.rest(fn); err != nil {
		return unlessEnough(err)
	}
	return r.report()
}

// Events are all durable events as they stand now, in order, each the caller's own; an error comes last, and is ctx's where that ended it.
func (s *Stream) Events(ctx context.Context) iter.Seq2[*sallyport.Event, error] {
	return func(yield func(*sallyport.Event, error) bool) {
		last := s.Last()
		err := s.Read(1, func(e *sallyport.Event) error {
			if e.Seq > last || !yield(e, nil) {
				return ErrEnough
			}
			return ctx.Err()
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// ErrEnough is returned by who has read of a stream what he wanted.
var ErrEnough = errors.New("enough") //nolint:gochecknoglobals // a sentinel

func unlessEnough(err error) error {
	if errors.Is(err, ErrEnough) {
		return nil
	}
	return err
}

// Pick reads like Read, the chain included, and decodes those entries alone that are wanted, since that is most of what reading costs. Of the
// others fn hears that they are there: with their sequence, and nil.
func (s *Stream) Pick(from uint64, wanted func(seq uint64) bool, fn func(seq uint64, e *sallyport.Event) error) error {
	r := s.reader(from)
	r.pick = wanted
	defer r.close()
	if err := r.each(fn); err != nil {
		return unlessEnough(err)
	}
	return r.report()
}

// Follow reads like Read and then goes on with events as they become durable, until ctx is done, the record is closed, fn
// returns an error, or damage is found; damage ends it at once.
func (s *Stream) Follow(ctx context.Context, from uint64, fn func(*sallyport.Event) error) error {
	return s.FollowPaced(ctx, from, Pace{}, fn)
}

// Close makes what is enqueued durable and gives the folder free.
func (s *Stream) Close() error {
	if err := s.log.Close(); err != nil {
		return fmt.Errorf("close record: %w", err)
	}
	return nil
}

// reader checks the chain over the entries of a log.
type reader struct {
	s    *Stream
	log  *durable.Reader
	from uint64
	seen uint64                // the last sequence read
	link [32]byte              // its link
	bad  []error               // breaks of the chain
	open []byte                // the body that was opened last
	pick func(seq uint64) bool // which entries are decoded; nil: all
	kept bool                  // the last one checked is there, and not erased
}

func (s *Stream) reader(from uint64) *reader {
	from = max(from, 1)
	r := &reader{s: s, from: from, seen: from - 1}
	if from > 1 {
		r.seen = from - 2 // the entry before it is read for its link
	}
	if r.seen == 0 {
		r.link = chainStart(s.id)
	}
	r.log = s.log.Reader(r.seen + 1)
	return r
}

func (r *reader) close() { _ = r.log.Close() } // only read

// rest delivers everything up to the durable end.
func (r *reader) rest(fn func(*sallyport.Event) error) error {
	return r.each(func(_ uint64, e *sallyport.Event) error {
		if e == nil {
			return nil
		}
		return fn(e)
	})
}

// each is rest that also names, with nil, what is there and was not picked.
func (r *reader) each(fn func(uint64, *sallyport.Event) error) error {
	for {
		seq, payload, err := r.log.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read record: %w", err)
		}
		r.kept = false
		e, err := r.check(seq, payload)
		if errors.Is(err, ErrSealed) {
			return fmt.Errorf("read record %s: %w", r.s.dir, err)
		}
		if err != nil {
			r.bad = append(r.bad, fmt.Errorf("entry %d: %w", seq, err))
			continue
		}
		if !r.kept {
			continue
		}
		if err := fn(seq, e); err != nil {
			return err
		}
	}
}

// check verifies one entry against the one before it and decodes it; nil is an erased one.
func (r *reader) check(seq uint64, payload []byte) (*sallyport.Event, error) {
	ent, err := parseEntry(payload)
	if err != nil {
		return nil, err
	}
	// After a gap, and at the first entry read, there is nothing to check against; the gap itself is reported.
	checkable := r.seen+1 == seq && r.link != [32]byte{}
	want := chainLink(r.link[:], seq, ent.commitment)
	r.seen, r.link = seq, ent.link
	if checkable && want != ent.link {
		return nil, errors.New("altered: it does not fit the chain")
	}
	r.kept = ent.body != nil && seq >= r.from
	if !r.kept || r.pick != nil && !r.pick(seq) {
		return nil, nil
	}
	body := ent.body
	if ent.sealed {
		if r.open, body, err = r.s.open.open(r.open[:0], seq, &ent); err != nil {
			return nil, err
		}
	}
	e, err := r.s.codec.decode(body)
	if err != nil {
		return nil, err
	}
	e.Seq = seq
	return e, nil
}

// report is all damage found so far.
func (r *reader) report() error {
	errs := r.bad
	if err := r.log.Damage(); err != nil {
		errs = append([]error{err}, errs...)
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("read record %s: %w", r.s.dir, errors.Join(errs...))
}
