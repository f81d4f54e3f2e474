package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/protect"
)

// Tokens of integers and uuids show no epoch. While their keys are rotated such columns are hidden: the gateway shows nothing of them, finds
// nothing by them and writes nothing into them, and the database refuses to have them written. In this order, so that a crash at any point leaves
// what the next start can go on from:
//
//	the newer key is in the ring; columns are hidden; the database holds everybody off, and whoever began before has ended;
//	the rotation is on record; new tokens are of the newer key; rows turn, each with its progress (protect.Turn);
//	all have, and whoever began before has ended; that is on record; everybody is let in again; columns are shown.

// hidden is the state of a column whose tokens have no form while its join group has two keys.
func (g *guard) hidden(group string) catalog.State {
	if g.turned(group) {
		return catalog.Settled
	}
	return catalog.Hidden
}

// turned tells whether all tokens without a form of a group that has two keys are of the newer one, by the record, and the database does not say otherwise.
func (g *guard) turned(group string) bool {
	recorded, ok := g.s.State.Turning(group)
	return ok && recorded.Turned && !g.fellBehind(group)
}

// turns are the tables of a group with columns whose tokens have no form.
func (g *guard) turns(conn *pgx.Conn, group string, epoch int) ([]*protect.Turn, error) {
	columns, err := g.s.O.Config.Codecs(g.ring)
	if err != nil {
		return nil, err
	}
	var turns []*protect.Turn
	for _, c := range columns {
		if c.Codec.Spec().Group != group || c.Codec.Recognisable() {
			continue
		}
		table := protect.Table{Schema: c.Column.Schema, Name: c.Column.Table}
		i := slices.IndexFunc(turns, func(t *protect.Turn) bool { return t.Table == table })
		if i < 0 {
			i, turns = len(turns), append(turns, &protect.Turn{Conn: conn, Beside: g.movers, Table: table, Group: group, Epoch: epoch, Pass: g.pass(), Dead: g.deadBefore, List: g.listTurned})
		}
		turns[i].Columns = append(turns[i].Columns, c)
	}
	return turns, nil
}

// pass tells this process from others that turn rows.
func (g *guard) pass() string {
	g.passOnce.Do(func() { g.passText = rand.Text() })
	return g.passText
}

// deadBefore tells whether a token of the older key was drawn at random in the place of a shredded customer's.
func (g *guard) deadBefore(c protect.Column, tok string) bool {
	return g.s.State.Shreds() && g.s.State.Dead(c.Codec.BeforeDigest([]byte(tok)))
}

