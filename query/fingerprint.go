package query

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Fingerprints finds the fingerprints of texts that nobody analyses. It is safe for use by several goroutines.
type Fingerprints struct {
	mu    sync.RWMutex // guards known
	known map[string]string
}

const (
	longestPrinted = 64 << 10 // bytes of a text; a longer one has no fingerprint
	longestKnown   = 4 << 10
	mostKnown      = 4096
)

// Of is the fingerprint of a text as a whole, empty where it cannot be read. Texts that differ in plain literals alone are scanned once.
func (f *Fingerprints) Of(sql string) string {
	if len(sql) > longestPrinted {
		return ""
	}
	var buffer [longestTemplate]byte
	key, end, ok := shapeOf(buffer[:0], sql)
	if !ok {
		key, end = []byte(sql), len(sql)
	}
	f.mu.RLock()
	known, ok := f.known[string(key)]
	f.mu.RUnlock()
	if ok {
		return known
	}
	print := ""
	if t, refused := scan(sql, Options{MaxLength: longestPrinted, MaxTokens: longestPrinted, MaxDepth: mostDepth}); refused == nil {
		print = t.fingerprint(sql, 0, end)
	}
	if len(key) <= longestKnown {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.known == nil || len(f.known) >= mostKnown {
			f.known = map[string]string{}
		}
		f.known[string(key)] = print
	}
	return print
}

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

// mostShape bounds the text of a shape.
const mostShape = 2 << 10

// text is the shape of a statement for people: what the fingerprint is of. Literals and parameters are ?; of names in quotes only plain ones
// stand in it, since what is quoted the wrong way is a value.
func (t *tokens) text(sql string, start, end int) string {
	var b strings.Builder
	var last, beforeLast string
	for i := t.from(start); i < len(t.list) && int(t.list[i].Start) < end; i++ {
		word := shape(sql, t.list[i])
		if word == "" || word == "?" && last == "," && beforeLast == "?" {
			if word == "?" {
				last, beforeLast = "?", ""
			}
			continue
		}
		if b.Len()+len(word) > mostShape {
			return b.String() + " …"
		}
		if last == "," {
			b.WriteString(",")
		}
		if word != "," {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(harmlessName(word))
		}
		last, beforeLast = word, last
		if last == "?" {
			beforeLast = ""
		}
	}
	return b.String()
}

// harmlessName is a token but for names in quotes, and those with letters beyond ASCII, that hold more than a name of a table usually does.
func harmlessName(word string) string {
	plain := strings.TrimSuffix(strings.TrimPrefix(word, `"`), `"`)
	switch {
	case len(plain) == len(word) && ascii(word):
		return word
	case strings.Trim(plain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$") == "":
		return word
	}
	return `"?"`
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
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
