package lease

import (
	"context"
	"net"
	"slices"
	"sync"

	"sallyport"
)

// Census says which sessions in the database are a gateway's.
type Census struct {
	ID       uint64   `cbor:"1,keyasint"`
	Backends []uint32 `cbor:"2,keyasint,omitempty"` // the server's processes of its clients' sessions
	Address  string   `cbor:"3,keyasint,omitempty"` // where the database sees it come from; empty: a socket
	Known    bool     `cbor:"4,keyasint,omitempty"` // it can say; else it is starting
	Serves   string   `cbor:"5,keyasint,omitempty"` // where clients come, HOST:PORT; without a host: on every address of its machine; empty: on a socket
	Shows    []byte   `cbor:"6,keyasint,omitempty"` // SHA-256 of the certificate that it shows clients; empty: none
	Missing  int      `cbor:"7,keyasint,omitempty"` // shares of its keys that are still to come
	Keys     []byte   `cbor:"8,keyasint,omitempty"` // SHA-256 of what the record says of the ring that it works by
}

// census asks one gateway at a time of each question.
type polls struct {
	mu      sync.Mutex // guards what follows
	next    uint64
	waiting map[uint64]chan *Census
}

func (p *polls) open() (uint64, chan *Census) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[uint64]chan *Census{}
	}
	p.next++
	ch := make(chan *Census, 1)
	p.waiting[p.next] = ch
	return p.next, ch
}

func (p *polls) close(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, id)
}

func (p *polls) answered(c *Census) {
	p.mu.Lock()
	ch := p.waiting[c.ID]
	delete(p.waiting, c.ID)
	p.mu.Unlock()
	if ch != nil {
		ch <- c
	}
}

// Census asks every gateway which sessions are its own. Those that are not here, or do not answer until ctx ends, are missing.
func (c *Controller) Census(ctx context.Context) (answers map[string]*Census, missing []string) {
	answers = map[string]*Census{}
	for _, name := range c.Names {
		c.mu.Lock()
		g := c.conns[name]
		c.mu.Unlock()
		if a := g.count(ctx); a != nil {
			answers[name] = a
		} else {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return answers, missing
}

// count asks one gateway; nil: it is not here, does not answer, or cannot say.
func (g *guest) count(ctx context.Context) *Census {
	a := g.ask(ctx)
	if a == nil || !a.Known {
		return nil
	}
	g.locate(a)
	return a
}

// Sealed are the gateways that are here and wait for shares of their keys, and for how many.
func (c *Controller) Sealed(ctx context.Context) map[string]int {
	sealed := map[string]int{}
	for _, name := range c.Here() {
		c.mu.Lock()
		g := c.conns[name]
		c.mu.Unlock()
		if a := g.ask(ctx); a != nil && a.Missing > 0 {
			sealed[name] = a.Missing
		}
	}
	return sealed
}

// Share passes a share that somebody brings on to the gateways that are here.
func (c *Controller) Share(by sallyport.Staff, text string) {
	for _, name := range c.Here() {
		c.mu.Lock()
		g := c.conns[name]
		c.mu.Unlock()
		if g == nil {
			continue
		}
		if err := g.wire.send(&frame{Share: &share{by, text}}); err != nil {
			g.stop(err)
		}
	}
}

// ask asks one gateway; nil: it is not here, or does not answer.
func (g *guest) ask(ctx context.Context) *Census {
	if g == nil {
		return nil
	}
	id, ch := g.c.polls.open()
	defer g.c.polls.close(id)
	if err := g.wire.send(&frame{Census: &Census{ID: id}}); err != nil {
		return nil
	}
	select {
	case a := <-ch:
		return a
	case <-ctx.Done():
	}
	return nil
}

// locate says on which machine a gateway is that takes clients on every address: where it came from.
func (g *guest) locate(a *Census) {
	host, port, err := net.SplitHostPort(a.Serves)
	if err != nil || host != "" {
		return
	}
	if from, _, err := net.SplitHostPort(g.wire.conn.RemoteAddr().String()); err == nil {
		a.Serves = net.JoinHostPort(from, port)
	}
}

// counted answers for this gateway.
func (g *Gateway) counted(w *wire, id uint64) error {
	a := &Census{}
	if g.Sessions != nil {
		*a = g.Sessions()
	}
	a.ID = id
	return w.send(&frame{Census: a})
}