// listTurned puts on record what random tokens become, before they stand there.
func (g *guard) listTurned(dead []sallyport.Digest) error {
	for some := range slices.Chunk(dead, mostListed) {
		err := g.s.orders.Give(nil, &sallyport.Event{
			Time: g.s.O.Clock(), Kind: sallyport.Shredding, Note: "random tokens under another key, by a rotation", Order: &sallyport.Order{Action: control.RotateKey, Dead: some},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// holdOff has the database keep everybody's hands off the columns of a group whose tokens have no form, and waits until nobody is left who began before
// that. Without such columns there is nothing to do.
func (r *rotations) holdOff(ctx context.Context, rotation keys.Rotation) error {
	if r.g.turned(rotation.Group) {
		return nil
	}
	turns, err := r.g.turns(nil, rotation.Group, rotation.To)
	if err != nil || len(turns) == 0 {
		return err
	}
	conn, err := r.g.renewing(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // whatever was changed is committed
	about := fmt.Sprintf("%s: held from epoch %d", rotation.Group, rotation.From)
	for _, t := range turns {
		t.Conn = conn
		begun, err := t.Take(ctx)
		if err != nil {
			return err
		}
		if begun {
			r.mu.Lock()
			delete(r.outlasting, about)
			r.mu.Unlock()
		}
	}
	return r.outlast(ctx, conn, about)
}

// outlast waits until all transactions have ended that were under way when it was asked first about this.
func (r *rotations) outlast(ctx context.Context, conn *pgx.Conn, about string) error {
	running, err := protect.Running(ctx, conn)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before, asked := r.outlasting[about]
	left, who := []string{}, []string{}
	for _, w := range running {
		if !asked || slices.Contains(before, w.ID) {
			left, who = append(left, w.ID), append(who, w.Who)
		}
	}
	r.outlasting[about] = left
	if len(left) > 0 {
		return fmt.Errorf("transactions that began before have not ended: %s", strings.Join(who, ", "))
	}
	return nil
}

// mayHide says why the keys of a group's columns whose tokens have no form cannot be rotated.
func (r *rotations) mayHide(ctx context.Context, conn *pgx.Conn, group string) error {
	turns, err := r.g.turns(conn, group, 0)
	if err != nil {
		return err
	}
	var problems []string
	for _, t := range turns {
		found, err := t.Unfit(ctx)
		if err != nil {
			return err
		}
		problems = append(problems, found...)
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// turnRows gives the tokens that have no form the newer key, and ends their being hidden.
func (r *rotations) turnRows(ctx context.Context, p *progress, conn *pgx.Conn) error {
	if err := r.g.stranded(p.Group); err != nil {
		return err
	}
	turns, err := r.g.turns(conn, p.Group, p.To)
	switch {
	case err != nil || len(turns) == 0:
		return err
	case r.g.turned(p.Group):
		return protect.Release(ctx, conn, p.Group) // a crash may have come before
	}
	if err := r.holdOff(ctx, p.Rotation); err != nil { // after a restart, and in an older copy of the database
		return err
	}
	for _, t := range turns {
		if err := r.turnTable(ctx, p, t); err != nil {
			return err
		}
	}
	if err := r.outlast(ctx, conn, fmt.Sprintf("%s: turned to epoch %d", p.Group, p.To)); err != nil { // whoever began before sees older tokens still
		return err
	}
	return r.show(ctx, p.Rotation, conn, turns)
}

// turnTable turns all rows of one table.
func (r *rotations) turnTable(ctx context.Context, p *progress, t *protect.Turn) error {
	if _, err := t.Take(ctx); err != nil {
		return err
	}
	if from, to, ok := t.Columns[0].Codec.Turning(); !ok || from != p.From || to != p.To {
		return fmt.Errorf("the keys in use are not those of epochs %d and %d", p.From, p.To) // never: they are exchanged with the moment of crossing
	}
	w := &protect.Renewal{Conn: t.Conn, Table: t.Table}
	pages, err := w.Size(ctx)
	if err != nil {
		return err
	}
	for {
		changed, done, err := t.Step(ctx, max(1, min(1000, r.rate()/4)))
		if err != nil {
			return err
		}
		at, err := t.Progress(ctx)
		if err != nil {
			return err
		}
		r.reached(p, t.Table, int64(float64(pages)*min(1, float64(at.Rows)/float64(max(1, at.Total)))), int64(changed))
		if done {
			r.reached(p, t.Table, pages, 0)
			r.through(p)
			return nil
		}
		if err := r.pause(ctx, changed); err != nil {
			return err
		}
	}
}

// show puts on record that all rows have turned, and lets everybody see and write the columns again.
func (r *rotations) show(ctx context.Context, rotation keys.Rotation, conn *pgx.Conn, turns []*protect.Turn) error {
	var names []string
	for _, t := range turns {
		for _, c := range t.Columns {
			names = append(names, c.Column.String())
		}
	}
	err := r.g.s.orders.Give(nil, &sallyport.Event{
		Time: r.g.s.O.Clock(), Kind: sallyport.KeyTurned, Note: fmt.Sprintf("epoch %d follows %d in all rows", rotation.To, rotation.From),
		Order: &sallyport.Order{Action: control.RotateKey, Details: rotation.Group, Epoch: rotation.To, Turned: names},
	})
	if err != nil {
		return err
	}
	if err := protect.Release(ctx, conn, rotation.Group); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.g.caughtUp(rotation.Group)
	if err := r.g.catalog.Enter(ctx, r.g.states()); err != nil {
		return err
	}
	r.g.resolver.Renewed()
	return nil
}
