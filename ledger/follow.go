package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

const (
	// batchMost is how many leaves enter at once: 64 bundles and as many tiles, each a file that is synced.
	batchMost = 16384
	// batchAge is how long the library waits for the rest of a batch that is handed over at once.
	batchAge = 20 * time.Millisecond
	// pace is the time between two batches that are not full: each costs about ten syncs, on the disk that queries wait for.
	pace = 500 * time.Millisecond
	// signEvery is the time between two checkpoints.
	signEvery = time.Second
	// lastWords is how long what is durable when Run is told to end may take.
	lastWords = 10 * time.Second

	firstPause, longestPause = 100 * time.Millisecond, 30 * time.Second
)

// Run follows the records until ctx ends, and then brings in what is durable by then, under a checkpoint of its own. What goes wrong is
// told in status and log, and tried again.
func (l *Ledger) Run(ctx context.Context) {
	var wg sync.WaitGroup
	tending, stop := context.WithCancel(context.WithoutCancel(ctx))
	wg.Go(func() { l.tend(tending) })
	defer wg.Wait()
	defer stop()
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		began := l.o.Now()
		err := l.follow(ctx)
		if ctx.Err() != nil {
			if err != nil {
				l.trouble(err)
			}
			l.noteCheckpoint()
			return
		}
		l.trouble(err)
		if l.o.Now().Sub(began) > longestPause {
			wait = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// session is one open log. After an error it is thrown away: what the files say is then found out anew.
type session struct {
	l        *Ledger
	ctx      context.Context //nolint:containedctx // the library's: it ends with the session
	appender *tessera.Appender
	taps     []*tapped
	size     uint64
}

// follow brings entries into the log until ctx ends or something fails.
func (l *Ledger) follow(ctx context.Context) error {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s := &session{l: l, ctx: inner}
	defer s.close()
	if err := s.resume(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	l.advanced(s.size)
	for ctx.Err() == nil {
		began := time.Now()
		n, err := s.bring(inner)
		if err != nil {
			return err
		}
		if n == batchMost {
			continue
		}
		if n > 0 {
			rest(ctx, pace-time.Since(began))
		}
		if err := s.await(ctx); err != nil {
			return err
		}
	}
	return s.end(inner, cancel)
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// open makes the library go on with what resume has found.
func (s *session) open() error {
	driver, err := posix.New(s.ctx, posix.Config{Path: s.l.dir})
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(s.l.key).
		WithBatching(batchMost, batchAge).
		WithCheckpointInterval(signEvery)
	appender, _, reader, err := tessera.NewAppender(s.ctx, driver, options)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	s.appender = appender
	size, err := reader.IntegratedSize(s.ctx)
	if err == nil && size != s.size {
		err = fmt.Errorf("it has %d leaves; expected %d", size, s.size)
	}
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	return nil
}

// bring brings in what is durable and not in the log yet, at most a batch, and returns how many entries that were. Only one batch is on
// its way at a time: where it fails, nothing can come behind it.
func (s *session) bring(ctx context.Context) (int, error) {
	var batch []Leaf
	var err error
	for _, t := range s.taps {
		if batch, err = t.read(batch, batchMost); err != nil {
			return 0, fmt.Errorf("read the %s stream: %w", t.Stream, err)
		}
	}
	if len(batch) == 0 {
		return 0, nil
	}
	hashes := make([][]byte, len(batch))
	for i, leaf := range batch {
		hashes[i] = leaf.Hash()
	}
	if err := s.l.key.expect(hashes, 2*batchMost); err != nil {
		return 0, err
	}
	futures := make([]tessera.IndexFuture, len(batch))
	for i, leaf := range batch {
		futures[i] = s.appender.Add(ctx, tessera.NewEntry(leaf.Append(make([]byte, 0, leafBytes))))
	}
	for i, future := range futures {
		index, err := future()
		if err == nil && index.Index != s.size+uint64(i) {
			err = fmt.Errorf("a leaf came to %d in place of %d", index.Index, s.size+uint64(i))
		}
		if err != nil {
			return 0, fmt.Errorf("bring entries into the log: %w", err)
		}
	}
	s.size += uint64(len(batch))
	if err := s.savePosition(); err != nil {
		return 0, err
	}
	s.l.advanced(s.size)
	return len(batch), nil
}

// await waits until any of the records has more.
func (s *session) await(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	heard := make(chan error, len(s.taps))
	for _, t := range s.taps {
		wg.Go(func() { heard <- t.Wait(ctx, t.next) })
	}
	err := <-heard
	cancel()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// end brings in the rest and signs it, without waiting for the library to think of it.
func (s *session) end(ctx context.Context, cancel context.CancelFunc) error {
	ctx, done := context.WithTimeout(ctx, lastWords)
	defer done()
	for {
		n, err := s.bring(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	cancel()
	size, root, err := s.l.key.root()
	if err != nil {
		return fmt.Errorf("sign the last checkpoint: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: checkpointText(s.l.key.Name(), size, root)}, s.l.key)
	if err != nil {
		return fmt.Errorf("sign the last checkpoint: %w", err)
	}
	if err := writeFile(filepath.Join(s.l.dir, checkpoint), signed, 0o644); err != nil {
		return fmt.Errorf("write the last checkpoint: %w", err)
	}
	return nil
}

func (s *session) close() {
	for _, t := range s.taps {
		_ = t.tap.Close() // only read
	}
}

// tapped is a record as far as it is in the log.
type tapped struct {
	Source
	tap  Tap
	next uint64 // the sequence that comes next
	held *Leaf  // read, and behind a gap
}

// tapFrom begins behind an entry.
func tapFrom(s Source, last uint64) *tapped {
	return &tapped{Source: s, tap: s.Open(last + 1), next: last + 1}
}

// read appends the leaves of what is durable. What the disk has lost has a leaf of its own, so that no sequence is left out.
func (t *tapped) read(batch []Leaf, most int) ([]Leaf, error) {
	for last := t.Last(); t.next <= last && len(batch) < most; {
		leaf, err := t.leaf()
		if err != nil {
			return batch, err
		}
		batch = append(batch, leaf)
	}
	return batch, nil
}

// leaf is that of the next entry, of which the caller knows that it was durable once.
func (t *tapped) leaf() (Leaf, error) {
	leaf := Leaf{Stream: t.Stream, Record: t.ID, Seq: t.next}
	if t.held == nil {
		seq, commitment, err := t.tap.Next()
		switch {
		case errors.Is(err, io.EOF): // nothing up to the durable end can be read
		case err != nil:
			return leaf, err
		case seq < t.next:
			return leaf, fmt.Errorf("entry %d came where %d was expected", seq, t.next)
		default:
			t.held = &Leaf{Stream: t.Stream, Record: t.ID, Seq: seq, Commitment: commitment}
		}
	}
	if t.held != nil && t.held.Seq == t.next {
		leaf, t.held = *t.held, nil
	}
	t.next++
	return leaf, nil
}
