package purpose

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"sallyport"
)

// looks are who saw something of a customer, and when: a fold of the reveals of the access stream. A look is one statement of a person
// by which something of the customer could be read, whatever the reason.
type looks struct {
	mu    sync.RWMutex // guards everything below
	of    map[sallyport.Subject][]look
	day   int64 // of the last event: what is older than a day is forgotten when it changes
	names table
	seed  maphash.Seed // tells statements apart
}

type look struct {
	at        int64 // microseconds since 1970
	statement uint64
	staff     uint32 // index of names
}

const (
	lookWindow = 24 * time.Hour
	// mostLooks bounds what is kept of one customer: whoever is looked at more often than this in a day is looked at so often.
	mostLooks = 1000
	// bulkValues is what one batch holds at most that counts as looks. Bulk work goes by grants and jobs, which have budgets of their own.
	bulkValues = 3000
)

func newLooks() *looks {
	l := &looks{of: map[sallyport.Subject][]look{}, seed: maphash.MakeSeed()}
	l.names.intern("")
	return l
}

// isLook tells whether a batch counts.
func isLook(e *sallyport.Event) bool {
	return e.Reveal != nil && e.Who.Staff != "" && e.Reveal.Values.Len() <= bulkValues
}

// Look is what counts of an entry as looks at customers until now, without a word about what was seen of them: another gateway has to know that. Nil: nothing.
func Look(e *sallyport.Event, now time.Time) *sallyport.Event {
	if !isLook(e) || e.Time.Before(now.Add(-lookWindow)) {
		return nil
	}
	one := &sallyport.Event{Seq: e.Seq, Time: e.Time, Kind: e.Kind, Who: sallyport.Who{Staff: e.Who.Staff, Session: e.Who.Session}, Origin: e.Origin, Reveal: &sallyport.Revealed{Statement: e.Reveal.Statement}}
	for _, subject := range e.Reveal.Values.Distinct(nil) {
		one.Reveal.Values.Add(sallyport.RevealedValue{Subject: subject})
	}
	if one.Reveal.Values.Len() == 0 {
		return nil
	}
	return one
}

// apply folds the reveals of one batch.
func (l *looks) apply(e *sallyport.Event) {
	if !isLook(e) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	one := look{at: e.Time.UnixMicro(), statement: l.statement(e), staff: l.names.intern(string(e.Who.Staff))}
	var last sallyport.Subject
	for v := range e.Reveal.Values.All() {
		if v.Subject == "" || v.Subject == last {
			continue
		}
		last = v.Subject
		l.add(last, one)
	}
	l.forget(e.Time)
}

func (l *looks) statement(e *sallyport.Event) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	_, _ = h.WriteString(e.Who.Session) // it never fails
	return h.Sum64() ^ e.Reveal.Statement*0x9e3779b97f4a7c15
}

// add counts a statement once, in however many batches its result left. l.mu is held.
func (l *looks) add(subject sallyport.Subject, one look) {
	list := l.of[subject]
	for _, before := range slices.Backward(list) {
		if before.statement == one.statement && before.staff == one.staff {
			return
		}
		if one.at-before.at > time.Hour.Microseconds() {
			break
		}
	}
	if len(list) == mostLooks {
		list = slices.Delete(list, 0, 1)
	}
	l.of[subject] = append(list, one)
}

// forget drops what is too old, once a day of the events' time. l.mu is held.
func (l *looks) forget(now time.Time) {
	day := now.Unix() / (24 * 60 * 60)
	if day == l.day {
		return
	}
	l.day = day
	oldest := now.Add(-lookWindow).UnixMicro()
	for subject, list := range l.of {
		list = slices.DeleteFunc(list, func(one look) bool { return one.at < oldest })
		if len(list) == 0 {
			delete(l.of, subject)
			continue
		}
		l.of[subject] = list
	}
}

// count is how often a customer was looked at in the day before now, by how many people, and how often by one of them.
func (l *looks) count(subject sallyport.Subject, who sallyport.Staff, now time.Time) (all, people, own int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	oldest := now.Add(-lookWindow).UnixMicro()
	me, known := l.names.index[string(who)]
	var seen []uint32
	for _, one := range l.of[subject] {
		if one.at < oldest {
			continue
		}
		all++
		if known && one.staff == me {
			own++
		}
		if !slices.Contains(seen, one.staff) {
			seen = append(seen, one.staff)
		}
	}
	return all, int64(len(seen)), own
}

// countLooks says how often the customers of a reason were looked at: of several, the one who was most often.
func (r *Resolver) countLooks(who Person, c *Cover) {
	now := r.options.Clock()
	for _, subject := range c.Subjects {
		all, people, own := r.facts.looks.count(subject, who.Staff, now)
		c.Reason.Looks, c.Reason.Lookers, c.Reason.OwnLooks = max(c.Reason.Looks, all), max(c.Reason.Lookers, people), max(c.Reason.OwnLooks, own)
	}
}
