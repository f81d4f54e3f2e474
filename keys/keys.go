// Package keys keeps the data keys: random, one for each tenant, join group and epoch, in DIR/keys.ring. Each is sealed by one
// key of the ring, which a provider wraps: an age identity in a file that lies elsewhere, a Vault, or a cloud's KMS. Harden keeps
// the process's memory out of core files.
//
// It refuses a key file that others can read, that lies inside DIR, or that is missing while DIR has a ring; a ring that was
// changed by anybody else; and it never makes new keys where old ones may be. No error holds a byte of a key.
//
// Invariant: who copies DIR has no key, and who has the key file has no token.
package keys

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sallyport"
	"sallyport/token"
)

const (
	// RingName is the file in DIR with the ring; docs/keys.md has its format.
	RingName = "keys.ring"
	// formerName is the file that held the one root secret before there was a ring.
	formerName = "keys.age"
	// KeySize is the length of every key in bytes.
	KeySize = token.SecretSize
	// DefaultTenant is whose the keys are where nobody says otherwise.
	DefaultTenant = "main"
)

// ErrNone says that the data folder has no ring.
var ErrNone = errors.New("there are no keys")

// ErrUnavailable says that a provider does not answer at present: the same may work later.
var ErrUnavailable = errors.New("it is unavailable at present")

// Provider wraps the key of the ring.
type Provider interface {
	Name() string // as it stands in the ring: another provider cannot unwrap
	Wrap(ctx context.Context, key []byte) ([]byte, error)
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

// Options say where the ring is, who unwraps it and what is needed of it.
type Options struct {
	Dir      string
	Provider Provider
	Tenant   string           // empty: DefaultTenant
	Groups   []string         // join groups that must have a key
	Make     bool             // make what is missing, the ring itself or keys of groups; otherwise that is an error
	Fresh    []string         // of Groups: those without any token yet, whose key may be made too
	Own      []string         // of Groups: those in which new tokens have keys of their own; what is missing for that is made
	Now      func() time.Time // stands in the ring beside what is made; nil: time.Now
	Known    *sallyport.Ring  // as the record knows it: an older ring is refused; nil: it knows none
}

// Keyring holds the unwrapped data keys of one tenant.
type Keyring struct {
	path     string
	treePath string
	tenant   string
	now      func() time.Time
	lock     lock
	ring     *ring
	content  []byte // of the file, as it was read or written last
	secrets  []secret
	trees    map[treeID]*token.Tree
	own      []string // groups in which new tokens have keys of their own
}

// secret is a data key in clear.
type secret struct {
	group string
	key   token.DataKey
}

// Open reads the ring of the data folder. With Make, and where there is none, it makes one; keys that come from before there were
// rings become one, in which every group has the former root secret.
func Open(ctx context.Context, o Options) (*Keyring, error) {
	if o.Provider == nil {
		return nil, errors.New("open keys: there is no provider that unwraps them")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open keys: create data folder: %w", err)
	}
	k := newKeyring(o)
	have, err := exists(k.path)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	former := filepath.Join(o.Dir, formerName)
	haveFormer, err := exists(former)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	switch {
	case !have && o.Known != nil:
		err = fmt.Errorf("open keys: %w in %s, and the record knows some: bring back the newest copy of %s", ErrNone, o.Dir, RingName)
	case !have && haveFormer:
		err = k.convert(ctx, o, former)
	case !have && o.Make:
		err = k.create(ctx, o.Provider, func(l lock, r *ring) error { return r.add(l, k.tenant, "", 1, k.now()) })
	case !have:
		err = fmt.Errorf("open keys: %w in %s", ErrNone, o.Dir)
	}
	if err != nil {
		return nil, err
	}
	// Read back also what was just made: a start that succeeds has shown that the next one will.
	if err := k.read(ctx, o.Provider); err != nil {
		return nil, err
	}
	if err := k.check(o.Known); err != nil {
		k.Close()
		return nil, err
	}
	if haveFormer { // only now, since the ring can be opened
		if err := errors.Join(ignoreMissing(os.Remove(former)), syncFolder(o.Dir)); err != nil {
			return nil, fmt.Errorf("remove the former keys: %w", err)
		}
	}
	if err := k.provide(o.Groups, o.Make, o.Fresh); err != nil {
		return k, err
	}
	if err := k.openTrees(); err != nil {
		return k, err
	}
	return k, k.plant(o.Own)
}

func newKeyring(o Options) *Keyring {
	k := &Keyring{
		path: filepath.Join(o.Dir, RingName), treePath: filepath.Join(o.Dir, TreeName), tenant: cmp.Or(o.Tenant, DefaultTenant), now: o.Now,
		trees: map[treeID]*token.Tree{}, own: o.Own,
	}
	if k.now == nil {
		k.now = time.Now //nolint:forbidigo // the default
	}
	return k
}

// create makes the first ring, whose keys fill puts into it. Where another process was quicker, its ring counts.
func (k *Keyring) create(ctx context.Context, p Provider, fill func(lock, *ring) error) error {
	kek := make([]byte, KeySize)
	defer clear(kek)
	rand.Read(kek)
	l, err := newLock(kek)
	if err != nil {
		return err
	}
	r := &ring{Serial: 1}
	if err := r.wrap(ctx, p, kek); err != nil {
		return err
	}
	if err := fill(l, r); err != nil {
		return err
	}
	content, err := r.encode(l)
	if err != nil {
		return err
	}
	if err := publish(k.path, content); err != nil {
		return fmt.Errorf("make %s: %w", k.path, err)
	}
	return nil
}

// convert makes a ring of the former root secret. Derived as they are from it, all tokens stay what they were.
func (k *Keyring) convert(ctx context.Context, o Options, former string) error {
	file, ok := o.Provider.(*KeyFile)
	if !ok {
		return fmt.Errorf("open keys: %s comes from before there was a ring, and a key file opens it: start once with --key-file and no other provider", former)
	}
	sealed, err := readRegular(former, noCheck)
	if err != nil {
		return fmt.Errorf("read %s: %w", former, err)
	}
	root, err := file.unwrap(sealed, formerMark, former)
	if err != nil {
		return err
	}
	defer clear(root)
	return k.create(ctx, o.Provider, func(l lock, r *ring) error {
		for _, group := range append([]string{""}, distinct(o.Groups)...) {
			row := keyRow{Tenant: k.tenant, Group: group, Epoch: 1, Made: k.now().UTC().Truncate(time.Second)}
			if err := r.put(l, row, root); err != nil {
				return err
			}
		}
		return nil
	})
}

// noCheck is for files that may have any mode.
func noCheck(fs.FileInfo) error { return nil }

// distinct are the groups, each once, in order.
func distinct(groups []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(groups)))
}

