package sources

import (
	"cmp"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"time"

	"sallyport"
)

// Files names the files of one organisation. Only events are needed.
type Files struct {
	Events, Staff, Tickets, TicketEvents, Contacts, Jobs, HR, LogIns, Alerts, Reports []string
}

// Timeline gives everything that the files hold in the order of time: facts before the accesses of the same moment, equal ones in the
// order of their files. Accesses that come late are put in their place while they are less than Horizon late; later ones come when they
// are read. An event whose id was seen before is passed over.
type Timeline struct {
	Staff     []sallyport.Employee // in the order of the file
	Late      int64                // accesses that came more than the horizon late
	Duplicate int64

	facts   []sallyport.Input
	streams []*ordered
	seen    *recent
	input   sallyport.Input
	spent   *sallyport.Access
	owner   *ordered
}

// Horizon is how late an event may come and still be put in its place.
const Horizon = 10 * time.Minute

// Open opens the files and reads all but the events.
func (r *Reader) Open(f Files) (*Timeline, error) {
	t := &Timeline{seen: newRecent()}
	var err error
	if t.Staff, err = all(f.Staff, r.Staff); err != nil {
		return nil, err
	}
	if err := t.context(r, f); err != nil {
		return nil, err
	}
	slices.SortStableFunc(t.facts, func(a, b sallyport.Input) int { return a.Time.Compare(b.Time) })
	for _, name := range f.Events {
		from, err := r.openAccesses(name)
		if err != nil {
			return nil, err
		}
		t.streams = append(t.streams, &ordered{from: from})
	}
	return t, nil
}

