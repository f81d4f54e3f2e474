package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/gateway"
	"sallyport/keys"
	"sallyport/protect"
	"sallyport/token"
)

// rotations carries out what two people agreed on about keys, and gives older tokens the newer key in the background. What is going on
// stands in the ring (two keys of a group) and in the tokens (each shows its epoch), so that a restart goes on where it was.
type rotations struct {
	g       *guard
	gateway *gateway.Gateway
	mu      sync.Mutex           // guards the keyring, and what follows
	early   map[string]bool      // join groups whose new tokens are of the older key still
	seen    map[string]*progress // by join group
	warned  map[string]string    // what was said last, by proposal or group
}

func newRotations(g *guard, gw *gateway.Gateway) *rotations {
	return &rotations{g: g, gateway: gw, early: map[string]bool{}, seen: map[string]*progress{}, warned: map[string]string{}}
}

// warn says a thing once.
func (r *rotations) warn(about string, why error) {
	if text := why.Error(); r.warned[about] != text {
		r.warned[about] = text
		r.g.s.log.Warn("keys: trying again", "about", about, "why", text)
	}
}

// progress is how far one group is, since this serve began with it.
type progress struct {
	keys.Rotation
	table       string
	done, total int64 // pages of the table
	rows        int64 // changed
	left        protect.Renewed
	clean       bool // a whole pass met no older token
	trouble     error
}

const (
	usualRate     = 2000 // rows a second
	rotationPause = time.Second
)

