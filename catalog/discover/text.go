package discover

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
)

// quotes counts texts by what they quote.
type quotes struct {
	any, email, phone, iban, name, known int
}

// quoting finds personal data within texts.
type quoting struct {
	forms  *forms
	known  map[string]struct{} // values of the columns that were found, in lower case: what customers have
	region string              // whose national telephone numbers are looked for
	email  *regexp.Regexp
	phone  *regexp.Regexp
	iban   *regexp.Regexp
	word   *regexp.Regexp
}

func newQuoting(f *forms) *quoting {
	return &quoting{
		forms: f, known: map[string]struct{}{}, region: "ZZ",
		email: regexp.MustCompile(`[\p{L}0-9._%+-]+@[\p{L}0-9-]+(\.[\p{L}0-9-]+)+`),
		phone: regexp.MustCompile(`(\+|\b0|\()[0-9(][0-9 ()/.-]{5,18}[0-9]|\b[0-9]{2,4}([ .-][0-9]{2,4}){2,4}\b`),
		iban:  regexp.MustCompile(`\b[A-Z]{2}[0-9]{2}( ?[A-Z0-9]{4}){2,7}( ?[A-Z0-9]{1,3})?\b`),
		word:  regexp.MustCompile(`\p{L}[\p{L}'’-]*`),
	}
}

// knowable is the least length of a value that is looked for within texts; a single word without a digit is not looked for, since
// many names are words, or companies, too.
const knowable = 7

// lookAtTexts judges the columns whose texts may quote what was found elsewhere.
func (p *proposer) lookAtTexts() {
	q := newQuoting(p.forms)
	p.learn(q)
	for _, t := range p.tables {
		for _, c := range t.columns {
			if o := p.text(c, q); o.confidence > 0 && (c.verdict == nil || c.verdict.Confidence < o.confidence) {
				c.verdict = c.candidate(o)
			}
		}
	}
}

// learn takes what customers have from the columns that hold it.
func (p *proposer) learn(q *quoting) {
	for _, t := range p.tables {
		for _, c := range t.columns {
			if c.verdict == nil || c.verdict.Confidence < High || !t.reaches {
				continue
			}
			if c.verdict.Kind == KindName && c.tally.share(c.tally.full) < some {
				continue // last names alone are words, and parts of companies' names
			}
			for _, v := range c.Values {
				if v = strings.ToLower(strings.TrimSpace(v)); len(v) >= knowable && strings.ContainsAny(v, " @0123456789") {
					q.known[v] = struct{}{}
				}
			}
		}
	}
	q.region = p.region
}

// text judges free text: many words, seldom twice the same, in rows that belong to a customer.
func (p *proposer) text(c *judgedColumn, q *quoting) opinion {
	structured := strings.HasPrefix(c.Type, "json") || c.Type == "xml" || strings.HasSuffix(c.Type, "[]")
	if !isText(c.Type) && !structured || c.Generated {
		return opinion{}
	}
	h, t := textWords().hint(c.words), &c.tally
	if t.n == 0 {
		if h == strongHint && c.table.belongs() {
			return opinion{KindText, Medium, named(h, "free text")}
		}
		return opinion{}
	}
	if prose := t.share(t.prose); !structured && (prose < 0.05 || h != strongHint && prose < some || h == noHint && prose < most) || t.share(t.opaque+t.url+t.digits+t.email) > 0.5 {
		return opinion{}
	}
	found := q.count(c.Values)
	evidence := append(named(h, "free text"), t.counted(t.prose, "have three words or more"), t.counted(found.any, "quote personal data"))
	return opinion{KindText, p.textConfidence(c, h, found), append(evidence, found.kinds(t)...)}
}

// textConfidence weighs what texts quote. Few texts that quote are enough, since nobody knows what the next one will say.
func (p *proposer) textConfidence(c *judgedColumn, h hint, found quotes) Confidence {
	t := &c.tally
	sure := found.email + found.phone + found.iban + found.known
	quoting := sure >= 3 || sure >= 1 && t.n < 100 || found.any >= 5 && t.share(found.any) >= 0.01
	switch {
	case !c.table.belongs() && !quoting, t.distinct < 3:
		return 0
	case !c.table.belongs() && (c.table.staff || t.n < enough):
		return Low
	case !c.table.belongs():
		return Medium
	case quoting && (h >= weakHint || t.share(found.email+found.phone+found.iban) >= 0.03 || t.share(t.prose) >= nearlyAll && t.share(sure) >= 0.03):
		return High
	case quoting:
		return Medium
	case (h == strongHint || t.share(t.prose) >= nearlyAll) && t.distinct >= 20:
		return Medium
	}
	return 0
}

// count looks into each text.
func (q *quoting) count(values []string) (found quotes) {
	for _, v := range values {
		email, phone, iban := q.email.MatchString(v), q.hasPhone(v), q.hasIBAN(v)
		name, known := q.hasName(v)
		for _, k := range []struct {
			is      bool
			counter *int
		}{{email, &found.email}, {phone, &found.phone}, {iban, &found.iban}, {name, &found.name}, {known, &found.known}, {email || phone || iban || name || known, &found.any}} {
			if k.is {
				*k.counter++
			}
		}
	}
	return found
}

// kinds are the counts as evidence.
func (f quotes) kinds(t *tally) (evidence []string) {
	for _, k := range []struct {
		n    int
		what string
	}{
		{f.email, "quote an e-mail address"},
		{f.phone, "quote a telephone number"},
		{f.iban, "quote an IBAN"},
		{f.name, "quote a first name with another word"},
		{f.known, "quote a value of another column"},
	} {
		if k.n > 0 {
			evidence = append(evidence, t.counted(k.n, k.what))
		}
	}
	return evidence
}

func (q *quoting) hasPhone(v string) bool {
	for _, at := range q.phone.FindAllString(v, 5) {
		if n, err := phonenumbers.Parse(at, q.region); err == nil && phonenumbers.IsValidNumber(n) {
			return true
		}
	}
	return false
}

func (q *quoting) hasIBAN(v string) bool {
	return slices.ContainsFunc(q.iban.FindAllString(v, 5), isIBAN)
}

// hasName looks for a common first name before another word with a capital, and for values of other columns as one to four words.
func (q *quoting) hasName(v string) (name, known bool) {
	words := q.word.FindAllStringIndex(v, 400)
	for i, at := range words {
		word := v[at[0]:at[1]]
		if i+1 < len(words) && isCapital(word) && words[i+1][0] == at[1]+1 && isCapital(v[words[i+1][0]:words[i+1][1]]) && q.forms.isGiven(word) {
			name = true
		}
	}
	lower := strings.ToLower(v)
	fields := strings.FieldsFunc(lower, func(c rune) bool { return strings.ContainsRune(" \t\n,;:()!?\"", c) })
	for i := range fields {
		for n := 1; n <= 4 && i+n <= len(fields); n++ {
			if _, ok := q.known[strings.Trim(strings.Join(fields[i:i+n], " "), ".'")]; ok {
				return name, true
			}
		}
	}
	return name, known
}

func isCapital(word string) bool {
	first, _ := utf8.DecodeRuneInString(word)
	return unicode.IsUpper(first)
}
