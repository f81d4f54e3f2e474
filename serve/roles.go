package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/catalog"
	"sallyport/config"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/gateway"
	"sallyport/lease"
	"sallyport/purpose"
	"sallyport/record"
)

// Role is what of Sallyport one serve is.
type Role string

// The roles. Alone is all of it.
const (
	Alone      Role = "alone"
	Controller Role = "controller" // counts for gateways, hears orders, finds insiders; serves no clients
	GatewayOf  Role = "gateway"    // serves clients, by what its controller lends and orders
)

// Check holds a role to what it needs.
func (r Role) Check(o *Options) error {
	switch r {
	case "", Alone:
		return nil
	case Controller, GatewayOf:
	default:
		return config.Usagef("no role %q; expected --role alone, controller or gateway", string(r))
	}
	switch {
	case o.Config == nil || o.Config.Gateways.Controller == "":
		return config.Usagef("--role %s needs to know its other end; expected --config FILE with a section gateways", r)
	case o.Observe != nil || o.MovingIn || o.AwaitAgreement || o.OnlyOrders:
		return config.Usagef("--role %s goes with none of --observe, --moving-in, --await-agreement and --only-orders; do that with --role alone first", r)
	}
	return nil
}

// hub is what a controller has besides a serve that is alone.
type hub struct {
	lease.Controller
	listener net.Listener
	secure   *tls.Config
	seenAt   map[string]sighting // of gateways; only the watch for ways around them touches it
}

// openHub counts what gateways have shown, and listens for them.
func (s *Server) openHub(ctx context.Context) error {
	c := s.O.Config
	if err := s.openMirrors(""); err != nil {
		return err
	}
	secure, _, err := c.SecureGateways()
	if err != nil {
		return err
	}
	h := &hub{secure: secure, seenAt: map[string]sighting{}, Controller: lease.Controller{
		Access: s.AccessStream, Control: s.ControlStream, Names: c.Gateways.Names, Order: s.ordered, Clock: s.O.Clock, Log: s.log,
		Files: func() string { return c.Hash }, Runs: func() string { return s.held }, Parcels: s.parcels, Before: s.beforeOrder,
		Looks: func(e *sallyport.Event) *sallyport.Event { return purpose.Look(e, s.O.Clock()) },
	}}
	if err := h.Open(); err != nil {
		return err
	}
	var lc net.ListenConfig
	if h.listener, err = lc.Listen(ctx, "tcp", cmp.Or(c.Gateways.Listen, c.Gateways.Controller)); err != nil {
		return fmt.Errorf("listen for gateways: %w", err)
	}
	s.Hub = h
	return nil
}

// ordered gives an order for a gateway: what takes rights away because of what it saw, and nothing that gives any.
func (s *Server) ordered(gateway string, e *sallyport.Event) error {
	o := e.Order
	if o == nil || e.Who != (sallyport.Who{}) {
		return errors.New("it is no order of a gateway's")
	}
	var check func() error
	switch {
	case e.Kind == sallyport.Suspended && o.By == "" && o.Response == nil:
	case e.Kind == sallyport.GrantEnded && o.By == "" && o.Use == nil:
	case e.Kind == sallyport.Proposed && o.Action == control.Second:
		check = func() error { return s.State.CheckProposal(o) }
	case e.Kind == sallyport.Erasing || e.Kind == sallyport.Erased:
		if err := s.mirrors.may(gateway, e.Kind, o); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a gateway does not give orders of kind %s; give it at the controller", e.Kind)
	}
	e.Time = s.O.Clock()
	return s.orders.Give(check, e)
}

