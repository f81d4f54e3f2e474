package token

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"sallyport"
)

// NamePrefixLen is how many characters at the beginning of a name's token are equal for equal names: what Search gives,
// and what an expression index holds.
const NamePrefixLen = 20

const (
	sealedMark = "tk1:"
	// sealedHeader is the first sealed byte: format 1, bound to its column.
	sealedHeader = 0x11
	// ownHeader is that of a token that has, besides, a key of its own, which is destroyed with its customer.
	ownHeader = 0x12

	nonceSize    = 12
	gcmTag       = 16
	sealedExtra  = 1 + nonceSize + gcmTag
	indexSize    = 12       // bytes of blind index, of which 15 characters are used
	indexRoom    = 24       // mark, letter and all 16 characters
	maxSealed    = 64 << 20 // bytes of a name or text
	nameOverhead = NamePrefixLen
	textOverhead = len(sealedMark) + 1
)

// sealedForm is AES-GCM with a random nonce, written in base64url; a name has a blind index in front.
//
// The nonce is also the token's handle: twelve random bytes that no other token has, authenticated with the rest, to
// which the gateway ties a customer. A handle of its own would make every token longer and tell nothing more.
type sealedForm struct {
	gcm   cipher.AEAD
	index *mac   // of names only
	tree  *Tree  // of keys of single tokens; nil: there is none
	own   bool   // new tokens have one
	ad    []byte // with sealedHeader
	ownAD []byte // with ownHeader
	head  string // mark and letter
	front int    // characters in front of the sealed part
	most  int
	pool  *scratchPool
	text  *base64.Encoding
}

func (r *Ring) newSealed(spec Spec, k DataKey) (*sealedForm, error) {
	if spec.Column.Name == "" {
		return nil, errors.New("the column has no name, and its tokens are bound to it")
	}
	block, err := k.deriveBlock("gcm", spec.Group, spec.Scheme)
	if err != nil {
		return nil, err
	}
	f := &sealedForm{pool: &r.pool, text: base64.RawURLEncoding.Strict()}
	if f.gcm, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("make AES-GCM: %w", err)
	}
	if spec.Scheme == sallyport.Name {
		f.head, f.front, f.most = sealedMark+string(rune(nameLetter(k.Epoch))), nameOverhead, maxSealed
		if f.index, err = k.deriveMAC("index", spec.Group, spec.Scheme); err != nil {
			return nil, err
		}
	} else {
		f.head, f.front, f.most = sealedMark+string(rune(textLetter(k.Epoch))), textOverhead, maxSealed
	}
	f.ad, f.ownAD = f.associated(spec, sealedHeader), f.associated(spec, ownHeader)
	f.tree, f.own = k.Tree, spec.Shred != ""
	if f.own && f.tree == nil && k.lone {
		f.tree, err = k.forgotten(spec.Group)
	}
	return f, err
}

// associated is what a token is bound to.
func (f *sealedForm) associated(spec Spec, header byte) []byte {
	ad := append([]byte(f.head), header)
	for _, part := range []string{string(spec.Scheme), spec.Column.Schema, spec.Column.Table, spec.Column.Name} {
		ad = binary.BigEndian.AppendUint32(ad, uint32(len(part)))
		ad = append(ad, part...)
	}
	return ad
}

func (f *sealedForm) tokenise(dst, plain []byte, random io.Reader) ([]byte, error) {
	if err := f.check(plain); err != nil {
		return dst, err
	}
	if random == nil {
		return dst, errors.New("tokenise a value: there is no source of randomness")
	}
	s := f.pool.get()
	defer f.pool.put(s)
	sealed := s.room(sealedExtra + len(plain))
	if err := f.seal(s, sealed, plain, random); err != nil {
		return dst, err
	}

	start := len(dst)
	if f.index == nil {
		dst = append(dst, f.head...)
	} else {
		// A MAC uses s.x only, so the sealed bytes in s.buf stay.
		var err error
		if dst, err = f.appendIndex(s, dst, plain); err != nil {
			return dst[:start], err
		}
	}
	return f.text.AppendEncode(dst, sealed), nil
}

// seal fills the sealed part of a token.
func (f *sealedForm) seal(s *scratch, sealed, plain []byte, random io.Reader) error {
	nonce, body, ad := sealed[1:1+nonceSize], sealed[1+nonceSize:][:len(plain)], f.ad
	if sealed[0] = sealedHeader; f.own {
		sealed[0], ad = ownHeader, f.ownAD
	}
	for drawn := 0; ; drawn++ {
		if _, err := io.ReadFull(random, nonce); err != nil {
			return fmt.Errorf("tokenise a value: read randomness: %w", err)
		}
		copy(body, plain)
		if !f.own || f.tree != nil && f.tree.pad(s, nonce, body) {
			break
		}
		if drawn == mostDrawn { // of 2^63 keys hardly any was destroyed
			return errors.New("tokenise a value: there are no keys for single tokens")
		}
	}
	f.gcm.Seal(body[:0], nonce, body, ad)
	return nil
}

