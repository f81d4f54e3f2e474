package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sallyport"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/protect"
)

// destroy looks once more, then takes the older key away.
func (r *rotations) destroy(ctx context.Context, proposal control.Proposal) error {
	i := slices.IndexFunc(r.rotating(), func(k keys.Rotation) bool { return k.Group == proposal.Details })
	note := "it was gone before"
	if i >= 0 {
		rotation := r.rotating()[i]
		if err := r.mayDestroy(rotation.Group); err != nil {
			return err
		}
		if err := r.awaitWriters(ctx, rotation.Group); err != nil {
			return err
		}
		done, err := r.pass(ctx, rotation.Group, r.progress(rotation))
		if err != nil {
			return err
		}
		if !done.Done() {
			r.mu.Lock()
			delete(r.before, rotation.Group) // what was met may have been copied, too
			r.mu.Unlock()
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
		Time: r.g.s.O.Clock(), Kind: sallyport.KeyDestroyed, Note: note, Order: &sallyport.Order{ID: proposal.ID, Action: proposal.Action, Details: proposal.Details},
	})
}

// awaitWriters waits until every transaction has ended that wrote to a group's tables before the key was to be destroyed, also around the gateway and
// those that were prepared: nobody sees what they hold.
func (r *rotations) awaitWriters(ctx context.Context, group string) error {
	conn, err := r.g.renewing(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	writers, err := protect.Writers(ctx, conn, r.g.tablesNamed(group))
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before, asked := r.before[group]
	var who, ids []string
	for _, w := range writers {
		if !asked || slices.Contains(before, w.ID) {
			who, ids = append(who, w.Who), append(ids, w.ID)
		}
	}
	r.before[group] = ids
	if len(ids) > 0 {
		return fmt.Errorf("destroy a key: transactions that may hold older tokens have not ended: %s", strings.Join(who, ", "))
	}
	return nil
}

// noteRing puts on record which keys there are now.
func (r *rotations) noteRing() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return noteRing(r.g.s.orders, r.g.keyring, r.g.s.O.Clock())
}

func (r *rotations) drop(ctx context.Context, rotation keys.Rotation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.g.keyring.Destroy(rotation.Group, rotation.From); err != nil {
		return err
	}
	delete(r.seen, rotation.Group)
	delete(r.before, rotation.Group)
	delete(r.g.early, rotation.Group)
	delete(r.g.decided, rotation.Group)
	if err := r.g.ring.Rekey(r.g.secrets()); err != nil {
		return err
	}
	return r.enter(ctx)
}
