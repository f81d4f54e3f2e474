package token

import (
	"bytes"

	"sallyport"
)

// finder recognises tokens by form inside a larger text.
type finder struct {
	domain   string
	code     string
	dates    [2]int32 // first day of the tokens, and the first behind them
	anchored string   // "+89"
}

func newFinder(s Settings) finder {
	first := dayOf(tokenYear, 1, 1)
	return finder{domain: s.EmailDomain, code: s.PhoneCode, dates: [2]int32{first, first + tokenDays}, anchored: "+" + s.PhoneCode}
}

const (
	// findWindow is how much is searched for anchors at a time. A whole text at once would make a loop over many
	// tokens quadratic, since each call would look to the end of the text for the forms that are not in it.
	findWindow = 1024
	// findShort is the length up to which looking at each byte is as fast as searching for anchors.
	findShort = 32
	// shortestToken is a number with a prefix of one letter.
	shortestToken = 1 + minNumber
	// longestAnchor less one is how far an anchor may reach over the end of a window.
	longestAnchor = maxNumberPrefix
)

// Find returns the first token by form in b that begins at from or later: b[start:end]. The scheme is empty for tk1:
// tokens (name or text). Prefixes of numbers are those of all codecs made so far; a date is found where it stands by
// itself. Time is linear in what was passed over, also over many calls, and nothing is allocated.
//
// A form is no proof: Reveal decides, and the caller compares with what a purpose covers.
func (r *Ring) Find(b []byte, from int) (start, end int, scheme sallyport.Scheme, ok bool) {
	prefixes := *r.prefixes.Load()
	from = max(from, 0)
	for at := from; len(b)-at >= shortestToken; {
		stop := min(at+findWindow, len(b))
		if stop-at <= findShort || r.find.hasAnchor(b[at:min(stop+longestAnchor-1, len(b))], prefixes) {
			for i := at; i < stop; i++ {
				if !isAnchor(b[i]) {
					continue
				}
				if start, end, scheme, ok = r.find.tokenAt(b, from, i, prefixes); ok {
					return start, end, scheme, true
				}
			}
		}
		at = stop
	}
	return 0, 0, "", false
}

// hasAnchor tells cheaply whether a window may hold a token.
func (f *finder) hasAnchor(window []byte, prefixes []string) bool {
	if bytes.IndexByte(window, '@') >= 0 || bytes.IndexByte(window, '-') >= 0 {
		return true
	}
	if bytes.Contains(window, []byte(sealedMark)) || bytes.Contains(window, []byte(f.anchored)) {
		return true
	}
	for _, p := range prefixes {
		if bytes.Contains(window, []byte(p)) {
			return true
		}
	}
	return false
}

// isAnchor keeps the loop over bytes short: t begins tk1:, and letters begin numbers.
func isAnchor(c byte) bool { return c == '@' || c == '-' || c == '+' || isLetter(c) }

// tokenAt looks for the token whose anchor is b[i]. It begins at i, or before it for an e-mail address and a date.
func (f *finder) tokenAt(b []byte, from, i int, prefixes []string) (start, end int, scheme sallyport.Scheme, ok bool) {
	switch b[i] {
	case '@':
		start, end, ok = f.emailAround(b, from, i)
		return start, end, sallyport.Email, ok
	case '-':
		start, end, ok = f.dateAround(b, from, i)
		return start, end, sallyport.Date, ok
	case '+':
		ok = phoneAt(b[i:], f.code) && (i+phoneTokenLen == len(b) || !isDigit(b[i+phoneTokenLen]))
		return i, i + phoneTokenLen, sallyport.Phone, ok
	case 't':
		if end = sealedEnd(b, i); end > 0 {
			return i, end, "", true
		}
	}
	for _, p := range prefixes {
		if p[0] == b[i] && hasPrefix(b[i:], p) {
			if end, ok = numberEnd(b, i, len(p)); ok {
				return i, end, sallyport.Number, true
			}
		}
	}
	return 0, 0, "", false
}

