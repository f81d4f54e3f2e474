package sources

import (
	"cmp"
	"errors"
	"hash/maphash"
	"io"
	"math"
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

	facts   []facts // by kind, each in the order of time; of equal times the first kind comes first
	heads   []int64 // the time of the next of each, in nanoseconds
	next    int     // the kind of the next one; -1: none is left
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
	t.first()
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

// facts are all of one kind.
type facts interface {
	at() (ns int64, more bool) // of the next one
	take() sallyport.Input     // good until the files are closed
}

// factList is one kind of facts, as they were read.
type factList[T any] struct {
	list  []T
	time  func(*T) time.Time
	input func(*T) sallyport.Input
}

func (l *factList[T]) at() (int64, bool) {
	if len(l.list) == 0 {
		return 0, false
	}
	return l.time(&l.list[0]).UnixNano(), true
}

func (l *factList[T]) take() sallyport.Input {
	in := l.input(&l.list[0])
	in.Time = l.time(&l.list[0])
	l.list = l.list[1:]
	return in
}

// put reads files of one kind and puts their rows among the facts, in the order of time; most files are in it.
func put[T any](t *Timeline, names []string, read func(string) ([]T, error), at func(*T) time.Time, input func(*T) sallyport.Input) error {
	list, err := all(names, read)
	t.facts = append(t.facts, newFactList(list, at, input))
	return err
}

func newFactList[T any](list []T, at func(*T) time.Time, input func(*T) sallyport.Input) *factList[T] {
	compare := func(a, b T) int { return at(&a).Compare(at(&b)) }
	if !slices.IsSortedFunc(list, compare) {
		slices.SortStableFunc(list, compare)
	}
	return &factList[T]{list, at, input}
}

// first finds which kind of fact comes next.
func (t *Timeline) first() {
	t.heads = t.heads[:0]
	for _, f := range t.facts {
		ns, more := f.at()
		if !more {
			ns = math.MaxInt64
		}
		t.heads = append(t.heads, ns)
	}
	t.earliestFact()
}

func (t *Timeline) earliestFact() {
	t.next = -1
	least := int64(math.MaxInt64)
	for i, ns := range t.heads {
		if ns < least {
			t.next, least = i, ns
		}
	}
}

// fact is the next one.
func (t *Timeline) fact() sallyport.Input {
	i := t.next
	in := t.facts[i].take()
	ns, more := t.facts[i].at()
	if !more {
		ns = math.MaxInt64
	}
	t.heads[i] = ns
	t.earliestFact()
	return in
}

// context reads the facts. What happened to tickets comes after the tickets, log-ins and alerts after what explains.
func (t *Timeline) context(r *Reader, f Files) error {
	dated := len(f.TicketEvents) > 0
	var closed []sallyport.TicketEvent
	return errors.Join(
		put(t, f.Jobs, r.Jobs, func(j *sallyport.BulkJob) time.Time { return j.From }, func(j *sallyport.BulkJob) sallyport.Input { return sallyport.Input{Job: j} }),
		put(t, f.HR, r.HR, func(h *sallyport.HRFact) time.Time { return h.Time }, func(h *sallyport.HRFact) sallyport.Input { return sallyport.Input{HR: h} }),
		put(t, f.Tickets, func(name string) ([]sallyport.TicketFact, error) {
			list, err := r.Tickets(name)
			for i := range list {
				k := &list[i]
				if !k.Closed.IsZero() {
					closed = append(closed, sallyport.TicketEvent{Ticket: k.ID, Time: k.Closed, Type: "closed"})
				}
				k.Closed, k.State = time.Time{}, "" // nobody knew them when it was opened
				if dated {
					k.Assignee = "" // the last one; who it was at a time, the dated events say
				}
			}
			return list, err
		}, func(k *sallyport.TicketFact) time.Time { return k.Opened }, func(k *sallyport.TicketFact) sallyport.Input { return sallyport.Input{Ticket: k} }),
		put(t, f.Contacts, r.Contacts, func(c *sallyport.ContactFact) time.Time { return c.Time }, func(c *sallyport.ContactFact) sallyport.Input { return sallyport.Input{Contact: c} }),
		put(t, f.TicketEvents, r.TicketEvents, ticketTime, ticketInput),
		t.close(&closed),
		put(t, f.LogIns, r.LogIns, func(l *sallyport.LogIn) time.Time { return l.Time }, func(l *sallyport.LogIn) sallyport.Input { return sallyport.Input{LogIn: l} }),
		put(t, f.Alerts, r.Alerts, func(a *sallyport.Alert) time.Time { return a.Time }, func(a *sallyport.Alert) sallyport.Input { return sallyport.Input{Alert: a} }),
		put(t, f.Reports, r.Reports, func(s *sallyport.ScamReport) time.Time { return s.Time }, func(s *sallyport.ScamReport) sallyport.Input { return sallyport.Input{Report: s} }),
	)
}

func ticketTime(e *sallyport.TicketEvent) time.Time        { return e.Time }
func ticketInput(e *sallyport.TicketEvent) sallyport.Input { return sallyport.Input{TicketEvent: e} }

// close adds the ends that the tickets' own rows tell. Closing twice is no matter.
func (t *Timeline) close(closed *[]sallyport.TicketEvent) error {
	t.facts = append(t.facts, newFactList(*closed, ticketTime, ticketInput))
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
		if t.next >= 0 && (first == nil || t.heads[t.next] <= first.head().Time.UnixNano()) {
			t.input = t.fact()
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
