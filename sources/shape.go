package sources

import (
	"hash/fnv"
	"strconv"
)

// shape is a fingerprint of a statement without its literals, for logs that bring the text and no fingerprint. It is rough: enough to
// tell that somebody asks what nobody asked before, not to decide about a statement.
func shape(sql []byte) []byte {
	h := fnv.New64a()
	space := true
	for i := 0; i < len(sql); {
		ch := sql[i]
		switch {
		case ch == '\'':
			i = afterQuoted(sql, i)
			_, _ = h.Write([]byte{'?'}) // a hash never fails
			space = false
		case ch >= '0' && ch <= '9' && (i == 0 || !wordly(sql[i-1])):
			for i < len(sql) && (wordly(sql[i]) || sql[i] == '.') {
				i++
			}
			_, _ = h.Write([]byte{'?'})
			space = false
		case ch <= ' ':
			if !space {
				_, _ = h.Write([]byte{' '})
			}
			space = true
			i++
		default:
			if ch >= 'A' && ch <= 'Z' {
				ch += 'a' - 'A'
			}
			_, _ = h.Write([]byte{ch})
			space = false
			i++
		}
	}
	return strconv.AppendUint(nil, h.Sum64(), 16)
}

// afterQuoted is the position after a literal in quotes, in which a quote stands twice.
func afterQuoted(sql []byte, i int) int {
	for i++; i < len(sql); i++ {
		if sql[i] == '\'' {
			if i+1 < len(sql) && sql[i+1] == '\'' {
				i++
				continue
			}
			return i + 1
		}
	}
	return i
}

func wordly(ch byte) bool {
	return ch == '_' || ch == '$' || ch >= '0' && ch <= '9' || ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= 0x80
}