// emailAround looks for an e-mail token whose @ is b[at].
func (f *finder) emailAround(b []byte, from, at int) (start, end int, ok bool) {
	start = at
	for start > from && at-start <= maxLocal && base32Value(b[start-1]) < 32 {
		start--
	}
	start += escaped(b, start)
	if start > at || start > 0 && isAddress(b[start-1]) && !endsEscape(b, start) {
		return 0, 0, false
	}
	n, ok := emailAt(b[start:], f.domain)
	end = start + n
	if !ok || end-start > maxAddress {
		return 0, 0, false
	}
	// k1.invalid.example is another domain, and k1.invalid. ends a sentence.
	if end < len(b) && (isBase64(b[end]) || b[end] == '.' && end+1 < len(b) && isBase64(b[end+1])) {
		return 0, 0, false
	}
	return start, end, true
}

// dateAround looks for a date token whose first hyphen is b[at].
func (f *finder) dateAround(b []byte, from, at int) (start, end int, ok bool) {
	start, end = at-4, at+6
	if start < from || end > len(b) || b[at+3] != '-' {
		return 0, 0, false
	}
	day, ok := ParseDay(b[start:end])
	if !ok || day < f.dates[0] || day >= f.dates[1] {
		return 0, 0, false
	}
	return start, end, standsAlone(b, start) && (end == len(b) || !isWord(b[end]) && b[end] != '-')
}

// sealedEnd is the end of a tk1: token that begins at b[i], or 0.
func sealedEnd(b []byte, i int) int {
	if !hasPrefix(b[i:], sealedMark) {
		return 0
	}
	n := base64Run(b[i+len(sealedMark):])
	if n == 0 {
		return 0
	}
	whole, sealed := len(sealedMark)+n, 0
	switch b[i+len(sealedMark)] {
	case nameLetter:
		sealed = whole - nameOverhead
	case textLetter:
		sealed = whole - textOverhead
	}
	if sealed < (sealedExtra*8+5)/6 || sealed%4 == 1 {
		return 0
	}
	return i + whole
}

// numberEnd is the end of a number token that begins at b[i] with a reserved prefix.
func numberEnd(b []byte, i, prefix int) (end int, ok bool) {
	body := b[i+prefix:]
	if !standsAlone(b, i) || len(body) == 0 || isLetter(body[0]) {
		return 0, false
	}
	only := byte('-')
	for _, c := range body[:min(len(body), maxNumber+1)] { // the first separator rules
		if !isDigit(c) {
			if isSeparator(c) {
				only = c
			}
			break
		}
	}
	length, digits := numberBody(body, only)
	end = i + prefix + length
	return end, digits >= minNumber && digits <= maxNumber && (end == len(b) || !isWord(b[end]))
}

// standsAlone tells whether no word runs into b[i].
func standsAlone(b []byte, i int) bool {
	return i == 0 || !isWord(b[i-1]) && b[i-1] != '-' || endsEscape(b, i)
}

// endsEscape tells whether the letter or digit before b[i] belongs to an escape such as \n or \u0041 of JSON.
func endsEscape(b []byte, i int) bool {
	return i >= 2 && b[i-2] == '\\' && isLetter(b[i-1]) && b[i-1] != 'u' || i >= 6 && b[i-6] == '\\' && b[i-5] == 'u'
}

// escaped is how many bytes at b[i] belong to an escape whose backslash stands before them.
func escaped(b []byte, i int) int {
	switch {
	case i == 0 || i == len(b) || b[i-1] != '\\':
		return 0
	case b[i] == 'u':
		return 5
	}
	return 1
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' }

// isAddress tells whether a character makes the local part behind it a longer one. The rarer ones that an address may
// have ({, = and others) stand in front of addresses more often than in them.
func isAddress(c byte) bool { return isWord(c) || c == '.' || c == '+' || c == '-' }
