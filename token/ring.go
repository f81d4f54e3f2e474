package token

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"sallyport"
)

// Settings are the choices that hold for all columns. The zero value is usable.
type Settings struct {
	EmailDomain string // domain of e-mail tokens in the first epoch, whose label it begins with. Default "k1.invalid"
	PhoneCode   string // unassigned country code of phone tokens in odd epochs, "89" (default) or "83"; the other is that of even ones

	// EveryEpoch has Find know the tokens of every epoch, not only of those of which there are keys: for who looks through files, in which
	// tokens may be older than the oldest key. Codecs know those of their keys alone.
	EveryEpoch bool
}

// Ring derives every key and makes codecs. It is safe for concurrent use, also while its keys are exchanged.
type Ring struct {
	settings Settings
	pool     scratchPool
	base32   *base32
	record   DataKey     // of what outlives every epoch: the record's digests, and what a vault keeps
	values   *mac        // key of Digest
	tokens   prefixedMAC // key of TokenDigest

	mu   sync.Mutex // guards keys and made, and is held while find is exchanged
	keys Keys
	made map[string]*Codec // by all that was asked for
	find atomic.Pointer[finder]
}

// NewRing makes a ring of one secret for everything, in the first epoch.
func NewRing(root Secret, s Settings) (*Ring, error) { return NewKeyedRing(OneKey(root), s) }

// NewKeyedRing checks the settings and derives the keys that all columns share.
func NewKeyedRing(keys Keys, s Settings) (*Ring, error) {
	if s.EmailDomain == "" {
		s.EmailDomain = "k1.invalid"
	}
	if s.PhoneCode == "" {
		s.PhoneCode = phoneCode
	}
	if err := checkEmailDomain(s.EmailDomain); err != nil {
		return nil, fmt.Errorf("make a key ring: %w", err)
	}
	if s.PhoneCode != phoneCode && s.PhoneCode != otherPhoneCode {
		return nil, fmt.Errorf("make a key ring: the phone code must be one of the unassigned country codes %s and %s", phoneCode, otherPhoneCode)
	}
	if err := keys.check(); err != nil {
		return nil, fmt.Errorf("make a key ring: %w", err)
	}
	r := &Ring{settings: s, base32: newBase32(), made: map[string]*Codec{}, keys: keys, record: DataKey{Epoch: 1, Secret: keys.Record}}
	r.find.Store(newFinder(r.base32, r.epochs(keys)))
	var err error
	if r.values, err = r.record.deriveMAC("digest", "", ""); err != nil {
		return nil, err
	}
	tokens, err := r.record.deriveMAC("token digest", "", "")
	if err != nil {
		return nil, err
	}
	r.tokens = tokens.after(r.pool.get(), "token")
	return r, nil
}

// Derive is a key for something else than tokens, which outlives every epoch: the same for the same purpose.
func (r *Ring) Derive(purpose string) ([]byte, error) {
	return r.record.derive(SecretSize, "other: "+purpose, "", "")
}

// epochs are the forms of all epochs that any group is in. Those of the first are always known: whoever has no keys yet can tell tokens.
func (r *Ring) epochs(keys Keys) []epochForms {
	seen := map[int]bool{1: true}
	if r.settings.EveryEpoch {
		for epoch := range formsRound {
			seen[epoch+1] = true
		}
	}
	for _, group := range keys.Groups {
		for _, key := range group {
			seen[key.Epoch] = true
		}
	}
	var forms []epochForms
	for _, epoch := range slices.Sorted(maps.Keys(seen)) {
		forms = append(forms, r.settings.forms(epoch))
	}
	return forms
}

// everyPrefix are the prefixes that a column's tokens have in whatever epoch, where those are to be known.
func (r *Ring) everyPrefix(spec Spec) []string {
	if !r.settings.EveryEpoch {
		return nil
	}
	return slices.Concat(slices.Collect(maps.Values(spec.Prefixes)), slices.Collect(maps.Values(spec.NextPrefixes)))
}

