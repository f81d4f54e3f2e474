package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sallyport"
	"sallyport/catalog"
	"sallyport/config"
	"sallyport/entrance"
	"sallyport/exposure"
	"sallyport/gateway"
	"sallyport/internal/apart"
	"sallyport/keys"
	"sallyport/protect"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/token"
	"sallyport/vault"
)

// guard is what turns a Server's relay into the guard of one database, and keeps it true while it serves.
type guard struct {
	s         *Server
	keyring   *keys.Keyring
	ring      *token.Ring
	reader    *pgx.ConnConfig
	conn      *pgx.Conn // of the reader, for the mark
	catalog   *catalog.Catalog
	resolver  *purpose.Resolver
	facts     *purpose.Facts
	sources   *sources      // of reasons, outside the database
	movers    *pgxpool.Pool // the reader's connections on which rows of unique columns that are moving are written
	ties      *gateway.Ties
	vault     *vault.Vault // nil: no column has one
	analyzer  atomic.Pointer[analyzer]
	open      atomic.Pointer[analyzer] // as if nothing were masked
	ways      *Surroundings
	advanced  uint64                             // how far the mark was moved
	yetToMark bool                               // protect began, and was killed before the mark
	unsure    bool                               // the database may be an older copy of itself; those who were shredded are to be looked for
	turning   atomic.Pointer[map[string]bool]    // join groups with two keys, and whether they are kept whole
	behind    atomic.Pointer[map[string]lagging] // join groups whose integers and uuids are of another key than they have to be, see checkTurned
	early     map[string]bool                    // join groups whose new tokens are of the older key still; the mutex of rotations guards it
	tied      uint64                             // up to which entry a controller knows its gateways' ties
	passOnce  sync.Once                          // makes passText
	passText  string                             // see pass
	decided   map[string]bool                    // whether groups will be kept whole, before that is on record; likewise
	wayKnown  map[string]bool                    // by their sentences: the ways around the gateway that were told of
}

// analyzer belongs to one snapshot of the catalogue.
type analyzer struct {
	snapshot *catalog.Snapshot
	*query.Analyzer
}

// How often the guard looks after things while it serves, and how long one look may take.
const (
	refreshEvery = 2 * time.Second        // the mark's position
	freshEvery   = 250 * time.Millisecond // the catalogue; what touches anything protected asks by itself
	senseEvery   = 30 * time.Second       // whether an unprotected server became a marked one
	lookTimeout  = 10 * time.Second
	// patience is how long a server may answer in ways that do not show whether it is marked, as one that is starting does.
	patience = 10 * time.Second
)

