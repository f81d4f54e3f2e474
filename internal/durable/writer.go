package durable

import (
	"errors"
	"fmt"

	"sallyport/internal/disk"
)

// keptBuffer is how large a write buffer may stay between batches.
const keptBuffer = 4 << 20

// writer is the state of whoever writes, one at a time: the log's own goroutine, or an appender who found nobody writing.
type writer struct {
	file       File
	first      uint64 // sequence of the segment's first entry
	prevFirst  uint64 // of the segment's header
	prevEnd    int64  // likewise
	off, size  int64  // end of what is durable, size of the file
	distrusted bool   // a sync or an undo failed here: nothing more may be written to this file
	sealed     bool   // the last frame is a seal
	final      bool   // the log closes: the reserve may be used
	cramped    bool   // there was no room for the next segment: small entries do not slip into what is left of this one
	head       []byte // start of the last durable payload, for Link
	buf        []byte
	batch      []*entry   // the queue's other slice
	spare      chan spare // one zero-filled file comes out of it; nil while none is being made
}

// spare is a zero-filled file for the next segment.
type spare struct {
	file File
	size int64
	err  error
}

// lead writes what is queued on the goroutine of an appender: a lone one need not be woken by another. What comes meanwhile
// is the log's own goroutine's.
func (l *Log) lead(batch []*entry) {
	whole := false
	defer func() {
		if !whole { // a fault: nobody may wait for ever, and nothing more is written to this file
			l.w.distrusted = true
			l.fail(batch, errors.New("the writer had an internal fault"))
		}
		l.mu.Lock()
		l.inFlight, l.writing = 0, false
		more := l.urgent || l.closing
		l.mu.Unlock()
		if more {
			l.work.Signal()
		}
	}()
	l.commit(batch)
	whole = true
}

// write takes what is queued, again and again: everything that came during a sync together, and what nobody waited for.
func (l *Log) write() {
	defer close(l.done)
	for {
		batch, closing := l.take()
		l.commit(batch)
		if closing {
			l.drain()
			l.seal()
			l.dropSpare()
			return
		}
	}
}

func (l *Log) take() (batch []*entry, closing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mine {
		l.inFlight, l.writing, l.mine = 0, false, false
	}
	for !l.urgent && !l.closing || l.writing {
		l.work.Wait()
	}
	l.mine = true
	return l.grab(), l.closing
}

// grab makes the queue the batch that is written. l.mu is held.
func (l *Log) grab() []*entry {
	batch := l.queue
	l.queue, l.w.batch = l.w.batch[:0], batch
	l.inFlight, l.queued, l.retained, l.urgent, l.writing = l.queued, 0, 0, false, true
	return batch
}

// drain writes what could not be written before the end, into the reserve of the present segment: a full disk loses none of it.
func (l *Log) drain() {
	l.mu.Lock()
	rest := l.queue
	l.queue, l.inFlight, l.queued, l.closeErr = nil, l.queued, 0, nil
	l.mu.Unlock()
	l.w.final = true
	l.commit(rest)
}

// limit is how far the present segment may be written.
func (l *Log) limit() int64 {
	if l.w.final {
		return l.w.size
	}
	return l.w.size - l.reserve()
}

func (l *Log) reserve() int64 { return l.o.SegmentBytes / reservePart }

// trouble tells of the first failure, and of the first success after it.
func (l *Log) trouble(cause error) {
	if l.w.final || !l.failing.CompareAndSwap(cause == nil, cause != nil) {
		return
	}
	if l.o.Trouble == nil {
		return
	}
	l.mu.Lock()
	refused := l.refused
	l.refused = 0
	l.mu.Unlock()
	l.o.Trouble(cause, refused)
}

func (l *Log) commit(batch []*entry) {
	for len(batch) > 0 {
		if batch[0].payload == nil { // everything before it is durable
			if batch[0].roll && l.Last() >= l.w.first {
				if err := l.roll(headerBytes + frameBytes); err != nil {
					l.trouble(err)
					l.fail(batch, err)
					return
				}
			}
			l.publish(batch[:1], 0)
			batch[0] = nil // it belongs to who waited again
			batch = batch[1:]
			continue
		}
		n, err := l.commitSome(batch)
		if err != nil {
			l.trouble(err)
			l.fail(batch, err)
			return
		}
		clear(batch[:n]) // the entries belong to their appenders again
		batch = batch[n:]
	}
}

