package lease

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sallyport"
	"sallyport/exposure"
	"sallyport/record"
)

// Gateway is the end that borrows. It goes on by itself: where the connection breaks it makes another one.
type Gateway struct {
	Address  string // of the controller, HOST:PORT
	TLS      *tls.Config
	Access   *record.Stream // its own, which the controller gets a copy of
	Control  *record.Stream // its copy of the controller's orders
	Files    func() string  // hash of the configuration that it runs by; empty: it does not know yet
	Apply    func(*sallyport.Event)
	Holds    func() map[string]string                                       // parcels that it has; nil: none
	Put      func(name string, part []byte, last bool, digest string) error // takes a part of a parcel; nil: there are none
	Afresh   func(why string)                                               // it cannot go on as it began; nil: it is only told in the log
	Sessions func() Census                                                  // which sessions in the database are its own; nil: it cannot say
	Share    func(by sallyport.Staff, text string)                          // takes a share of its keys; nil: they are opened otherwise
	Answer   func(ctx context.Context, body []byte) []byte                  // answers what the controller asks in somebody's name; nil: nothing
	News     func(*sallyport.Event)                                         // what other gateways saw; its own comes, too
	Pin      func(control, access string) error
	Log      *slog.Logger

	began    time.Time // of this process: its clock only goes forward
	life     string
	start    uint64
	borrower *exposure.Borrower
	ready    chan struct{} // closed when orders and news of before the first connection are known
	told     sync.Once

	mu      sync.Mutex // guards what follows
	wire    *wire      // nil: there is no connection
	next    uint64
	asked   map[uint64]chan *frame
	beats   map[uint64]time.Duration
	waiting []heard       // beats that came back, but not the orders of before them
	heard   time.Duration // when the latest beat was sent that came back with all orders; negative: never
	applied uint64        // how far orders are applied
	news    uint64
	orders  uint64 // how far they were at the first connection
	caught  bool
	whole   bool   // all parcels of this connection are here
	runs    string // by which approved files the controller runs
	last    uint64 // of the controller's access stream, when it was heard last
	refused string // why the controller does not take it
}

type heard struct {
	sent  time.Duration
	order uint64
}

// Open prepares it. Orders of its copy are applied by whoever opened that.
func (g *Gateway) Open() {
	g.began, g.life, g.start = time.Now(), rand.Text(), g.Access.Last()
	g.borrower, g.ready = exposure.NewBorrower(), make(chan struct{})
	g.asked, g.heard, g.applied = map[uint64]chan *frame{}, -time.Hour, g.Control.Last()
	g.Log = cmp.Or(g.Log, slog.New(slog.DiscardHandler))
}

// Patience is how long a gateway goes on without a word from its controller.
const Patience = time.Second

func (g *Gateway) since() time.Duration { return time.Since(g.began) }

// Heard says whether the controller was heard within the last second, with all orders that it had then.
func (g *Gateway) Heard() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.since()-g.heard < Patience
}

// Ready is closed when all orders and news are known that the controller had at the first connection.
func (g *Gateway) Ready() <-chan struct{} { return g.ready }

// Last is how far the controller's access stream was when the connection was made.
func (g *Gateway) Last() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

// Wrote says whether this process wrote that entry of the gateway's stream.
func (g *Gateway) Wrote(seq uint64) bool { return seq > g.start }

// Runs is by which approved files the controller ran when the connection was made; empty: gateways have their own.
func (g *Gateway) Runs() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.runs
}

// Trouble is why the controller does not take it; empty: it does, or cannot be reached.
func (g *Gateway) Trouble() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// Borrower holds what it was lent.
func (g *Gateway) Borrower() *exposure.Borrower { return g.borrower }

// Since is how long ago the process began, by a clock that only goes forward.
func (g *Gateway) Since() time.Duration { return g.since() }

