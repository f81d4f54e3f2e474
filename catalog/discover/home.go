package discover

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// homeShare is how much of what speaks for any country must speak for one, for it to be the database's home.
const homeShare = 0.8

const countryWords = "country land pays pais paese nazione kraj countrycode landcode nation iso iso2"

// findHome finds the country that the database is about, from columns of countries, IBANs and international telephone numbers. Which
// country a number without a code is of cannot be told from the number: in many it would be valid.
func (p *proposer) findHome() {
	votes, all := map[string]float64{}, 0.0
	for _, t := range p.tables {
		for _, c := range t.columns {
			for country, share := range countriesOf(c) {
				votes[country] += share
				all += share
			}
		}
	}
	for country, n := range votes {
		if n >= homeShare*all {
			p.home = country
		}
	}
}

// countriesOf is the share of each country in what a column says about countries; nothing where it says nothing.
func countriesOf(c *judgedColumn) map[string]float64 {
	found, n := map[string]int{}, 0
	for _, v := range c.Values {
		if country := countryOf(c, strings.TrimSpace(v)); country != "" {
			found[country]++
			n++
		}
	}
	if n < enough || float64(n) < some*float64(len(c.Values)) {
		return nil
	}
	shares := map[string]float64{}
	for country, k := range found {
		shares[country] = float64(k) / float64(n)
	}
	return shares
}

// countryOf is the country that one value names by its code, by an IBAN, or by a telephone number's code.
func countryOf(c *judgedColumn, v string) string {
	switch {
	case len(v) == 2:
		for _, word := range c.words {
			if has(countryWords, word) && phonenumbers.GetSupportedRegions()[strings.ToUpper(v)] {
				return strings.ToUpper(v)
			}
		}
	case isIBAN(v):
		return strings.ToUpper(v[:2])
	case strings.HasPrefix(v, "+") && phoneShaped(v):
		if n, err := phonenumbers.Parse(v, "ZZ"); err == nil && phonenumbers.IsValidNumber(n) {
			return phonenumbers.GetRegionCodeForNumber(n)
		}
	}
	return ""
}

// homeNumbers is how many of the numbers that are written without a country code are valid at home.
func (t *phoneTally) homeNumbers(home string) (n int) {
	for _, v := range t.open {
		if home != "" && valid(v, home) {
			n++
		}
	}
	return n
}
