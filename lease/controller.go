package lease

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
	"sallyport/exposure"
	"sallyport/record"
)

// Controller is the end that counts and lends. Its access stream holds what all gateways write, in the order in which it came, and what
// was lent to whom: the lender is a fold of it.
type Controller struct {
	Access  *record.Stream
	Control *record.Stream
	Names   []string                                       // of gateways that may come: the first DNS name of the certificate
	Files   func() string                                  // hash of the configuration by which it runs; a gateway that runs by another is refused
	Runs    func() string                                  // which approved files that configuration is of: gateways run by them; nil: they have their own
	Parcels func() ([]Parcel, error)                       // what gateways have to have before anything else; nil: nothing
	Before  func(e *sallyport.Event) ([]Parcel, error)     // and before an order; nil: nothing
	Order   func(gateway string, e *sallyport.Event) error // an order that a gateway wants given
	Looks   func(e *sallyport.Event) *sallyport.Event      // what the others have to know of a reveal; nil, as function and as answer: nothing
	Clock   func() time.Time
	Log     *slog.Logger

	lender *exposure.Lender
	spent  marks
	polls  polls
	calls  calls

	order sync.Mutex // held from when something is put on record until the lender knows it

	mu        sync.Mutex // guards what follows
	hushed    bool
	conns     map[string]*guest
	forgotten map[string]bool // proposals that were carried out
	streams   map[string]Begun
}

// Begun is the stream that a gateway writes, and from where on in the controller's its copies are.
type Begun struct {
	Record string
	From   uint64
}

// Streams are those of the gateways that have come.
func (c *Controller) Streams() map[string]Begun {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.streams)
}

// begins notes which stream a gateway writes.
func (c *Controller) begins(e *sallyport.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	Begins(c.streams, e)
}

// Begins notes in all which stream a gateway writes, where an entry says so.
func Begins(all map[string]Begun, e *sallyport.Event) {
	if e.Kind == sallyport.JoinedKind && e.Lent != nil && all[e.Lent.Gateway].Record != e.Lent.Record {
		all[e.Lent.Gateway] = Begun{e.Lent.Record, e.Seq}
	}
}

