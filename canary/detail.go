package canary

import (
	"cmp"
	"encoding/binary"
	"strings"
	"time"

	"sallyport"
)

// Settings are what the company gives for details. The zero value gives none: then viewers are shown nothing of their own.
type Settings struct {
	Domains []string      // catch-all: mail to any address there is heard
	Numbers []string      // a pool, in E.164: calls there are heard
	Period  time.Duration // so long a viewer is shown the same; 0: DefaultPeriod
}

// DefaultPeriod is a day: a detail names the day, and the record the statements of that day.
const DefaultPeriod = 24 * time.Hour

// View is who is shown a detail, and when.
type View struct {
	Viewer sallyport.Staff
	Grant  string // an approved export has details of its own; empty: none
	Time   time.Time
}

// period names the stretch of time in which a view shows the same.
func (s *Settings) period(v *View) string {
	if v.Grant != "" {
		return "grant"
	}
	p := cmp.Or(s.Period, DefaultPeriod)
	return v.Time.UTC().Truncate(p).Format(time.RFC3339)
}

// The syllables of which addresses are made: 16 consonants and 4 vowels, 6 bits each.
const (
	consonants = "bdfghjklmnprstvz"
	vowels     = "aeio"
)

// syllables is how many an address has: with two digits behind them 66 bits, which cannot be guessed.
const syllables = 10

// address is what a view is shown in the place of a canary's address: by a MAC, so that only who has the key can make one.
func (k Key) address(domains []string, id ID, v *View, period string) string {
	if len(domains) == 0 {
		return ""
	}
	m := sum(k.mac, "address", string(id[:]), string(v.Viewer), v.Grant, period)
	bits := binary.BigEndian.Uint64(m)
	var b strings.Builder
	split := 3 + int(m[16]%3) // of no secret
	for i := range syllables {
		if i == split {
			b.WriteByte('.')
		}
		six := bits >> (6 * i) & 63
		b.WriteByte(consonants[six>>2])
		b.WriteByte(vowels[six&3])
	}
	n := binary.BigEndian.Uint16(m[8:]) % 100
	b.WriteByte('0' + byte(n/10)) //nolint:gosec // a digit
	b.WriteByte('0' + byte(n%10)) //nolint:gosec // a digit
	return b.String() + "@" + domains[int(m[17])%len(domains)]
}

// rank orders the pool for a view, so that who knows the pool cannot tell which number he will be shown.
func (k Key) rank(number string, id ID, v *View, period string) uint64 {
	return binary.BigEndian.Uint64(sum(k.mac, "number", number, string(id[:]), string(v.Viewer), v.Grant, period))
}

// Digest is that of a detail, under the key.
func (k Key) Digest(scheme sallyport.Scheme, text string) (d sallyport.Digest) {
	copy(d[:], sum(k.mac, "digest", string(scheme), canonical(scheme, text)))
	return d
}

// canonical is how a detail is compared: an address in lower case without a comment in angle brackets, a number as + and digits.
func canonical(scheme sallyport.Scheme, text string) string {
	text = strings.TrimSpace(text)
	if scheme == sallyport.Phone {
		digits := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, text)
		return "+" + strings.TrimPrefix(digits, "00")
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">")
	return strings.ToLower(text)
}

// SchemeOf tells by its form what a detail is.
func SchemeOf(text string) sallyport.Scheme {
	if strings.Contains(text, "@") {
		return sallyport.Email
	}
	return sallyport.Phone
}
