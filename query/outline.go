package query

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Outline says what may be kept of a text that another system's log holds: the hash of its shape and its first word, and no literal. The hash
// is that of a Statement, so that a shape is the same one here and there. Nothing is parsed: the scanner alone is safe with any text. ok is
// false where it is not readable; then nothing of it may be kept.
//
// foreign is for texts of which nobody knows the dialect: "ada@example.org" is a name in PostgreSQL and a literal elsewhere, so whatever
// stands in double quotes counts as one.
func Outline(sql string, foreign bool) (fingerprint, verb string, ok bool) {
	t, refused := scan(sql, Options{MaxLength: defaultLength, MaxDepth: mostDepth, MaxTokens: defaultTokens})
	if refused != nil || len(t.list) == 0 {
		return "", "", false
	}
	first := t.list[0]
	if first.KeywordKind == pg.KeywordKind_NO_KEYWORD {
		return "", "", false // no statement begins with a name or a literal
	}
	if foreign {
		for _, token := range t.list {
			if token.Token == pg.Token_IDENT && strings.HasPrefix(sql[token.Start:token.End], `"`) {
				token.Token = pg.Token_SCONST
			}
		}
	}
	return t.fingerprint(sql, 0, len(sql)), strings.ToUpper(sql[first.Start:first.End]), true
}
