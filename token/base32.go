package token

// base32hex in lower case (RFC 4648 section 7 without padding), here because encoding/base32 has no append for it, and
// accepts line ends and loose last bits, which would give one sealed value several spellings.

func base32Length(n int) int { return (n*8 + 4) / 5 }

func appendBase32(dst, src []byte) []byte {
	const alphabet = "0123456789abcdefghijklmnopqrstuv"
	var acc uint32
	var have uint
	for _, c := range src {
		acc = acc<<8 | uint32(c)
		have += 8
		for have >= 5 {
			have -= 5
			dst = append(dst, alphabet[acc>>have&31])
		}
	}
	if have > 0 {
		dst = append(dst, alphabet[acc<<(5-have)&31])
	}
	return dst
}

// decodeBase32 decodes in place: the result uses text's memory. It accepts exactly what appendBase32 writes.
func decodeBase32(text []byte) ([]byte, bool) {
	out := text[:0]
	var acc uint32
	var have uint
	for _, c := range text {
		v := base32Value(c)
		if v > 31 {
			return nil, false
		}
		acc = acc<<5 | uint32(v)
		have += 5
		if have >= 8 {
			have -= 8
			out = append(out, byte(acc>>have))
		}
	}
	return out, have < 5 && acc&(1<<have-1) == 0
}

// base32Value is 255 for a byte that is no digit.
func base32Value(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'v':
		return c - 'a' + 10
	}
	return 255
}

// base32Run is how many digits b begins with, at most one more than most: a longer run is then seen to be too long.
func base32Run(b []byte, most int) int {
	n := 0
	for n < len(b) && n <= most && base32Value(b[n]) < 32 {
		n++
	}
	return n
}