// Open folds what stands in the record.
func (c *Controller) Open() error {
	c.lender, c.conns, c.forgotten, c.streams = exposure.NewLender(), map[string]*guest{}, map[string]bool{}, map[string]Begun{}
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	now := c.Clock()
	err := c.Access.Read(1, func(e *sallyport.Event) error {
		c.lender.Fold(now, e)
		c.begins(e)
		if e.Kind == sallyport.ForgotKind {
			c.forgotten[e.Note] = true
		}
		if e.Asserted != nil {
			c.spent.add(e.Asserted, now)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count what gateways have shown: %w", err)
	}
	return nil
}

// Debts are the shares that are out.
func (c *Controller) Debts() []exposure.Debt { return c.lender.Debts() }

// Count is how many each window of an account holds.
func (c *Controller) Count(now time.Time, id exposure.ID) [3]int { return c.lender.Count(now, id) }

// Acquit takes back all that was counted of somebody who plays a drill.
func (c *Controller) Acquit(who sallyport.Staff) { c.lender.Acquit(who) }

// Here lists the gateways that are connected.
func (c *Controller) Here() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.conns {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Knows says whether a gateway has come, and was not forgotten since.
func (c *Controller) Knows(gateway string) bool { return c.lender.Knows(gateway) }

// Forgotten says whether a proposal to forget a gateway was carried out.
func (c *Controller) Forgotten(proposal string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forgotten[proposal]
}

// Forget takes what a gateway was lent for spent: its disk is lost, and two people agreed to the proposal.
func (c *Controller) Forget(gateway, proposal string) error {
	c.mu.Lock()
	here := c.conns[gateway] != nil
	c.mu.Unlock()
	if here {
		return fmt.Errorf("forget gateway %s: it is connected", gateway)
	}
	c.order.Lock()
	defer c.order.Unlock()
	e := &sallyport.Event{Time: c.Clock(), Kind: sallyport.ForgotKind, Note: proposal, Lent: &sallyport.Lent{Gateway: gateway}}
	if _, err := c.Access.Append(e); err != nil {
		return err
	}
	c.lender.Fold(c.Clock(), e)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten[proposal] = true
	return nil
}

var errExchange = errors.New("keys are being exchanged; it is to come again") //nolint:gochecknoglobals // a sentinel

// hushFor is longer than a gateway goes on without a word, and than a statement is under way that it let pass in its last moment.
const hushFor = 3 * Patience

// Hush does something while no gateway has heard this controller for longer than any goes on without it. They come back when it is done.
func (c *Controller) Hush(ctx context.Context, do func() error) error {
	c.mu.Lock()
	c.hushed = true
	for _, g := range c.conns {
		g.stop(errExchange)
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.hushed = false
	}()
	silent := time.NewTimer(hushFor)
	defer silent.Stop()
	select {
	case <-silent.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return do()
}

// Serve takes gateways until ctx ends, and waits for what it started.
func (c *Controller) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := ln.Accept()
		if err != nil {
			cancel()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept gateways: %w", err)
		}
		wg.Go(func() {
			defer conn.Close()
			if err := c.receive(ctx, conn); err != nil && ctx.Err() == nil {
				c.Log.Warn("a gateway's connection ended", "from", conn.RemoteAddr().String(), "why", err.Error())
			}
		})
	}
}

// guest is one gateway's connection.
type guest struct {
	c    *Controller
	name string
	life string
	wire *wire
	stop context.CancelCauseFunc
	gone <-chan struct{} // closed when its connection has ended

	welcomed atomic.Bool // before that it takes nothing else
}

// receive is one connection from its first byte to its last.
func (c *Controller) receive(ctx context.Context, conn net.Conn) error {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return errors.New("a gateway came without TLS")
	}
	greeting, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	if err := secure.HandshakeContext(greeting); err != nil {
		return fmt.Errorf("greet a gateway: %w", err)
	}
	name := nameOf(secure.ConnectionState())
	w, err := newWire(conn)
	if err != nil {
		return err
	}
	f, err := w.receive()
	if err != nil {
		return err
	}
	g := &guest{c: c, name: name, wire: w}
	if err := c.admit(g, f.Hello); err != nil {
		_ = w.send(&frame{Refused: err.Error(), Afresh: errors.Is(err, errOtherFiles)}) // it is told if it can be
		return err
	}
	return g.serve(ctx, f.Hello)
}

// nameOf is the name that a verified certificate is for.
func nameOf(s tls.ConnectionState) string {
	if len(s.VerifiedChains) == 0 || len(s.VerifiedChains[0]) == 0 || len(s.VerifiedChains[0][0].DNSNames) == 0 {
		return ""
	}
	return s.VerifiedChains[0][0].DNSNames[0]
}

var errOtherFiles = errors.New("it runs by another configuration than the controller; it is to begin anew") //nolint:gochecknoglobals // a sentinel

// admit says whether a gateway may come, and puts the beginning of its life on record.
func (c *Controller) admit(g *guest, h *hello) error {
	switch {
	case h == nil || h.Life == "":
		return errFrame
	case h.Version != version:
		return fmt.Errorf("the gateway speaks version %d of the protocol, and this controller %d: both must be of the same release", h.Version, version)
	case g.name == "" || !slices.Contains(c.Names, g.name):
		return fmt.Errorf("no gateway may come as %q; expected one of gateways.names: %v", g.name, c.Names)
	case h.Files != "" && h.Files != c.Files():
		return errOtherFiles
	case h.Control > c.Control.Last():
		return fmt.Errorf("it knows %d orders, and here are %d: the controller's record is older than it was", h.Control, c.Control.Last())
	}
	c.order.Lock()
	defer c.order.Unlock()
	fresh, err := c.lender.Join(g.name, h.Record, h.Life, h.Last)
	if err != nil {
		return err
	}
	g.life = h.Life
	if fresh {
		e := &sallyport.Event{Time: c.Clock(), Kind: sallyport.JoinedKind, Lent: &sallyport.Lent{Gateway: g.name, Life: h.Life, Start: h.Last, Record: h.Record}}
		if e.Seq, err = c.Access.Append(e); err != nil {
			return err
		}
		c.begins(e)
	}
	c.mu.Lock()
	if before := c.conns[g.name]; before != nil {
		before.stop(errors.New("the gateway came anew"))
	}
	c.mu.Unlock()
	return nil
}

// serve tells a gateway what it has to know, and does what it wants.
func (g *guest) serve(ctx context.Context, h *hello) error {
	c := g.c
	ctx, cancel := context.WithCancelCause(ctx)
	g.stop, g.gone = cancel, ctx.Done()
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = g.wire.conn.Close() })
	defer stop()
	c.order.Lock()
	c.mu.Lock()
	hushed := c.hushed
	if !hushed {
		c.conns[g.name] = g
	}
	c.mu.Unlock()
	if hushed {
		c.order.Unlock()
		_ = g.wire.send(&frame{Refused: errExchange.Error()}) // it is told if it can be
		return errExchange
	}
	c.lender.Resume(g.name, g.life, h.Had)
	c.order.Unlock()
	defer c.leave(g)
	last := c.Access.Last()
	err := g.wire.send(&frame{Welcome: &welcome{Control: c.Control.ID(), Access: c.Access.ID(), Last: last, Orders: c.Control.Last(), Seen: c.lender.Seen(g.name), Runs: c.runs()}})
	if err != nil {
		return err
	}
	g.welcomed.Store(true)
	c.Log.Info("a gateway has come", "gateway", g.name)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { cancel(g.orders(ctx, h)) })
	wg.Go(func() { cancel(g.news(ctx, h, last)) })
	for {
		f, err := g.wire.receive()
		if err != nil {
			cancel(err)
			return context.Cause(ctx)
		}
		if err := g.take(f); err != nil {
			cancel(err)
			return err
		}
	}
}

