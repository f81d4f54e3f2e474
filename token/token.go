// Package token turns personal values into tokens and back: FF1 for phones, reference numbers and dates, AES-SIV for e-mail
// addresses, AES-GCM for names and texts; and it recognises a token by its form.
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
	// NextPrefixes are the reserved letters in even epochs. Without them the keys of the group cannot be rotated.
	NextPrefixes map[string]string
	// Region of the phone scheme: numbers without a country code are read as a person in that country writes them (ISO 3166, "DE").
	// Default: they are refused.
	Region string
	// Canonical is the version of the rules by which values are brought to one form before they become tokens. Default 1, the only one
	// that there is: with another one equal values would have other tokens, so that to change it is to rotate.
	Canonical int
	// Shred of the schemes name and text: ShredCustomer gives each new token a key of its own, which is destroyed with its customer.
	// Empty: all have the join group's.
	Shred string
}

// ShredCustomer is the value of Spec.Shred.
const ShredCustomer = "customer"

// CanonicalVersion is the version of the canonical forms that this code makes (docs/tokens). TestCanonicalVersion1 fixes what it does.
const CanonicalVersion = 1

// text is all of a spec, so that equal specs are told by it.
func (s Spec) text() string {
	return fmt.Sprintf("%q %q %q %q %q %q %q %q %d %q", s.Column.Schema, s.Column.Table, s.Column.Name, s.Scheme, s.Group, s.Prefixes, s.NextPrefixes, s.Region, s.Canonical, s.Shred)
}

// forms are how the tokens of one column and one epoch are made and read.
type forms struct {
	spec  Spec
	epoch int
	older *forms // of the epoch before; nil: none

	// before are, of a scheme whose tokens have no form, those of the group's other key: nothing tells its tokens, so that they are no older ones
	// that anybody would come across (turn.go).
	before *forms

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

func (c *forms) tokenise(dst, plain []byte, random io.Reader) ([]byte, error) {
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

func (c *forms) search(dst, plain []byte) ([]byte, error) {
	switch c.spec.Scheme {
	case sallyport.Name:
		return c.sealed.search(dst, plain)
	case sallyport.Text:
		return dst, ErrUnsearchable
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz,
		sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return c.tokenise(dst, plain, nil)
	}
	return dst, errScheme(c.spec.Scheme)
}

func (c *forms) reveal(dst, tok []byte) ([]byte, error) {
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

func (c *forms) isToken(b []byte) bool {
	switch c.spec.Scheme {
	case sallyport.Email:
		return c.email.isToken(b)
	case sallyport.Phone:
		return c.phone.isToken(b)
	case sallyport.Number:
		return c.number.isToken(b)
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

// holds are the forms of the epoch of a token, nil for what is none.
func (c *forms) holds(b []byte) *forms {
	for f := c; f != nil; f = f.older {
		if f.isToken(b) {
			return f
		}
	}
	return nil
}

// front is what an equality compares a token with: for a name, its beginning.
func (c *forms) front(tok []byte) []byte {
	if c.spec.Scheme == sallyport.Name {
		return tok[:NamePrefixLen]
	}
	return tok
}

// prefixes are the reserved ones of numbers, of every epoch.
func (c *forms) prefixes() []string {
	var all []string
	for f := c; f != nil && f.number != nil; f = f.older {
		for i := range f.number.prefixes {
			all = append(all, f.number.prefixes[i].token)
		}
	}
	return all
}

// canonical is the same in every epoch.
func (c *forms) canonical(dst, plain []byte) ([]byte, error) {
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

// outside is an ErrDomain with a sentence that helps; why must never hold the value.
func outside(why string) error { return fmt.Errorf("%w: %s", ErrDomain, why) }

func errScheme(s sallyport.Scheme) error {
	return fmt.Errorf("use scheme %q: there is no such scheme", s)
}
