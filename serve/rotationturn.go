package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/protect"
	"sallyport/token"
)

// carryOut does what was approved and not done yet, and what was begun.
func (r *rotations) carryOut(ctx context.Context) {
	now := r.g.s.O.Clock()
	for _, p := range r.g.s.State.Fresh(control.RotateKey, now) {
		r.attempt(ctx, p, r.begin)
	}
	for _, rotation := range r.rotating() {
		r.goOn(ctx, rotation.Group)
	}
	for _, p := range r.g.s.State.Fresh(control.DestroyKey, now) {
		r.attempt(ctx, p, r.destroy)
	}
	for _, action := range []string{control.RotateKey, control.DestroyKey} {
		for _, p := range r.g.s.State.Pending(action) {
			if now.Sub(p.DecidedAt) >= control.Lifetime {
				r.warn("proposal "+p.ID, errLapsed)
			}
		}
	}
}

// errLapsed is for what was approved and could not be done for a day: what held it up may have changed what the two people had in mind.
var errLapsed = errors.New("it was approved more than a day ago and could not be carried out: propose it again")

func (r *rotations) attempt(ctx context.Context, p control.Proposal, do func(context.Context, control.Proposal) error) {
	if err := do(ctx, p); err != nil && ctx.Err() == nil {
		r.warn("proposal "+p.ID, err)
	}
}

// goOn brings a rotation further whose key is in the ring: one that is not on record yet, or whose new tokens are of the older key still.
func (r *rotations) goOn(ctx context.Context, group string) {
	if _, recorded := r.g.s.State.Turning(group); recorded {
		if err := r.cross(ctx, group); err != nil && ctx.Err() == nil {
			r.warn("keys of "+group, err)
		}
		return
	}
	all := r.g.s.State.Approved(control.RotateKey)
	for _, p := range slices.Backward(all) {
		if p.Details == group {
			if now := r.g.s.O.Clock(); now.Sub(p.DecidedAt) >= control.Lifetime || p.Done { // else carryOut has just tried
				r.attempt(ctx, p, r.begin)
			}
			return
		}
	}
}

// begin gives a group its next key, and lets it be used: searches find tokens of both before the first of the new one is made.
func (r *rotations) begin(ctx context.Context, p control.Proposal) error {
	rotation, whole, err := r.turn(ctx, p.Details)
	if err != nil {
		return err
	}
	if err := r.holdOff(ctx, rotation); err != nil {
		return err
	}
	e := &sallyport.Event{
		Time: r.g.s.O.Clock(), Kind: sallyport.KeyRotated, Note: fmt.Sprintf("epoch %d follows %d", rotation.To, rotation.From),
		Order: &sallyport.Order{ID: p.ID, Action: p.Action, Details: p.Details, Epoch: rotation.To, Whole: whole},
	}
	if r.g.s.Hub != nil {
		err = r.rotatedThere(ctx, e)
	} else {
		err = r.g.s.orders.Give(nil, e)
	}
	if err != nil {
		return err
	}
	return r.cross(ctx, p.Details)
}

// turn makes the next key, whose tokens nobody makes yet.
func (r *rotations) turn(ctx context.Context, group string) (_ keys.Rotation, whole bool, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.reserve(ctx, group); err != nil {
		return keys.Rotation{}, false, err
	}
	rotation, err := r.g.keyring.Rotate(group)
	if err != nil {
		r.g.noteTurning()
		return rotation, false, err
	}
	if recorded, ok := r.g.s.State.Turning(group); ok { // two people agreed once more on what is going on
		return rotation, recorded.Whole, nil
	}
	if err := noteRing(r.g.s.orders, r.g.keyring, r.g.s.O.Clock()); err != nil {
		return rotation, false, err
	}
	r.g.early[group] = true
	if err := r.g.ring.Rekey(r.g.secrets()); err != nil {
		return rotation, false, err
	}
	// From here on searches carry both tokens. Once nobody works by what held before, the newer key may be used.
	return rotation, r.g.decided[group], r.enter(ctx)
}

