package scan

import (
	"bytes"

	"github.com/nyaruka/phonenumbers"
)

// findPlain finds the first plain value with its first sign within b[from:limit], of what stands from free on: an e-mail address, a telephone number with its country code,
// an IBAN or a card number whose check digits are right. what is empty where there is none.
func findPlain(b []byte, free, from, limit int) (start, end int, what string) {
	for i := from; i < limit; i++ {
		if start, end, what = plainAt(b, free, i); what != "" {
			return start, end, what
		}
		for isDigit(b[i]) && i+1 < limit && isDigit(b[i+1]) { // a number is looked at where it begins
			i++
		}
	}
	return 0, 0, ""
}

// plainAt looks for the value whose first sign is b[i]: the @ of an address, the first character of the others.
func plainAt(b []byte, free, i int) (start, end int, what string) {
	switch c := b[i]; {
	case c == '@':
		if start, end, ok := emailAround(b, free, i); ok {
			return start, end, "email"
		}
	case c == '+':
		if end, ok := phoneAt(b, i); ok {
			return i, end, "phone"
		}
	case isDigit(c) && begins(b, i):
		if n := cardAt(b, i); n > 0 {
			return i, i + n, "card"
		}
	case isUpper(c) && begins(b, i):
		if n := ibanAt(b, i); n > 0 {
			return i, i + n, "iban"
		}
	}
	return 0, 0, ""
}

// begins tells whether no word and no number runs into b[i].
func begins(b []byte, i int) bool {
	if i == 0 {
		return true
	}
	c := b[i-1]
	return !isWord(c) && c != '+' && c != '.' && c != '-'
}

// wordEnds tells whether a word ends in front of b[i].
func wordEnds(b []byte, i int) bool {
	return i >= len(b) || !isWord(b[i]) && !((b[i] == '-' || b[i] == '.') && i+1 < len(b) && isDigit(b[i+1]))
}

const (
	mostLocal  = 64  // RFC 5321 section 4.5.3.1
	mostDomain = 255 // likewise
	mostCard   = 19  // ISO/IEC 7812
)

// emailAround reads the address around its @.
func emailAround(b []byte, free, at int) (start, end int, ok bool) {
	start = at
	for start > free && at-start < mostLocal && isLocal(b[start-1]) {
		start--
	}
	for start < at && (b[start] == '.' || b[start] == '-' || b[start] == '\'') {
		start++
	}
	end, dot := at+1, 0
	for end < len(b) && end-at < mostDomain && (isWord(b[end]) && b[end] != '_' || b[end] == '-' || b[end] == '.' || b[end] >= 0x80) {
		if b[end] == '.' {
			dot = end
		}
		end++
	}
	if end > at && b[end-1] == '.' { // ends a sentence
		end--
		dot = 0
		for i := end - 1; i > at; i-- {
			if b[i] == '.' {
				dot = i
				break
			}
		}
	}
	top := b[max(dot, at)+1 : end]
	if start == at || dot <= at+1 || len(top) < 2 || !letters(top) || string(top) == "invalid" {
		return 0, 0, false
	}
	return start, end, true
}

// phoneAt reads + and digits with separators, and asks libphonenumber's rules for the longest part that is a number that can exist:
// another number may follow behind a space.
func phoneAt(b []byte, i int) (end int, ok bool) {
	if i+1 >= len(b) || !isDigit(b[i+1]) || i > 0 && (isWord(b[i-1]) || b[i-1] == '+') {
		return 0, false
	}
	var ends [16]int
	most, digits := 0, 0
	for at := i + 1; at < len(b) && at-i < 32 && digits <= 15; at++ {
		c := b[at]
		if !isDigit(c) && !bytes.ContainsRune([]byte(" -./()"), rune(c)) {
			break
		}
		if !isDigit(c) {
			continue
		}
		digits++
		if digits >= 7 && digits <= 15 && wordEnds(b, at+1) {
			ends[most] = at + 1
			most++
		}
	}
	for most--; most >= 0; most-- {
		end = ends[most]
		number, err := phonenumbers.Parse(string(b[i:end]), "")
		if err == nil && phonenumbers.IsValidNumber(number) {
			return end, true
		}
	}
	return 0, false
}

// cardAt is the length of a card number that begins at b[i]: 13 to 19 digits, alone or in groups with one kind of separator, of an issuer
// of payment cards, with a right last digit (ISO/IEC 7812-1, annex B).
func cardAt(b []byte, i int) int {
	var digit [mostCard]byte
	n, at, separator := 0, i, byte(0)
	for at < len(b) {
		c := b[at]
		if isDigit(c) {
			if n == mostCard {
				return 0
			}
			digit[n] = c - '0'
			n, at = n+1, at+1
			continue
		}
		if (c != ' ' && c != '-') || separator != 0 && c != separator || at+1 >= len(b) || !isDigit(b[at+1]) || n < 4 {
			break
		}
		separator = c
		at++
	}
	if n < 13 || !wordEnds(b, at) || !issuer(digit[:n]) || !luhn(digit[:n]) {
		return 0
	}
	return at - i
}

// issuer tells whether the first digits are those of a payment network, in the lengths that it issues.
func issuer(d []byte) bool {
	two := int(d[0])*10 + int(d[1])
	four := two*100 + int(d[2])*10 + int(d[3])
	switch n := len(d); {
	case d[0] == 4:
		return n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720:
		return n == 16
	case two == 34, two == 37:
		return n == 15
	case two == 36, two == 38, two == 30:
		return n >= 14
	case two == 35, two == 60, two == 62, two == 64, two == 65:
		return n >= 16
	case two == 50, two >= 56 && two <= 59, d[0] == 6:
		return n >= 13
	}
	return false
}

func luhn(d []byte) bool {
	sum := 0
	for i, c := range d {
		n := int(c)
		if (len(d)-i)%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0 && sum > 0
}

// ibanLengths are the countries of the IBAN registry (ISO 13616, SWIFT) with the length of theirs.
const ibanLengths = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28" +
	"HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29" +
	"RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30"

// ibanAt is the length of an IBAN that begins at b[i], with or without a space behind each fourth character, with right check digits.
func ibanAt(b []byte, i int) int {
	if len(b)-i < 15 || !isUpper(b[i+1]) || !isDigit(b[i+2]) || !isDigit(b[i+3]) {
		return 0
	}
	want := 0
	for k := 0; k < len(ibanLengths); k += 4 {
		if ibanLengths[k] == b[i] && ibanLengths[k+1] == b[i+1] {
			want = int(ibanLengths[k+2]-'0')*10 + int(ibanLengths[k+3]-'0')
		}
	}
	if want == 0 {
		return 0
	}
	var text [34]byte
	n, at := 0, i
	for n < want && at < len(b) {
		c := b[at]
		switch {
		case isUpper(c) || isDigit(c):
			text[n] = c
			n++
		case c == ' ' && n%4 == 0 && b[at-1] != ' ':
		default:
			return 0
		}
		at++
	}
	if n < want || !wordEnds(b, at) || !mod97(text[:n]) {
		return 0
	}
	return at - i
}

// mod97 is the check of ISO 7064 over the text with its first four characters behind.
func mod97(text []byte) bool {
	rest := 0
	for k := range text {
		c := text[(k+4)%len(text)]
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	return rest == 1
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isWord(c byte) bool  { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }

func isLocal(c byte) bool {
	return isWord(c) || c == '.' || c == '+' || c == '-' || c == '\'' || c == '%' || c == '~' || c >= 0x80
}

func letters(b []byte) bool {
	for _, c := range b {
		if c < 0x80 && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
