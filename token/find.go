package token

import (
	"slices"

	"sallyport"
)

// finder recognises tokens by form inside a larger text. It is immutable: a new number codec makes a new one.
type finder struct {
	base32   *base32
	domains  []string // of e-mail tokens, that of the first epoch first; like the others of all epochs that are known, each once
	codes    []string // of phone tokens, likewise
	days     []int32  // first token days
	names    [256]bool
	texts    [256]bool // letters after tk1:
	prefixes []string  // reserved prefixes of all number codecs made so far, sorted
	shortest int       // characters of the shortest token
	anchor   [256]bool
}

// newFinder knows all forms of some epochs, the first epoch first, but the numbers'.
func newFinder(e *base32, epochs []epochForms) *finder {
	f := &finder{base32: e, shortest: isoLength}
	for _, forms := range epochs {
		f.domains, f.codes, f.days = once(f.domains, forms.domain), once(f.codes, forms.code), once(f.days, forms.day)
		f.names[forms.name], f.texts[forms.text] = true, true
	}
	// The rarest character of each form: nearly all texts are passed over with one look-up a byte.
	for _, c := range []byte("@+-:") {
		f.anchor[c] = true
	}
	return f
}

// once appends a form unless it is there: forms come round again.
func once[T comparable](forms []T, form T) []T {
	if slices.Contains(forms, form) {
		return forms
	}
	return append(forms, form)
}

// with is a finder that knows more prefixes of numbers.
func (f *finder) with(prefixes []string) *finder {
	next := *f
	next.prefixes = slices.Concat(f.prefixes, prefixes)
	slices.Sort(next.prefixes)
	next.prefixes = slices.Compact(next.prefixes)
	for _, p := range prefixes {
		next.anchor[p[0]] = true
		next.shortest = min(next.shortest, len(p)+minNumber)
	}
	return &next
}

// Find returns the first token by form in b that begins at from or later: b[start:end]. The scheme is empty for tk1:
// tokens (name or text). Prefixes of numbers are those of all codecs made so far; a date is found where it stands by
// itself. Time is linear in what is passed over, also over many calls, and nothing is allocated.
//
// A form is no proof: Reveal decides, and the caller compares with what a purpose covers.
func (r *Ring) Find(b []byte, from int) (start, end int, scheme sallyport.Scheme, ok bool) {
	f := r.find.Load()
	from = max(from, 0)
	if len(b)-from < f.shortest {
		return 0, 0, "", false
	}
	for i, c := range b[from:] {
		if !f.anchor[c] {
			continue
		}
		if start, end, scheme, ok = f.tokenAt(b, from, from+i); ok {
			return start, end, scheme, true
		}
	}
	return 0, 0, "", false
}

// tokenAt looks for the token whose anchor is b[i]. It looks at a bounded number of bytes, but for the run of digits or
// of base64url behind an anchor, in which no such anchor stands again.
func (f *finder) tokenAt(b []byte, from, i int) (start, end int, scheme sallyport.Scheme, ok bool) {
	switch b[i] {
	case '@':
		start, end, ok = f.emailAround(b, from, i)
		return start, end, sallyport.Email, ok
	case '-':
		start, end, ok = f.dateAround(b, from, i)
		return start, end, sallyport.Date, ok
	case '+':
		if vaultPhoneAt(b[i:], f.codes[0]) {
			return i, i + 3 + vaultPhone, sallyport.Phone, true
		}
		for _, code := range f.codes {
			ok = ok || phoneAt(b[i:], code)
		}
		ok = ok && (i+phoneTokenLen == len(b) || !isDigit(b[i+phoneTokenLen]))
		return i, i + phoneTokenLen, sallyport.Phone, ok
	case ':':
		start = i + 1 - len(sealedMark)
		if start >= from && b[i-1] == sealedMark[len(sealedMark)-2] {
			end = f.sealedEnd(b, start)
		}
		return start, end, "", end > 0
	}
	for _, p := range f.prefixes {
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
	for start > from && at-start <= maxLocal && f.base32.digits[3][b[start-1]] != notBase32 {
		start--
	}
	start += escaped(b, start)
	if start > at || start > 0 && isAddress(b[start-1]) && !endsEscape(b, start) {
		return 0, 0, false
	}
	for _, domain := range f.domains {
		if end, ok = emailAt(f.base32, b[start:], domain); ok {
			break
		}
	}
	if !ok {
		end, ok = vaultEmailAt(f.base32, b[start:], f.domains[0])
	}
	end += start
	if !ok || end-start > maxAddress {
		return 0, 0, false
	}
	// k1.invalid.example is another domain, and k1.invalid. ends a sentence.
	if end < len(b) && (isBase64(b[end]) || b[end] == '.' && end+1 < len(b) && isBase64(b[end+1])) {
		return 0, 0, false
	}
	return start, end, true
}

// firstTokenYear is tokenYear as text: it tells most dates from tokens without reading them.
const firstTokenYear = "2200"

// dateAround looks for a date token whose first hyphen is b[at].
func (f *finder) dateAround(b []byte, from, at int) (start, end int, ok bool) {
	start, end = at-4, at+6
	if start < from || end > len(b) || b[at+3] != '-' || string(b[start:at]) < firstTokenYear {
		return 0, 0, false
	}
	day, ok := ParseDay(b[start:end])
	token := isVaultDay(day)
	for _, first := range f.days {
		token = token || day >= first && day < first+tokenDays
	}
	if !ok || !token {
		return 0, 0, false
	}
	return start, end, standsAlone(b, start) && (end == len(b) || !isWord(b[end]) && b[end] != '-')
}

// sealedEnd is the end of a tk1: token that begins at b[i], or 0.
func (f *finder) sealedEnd(b []byte, i int) int {
	if !hasPrefix(b[i:], sealedMark) {
		return 0
	}
	n := base64Run(b[i+len(sealedMark):])
	if n == 0 {
		return 0
	}
	whole := len(sealedMark) + n
	switch letter := b[i+len(sealedMark)]; {
	case f.names[letter] && sealedLength(whole-nameOverhead, maxSealed), f.texts[letter] && sealedLength(whole-textOverhead, maxSealed):
		return i + whole
	}
	return 0
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
	if n := digitRun(body[:min(len(body), vaultNumber+1)]); n == vaultNumber {
		end = i + prefix + n
		return end, end == len(b) || !isWord(b[end])
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