func all[T any](names []string, read func(string) ([]T, error)) ([]T, error) {
	var list []T
	for _, name := range names {
		more, err := read(name)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// put reads files of one kind and puts their rows among the facts.
func put[T any](t *Timeline, names []string, read func(string) ([]T, error), input func(*T) sallyport.Input) error {
	list, err := all(names, read)
	for i := range list {
		t.facts = append(t.facts, input(&list[i]))
	}
	return err
}

// context reads the facts. What happened to tickets comes after the tickets, log-ins and alerts after what explains.
func (t *Timeline) context(r *Reader, f Files) error {
	dated := len(f.TicketEvents) > 0
	var closed []sallyport.TicketEvent
	return errors.Join(
		put(t, f.Jobs, r.Jobs, func(j *sallyport.BulkJob) sallyport.Input { return sallyport.Input{Time: j.From, Job: j} }),
		put(t, f.HR, r.HR, func(h *sallyport.HRFact) sallyport.Input { return sallyport.Input{Time: h.Time, HR: h} }),
		put(t, f.Tickets, r.Tickets, func(k *sallyport.TicketFact) sallyport.Input {
			if !k.Closed.IsZero() {
				closed = append(closed, sallyport.TicketEvent{Ticket: k.ID, Time: k.Closed, Type: "closed"})
			}
			k.Closed, k.State = time.Time{}, "" // nobody knew them when it was opened
			if dated {
				k.Assignee = "" // the last one; who it was at a time, the dated events say
			}
			return sallyport.Input{Time: k.Opened, Ticket: k}
		}),
		put(t, f.Contacts, r.Contacts, func(c *sallyport.ContactFact) sallyport.Input { return sallyport.Input{Time: c.Time, Contact: c} }),
		put(t, f.TicketEvents, r.TicketEvents, func(e *sallyport.TicketEvent) sallyport.Input {
			return sallyport.Input{Time: e.Time, TicketEvent: e}
		}),
		t.close(&closed),
		put(t, f.LogIns, r.LogIns, func(l *sallyport.LogIn) sallyport.Input { return sallyport.Input{Time: l.Time, LogIn: l} }),
		put(t, f.Alerts, r.Alerts, func(a *sallyport.Alert) sallyport.Input { return sallyport.Input{Time: a.Time, Alert: a} }),
		put(t, f.Reports, r.Reports, func(s *sallyport.ScamReport) sallyport.Input { return sallyport.Input{Time: s.Time, Report: s} }),
	)
}

// close adds the ends that the tickets' own rows tell. Closing twice is no matter.
func (t *Timeline) close(closed *[]sallyport.TicketEvent) error {
	for i := range *closed {
		e := &(*closed)[i]
		t.facts = append(t.facts, sallyport.Input{Time: e.Time, TicketEvent: e})
	}
	return nil
}

// Close closes the files.
func (t *Timeline) Close() {
	for _, s := range t.streams {
		s.from.lines.close()
	}
}

// Next is the next input, good until the following call, or io.EOF.
func (t *Timeline) Next() (*sallyport.Input, error) {
	if t.spent != nil {
		t.owner.free = append(t.owner.free, t.spent)
		t.spent = nil
	}
	for {
		first, err := t.earliest()
		if err != nil {
			return nil, err
		}
		if len(t.facts) > 0 && (first == nil || !t.facts[0].Time.After(first.head().Time)) {
			t.input = t.facts[0]
			t.facts = t.facts[1:]
			return &t.input, nil
		}
		if first == nil {
			return nil, io.EOF
		}
		a := first.take()
		t.spent, t.owner = a, first
		if a.UID != "" && t.seen.before(a.UID) {
			t.Duplicate++
			first.free = append(first.free, a)
			t.spent = nil
			continue
		}
		if a.Time.Before(first.given) {
			t.Late++
		} else {
			first.given = a.Time
		}
		t.input = sallyport.Input{Time: a.Time, Access: a}
		return &t.input, nil
	}
}

// earliest is the file that has the earliest event; nil at the end of all.
func (t *Timeline) earliest() (first *ordered, err error) {
	for _, s := range t.streams {
		if err := s.fill(); err != nil {
			return nil, err
		}
		if head := s.head(); head != nil && (first == nil || head.Time.Before(first.head().Time)) {
			first = s
		}
	}
	return first, nil
}

// ordered puts the events of one file into the order of time, within the horizon.
type ordered struct {
	from   *accesses
	wait   []*sallyport.Access // by time
	first  int                 // of wait
	newest time.Time           // that was read
	given  time.Time           // the newest that was given
	ended  bool
	free   []*sallyport.Access
}

// mostWaiting bounds the events that wait for earlier ones.
const mostWaiting = 1 << 14

// fill reads until the first event that waits can be given.
func (s *ordered) fill() error {
	for !s.ended {
		if n := len(s.wait) - s.first; n > 0 && (n >= mostWaiting || s.newest.Sub(s.wait[s.first].Time) > Horizon) {
			return nil
		}
		a := s.fresh()
		err := s.from.next(a)
		if errors.Is(err, io.EOF) {
			s.ended = true
			return nil
		}
		if err != nil {
			return err
		}
		if a.Time.After(s.newest) {
			s.newest = a.Time
		}
		s.insert(a)
	}
	return nil
}

func (s *ordered) fresh() *sallyport.Access {
	if n := len(s.free); n > 0 {
		a := s.free[n-1]
		s.free = s.free[:n-1]
		return a
	}
	return &sallyport.Access{}
}

// insert keeps equal times in the order of the file. Nearly every event is the newest.
func (s *ordered) insert(a *sallyport.Access) {
	if s.first > mostWaiting {
		s.wait = append(s.wait[:0], s.wait[s.first:]...)
		s.first = 0
	}
	s.wait = append(s.wait, a)
	if n := len(s.wait); n-s.first < 2 || !a.Time.Before(s.wait[n-2].Time) {
		return
	}
	waiting := s.wait[s.first : len(s.wait)-1]
	at, _ := slices.BinarySearchFunc(waiting, a, func(have, a *sallyport.Access) int {
		return cmp.Or(have.Time.Compare(a.Time), -1) // after those of the same time
	})
	copy(s.wait[s.first+at+1:], s.wait[s.first+at:])
	s.wait[s.first+at] = a
}

func (s *ordered) head() *sallyport.Access {
	if s.first == len(s.wait) {
		return nil
	}
	return s.wait[s.first]
}

func (s *ordered) take() *sallyport.Access {
	a := s.wait[s.first]
	s.first++
	if s.first == len(s.wait) {
		s.wait, s.first = s.wait[:0], 0
	}
	return a
}

// recent remembers ids, the last million or two of them, in two generations.
type recent struct {
	seed     maphash.Seed
	now, old map[uint64]struct{}
}

const generation = 1 << 20

func newRecent() *recent {
	return &recent{seed: maphash.MakeSeed(), now: map[uint64]struct{}{}}
}

// before tells whether an id was seen, and notes it.
func (r *recent) before(id string) bool {
	h := maphash.String(r.seed, id)
	if _, ok := r.now[h]; ok {
		return true
	}
	if _, ok := r.old[h]; ok {
		return true
	}
	if len(r.now) >= generation {
		r.old, r.now = r.now, make(map[uint64]struct{}, generation)
	}
	r.now[h] = struct{}{}
	return false
}