// commitSome writes and syncs as many entries as fit into the segment, and publishes them.
func (l *Log) commitSome(batch []*entry) (int, error) {
	w := &l.w
	if need := sizeOf(len(batch[0].payload)); w.distrusted || w.cramped && !w.final || w.off+int64(need) > l.limit() {
		if err := l.roll(need); err != nil {
			return 0, err
		}
	}
	n, frames, head := l.encode(batch)
	if err := l.store(w.buf); err != nil {
		return 0, err
	}
	w.off += int64(len(w.buf))
	w.head = append(w.head[:0], head...)
	w.sealed = false
	if cap(w.buf) > keptBuffer {
		w.buf = nil
	}
	l.trouble(nil) // before anybody is told: who goes on must not find it failing
	l.publish(batch[:n], frames)
	if w.off > w.size/2 && w.spare == nil {
		l.prepareSpare()
	}
	return n, nil
}

// encode frames as many entries as fit into the segment and returns their number, that of their frames, and the start of the last
// payload.
func (l *Log) encode(batch []*entry) (n, frames int, head []byte) {
	w := &l.w
	batchSeq := l.Last() + 1
	w.buf, head = w.buf[:0], w.head
	for _, e := range batch {
		if e.roll {
			break
		}
		if e.payload == nil {
			n++
			continue
		}
		if w.off+int64(len(w.buf)+sizeOf(len(e.payload))) > l.limit() {
			break
		}
		seq, start := batchSeq+uint64(frames), len(w.buf)
		w.buf = appendFrame(w.buf, seq, batchSeq, e.payload)
		payload := w.buf[start+frameBytes : start+frameBytes+len(e.payload)]
		if l.o.Link != nil {
			l.o.Link(seq, head, payload)
		}
		sealFrame(w.buf[start:], l.seed)
		head = payload[:min(len(payload), maxHead)]
		n++
		frames++
	}
	return n, frames, head
}

// store brings b to stable storage at the end of the segment, or leaves the segment as it was.
func (l *Log) store(b []byte) error {
	w := &l.w
	_, err := w.file.WriteAt(b, w.off)
	if err != nil && !errors.Is(err, disk.ErrUnsynced) {
		return errors.Join(fmt.Errorf("write %s: %w", segmentName(w.first), err), l.undo(len(b)))
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		// The kernel may have dropped the pages and marked them clean: a second sync that succeeds would prove nothing.
		l.abandon()
		return fmt.Errorf("sync %s: %w", segmentName(w.first), err)
	}
	return nil
}

// undo takes back a partly written batch, so that no later start finds entries whose append was refused.
func (l *Log) undo(n int) error {
	w := &l.w
	_, err := w.file.WriteAt(make([]byte, n), w.off)
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		l.abandon()
		return fmt.Errorf("undo the write to %s: %w", segmentName(w.first), err)
	}
	return nil
}

// abandon keeps the segment for what was durable in it before; the next entry starts a new one.
func (l *Log) abandon() {
	l.w.distrusted = true
	_ = l.w.file.Truncate(l.w.off) // best effort: the new segment's header says where this one ends
}

// publish shows durable entries to readers first and then to those who wait for them.
func (l *Log) publish(batch []*entry, frames int) {
	l.mu.Lock()
	seq := l.last
	l.last += uint64(frames)
	l.inFlight -= frames
	if frames > 0 {
		l.batches++
	}
	l.segments[len(l.segments)-1].end = l.w.off
	l.notify()
	l.mu.Unlock()
	for _, e := range batch {
		if e.payload != nil {
			seq++
		}
		if e.waited {
			e.seq = seq
			e.done <- nil
		}
	}
}

// fail refuses the entries that somebody waits for and keeps the others for the next attempt.
func (l *Log) fail(batch []*entry, err error) {
	l.mu.Lock()
	var kept []*entry
	for _, e := range batch {
		if e != nil && !e.waited {
			kept = append(kept, e)
			l.retained += sizeOf(len(e.payload))
		}
	}
	if l.closing && len(kept) > 0 {
		l.closeErr = fmt.Errorf("close log %s: %d enqueued entries are lost: %w", l.dir, len(kept), err)
	}
	l.inFlight = 0
	l.queue = append(kept, l.queue...)
	l.queued += len(kept)
	l.mu.Unlock()
	for _, e := range batch {
		if e != nil && e.waited {
			e.seq = 0
			e.done <- err
		}
	}
	clear(batch)
}

// seal says at an orderly end that everything before it was durable, so that the next start takes nothing for torn. It is a
// convenience: where it cannot be written nothing is lost.
func (l *Log) seal() {
	w := &l.w
	if w.sealed || w.distrusted || w.off+frameBytes > w.size || w.off == headerBytes {
		return
	}
	next := l.Last() + 1
	b := appendFrame(nil, next, next, nil)
	sealFrame(b, l.seed)
	if l.store(b) == nil {
		w.off += int64(len(b))
		l.mu.Lock()
		l.segments[len(l.segments)-1].end = w.off
		l.mu.Unlock()
	}
}

