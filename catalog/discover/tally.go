package discover

import (
	_ "embed"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// tally counts what the values of one column look like. Each number is of values.
type tally struct {
	n, distinct int
	different   int // like distinct, as far as the server's statistics tell that the sample is too alike
	email       int // are an e-mail address, the whole of them
	iban        int // have the form of an IBAN and its check digits
	card        int // have the form of a payment card's number and its check digit
	ip          int
	url         int
	digits      int // are made of digits, spaces and the like alone
	coded       int // are up to 25 characters with at least four digits, in at most four groups: numbers of documents
	number      int // are letters, then six digits or more, with separators: CS-4821-7730
	opaque      int // UUIDs, hashes, base64: nothing that a person reads
	person      int // one to five words that begin with a capital, or are little words between such, without digits
	given       int // … of which one is a common first name
	full        int // … two or more words, one of them a common first name
	company     int // hold GmbH, Ltd and the like
	street      int // hold a number and a word for a street
	prose       int // three words or more
	birth       int // are a day on which somebody alive may have been born
	early       int // … before 1965
	recent      int // are a day of the last five years or to come
	letters     int // characters in all
	phone       phoneTally
	prefixes    map[string]int // letters that values of the form number begin with
}

// share is a part of the values.
func (t *tally) share(k int) float64 {
	if t.n == 0 {
		return 0
	}
	return float64(k) / float64(t.n)
}

// varied tells whether the values are too many to be a category: kinds, states, the names of a few members of staff.
func (t *tally) varied(share float64) bool {
	return t.different >= 12 && t.share(t.different) >= share
}

// heed takes the server's count of different values into account, which is of the whole table: neighbours in a sample may be alike.
func (t *tally) heed(distinct, rows float64) {
	if distinct < 0 {
		distinct *= -max(rows, 0)
	}
	t.different = max(t.distinct, min(t.n, int(distinct)))
}

func (p *proposer) tallyOf(c *Column) tally {
	t := tally{prefixes: map[string]int{}}
	seen := make(map[string]struct{}, len(c.Values))
	for _, v := range c.Values {
		v = strings.TrimSpace(v)
		if v == "" {
			continue
		}
		t.n++
		seen[v] = struct{}{}
		t.letters += utf8.RuneCountInString(v)
		t.look(v, isDay(c.Type), p.forms, p.db.Year)
	}
	t.distinct = len(seen)
	if isText(c.Type) || phoneWords().hint(wordsOf(c.Name)) == strongHint {
		t.phone = phonesOf(c.Values)
	}
	return t
}

// isDay tells whether a type holds days.
func isDay(kind string) bool { return kind == "date" || strings.HasPrefix(kind, "timestamp") }

// What values look like. All of them are anchored, but for the words of streets and companies.
type forms struct {
	email, number, opaque, url, ip, street, houseNumber, company, day *regexp.Regexp
	first                                                             map[string]struct{}
}

//go:embed names.txt
var namesText string

func newForms() *forms {
	f := &forms{
		email:  regexp.MustCompile(`^[\p{L}0-9.!#$%&'*+/=?^_{|}~-]+@[\p{L}0-9-]+(\.[\p{L}0-9-]+)*\.\p{L}{2,}$`),
		number: regexp.MustCompile(`^\p{L}{0,10}[-/. ]?[0-9]+([-/. ][0-9]+)*$`),
		opaque: regexp.MustCompile(`^(\{?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?|[0-9a-fA-F]{32,}|\$[0-9a-z]+\$\S{20,}|[A-Za-z0-9+/_=-]{40,})$`),
		url:    regexp.MustCompile(`^[a-z][a-z0-9+.-]*://\S+$`),
		ip:     regexp.MustCompile(`^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){2,7})(/[0-9]{1,3})?$`),
		street: regexp.MustCompile(`(?i)(stra(ss|ß)e|str|weg|platz|allee|gasse|ufer|ring|damm|chaussee|hof)([\s,.]|$)|\b(street|st|road|rd|avenue|ave|lane|ln|drive|dr|court|ct|close|way|place|` +
			`square|terrace|gardens|crescent|boulevard|blvd|rue|allée|impasse|chemin|quai|route|cours|passage|voie|calle|avenida|plaza|paseo|via|viale|piazza|corso|ulica|ul\.|straat|laan|plein|` +
			`am|an der|im|auf dem|zum|zur)\b`),
		houseNumber: regexp.MustCompile(`(^|\s)[0-9]{1,5}\s?[a-zA-Z]?(\s|,|$)`),
		company: regexp.MustCompile(`(?i)(^|[\s,])(gmbh|ag|kg|ohg|gbr|e\.?k\.?|ug|se|ltd|limited|plc|llc|llp|inc|corp|co|company|group|holding|holdings|sarl|sas|sa|s\.a\.|srl|spa|s\.p\.a\.|bv|nv|` +
			`oy|ab|as|aps|sp\.|gruppe|sons|partners|associates|et fils|laboratoires?|mutuelle|verlag|stiftung|institut)([\s,.]|$)|&|\s(und|and|et)\s|\s-\s`),
		day:   regexp.MustCompile(`^([0-9]{4})-[0-9]{2}-[0-9]{2}|^[0-9]{1,2}[./-][0-9]{1,2}[./-]([0-9]{4})$`),
		first: map[string]struct{}{},
	}
	for line := range strings.Lines(namesText) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for name := range strings.FieldsSeq(line) {
			f.first[name] = struct{}{}
		}
	}
	return f
}

