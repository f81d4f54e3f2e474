package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"sallyport"
)

// Keeper keeps a store fed from the record, makes it again where it is lost, damaged or another record's, and lends it to who asks.
type Keeper struct {
	Record Record
	Open   func() (Store, error) // opens the store, making it where there is none; errors.Is(err, ErrBroken) where it cannot be used
	Wipe   func() error          // removes what Open opens
	Days   int                   // that are kept; 0: all
	Every  time.Duration         // how long an entry may wait for others; 0: DefaultEvery
	Wait   time.Duration         // before the first opening, so that a start is not slowed by it
	Now    func() time.Time      // the clock of events
	Tell   func(what string, cause error)

	lending sync.RWMutex // held for reading while the store is lent; guards store
	store   Store

	adding sync.Mutex          // held while a batch is added, and while entries are erased
	erased map[uint64]struct{} // entries that the record has erased and that may still be on their way here; guarded by adding

	mu      sync.Mutex // guards what follows
	taken   uint64
	state   string
	forgot  time.Time // the day at which it was last looked for days that are over
	restart chan struct{}
}

// DefaultEvery is how long an entry waits for others.
const DefaultEvery = time.Second

// Bounds of one batch that is added.
const (
	mostEntries = 16_384
	mostValues  = 65_536 // a batch is on its way in several copies
)

// Lend is the store until release is called; nil: there is none right now, and the record has to answer.
func (k *Keeper) Lend() (store Store, release func()) {
	k.lending.RLock()
	if k.store == nil {
		k.lending.RUnlock()
		return nil, func() {}
	}
	return k.store, k.lending.RUnlock
}

// Status says how far history is.
func (k *Keeper) Status() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state != "" {
		return k.state
	}
	return fmt.Sprintf("has %d of %d entries", k.taken, k.Record.Last())
}

// Rebuild has the store made again from the record. Meanwhile the record answers.
func (k *Keeper) Rebuild() {
	select {
	case k.asked() <- struct{}{}:
	default: // it was asked for already
	}
}

func (k *Keeper) asked() chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.restart == nil {
		k.restart = make(chan struct{}, 1)
	}
	return k.restart
}

func (k *Keeper) say(state string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state = state
}

// firstPause and longestPause lie between attempts after a failure, such as a full disk.
const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// Run feeds the store until ctx ends. What goes wrong is told and tried again: history never stops what it is the history of.
func (k *Keeper) Run(ctx context.Context) {
	defer k.close()
	k.say("is not open yet; the record answers")
	if !pause(ctx, k.Wait) {
		return
	}
	for wait := firstPause; ctx.Err() == nil; wait = min(2*wait, longestPause) {
		began := k.Record.Last()
		err := k.feed(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case errors.Is(err, errAgain):
			wait = firstPause / 2
			continue
		case errors.Is(err, ErrGone):
			k.Tell("history's process has ended and is begun anew; until then the record answers", err)
			k.close()
		case errors.Is(err, ErrBroken):
			k.Tell("history cannot be used and is made again from the record", err)
			if err := k.wipe(); err != nil {
				k.Tell("history could not be removed", err)
				break
			}
			wait = firstPause / 2
			continue
		default:
			k.Tell("history takes in nothing; it is tried again, and until then the record answers", err)
		}
		if k.Record.Last() > began+mostEntries {
			wait = firstPause // it had worked for long
		}
		k.say("takes in nothing: " + err.Error())
		if !pause(ctx, wait) {
			return
		}
	}
}

// errAgain ends feeding so that it begins anew.
var errAgain = errors.New("made again") //nolint:gochecknoglobals // a sentinel

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// feed opens the store and takes in what comes.
func (k *Keeper) feed(ctx context.Context) error {
	at, err := k.open(ctx)
	if err != nil {
		return err
	}
	k.note(at)
	return k.follow(ctx, at)
}

func (k *Keeper) note(at uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.taken, k.state = at, ""
}

// takenUpTo is the last entry that the store has.
func (k *Keeper) takenUpTo() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.taken
}

// open opens the store where it is not, and holds it to this record.
func (k *Keeper) open(ctx context.Context) (uint64, error) {
	k.lending.Lock()
	defer k.lending.Unlock()
	if k.store == nil {
		store, err := k.Open()
		if err != nil {
			return 0, err
		}
		k.store = store
	}
	at, err := k.store.Position(ctx)
	switch {
	case err != nil:
		return 0, err
	case at.Record != "" && at.Record != k.Record.ID():
		return 0, fmt.Errorf("it is that of another record: %w", ErrBroken)
	case at.Entry > k.Record.Last():
		return 0, fmt.Errorf("it has entry %d, and the record ends at %d: %w", at.Entry, k.Record.Last(), ErrBroken)
	}
	return at.Entry, nil
}

func (k *Keeper) close() {
	k.lending.Lock()
	defer k.lending.Unlock()
	if k.store == nil {
		return
	}
	if err := k.store.Close(); err != nil && !errors.Is(err, ErrGone) {
		k.Tell("history was not closed in order; nothing is lost", err)
	}
	k.store = nil
}

func (k *Keeper) wipe() error {
	k.close()
	return k.Wipe()
}

