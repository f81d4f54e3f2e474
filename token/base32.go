package token

import "encoding/binary"

// base32 is base32hex in lower case (RFC 4648 section 7 without padding). It is here because encoding/base32 accepts
// line ends and loose last bits, which would give one sealed value several spellings; and tables instead of
// comparisons, because which digits are letters no processor can guess, and every row of a result is decoded.
type base32 struct {
	// digits are what a digit stands for, by its place among four; notBase32 for any other character.
	digits [4][256]uint32
}

const (
	base32Digits = "0123456789abcdefghijklmnopqrstuv"
	notBase32    = 1 << 31
)

func newBase32() *base32 {
	e := new(base32)
	for place := range e.digits {
		for c := range e.digits[place] {
			e.digits[place][c] = notBase32
		}
		for i, c := range []byte(base32Digits) {
			e.digits[place][c] = uint32(i) << (5 * (3 - place)) //nolint:gosec // at most 20 bits
		}
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

// decode writes the bytes that text stands for to out, which is as long as text at least, and may be text itself. It accepts
// exactly what appendBase32 writes.
func (e *base32) decode(out, text []byte) (decoded []byte, ok bool) {
	n, wrong := 0, uint32(0)
	for ; len(text) >= 8; text = text[8:] {
		high, low := e.eight((*[8]byte)(text))
		wrong |= high | low
		binary.BigEndian.PutUint64(out[n:], uint64(high)<<44|uint64(low)<<24) // three bytes too many
		n += 5
	}
	if len(text) == 0 {
		return out[:n], wrong < notBase32
	}
	var last [8]byte
	bits := 5 * copy(last[:], text)
	for i := bits / 5; i < len(last); i++ {
		last[i] = '0' // what is missing is read as zeros
	}
	high, low := e.eight(&last)
	x := uint64(high)<<44 | uint64(low)<<24
	binary.BigEndian.PutUint64(last[:], x)
	n += copy(out[n:], last[:bits/8])
	return out[:n], wrong|high|low < notBase32 && bits%8 < 5 && x<<(bits&^7) == 0
}

// eight are twice four digits.
func (e *base32) eight(c *[8]byte) (high, low uint32) {
	return e.digits[0][c[0]] | e.digits[1][c[1]] | e.digits[2][c[2]] | e.digits[3][c[3]],
		e.digits[0][c[4]] | e.digits[1][c[5]] | e.digits[2][c[6]] | e.digits[3][c[7]]
}

// run is how many digits b begins with, at most one more than most: a longer run is then seen to be too long.
func (e *base32) run(b []byte, most int) int {
	b = b[:min(len(b), most+1)]
	for i, c := range b {
		if e.digits[3][c] == notBase32 {
			return i
		}
	}
	return len(b)
}