// prepare checks that the database is the one that this record and configuration belong to, and opens everything that
// protecting or masking takes. Without such columns it returns none, once it is sure that the server is not marked.
func (g *guard) prepare(ctx context.Context) (*gateway.Protection, error) {
	config := g.s.O.Config
	if !config.Protects() || g.s.O.Observe != nil {
		if err := g.unmarked(ctx); err != nil {
			return nil, err
		}
	}
	if !config.Guards() {
		return nil, nil
	}
	g.close(ctx)
	steps := []func(context.Context) error{g.connect, g.whence, g.checkMark, g.openKeys, g.replayGone, g.checkKeys, g.checkTurned, g.openCatalog, g.replayShreds}
	if !config.Protects() { // values stand there in plain, so there is no mark and there are no keys
		steps = []func(context.Context) error{g.connect, g.openKeys, g.openCatalog}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return g.protection(ctx)
}

// unmarked refuses a server that holds a protected database: without the configuration plain values would get into it.
func (g *guard) unmarked(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	_, marked, err := protect.Sense(ctx, g.s.Upstream)
	switch {
	case marked && g.s.O.Observe != nil:
		return &hopeless{fmt.Errorf("observe %s: it holds a protected database, and observing is for plain values; run serve without --observe", g.s.Upstream.Address)}
	case marked:
		return &hopeless{fmt.Errorf("relay %s: it holds a protected database; run serve with --config, the --data folder and the --key-file that it was protected with", g.s.Upstream.Address)}
	case errors.Is(err, protect.ErrCannotTell) && time.Since(g.s.started) > patience:
		return &hopeless{fmt.Errorf("relay %s: whether it holds a protected database cannot be seen, so nothing is relayed: %w", g.s.Upstream.Address, err)}
	}
	return err
}

// openKeys opens the keyring that protect made. New keys would turn new values into tokens that nobody finds among the old
// ones, so none are made here. Where the database holds plain values, while observing or only masking, keys that are forgotten will do.
func (g *guard) openKeys(ctx context.Context) error {
	var secrets token.Keys
	if g.s.O.Observe != nil || !g.s.O.Config.Protects() {
		b := make([]byte, 32)
		rand.Read(b)
		root, err := token.NewSecret(b)
		if err != nil {
			return &hopeless{err}
		}
		secrets = token.OneKey(root)
	} else {
		var err error
		g.keyring, err = OpenKeys(g.s.O.Config, ctx, g.s.keyring(), g.s.O.MovingIn && !g.s.hasProtected())
		if errors.Is(err, keys.ErrNone) {
			return &hopeless{fmt.Errorf("%w; bring back the %s that 'sallyport protect' made there", err, keys.RingName)}
		}
		switch {
		case errors.Is(err, keys.ErrSealed):
			return g.s.shares.sealed()
		case errors.Is(err, keys.ErrUnavailable):
			return err
		}
		if err != nil {
			return &hopeless{err}
		}
		if err := noteRing(g.s.orders, g.keyring, g.s.O.Clock()); err != nil {
			return err
		}
		g.resume()
		secrets = g.secrets()
	}
	ring, err := g.s.O.Config.Ring(secrets)
	if err != nil {
		return &hopeless{err}
	}
	g.ring = ring
	return nil
}

// connect logs in as the reader.
func (g *guard) connect(ctx context.Context) error {
	reader, err := entrance.Reader(g.s.O.Config, g.s.Upstream)
	if errors.Is(err, fs.ErrNotExist) && g.s.O.Observe != nil {
		return &hopeless{fmt.Errorf("observe: there is no reader yet; give --owner DSN of the tables' owner once, and serve makes it: %w", err)}
	}
	if err != nil {
		return &hopeless{err}
	}
	g.reader = reader
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, reader)
	if err != nil { // the old connection, if any, stays as it is: closed, so that the next look tries again
		err = fmt.Errorf("connect to %s as %s: %w", g.s.Upstream.Address, reader.User, err)
		if answer := (*pgconn.PgError)(nil); errors.As(err, &answer) && !temporary(answer.Code) {
			return &hopeless{err}
		}
		return err
	}
	g.conn = conn
	return nil
}

// temporary tells which answers of a server pass: it is starting or stopping (57P0x), or has too many connections (53300).
func temporary(code string) bool { return code[:min(4, len(code))] == "57P0" || code == "53300" }

// openCatalog reads what is protected.
func (g *guard) openCatalog(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	protects := g.s.O.Config.Protect
	protects.States = g.states()
	opened, err := catalog.Open(ctx, g.reader, protects, g.s.O.Config.Purposes.Tables())
	var misfits catalog.Problems
	switch {
	case errors.As(err, &misfits):
		return &hopeless{g.s.O.Config.Misfits(misfits)}
	case err != nil:
		return err
	}
	g.catalog = opened
	if err := g.s.O.Config.Misfits(g.s.O.Config.PurposeMisfits(opened.Snapshot())); err != nil {
		return &hopeless{err}
	}
	return nil
}