// openForOthers opens what a controller looks after the database with.
func (g *guard) openForOthers(ctx context.Context) error {
	if !g.s.O.Config.Protects() {
		return g.unmarked(ctx)
	}
	g.close(ctx)
	for _, step := range []func(context.Context) error{g.connect, g.checkMark, g.openKeys, g.replayGone, g.checkKeys, g.openCatalog, g.openVault, g.openSeen, g.replayShreds} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// serveGateways is what a controller does in place of serving clients, until ctx ends.
func (s *Server) serveGateways(ctx context.Context) error {
	err := s.AccessStream.Read(1, func(e *sallyport.Event) error {
		s.granting.days.note(e)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	g := &guard{s: s}
	defer g.close(ctx)
	s.wait(errors.New("Sallyport is starting")) //nolint:staticcheck // a sentence that people read
	if err := s.retry(ctx, g.openForOthers); err != nil {
		return err
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	if g.catalog != nil { // who plants, plays, shreds or asks about customers looks at the tables
		turns := newRotations(g, there{g})
		s.mu.Lock()
		s.guard, s.turns = g, turns
		s.mu.Unlock()
		wg.Go(func() { g.followTies(ctx) })
		wg.Go(func() { turns.tend(ctx) })
		wg.Go(func() { turns.tendShreds(ctx) })
	}
	wg.Go(func() { cancel(s.Hub.Serve(ctx, tls.NewListener(s.Hub.listener, s.Hub.secure))) })
	wg.Go(func() { s.granting.tendAll(ctx) })
	wg.Go(func() { s.canaries.tend(ctx) })
	wg.Go(func() { s.drills.tend(ctx) })
	close(s.ready)
	ticker, catalogue := time.NewTicker(refreshEvery), time.NewTicker(freshEvery)
	defer ticker.Stop()
	defer catalogue.Stop()
	around := time.NewTicker(cmp.Or(s.O.WatchEvery, watchEvery))
	defer around.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-around.C:
			if err := g.around(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("looking for ways around the gateways did not work; trying again", "why", err.Error())
			}
		case <-catalogue.C:
			if err := g.fresh(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("looking at the catalogue did not work; trying again", "why", err.Error())
			}
		case <-ticker.C:
			s.forgetAgreed()
			if err := g.look(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("looking after the database did not work; trying again", "why", err.Error())
			}
		}
	}
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// openSeen has detection know the customers who do not exist, and who shreds which token is whose.
func (g *guard) openSeen(ctx context.Context) error {
	book, err := g.canaries()
	if err != nil {
		return &hopeless{err}
	}
	g.ties = gateway.NewTies(g.s.O.Config.Protect.Customer.Named(), g.s.AccessStream, g.s.O.Clock, g.s.log, g.catalog.Snapshot)
	err = g.s.AccessStream.Read(1, func(e *sallyport.Event) error {
		_ = book.Apply(e) // only of what is sealed it may fail
		g.ties.Restore(e)
		g.tied = e.Seq
		return ctx.Err()
	})
	g.s.canaries.opened(book)
	return err
}

// followTies has the controller know of tokens that gateways tie to customers.
func (g *guard) followTies(ctx context.Context) {
	err := g.s.AccessStream.Follow(ctx, g.tied+1, func(e *sallyport.Event) error {
		g.ties.Restore(e)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		g.s.log.Error("what gateways see is not followed any more", "why", err.Error())
	}
}

// forgets says why a gateway cannot be forgotten.
func (s *Server) forgets() func(string) error {
	if s.Hub == nil {
		return nil
	}
	return func(name string) error {
		switch {
		case slices.Contains(s.Hub.Here(), name):
			return fmt.Errorf("the gateway %s is connected: its record is not lost", name)
		case !s.Hub.Knows(name):
			return fmt.Errorf("no gateway %s has ever come", Printable(name))
		}
		return nil
	}
}

// forgetAgreed carries out what two people agreed on.
func (s *Server) forgetAgreed() {
	for _, p := range s.State.Proposals() {
		if p.Action != control.ForgetGateway || p.Status != control.Agreed || s.Hub.Forgotten(p.ID) {
			continue
		}
		if err := s.Hub.Forget(p.Details, p.ID); err != nil {
			s.log.Warn("a gateway is not forgotten; trying again", "gateway", Printable(p.Details), "why", err.Error())
			continue
		}
		s.log.Info("what a gateway was lent counts as spent", "gateway", Printable(p.Details), "proposal", p.ID)
	}
}

// link is what a gateway has besides a serve that is alone.
type link struct {
	lease.Gateway
	name     string
	record   string // id of the controller's access stream, which the database's mark names
	orders   string // id of the controller's control stream
	address  string // where the database sees this gateway come from; empty: a socket
	facts    *purpose.Facts
	ties     *gateway.Ties
	snapshot atomic.Pointer[func() *catalog.Snapshot] // of the guard that serves
	stop     func()

	incoming *incoming              // what is being handed over; only the connection's own goroutine touches it
	by       atomic.Pointer[string] // hash of the configuration that this gateway runs by; nil: it has to learn which
	shut     atomic.Bool            // it is about to begin anew
	anew     *BeginAnew             // why it has to begin anew; nil: it has not. The Server's mu guards it
	end      func(error)            // likewise: of the run
}

// Heard is the connection's, until this gateway is to begin anew: what it knows is no longer true.
func (l *link) Heard() bool { return !l.shut.Load() && l.Gateway.Heard() }

// runsBy is the hash of the configuration, empty as long as it is not known.
func (l *link) runsBy() string {
	if by := l.by.Load(); by != nil {
		return *by
	}
	return ""
}

// join opens this gateway's own stream and follows its controller until all is known that was ordered and seen before.
func (s *Server) join(ctx context.Context) error {
	c := s.O.Config
	secure, name, err := c.SecureGateways()
	if err != nil {
		return err
	}
	if s.AccessStream, err = OpenRecord(s.O.Data, "access", record.Options{Now: s.O.Clock, Key: s.key, MaxBytes: c.Record.MaxBytes, Disk: s.O.disk}, s.log); err != nil {
		return err
	}
	l := &link{name: name, facts: purpose.NewFacts()}
	l.ties = gateway.NewTies(c.Protect.Customer.Named(), s.AccessStream, s.O.Clock, s.log, func() *catalog.Snapshot { return (*l.snapshot.Load())() })
	l.Gateway = lease.Gateway{
		Address: c.Gateways.Controller, TLS: secure, Access: s.AccessStream, Control: s.ControlStream, Log: s.log,
		Files: l.runsBy, Apply: s.obey, News: l.hear, Pin: s.pin, Holds: s.holds, Put: s.put, Afresh: s.afresh, Sessions: s.census, Share: s.takeShare, Answer: s.answerValues,
	}
	s.link = l
	l.Open()
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // as long as the streams are open
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(running) })
	l.stop = func() {
		stop()
		wg.Wait()
	}
	s.log.Info("waiting for the controller", "controller", c.Gateways.Controller, "gateway", name)
	select {
	case <-l.Ready():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// obey lets an order of the controller's take effect.
func (s *Server) obey(e *sallyport.Event) {
	s.orders.Take(e)
	if e.Kind == sallyport.KeyRotated {
		s.afresh("the newer key is used from now on")
	}
	if e.Kind == sallyport.DrillKind && e.Order != nil && e.Order.Drill != nil && !e.Order.Drill.Ended {
		for _, who := range e.Order.Drill.Accounts {
			s.link.Borrower().Forget(who)
		}
	}
	s.mirrorShred(e)
	if book := s.canaries.book.Load(); book != nil {
		_ = book.Apply(e) // only of what is sealed it may fail
	}
}

// mirrorShred destroys here what the controller's shredding destroyed there. A gateway that cannot begins anew, and serves nobody until it can.
func (s *Server) mirrorShred(e *sallyport.Event) {
	if e.Kind != sallyport.Shredding && e.Kind != sallyport.Shredded {
		return
	}
	s.mu.Lock()
	g := s.guard
	s.mu.Unlock()
	if g == nil || g.keyring == nil {
		return // it is done before anybody is served
	}
	if g.vault != nil {
		g.vault.ForgetAll()
	}
	if err := g.destroyGone(); err != nil {
		s.log.Error("keys of a shredded customer could not be destroyed", "why", err.Error())
		s.afresh("keys of a shredded customer are to be destroyed")
	}
}

// hear folds what any gateway saw. What this one saw itself in this life it knows already.
func (l *link) hear(e *sallyport.Event) {
	if e.Origin != nil && e.Origin.Gateway == l.name && l.Wrote(e.Origin.Seq) {
		return
	}
	l.facts.Apply(e)
	l.ties.Restore(e)
}

// pinned is the file that says whose gateway a data folder is.
const pinned = "controller"

// pin holds the controller to being the one that it was: another would not know what was shown.
func (s *Server) pin(orders, access string) error {
	path, text := filepath.Join(s.O.Data, pinned), orders+" "+access+"\n"
	known, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("note which controller this gateway has: %w", err)
		}
	case err != nil:
		return fmt.Errorf("read which controller this gateway has: %w", err)
	case string(known) != text:
		return fmt.Errorf("the controller is another one than before: its record is %s, and %s says %s", strings.TrimSpace(text), path, strings.TrimSpace(string(known)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.record, s.link.orders = access, orders
	return nil
}

// give has the controller give an order.
func (s *Server) give(e *sallyport.Event) error { return s.link.Give(e) }

// recordID is the record by which the database is protected, and how far it is at least.
func (s *Server) recordID() string {
	if s.link == nil {
		return s.AccessStream.ID()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link.record
}

// seen is how many customers somebody was shown in the last hour, day and 30 days, by all gateways.
func (s *Server) seen(now time.Time, who sallyport.Staff) (hour, day, month int) {
	id := exposure.ID{Name: string(who), Measure: exposure.Revealed}
	switch {
	case s.Hub != nil:
		n := s.Hub.Count(now, id)
		return n[0], n[1], n[2]
	case s.link != nil:
		n, _ := s.link.Borrower().Stands(id, exposure.Most{})
		return n[0], n[1], n[2]
	}
	return s.book.Count(now, who, exposure.Revealed)
}

// parts are the lines about gateways in `sallyport status`.
func (s *Server) parts(ctx context.Context) (out []api.Standby) {
	if s.Hub == nil {
		return nil
	}
	here := s.Hub.Here()
	out = append(out, api.Standby{What: "gateways", How: fmt.Sprintf("%d of %d are here: %s", len(here), len(s.O.Config.Gateways.Names), cmp.Or(strings.Join(here, ", "), "none"))})
	if s.shares != nil {
		ctx, cancel := context.WithTimeout(ctx, censusWithin)
		defer cancel()
		for name, missing := range s.Hub.Sealed(ctx) {
			out = append(out, api.Standby{What: "sealed", How: fmt.Sprintf("%s waits for %d shares of its keys: sallyport keys unseal", name, missing)})
		}
	}
	units, accounts := map[string]int{}, map[string]int{}
	for _, d := range s.Hub.Debts() {
		units[d.Gateway] += d.Units
		accounts[d.Gateway]++
	}
	for _, name := range s.O.Config.Gateways.Names {
		if units[name] > 0 {
			out = append(out, api.Standby{What: "lent", How: fmt.Sprintf("to %s: %d units of %d budgets", name, units[name], accounts[name])})
		}
	}
	return out
}

// errSeveral is what a controller says of what takes the keys and the database's rows.
var errSeveral = errors.New("columns are moved by a serve that is alone: stop the gateways and the controller, and run serve --role alone on the controller's data folder")