// read opens the file with the key that the provider unwraps.
func (k *Keyring) read(ctx context.Context, p Provider) error {
	r, content, err := readRing(k.path)
	if err != nil {
		return err
	}
	if r.Provider != p.Name() {
		return fmt.Errorf("open %s: it was wrapped by %s, and the provider configured is %s: configure the one that wrapped it", k.path, r.Provider, p.Name())
	}
	kek, err := p.Unwrap(ctx, r.Wrapped)
	if err != nil {
		return err
	}
	defer clear(kek)
	return k.unlock(r, content, kek)
}

func readRing(path string) (*ring, []byte, error) {
	content, err := readRegular(path, noCheck)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	r, err := decodeRing(content)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r, content, nil
}

// unlock checks the file and opens the tenant's data keys.
func (k *Keyring) unlock(r *ring, content, kek []byte) error {
	l, err := newLock(kek)
	if err != nil {
		return err
	}
	if err := l.check(content); err != nil {
		return fmt.Errorf("open %s: %w", k.path, err)
	}
	k.lock, k.ring, k.content = l, r, content
	return k.openAll()
}

func (k *Keyring) openAll() error {
	var secrets []secret
	for i := range k.ring.Keys {
		row := &k.ring.Keys[i]
		if row.Tenant != k.tenant || row.Key == nil {
			continue
		}
		// A key that is open already stays the same secret: a token.Ring may hold it.
		if have := slices.IndexFunc(k.secrets, func(s secret) bool { return s.group == row.Group && s.key.Epoch == row.Epoch }); have >= 0 {
			secrets = append(secrets, k.secrets[have])
			continue
		}
		key, err := k.lock.open(row)
		if err != nil {
			return fmt.Errorf("open %s: %w", k.path, errDamaged)
		}
		s, err := token.NewSecret(key)
		clear(key)
		if err != nil {
			return fmt.Errorf("open %s: %w", k.path, err)
		}
		secrets = append(secrets, secret{row.Group, token.DataKey{Epoch: row.Epoch, Secret: s}})
	}
	k.secrets = secrets
	k.attach()
	return nil
}

// provide sees to it that each group has a key, and the record too.
func (k *Keyring) provide(groups []string, mayMake bool, fresh []string) error {
	next := k.next()
	for _, group := range append([]string{""}, distinct(groups)...) {
		if slices.ContainsFunc(k.secrets, func(s secret) bool { return s.group == group }) {
			continue
		}
		if slices.ContainsFunc(next.Keys, func(r keyRow) bool { return r.Tenant == k.tenant && r.Group == group }) {
			return fmt.Errorf("open %s: every key of the join group %s was destroyed: give the columns another group", k.path, group)
		}
		if !mayMake && !slices.Contains(fresh, group) {
			return fmt.Errorf("open keys: %s has no key of the join group %s: 'sallyport protect' makes it", k.path, group)
		}
		if err := next.add(k.lock, k.tenant, group, 1, k.now()); err != nil {
			return err
		}
	}
	if len(next.Keys) == len(k.ring.Keys) {
		return nil
	}
	return k.store(next)
}

// store replaces the file, unless somebody else did meanwhile.
func (k *Keyring) store(next *ring) error {
	return exclusively(filepath.Dir(k.path), func() error { return k.exchange(next) })
}

func (k *Keyring) exchange(next *ring) error {
	present, err := os.ReadFile(k.path)
	if err != nil {
		return fmt.Errorf("change %s: %w", k.path, err)
	}
	if !bytes.Equal(present, k.content) {
		return fmt.Errorf("change %s: another process changed it meanwhile: try again", k.path)
	}
	next.Serial++
	content, err := next.encode(k.lock)
	if err != nil {
		return err
	}
	if err := replace(k.path, content); err != nil {
		return fmt.Errorf("change %s: %w", k.path, err)
	}
	k.ring, k.content = next, content
	return k.openAll()
}

// Keys are what a token.Ring derives its keys from.
func (k *Keyring) Keys() token.Keys {
	keys := token.Keys{Groups: map[string][]token.DataKey{}}
	for _, s := range k.secrets {
		if s.group == "" {
			keys.Record = s.key.Secret
			continue
		}
		keys.Groups[s.group] = append(keys.Groups[s.group], s.key)
	}
	for _, group := range keys.Groups {
		slices.SortFunc(group, func(a, b token.DataKey) int { return cmp.Compare(b.Epoch, a.Epoch) })
	}
	return keys
}

// Close wipes the data keys. What was derived from them before stays.
func (k *Keyring) Close() {
	for _, s := range k.secrets {
		s.key.Secret.Wipe()
	}
	k.secrets = nil
}
