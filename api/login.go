package api

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport"
)

// Wrong passwords for one name: the first few cost nothing, then each one doubles the time that the name stays shut.
const (
	freeFailures = 5
	firstDelay   = time.Second
	longestDelay = 5 * time.Minute
	maxNames     = 10_000 // names that are remembered; beyond, those that are open again are forgotten
)

// door checks names and passwords.
type door struct {
	people map[sallyport.Staff]Person
	now    func() time.Time
	decoy  PasswordHash                 // checked for names that nobody has, so that they take as long
	own    func(sallyport.Staff) string // hashes of passwords that people set themselves; nil: nobody did
	counts func(sallyport.Staff) bool   // whose password counts; nil: everybody's

	work chan struct{} // bounds how many passwords are checked at once: each takes memory

	mu    sync.Mutex // guards tries
	tries map[string]*tries
}

// tries counts the wrong passwords for one name.
type tries struct {
	failures int
	shut     time.Time // until when
}

func newDoor(people map[sallyport.Staff]Person, now func() time.Time) *door {
	d := &door{people: people, now: now, work: make(chan struct{}, 2), tries: map[string]*tries{}}
	d.decoy = hash{memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: make([]byte, saltBytes), sum: make([]byte, hashBytes)}.text()
	cost := uint64(0)
	for _, p := range people {
		// The dearest of the directory: a name that nobody has never answers sooner than one that somebody has.
		if h, err := p.Password.parse(); err == nil && h.cost() > cost {
			cost = h.cost()
			h.sum = make([]byte, len(h.sum))
			d.decoy = h.text()
		}
	}
	return d
}

// outcome of a log-in.
type outcome uint8

const (
	shut  outcome = iota // too many failures: nothing was checked
	wrong                // name or password
	right
)

// try checks a name and a password. For shut it also returns how long.
func (d *door) try(name string, password []byte) (outcome, time.Duration) {
	if wait := d.charge(name); wait > 0 {
		return shut, wait
	}
	d.work <- struct{}{}
	own := d.of(sallyport.Staff(name))
	hashed := d.decoy
	if own != "" {
		hashed = own
	}
	ok := hashed.Verify(password) && own != ""
	<-d.work
	if !ok {
		return wrong, 0
	}
	d.open(name)
	return right, 0
}

// open takes back what was charged: he got in.
func (d *door) open(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tries, name)
}

// of is the hash of somebody's password: the one that he set himself, else the configuration's. Empty: he has none, or it does not count.
func (d *door) of(who sallyport.Staff) PasswordHash {
	person, known := d.people[who]
	if !known || d.counts != nil && !d.counts(who) {
		return ""
	}
	if d.own != nil {
		if set := PasswordHash(d.own(who)); set != "" {
			return set
		}
	}
	return person.Password
}

// charge counts a failure before the password is checked, so that many at once are not free; success takes it back.
func (d *door) charge(name string) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	t := d.tries[name]
	if t == nil {
		if len(d.tries) >= maxNames {
			d.forget(now)
		}
		t = &tries{}
		d.tries[name] = t
	}
	if wait := t.shut.Sub(now); wait > 0 {
		return wait
	}
	t.failures++
	if over := t.failures - freeFailures; over >= 0 {
		t.shut = now.Add(min(firstDelay<<min(over, 20), longestDelay))
	}
	return 0
}

// forget drops the names that are open, and if all are shut, everything: who tries 10,000 names has not earned a memory.
func (d *door) forget(now time.Time) {
	for name, t := range d.tries {
		if !t.shut.After(now) {
			delete(d.tries, name)
		}
	}
	if len(d.tries) >= maxNames {
		clear(d.tries)
	}
}

// logIn finds out who calls. Success and failure are recorded, success before anything is done for him; only for a lock, which
// bites even if it cannot be recorded, a record that cannot be written is no hindrance.
func (s *Server) logIn(r *http.Request, unrecorded bool) (*caller, error) {
	if v := sessionOf(r); v != nil { // his log-in is on record
		return &v.who, s.goOn(v)
	}
	if credential, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return s.bearer(r, credential, unrecorded)
	}
	name, password, given := r.BasicAuth()
	if !given {
		return nil, &Problem{http.StatusUnauthorized, "log_in", "Nobody is logged in.", s.howToLogIn("Give a name and a password of the configuration's people (--as NAME).")}
	}
	result, wait := s.tryFrom(r, name, []byte(password))
	switch result {
	case shut:
		seconds := strconv.Itoa(int(wait/time.Second) + 1)
		return nil, &Problem{http.StatusTooManyRequests, "too_many_failures", "Too many wrong passwords for this name, or from this place.", "Try again in " + seconds + " s."}
	case wrong:
		if err := s.failedLogIn(sallyport.Staff(name)); err != nil {
			return nil, err
		}
		return nil, &Problem{http.StatusUnauthorized, "log_in", "Name or password is wrong.", s.howToLogIn("Passwords are those of 'people' in the configuration; 'sallyport passwd' makes one.")}
	case right:
	}
	return s.free(&caller{staff: sallyport.Staff(name), strength: "password"}, "", unrecorded)
}

// tryFrom checks a name and a password. Over the network a place that is wrong again and again is shut too, whatever names it tries: each
// attempt is an entry of the record.
func (s *Server) tryFrom(r *http.Request, name string, password []byte) (outcome, time.Duration) {
	from := source(r)
	if from == "" {
		return s.door.try(name, password)
	}
	place := "from\x00" + from
	if wait := s.door.charge(place); wait > 0 {
		return shut, wait
	}
	result, wait := s.door.try(name, password)
	if result == right {
		s.door.open(place)
	}
	return result, wait
}

// free records a log-in and looks at the standing of whose it is. How is empty for a password.
func (s *Server) free(c *caller, how string, unrecorded bool) (*caller, error) {
	me := c.staff
	order := &sallyport.Order{Action: "log_in", By: me, Details: how}
	if err := s.c.Orders.Give(nil, s.event(sallyport.LogInOK, me, order)); err != nil && !unrecorded {
		return nil, err
	}
	if standing := s.state.Standing(me); standing.Locked || standing.Suspended {
		return nil, &Problem{http.StatusForbidden, "locked", "You are locked or suspended.", "Somebody else proposes the unlock: sallyport unlock " + string(me)}
	}
	return c, nil
}

// failedLogIn records a failure; a name that nobody has stays out of it, as it may be a password typed into the wrong field.
func (s *Server) failedLogIn(name sallyport.Staff) error {
	note := ""
	if _, known := s.c.People[name]; !known {
		name, note = "", "a name that nobody has"
	}
	e := s.event(sallyport.LogInBad, name, &sallyport.Order{Action: "log_in", About: name})
	e.Note = note
	return s.c.Orders.Give(nil, e)
}

// event begins an entry of the control stream.
func (s *Server) event(kind sallyport.EventKind, who sallyport.Staff, order *sallyport.Order) *sallyport.Event {
	return &sallyport.Event{Time: s.c.Now(), Kind: kind, Who: sallyport.Who{Staff: who}, Order: order}
}
