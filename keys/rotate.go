package keys

import (
	"fmt"
	"slices"
	"time"

	"sallyport/token"
)

// Rotation is a join group with two keys: new tokens are made with the newer one, those of the older one are being replaced.
type Rotation struct {
	Group string
	From  int // epochs
	To    int
}

// Rotating are the groups with two keys.
func (k *Keyring) Rotating() []Rotation {
	var all []Rotation
	for _, group := range k.groups() {
		if live := k.live(group); len(live) == 2 {
			all = append(all, Rotation{Group: group, From: live[1].Epoch, To: live[0].Epoch})
		}
	}
	return all
}

// Rotate gives a group a key of the next epoch. It is on stable storage when this returns. Where the group has two keys already, that
// is the rotation, as it was begun.
func (k *Keyring) Rotate(group string) (Rotation, error) {
	live := k.live(group)
	switch {
	case group == "":
		return Rotation{}, fmt.Errorf("rotate keys: that of the record's digests stays: what is on record could not be found with another")
	case len(live) == 0:
		return Rotation{}, fmt.Errorf("rotate keys: there is no join group %s", group)
	case len(live) == 2:
		return Rotation{Group: group, From: live[1].Epoch, To: live[0].Epoch}, nil
	}
	next := k.next()
	epoch := live[0].Epoch + 1
	if err := next.add(k.lock, k.tenant, group, epoch, k.now()); err != nil {
		return Rotation{}, err
	}
	if live[0].Tree != nil || slices.Contains(k.own, group) {
		if err := k.sowNext(group, &next.Keys[len(next.Keys)-1]); err != nil {
			return Rotation{}, err
		}
	}
	if err := k.store(next); err != nil {
		delete(k.trees, k.treeID(group, epoch))
		return Rotation{}, err
	}
	return Rotation{Group: group, From: epoch - 1, To: epoch}, nil
}

// Destroy takes a group's older key out of the ring. Whoever calls MUST have seen that no token of it is left.
func (k *Keyring) Destroy(group string, epoch int) error {
	live := k.live(group)
	if len(live) != 2 || live[1].Epoch != epoch {
		return fmt.Errorf("destroy a key: epoch %d is not the older one of two that the join group %s has", epoch, group)
	}
	next := k.next()
	for i := range next.Keys {
		if row := &next.Keys[i]; row.Tenant == k.tenant && row.Group == group && row.Epoch == epoch {
			row.Key, row.Destroyed = nil, k.now().UTC().Truncate(time.Second)
		}
	}
	if err := k.store(next); err != nil {
		return err
	}
	return k.fell(group, epoch)
}

// sowNext makes the tree of a key that is not in the ring yet.
func (k *Keyring) sowNext(group string, row *keyRow) error {
	key, err := k.lock.open(row)
	if err != nil {
		return fmt.Errorf("rotate keys: %w", errDamaged)
	}
	defer clear(key)
	s, err := token.NewSecret(key)
	if err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	defer s.Wipe()
	row.Tree = true
	return k.sow(group, token.DataKey{Epoch: row.Epoch, Secret: s})
}

// next is the ring that a change begins with.
func (k *Keyring) next() *ring {
	next := *k.ring
	next.Keys = slices.Clone(k.ring.Keys)
	return &next
}

// live are the keys that a group has, the newest first.
func (k *Keyring) live(group string) []token.DataKey { return k.Keys().Groups[group] }

func (k *Keyring) groups() []string {
	var all []string
	for _, s := range k.secrets {
		if s.group != "" {
			all = append(all, s.group)
		}
	}
	return distinct(all)
}
