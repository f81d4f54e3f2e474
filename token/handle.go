package token

import "encoding/base64"

// HandleSize is how many bytes a handle has.
const HandleSize = nonceSize

// Handle is what tells a token of a name or a text from all others: the random bytes in it, which are authenticated with the rest.
// It is read by form; who wants to be sure opens the token.
func Handle(tok []byte) (h [HandleSize]byte, ok bool) {
	if !hasPrefix(tok, sealedMark) || len(tok) == len(sealedMark) {
		return h, false
	}
	front := textOverhead
	if letter := tok[len(sealedMark)]; letter >= 'A' && letter <= 'Z' {
		front = nameOverhead
	}
	const chars, bytes = 20, 15 // whole groups of four, and what they stand for
	if len(tok) < front+chars {
		return h, false
	}
	var head [bytes]byte
	if _, err := base64.RawURLEncoding.Decode(head[:], tok[front:front+chars]); err != nil || head[0] != sealedHeader {
		return h, false
	}
	copy(h[:], head[1:])
	return h, true
}