// runs is by which files gateways run; empty: by their own.
func (c *Controller) runs() string {
	if c.Runs == nil {
		return ""
	}
	return c.Runs()
}

func (c *Controller) leave(g *guest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns[g.name] == g {
		delete(c.conns, g.name)
	}
}

// news tells of what any gateway saw that the others have to know.
func (g *guest) news(ctx context.Context, h *hello, last uint64) error {
	from := h.News + 1
	caught := false
	catch := func(seq uint64) error {
		if caught || seq < last {
			return nil
		}
		caught = true
		return g.wire.send(&frame{Caught: true})
	}
	if err := catch(from - 1); err != nil {
		return err
	}
	return g.c.Access.Follow(ctx, from, func(e *sallyport.Event) error {
		if told := g.tells(e, h.Last); told != nil {
			if err := g.wire.send(&frame{News: told}); err != nil {
				return err
			}
		}
		return catch(e.Seq)
	})
}

// tells is what a gateway has to know of an entry; nil: nothing. What its process, whose stream began behind start, showed itself it knows.
func (g *guest) tells(e *sallyport.Event, start uint64) *sallyport.Event {
	switch e.Kind { //nolint:exhaustive // of all else gateways need to know nothing
	case sallyport.FactKind, sallyport.TieKind:
		return e
	case sallyport.RevealKind:
		if g.c.Looks == nil || e.Origin != nil && e.Origin.Gateway == g.name && e.Origin.Seq > start {
			return nil
		}
		return g.c.Looks(e)
	}
	return nil
}

// take does what one message wants.
func (g *guest) take(f *frame) error {
	c := g.c
	switch {
	case f.Entry != nil:
		return c.copy(g, f.Entry)
	case f.Beat != 0:
		return g.wire.send(&frame{Beat: f.Beat, Control: c.Control.Last()})
	case f.Want != nil:
		return c.lend(g, f.Want)
	case f.Returned != nil:
		for _, h := range f.Returned {
			c.lender.Return(g.name, g.life, h.ID, h.Returned)
		}
		return nil
	case f.Mark != nil:
		return g.wire.send(&frame{Done: c.mark(g, f.Mark)})
	case f.Give != nil:
		d := &done{ID: f.Give.ID}
		if err := c.Order(g.name, f.Give.Event); err != nil {
			d.Error = err.Error()
		}
		return g.wire.send(&frame{Done: d})
	case f.Census != nil:
		c.polls.answered(f.Census)
		return nil
	case f.Call != nil:
		c.calls.answered(f.Call)
		return nil
	}
	return errFrame
}

