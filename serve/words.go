package serve

import (
	"fmt"
	"strings"
	"unicode"
)

// Several is a number of things in words.
func Several(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Printable keeps what a client chose, such as an application's name, from moving the reader's cursor or adding lines.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, s)
}