// tend works until ctx ends.
func (r *rotations) tend(ctx context.Context) {
	if r.g.keyring == nil {
		return
	}
	ticker := time.NewTicker(rotationPause)
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

// carryOut does what was approved and not done yet.
func (r *rotations) carryOut(ctx context.Context) {
	for action, do := range map[string]func(context.Context, control.Proposal) error{control.RotateKey: r.begin, control.DestroyKey: r.destroy} {
		for _, p := range r.g.s.state.Pending(action) {
			if err := do(ctx, p); err != nil && ctx.Err() == nil {
				r.warn("proposal "+p.ID, err)
			}
		}
	}
}

// begin gives a group its next key.
func (r *rotations) begin(ctx context.Context, p control.Proposal) error {
	rotation, err := r.turn(ctx, p.Details)
	if err != nil {
		return err
	}
	return r.g.s.orders.Give(nil, &sallyport.Event{
		Time: r.g.s.o.Clock(), Kind: sallyport.KeyRotated, Note: fmt.Sprintf("epoch %d follows %d", rotation.To, rotation.From),
		Order: &sallyport.Order{ID: p.ID, Action: p.Action, Details: p.Details},
	})
}

// turn makes the next key and lets it be used: searches find tokens of both before the first of the new one is made.
func (r *rotations) turn(ctx context.Context, group string) (keys.Rotation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.reserve(group); err != nil {
		return keys.Rotation{}, err
	}
	rotation, err := r.g.keyring.Rotate(group)
	if err != nil {
		r.g.noteTurning()
		return rotation, err
	}
	if err := noteRing(r.g.s.orders, r.g.keyring, r.g.s.o.Clock()); err != nil {
		return rotation, err
	}
	r.early[group] = true
	if err := r.g.ring.Rekey(r.secrets()); err != nil {
		return rotation, err
	}
	// From here on searches carry both tokens; only once nobody works by what held before, new tokens are of the new key.
	if err := r.enter(ctx); err != nil {
		return rotation, err
	}
	delete(r.early, group)
	return rotation, r.g.ring.Rekey(r.secrets())
}

// reserve sees to it that no column of a group moves, which one may have begun to do since the rotation was proposed, and that none begins to.
// The caller holds mu.
func (r *rotations) reserve(group string) error {
	if slices.ContainsFunc(r.g.keyring.Rotating(), func(k keys.Rotation) bool { return k.Group == group }) {
		return nil
	}
	return r.g.s.orders.Between(func() error {
		if err := r.atRest(group); err != nil {
			return err
		}
		r.g.noteTurning(group)
		return nil
	})
}

// atRest says which column of a group is not protected, or not yet.
func (r *rotations) atRest(group string) error {
	states := r.g.states()
	for _, c := range r.g.s.o.Config.groupColumns(group) {
		if state := states[c.String()]; state != catalog.Settled && state != catalog.Rotating {
			return fmt.Errorf("%s is %s: its keys can be rotated once it is protected", c, state)
		}
	}
	return nil
}

// secrets are the ring's keys. New tokens of a group that is early are of its older key still. The caller holds mu.
func (r *rotations) secrets() token.Keys {
	secrets := r.g.keyring.Keys()
	for group := range r.early {
		secrets.Groups[group] = slices.Clone(secrets.Groups[group])
		slices.Reverse(secrets.Groups[group])
	}
	return secrets
}

// renew passes over the columns of a group once, unless a pass has met no older token before.
func (r *rotations) renew(ctx context.Context, rotation keys.Rotation) {
	p := r.progress(rotation)
	if p.clean {
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
	early := r.early[group]
	r.mu.Unlock()
	if early {
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
	for _, w := range tables {
		w.Conn, w.Random, w.Pause, w.Dead = conn, rand.Reader, r.pause, r.g.dead
		w.Pages = max(1, min(64, r.rate()/100)) // so that it pauses every other moment
		w.Progress = func(done, total int64) {
			r.mu.Lock()
			defer r.mu.Unlock()
			p.table, p.done, p.total = w.Table.Schema+"."+w.Table.Name, done, total
		}
		done, err := w.Pass(ctx)
		all.Rows, all.Left, all.Stuck, all.Broken = all.Rows+done.Rows, all.Left+done.Left, all.Stuck+done.Stuck, all.Broken+done.Broken
		all.Why = cmp.Or(all.Why, done.Why)
		r.mu.Lock()
		p.rows += done.Rows
		r.mu.Unlock()
		if err != nil {
			return all, err
		}
	}
	return all, nil
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
func (r *rotations) rate() int { return cmp.Or(r.g.s.o.Config.Keys.Rate, usualRate) }

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

// tablesOf are the tables with columns of a group, with those columns.
func (g *guard) tablesOf(group string) ([]*protect.Renewal, error) {
	columns, err := g.s.o.Config.codecs(g.ring)
	if err != nil {
		return nil, err
	}
	var tables []*protect.Renewal
	for _, c := range columns {
		if c.Codec.Spec().Group != group {
			continue
		}
		table := protect.Table{Schema: c.Column.Schema, Name: c.Column.Table}
		i := slices.IndexFunc(tables, func(w *protect.Renewal) bool { return w.Table == table })
		if i < 0 {
			i, tables = len(tables), append(tables, &protect.Renewal{Table: table})
		}
		tables[i].Columns = append(tables[i].Columns, c)
	}
	return tables, nil
}

// destroy looks once more, then takes the older key away.
func (r *rotations) destroy(ctx context.Context, proposal control.Proposal) error {
	i := slices.IndexFunc(r.rotating(), func(k keys.Rotation) bool { return k.Group == proposal.Details })
	note := "it was gone before"
	if i >= 0 {
		rotation := r.rotating()[i]
		done, err := r.pass(ctx, rotation.Group, r.progress(rotation))
		if err != nil {
			return err
		}
		if !done.Done() {
			return fmt.Errorf("destroy a key: tokens of epoch %d are left in the join group %s (%d were just renewed)", rotation.From, rotation.Group, done.Rows)
		}
		if err := r.drop(ctx, rotation); err != nil {
			return err
		}
		note = fmt.Sprintf("epoch %d; %d tokens of it could not be read", rotation.From, done.Broken)
	}
	if err := r.noteRing(); err != nil {
		return err
	}
	return r.g.s.orders.Give(nil, &sallyport.Event{
		Time: r.g.s.o.Clock(), Kind: sallyport.KeyDestroyed, Note: note, Order: &sallyport.Order{ID: proposal.ID, Action: proposal.Action, Details: proposal.Details},
	})
}

// noteRing puts on record which keys there are now.
func (r *rotations) noteRing() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return noteRing(r.g.s.orders, r.g.keyring, r.g.s.o.Clock())
}

func (r *rotations) drop(ctx context.Context, rotation keys.Rotation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.g.keyring.Destroy(rotation.Group, rotation.From); err != nil {
		return err
	}
	delete(r.seen, rotation.Group)
	delete(r.early, rotation.Group)
	if err := r.g.ring.Rekey(r.secrets()); err != nil {
		return err
	}
	return r.enter(ctx)
}

// enter lets the catalogue know which groups have two keys, and waits until every session does.
func (r *rotations) enter(ctx context.Context) error {
	r.g.noteTurning()
	if err := r.g.catalog.Enter(ctx, r.g.states()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, awaitTimeout)
	defer cancel()
	if waiting := r.gateway.Await(ctx); len(waiting) > 0 {
		return fmt.Errorf("sessions still work by what held before: %s", strings.Join(waiting, ", "))
	}
	return nil
}

// noteTurning keeps which groups have two keys, for those who may not ask the keyring, and which will in a moment.
func (g *guard) noteTurning(soon ...string) {
	turning := map[string]bool{}
	for _, group := range soon {
		turning[group] = true
	}
	for _, rotation := range g.keyring.Rotating() {
		turning[rotation.Group] = true
	}
	g.turning.Store(&turning)
}

// rotates tells whether a column's join group has two keys.
func (g *guard) rotates(name string) bool {
	turning := g.turning.Load()
	settings := g.s.o.Config.Protect.Columns[name]
	return turning != nil && (*turning)[cmp.Or(settings.Group, string(settings.Scheme))]
}

func (s *Server) rotates(name string) bool {
	s.mu.Lock()
	g := s.guard
	s.mu.Unlock()
	return g != nil && g.rotates(name)
}

// errStarting is for whoever comes too early.
var errStarting = errors.New("serve is still starting")

// mayRotate says why the keys of a group cannot be rotated now.
func (s *Server) mayRotate(group string) error {
	turns := s.turning()
	if turns == nil {
		return errStarting
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	return turns.mayRotate(ctx, group)
}

// mayDestroy says why the older key of a group cannot be destroyed now.
func (s *Server) mayDestroy(group string) error {
	turns := s.turning()
	if turns == nil {
		return errStarting
	}
	return turns.mayDestroy(group)
}

func (s *Server) turning() *rotations {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns == nil || s.turns.g.keyring == nil {
		return nil
	}
	return s.turns
}

// mayRotate says why a group cannot be rotated.
func (r *rotations) mayRotate(ctx context.Context, group string) error {
	columns := r.g.s.o.Config.groupColumns(group)
	if len(columns) == 0 {
		return fmt.Errorf("no column is of the join group %q; expected %s", group, oneOf(group, r.g.s.o.Config.groups()))
	}
	if err := r.g.ring.Rotatable(group); err != nil {
		return err
	}
	if err := r.atRest(group); err != nil {
		return err
	}
	conn, err := r.g.renewing(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only reads
	var missing []string
	for _, c := range columns {
		var may bool
		err := conn.QueryRow(ctx, "SELECT pg_catalog.has_column_privilege(pg_catalog.quote_ident($1) || '.' || pg_catalog.quote_ident($2), $3, 'UPDATE')", c.Schema, c.Table, c.Name).Scan(&may)
		if err != nil {
			return fmt.Errorf("look at the reader's privileges on %s: %w", c, err)
		}
		if !may {
			missing = append(missing, c.String())
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the role %s may not change %s: give --config and --owner once, or grant it", r.g.reader.User, strings.Join(missing, ", "))
	}
	return nil
}

// mayDestroy says why a group's older key cannot be destroyed.
func (r *rotations) mayDestroy(group string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.g.keyring.Rotating(), func(k keys.Rotation) bool { return k.Group == group })
	switch p := r.seen[group]; {
	case i < 0:
		return fmt.Errorf("the join group %q has no older key", group)
	case p == nil || !p.clean:
		return fmt.Errorf("tokens of the older key of %s are still being renewed ('sallyport status' shows how far it is)", group)
	}
	return nil
}

// status is a line for each rotation.
func (r *rotations) status() []api.Standby {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.g.keyring == nil {
		return nil
	}
	var lines []api.Standby
	for _, rotation := range r.g.keyring.Rotating() {
		how := "is about to renew tokens"
		switch p := r.seen[rotation.Group]; {
		case p == nil:
		case p.clean:
			how = fmt.Sprintf("no token of epoch %d is left: sallyport keys destroy --group %s", rotation.From, rotation.Group)
		case p.trouble != nil && !errors.Is(p.trouble, context.Canceled):
			how = fmt.Sprintf("%d rows have new tokens; %d cannot be changed: %v", p.rows, p.left.Stuck, p.trouble)
		default:
			how = fmt.Sprintf("%d rows have new tokens; at page %d of %d of %s", p.rows, p.done, p.total, p.table)
		}
		lines = append(lines, api.Standby{What: "keys", How: fmt.Sprintf("%s goes from epoch %d to %d: %s", rotation.Group, rotation.From, rotation.To, how)})
	}
	return lines
}