// Run keeps a connection until ctx ends.
func (g *Gateway) Run(ctx context.Context) {
	pause := firstPause
	for last := ""; ctx.Err() == nil; {
		began := time.Now()
		err := g.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != last {
			last = text
			g.Log.Warn("the controller is not heard; nothing is shown until it is", "controller", g.Address, "why", text)
		}
		if time.Since(began) > time.Second {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

const (
	firstPause   = 20 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// connect is one connection from its first byte to its last.
func (g *Gateway) connect(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	conn, err := (&tls.Dialer{Config: g.TLS}).DialContext(dialing, "tcp", g.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	w, err := newWire(conn)
	if err != nil {
		return err
	}
	g.mu.Lock()
	h := &hello{Version: version, Record: g.Access.ID(), Life: g.life, Last: g.start, Files: g.Files(), Control: g.applied, News: g.news, Had: g.borrower.Holdings()}
	g.mu.Unlock()
	if g.Holds != nil {
		h.Holds = g.Holds()
	}
	if err := w.send(&frame{Hello: h}); err != nil {
		return err
	}
	f, err := w.receive()
	switch {
	case err != nil:
		return err
	case f.Refused != "":
		g.mu.Lock()
		g.refused = f.Refused
		g.mu.Unlock()
		if f.Afresh && g.Afresh != nil {
			g.Afresh(f.Refused)
		}
		return fmt.Errorf("the controller refuses this gateway: %s", f.Refused)
	case f.Welcome == nil:
		return errFrame
	}
	if err := g.Pin(f.Welcome.Control, f.Welcome.Access); err != nil {
		return err
	}
	return g.talk(ctx, w, f.Welcome)
}

// talk goes on until the connection breaks.
func (g *Gateway) talk(ctx context.Context, w *wire, from *welcome) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = w.conn.Close() })
	defer stop()
	g.mu.Lock()
	g.wire, g.refused, g.last, g.beats, g.waiting = w, "", from.Last, map[uint64]time.Duration{}, nil
	g.whole, g.runs = false, from.Runs
	if g.orders == 0 {
		g.orders = from.Orders
	}
	g.mu.Unlock()
	calls := &callees{ctx: ctx, under: map[uint64]context.CancelFunc{}, answer: g.Answer}
	defer calls.wg.Wait() // once those that wait for the controller were told that it is gone
	defer g.hangUp()
	g.settled()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		cancel(g.Access.Follow(ctx, from.Seen+1, func(e *sallyport.Event) error { return w.send(&frame{Entry: e}) }))
	})
	wg.Go(func() { cancel(g.beat(ctx, w)) })
	for {
		f, err := w.receive()
		switch {
		case err != nil:
		case f.Call != nil:
			err = calls.take(w, f.Call) //nolint:contextcheck // calls has the connection's
		default:
			err = g.take(w, f)
		}
		if err != nil {
			cancel(err)
			return context.Cause(ctx)
		}
	}
}

// hangUp tells those who wait for an answer that there is none.
func (g *Gateway) hangUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wire = nil
	for id, ch := range g.asked {
		delete(g.asked, id)
		close(ch)
	}
}

