package serve

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/canary"
)

// canaries are the customers who do not exist: what serve knows of them, plants, and hears.
type canaries struct {
	s     *Server
	ready chan struct{} // closed once the keys are open
	once  sync.Once
	book  atomic.Pointer[canary.Book]
	wake  chan struct{}
	over  chan struct{} // closed when serve ends

	renewing sync.Mutex // one at a time looks what is new about them

	taken   hourly
	mu      sync.Mutex // guards what follows
	trouble string
	mail    string // where mail is heard; empty: nowhere
	hook    string // where messages are heard
}

func newCanaries(s *Server) *canaries {
	return &canaries{s: s, ready: make(chan struct{}), wake: make(chan struct{}, 1), over: make(chan struct{})}
}

// canaryKey is what the ring derives the key of canaries for.
const canaryKey = "canaries"

// canaries makes the book of those that are on record. The access stream is folded into it by who asks.
func (g *guard) canaries() (*canary.Book, error) {
	secret, err := g.ring.Derive(canaryKey)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	key, err := canary.NewKey(secret)
	if err != nil {
		return nil, err
	}
	book := canary.NewBook(key, g.s.O.Config.Canary.Settings())
	locked := 0
	err = g.s.ControlStream.Read(1, func(e *sallyport.Event) error {
		if book.Apply(e) != nil {
			locked++
		}
		return nil
	})
	if locked > 0 {
		g.s.log.Warn("canaries were sealed with other keys, and are not known", "canaries", locked)
	}
	return book, err
}

// opened has the book used from now on.
func (c *canaries) opened(book *canary.Book) *canary.Book {
	c.book.Store(book)
	c.once.Do(func() { close(c.ready) })
	return book
}

// open opens a sealed canary for detection, which waits for the keys with it.
func (c *canaries) open(sealed []byte) *canary.Canary {
	select {
	case <-c.ready:
	case <-c.over:
		return nil
	}
	one, err := c.book.Load().Open(sealed)
	if err != nil {
		return nil
	}
	return one
}

// newTraps are what detection knows of canaries, before it has read anything.
func (s *Server) newTraps() *traps {
	grants := s.O.Config.Grants.Standing
	return &traps{
		open: s.canaries.open, drill: drillWatchOf(&s.O.Config.Drill, s.O.Config), walks: s.O.Config.Canary.Walks, plants: s.O.Config.Planter(), tokens: map[sallyport.Digest]sallyport.Subject{}, byID: map[string]sallyport.Subject{},
		bulk: map[string]bool{}, makers: map[statementKey]sallyport.Staff{},
		standing: func(id string) bool {
			for i := range grants {
				if grants[i].ID == id {
					return grants[i].Customers >= manyCustomers
				}
			}
			return false
		},
	}
}

// plan is an order to plant, and what came of it.
type plan struct {
	id    string // sequence of its entry
	until time.Time
	left  int
	drill bool
}

