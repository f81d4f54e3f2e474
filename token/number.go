package token

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport"
)

// Limits of a reference number: at least a million values (SP 800-38G Rev. 1), and halves that fit machine words.
const (
	minNumber       = 6
	maxNumber       = 30
	maxNumberPrefix = 10
	maxNumberText   = maxNumberPrefix + 2*maxNumber
)

// numberForm is FF1 over the digits of a number with a prefix: CS-4821-7730. Separators stay, the prefix is exchanged.
type numberForm struct {
	pool     *scratchPool
	prefixes []numberPrefix
}

// numberPrefix is one prefix with its permutations. The prefix is the tweak, so that CS-1 and AB-1 have unlike digits.
type numberPrefix struct {
	plain, token string
	ff1          [maxNumber + 1]*FF1 // by how many digits
}

func (r *Ring) newNumber(spec Spec, k DataKey) (*numberForm, error) {
	reserved, err := spec.reserved(k.Epoch)
	if err != nil {
		return nil, err
	}
	block, err := k.deriveBlock("ff1", spec.Group, sallyport.Number)
	if err != nil {
		return nil, err
	}
	f := &numberForm{pool: &r.pool}
	for _, plain := range slices.Sorted(maps.Keys(spec.Prefixes)) {
		p := numberPrefix{plain: plain, token: reserved[plain]}
		for n := minNumber; n <= maxNumber; n++ {
			if p.ff1[n], err = newFF1(block, 10, n, []byte(plain), f.pool); err != nil {
				return nil, err
			}
		}
		f.prefixes = append(f.prefixes, p)
	}
	return f, nil
}

// checkPrefixes refuses whatever would make a number and a token look alike, or tokens of two epochs. next may be empty.
func checkPrefixes(prefixes, next map[string]string) error {
	if len(prefixes) == 0 {
		return errors.New("the scheme number needs prefixes, for example {CS: ZQ}")
	}
	taken := map[string]bool{}
	take := func(p string) error {
		if taken[strings.ToUpper(p)] {
			return fmt.Errorf("prefix %q is used twice, and case makes no difference", p)
		}
		taken[strings.ToUpper(p)] = true
		return nil
	}
	for _, plain := range slices.Sorted(maps.Keys(prefixes)) {
		if err := take(plain); err != nil {
			return err
		}
	}
	for _, reserved := range []map[string]string{prefixes, next} {
		for _, plain := range slices.Sorted(maps.Keys(reserved)) {
			p := reserved[plain]
			if len(plain) != len(p) || len(plain) > maxNumberPrefix || !isLetters(plain) || !isLetters(p) {
				return fmt.Errorf("prefix %q → %q: both must be of the same length, 1 to %d ASCII letters", plain, p, maxNumberPrefix)
			}
			if err := take(p); err != nil {
				return err
			}
		}
	}
	if len(next) > 0 && !slices.Equal(slices.Sorted(maps.Keys(prefixes)), slices.Sorted(maps.Keys(next))) {
		return errors.New("next_prefixes must have the same prefixes of plain numbers as prefixes")
	}
	return nil
}

func (f *numberForm) tokenise(dst, plain []byte) ([]byte, error) {
	p, body, digits, err := f.parse(plain)
	if err != nil {
		return dst, err
	}
	return f.permute(append(dst, p.token...), body, p.ff1[digits], true), nil
}

func (f *numberForm) reveal(dst, tok []byte) ([]byte, error) {
	p, body, digits := f.parseToken(tok)
	if p == nil {
		return dst, ErrNotToken
	}
	return f.permute(append(dst, p.plain...), body, p.ff1[digits], false), nil
}

func (f *numberForm) isToken(b []byte) bool {
	p, _, _ := f.parseToken(b)
	return p != nil
}

func (f *numberForm) canonical(dst, plain []byte) ([]byte, error) {
	p, body, _, err := f.parse(plain)
	if err != nil {
		return dst, err
	}
	return append(append(dst, p.plain...), body...), nil
}

// permute appends body with its digits exchanged.
func (f *numberForm) permute(dst, body []byte, ff1 *FF1, encrypt bool) []byte {
	var a, b uint64
	n := 0
	for _, c := range body {
		if c < '0' || c > '9' {
			continue
		}
		if n < ff1.u {
			a = a*10 + uint64(c-'0')
		} else {
			b = b*10 + uint64(c-'0')
		}
		n++
	}
	s := f.pool.get()
	if encrypt {
		a, b = ff1.encrypt(s, a, b)
	} else {
		a, b = ff1.decrypt(s, a, b)
	}
	f.pool.put(s)
	var room [maxNumber]byte
	digits := appendDigits(appendDigits(room[:0], a, ff1.u), b, ff1.v)
	for _, c := range body {
		if '0' <= c && c <= '9' {
			c, digits = digits[0], digits[1:]
		}
		dst = append(dst, c)
	}
	return dst
}

// parse finds the prefix of a plain number, in whatever case, and what follows it.
func (f *numberForm) parse(plain []byte) (p *numberPrefix, body []byte, digits int, err error) {
	plain = bytes.TrimSpace(plain)
	switch {
	case len(plain) == 0:
		return nil, nil, 0, outside("it is empty: write NULL where there is no number")
	case len(plain) > maxNumberText:
		return nil, nil, 0, outside("it is longer than any reference number")
	}
	letters := letterRun(plain)
	for i := range f.prefixes {
		if equalFold(plain[:letters], f.prefixes[i].plain) {
			p = &f.prefixes[i]
		}
	}
	if p == nil {
		return nil, nil, 0, outside("the number's prefix is not configured")
	}
	body = plain[letters:]
	length, digits := numberBody(body, 0)
	if length != len(body) || digits < minNumber || digits > maxNumber {
		return nil, nil, 0, outside("the number must have 6 to 30 digits after its prefix, with at most one separator between two")
	}
	return p, body, digits, nil
}

// parseToken is parse for a token, whose prefix must be written exactly so; p is nil if it is none.
func (f *numberForm) parseToken(tok []byte) (p *numberPrefix, body []byte, digits int) {
	if len(tok) > maxNumberText {
		return nil, nil, 0
	}
	letters := letterRun(tok)
	for i := range f.prefixes {
		if string(tok[:letters]) == f.prefixes[i].token {
			body = tok[letters:]
			length, digits := numberBody(body, 0)
			if length == len(body) && digits >= minNumber && digits <= maxNumber {
				return &f.prefixes[i], body, digits
			}
		}
	}
	return nil, nil, 0
}

// numberBody is how far digits with single separators go, which end with a digit. Within a text, where other words
// follow, all separators must be the same one: only, or 0 for any.
func numberBody(b []byte, only byte) (length, digits int) {
	for i := 0; i < len(b) && i < 2*maxNumber+1; {
		if n := digitRun(b[i:]); n > 0 {
			digits += n
			i += n
			length = i
			continue
		}
		if !isSeparator(b[i]) || only != 0 && b[i] != only || i > 0 && isSeparator(b[i-1]) {
			break
		}
		i++
	}
	return length, digits
}

func isSeparator(c byte) bool { return c == '-' || c == '/' || c == '.' || c == '_' || c == ' ' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isLetters(s string) bool { return s != "" && letterRun([]byte(s)) == len(s) }

func letterRun(b []byte) int {
	n := 0
	for n < len(b) && isLetter(b[n]) {
		n++
	}
	return n
}

// equalFold compares ASCII letters without regard to case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c|0x20 != s[i]|0x20 {
			return false
		}
	}
	return true
}