// protection opens what reasons are checked with, and folds the facts that are on record.
func (g *guard) protection(ctx context.Context) (*gateway.Protection, error) {
	settings := g.s.O.Config
	facts := purpose.NewFacts()
	ties := gateway.NewTies(settings.Protect.Customer.Named(), g.s.AccessStream, g.s.O.Clock, g.s.log, g.catalog.Snapshot)
	if l := g.s.link; l != nil { // its controller tells what all have seen
		current := g.catalog.Snapshot
		l.snapshot.Store(&current)
		facts, ties = l.facts, l.ties
	}
	g.facts, g.ties = facts, ties
	book, err := g.canaries()
	if err != nil {
		return nil, &hopeless{err}
	}
	err = g.s.AccessStream.Read(1, func(e *sallyport.Event) error {
		if g.s.link == nil {
			facts.Apply(e)
			ties.Restore(e)
		}
		_ = book.Apply(e) // only of what is sealed it may fail
		return ctx.Err()
	})
	if err != nil {
		return nil, &hopeless{fmt.Errorf("fold the facts of the record: %w", err)}
	}
	if g.s.O.Observe != nil { // nothing was protected yet, so what stands there now is what the record knows nothing about
		err = purpose.Baseline(ctx, g.conn, settings.Purposes, g.catalog.Snapshot(), func(found []sallyport.Fact) error {
			facts.Apply(&sallyport.Event{Kind: sallyport.FactKind, Time: g.s.O.Clock(), Note: purpose.BaselineNote, Facts: found})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the tickets that are open now: %w", err)
		}
	}
	if g.movers, err = protect.MoverPool(g.reader); err != nil { //nolint:contextcheck // its connections outlive this call
		return nil, &hopeless{err}
	}
	if err := g.settleWritten(ctx); err != nil {
		return nil, err
	}
	if g.s.unruly != nil {
		return nil, &hopeless{g.s.unruly}
	}
	directory := directoryOf(settings)
	directory.live = g.s.staffing
	live := g.s.policies
	if err := g.openSources(); err != nil { //nolint:contextcheck // they outlive this call
		return nil, err
	}
	g.resolver, err = purpose.New(g.reader, g.catalog.Snapshot, settings.Purposes, facts, purpose.Options{ //nolint:contextcheck // its connections outlive this call
		Team: directory.colleagues(live.current), Logins: directory.team, Services: settings.ServiceIDs(), Settle: g.settle, Forms: g.forms, Apart: g.apart, Vet: g.vet(ties),
		Sources: g.sources.byName, Named: directory.named, Number: g.plainNumber, Clock: g.s.O.Clock,
		Trouble: g.sources.trouble, Grant: g.whoseGrant,
	})
	if err != nil {
		return nil, &hopeless{err}
	}
	if err := g.openVault(ctx); err != nil {
		return nil, err
	}
	speak, err := g.speaker(ctx, directory)
	if err != nil {
		return nil, &hopeless{err}
	}
	where, err := settings.Whereabouts()
	if err != nil {
		return nil, &hopeless{err}
	}
	return &gateway.Protection{
		Database: settings.Upstream.Database,
		Only:     settings.Upstream.Others == config.OthersRefuse,
		Catalog:  g.catalog,
		Analyzer: g.current,
		Ring:     g.ring,
		Vault:    g.vault,
		Ties:     ties,
		Canaries: g.s.canaries.opened(book),
		Drilling: settings.Drill.Plays(settings),
		Resolver: g.resolver,
		Facts:    facts,
		Person:   directory.person,
		Budgets:  directory.of,
		Grants:   settings.Grants.Standing,
		Suspend:  g.suspend,

		GrantOver: g.s.granting.over,

		Replication: settings.Replication,
		Powers:      settings.PowersHeld(),
		Policies:    live.current,
		Placed:      directory.placed,
		Moment:      g.moment,
		Speak:       speak,
		Shared:      settings.Shared(),
		Country:     where,
		Second:      g.second,
		Bar:         g.bar,

		Vacate:   g.vacate,
		Lone:     g.lone,
		Announce: g.announce,

		Unmasked: g.unmasked,
		SeenBy:   settings.SeenBy(),
	}, nil
}

// current is the analyzer for the present catalogue. Two sessions may make it at once; one of the two is kept.
func (g *guard) current() *query.Analyzer {
	snapshot := g.catalog.Snapshot()
	return g.analyzerOf(&g.analyzer, snapshot, snapshot.Schema)
}

// unmasked is the analyzer for those who see masked columns.
func (g *guard) unmasked() *query.Analyzer {
	snapshot := g.catalog.Snapshot()
	if snapshot.Open == snapshot.Schema {
		return g.current()
	}
	return g.analyzerOf(&g.open, snapshot, snapshot.Open)
}

func (g *guard) analyzerOf(kept *atomic.Pointer[analyzer], snapshot *catalog.Snapshot, schema *query.Schema) *query.Analyzer {
	if a := kept.Load(); a != nil && a.snapshot == snapshot {
		return a.Analyzer
	}
	a := &analyzer{snapshot, query.New(schema, query.Options{Facts: g.s.O.Config.FactColumns(), ParseLong: apart.Parse})}
	kept.Store(a)
	return a.Analyzer
}

// suspend takes a person's access away because a budget was reached.
func (g *guard) suspend(who sallyport.Staff, limit sallyport.Limit) error {
	return g.s.orders.Give(nil, &sallyport.Event{
		Time: g.s.O.Clock(), Kind: sallyport.Suspended, Order: &sallyport.Order{
			Action: "suspend", About: who, Limit: &limit,
			Reason: budgetReached(limit),
		},
	})
}

// bar suspends a person because the policies say so.
func (g *guard) bar(who sallyport.Staff, because string) error {
	return g.s.orders.Give(nil, &sallyport.Event{
		Time: g.s.O.Clock(), Kind: sallyport.Suspended, Order: &sallyport.Order{Action: "suspend", About: who, Reason: because},
	})
}

// budgetReached is the reason of a suspension, for people.
func budgetReached(l sallyport.Limit) string {
	what := "customers"
	if l.Measure == string(exposure.Probed) {
		what = "values"
	}
	return fmt.Sprintf("reached the budget of %d %s %s per %s", l.Budget, what, l.Measure, l.Window)
}

// watch keeps the catalogue, the mark and the state of the orders true until ctx ends.
func (g *guard) watch(ctx context.Context) error {
	every := refreshEvery
	if !g.s.O.Config.Protects() {
		every = senseEvery
	}
	ticker, catalogue := time.NewTicker(every), time.NewTicker(freshEvery)
	around := time.NewTicker(cmp.Or(g.s.O.WatchEvery, watchEvery))
	defer ticker.Stop()
	defer catalogue.Stop()
	defer around.Stop()
	for {
		look := g.look
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case <-catalogue.C:
			look = g.fresh
		case <-around.C:
			if g.s.link != nil {
				continue // its controller does, which knows the sessions of all
			}
			look = g.around
		}
		if err := look(ctx); err != nil {
			if stop, ok := errors.AsType[*hopeless](err); ok {
				return stop.error
			}
			g.s.log.Warn("looking after the database did not work; trying again", "why", err.Error())
		}
	}
}

