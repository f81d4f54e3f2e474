package token

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// foldName appends the form under which names are compared: NFKC, case folded, invisible formatting characters left
// out, runs of white space as one space, none at the ends. ASCII names take a path without allocations.
func foldName(dst, name []byte) ([]byte, error) {
	start := len(dst)
	space := false
	for _, c := range name {
		switch {
		case c >= utf8.RuneSelf:
			return foldUnicode(dst[:start], name)
		case c == ' ' || '\t' <= c && c <= '\r':
			space = true
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		if space && len(dst) > start {
			dst = append(dst, ' ')
		}
		space = false
		dst = append(dst, c)
	}
	return dst, nil
}

func foldUnicode(dst, name []byte) ([]byte, error) {
	if !utf8.Valid(name) {
		return dst, errUTF8
	}
	// NFKC again at the end: folding takes some characters apart. The clone keeps name from escaping.
	folded := norm.NFKC.Bytes(cases.Fold().Bytes(norm.NFKC.Bytes(bytes.Clone(name))))
	start := len(dst)
	space := false
	for i := 0; i < len(folded); {
		c, size := utf8.DecodeRune(folded[i:])
		i += size
		if unicode.IsSpace(c) {
			space = true
			continue
		}
		if unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Variation_Selector, c) {
			continue
		}
		if space && len(dst) > start {
			dst = append(dst, ' ')
		}
		space = false
		dst = utf8.AppendRune(dst, c)
	}
	return dst, nil
}
