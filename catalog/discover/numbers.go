package discover

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// isIBAN follows ISO 13616: two letters, two check digits, up to 30 letters and digits, and the whole is 1 modulo 97.
func isIBAN(v string) bool {
	v = strings.ToUpper(strings.ReplaceAll(v, " ", ""))
	if len(v) < 15 || len(v) > 34 {
		return false
	}
	for i := range len(v) {
		letter, digit := v[i] >= 'A' && v[i] <= 'Z', v[i] >= '0' && v[i] <= '9'
		if !letter && !digit || i < 2 && !letter || (i == 2 || i == 3) && !digit {
			return false
		}
	}
	rest := 0
	for _, c := range v[4:] + v[:4] {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	return rest == 1
}

// isCard follows ISO/IEC 7812: 13 to 19 digits of a range that payment cards have, the last of them by Luhn's formula.
func isCard(v string) bool {
	v = strings.NewReplacer(" ", "", "-", "").Replace(v)
	if len(v) < 13 || len(v) > 19 || countDigits(v) != len(v) || !strings.ContainsRune("23456", rune(v[0])) {
		return false
	}
	sum := 0
	for i := range len(v) {
		d := int(v[len(v)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// phoneTally is what telephone numbers there are among the values.
type phoneTally struct {
	international int    // begin with + or 00 and are valid by libphonenumber
	national      int    // valid within Region, and written as people write such numbers: with a leading 0, or in groups
	shaped        int    // 6 to 15 digits with spaces, points, brackets and the like
	plus          int    // … and begin with + or 00
	bare          int    // would be valid international ones with a + in front
	region        string // of the national ones
	open          []string
	hits          map[string]int // by region, of some of the open ones
}

func (t phoneTally) valid() int { return t.international + t.national }

// regionSample is how many values choose the region whose national numbers a column holds.
const regionSample = 40

// phonesOf counts telephone numbers. It leaves those open that are written as within a country, until the country is known.
func phonesOf(values []string) phoneTally {
	t := phoneTally{hits: map[string]int{}}
	for _, v := range values {
		v = strings.TrimSpace(v)
		if !phoneShaped(v) {
			continue
		}
		t.shaped++
		if isInternational(v) {
			t.plus++
			if valid(v, "ZZ") {
				t.international++
			}
		} else if v[0] == '0' || strings.ContainsAny(v, " /-().") {
			t.open = append(t.open, v)
		} else if len(v) >= 10 && valid("+"+v, "ZZ") {
			t.bare++
		}
	}
	for _, region := range regions() {
		for _, v := range t.open[:min(len(t.open), regionSample)] {
			if valid(v, region) {
				t.hits[region]++
			}
		}
	}
	return t
}

// settle counts the numbers that were left open: those of the database's region, unless many more are valid in another one.
func (t *phoneTally) settle(usual string) {
	t.region = usual
	if best := bestRegion(t.hits); best != "" && float64(t.hits[best]) > 1.3*float64(t.hits[usual]) {
		t.region = best
	}
	for _, v := range t.open {
		if t.region != "" && valid(v, t.region) {
			t.national++
		}
	}
}

// bestRegion has the most hits; of several the first in the order of regions.
func bestRegion(hits map[string]int) (best string) {
	for _, region := range regions() {
		if hits[region] > hits[best] {
			best = region
		}
	}
	return best
}

// phoneShaped tells whether a text could be a telephone number of any country.
func phoneShaped(v string) bool {
	n := 0
	for i, c := range v {
		switch {
		case c >= '0' && c <= '9':
			n++
		case c == '+' && i == 0, strings.ContainsRune(" -/.()", c):
		default:
			return false
		}
	}
	return n >= 6 && n <= 15 && len(v) <= 30
}

func isInternational(v string) bool { return strings.HasPrefix(v, "+") || strings.HasPrefix(v, "00") }

func valid(v, region string) bool {
	if strings.HasPrefix(v, "00") {
		v, region = "+"+v[2:], "ZZ"
	}
	n, err := phonenumbers.Parse(v, region)
	return err == nil && phonenumbers.IsValidNumber(n)
}

// regions are those whose national numbers are looked for: where most customer databases are kept. More cost time for each column.
func regions() []string {
	return []string{
		"DE", "FR", "GB", "US", "AT", "CH", "ES", "IT", "NL", "BE", "PL", "PT", "SE", "DK", "NO", "FI", "IE", "CZ", "HU", "RO", "GR", "TR", "AU", "NZ", "IN", "JP", "BR", "MX", "ZA", "IL",
	}
}
