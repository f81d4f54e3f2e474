package query

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// fingerprint hashes the shape of a statement: its tokens, with ? for literals and parameters and one ? for a list of them.
// It is for people and statistics. It is no cache key: what hangs on a literal is not in it.
func (t *tokens) fingerprint(sql string, start, end int) string {
	hash := sha256.New()
	var last, beforeLast string
	for i := t.from(start); i < len(t.list) && int(t.list[i].Start) < end; i++ {
		word := shape(sql, t.list[i])
		if word == "" {
			continue
		}
		if word == "?" && last == "," && beforeLast == "?" {
			last, beforeLast = "?", "" // ?, ? is ?
			continue
		}
		if last == "," {
			hash.Write([]byte(",\x00"))
		}
		if word != "," {
			hash.Write([]byte(word + "\x00"))
		}
		last, beforeLast = word, last
		if last == "?" {
			beforeLast = ""
		}
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// shape is what a token counts as.
func shape(sql string, token *pg.ScanToken) string {
	switch token.Token {
	case pg.Token_SCONST, pg.Token_USCONST, pg.Token_BCONST, pg.Token_XCONST, pg.Token_ICONST, pg.Token_FCONST, pg.Token_PARAM:
		return "?"
	case pg.Token_ASCII_59:
		return ""
	}
	text := sql[token.Start:token.End]
	if strings.HasPrefix(text, `"`) || strings.HasPrefix(text, `U&`) {
		return text
	}
	return strings.ToLower(text)
}