// reserve sees to it that a group may be rotated still, that no column of it moves, which one may have begun to do since the rotation was proposed,
// and that none begins to. It decides whether the group is kept whole. The caller holds mu.
func (r *rotations) reserve(ctx context.Context, group string) error {
	begun := slices.ContainsFunc(r.g.keyring.Rotating(), func(k keys.Rotation) bool { return k.Group == group })
	if !begun {
		looking, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		if err := r.mayRotate(looking, group); err != nil {
			return err
		}
	}
	if _, decided := r.g.decided[group]; !decided {
		apart, err := r.apart(ctx, group)
		if err != nil {
			return err
		}
		r.g.decided[group] = len(apart) == 0
		if len(apart) > 0 {
			r.g.s.log.Info("while these keys are rotated, columns of the group are not compared with each other or grouped by: no index finds a value in "+strings.Join(apart, ", "), "group", group)
		}
	}
	if begun {
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

// apart are the columns for which a group cannot be kept whole.
func (r *rotations) apart(ctx context.Context, group string) ([]string, error) {
	conn, err := r.g.renewing(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	codecs, err := r.g.s.O.Config.Codecs(r.g.ring)
	if err != nil {
		return nil, err
	}
	var columns []sallyport.Column
	for _, c := range codecs {
		if c.Codec.Spec().Group == group && c.Codec.Deterministic() && c.Codec.Recognisable() {
			columns = append(columns, c.Column)
		}
	}
	return protect.Unfindable(ctx, conn, columns)
}

// atRest says which column of a group is not protected, or not yet.
func (r *rotations) atRest(group string) error {
	states := r.g.states()
	for _, c := range r.g.s.O.Config.GroupColumns(group) {
		if state := states[c.String()]; state != catalog.Settled && state != catalog.Rotating && state != catalog.Turning {
			return fmt.Errorf("%s is %s: its keys can be rotated once it is protected", c, state)
		}
	}
	return nil
}

// crossTimeout is how long those who write tokens wait at most for transactions that have written some.
const crossTimeout = time.Second

// cross lets new tokens be of the newer key, in a moment in which no token of the older one is written and not committed. After a restart
// sessions of before have ended; only what they prepared may be left.
func (r *rotations) cross(ctx context.Context, group string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.g.early[group] {
		return nil
	}
	conn, err := r.g.renewing(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	crossing, cancel := context.WithTimeout(ctx, crossTimeout)
	defer cancel()
	waiting, err := r.gateway.Cross(crossing, func() error {
		writers, err := protect.Writers(ctx, conn, r.g.tablesNamed(group))
		if err != nil {
			return err
		}
		if slices.ContainsFunc(writers, func(w protect.Writer) bool { return w.Prepared }) {
			return errors.New("a prepared transaction may hold tokens of the older key: commit it or roll it back (pg_prepared_xacts)")
		}
		delete(r.g.early, group)
		return r.g.ring.Rekey(r.g.secrets())
	})
	if err == nil && len(waiting) > 0 {
		err = fmt.Errorf("transactions that wrote tokens of the older key have not ended: %s", strings.Join(waiting, ", "))
	}
	return err
}

// tablesNamed are the tables with columns of a group.
func (g *guard) tablesNamed(group string) []protect.Table {
	var tables []protect.Table
	for _, c := range g.s.O.Config.GroupColumns(group) {
		if t := (protect.Table{Schema: c.Schema, Name: c.Table}); !slices.Contains(tables, t) {
			tables = append(tables, t)
		}
	}
	return tables
}

// secrets are the ring's keys. New tokens of a group that is early are of its older key still. The caller holds the rotations' mutex, if there
// are any yet.
func (g *guard) secrets() token.Keys {
	secrets := g.keyring.Keys()
	for group := range g.early {
		secrets.Groups[group] = slices.Clone(secrets.Groups[group])
		slices.Reverse(secrets.Groups[group])
	}
	return secrets
}

// resume is how rotations stand when serve starts: where the record does not know of one, no token of its newer key was made.
func (g *guard) resume() {
	g.early, g.decided = map[string]bool{}, map[string]bool{}
	for _, rotation := range g.keyring.Rotating() {
		if _, recorded := g.s.State.Turning(rotation.Group); !recorded {
			g.early[rotation.Group] = true
		}
	}
	g.noteTurning()
}

// enter lets the catalogue know which groups have two keys, and waits until every session does.
func (r *rotations) enter(ctx context.Context) error {
	r.g.noteTurning()
	if err := r.g.catalog.Enter(ctx, r.g.states()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, crossTimeout)
	defer cancel()
	if waiting := r.gateway.Await(ctx); len(waiting) > 0 {
		return fmt.Errorf("sessions still work by what held before: %s", strings.Join(waiting, ", "))
	}
	return nil
}

// noteTurning keeps which groups have two keys, for those who may not ask the keyring, and which will in a moment; and whether they are kept whole.
func (g *guard) noteTurning(soon ...string) {
	for _, rotation := range g.keyring.Rotating() {
		soon = append(soon, rotation.Group)
	}
	turning := map[string]bool{}
	for _, group := range soon {
		recorded, ok := g.s.State.Turning(group)
		turning[group] = ok && recorded.Whole || !ok && g.decided[group]
	}
	g.turning.Store(&turning)
}

// rotatesGroup is rotates of a join group.
func (g *guard) rotatesGroup(group string) (rotating, whole bool) {
	turning := g.turning.Load()
	if turning == nil {
		return false, false
	}
	whole, rotating = (*turning)[group]
	return rotating, whole
}

// rotates tells whether a column's join group has two keys, and whether equal values of it have equal tokens at every moment.
func (g *guard) rotates(name string) (rotating, whole bool) {
	return g.rotatesGroup(g.s.O.Config.GroupOf(name))
}

func (s *Server) rotates(name string) bool {
	s.mu.Lock()
	g := s.guard
	s.mu.Unlock()
	if g == nil {
		return false
	}
	rotating, _ := g.rotates(name)
	return rotating
}