// copy takes over an entry of a gateway. It need not be on disk here yet: it is on the gateway's.
func (c *Controller) copy(g *guest, e *sallyport.Event) error {
	c.order.Lock()
	defer c.order.Unlock()
	seq := e.Seq
	if e.Origin != nil || e.Lent != nil || seq == 0 {
		return fmt.Errorf("%w: a copy of a copy", errFrame)
	}
	if seq <= c.lender.Seen(g.name) {
		return nil
	}
	e.Origin = &sallyport.Origin{Gateway: g.name, Seq: seq, Arrived: c.Clock()}
	if _, err := c.Access.Enqueue(e); err != nil {
		return err
	}
	c.lender.Fold(c.Clock(), e)
	return nil
}

// lend answers what a gateway wants, when the answer is on disk. Where others hold what is left it is called back.
func (c *Controller) lend(g *guest, w *want) error {
	if len(w.Wants) == 0 || len(w.Wants) > mostWants {
		return errFrame
	}
	c.order.Lock()
	c.mu.Lock()
	here := c.conns[g.name] == g
	c.mu.Unlock()
	if !here { // it has come anew, and takes nothing more from here
		c.order.Unlock()
		return errFrame
	}
	list := c.lender.Ask(c.Clock(), g.name, g.life, w.Wants)
	portions := exposure.Portions(w.Wants, list)
	var err error
	if len(portions) > 0 {
		_, err = c.Access.Enqueue(&sallyport.Event{Time: c.Clock(), Kind: sallyport.LentKind, Lent: &sallyport.Lent{Gateway: g.name, Life: g.life, Portions: portions}})
	}
	c.order.Unlock()
	if err != nil {
		return err
	}
	if len(portions) > 0 {
		if err := c.Access.Sync(); err != nil {
			return err
		}
	}
	for i := range list {
		if list[i].Busy {
			c.recall(list[i].ID, g.name)
		}
	}
	return g.wire.send(&frame{Answer: &answer{w.ID, list}})
}

// mostWants is how many accounts one question is about: as many as one key is charged to.
const mostWants = 16

// recall asks the others to give back what they hold of an account and do not need.
func (c *Controller) recall(id exposure.ID, besides string) {
	for _, name := range c.lender.Holders(id, besides) {
		c.mu.Lock()
		other := c.conns[name]
		c.mu.Unlock()
		if other != nil && other.welcomed.Load() {
			if err := other.wire.send(&frame{Recall: []exposure.ID{id}}); err != nil {
				other.stop(err)
			}
		}
	}
}

// mark lets one gateway have an assertion, when that is on disk.
func (c *Controller) mark(g *guest, m *mark) *done {
	d := &done{ID: m.ID}
	first, err := c.spent.first(&m.Asserted, c.Clock())
	if err == nil && first {
		_, err = c.Access.Append(&sallyport.Event{Time: c.Clock(), Kind: sallyport.MarkedKind, Who: m.Who, Asserted: &m.Asserted, Note: g.name})
	}
	if err != nil {
		d.Error = err.Error()
		return d
	}
	d.First = first
	return d
}

// marks remember assertions until they have expired. The zero value remembers none.
type marks struct {
	mu    sync.Mutex // guards what follows
	until map[sallyport.Digest]int64
	swept int64
}

// mostMarks bounds how many are remembered, in about 60 MB; markedFor is for how many seconds longer: a clock may be set back.
const (
	mostMarks = 1 << 20
	markedFor = 300
)

var errManyMarks = errors.New("too many assertions are good at once") //nolint:gochecknoglobals // a sentinel

func (m *marks) first(a *sallyport.Asserted, now time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, before := m.until[a.ID]; before {
		return false, nil
	}
	if at := now.Unix(); at >= m.swept+60 {
		m.swept = at
		for id, until := range m.until {
			if until+markedFor < at {
				delete(m.until, id)
			}
		}
	}
	if len(m.until) >= mostMarks {
		return false, errManyMarks
	}
	if m.until == nil {
		m.until = map[sallyport.Digest]int64{}
	}
	m.until[a.ID] = a.Expires.Unix()
	return true, nil
}

func (m *marks) add(a *sallyport.Asserted, now time.Time) {
	if a.Expires.After(now.Add(-markedFor * time.Second)) {
		_, _ = m.first(a, now) // beyond the bound it is refused by its expiry
	}
}