// follow reads the record and adds what it says in batches.
func (k *Keeper) follow(ctx context.Context, at uint64) error {
	ctx, stop := context.WithCancel(ctx)
	entries, done := make(chan *sallyport.Event, 4), make(chan error, 1)
	go func() { done <- k.read(ctx, at+1, entries) }()
	err := k.gather(ctx, entries, done)
	stop()
	for range entries { //nolint:revive // what is on its way, until the reader ends
	}
	return err
}

// read sends entries from one on. Damage is passed over: the record itself reports it.
func (k *Keeper) read(ctx context.Context, from uint64, to chan<- *sallyport.Event) error {
	defer close(to)
	send := func(e *sallyport.Event) error {
		select {
		case to <- e:
			from = e.Seq + 1
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for {
		err := k.Record.Follow(ctx, from, send)
		if ctx.Err() != nil || err == nil {
			return err
		}
		before, last := from, k.Record.Last()
		if err2 := k.Record.Read(from, send); ctx.Err() != nil {
			return err2
		}
		if from = max(from, last+1); from == before {
			return err // it is not damage
		}
		k.Tell("the record is damaged; history has what can be read", err)
	}
}

// gathering is a batch that is being made.
type gathering struct {
	k      *Keeper
	batch  []*sallyport.Event
	values int
}

// take puts an entry into the batch, and says whether no more should be waited for.
func (g *gathering) take(e *sallyport.Event) (full bool) {
	g.batch, g.values = append(g.batch, e), g.values+weight(e)
	return len(g.batch) >= mostEntries || g.values >= mostValues
}

// add gives the batch to the store.
func (g *gathering) add(ctx context.Context) error {
	if len(g.batch) == 0 {
		return nil
	}
	at := g.batch[len(g.batch)-1].Seq
	if err := g.k.add(ctx, at, g.batch); err != nil {
		return err
	}
	clear(g.batch)
	g.batch, g.values = g.batch[:0], 0
	g.k.note(at)
	return nil
}

// add adds a batch, without what the record has erased since it was read there.
func (k *Keeper) add(ctx context.Context, at uint64, batch []*sallyport.Event) error {
	k.adding.Lock()
	defer k.adding.Unlock()
	if len(k.erased) > 0 {
		batch = slices.DeleteFunc(slices.Clone(batch), func(e *sallyport.Event) bool { _, gone := k.erased[e.Seq]; return gone })
	}
	if err := k.store.Add(ctx, at, batch); err != nil {
		return err
	}
	maps.DeleteFunc(k.erased, func(entry uint64, _ struct{}) bool { return entry <= at })
	return nil
}

// takeIn takes an entry, and adds all that wait where it is time to.
func (g *gathering) takeIn(ctx context.Context, e *sallyport.Event) error {
	if !g.take(e) {
		return nil
	}
	return g.add(ctx)
}

// gather takes what comes until no more should wait, and adds it.
func (k *Keeper) gather(ctx context.Context, entries <-chan *sallyport.Event, done <-chan error) error {
	every := cmp.Or(k.Every, DefaultEvery)
	g := &gathering{k: k}
	timer := time.NewTimer(every)
	defer timer.Stop()
	asked, gone := k.asked(), goneOf(k.store)
	for {
		select {
		case <-gone:
			_, err := k.store.Position(ctx)
			return cmp.Or(err, ErrGone)
		case e, more := <-entries:
			if !more {
				return <-done
			}
			if len(g.batch) == 0 {
				timer.Reset(every)
			}
			if err := g.takeIn(ctx, e); err != nil {
				return err
			}
		case <-timer.C:
			if err := errors.Join(g.add(ctx), k.forget(ctx)); err != nil {
				return err
			}
			timer.Reset(every)
		case <-asked:
			k.say("is being made again; the record answers")
			if err := k.wipe(); err != nil {
				return err
			}
			return errAgain
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// goneOf tells when a store is not there any more that is kept by somebody else; nil: never.
func goneOf(store Store) <-chan struct{} {
	if far, ok := store.(interface{ Gone() <-chan struct{} }); ok {
		return far.Gone()
	}
	return nil
}

// weight is how many rows an entry becomes.
func weight(e *sallyport.Event) int {
	n := 1
	if e.Reveal != nil {
		n += e.Reveal.Values.Len()
	}
	if e.Touch != nil {
		n += len(e.Touch.Reached)
	}
	return n
}

// forget lets days go that are over, once a day.
func (k *Keeper) forget(ctx context.Context) error {
	today := k.Now().UTC().Truncate(24 * time.Hour)
	if k.Days <= 0 || today.Equal(k.forgot) {
		return nil
	}
	if err := k.store.Forget(ctx, Forgetting{Before: today.AddDate(0, 0, -k.Days)}); err != nil {
		return fmt.Errorf("let days go that are over: %w", err)
	}
	k.forgot = today
	return nil
}

// Erase takes away what stands here of entries that the record has erased, also of those that were read there before and are on their way.
func (k *Keeper) Erase(ctx context.Context, entries []uint64) error {
	k.adding.Lock()
	defer k.adding.Unlock()
	taken := k.takenUpTo()
	for _, entry := range entries {
		if entry <= taken {
			continue
		}
		if k.erased == nil {
			k.erased = map[uint64]struct{}{}
		}
		k.erased[entry] = struct{}{}
	}
	store, release := k.Lend()
	defer release()
	if store == nil || len(entries) == 0 {
		return nil // it is made from the record, which has them no more
	}
	return store.Forget(ctx, Forgetting{Entries: entries})
}
