package token

import "encoding/binary"

// base32 is base32hex in lower case (RFC 4648 section 7 without padding). It is here because encoding/base32 accepts
// line ends and loose last bits, which would give one sealed value several spellings; and a table instead of
// comparisons, because which digits are letters no processor can guess, and every row of a result is decoded.
type base32 struct {
	value [256]byte // of a digit; notBase32 for any other character
}

const (
	base32Digits = "0123456789abcdefghijklmnopqrstuv"
	notBase32    = 0x80
)

func newBase32() *base32 {
	e := new(base32)
	for i := range e.value {
		e.value[i] = notBase32
	}
	for i, c := range []byte(base32Digits) {
		e.value[c] = byte(i)
	}
	return e
}

func base32Length(n int) int { return (n*8 + 4) / 5 }

// appendBase32 appends src in digits, eight for five bytes.
func appendBase32(dst, src []byte) []byte {
	for ; len(src) >= 8; src = src[5:] {
		x := binary.BigEndian.Uint64(src)
		dst = append(dst,
			base32Digits[x>>59], base32Digits[x>>54&31], base32Digits[x>>49&31], base32Digits[x>>44&31],
			base32Digits[x>>39&31], base32Digits[x>>34&31], base32Digits[x>>29&31], base32Digits[x>>24&31])
	}
	var acc uint32
	var have uint
	for _, c := range src {
		acc = acc<<8 | uint32(c)
		have += 8
		for have >= 5 {
			have -= 5
			dst = append(dst, base32Digits[acc>>have&31])
		}
	}
	if have > 0 {
		dst = append(dst, base32Digits[acc<<(5-have)&31])
	}
	return dst
}

// decode writes the bytes that text stands for to out, which has room for them, and may be text itself. It accepts
// exactly what appendBase32 writes.
func (e *base32) decode(out, text []byte) (decoded []byte, ok bool) {
	n := 0
	var wrong byte
	for ; len(text) >= 8; text = text[8:] {
		a, b, c, d := e.value[text[0]], e.value[text[1]], e.value[text[2]], e.value[text[3]]
		p, q, r, s := e.value[text[4]], e.value[text[5]], e.value[text[6]], e.value[text[7]]
		wrong |= a | b | c | d | p | q | r | s
		high := uint32(a)<<15 | uint32(b)<<10 | uint32(c)<<5 | uint32(d)
		low := uint32(p)<<15 | uint32(q)<<10 | uint32(r)<<5 | uint32(s)
		binary.BigEndian.PutUint32(out[n:], high<<12|low>>8)
		out[n+4] = byte(low)
		n += 5
	}
	var acc uint32
	var have uint
	for _, c := range text {
		v := e.value[c]
		wrong |= v
		acc = acc<<5 | uint32(v&31)
		if have += 5; have >= 8 {
			have -= 8
			out[n] = byte(acc >> have)
			n++
		}
	}
	return out[:n], wrong < notBase32 && have < 5 && acc&(1<<have-1) == 0
}

// run is how many digits b begins with, at most one more than most: a longer run is then seen to be too long.
func (e *base32) run(b []byte, most int) int {
	b = b[:min(len(b), most+1)]
	for i, c := range b {
		if e.value[c] == notBase32 {
			return i
		}
	}
	return len(b)
}