func (g *guard) look(ctx context.Context) error {
	g.s.State.Advance(g.s.O.Clock())
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	switch {
	case g.s.O.Config.Protects():
		return g.advanceMark(ctx)
	case g.catalog != nil && g.conn.IsClosed(): // ways around are looked for from it
		if err := g.connect(ctx); err != nil {
			g.s.log.Warn("the reader cannot connect again", "why", err.Error())
		}
	}
	return g.unmarked(ctx)
}

// fresh keeps the catalogue true for statements that do not ask.
func (g *guard) fresh(ctx context.Context) error {
	if g.catalog == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if g.s.link != nil && g.rotatesAny() {
		g.resolver.Renewed() // by the controller, who does not say of which rows
	}
	_, err := g.catalog.Refresh(ctx)
	return err
}

// leave moves the mark on to where the record ends, when nothing is served any more. It is late: ctx has ended.
func (g *guard) leave(ctx context.Context) {
	if g.catalog == nil || !g.s.O.Config.Protects() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := g.advanceMark(ctx); err != nil {
		// The database may have gone first; the mark then says that the record was shorter, which harms nobody.
		g.s.log.Warn("the mark in the database could not be moved on", "why", err.Error())
	}
}

// close gives back what prepare opened; it may be called at any time and again.
func (g *guard) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if g.resolver != nil {
		g.resolver.Close()
		g.resolver = nil
	}
	g.sources.close()
	g.sources = nil
	if g.vault != nil {
		g.vault.Close()
		g.vault = nil
	}
	if g.catalog != nil {
		_ = g.catalog.Close(ctx) // only read from
		g.catalog = nil
	}
	if g.movers != nil {
		g.movers.Close()
		g.movers = nil
	}
	if g.conn != nil {
		_ = g.conn.Close(ctx) // whatever was written is committed
		g.conn = nil
	}
	if g.keyring != nil {
		g.keyring.Close()
		g.keyring = nil
	}
}
