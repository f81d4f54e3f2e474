package query

import (
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Blank is a text in which every name, literal and comment is filled with letters that say nothing, so that a server may be asked what
// it thinks of the grammar and learns no value. Each character stands where it stood, so that the server's positions hold for
// both. ok is false for what cannot be split into words.
func Blank(sql string) (blank string, ok bool) {
	if strings.IndexByte(sql, 0) >= 0 || !utf8.ValidString(sql) {
		return "", false
	}
	result, err := pg.Scan(sql)
	if err != nil {
		return "", false
	}
	var b strings.Builder
	at := 0
	for _, token := range result.Tokens {
		start, end := int(token.Start), int(token.End)
		if start < at || end > len(sql) {
			return "", false
		}
		b.WriteString(sql[at:start])
		b.WriteString(blankWord(token, sql[start:end]))
		at = end
	}
	b.WriteString(sql[at:])
	return b.String(), true
}

// blankWord is one word of the same kind and the same number of characters.
func blankWord(token *pg.ScanToken, word string) string {
	switch token.Token {
	case pg.Token_IDENT, pg.Token_UIDENT, pg.Token_SCONST, pg.Token_USCONST:
		return fillQuoted(word, 'z')
	case pg.Token_BCONST, pg.Token_XCONST:
		return fillQuoted(word, '0')
	case pg.Token_ICONST:
		return fillNumber(word, '0')
	case pg.Token_FCONST: // also a whole number that is too large for 32 bits
		return fillNumber(word, '9')
	case pg.Token_SQL_COMMENT:
		return word[:2] + fill(word[2:], 'z')
	case pg.Token_C_COMMENT:
		return word[:2] + fill(word[2:len(word)-2], 'z') + word[len(word)-2:]
	default: // keywords, signs and parameters
		return word
	}
}

// fillQuoted fills what stands between a word's first and last quote, or the whole word where there is none. Adjacent strings become
// one.
func fillQuoted(word string, with rune) string {
	first := strings.IndexAny(word, `'"`)
	switch {
	case strings.HasPrefix(word, "$"):
		if tag := strings.IndexByte(word[1:], '$') + 2; tag >= 2 && len(word) >= 2*tag {
			mark := "$" + fill(word[1:tag-1], with) + "$"
			return mark + fill(word[tag:len(word)-tag], 'y') + mark
		}
		return fill(word, with)
	case first < 0 || first > 2 || word[len(word)-1] != word[first] || len(word) < first+2: // first > 2: a name in which a quote stands
		return fill(word, with)
	}
	return word[:first+1] + fill(word[first+1:len(word)-1], with) + word[len(word)-1:]
}

// fillNumber fills a number's digits. 0x, 0o and 0b stay, and what follows them stays as large as it was.
func fillNumber(word string, with rune) string {
	prefix := ""
	if len(word) > 2 && word[0] == '0' && strings.IndexByte("xXoObB", word[1]) >= 0 {
		prefix, word = word[:2], word[2:]
		if with == '9' {
			with = map[byte]rune{'x': 'f', 'o': '7', 'b': '1'}[prefix[1]|0x20]
		}
	}
	return prefix + strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || prefix != "" && r != '_' {
			return with
		}
		return r
	}, word)
}

func fill(s string, with rune) string {
	return strings.Repeat(string(with), utf8.RuneCountInString(s))
}
