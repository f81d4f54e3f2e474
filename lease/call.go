package lease

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
)

// Errors of a question for a gateway.
var (
	ErrNobody  = errors.New("no gateway is here")           //nolint:gochecknoglobals // sentinels
	ErrHungUp  = errors.New("the gateway does not answer")  //nolint:gochecknoglobals // likewise
	ErrTooLong = errors.New("the question is too long")     //nolint:gochecknoglobals // likewise
	errBusy    = errors.New("too many ask at this gateway") //nolint:gochecknoglobals // likewise
)

// call is a question for a gateway, or its answer, in bytes that only those understand who ask and answer. It may hold values: it is never kept.
type call struct {
	ID    uint64 `cbor:"1,keyasint"`
	Body  []byte `cbor:"2,keyasint,omitempty"`
	Ended bool   `cbor:"3,keyasint,omitempty"` // instead of a question: nobody waits for its answer any more
	Error string `cbor:"4,keyasint,omitempty"` // instead of an answer: why there is none
}

// The bounds of questions.
const (
	mostCalls = 64       // that one gateway answers at a time
	mostCall  = 12 << 20 // of the bytes of one, and of its answer
)

// calls are the questions that wait for their answers.
type calls struct {
	mu      sync.Mutex // guards what follows
	next    uint64
	waiting map[uint64]chan *call
}

func (p *calls) open() (uint64, chan *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[uint64]chan *call{}
	}
	p.next++
	ch := make(chan *call, 1)
	p.waiting[p.next] = ch
	return p.next, ch
}

func (p *calls) close(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, id)
}

func (p *calls) answered(a *call) {
	p.mu.Lock()
	ch := p.waiting[a.ID]
	delete(p.waiting, a.ID)
	p.mu.Unlock()
	if ch != nil {
		ch <- a
	}
}

// Ask asks one of the gateways that are here, and waits for its answer until ctx ends. It asks none twice, and not a second one: what the first did before it
// fell silent it did. Errors: ErrNobody, ErrHungUp, ErrTooLong, ctx's.
func (c *Controller) Ask(ctx context.Context, body []byte) ([]byte, error) {
	if len(body) > mostCall {
		return nil, ErrTooLong
	}
	names := c.Here()
	for _, at := range rand.Perm(len(names)) { //nolint:gosec // which one is no secret
		c.mu.Lock()
		g := c.conns[names[at]]
		c.mu.Unlock()
		if g != nil && g.welcomed.Load() {
			return g.call(ctx, body)
		}
	}
	return nil, ErrNobody
}

func (g *guest) call(ctx context.Context, body []byte) ([]byte, error) {
	id, ch := g.c.calls.open()
	defer g.c.calls.close(id)
	if err := g.wire.send(&frame{Call: &call{ID: id, Body: body}}); err != nil {
		g.stop(err) // half a message may have been sent
		return nil, ErrHungUp
	}
	select {
	case a := <-ch:
		if a.Error != "" {
			return nil, errors.New(a.Error)
		}
		return a.Body, nil
	case <-g.gone:
		return nil, ErrHungUp
	case <-ctx.Done():
		_ = g.wire.send(&frame{Call: &call{ID: id, Ended: true}}) // else it answers in vain
		return nil, ctx.Err()
	}
}

// callees are the questions that a gateway answers on one connection.
type callees struct {
	ctx context.Context //nolint:containedctx // of the connection, as long as which it lives
	wg  sync.WaitGroup

	mu     sync.Mutex // guards under
	under  map[uint64]context.CancelFunc
	answer func(ctx context.Context, body []byte) []byte // nil: it answers none
}

// take begins to answer a question, or ends one that nobody waits for any more. It does not wait: an answer may take what comes behind it on the wire.
func (a *callees) take(w *wire, q *call) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q.Ended {
		if end := a.under[q.ID]; end != nil {
			end()
		}
		return nil
	}
	if a.answer == nil || len(a.under) >= mostCalls {
		return w.send(&frame{Call: &call{ID: q.ID, Error: errBusy.Error()}})
	}
	ctx, end := context.WithCancel(a.ctx)
	a.under[q.ID] = end
	a.wg.Go(func() {
		defer end()
		reply := &call{ID: q.ID, Body: a.answer(ctx, q.Body)}
		clear(q.Body)
		if len(reply.Body) > mostCall {
			reply.Body, reply.Error = nil, "the answer is too long: ask for less at once"
		}
		a.mu.Lock()
		delete(a.under, q.ID)
		a.mu.Unlock()
		if a.ctx.Err() == nil { // else it may be half an answer
			_ = w.send(&frame{Call: reply}) // a connection that breaks ends who reads it
		}
	})
	return nil
}
