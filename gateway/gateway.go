// Package gateway is the path: one client's connection to one of the server's, and all ordering between them.
//
// A statement goes left to right (analyse, resolve the purpose, tokenise, record, forward) and its result right to left
// (look each value up in what the purpose covers, count, record, let go); session.go tells it as a story. The server keeps
// every say over transactions, errors and types: a refusal is sent to it as a statement that fails, and only the words
// that come back are ours.
//
// It refuses what it does not understand and never lets a revealed value leave before the entry that names it is on
// stable storage. Invariants 1 to 5 and 8 (docs/architecture.md) are tests in
// serve.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
	"sallyport/canary"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/internal/upstream"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/record"
	"sallyport/token"
	"sallyport/vault"
	"sallyport/wire/pg"
)

// Config is what a gateway needs. Without Protection it relays and records, and protects nothing.
type Config struct {
	Server     *upstream.Server
	TLS        func() *tls.Config // to clients who connect now; nil, or a nil configuration: none is offered
	Verifiers  Verifiers          // nil: with TLS on both sides nobody's log-in can be verified here
	Entrances  Entrances          // nil: every log-in is the server's to check
	Fresh      bool               // people confirm who they are by a fresh log-in at the identity provider
	ConfirmAt  string             // address of the page on which people confirm who they are; empty: there is none
	Protection *Protection
	Access     *record.Stream
	Standing   *control.State
	Book       *exposure.Book
	Shares     Shares           // of budgets that other gateways have a part in; nil: this one counts by itself
	Clock      func() time.Time // stands in every event and moves the budgets' windows
	Log        *slog.Logger
	Observe    io.Writer    // not nil: nothing is masked, cut or locked, and what would have been is printed here
	Ready      func() error // why connections are refused for now; nil or a nil error: they are not

	// Drain is how long transactions under way may take to their end once Serve is told to stop. 0: they are cut.
	Drain time.Duration
}

// Protection is what turns the relay into a guard of one database.
type Protection struct {
	Database string
	Only     bool // other databases of the server are refused, not relayed
	Catalog  *catalog.Catalog
	Analyzer func() *query.Analyzer // for the present catalogue
	// Unmasked reads statements as if no column were masked, for those whom SeenBy names. nil: as Analyzer.
	Unmasked func() *query.Analyzer
	SeenBy   []sallyport.Staff
	Ring     *token.Ring
	Ties     *Ties        // whose names and texts are; nil: nobody asks
	Vault    *vault.Vault // nil: no column has one
	Canaries *canary.Book // customers who do not exist; nil: nobody knows any
	// Drilling tells who plays a theft: he is shown nobody who exists, and what he was shown before counts in no budget after a start. nil: nobody.
	Drilling func(sallyport.Staff) bool
	Resolver *purpose.Resolver
	Facts    *purpose.Facts
	Person   func(login string) purpose.Person
	Budgets  func(p purpose.Person) exposure.Budgets
	Grants   []policy.Grant // of the configuration
	// GrantOver is told that a grant which was asked for is used up, or its time over, in the middle of a result; nil: nobody is.
	GrantOver func(id string, why *sallyport.Limit) error
	// Policies decide what a reason or a grant shows, and who copies; nil: nothing and nobody. They may be others from one statement to the next.
	Policies func() *policy.Set
	// Shared is the budget of those who have something in common, and whether there is one; nil: there is none.
	Shared func(scope exposure.Scope, name string) (exposure.Budget, bool)
	// Country is where an address is; empty: unknown. nil: nobody knows.
	Country func(netip.Addr) string
	// Speak finds out for whom an assertion says that a service acts. An error that is *Told says why it does not hold. nil: no service acts for anybody.
	Speak func(ctx context.Context, service purpose.Person, assertion string, now time.Time) (Spoken, error)
	// Placed is a person with the team and role that he has right now; nil: those of his log-in.
	Placed func(p purpose.Person) purpose.Person
	// Moment is what is known of a person right now, beside his log-in.
	Moment func(p purpose.Person) policy.Context
	// Bar suspends a person because the policies say so. It MUST be durable when it returns.
	Bar func(who sallyport.Staff, because string) error
	// Second asks a colleague to agree to what somebody does, and returns the proposal's id.
	Second func(who sallyport.Staff, what string) (id string, err error)
	// Replication names the roles that may replicate. Empty: none.
	Replication []string
	// Powers says who may use which of them. A power that is absent: nobody.
	Powers map[sallyport.Power][]sallyport.Staff
	// Suspend is told that a person reached a budget, after the access stream was. It MUST be durable when it returns.
	Suspend func(who sallyport.Staff, limit sallyport.Limit) error
	// Vacate gives a value that stands in a unique column which is moving the form in which it is about to be written, in whatever row holds
	// another form, except the one whose key column holds the key: then the unique index knows it. Of a column that foreign keys hold equal to
	// others it does so in all of them, and in every row. Where equal values have equal tokens at every
	// moment of a rotation (catalog.Protected.Whole), it does so in every column of the join group. instead is not empty where the row that is
	// written holds the value in that form and must keep it. nil: nothing is ever moving.
	Vacate func(ctx context.Context, v Vacate) (instead string, err error)
	// Lone tells whether a search for a value of an integer's column on its way finds rows with that value only. nil: nothing ever is.
	Lone func(ctx context.Context, p *catalog.Protected, value []byte) (bool, error)
	// Announce tells the database of what is about to be written into a column on its way whose values have no form, and makes room for it in a unique
	// one, as Vacate does. false: nothing in the database is ready to note it. nil: nothing ever is.
	Announce func(ctx context.Context, p *catalog.Protected, v Vacate) (ready bool, err error)
}

