package token

import "encoding/base64"

// HandleSize is how many bytes a handle has.
const HandleSize = nonceSize

// Handle is what tells a token of a name or a text from all others: the random bytes in it, which are authenticated with the rest.
// It is read by form; who wants to be sure opens the token.
func Handle(tok []byte) (h [HandleSize]byte, ok bool) {
	header, h := head(tok)
	return h, header == sealedHeader || header == ownHeader
}

// hasOwn tells by form whether a token has a key of its own.
func hasOwn(tok []byte) bool {
	header, _ := head(tok)
	return header == ownHeader
}

// head is the first sealed byte and the handle; 0 for what is no token.
func head(tok []byte) (header byte, h [HandleSize]byte) {
	if !hasPrefix(tok, sealedMark) || len(tok) == len(sealedMark) {
		return 0, h
	}
	front := textOverhead
	if letter := tok[len(sealedMark)]; letter >= 'A' && letter <= 'Z' {
		front = nameOverhead
	}
	const chars, bytes = 20, 15 // whole groups of four, and what they stand for
	if len(tok) < front+chars {
		return 0, h
	}
	var begins [bytes]byte
	if _, err := base64.RawURLEncoding.Decode(begins[:], tok[front:front+chars]); err != nil {
		return 0, h
	}
	copy(h[:], begins[1:])
	return begins[0], h
}
