// Package token turns personal values into tokens and back: FF1 for phones, reference numbers, dates, timestamps, integers and
// uuids, AES-SIV for e-mail addresses, AES-GCM for names and texts; and it recognises a token by its form where it has one.
//
// It refuses to guess: a value outside its scheme's domain is ErrDomain, a token that was not made with this key is
// ErrNotToken wherever the scheme can tell. No error holds a value. It does no I/O; randomness and keys are arguments.
//
// Invariant: Reveal(Tokenise(x)) is Canonical(x), and equal canonical values have equal digests.
package token

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"sallyport"
)

// ErrDomain says that a value cannot be tokenised by its column's scheme; the sentence around it says why, never what.
var ErrDomain = errors.New("value cannot be tokenised")

// ErrAlreadyToken is the ErrDomain of a value that has the form of a token of this very scheme: to tokenise it would wrap
// it twice. Whether it may stay as it is, is the caller's to decide.
var ErrAlreadyToken = fmt.Errorf("%w: it has the form of a token already", ErrDomain)

// ErrNotToken says that a text is no token of this scheme, this column and these keys.
var ErrNotToken = errors.New("not a token of this column")

// ErrUnsearchable says that the scheme gives nothing to compare with.
var ErrUnsearchable = errors.New("values of this column cannot be searched for: every token of a text differs")

// Spec says how one column is tokenised.
type Spec struct {
	Column sallyport.Column
	Scheme sallyport.Scheme
	// Group is the join group: columns of one scheme and group share a key, so that their tokens compare equal. Default: the scheme.
	Group string
	// Prefixes of the number scheme: letters in front of a number → reserved letters of the same length in front of its token.
	Prefixes map[string]string
	// Region of the phone scheme: numbers without a country code are read as a person in that country writes them (ISO 3166, "DE").
	// Default: they are refused.
	Region string
	// Canonical is the version of the rules by which values are brought to one form before they become tokens. Default 1, the only one
	// that there is: with another one equal values would have other tokens, so that to change it is to rotate.
	Canonical int
}

// CanonicalVersion is the version of the canonical forms that this code makes (docs/tokens). TestCanonicalVersion1 fixes what it does.
const CanonicalVersion = 1

// Codec tokenises and reveals the values of one column. It is safe for concurrent use and holds no state.
type Codec struct {
	ring   *Ring
	spec   Spec
	digest prefixedMAC // over the scheme, then the canonical value

	// Exactly one of these is set, by Scheme. Plain pointers instead of an interface: what goes through an interface
	// escapes to the heap, and nothing may be allocated per row.
	email  *emailForm
	phone  *phoneForm
	number *numberForm
	sealed *sealedForm // name and text
	date   *dateForm
	moment *momentForm // timestamp and timestamptz
	fixed  *fixedForm  // int4, int8 and uuid
}

// Tokenise appends the token of plain. Only name and text read random. plain must not overlap dst's spare capacity.
// The error is an ErrDomain if the value cannot be tokenised; dst is then returned as it came.
func (c *Codec) Tokenise(dst, plain []byte, random io.Reader) ([]byte, error) {
	if c.IsToken(plain) {
		return dst, ErrAlreadyToken
	}
	switch c.spec.Scheme {
	case sallyport.Email:
		return c.email.tokenise(dst, plain)
	case sallyport.Phone:
		return c.phone.tokenise(dst, plain)
	case sallyport.Number:
		return c.number.tokenise(dst, plain)
	case sallyport.Name, sallyport.Text:
		return c.sealed.tokenise(dst, plain, random)
	case sallyport.Date:
		return c.date.tokenise(dst, plain)
	case sallyport.Timestamp, sallyport.Timestamptz:
		return c.moment.tokenise(dst, plain)
	case sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return c.fixed.tokenise(dst, plain)
	}
	return dst, errScheme(c.spec.Scheme)
}

// Search appends what an equality with plain compares with: the token where tokens are deterministic; for a name the
// first NamePrefixLen characters of its tokens. ErrUnsearchable for a text.
func (c *Codec) Search(dst, plain []byte) ([]byte, error) {
	switch c.spec.Scheme {
	case sallyport.Name:
		if c.IsToken(plain) {
			return dst, ErrAlreadyToken
		}
		return c.sealed.search(dst, plain)
	case sallyport.Text:
		return dst, ErrUnsearchable
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz,
		sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return c.Tokenise(dst, plain, nil)
	}
	return dst, errScheme(c.spec.Scheme)
}

// Deterministic tells whether equal values have equal tokens.
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
func (c *Codec) Recognisable() bool { return c.fixed == nil }

// Searchable tells whether Search has an answer.
func (c *Codec) Searchable() bool { return c.spec.Scheme != sallyport.Text }