// beat says that it is there, and gives back what lies idle.
func (g *Gateway) beat(ctx context.Context, w *wire) error {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for n := uint64(1); ; n++ {
		g.mu.Lock()
		g.beats[n] = g.since()
		g.mu.Unlock()
		if err := w.send(&frame{Beat: n}); err != nil {
			return err
		}
		if idle := g.borrower.Idle(g.since(), idleAfter); len(idle) > 0 {
			if err := w.send(&frame{Returned: idle}); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// idleAfter is how long a share is kept that nobody spends.
const idleAfter = 2 * time.Second

// take takes up one message.
func (g *Gateway) take(w *wire, f *frame) error {
	switch {
	case f.Order != nil:
		return g.follow(f.Order)
	case f.News != nil:
		g.News(f.News)
		g.mu.Lock()
		g.news = f.News.Seq
		g.mu.Unlock()
	case f.Caught:
		g.mu.Lock()
		g.caught = true
		g.mu.Unlock()
		g.settled()
	case f.Parcel != nil:
		return g.unpack(f.Parcel)
	case f.Whole:
		g.mu.Lock()
		g.whole = true
		g.sweep()
		g.mu.Unlock()
		g.settled()
	case f.Census != nil:
		return g.counted(w, f.Census.ID)
	case f.Share != nil:
		if g.Share != nil {
			g.Share(f.Share.By, f.Share.Text)
		}
	case f.Beat != 0:
		g.beaten(f.Beat, f.Control)
	case f.Answer != nil:
		g.borrower.Take(g.since(), f.Answer.Answers)
		g.answered(f.Answer.ID, f)
	case f.Done != nil:
		g.answered(f.Done.ID, f)
	case f.Recall != nil:
		var back []exposure.Holding
		for _, id := range f.Recall {
			back = append(back, g.borrower.Recall(id)...)
		}
		if len(back) > 0 {
			return w.send(&frame{Returned: back})
		}
	default:
		return errFrame
	}
	return nil
}

// follow applies an order and keeps it. Where one of the controller's is erased its place is kept, so that both streams count alike.
func (g *Gateway) follow(e *sallyport.Event) error {
	if e.Seq <= g.applied {
		return nil
	}
	for seq := g.applied + 1; seq < e.Seq; seq++ {
		if err := g.keep(seq, &sallyport.Event{Time: e.Time, Kind: "gone"}); err != nil {
			return err
		}
	}
	if err := g.keep(e.Seq, e); err != nil {
		return err
	}
	g.Apply(e)
	g.mu.Lock()
	g.applied = e.Seq
	g.sweep()
	g.mu.Unlock()
	g.settled()
	return nil
}

func (g *Gateway) keep(seq uint64, e *sallyport.Event) error {
	at, err := g.Control.Enqueue(e)
	if err != nil {
		return fmt.Errorf("keep the controller's orders: %w", err)
	}
	if at != seq {
		return fmt.Errorf("keep the controller's orders: order %d would stand here as %d; start with an empty data folder", seq, at)
	}
	return nil
}

// beaten notes a beat that came back.
func (g *Gateway) beaten(n, order uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sent, ok := g.beats[n]
	if !ok {
		return
	}
	delete(g.beats, n)
	g.waiting = append(g.waiting, heard{sent, order})
	g.sweep()
}

// sweep takes those beats for heard whose orders are applied, once all parcels are here. The caller holds mu.
func (g *Gateway) sweep() {
	for g.whole && len(g.waiting) > 0 && g.waiting[0].order <= g.applied {
		g.heard = max(g.heard, g.waiting[0].sent)
		g.waiting = g.waiting[1:]
	}
}

// settled notes whether all is known that was there at the first connection.
func (g *Gateway) settled() {
	g.mu.Lock()
	done := g.caught && g.whole && g.applied >= g.orders
	g.mu.Unlock()
	if done {
		g.told.Do(func() { close(g.ready) })
	}
}

// Errors of what was asked of the controller.
var (
	ErrSilent  = errors.New("the controller does not answer")  //nolint:gochecknoglobals // sentinels
	ErrRefused = errors.New("the controller does not do that") //nolint:gochecknoglobals // likewise
)

// ask sends a question and waits for its answer, for a second at most.
func (g *Gateway) ask(question func(id uint64) *frame) (*frame, error) {
	g.mu.Lock()
	w := g.wire
	g.next++
	id, ch := g.next, make(chan *frame, 1)
	if w != nil {
		g.asked[id] = ch
	}
	g.mu.Unlock()
	if w == nil {
		return nil, ErrSilent
	}
	defer func() {
		g.mu.Lock()
		delete(g.asked, id)
		g.mu.Unlock()
	}()
	if err := w.send(question(id)); err != nil {
		_ = w.conn.Close() // half a message may have been sent
		return nil, fmt.Errorf("%w: %w", ErrSilent, err)
	}
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	select {
	case f, ok := <-ch:
		if !ok {
			return nil, ErrSilent
		}
		return f, nil
	case <-patience.C:
		return nil, ErrSilent
	}
}

func (g *Gateway) answered(id uint64, f *frame) {
	g.mu.Lock()
	ch := g.asked[id]
	delete(g.asked, id)
	g.mu.Unlock()
	if ch != nil {
		ch <- f
	}
}

// Want asks for shares. What is lent can be spent when it returns; who is known counts already for the next moment only.
func (g *Gateway) Want(wants []exposure.Want) ([]exposure.Answer, error) {
	f, err := g.ask(func(id uint64) *frame { return &frame{Want: &want{id, wants}} })
	if err != nil {
		return nil, err
	}
	if f.Answer == nil || len(f.Answer.Answers) != len(wants) {
		return nil, errFrame
	}
	return f.Answer.Answers, nil
}

// Mark says whether this gateway is the first that comes with an assertion.
func (g *Gateway) Mark(who sallyport.Who, a sallyport.Asserted) (first bool, err error) {
	d, err := g.does(func(id uint64) *frame { return &frame{Mark: &mark{id, who, a}} })
	if err != nil {
		return false, err
	}
	return d.First, nil
}

// Give has the controller give an order. It holds here when it comes back among the others.
func (g *Gateway) Give(e *sallyport.Event) error {
	_, err := g.does(func(id uint64) *frame { return &frame{Give: &give{id, e}} })
	return err
}

func (g *Gateway) does(question func(id uint64) *frame) (*done, error) {
	f, err := g.ask(question)
	switch {
	case err != nil:
		return nil, err
	case f.Done == nil:
		return nil, errFrame
	case f.Done.Error != "":
		return nil, fmt.Errorf("%w: %s", ErrRefused, f.Done.Error)
	}
	return f.Done, nil
}
