package token

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"sallyport"
)

// Overflow is for values that a scheme has no token for: a telephone number of 15 digits, an address that is too long. Such a value gets
// a random token of a form of its own, and is kept sealed beside it; package vault does that. Here is what needs keys, and the forms.
//
// The key of a value is the MAC under which equal values are found; a sealed value opens with its own token only.
type Overflow struct {
	scheme sallyport.Scheme
	codec  *Codec
	index  *mac
	gcm    cipher.AEAD
}

const (
	vaultLabel  = "vault." // in front of the domain of e-mail tokens
	vaultEmail  = 26       // base32 characters of the local part: 130 bits
	vaultPhone  = 12       // digits behind the country code: one less than other tokens have
	vaultNumber = 32       // digits behind the reserved prefix: more than other tokens have
	maxVault    = 4096     // bytes of a value
	vaultPad    = 64       // a sealed value is a multiple of so many bytes, so that its length says little
	vaultHeader = 0x11     // format 1, epoch 1
)

// vaultForms are how tokens of a vault look. They are of no epoch: what a vault keeps is sealed with a key that stays, so that their
// forms are those of the first epoch, with more or fewer characters.
type vaultForms struct{ domain, code, prefix string }

func (r *Ring) vaultForms(spec Spec) vaultForms {
	f := vaultForms{domain: r.settings.emailDomain(1), code: r.settings.phoneCode(1)}
	if plains := slices.Sorted(maps.Keys(spec.Prefixes)); len(plains) > 0 {
		f.prefix = spec.Prefixes[plains[0]]
	}
	return f
}

// ErrNoOverflow says that a scheme has no place for values outside of its domain.
var ErrNoOverflow = errors.New("only the schemes email, phone, number, date, timestamp and timestamptz have a vault for values that they have no token for")

// Overflow makes what keeps the values that the codec has no token for.
func (c *Codec) Overflow() (*Overflow, error) {
	o := &Overflow{scheme: c.spec.Scheme, codec: c}
	switch o.scheme {
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz:
	default:
		return nil, ErrNoOverflow
	}
	var err error
	if o.index, err = c.ring.record.deriveMAC("vault index", c.spec.Group, o.scheme); err != nil {
		return nil, err
	}
	block, err := c.ring.record.deriveBlock("vault", c.spec.Group, o.scheme)
	if err != nil {
		return nil, err
	}
	if o.gcm, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("make AES-GCM: %w", err)
	}
	return o, nil
}

// Canonical appends the form under which values that have no token are equal: without white space around it, an address in lower case
// and NFC, a telephone number without separators, a day or a moment as PostgreSQL writes it. What could be a token, and what no column can hold, is an ErrDomain.
func (o *Overflow) Canonical(dst, plain []byte) ([]byte, error) {
	start := len(dst)
	value := bytes.TrimSpace(plain)
	switch {
	case len(value) == 0:
		return dst, outside("it is empty: write NULL where there is no value")
	case len(value) > maxVault:
		return dst, outside(fmt.Sprintf("it is longer than the %d bytes that the vault takes", maxVault))
	case !utf8.Valid(value):
		return dst, errUTF8
	case bytes.IndexByte(value, 0) >= 0:
		return dst, outside("it has a NUL byte, which no text of the database can hold")
	}
	if _, _, _, found := o.codec.ring.Find(value, 0); found {
		return dst, outside("a token stands in it")
	}
	switch o.scheme {
	case sallyport.Email:
		dst = append(dst, norm.NFC.Bytes(bytes.ToLower(norm.NFC.Bytes(bytes.Clone(value))))...)
		if underTokens(dst[start+bytes.LastIndexByte(dst[start:], '@')+1:], o.codec.vault.domain) {
			return dst[:start], outside("the e-mail address is under the domain of tokens")
		}
	case sallyport.Phone:
		dst = appendDialled(dst, value)
		if text := dst[start:]; len(text) > 3 && text[0] == '+' && (string(text[1:3]) == phoneCode || string(text[1:3]) == otherPhoneCode) {
			return dst[:start], outside("the telephone number has a country code that is set aside for tokens")
		}
	case sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz:
		return o.appendDated(dst, value)
	default:
		dst = append(dst, value...)
	}
	return dst, nil
}

// appendDialled leaves separators out where there is nothing else beside digits.
func appendDialled(dst, value []byte) []byte {
	start := len(dst)
	if hasPrefix(value, "00") {
		dst, value = append(dst, '+'), value[2:]
	}
	for i, c := range value {
		switch {
		case isDigit(c), c == '+' && i == 0 && len(dst) == start:
			dst = append(dst, c)
		case c == ' ', c == '-', c == '.', c == '/', c == '(', c == ')':
		default:
			return append(dst[:start], value...)
		}
	}
	return dst
}

