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
	// sealedHeader is the first sealed byte: format 1, bound to its column. Format 1 with 2 in the low half is set aside
	// for tokens bound to a customer too.
	sealedHeader = 0x11

	nonceSize    = 12
	gcmTag       = 16
	sealedExtra  = 1 + nonceSize + gcmTag
	indexSize    = 12       // bytes of blind index, of which 15 characters are used
	indexRoom    = 24       // mark, letter and all 16 characters
	maxName      = 1024     // bytes of a name
	maxText      = 64 << 20 // bytes of a text
	nameOverhead = NamePrefixLen
	textOverhead = len(sealedMark) + 1
)

// sealedForm is AES-GCM with a random nonce, written in base64url; a name has a blind index in front.
//
// The nonce is also the token's handle: twelve random bytes that no other token has, authenticated with the rest, to
// which the gateway ties a customer. A handle of its own would make every token longer and tell nothing more.
type sealedForm struct {
	gcm   cipher.AEAD
	index *mac // of names only
	ad    []byte
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
		f.head, f.front, f.most = sealedMark+string(rune(nameLetter(k.Epoch))), nameOverhead, maxName
		if f.index, err = k.deriveMAC("index", spec.Group, spec.Scheme); err != nil {
			return nil, err
		}
	} else {
		f.head, f.front, f.most = sealedMark+string(rune(textLetter(k.Epoch))), textOverhead, maxText
	}
	f.ad = append(f.ad, f.head...)
	f.ad = append(f.ad, sealedHeader)
	for _, part := range []string{string(spec.Scheme), spec.Column.Schema, spec.Column.Table, spec.Column.Name} {
		f.ad = binary.BigEndian.AppendUint32(f.ad, uint32(len(part)))
		f.ad = append(f.ad, part...)
	}
	return f, nil
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
	sealed[0] = sealedHeader
	nonce := sealed[1 : 1+nonceSize]
	if _, err := io.ReadFull(random, nonce); err != nil {
		return dst, fmt.Errorf("tokenise a value: read randomness: %w", err)
	}
	body := sealed[1+nonceSize:][:len(plain)]
	copy(body, plain)
	f.gcm.Seal(body[:0], nonce, body, f.ad)

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
	sealed := s.room(f.text.DecodedLen(len(tok) - f.front))
	if _, err := f.text.Decode(sealed, tok[f.front:]); err != nil || sealed[0] != sealedHeader {
		return dst, ErrNotToken
	}
	nonce, body := sealed[1:1+nonceSize], sealed[1+nonceSize:]
	plain, err := f.gcm.Open(body[:0], nonce, body, f.ad)
	if err != nil {
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
