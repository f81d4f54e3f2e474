package keys

import (
	"context"
	"crypto/rand"
	"fmt"

	"sallyport"
)

// Rewrap gives the ring of all tenants to another provider, under a new key of the ring: what the former one wrapped opens the new
// file no longer. It still opens copies of the former file, in which the same data keys stand. What the ring has then is returned, for the record.
func Rewrap(ctx context.Context, o Options, to Provider) (sallyport.Ring, error) {
	k := newKeyring(o)
	if err := k.read(ctx, o.Provider); err != nil {
		return sallyport.Ring{}, err
	}
	defer k.Close()
	if err := k.check(o.Known); err != nil {
		return sallyport.Ring{}, err
	}
	if err := k.rewrap(ctx, to); err != nil {
		return sallyport.Ring{}, err
	}
	return k.Known()
}

func (k *Keyring) rewrap(ctx context.Context, to Provider) error {
	kek := make([]byte, KeySize)
	defer clear(kek)
	rand.Read(kek)
	l, err := newLock(kek)
	if err != nil {
		return err
	}
	next := k.next()
	for i := range next.Keys {
		if err := next.Keys[i].reseal(k.lock, l); err != nil {
			return fmt.Errorf("open %s: %w", k.path, err)
		}
	}
	if err := next.wrap(ctx, to, kek); err != nil {
		return err
	}
	// Nothing is given away before it is shown that it comes back.
	again, err := to.Unwrap(ctx, next.Wrapped)
	if err != nil {
		return err
	}
	clear(again)
	k.lock = l
	return k.store(next)
}

// reseal seals a key under another lock.
func (r *keyRow) reseal(from, to lock) error {
	if r.Key == nil {
		return nil
	}
	key, err := from.open(r)
	if err != nil {
		return errDamaged
	}
	defer clear(key)
	return to.seal(r, key)
}
