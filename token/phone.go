package token

import (
	"bytes"
	"fmt"

	"github.com/nyaruka/phonenumbers"

	"sallyport"
)

const (
	// Two-digit families of country codes that ITU-T E.164.D lists as spare. Which one is the key epoch.
	phoneCode      = "89"
	otherPhoneCode = "83"

	phoneDigits   = 13
	minPhone      = 6                // digits of the shortest number with its country code that we accept
	phoneTokenLen = 3 + phoneDigits  // + code digits
	phoneLow      = 10_000_000       // radix^v: the last 7 of 13 digits
	phoneMax      = 10_000_000000000 // ten to the 13th
)

// phoneForm is FF1 over 13 digits, written under an unassigned country code.
type phoneForm struct {
	ff1    *FF1
	code   string
	region string // where numbers without a country code are at home; empty: nowhere
}

func (r *Ring) newPhone(spec Spec, k DataKey) (*phoneForm, error) {
	block, err := k.deriveBlock("ff1", spec.Group, sallyport.Phone)
	if err != nil {
		return nil, err
	}
	ff1, err := newFF1(block, 10, phoneDigits, nil, &r.pool)
	if err != nil {
		return nil, err
	}
	if spec.Region != "" && !phonenumbers.GetSupportedRegions()[spec.Region] {
		return nil, fmt.Errorf("the region %q is none: expected the two capital letters of a country, as in DE", spec.Region)
	}
	return &phoneForm{ff1: ff1, code: r.settings.phoneCode(k.Epoch), region: spec.Region}, nil
}

func (f *phoneForm) tokenise(dst, plain []byte) ([]byte, error) {
	n, err := f.parse(plain)
	if err != nil {
		return dst, err
	}
	s := f.ff1.pool.get()
	a, b := f.ff1.encrypt(s, n/phoneLow, n%phoneLow)
	f.ff1.pool.put(s)
	dst = append(dst, '+')
	dst = append(dst, f.code...)
	return appendDigits(dst, a*phoneLow+b, phoneDigits), nil
}

func (f *phoneForm) reveal(dst, tok []byte) ([]byte, error) {
	if !f.isToken(tok) {
		return dst, ErrNotToken
	}
	n := digitsValue(tok[3:])
	s := f.ff1.pool.get()
	a, b := f.ff1.decrypt(s, n/phoneLow, n%phoneLow)
	f.ff1.pool.put(s)
	n = a*phoneLow + b
	if checkPhone(n) != nil {
		return dst, ErrNotToken
	}
	return appendPhone(dst, n), nil
}

func (f *phoneForm) isToken(b []byte) bool { return len(b) == phoneTokenLen && phoneAt(b, f.code) }

// phoneAt tells whether b begins with a phone token.
func phoneAt(b []byte, code string) bool {
	return len(b) >= phoneTokenLen && b[0] == '+' && string(b[1:3]) == code && digitRun(b[3:phoneTokenLen]) == phoneDigits
}

func (f *phoneForm) canonical(dst, plain []byte) ([]byte, error) {
	n, err := f.parse(plain)
	if err != nil {
		return dst, err
	}
	return appendPhone(dst, n), nil
}

// parse reads an international number, or one as people write it in the column's region.
func (f *phoneForm) parse(plain []byte) (uint64, error) {
	if f.region == "" || len(plain) > 64 {
		return parsePhone(plain)
	}
	text := bytes.TrimSpace(plain)
	if len(text) == 0 || text[0] == '+' || hasPrefix(text, "00") {
		return parsePhone(plain)
	}
	for _, c := range text {
		if !isDigit(c) && bytes.IndexByte([]byte(" \t-./()"), c) < 0 {
			return 0, outside("the telephone number has other characters than digits and separators")
		}
	}
	number, err := phonenumbers.Parse(string(text), f.region)
	if err != nil || !phonenumbers.IsValidNumber(number) || number.GetExtension() != "" {
		return 0, outside("it is no telephone number of the region " + f.region + ": write it as there, or with + and the country code in front")
	}
	return parsePhone([]byte(phonenumbers.Format(number, phonenumbers.E164)))
}

// parsePhone reads an international number: + or 00, then digits with spaces, hyphens, dots, slashes and parentheses
// between them. "(0)" is the trunk zero that people write for callers at home; it is no part of the number.
func parsePhone(plain []byte) (uint64, error) {
	if len(plain) > 64 {
		return 0, outside("it is longer than any telephone number")
	}
	plain = bytes.TrimSpace(plain)
	switch {
	case len(plain) == 0:
		return 0, outside("it is empty: write NULL where there is no telephone number")
	case plain[0] == '+':
		plain = plain[1:]
	case hasPrefix(plain, "00"):
		plain = plain[2:]
	default:
		return 0, outside("the telephone number has no country code: write + and the country code in front")
	}
	n, digits := uint64(0), 0
	for i := 0; i < len(plain); i++ {
		switch c := plain[i]; c {
		case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			if digits == 0 && c == '0' {
				return 0, outside("the telephone number's country code begins with 0")
			}
			n = n*10 + uint64(c-'0')
			if digits++; digits > phoneDigits {
				return 0, outside("the telephone number has more than 13 digits")
			}
		case '(':
			if digits > 0 && hasPrefix(plain[i:], "(0)") {
				i += 2
			}
		case ' ', '\t', '-', '.', '/', ')':
		default:
			return 0, outside("the telephone number has other characters than digits and separators")
		}
	}
	return n, checkPhone(n)
}

// checkPhone holds a number to the rules that need no text: Reveal applies them too, so that most forged tokens of short
// numbers are noticed.
func checkPhone(n uint64) error {
	lead := n
	for lead >= 100 {
		lead /= 10
	}
	if lead == 89 || lead == 83 {
		return outside("the telephone number has a country code that is set aside for tokens")
	}
	if n < 100_000 {
		return outside("the telephone number has fewer than 6 digits with its country code")
	}
	return nil
}

func appendPhone(dst []byte, n uint64) []byte {
	width := minPhone
	for limit := uint64(1_000_000); limit < phoneMax && n >= limit; limit *= 10 {
		width++
	}
	return appendDigits(append(dst, '+'), n, width)
}

// appendDigits writes n with leading zeros to the width.
func appendDigits(dst []byte, n uint64, width int) []byte {
	start := len(dst)
	dst = append(dst, "0000000000000000000"[:width]...)
	for i := len(dst) - 1; i >= start; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

// digitsValue reads at most 19 ASCII digits.
func digitsValue(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		n = n*10 + uint64(c-'0')
	}
	return n
}

// digitRun is how many ASCII digits b begins with.
func digitRun(b []byte) int {
	n := 0
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	return n
}
