package sim

import (
	_ "embed" // the lists
	"fmt"
	"strings"
	"unicode"
)

//go:embed names.txt
var namesText string

//go:embed phrases.txt
var phrasesText string

// country is where a customer lives.
type country struct {
	code, region string
	weight       int
	phone        string // front of the numbers
	digits       int    // that follow
	first, last  draw[name]
}

// name is a first or last name.
type name struct {
	written string
	ascii   string // as in an e-mail address
}

// parseNames reads names.txt.
func parseNames() ([]country, error) {
	var list []country
	lines := contentLines(namesText)
	if len(lines)%3 != 0 {
		return nil, fmt.Errorf("read list of names: %d lines, want three for each country", len(lines))
	}
	for i := 0; i < len(lines); i += 3 {
		var c country
		if _, err := fmt.Sscan(lines[i], &c.code, &c.region, &c.weight, &c.phone, &c.digits); err != nil {
			return nil, fmt.Errorf("read list of names: country %d: %w", i/3+1, err)
		}
		c.first, c.last = nameDraw(lines[i+1]), nameDraw(lines[i+2])
		list = append(list, c)
	}
	return list, nil
}

// nameDraw weighs names by rank as they are in life: the tenth is about a third as frequent as the first.
func nameDraw(line string) draw[name] {
	fields := strings.Fields(line)
	names, weights := make([]name, len(fields)), make([]int, len(fields))
	for rank, field := range fields {
		written, ascii, ok := strings.Cut(field, "|")
		if !ok {
			ascii = fold(written)
		}
		names[rank], weights[rank] = name{written, ascii}, 10_000/(rank+5)
	}
	return newDraw(names, weights)
}

// fold writes a name as its bearer would in an e-mail address.
func fold(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z':
			b.WriteRune(r)
		case strings.ContainsRune("äæ", r):
			b.WriteString("ae")
		case strings.ContainsRune("öø", r):
			b.WriteString("oe")
		case r == 'ü':
			b.WriteString("ue")
		case r == 'ß':
			b.WriteString("ss")
		case unicode.IsLetter(r):
			b.WriteString(plainLetter(r))
		}
	}
	return b.String()
}

// plainLetter is the letter without its accent; empty where it is not of the Latin alphabets of names.txt.
func plainLetter(r rune) string {
	const (
		accented = "áàâãåąçćčéèêëęğíìîïıłñńóòôõśşšúùûýźżž"
		plain    = "aaaaaaccceeeeegiiiiilnnoooosssuuuyzzz"
	)
	if i := strings.IndexRune(accented, r); i >= 0 {
		return plain[len([]rune(accented[:i])):][:1]
	}
	return ""
}

// parsePhrases reads phrases.txt: sentences by heading.
func parsePhrases() (map[string][]string, error) {
	phrases := map[string][]string{}
	heading := ""
	for _, line := range contentLines(phrasesText) {
		if strings.HasPrefix(line, "[") {
			heading = strings.Trim(line, "[]")
			continue
		}
		phrases[heading] = append(phrases[heading], line)
	}
	for _, want := range []string{"subject", "customer", "staff", "note"} {
		if len(phrases[want]) == 0 {
			return nil, fmt.Errorf("read list of phrases: nothing under [%s]", want)
		}
	}
	return phrases, nil
}

// contentLines leaves out comments and empty lines.
func contentLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}