// Key is the MAC of a canonical value, equal for equal values of a scheme and group.
func (o *Overflow) Key(canonical []byte) [16]byte {
	s := o.codec.ring.pool.get()
	defer o.codec.ring.pool.put(s)
	o.index.sum(s, canonical)
	return s.x
}

// New appends a random token. It stands for nothing until a value is kept under it.
func (o *Overflow) New(dst []byte, random io.Reader) ([]byte, error) {
	var room [20]byte
	if _, err := io.ReadFull(random, room[:]); err != nil {
		return dst, fmt.Errorf("make a random token: read randomness: %w", err)
	}
	switch o.scheme {
	case sallyport.Email:
		dst = appendBase32(dst, room[:16])
		return append(append(append(dst, '@'), vaultLabel...), o.codec.vault.domain...), nil
	case sallyport.Phone:
		dst = append(append(dst, '+'), o.codec.vault.code...)
		return appendDigits(dst, binary.BigEndian.Uint64(room[:])%1_000_000_000_000, vaultPhone), nil
	case sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz:
		return o.newDated(dst, givenDate(room[:], o.scheme)), nil
	default:
		const half = 10_000_000_000_000_000
		dst = append(dst, o.codec.vault.prefix...)
		dst = appendDigits(dst, binary.BigEndian.Uint64(room[:])%half, vaultNumber/2)
		return appendDigits(dst, binary.BigEndian.Uint64(room[8:])%half, vaultNumber/2), nil
	}
}

// Absent appends a token that no value has, for a search.
func (o *Overflow) Absent(dst []byte, random io.Reader) ([]byte, error) {
	switch o.scheme {
	case sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz: // there are few days
		return o.newDated(dst, 0), nil
	default:
		return o.New(dst, random)
	}
}

// Seal appends a canonical value sealed for its token.
func (o *Overflow) Seal(dst, tok, canonical []byte, random io.Reader) ([]byte, error) {
	plain := make([]byte, (2+len(canonical)+vaultPad-1)/vaultPad*vaultPad)
	binary.BigEndian.PutUint16(plain, uint16(len(canonical))) //nolint:gosec // at most maxVault
	copy(plain[2:], canonical)
	var nonce [nonceSize]byte
	if _, err := io.ReadFull(random, nonce[:]); err != nil {
		return dst, fmt.Errorf("seal a value: read randomness: %w", err)
	}
	dst = append(append(dst, vaultHeader), nonce[:]...)
	return o.gcm.Seal(dst, nonce[:], plain, tok), nil
}

// Open appends the value that was sealed for a token; ErrNotToken: it was sealed for another, or with other keys, or altered.
func (o *Overflow) Open(dst, tok, sealed []byte) ([]byte, error) {
	if len(sealed) < 1+nonceSize+gcmTag || sealed[0] != vaultHeader {
		return dst, ErrNotToken
	}
	plain, err := o.gcm.Open(nil, sealed[1:1+nonceSize], sealed[1+nonceSize:], tok)
	if err != nil || len(plain) < 2 || int(binary.BigEndian.Uint16(plain)) > len(plain)-2 {
		return dst, ErrNotToken
	}
	return append(dst, plain[2:2+binary.BigEndian.Uint16(plain)]...), nil
}

// Overflowed tells by form only whether the whole of b is a token of a value that has none of its scheme's own.
func (c *Codec) Overflowed(b []byte) bool {
	switch c.spec.Scheme {
	case sallyport.Email:
		n, ok := vaultEmailAt(c.ring.base32, b, c.vault.domain)
		return ok && n == len(b)
	case sallyport.Phone:
		return len(b) == 3+vaultPhone && vaultPhoneAt(b, c.vault.code)
	case sallyport.Number:
		letters := letterRun(b)
		return len(b) == letters+vaultNumber && string(b[:letters]) == c.vault.prefix && digitRun(b[letters:]) == vaultNumber
	case sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz:
		return c.vaultDated(b)
	default:
		return false
	}
}

// vaultEmailAt tells whether such an e-mail token begins at the start of b, and where it ends.
func vaultEmailAt(e *base32, b []byte, domain string) (end int, ok bool) {
	const front = vaultEmail + 1 + len(vaultLabel)
	if len(b) < front+len(domain) || e.run(b, vaultEmail+1) != vaultEmail || b[vaultEmail] != '@' || !hasPrefix(b[vaultEmail+1:], vaultLabel) || !hasPrefix(b[front:], domain) {
		return 0, false
	}
	return front + len(domain), true
}

// vaultPhoneAt tells whether such a telephone token begins at the start of b.
func vaultPhoneAt(b []byte, code string) bool {
	return len(b) >= 3+vaultPhone && b[0] == '+' && string(b[1:3]) == code && digitRun(b[3:min(len(b), 4+vaultPhone)]) == vaultPhone
}