// look counts one value.
func (t *tally) look(v string, day bool, f *forms, year int) {
	add := func(counter *int, is bool) {
		if is {
			*counter++
		}
	}
	if at := f.day.FindStringSubmatch(v); at != nil {
		y, _ := strconv.Atoi(at[1] + at[2])
		add(&t.birth, y >= year-110 && y <= year)
		add(&t.early, y >= year-110 && y < 1965)
		add(&t.recent, y >= year-5)
	}
	if day {
		return
	}
	add(&t.email, f.email.MatchString(v))
	add(&t.iban, isIBAN(v))
	add(&t.card, isCard(v))
	add(&t.ip, f.ip.MatchString(v))
	add(&t.url, f.url.MatchString(v))
	add(&t.opaque, f.opaque.MatchString(v))
	add(&t.digits, !strings.ContainsFunc(v, func(c rune) bool { return !unicode.IsDigit(c) && !strings.ContainsRune(" -/.()+", c) }))
	if f.number.MatchString(v) && countDigits(v) >= 6 {
		t.number++
		t.prefixes[letterPrefix(v)]++
	}
	add(&t.coded, countDigits(v) >= 4 && utf8.RuneCountInString(v) <= 25 && len(strings.Fields(v)) <= 4 && !strings.Contains(v, "@"))
	person, words, given := f.personal(v)
	add(&t.person, person)
	add(&t.given, person && given)
	add(&t.full, person && given && words >= 2)
	add(&t.company, f.company.MatchString(v))
	add(&t.street, f.street.MatchString(v) && f.houseNumber.MatchString(v))
	add(&t.prose, len(strings.Fields(v)) >= 3)
}

// personal tells whether a text has the form of a person's name, of how many words, and whether one of them is a common first name.
func (f *forms) personal(v string) (person bool, words int, given bool) {
	if utf8.RuneCountInString(v) > 60 {
		return false, 0, false
	}
	capitals := 0
	for _, word := range strings.FieldsFunc(v, func(c rune) bool { return unicode.IsSpace(c) || c == ',' }) {
		first, _ := utf8.DecodeRuneInString(word)
		if strings.ContainsFunc(word, func(c rune) bool { return !unicode.IsLetter(c) && !strings.ContainsRune("-.'’", c) }) {
			return false, 0, false
		}
		words++
		if unicode.IsUpper(first) {
			capitals++
		} else if utf8.RuneCountInString(word) > 4 && unicode.IsLower(first) {
			return false, 0, false
		}
		given = given || f.isGiven(word)
	}
	return words >= 1 && words <= 6 && capitals >= 1, words, given
}

// isGiven tells whether a word is a common first name, or a double one with such: Anne-Marie.
func (f *forms) isGiven(word string) bool {
	for part := range strings.SplitSeq(word, "-") {
		if _, ok := f.first[plain(part)]; ok {
			return true
		}
	}
	return false
}

// plain folds a word to lower-case letters without marks.
func plain(word string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case unicode.Is(unicode.Mn, c):
			return -1
		case c == 'ł' || c == 'Ł':
			return 'l'
		case c == 'ı':
			return 'i'
		case c == 'ø' || c == 'Ø':
			return 'o'
		}
		return unicode.ToLower(c)
	}, norm.NFD.String(word))
}

func countDigits(v string) (n int) {
	for _, c := range v {
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

func letterPrefix(v string) string {
	if i := strings.IndexFunc(v, func(c rune) bool { return !unicode.IsLetter(c) }); i > 0 {
		return v[:i]
	}
	return ""
}