// Vacate is what stands where a value is to be written.
type Vacate struct {
	Column  sallyport.Column
	Becomes string
	Forms   []string // by which the value may stand there
	Key     string   // name of the column that pins the row which is written; empty: none does
	Except  string   // what stands in it
	Backend uint32   // the database's process behind the session
}

// Gateway serves connections.
type Gateway struct {
	Config
	pool       buffers
	lanes      lanes
	codecs     codecs
	identities *identities
	granted    *exposure.Grants
	kin        *kin
	spent      *spent
	crossing   crossing
	warned     atomic.Bool // that TLS is left out on the way to the server
	turnedAway turnedAway
	waiting    waiting
	shapes     shapes
	prints     query.Fingerprints // of texts that are only relayed

	mu       sync.Mutex // guards sessions, backends and closing
	sessions map[*session]struct{}
	backends map[uint32]*session // by the server's process
	closing  bool
	wg       sync.WaitGroup
}

// New checks the configuration.
func New(c Config) (*Gateway, error) {
	switch {
	case c.Server == nil:
		return nil, errors.New("start gateway: no server")
	case c.Access == nil || c.Standing == nil || c.Book == nil || c.Clock == nil:
		return nil, errors.New("start gateway: record, standing, budgets and clock are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{Config: c, sessions: map[*session]struct{}{}, backends: map[uint32]*session{}, identities: newIdentities(), granted: exposure.NewGrants(), kin: newKin(), spent: newSpent()}
	if p := c.Protection; p != nil {
		if p.Database == "" || p.Catalog == nil || p.Analyzer == nil || p.Ring == nil || p.Resolver == nil ||
			p.Facts == nil || p.Person == nil || p.Budgets == nil || p.Suspend == nil || p.Policies == nil || p.Moment == nil || p.Second == nil || p.Bar == nil {
			return nil, errors.New("start gateway: an incomplete protection")
		}
		g.codecs = codecs{ring: p.Ring, made: map[sallyport.Column]*token.Codec{}, overflows: map[sallyport.Column]*token.Overflow{}}
	}
	return g, nil
}

// CheckListener refuses to guard over an open network without TLS.
func (g *Gateway) CheckListener(addr net.Addr) error {
	if g.Protection == nil || g.TLS != nil && g.TLS() != nil {
		return nil
	}
	if tcp, ok := addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		return fmt.Errorf("listen on %s: revealed values would cross the network in clear; configure tls.certificate and tls.key, or listen on 127.0.0.1", addr)
	}
	return nil
}

// Serve accepts connections until ctx ends or the listener fails; then it ends the sessions and waits for them. Where ctx
// ends without a cause of its own, sessions in a transaction have Drain's time.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	if err := g.CheckListener(ln.Addr()); err != nil {
		return err
	}
	lifetime, end := context.WithCancel(context.WithoutCancel(ctx)) // of sessions: longer than that of the listener
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	var counting sync.WaitGroup
	counting.Go(func() { g.putTrafficEachSecond(lifetime) })
	defer counting.Wait()
	defer end()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if errors.Is(context.Cause(ctx), context.Canceled) {
				g.drain()
			}
			end()
			g.close()
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept connections: %w", err)
		}
		g.wg.Go(func() { g.handle(lifetime, conn) })
	}
}

