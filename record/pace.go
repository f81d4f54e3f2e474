package record

import (
	"context"
	"time"

	"sallyport"
)

// Pace lets a follower work beside who writes, on the same processors, instead of in his way: what comes may wait a moment for company, so
// that not every sync wakes somebody; and in a rush, when whole tables are read and not single customers, it works a part of the time, unless
// it has been behind for long. The zero Pace is none.
type Pace struct {
	Gather time.Duration // how long what comes waits for company
	Rush   int64         // bytes a second: when so many are written there is a rush
	Part   int           // in a rush it works one Part-th of the time; 0: all the time
	Behind time.Duration // after so long it works all the time, until it has read everything; 0: it never rests
}

// moreComes is how long after a sync more is taken to be on its way.
const moreComes = 20 * time.Millisecond

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
	wrote  int64 // bytes of the stream, at looked
	looked time.Time
	rushes bool // more than Rush was written before looked
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

// worked is called after each piece of work. It rests where that is due.
func (p *pacer) worked(ctx context.Context) error {
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
	if now.Sub(p.synced) > moreComes || now.Sub(p.behind) > p.Behind || !p.rush(now) {
		return nil
	}
	err := sleep(ctx, min(time.Duration(p.Part-1)*took, p.Behind-now.Sub(p.behind), longestRest))
	p.began = time.Now()
	return err
}

// rush tells whether there is one, by what was written in the last moment.
func (p *pacer) rush(now time.Time) bool {
	if passed := now.Sub(p.looked); passed >= moreComes {
		wrote := p.s.log.Written()
		p.rushes = float64(wrote-p.wrote) >= float64(p.Rush)*passed.Seconds()
		p.wrote, p.looked = wrote, now
	}
	return p.rushes
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
	p := &pacer{Pace: pace, s: s, began: now, behind: now, syncs: s.log.Batches(), wrote: s.log.Written(), looked: now}
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
			return p.worked(ctx)
		})
		if err != nil {
			return err
		}
		if err := r.report(); err != nil {
			return err
		}
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
