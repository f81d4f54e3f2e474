package record

import (
	"context"
	"time"

	"sallyport"
)

// Pace lets a follower work beside who writes, on the same processors, instead of in his way: what comes may wait a moment for company, so
// that not every sync wakes somebody; and in a rush, when more is written than it has read, it works a part of the time, unless it has been
// behind for long. The zero Pace is none.
type Pace struct {
	Gather time.Duration // how long what comes waits for company
	Rush   int64         // bytes that are written and not read: from so many on, and while more is written, there is a rush
	Part   int           // in a rush it works one Part-th of the time; 0: all the time
	Behind time.Duration // after so long it works all the time, until it has read everything
}

// written is how long after a sync more is taken to be on its way.
const written = 20 * time.Millisecond

// longestRest is how long one rest is at most: the writer may be done before.
const longestRest = 100 * time.Millisecond

// slice is how long a follower works between two rests, about.
const slice = 5 * time.Millisecond

// pacer is one follower's state.
type pacer struct {
	Pace
	s      *Stream
	began  time.Time // of the work since the last rest
	behind time.Time // when it had last read everything
	syncs  uint64    // of the stream, at synced
	synced time.Time
	start  int64 // bytes of the stream that were there when it had last read everything
}

// caught says that everything was read, and waits until there is more.
func (p *pacer) caught(ctx context.Context, next uint64) error {
	if err := p.s.log.Wait(ctx, next); err != nil {
		return err
	}
	err := sleep(ctx, p.Gather)
	p.began = time.Now()
	p.behind = p.began
	return err
}

// worked is called after each piece of work, with the bytes read since everything was read. It rests where that is due.
func (p *pacer) worked(ctx context.Context, read int64) error {
	if p.Part <= 1 {
		return nil
	}
	now := time.Now()
	took := now.Sub(p.began)
	if took < slice {
		return nil
	}
	if n := p.s.log.Batches(); n != p.syncs {
		p.syncs, p.synced = n, now
	}
	p.began = now
	if now.Sub(p.synced) > written || now.Sub(p.behind) > p.Behind || p.s.log.Written()-p.start-read < p.Rush {
		return nil
	}
	err := sleep(ctx, min(time.Duration(p.Part-1)*took, p.Behind-now.Sub(p.behind), longestRest))
	p.began = time.Now()
	return err
}

// sleep returns after d, or with an error once ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// FollowPaced is Follow at a pace. What fn takes counts as work, also where it waits for somebody who works in its place.
func (s *Stream) FollowPaced(ctx context.Context, from uint64, pace Pace, fn func(*sallyport.Event) error) error {
	now := time.Now()
	p := &pacer{Pace: pace, s: s, began: now, behind: now, syncs: s.log.Batches()}
	if from > 1 {
		p.start = s.log.Written() // at most; what came before is not counted
	}
	r := s.reader(from)
	defer r.close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.rest(func(e *sallyport.Event) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(e); err != nil {
				return err
			}
			return p.worked(ctx, r.bytes)
		})
		if err != nil {
			return err
		}
		if err := r.report(); err != nil {
			return err
		}
		r.bytes, p.start = 0, s.log.Written()
		if err := p.caught(ctx, r.seen+1); err != nil {
			return err
		}
	}
}

// Paced is a stream whose followers keep a pace.
type Paced struct {
	*Stream
	pace Pace
}

// Paced is this stream for a follower who keeps a pace.
func (s *Stream) Paced(pace Pace) *Paced { return &Paced{s, pace} }

// Follow is FollowPaced.
func (p *Paced) Follow(ctx context.Context, from uint64, fn func(*sallyport.Event) error) error {
	return p.FollowPaced(ctx, from, p.pace, fn)
}