// EndSessions ends the live sessions of one person; it does not wait for them. sentence and hint are what the client reads. While
// observing it only prints what would have been done.
func (g *Gateway) EndSessions(who sallyport.Staff, sentence, hint string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for s := range g.sessions {
		if s.person.Staff != who && !s.speaksFor(who) {
			continue
		}
		if n++; !g.observing() {
			s.end(fatal(codeLocked, sentence, hint))
		}
	}
	if g.observing() {
		fmt.Fprintf(g.Observe, "%s %s: would have ended %d sessions: %s\n", g.Clock().Format(time.RFC3339), who, n, sentence)
	}
	return n
}

// Sessions is the number of live sessions.
func (g *Gateway) Sessions() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// Backends are the server's processes behind live sessions.
func (g *Gateway) Backends() map[uint32]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	own := make(map[uint32]bool, len(g.backends))
	for pid := range g.backends {
		own[pid] = true
	}
	return own
}

// drain ends the sessions that do nothing and waits for the others: each ends with its transaction.
func (g *Gateway) drain() {
	if g.Drain <= 0 {
		return
	}
	g.mu.Lock()
	g.closing = true
	for s := range g.sessions {
		s.draining.Store(true)
		if s.idle.Load() && !s.owed() {
			s.end(shutdown())
		}
	}
	g.mu.Unlock()
	over := make(chan struct{})
	go func() { // close waits for the same, and cuts what still runs
		g.wg.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(g.Drain):
	}
}

// shutdown is what a client reads whose session ends because Sallyport does.
func shutdown() pg.Notice {
	return fatal(codeShutdown, "Sallyport is shutting down", "Connect again in a moment.")
}

func (g *Gateway) close() {
	g.mu.Lock()
	g.closing = true
	for s := range g.sessions {
		s.end(shutdown())
	}
	g.mu.Unlock()
	g.wg.Wait()
}

// register makes the session known before its standing is checked, so that a lock either finds the session or is found by it.
func (g *Gateway) register(s *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	g.sessions[s] = struct{}{}
	return true
}

func (g *Gateway) forget(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, s)
	if g.backends[s.pid] == s {
		delete(g.backends, s.pid)
	}
}

// handle is one connection from its first byte to its last.
func (g *Gateway) handle(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer func() {
		// A fault in one session ends that session: what it was about could be a value, so only its place is told.
		if fault := recover(); fault != nil {
			g.Log.Error("session ended by an internal fault", "place", faultPlace())
		}
	}()
	s, err := g.open(ctx, conn)
	if err != nil {
		g.Log.Debug("connection ended before log-in", "reason", plainReason(err))
		return
	}
	if s == nil {
		return // a cancel request, which was passed on
	}
	s.run(ctx)
}
