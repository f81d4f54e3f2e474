package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"sallyport"
)

// epoch is the generation of keys. Rotation comes later; every form has a place for it already: the domain label k1, the
// phone code, the number prefix, the letter after tk1:, the half of the years 2200–9999.
const epoch = 1

// Settings are the choices that hold for all columns. The zero value is usable.
type Settings struct {
	EmailDomain string // domain of e-mail tokens; its first label is the key epoch. Default "k1.invalid"
	PhoneCode   string // unassigned country code of phone tokens, "89" (default) or "83"
}

// Ring derives every key of a root secret and makes codecs. It is safe for concurrent use.
type Ring struct {
	root     Secret
	settings Settings
	pool     scratchPool
	base32   *base32
	values   *mac        // key of Digest
	tokens   prefixedMAC // key of TokenDigest

	mu   sync.Mutex // held while find is exchanged
	find atomic.Pointer[finder]
}

// NewRing checks the settings and derives the keys that all columns share.
func NewRing(root Secret, s Settings) (*Ring, error) {
	if root.key == nil {
		return nil, errors.New("make a key ring: there is no root secret")
	}
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
	r := &Ring{root: root, settings: s, base32: newBase32()}
	r.find.Store(newFinder(r.base32, s))
	var err error
	if r.values, err = r.deriveMAC("digest", "", ""); err != nil {
		return nil, err
	}
	tokens, err := r.deriveMAC("token digest", "", "")
	if err != nil {
		return nil, err
	}
	r.tokens = tokens.after(r.pool.get(), "token")
	return r, nil
}

// Codec makes the codec of one column.
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
	if len(spec.Prefixes) > 0 && spec.Scheme != sallyport.Number {
		return nil, fmt.Errorf("make codec of %s: prefixes belong to the scheme %s", spec.Column, sallyport.Number)
	}
	c := &Codec{ring: r, spec: spec, digest: r.values.after(r.pool.get(), string(spec.Scheme))}
	var err error
	switch spec.Scheme {
	case sallyport.Email:
		c.email, err = r.newEmail(spec)
	case sallyport.Phone:
		c.phone, err = r.newPhone(spec)
	case sallyport.Number:
		c.number, err = r.newNumber(spec)
	case sallyport.Name, sallyport.Text:
		c.sealed, err = r.newSealed(spec)
	case sallyport.Date:
		c.date, err = r.newDate(spec)
	case sallyport.Timestamp, sallyport.Timestamptz:
		c.moment, err = r.newMoment(spec)
	case sallyport.Int4, sallyport.Int8, sallyport.UUID:
		c.fixed, err = r.newFixed(spec)
	default:
		err = errScheme(spec.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("make codec of %s: %w", spec.Column, err)
	}
	return c, nil
}

// derive makes the key for one purpose, join group and scheme. Every part is preceded by its length, so that no two
// triples run together to the same text.
func (r *Ring) derive(size int, purpose, group string, scheme sallyport.Scheme) ([]byte, error) {
	info := []byte("sallyport token keys 1")
	for _, part := range []string{purpose, group, string(scheme)} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(part)))
		info = append(info, part...)
	}
	info = append(info, epoch)
	key, err := hkdf.Key(sha256.New, (*r.root.key)[:], nil, string(info), size)
	if err != nil {
		return nil, fmt.Errorf("derive the %s key: %w", purpose, err)
	}
	return key, nil
}

func (r *Ring) deriveBlock(purpose, group string, scheme sallyport.Scheme) (cipher.Block, error) {
	key, err := r.derive(32, purpose, group, scheme)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return aes.NewCipher(key)
}

func (r *Ring) deriveMAC(purpose, group string, scheme sallyport.Scheme) (*mac, error) {
	block, err := r.deriveBlock(purpose, group, scheme)
	if err != nil {
		return nil, err
	}
	return newMAC(block), nil
}

// sum is the digest of a value under a prefixed MAC, without allocating.
func (r *Ring) sum(m *prefixedMAC, value []byte) sallyport.Digest {
	s := r.pool.get()
	m.sum(s, value)
	d := sallyport.Digest(s.x)
	r.pool.put(s)
	return d
}

// reserve makes number prefixes known to Find.
func (r *Ring) reserve(prefixes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.find.Store(r.find.Load().with(prefixes))
}
