package token

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"sallyport"
)

// Limits of an address: RFC 5321 section 4.5.3.1 (local part, whole path without its brackets), RFC 1035 section 2.3.4 (label).
const (
	maxLocal   = 64
	maxLabel   = 63
	maxAddress = 254
	// maxEmailDomain leaves room for the token of an address of common length.
	maxEmailDomain = 63
	// minEmail is the shortest address, a@b.
	minEmail = 3
)

// emailForm is AES-SIV written as an address: base32hex in the local part, what does not fit in labels of its domain.
type emailForm struct {
	siv    *SIV
	ad     [16]byte // S2V after the scheme's name
	base32 *base32
	domain string // "k1.invalid"
	most   int    // longest canonical address whose token is a legal address
}

func (r *Ring) newEmail(spec Spec, k DataKey) (*emailForm, error) {
	key, err := k.derive(64, "siv", spec.Group, sallyport.Email)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	siv, err := newSIV(key, &r.pool)
	if err != nil {
		return nil, err
	}
	s := r.pool.get()
	f := &emailForm{siv: siv, ad: siv.associate(s, [][]byte{[]byte(sallyport.Email)}), base32: r.base32, domain: r.settings.emailDomain(k.Epoch)}
	r.pool.put(s)
	for f.length(f.most+1) <= maxAddress {
		f.most++
	}
	return f, nil
}

// checkEmailDomain holds the domain of tokens to lower-case letters, digits and hyphens, the epoch first.
func checkEmailDomain(domain string) error {
	labels := strings.Split(domain, ".")
	if len(labels) < 2 || labels[0] != emailLabel(1) {
		return errors.New("the e-mail domain must begin with the first key epoch, as in k1.invalid")
	}
	if len(domain) > maxEmailDomain {
		return fmt.Errorf("the e-mail domain is longer than %d characters", maxEmailDomain)
	}
	if slices.Contains(labels[1:], labels[0]) {
		return errors.New("the e-mail domain must have the key epoch as its first label only")
	}
	for _, label := range labels {
		if label == "" || strings.Trim(label, "-") != label || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return errors.New("the e-mail domain must be of lower-case letters, digits and inner hyphens")
		}
	}
	return nil
}

// length is that of the token of an address of n bytes.
func (f *emailForm) length(n int) int {
	chars := base32Length(sivOverhead + n)
	labels := 0
	if chars > maxLocal {
		labels = (chars - maxLocal + maxLabel - 1) / maxLabel
	}
	return chars + labels + 1 + len(f.domain)
}

func (f *emailForm) tokenise(dst, plain []byte) ([]byte, error) {
	var room [digestRoom]byte
	value, err := f.canonical(room[:0], plain)
	if err != nil {
		return dst, err
	}
	s := f.siv.pool.get()
	s.buf = f.siv.seal(s, s.room(0), value, f.ad)
	dst = f.write(dst, s.buf)
	f.siv.pool.put(s)
	return dst, nil
}

// write appends a sealed address as an address.
func (f *emailForm) write(dst, sealed []byte) []byte {
	start := len(dst)
	dst = appendBase32(dst, sealed)
	chars := len(dst) - start
	if chars <= maxLocal {
		dst = append(dst, '@')
		return append(dst, f.domain...)
	}
	// Make room for the @ and the dots from the end, so that every character moves once.
	labels := (chars - maxLocal + maxLabel - 1) / maxLabel
	dst = append(dst, make([]byte, labels)...)
	text := dst[start:]
	for i := labels - 1; i >= 0; i-- {
		from := maxLocal + i*maxLabel
		to := min(from+maxLabel, chars)
		copy(text[from+i+1:], text[from:to])
		text[from+i] = '.'
	}
	text[maxLocal] = '@'
	dst = append(dst, '.')
	return append(dst, f.domain...)
}

func (f *emailForm) reveal(dst, tok []byte) ([]byte, error) {
	s := f.siv.pool.get()
	defer f.siv.pool.put(s)
	sealed, ok := f.read(s, tok)
	if !ok {
		return dst, ErrNotToken
	}
	dst, ok = f.siv.open(s, dst, sealed, f.ad)
	if !ok {
		return dst, ErrNotToken
	}
	return dst, nil
}

// revealDigest is reveal with the digest of what was revealed.
func (f *emailForm) revealDigest(s *scratch, dst, tok []byte, p *prefixedMAC) ([]byte, sallyport.Digest, error) {
	sealed, ok := f.read(s, tok)
	if ok {
		dst, ok = f.siv.openDigest(s, dst, sealed, f.ad, p)
	}
	if !ok {
		return dst, sallyport.Digest{}, ErrNotToken
	}
	return dst, s.y, nil
}

func (f *emailForm) isToken(b []byte) bool {
	if len(b) > maxAddress {
		return false
	}
	end, ok := emailAt(f.base32, b, f.domain)
	return ok && end == len(b)
}