// mostDrawn is how many nonces are tried whose key was destroyed.
const mostDrawn = 4

// search appends the part of a name's token that is equal for equal names.
func (f *sealedForm) search(dst, plain []byte) ([]byte, error) {
	if err := f.check(plain); err != nil {
		return dst, err
	}
	s := f.pool.get()
	defer f.pool.put(s)
	return f.appendIndex(s, dst, plain)
}

// appendIndex appends mark, letter and blind index: the first 90 bits of a MAC of the folded name.
func (f *sealedForm) appendIndex(s *scratch, dst, plain []byte) ([]byte, error) {
	var room [digestRoom]byte
	folded, err := foldName(room[:0], plain)
	if err != nil {
		return dst, err
	}
	f.index.sum(s, folded)
	end := len(dst) + NamePrefixLen
	dst = append(dst, f.head...)
	return f.text.AppendEncode(dst, s.x[:indexSize])[:end], nil
}

func (f *sealedForm) reveal(dst, tok []byte) ([]byte, error) {
	if !f.isToken(tok) {
		return dst, ErrNotToken
	}
	s := f.pool.get()
	defer f.pool.put(s)
	plain, ok := f.open(s, tok)
	if !ok {
		return dst, ErrNotToken
	}
	if f.index == nil {
		return append(dst, plain...), nil
	}
	// The index is not under GCM's tag: without this check a token of one name could be found under another's.
	var room [indexRoom]byte
	index, err := f.appendIndex(s, room[:0], plain)
	if err != nil || !bytes.Equal(index, tok[:NamePrefixLen]) {
		return dst, ErrNotToken
	}
	return append(dst, plain...), nil
}

// open gives what was sealed, in s.buf.
func (f *sealedForm) open(s *scratch, tok []byte) (plain []byte, ok bool) {
	plain, nonce, own := f.authentic(s, tok)
	switch {
	case nonce == nil:
		return nil, false
	case own:
		return plain, f.tree != nil && f.tree.pad(s, nonce, plain)
	}
	return plain, true
}

// authentic opens the seal, in s.buf. What is under it is hidden still where the token has a key of its own. A nil nonce: it was made
// for another column, or with other keys, or altered.
func (f *sealedForm) authentic(s *scratch, tok []byte) (under, nonce []byte, own bool) {
	sealed := s.room(f.text.DecodedLen(len(tok) - f.front))
	if _, err := f.text.Decode(sealed, tok[f.front:]); err != nil {
		return nil, nil, false
	}
	ad := f.ad
	switch sealed[0] {
	case sealedHeader:
	case ownHeader:
		ad, own = f.ownAD, true
	default:
		return nil, nil, false
	}
	nonce, body := sealed[1:1+nonceSize], sealed[1+nonceSize:]
	under, err := f.gcm.Open(body[:0], nonce, body, ad)
	if err != nil {
		return nil, nil, false
	}
	return under, nonce, own
}

// made tells whether a token with a key of its own was made for this very column.
func (f *sealedForm) made(tok []byte) bool {
	s := f.pool.get()
	defer f.pool.put(s)
	_, nonce, own := f.authentic(s, tok)
	return nonce != nil && own
}

func (f *sealedForm) isToken(b []byte) bool {
	return hasPrefix(b, f.head) && sealedLength(len(b)-f.front, f.most) && base64Run(b[len(sealedMark):]) == len(b)-len(sealedMark)
}

// sealedLength tells whether so many characters of base64url can hold a sealed value of up to most bytes.
func sealedLength(chars, most int) bool {
	return chars >= base64Length(sealedExtra) && chars <= base64Length(sealedExtra+most) && chars%4 != 1
}

func base64Length(n int) int { return (n*8 + 5) / 6 }

// canonical is the value itself: what was written comes back.
func (f *sealedForm) canonical(dst, plain []byte) ([]byte, error) {
	if err := f.check(plain); err != nil {
		return dst, err
	}
	return append(dst, plain...), nil
}

func (f *sealedForm) check(plain []byte) error {
	switch {
	case len(plain) > f.most:
		return outside(fmt.Sprintf("it is longer than %d bytes", f.most))
	case bytes.IndexByte(plain, 0) >= 0:
		return outside("it has a NUL byte, which no text of the database can hold")
	case !utf8.Valid(plain):
		return errUTF8
	}
	return nil
}

// base64Run is how many characters of base64url b begins with.
func base64Run(b []byte) int {
	n := 0
	for n < len(b) && isBase64(b[n]) {
		n++
	}
	return n
}

func isBase64(c byte) bool {
	return isLetter(c) || '0' <= c && c <= '9' || c == '-' || c == '_'
}