// Reveal appends the canonical value that a token stands for. The error is ErrNotToken, and dst then comes back as it
// came. E-mail, name and text tokens are authenticated; the others are checked as far as their redundancy goes
// (docs/tokens). tok must not overlap dst's spare capacity.
func (c *Codec) Reveal(dst, tok []byte) ([]byte, error) {
	switch c.spec.Scheme {
	case sallyport.Email:
		return c.email.reveal(dst, tok)
	case sallyport.Phone:
		return c.phone.reveal(dst, tok)
	case sallyport.Number:
		return c.number.reveal(dst, tok)
	case sallyport.Name, sallyport.Text:
		return c.sealed.reveal(dst, tok)
	case sallyport.Date:
		return c.date.reveal(dst, tok)
	case sallyport.Timestamp, sallyport.Timestamptz:
		return c.moment.reveal(dst, tok)
	case sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return c.fixed.reveal(dst, tok)
	}
	return dst, errScheme(c.spec.Scheme)
}

// RevealDigest is Reveal and DigestRevealed of what it gave, in one go where that is faster.
func (c *Codec) RevealDigest(room *Room, dst, tok []byte) ([]byte, sallyport.Digest, error) {
	if c.spec.Scheme == sallyport.Email {
		return c.email.revealDigest(&room.scratch, dst, tok, &c.digest)
	}
	start := len(dst)
	dst, err := c.Reveal(dst, tok)
	if err != nil {
		return dst, sallyport.Digest{}, err
	}
	return dst, c.DigestRevealed(dst[start:]), nil
}

// IsToken tells by form only whether the whole of b is a token of this scheme, or one of a value that the scheme has no token for.
func (c *Codec) IsToken(b []byte) bool {
	switch c.spec.Scheme {
	case sallyport.Email:
		return c.email.isToken(b) || c.Overflowed(b)
	case sallyport.Phone:
		return c.phone.isToken(b) || c.Overflowed(b)
	case sallyport.Number:
		return c.number.isToken(b) || c.Overflowed(b)
	case sallyport.Name, sallyport.Text:
		return c.sealed.isToken(b)
	case sallyport.Date:
		return c.date.isToken(b)
	case sallyport.Timestamp, sallyport.Timestamptz:
		return c.moment.isToken(b)
	case sallyport.Int4, sallyport.Int8, sallyport.UUID: // every value is a token of some other
		return false
	}
	return false
}

// Canonical appends the form of plain that Reveal gives back: an e-mail address in lower case, a phone number as + and
// digits, a name or a text as it was written.
func (c *Codec) Canonical(dst, plain []byte) ([]byte, error) {
	if c.IsToken(plain) {
		return dst, ErrAlreadyToken
	}
	switch c.spec.Scheme {
	case sallyport.Email:
		return c.email.canonical(dst, plain)
	case sallyport.Phone:
		return c.phone.canonical(dst, plain)
	case sallyport.Number:
		return c.number.canonical(dst, plain)
	case sallyport.Name, sallyport.Text:
		return c.sealed.canonical(dst, plain)
	case sallyport.Date:
		return c.date.canonical(dst, plain)
	case sallyport.Timestamp, sallyport.Timestamptz:
		return c.moment.canonical(dst, plain)
	case sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return c.fixed.canonical(dst, plain)
	}
	return dst, errScheme(c.spec.Scheme)
}

// Digest is the keyed digest of the canonical value; for a name, of the folded name, so that it equals wherever Search
// does. It is the same for all columns of a scheme, whatever their group. A value outside the domain has one too.
func (c *Codec) Digest(plain []byte) sallyport.Digest {
	var room [digestRoom]byte
	value := plain
	switch c.spec.Scheme {
	case sallyport.Email:
		if v, err := c.email.canonical(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Phone:
		if v, err := c.phone.canonical(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Number:
		if v, err := c.number.canonical(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Name:
		if v, err := foldName(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Text:
	case sallyport.Date:
		if v, err := c.date.canonical(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Timestamp, sallyport.Timestamptz:
		if v, err := c.moment.canonical(room[:0], plain); err == nil {
			value = v
		}
	case sallyport.Int4, sallyport.Int8, sallyport.UUID:
		if v, err := c.fixed.canonical(room[:0], plain); err == nil {
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
	if c.date == nil {
		return 0, fmt.Errorf("%w: the column is not of the date scheme", ErrDomain)
	}
	return c.date.tokeniseDay(day)
}

// RevealDay is Reveal for the date scheme in PostgreSQL's days since 2000-01-01.
func (c *Codec) RevealDay(day int32) (int32, error) {
	if c.date == nil {
		return 0, ErrNotToken
	}
	return c.date.revealDay(day)
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

// outside is an ErrDomain with a sentence that helps; why must never hold the value.
func outside(why string) error { return fmt.Errorf("%w: %s", ErrDomain, why) }

func errScheme(s sallyport.Scheme) error {
	return fmt.Errorf("use scheme %q: there is no such scheme", s)
}