// Codec makes the codec of one column, once.
func (r *Ring) Codec(spec Spec) (*Codec, error) {
	if spec.Group == "" {
		spec.Group = string(spec.Scheme)
	}
	if spec.Canonical == 0 {
		spec.Canonical = CanonicalVersion
	}
	if spec.Canonical != CanonicalVersion {
		return nil, fmt.Errorf("make codec of %s: there is no version %d of the canonical form; this Sallyport knows version %d", spec.Column, spec.Canonical, CanonicalVersion)
	}
	if spec.Region != "" && spec.Scheme != sallyport.Phone {
		return nil, fmt.Errorf("make codec of %s: a region belongs to the scheme %s", spec.Column, sallyport.Phone)
	}
	if len(spec.Prefixes)+len(spec.NextPrefixes) > 0 && spec.Scheme != sallyport.Number {
		return nil, fmt.Errorf("make codec of %s: prefixes belong to the scheme %s", spec.Column, sallyport.Number)
	}
	if spec.Shred != "" && (spec.Shred != ShredCustomer || spec.Scheme != sallyport.Name && spec.Scheme != sallyport.Text) {
		return nil, fmt.Errorf("make codec of %s: only names and texts have keys of their own, and %q is the one value of shred", spec.Column, ShredCustomer)
	}
	asked := spec.text()
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.made[asked]; c != nil {
		return c, nil
	}
	c := &Codec{ring: r, spec: spec, digest: r.values.after(r.pool.get(), string(spec.Scheme)), vault: r.vaultForms(spec)}
	forms, err := r.forms(spec, r.keys)
	if err != nil {
		return nil, fmt.Errorf("make codec of %s: %w", spec.Column, err)
	}
	if c.veil, err = r.newVeil(spec); err != nil {
		return nil, err
	}
	c.forms.Store(forms)
	r.made[asked] = c
	r.find.Store(r.find.Load().with(append(forms.prefixes(), r.everyPrefix(spec)...)))
	return c, nil
}

// Rekey exchanges the keys of the groups, in all codecs made so far and in those to come. The key of the record's digests stays.
// Where the error is not nil, nothing was exchanged.
func (r *Ring) Rekey(keys Keys) error {
	if err := keys.check(); err != nil {
		return fmt.Errorf("exchange keys: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	finder := newFinder(r.base32, r.epochs(keys))
	next := make(map[*Codec]*forms, len(r.made))
	for _, c := range r.made {
		var err error
		if next[c], err = r.forms(c.spec, keys); err != nil {
			return fmt.Errorf("exchange keys of %s: %w", c.spec.Column, err)
		}
		finder = finder.with(append(next[c].prefixes(), r.everyPrefix(c.spec)...))
	}
	// A token must be known by the time somebody makes it.
	r.find.Store(finder)
	for c, forms := range next {
		c.forms.Store(forms)
	}
	r.keys = keys
	return nil
}

// Rotatable says why the keys of a group cannot be rotated with the columns that have a codec; nil if they can.
func (r *Ring) Rotatable(group string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	live := r.keys.of(group)
	switch {
	case len(live) == 0:
		return fmt.Errorf("there is no key of the join group %s", group)
	case len(live) > 1:
		return fmt.Errorf("the join group %s is being rotated already", group)
	}
	// Whatever the next key will be, the forms of its tokens are known.
	next := Keys{Groups: map[string][]DataKey{group: {{Epoch: live[0].Epoch + 1, Secret: live[0].Secret}, live[0]}}}
	for _, c := range r.made {
		if c.spec.Group != group {
			continue
		}
		if _, err := r.forms(c.spec, next); err != nil {
			return fmt.Errorf("rotate the keys of %s: %w", c.spec.Column, err)
		}
	}
	return nil
}

// forms derives a column's keys of every epoch, the newest first.
func (r *Ring) forms(spec Spec, keys Keys) (*forms, error) {
	live := keys.of(spec.Group)
	if len(live) == 0 {
		return nil, fmt.Errorf("there is no key of the join group %s", spec.Group)
	}
	var older *forms
	for _, key := range slices.Backward(live) {
		f := &forms{spec: spec, epoch: key.Epoch, older: older}
		var err error
		switch spec.Scheme {
		case sallyport.Email:
			f.email, err = r.newEmail(spec, key)
		case sallyport.Phone:
			f.phone, err = r.newPhone(spec, key)
		case sallyport.Number:
			f.number, err = r.newNumber(spec, key)
		case sallyport.Name, sallyport.Text:
			f.sealed, err = r.newSealed(spec, key)
		case sallyport.Date:
			f.date, err = r.newDate(spec, key)
		case sallyport.Timestamp, sallyport.Timestamptz:
			f.moment, err = r.newMoment(spec, key)
		case sallyport.Int4, sallyport.Int8, sallyport.UUID:
			f.older, f.before = nil, older
			f.fixed, err = r.newFixed(spec, key)
		default:
			err = errScheme(spec.Scheme)
		}
		if err != nil {
			return nil, err
		}
		older = f
	}
	return older, nil
}

// sum is the digest of a value under a prefixed MAC, without allocating.
func (r *Ring) sum(m *prefixedMAC, value []byte) sallyport.Digest {
	s := r.pool.get()
	m.sum(s, value)
	d := sallyport.Digest(s.x)
	r.pool.put(s)
	return d
}
