package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/config"
	"sallyport/keys"
	"sallyport/protect"
)

// rotations carries out what two people agreed on about keys, and gives older tokens the newer key in the background. What is going on
// stands in the ring (two keys of a group) and in the tokens (each shows its epoch), so that a restart goes on where it was.
type rotations struct {
	g       *guard
	gateway turned
	mu      sync.Mutex           // guards the keyring, and what follows
	seen    map[string]*progress // by join group
	before  map[string][]string  // by join group: transactions that may hold older tokens nobody sees, and have to end before its key is destroyed
	warned  map[string]string    // what was said last, by proposal or group

	outlasting map[string][]string // transactions that have to end, by what for
}

// turned are those who work by the keys: the sessions of a gateway, or the gateways of a controller.
type turned interface {
	// Await waits until nobody works by what held before, and names those who still do when ctx ends.
	Await(ctx context.Context) (waiting []string)
	// Cross does something while nobody holds tokens that he wrote before and has not committed, or names those who do.
	Cross(ctx context.Context, do func() error) (waiting []string, err error)
}

func newRotations(g *guard, gw turned) *rotations {
	return &rotations{g: g, gateway: gw, seen: map[string]*progress{}, before: map[string][]string{}, warned: map[string]string{}, outlasting: map[string][]string{}}
}

// warn says a thing once.
func (r *rotations) warn(about string, why error) {
	if text := why.Error(); r.warned[about] != text {
		r.warned[about] = text
		r.g.s.log.Warn("keys: trying again", "about", about, "why", text)
	}
}

const rotationPause = time.Second // between two passes

// tend works until ctx ends.
func (r *rotations) tend(ctx context.Context) {
	if r.g.keyring == nil {
		return
	}
	ticker := time.NewTicker(cmp.Or(r.g.s.O.RenewEvery, rotationPause))
	defer ticker.Stop()
	for {
		r.carryOut(ctx)
		for _, rotation := range r.rotating() {
			r.renew(ctx, rotation)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *rotations) rotating() []keys.Rotation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.g.keyring.Rotating()
}

// renew passes over the columns of a group once, unless a pass has met no older token before.
func (r *rotations) renew(ctx context.Context, rotation keys.Rotation) {
	p := r.progress(rotation)
	if p.clean && !r.g.fellBehind(rotation.Group) {
		return
	}
	done, err := r.pass(ctx, rotation.Group, p)
	r.mu.Lock()
	defer r.mu.Unlock()
	p.left, p.clean, p.trouble = done, err == nil && done.Done(), cmp.Or(err, done.Why)
	switch {
	case ctx.Err() != nil:
	case p.trouble != nil:
		r.warn("tokens of "+rotation.Group, p.trouble)
	case p.clean:
		r.g.s.log.Info("no token of the older key is left", "group", rotation.Group, "epoch", rotation.From, "unreadable", done.Broken, "next", "sallyport keys destroy")
	}
}

func (r *rotations) progress(rotation keys.Rotation) *progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.seen[rotation.Group]
	if p == nil || p.Rotation != rotation {
		p = &progress{Rotation: rotation}
		r.seen[rotation.Group] = p
	}
	return p
}

// errEarly is for a pass before new tokens are of the newer key: it would take the older ones for new and find nothing to do.
var errEarly = errors.New("new tokens are not of the newer key yet: sessions still work by what held before")

// pass looks at every row of a group's columns.
func (r *rotations) pass(ctx context.Context, group string, p *progress) (protect.Renewed, error) {
	var all protect.Renewed
	r.mu.Lock()
	early := r.g.early[group]
	r.mu.Unlock()
	if _, recorded := r.g.s.State.Turning(group); early || !recorded {
		return all, errEarly
	}
	conn, err := r.g.renewing(ctx)
	if err != nil {
		return all, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // whatever was renewed is committed
	tables, err := r.g.tablesOf(group)
	if err != nil {
		return all, err
	}
	if err := r.begins(ctx, p, conn, tables); err != nil {
		return all, err
	}
	hiding := r.turnRows(ctx, p, conn) // first: until they are done those columns are of no use to anybody
	for _, w := range tables {
		w.Conn, w.Random, w.Pause, w.Dead = conn, rand.Reader, r.pause, r.g.dead
		w.Pages = max(1, min(64, r.rate()/100)) // so that it pauses every other moment
		w.Progress = func(done, _, rows int64) {
			if rows > 0 && r.g.resolver != nil { // a controller's gateways see to it themselves
				r.g.resolver.Renewed()
			}
			r.reached(p, w.Table, done, rows)
		}
		done, err := w.Pass(ctx)
		all.Rows, all.Left, all.Stuck, all.Broken = all.Rows+done.Rows, all.Left+done.Left, all.Stuck+done.Stuck, all.Broken+done.Broken
		all.Why = cmp.Or(all.Why, done.Why)
		if err != nil {
			return all, err
		}
		r.through(p)
	}
	return all, hiding
}

// pause keeps the rate.
func (r *rotations) pause(ctx context.Context, rows int) error {
	timer := time.NewTimer(time.Duration(rows) * time.Second / time.Duration(r.rate()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// rate is in rows a second.
func (r *rotations) rate() int { return cmp.Or(r.g.s.O.Config.Keys.Rate, config.UsualRate) }

// renewing connects as the reader, for short waits on others' locks.
func (g *guard) renewing(ctx context.Context) (*pgx.Conn, error) {
	config := g.reader.Copy()
	config.RuntimeParams["lock_timeout"], config.RuntimeParams["statement_timeout"] = "1s", "60s"
	config.RuntimeParams["datestyle"], config.RuntimeParams["timezone"], config.RuntimeParams["search_path"] = "ISO, YMD", "UTC", "pg_catalog"
	config.RuntimeParams["row_security"] = "off" // an error instead of rows that are not seen
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to renew tokens: %w", err)
	}
	return conn, nil
}

// tablesOf are the tables with columns of a group, with those columns. Where the group is kept whole, columns whose tokens are equal for equal values
// come apart from the others, which change row by row. Those whose tokens have no form are not among them (turns).
func (g *guard) tablesOf(group string) ([]*protect.Renewal, error) {
	columns, err := g.s.O.Config.Codecs(g.ring)
	if err != nil {
		return nil, err
	}
	columns = slices.DeleteFunc(columns, func(c protect.Column) bool { return c.Codec.Spec().Group != group || !c.Codec.Recognisable() })
	var together []protect.Column
	if rotation, _ := g.s.State.Turning(group); rotation.Whole {
		for _, c := range columns {
			if c.Codec.Deterministic() {
				together = append(together, c)
			}
		}
	}
	var tables []*protect.Renewal
	for _, c := range columns {
		table, all := protect.Table{Schema: c.Column.Schema, Name: c.Column.Table}, together
		if !c.Codec.Deterministic() {
			all = nil
		}
		i := slices.IndexFunc(tables, func(w *protect.Renewal) bool { return w.Table == table && (len(w.Whole) > 0) == (len(all) > 0) })
		if i < 0 {
			i, tables = len(tables), append(tables, &protect.Renewal{Table: table, Whole: all})
		}
		tables[i].Columns = append(tables[i].Columns, c)
	}
	return tables, nil
}
