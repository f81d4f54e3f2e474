package token

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"sallyport"
)

// Codec tokenises and reveals the values of one column. It makes tokens of the newest epoch of the column's join group, and
// recognises and reveals those of every epoch that the group has a key of. It is safe for concurrent use, also while Rekey
// exchanges the keys.
type Codec struct {
	ring   *Ring
	spec   Spec
	digest prefixedMAC           // over the scheme, then the canonical value
	forms  atomic.Pointer[forms] // the newest epoch
	vault  vaultForms            // of values that the scheme has no token for
	veil   *fixedForm            // of integers and uuids
}

// Tokenise appends the token of plain. Only name and text read random. plain must not overlap dst's spare capacity.
// The error is an ErrDomain if the value cannot be tokenised; dst is then returned as it came.
func (c *Codec) Tokenise(dst, plain []byte, random io.Reader) ([]byte, error) {
	newest := c.forms.Load()
	if newest.holds(plain) != nil || c.Overflowed(plain) {
		return dst, ErrAlreadyToken
	}
	return newest.tokenise(dst, plain, random)
}

// Search appends what an equality with plain compares with in the newest epoch: the token where tokens are deterministic;
// for a name the first NamePrefixLen characters of its tokens. ErrUnsearchable for a text.
func (c *Codec) Search(dst, plain []byte) ([]byte, error) {
	newest := c.forms.Load()
	if c.Searchable() && (newest.holds(plain) != nil || c.Overflowed(plain)) {
		return dst, ErrAlreadyToken
	}
	return newest.search(dst, plain)
}

// Searches are what an equality with value has to compare with to find it in whatever epoch it was written, the newest first:
// one Search an epoch, and mostly there is one epoch. Of a token they are those of the value it stands for; the token alone,
// or a name's front, where it stands for none.
func (c *Codec) Searches(value []byte) ([][]byte, error) {
	newest := c.forms.Load()
	if !c.Searchable() {
		return nil, ErrUnsearchable
	}
	if of := newest.holds(value); of != nil {
		plain, err := of.reveal(nil, value)
		if err != nil {
			return [][]byte{of.front(value)}, nil //nolint:nilerr // nothing else is equal to what stands for nothing
		}
		defer clear(plain)
		value = plain
	}
	if c.Overflowed(value) {
		return [][]byte{value}, nil
	}
	var all [][]byte
	for f := newest; f != nil; f = f.older {
		search, err := f.search(nil, value)
		if err != nil {
			return nil, err
		}
		all = append(all, search)
	}
	return all, nil
}

// Reveal appends the canonical value that a token stands for. The error is ErrNotToken, and dst then comes back as it
// came. E-mail, name and text tokens are authenticated; the others are checked as far as their redundancy goes
// (docs/tokens). tok must not overlap dst's spare capacity.
func (c *Codec) Reveal(dst, tok []byte) ([]byte, error) {
	f := c.reads(tok)
	if f == nil {
		return dst, ErrNotToken
	}
	return f.reveal(dst, tok)
}

// reads are the forms that may reveal a token. Where there is one epoch its form is not looked at beforehand.
func (c *Codec) reads(tok []byte) *forms {
	newest := c.forms.Load()
	if newest.older == nil {
		return newest
	}
	return newest.holds(tok)
}

// RevealDigest is Reveal and DigestRevealed of what it gave, in one go where that is faster.
func (c *Codec) RevealDigest(room *Room, dst, tok []byte) ([]byte, sallyport.Digest, error) {
	f := c.reads(tok)
	if f == nil {
		return dst, sallyport.Digest{}, ErrNotToken
	}
	if f.email != nil {
		return f.email.revealDigest(&room.scratch, dst, tok, &c.digest)
	}
	start := len(dst)
	dst, err := f.reveal(dst, tok)
	if err != nil {
		return dst, sallyport.Digest{}, err
	}
	return dst, c.DigestRevealed(dst[start:]), nil
}

// Renew appends the token of the newest epoch for one of an older epoch; dst and false for one that is new already. It is
// ErrNotToken where Reveal says so. A token of a name or a text keeps its handle, so that it stays the customer's to whom it is tied:
// under the newer key, too, the nonce that the handle is serves one text and no other.
func (c *Codec) Renew(dst, tok []byte, random io.Reader) (renewed []byte, changed bool, err error) {
	newest := c.forms.Load()
	f := newest.holds(tok)
	switch f {
	case nil:
		if c.Overflowed(tok) { // its key is of no epoch
			return dst, false, nil
		}
		return dst, false, ErrNotToken
	case newest:
		return dst, false, nil
	}
	plain, err := f.reveal(nil, tok)
	if err != nil {
		return dst, false, err
	}
	defer clear(plain)
	if handle, ok := Handle(tok); ok && f.sealed != nil {
		random = bytes.NewReader(handle[:])
	}
	dst, err = newest.tokenise(dst, plain, random)
	return dst, err == nil, err
}

// IsToken tells by form only whether the whole of b is a token of this scheme, or one of a value that the scheme has no token for.
func (c *Codec) IsToken(b []byte) bool { return c.forms.Load().holds(b) != nil || c.Overflowed(b) }

