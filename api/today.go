package api

import (
	"context"
	"slices"
	"sync"
	"time"

	"sallyport/history"
)

// How long figures of the day serve.
const (
	todayKept  = 2 * time.Second  // while somebody looks, at least
	todayMost  = 30 * time.Second // and at most: those that took long are kept longer,
	todayShare = 20               // so that history works a twentieth of the time for them
	todayAhead = 10 * time.Second // they are asked anew so often while nobody looks,
	todayOld   = time.Minute      // and whoever looks takes any that are no older: he does not wait for history
	pastKept   = 10 * time.Minute
	manyBehind = 10_000 // entries: history is being made again, or fills up
)

// today keeps the figures of the day: every viewer has the same ones.
type today struct {
	wanted chan struct{} // somebody took figures that are old
	asking sync.Mutex    // held while history is asked; guards past
	pastAt time.Time
	past   []DayCustomers

	mu     sync.Mutex // guards what follows
	at     time.Time
	took   time.Duration
	behind bool // history was, by more than a moment's entries
	figure Today
}

// last is what history said last, if that is of this day and no older than d. What it said while it was behind is old sooner.
func (t *today) last(now time.Time, d time.Duration) (Today, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.behind {
		d = min(d, todayKept)
	}
	age := now.Sub(t.at)
	return t.figure, !t.at.IsZero() && age >= 0 && age < d && t.figure.Day == now.Format(time.DateOnly)
}

// share is how long history has to be left alone, so that it works a twentieth of the time for the figures.
func (t *today) share() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return todayShare * t.took
}

// keeps is how long the figures serve before they are asked anew.
func (t *today) keeps() time.Duration { return min(max(t.share(), todayKept), todayMost) }

// todaysFigures are those of a moment ago. Where they are older, whoever asks takes them all the same, and history is asked behind him.
func (s *Server) todaysFigures(ctx context.Context) (Today, error) {
	now := s.c.Now().UTC()
	t, ok := s.today.last(now, todayOld)
	if !ok {
		return s.askToday(ctx)
	}
	if _, fresh := s.today.last(now, s.today.keeps()); !fresh {
		select {
		case s.today.wanted <- struct{}{}:
		default:
		}
	}
	return t, nil
}

// keepToday asks history ahead of whoever looks, until ctx ends. What it could not ask, that one asks, and hears why.
func (s *Server) keepToday(ctx context.Context) {
	if s.c.History == nil {
		return
	}
	tick := time.NewTicker(todayKept)
	defer tick.Stop()
	for {
		keeps := max(todayAhead, s.today.share())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.today.wanted:
			keeps = s.today.keeps()
		}
		if _, ok := s.today.last(s.c.Now().UTC(), keeps); !ok {
			_, _ = s.askToday(ctx)
		}
	}
}

// askToday asks history, one caller at a time.
func (s *Server) askToday(ctx context.Context) (Today, error) {
	s.today.asking.Lock()
	defer s.today.asking.Unlock()
	now := s.c.Now().UTC()
	if t, ok := s.today.last(now, s.today.keeps()); ok { // somebody has just asked
		return t, nil
	}
	t := Today{Day: now.Format(time.DateOnly), Time: now, Past: []DayCustomers{}, Cells: []Cell{}}
	if s.c.History == nil {
		t.Missing = "This serve keeps no history (section history), so there are no figures of days."
		return t, nil
	}
	store, release := s.c.History.Lend()
	defer release()
	if store == nil {
		t.Missing = "History is not open yet: it is starting, or being made again. The record goes on."
		return t, nil
	}
	if err := s.fill(ctx, store, &t); err != nil {
		return t, err
	}
	s.today.mu.Lock()
	s.today.at, s.today.figure, s.today.took = now, t, s.c.Now().Sub(now)
	s.today.behind = t.Entry+manyBehind < s.c.Access.Last()
	if s.today.behind {
		s.today.pastAt = time.Time{}
	}
	s.today.mu.Unlock()
	return t, nil
}

// fill asks history for one day.
func (s *Server) fill(ctx context.Context, store history.Store, t *Today) error {
	at, err := store.Position(ctx)
	if err != nil {
		return err
	}
	t.Entry = at.Entry
	rows, err := store.Select(ctx, "SELECT count(DISTINCT customer) FROM reveals WHERE day = '"+t.Day+"'", s.c.History.Bounds)
	if err != nil {
		return err
	}
	if len(rows.Rows) > 0 {
		t.Customers = count(rows.Rows[0][0])
	}
	rows, err = store.Select(ctx, s.cellsSQL(t.Day), s.c.History.Bounds)
	if err != nil {
		return err
	}
	for _, r := range rows.Rows {
		t.Cells = append(t.Cells, Cell{text(r[0]), text(r[1]), text(r[2]), count(r[3])})
	}
	if s.today.pastAt.IsZero() || t.Time.Sub(s.today.pastAt) > pastKept || s.today.pastAt.Format(time.DateOnly) != t.Day {
		from := t.Time.AddDate(0, 0, -pastDays).Format(time.DateOnly)
		rows, err = store.Select(ctx, "SELECT day, count(DISTINCT customer) FROM reveals WHERE day >= '"+from+"' AND day < '"+t.Day+"' GROUP BY day ORDER BY day", s.c.History.Bounds)
		if err != nil {
			return err
		}
		s.today.past, s.today.pastAt = []DayCustomers{}, t.Time
		for _, r := range rows.Rows {
			s.today.past = append(s.today.past, DayCustomers{text(r[0]), count(r[1])})
		}
	}
	t.Past = s.today.past
	var counts []int
	for _, d := range t.Past {
		counts = append(counts, d.Customers)
	}
	if slices.Sort(counts); len(counts) > 0 {
		t.Usual, t.Most = counts[(len(counts)-1)/2], counts[len(counts)-1]
	}
	return nil
}
