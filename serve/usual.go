package serve

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sallyport"
	"sallyport/record"
)

// usualDays is over how many days it is looked what somebody usually needs.
const usualDays = 30

// dayIndex remembers where in the access stream days begin, so that the last 30 are not looked for from the first entry on.
type dayIndex struct {
	mu     sync.Mutex // guards what follows
	latest int64      // day of the last entry that was noted
	days   []dayStart
}

type dayStart struct {
	day int64 // since 1970, UTC
	seq uint64
}

func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// note sees an entry, in the order of the stream. A clock that went back begins no day again.
func (d *dayIndex) note(e *sallyport.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if day := dayOf(e.Time); day > d.latest {
		d.latest = day
		d.days = append(d.days, dayStart{day, e.Seq})
	}
}

// from is an entry before which none is as late as the day.
func (d *dayIndex) from(day int64) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	seq := uint64(1)
	for _, s := range d.days {
		if s.day > day {
			break
		}
		seq = s.seq
	}
	return seq
}

// usual is how many distinct customers a day somebody needed in the last 30 days, by other ways than grants.
func (g *granting) usual(ctx context.Context, who sallyport.Staff) (sallyport.Usual, error) {
	now := g.s.O.Clock()
	return usualOf(ctx, g.s.AccessStream, g.days.from(dayOf(now)-usualDays), now, who)
}

func usualOf(ctx context.Context, access *record.Stream, from uint64, now time.Time, who sallyport.Staff) (sallyport.Usual, error) {
	first := now.AddDate(0, 0, -usualDays)
	days := map[int64]map[string]struct{}{}
	err := access.Read(from, func(e *sallyport.Event) error {
		if e.Reveal == nil || e.Kind != sallyport.RevealKind || e.Who.Staff != who || e.Reveal.Grant != "" || e.Time.Before(first) {
			return ctx.Err()
		}
		day := days[dayOf(e.Time)]
		if day == nil {
			day = map[string]struct{}{}
			days[dayOf(e.Time)] = day
		}
		for v := range e.Reveal.Values.All() {
			key := "s" + string(v.Subject)
			if v.Subject == "" {
				key = "d" + string(v.Digest[:])
			}
			day[key] = struct{}{}
		}
		return ctx.Err()
	})
	if err != nil {
		return sallyport.Usual{}, fmt.Errorf("read what %s usually needs: %w", who, err)
	}
	var counts []int
	for _, day := range days {
		counts = append(counts, len(day))
	}
	if len(counts) == 0 {
		return sallyport.Usual{}, nil
	}
	slices.Sort(counts)
	return sallyport.Usual{Median: counts[(len(counts)-1)/2], Most: counts[len(counts)-1], Days: len(counts)}, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