// roll starts a new segment with room for at least need bytes.
func (l *Log) roll(need int) error {
	w := &l.w
	size := max(l.o.SegmentBytes, int64(headerBytes+need)+l.reserve())
	file, err := l.takeSpare(size)
	w.cramped = err != nil
	if err != nil {
		return fmt.Errorf("make room for a segment of %d bytes: %w", size, err)
	}
	// From here on the old segment is finished, whatever happens: the new one's header states its end.
	w.distrusted = true
	h := header{id: l.id, first: l.Last() + 1, prevFirst: w.first, prevEnd: w.off}
	replaces := w.file != nil && w.first == h.first // the old one holds no entry; the new one takes its name
	if replaces {
		h.prevFirst, h.prevEnd = w.prevFirst, w.prevEnd
	}
	if err := l.create(h, file); err != nil {
		return fmt.Errorf("start segment %s: %w", segmentName(h.first), err)
	}
	if w.file != nil {
		if !replaces {
			_ = w.file.Truncate(w.off) // gives back unused space; the next Open does it otherwise
		}
		_ = w.file.Close() // what it holds has been synced, or was refused
	}
	w.file, w.first, w.prevFirst, w.prevEnd = file, h.first, h.prevFirst, h.prevEnd
	w.off, w.size = headerBytes, size
	w.distrusted, w.sealed = false, false

	l.mu.Lock()
	defer l.mu.Unlock()
	if replaces {
		l.segments = l.segments[:len(l.segments)-1]
	} else if n := len(l.segments); n > 0 {
		l.segments[n-1].endKnown = true
	}
	l.segments = append(l.segments, segment{first: h.first, end: headerBytes, endKnown: true})
	l.present, l.spare = size, 0
	return nil
}

// create makes a spare file a whole segment under its other name first, so that a segment that can be seen is complete.
func (l *Log) create(h header, file File) error {
	name := spareName
	_, err := file.WriteAt(h.append(nil), 0)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		if err = l.disk.Rename(spareName, segmentName(h.first)); err == nil {
			name = segmentName(h.first)
			err = l.disk.Sync()
		}
	}
	if err != nil {
		_ = file.Close()
		_ = l.disk.Remove(name) // it holds nothing; if it stays, the next attempt or Open replaces it
		return err
	}
	return nil
}

// prepareSpare begins to fill the file of the next segment while this one is still written, so that nobody waits for it.
func (l *Log) prepareSpare() {
	size := l.o.SegmentBytes
	if l.reserveSpare(size) != nil {
		return // whoever needs it is told
	}
	made := make(chan spare, 1)
	l.w.spare = made
	go func() {
		file, err := l.fill(size)
		made <- spare{file, size, err}
	}()
}

// takeSpare is a zero-filled file of the size under the spare's name: the one prepared where that has worked out, or a new one.
func (l *Log) takeSpare(size int64) (File, error) {
	if l.w.spare != nil {
		s := <-l.w.spare
		l.w.spare = nil
		if s.err == nil && s.size == size {
			return s.file, nil
		}
		if s.err == nil {
			_ = s.file.Close() // an entry is larger than a segment: Create empties the file
		}
	}
	if err := l.reserveSpare(size); err != nil {
		return nil, err
	}
	return l.fill(size)
}

// reserveSpare counts a file that is about to be made, in the place of the one that was being made before.
func (l *Log) reserveSpare(size int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spare = 0
	if most := l.o.MaxBytes; most > 0 && l.size()+size > most {
		return fmt.Errorf("%w: %d of %d bytes", ErrFull, l.size(), most)
	}
	l.spare = size
	return nil
}

// dropSpare waits for a spare that nobody will need.
func (l *Log) dropSpare() {
	if l.w.spare == nil {
		return
	}
	if s := <-l.w.spare; s.err == nil {
		_ = s.file.Close()
		_ = l.disk.Remove(spareName) // else the next Open does
	}
}

// fill writes every block, because a sync of a block written for the first time costs twice as much. It syncs as it goes, so that
// the syncs of entries do not have to wait behind all of it.
func (l *Log) fill(size int64) (File, error) {
	f, err := l.disk.Create(spareName)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size && err == nil; off += int64(len(zeros)) {
		if _, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		_ = f.Close()
		_ = l.disk.Remove(spareName) // gives the space back
		l.mu.Lock()
		l.spare = 0
		l.mu.Unlock()
		return nil, err
	}
	return f, nil
}
