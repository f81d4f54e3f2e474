package canary

import (
	"math/rand/v2"
	"strings"
	"unicode"
)

// Name is made of two people's names, so that given and family names are as frequent as in the company's own table: everything but the last word of
// one, and the last word of the other.
func Name(one, other string) string {
	a, b := strings.Fields(one), strings.Fields(other)
	if len(a) < 2 || len(b) < 2 {
		return one
	}
	return strings.Join(append(a[:len(a)-1:len(a)-1], b[len(b)-1]), " ")
}

// Reshape replaces what stands behind the first keep characters by others of their kind: a digit by a digit, a letter by a letter of the same case.
func Reshape(text string, keep int, r *rand.Rand) string {
	n := -1
	return strings.Map(func(c rune) rune {
		n++
		switch {
		case n < keep:
			return c
		case c >= '0' && c <= '9':
			return '0' + rune(r.IntN(10))
		case unicode.IsUpper(c):
			return 'A' + rune(r.IntN(26))
		case unicode.IsLower(c):
			return 'a' + rune(r.IntN(26))
		}
		return c
	}, text)
}

// Mailbox is an address at one of the domains, as long as a sample where that can be: the length of a token follows that of what it stands for. Nobody
// is ever shown it.
func Mailbox(domains []string, length int, r *rand.Rand) string {
	const shortest, longest = 10, 30
	domain := domains[r.IntN(len(domains))]
	var b strings.Builder
	for range min(max(length-len(domain)-1, shortest), longest) {
		b.WriteByte("abcdefghijklmnopqrstuvwxyz"[r.IntN(26)])
	}
	return b.String() + "@" + domain
}

// Phrase is a neutral remark of about so many bytes, as support staff leave behind.
func Phrase(length int, r *rand.Rand) string {
	all := [...]string{
		"prefers to be written to", "asked for an invoice by post", "renewed last year", "no call before ten", "moved to another plan", "speaks with the partner first",
		"has two devices", "wants the newsletter no more", "pays once a year", "knows the product well", "asked about the family plan", "was helped with the set-up",
	}
	var b strings.Builder
	for b.Len() == 0 || b.Len()+10 < length && b.Len() < 2000 {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(all[r.IntN(len(all))])
	}
	return b.String()
}