// plans are the orders that are not carried out yet.
func (c *canaries) plans() (list []plan, err error) {
	err = c.s.ControlStream.Read(1, func(e *sallyport.Event) error {
		o := e.Order
		switch {
		case o == nil:
		case e.Kind == sallyport.CanaryPlanning && o.Planting != nil:
			list = append(list, plan{id: fmt.Sprint(e.Seq), until: e.Time.Add(o.Planting.Over), left: o.Planting.Count, drill: o.Planting.Drill})
		case e.Kind == sallyport.CanaryPlanted:
			for i := range list {
				if list[i].id == o.ID {
					list[i].left--
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what is to be planted: %w", err)
	}
	return list, nil
}

// How often it is looked what is to be planted, and how long after what failed.
const (
	plantEvery = 30 * time.Second
	plantMost  = 200 // by one look: others want to be served, too
)

// tend plants what is due, and hears what comes, until ctx ends.
func (c *canaries) tend(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.hear(ctx) })
	known := c.s.ControlStream.Last() // or an order more
	list, err := c.plans()
	if err != nil {
		c.tell(err)
		return
	}
	ticker := time.NewTicker(plantEvery)
	defer ticker.Stop()
	last := c.s.O.Clock()
	for {
		if last := c.s.ControlStream.Last(); last != known { // orders came
			if fresh, err := c.plans(); err == nil {
				list, known = fresh, last
			}
		}
		now := c.s.O.Clock()
		c.tell(errors.Join(c.renew(), c.plantDue(ctx, list, last, now)))
		last = now
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-c.wake:
		}
	}
}

// plantDue plants of each order as many as its time has come for: at random moments, so that those who can see when rows come see no rhythm.
func (c *canaries) plantDue(ctx context.Context, list []plan, last, now time.Time) error {
	due := map[string]int{}
	n := 0
	for _, p := range list {
		for range p.left {
			if n >= plantMost {
				break
			}
			rest := p.until.Sub(last)
			if rest <= 0 || rand.Float64() < min(1, float64(now.Sub(last))/float64(rest)) { //nolint:gosec // moments, and no secret
				due[p.id]++
				n++
			}
		}
	}
	if n == 0 {
		return nil
	}
	planter, err := c.newPlanter(ctx)
	if err != nil {
		return err
	}
	defer planter.close(ctx)
	for _, p := range list {
		planter.drill = p.drill
		for range due[p.id] {
			if err := planter.plant(ctx, p.id); err != nil {
				return err
			}
		}
	}
	if n >= plantMost {
		c.nudge()
	}
	return nil
}

func (c *canaries) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tell keeps why the last attempt failed, and logs it once.
func (c *canaries) tell(err error) {
	text := ""
	if err != nil && !errors.Is(err, context.Canceled) {
		text = oneLine(err)
	}
	c.mu.Lock()
	fresh := text != "" && text != c.trouble
	c.trouble = text
	c.mu.Unlock()
	if fresh {
		c.s.log.Error("a canary could not be planted; it is tried again", "why", text)
	}
}

// desk is what the api may ask.
func (c *canaries) desk() *api.Canaries {
	return &api.Canaries{Check: c.check, Ordered: c.nudge, Status: c.status, Who: c.who, Digest: c.digest}
}

var errNotReady = errors.New("the keys are not open yet") //nolint:gochecknoglobals // a sentinel

func (c *canaries) check(_ *api.PlantRequest) error {
	x := &c.s.O.Config.Canary
	switch {
	case !c.s.O.Config.Protects() || c.s.O.Observe != nil:
		return errors.New("this serve protects nothing, so there is nothing to plant among")
	case x.Login == "":
		return errors.New("the configuration names no service by whose log-in they are written (canary.login)")
	case len(x.Domains) == 0 && len(x.Numbers) == 0:
		return errors.New("the configuration gives neither domains nor numbers that viewers could be shown (canary.domains, canary.numbers)")
	case c.book.Load() == nil:
		return errNotReady
	}
	return nil
}

func (c *canaries) status() (n api.CanaryStatus, err error) {
	book := c.book.Load()
	if book == nil {
		return n, &api.Problem{Status: 503, Code: "not_ready", Sentence: "The keys are not open yet.", Hint: "Try again when serve is ready."}
	}
	list, err := c.plans()
	if err != nil {
		return n, err
	}
	k := book.Counts()
	n = api.CanaryStatus{Planted: k.Planted, Drill: k.Drill, Shown: k.Shown, Viewers: k.Viewers, Heard: k.Heard}
	for _, p := range list {
		n.Due += max(p.left, 0)
	}
	c.mu.Lock()
	n.Trouble = c.trouble
	c.mu.Unlock()
	return n, nil
}

func (c *canaries) digest(detail string) string {
	book := c.book.Load()
	if book == nil {
		return ""
	}
	d := book.Key().Digest(canary.SchemeOf(detail), detail)
	return hex.EncodeToString(d[:])
}

// who tells who was shown a detail, and how likely each is the source of what came there.
func (c *canaries) who(detail string) (*api.CanaryAnswer, error) {
	book := c.book.Load()
	if book == nil {
		return nil, errNotReady
	}
	scheme := canary.SchemeOf(detail)
	d := book.Key().Digest(scheme, detail)
	a := &api.CanaryAnswer{Scheme: scheme, Given: book.Listens(scheme, detail), Views: []api.CanaryView{}, Heard: []api.CanaryHeard{}, None: 1}
	sightings := book.WhoByDigest(d)
	for _, h := range book.Heard(&d) {
		a.Heard = append(a.Heard, api.CanaryHeard{At: cmp.Or(h.At, h.Time), From: h.From, Own: h.Own, Quoted: h.Quoted})
	}
	each, none := c.suspicion(book, scheme, d, sightings)
	a.None = none
	for i := range sightings {
		x := &sightings[i]
		v := api.CanaryView{Staff: x.Viewer, Grant: x.Grant, Posterior: each[i]}
		for _, l := range x.Looks {
			v.Looks = append(v.Looks, api.CanaryLook{
				Time: l.Time, Session: l.Session, Statement: l.Statement, Entry: l.Seq, Application: l.Who.Application, Address: l.Who.Address, Via: l.Who.Via,
			})
		}
		a.Views = append(a.Views, v)
	}
	return a, nil
}

// suspicion is how likely each of the viewers of a detail is the source: of an address whoever was shown it, since nobody else can know it; of a
// number by the calls that came, and by those that are given beside them, against those that come anyway.
func (c *canaries) suspicion(book *canary.Book, scheme sallyport.Scheme, d sallyport.Digest, shown []canary.Sighting, calls ...canary.Call) (each []float64, none float64) {
	each = make([]float64, len(shown))
	if len(shown) == 0 {
		return each, 1
	}
	if scheme == sallyport.Email {
		for i := range shown {
			each[i] = 1 / float64(len(shown))
		}
		return each, 0
	}
	now := c.s.O.Clock()
	for _, h := range book.Heard(&d) {
		if !h.Own {
			calls = append(calls, canary.Call{At: cmp.Or(h.At, h.Time), Quoted: h.Quoted})
		}
	}
	var candidates []canary.Candidate
	for i := range shown {
		candidates = append(candidates, canary.Candidate{Viewer: shown[i].Viewer, Since: shown[i].Looks[0].Time})
	}
	began, other := book.Background(c.listensSince(), now, &d)
	return canary.Suspicion(calls, candidates, other, began, now)
}

// listensSince is from when on calls are told; zero: the configuration does not say.
func (c *canaries) listensSince() time.Time {
	t, _ := time.Parse(time.DateOnly, c.s.O.Config.Canary.Since)
	return t
}