// Epoch tells by form in which epoch a token was made, 0 for what is no token and for those of a vault.
func (c *Codec) Epoch(tok []byte) int {
	if f := c.forms.Load().holds(tok); f != nil {
		return f.epoch
	}
	return 0
}

// Epochs are those whose tokens the codec knows, the newest first.
func (c *Codec) Epochs() []int {
	var epochs []int
	for f := c.forms.Load(); f != nil; f = f.older {
		epochs = append(epochs, f.epoch)
	}
	return epochs
}

// Canonical appends the form of plain that Reveal gives back: an e-mail address in lower case, a phone number as + and
// digits, a name or a text as it was written.
func (c *Codec) Canonical(dst, plain []byte) ([]byte, error) {
	newest := c.forms.Load()
	if newest.holds(plain) != nil || c.Overflowed(plain) {
		return dst, ErrAlreadyToken
	}
	return newest.canonical(dst, plain)
}

// Deterministic tells whether equal values have equal tokens in one epoch.
func (c *Codec) Deterministic() bool {
	switch c.spec.Scheme {
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz,
		sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return true
	case sallyport.Name, sallyport.Text:
		return false
	}
	return false
}

// Recognisable tells whether a token is known by its form. Where it is not, nothing but the column tells a token from a value: what was
// tokenised already must be known otherwise, and a token is revealed only where it is traced to its column.
func (c *Codec) Recognisable() bool { return c.forms.Load().fixed == nil }

// Searchable tells whether Search has an answer.
func (c *Codec) Searchable() bool { return c.spec.Scheme != sallyport.Text }

// Digest is the keyed digest of the canonical value; for a name, of the folded name, so that it equals wherever Search
// does. It is the same for all columns of a scheme, whatever their group. A value outside the domain has one too.
func (c *Codec) Digest(plain []byte) sallyport.Digest {
	var room [digestRoom]byte
	value, forms := plain, c.forms.Load()
	switch c.spec.Scheme {
	case sallyport.Email:
		if v, err := forms.email.canonical(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Phone:
		if v, err := forms.phone.canonical(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Number:
		if v, err := forms.number.canonical(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Name:
		if v, err := foldName(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Text:
	case sallyport.Date:
		if v, err := forms.date.canonical(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Timestamp, sallyport.Timestamptz:
		if v, err := forms.moment.canonical(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Int4, sallyport.Int8, sallyport.UUID:
		if v, err := forms.fixed.canonical(room[:0], plain); err == nil {
			value = v
		}
	}
	return c.ring.sum(&c.digest, value)
}

// DigestRevealed is Digest of a value that Reveal gave, whose form is canonical already.
func (c *Codec) DigestRevealed(plain []byte) sallyport.Digest {
	switch c.spec.Scheme {
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz,
		sallyport.Int4, sallyport.Int8, sallyport.UUID, sallyport.Text:
		return c.ring.sum(&c.digest, plain)
	case sallyport.Name: // is kept as written; its digest is of the folded one
	}
	return c.Digest(plain)
}

// digestRoom is the stack space for a canonical value; longer ones cost an allocation.
const digestRoom = 256

// TokenDigest is the keyed digest of a token's bytes, to count rows reached without revealing them. One key serves all
// columns: equal tokens have equal digests, wherever they stand.
func (c *Codec) TokenDigest(tok []byte) sallyport.Digest { return c.ring.sum(&c.ring.tokens, tok) }

// TokeniseDay is Tokenise for the date scheme in PostgreSQL's days since 2000-01-01, as the binary format holds them.
func (c *Codec) TokeniseDay(day int32) (int32, error) {
	newest := c.forms.Load()
	if newest.date == nil {
		return 0, fmt.Errorf("%w: the column is not of the date scheme", ErrDomain)
	}
	for f := newest; f != nil; f = f.older {
		if f.date.isTokenDay(day) {
			return 0, ErrAlreadyToken
		}
	}
	return newest.date.tokeniseDay(day)
}

// RevealDay is Reveal for the date scheme in PostgreSQL's days since 2000-01-01.
func (c *Codec) RevealDay(day int32) (int32, error) {
	for f := c.forms.Load(); f != nil && f.date != nil; f = f.older {
		if f.date.isTokenDay(day) {
			return f.date.revealDay(day)
		}
	}
	return 0, ErrNotToken
}

// Spec is what the codec was made from, with its defaults filled in.
func (c *Codec) Spec() Spec { return c.spec }

// Form says in one line everything that decides how the tokens of this column look and which key makes them, but no key:
// codecs of one root secret and one form make the same tokens.
func (c *Codec) Form() string {
	var form strings.Builder
	fmt.Fprintf(&form, "%s of group %s", c.spec.Scheme, c.spec.Group)
	switch c.spec.Scheme {
	case sallyport.Email:
		form.WriteString(" under " + c.ring.settings.EmailDomain)
	case sallyport.Phone:
		form.WriteString(" under +" + c.ring.settings.PhoneCode)
	case sallyport.Number:
		for _, plain := range slices.Sorted(maps.Keys(c.spec.Prefixes)) {
			fmt.Fprintf(&form, ", %s as %s", plain, c.spec.Prefixes[plain])
		}
	case sallyport.Name, sallyport.Text, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz,
		sallyport.Int4, sallyport.Int8, sallyport.UUID:
	}
	return form.String()
}
