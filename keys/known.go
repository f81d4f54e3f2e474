package keys

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"sallyport"
)

// ErrOlder says that a ring is not the one that the record knows, nor a later one: somebody put a backup of it back.
var ErrOlder = errors.New("it is not the ring that the record knows, but an older or another one")

// Known is what may be put on record of this ring, all tenants' keys. From then on an older copy of it is told apart.
func (k *Keyring) Known() (sallyport.Ring, error) {
	known := sallyport.Ring{Serial: k.ring.Serial}
	for i := range k.ring.Keys {
		row := &k.ring.Keys[i]
		id, err := k.id(row)
		if err != nil {
			return known, err
		}
		known.Keys = append(known.Keys, sallyport.RingKey{Tenant: row.Tenant, Group: row.Group, Epoch: row.Epoch, ID: id})
	}
	return known, nil
}

// id is the beginning of a digest of a key. With 256 random bits in the key nothing leads back.
func (k *Keyring) id(row *keyRow) ([]byte, error) {
	if row.Key == nil {
		return nil, nil
	}
	key, err := k.lock.open(row)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", k.path, errDamaged)
	}
	defer clear(key)
	h := sha256.New()
	h.Write([]byte("sallyport key id"))
	h.Write(key)
	return h.Sum(nil)[:8], nil
}

// check holds the ring to what the record knows: a later one has every key that was there, and none that was destroyed.
func (k *Keyring) check(known *sallyport.Ring) error {
	if known == nil {
		return nil
	}
	now, err := k.Known()
	if err != nil {
		return err
	}
	why := ""
	for _, was := range known.Keys {
		i := slices.IndexFunc(now.Keys, func(is sallyport.RingKey) bool {
			return is.Tenant == was.Tenant && is.Group == was.Group && is.Epoch == was.Epoch
		})
		which := fmt.Sprintf("the key of epoch %d of %s", was.Epoch, cmp.Or(was.Group, "the record's digests"))
		switch {
		case i < 0:
			why = which + " is missing"
		case len(was.ID) == 0 && len(now.Keys[i].ID) > 0:
			why = which + " was destroyed, and is back"
		case len(now.Keys[i].ID) > 0 && !bytes.Equal(was.ID, now.Keys[i].ID):
			why = which + " is another one"
		default:
			continue
		}
		break
	}
	if why == "" && now.Serial >= known.Serial {
		return nil
	}
	about := fmt.Sprintf("change %d, and the record knows change %d", now.Serial, known.Serial)
	if why != "" {
		about += ": " + why
	}
	return fmt.Errorf("open %s: %w (%s); bring back the newest copy of %s, or, where that is lost, the whole data folder as it was with this one (docs/keys.md, An older ring)",
		k.path, ErrOlder, about, RingName)
}