// read undoes write. Only the one way of writing a sealed address is accepted: what stands where a digit is due, decode finds.
func (f *emailForm) read(s *scratch, tok []byte) ([]byte, bool) {
	n := len(tok) - len(f.domain) - 1 // of the digits and what stands between them
	if n < 1 || len(tok) > maxAddress || !hasSuffix(tok, f.domain) {
		return nil, false
	}
	room, text := s.room(len(tok)), tok[:n]
	if n <= maxLocal {
		sealed, ok := f.base32.decode(room, text)
		return sealed, ok && tok[n] == '@' && len(sealed) >= sivOverhead+minEmail
	}
	if tok[maxLocal] != '@' || n == maxLocal+1 || tok[n] != '.' {
		return nil, false
	}
	local, ok := f.base32.decode(room, text[:maxLocal]) // of whole bytes: 64 digits are 40
	labels, joined := text[maxLocal+1:], true
	if len(labels) > maxLabel {
		labels, joined = gather(room[len(local):], labels)
	}
	rest, right := f.base32.decode(room[len(local):], labels)
	return room[:len(local)+len(rest)], ok && joined && right
}

// gather copies the digits of several labels to room; false: a full label is not followed by a dot and another one.
func gather(room, text []byte) ([]byte, bool) {
	for n := 0; ; text = text[maxLabel+1:] {
		n += copy(room[n:], text[:min(len(text), maxLabel)])
		if len(text) <= maxLabel {
			return room[:n], true
		}
		if text[maxLabel] != '.' || len(text) == maxLabel+1 {
			return nil, false
		}
	}
}

// emailAt tells whether a token with this domain begins at the start of b, and where it ends.
func emailAt(e *base32, b []byte, domain string) (end int, ok bool) {
	local := e.run(b, maxLocal)
	if local > maxLocal || local == len(b) || b[local] != '@' {
		return 0, false
	}
	chars, i, full := local, local+1, local == maxLocal
	for !hasPrefix(b[i:], domain) {
		n := e.run(b[i:], maxLabel)
		// Only a full local part spills, and only a full label is followed by another.
		if n == 0 || n > maxLabel || !full || i+n == len(b) || b[i+n] != '.' || i+n > maxAddress {
			return 0, false
		}
		chars += n
		full = n == maxLabel
		i += n + 1
	}
	switch chars % 8 {
	case 1, 3, 6: // no number of bytes has so many characters
		return 0, false
	}
	return i + len(domain), chars >= base32Length(sivOverhead+minEmail)
}

// canonical is the address without white space around it, in lower case, in NFC if it is not ASCII. Lower case in the
// local part too: mail systems treat it so, and equality and uniqueness have to.
func (f *emailForm) canonical(dst, plain []byte) ([]byte, error) {
	if len(plain) > 4*maxAddress {
		return dst, outside("it is longer than any e-mail address")
	}
	plain = bytes.TrimSpace(plain)
	start := len(dst)
	ascii := true
	for _, c := range plain {
		if c >= utf8.RuneSelf {
			ascii = false
			break
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	if !ascii {
		if !utf8.Valid(plain) {
			return dst[:start], errUTF8
		}
		// The clone keeps plain from escaping for the sake of the few that are not ASCII.
		dst = append(dst[:start], norm.NFC.Bytes(bytes.ToLower(norm.NFC.Bytes(bytes.Clone(plain))))...)
	}
	if err := f.check(dst[start:]); err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// check refuses what is no address, so that a column configured by mistake is noticed.
func (f *emailForm) check(address []byte) error {
	at := bytes.LastIndexByte(address, '@')
	switch {
	case len(address) == 0:
		return outside("it is empty: write NULL where there is no e-mail address")
	case at <= 0 || at == len(address)-1:
		return outside("it is no e-mail address, which has the form name@domain")
	case len(address) > f.most:
		return outside(fmt.Sprintf("the e-mail address is longer than %d bytes, and its token would be no legal address", f.most))
	}
	local, domain := address[:at], address[at+1:]
	quoted := at >= 2 && local[0] == '"' && local[at-1] == '"'
	if !quoted && (bytes.IndexByte(local, '@') >= 0 || bytes.IndexByte(local, ' ') >= 0) || bytes.IndexByte(domain, ' ') >= 0 {
		return outside("it is no e-mail address: it has a second @ or a space")
	}
	if underTokens(domain, f.domain) {
		return outside("the e-mail address is under the domain of tokens")
	}
	for i := 0; i < len(address); {
		c, size := utf8.DecodeRune(address[i:])
		if unicode.IsControl(c) || unicode.IsSpace(c) && c != ' ' {
			return outside("the e-mail address has a control character or white space in it")
		}
		i += size
	}
	return nil
}

// underTokens tells whether an address belongs to the domain of tokens, or lies below it, in whatever epoch.
func underTokens(domain []byte, of string) bool {
	if !hasSuffix(domain, of[len(emailLabel(1)):]) {
		return false
	}
	label := domain[:len(domain)-len(of)+len(emailLabel(1))]
	label = label[bytes.LastIndexByte(label, '.')+1:]
	return len(label) == len(emailLabel(1)) && label[0] == 'k' && '1' <= label[1] && label[1] <= '9'
}

// errUTF8 is the ErrDomain of bytes in another encoding, for example of a client with a LATIN1 encoding.
var errUTF8 = outside("it is not UTF-8: set the client encoding to UTF8")

func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }
func hasSuffix(b []byte, s string) bool { return len(b) >= len(s) && string(b[len(b)-len(s):]) == s }
