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

// decode writes the bytes that text stands for to out, which is as long as text at least, and may be text itself. It accepts
// exactly what appendBase32 writes.
func (e *base32) decode(out, text []byte) (decoded []byte, ok bool) {
	n, wrong := 0, uint64(0)
	for ; len(text) >= 8; text = text[8:] {
		x, bad := readEight(binary.BigEndian.Uint64(text))
		binary.BigEndian.PutUint64(out[n:], x) // three bytes too many
		wrong |= bad
		n += 5
	}
	if len(text) == 0 {
		return out[:n], wrong == 0
	}
	var last [16]byte // what is missing is read as zeros
	copy(last[:8], "00000000")
	copy(last[:], text)
	x, bad := readEight(binary.BigEndian.Uint64(last[:]))
	bits := 5 * len(text)
	size := bits / 8
	binary.BigEndian.PutUint64(last[8:], x)
	n += copy(out[n:], last[8:8+size])
	return out[:n], wrong|bad|x<<(8*size) == 0 && bits%8 < 5
}

const everyByte = 0x0101010101010101

// readEight is what eight digits stand for, the first of them in the highest byte of x, in the highest 40 bits; bad is 0 if all are digits. They
// are read all at once, because which of them are letters no processor can guess.
func readEight(x uint64) (bits40, bad uint64) {
	letter := x >> 6 & everyByte // the character is one of 0x40–0x7f, or of those 0x80 higher
	// The highest bit of each byte is lent, so that none borrows from its neighbour: it is there again where the character is none below its
	// range, and none of the upper half.
	v := (x ^ 0x80*everyByte - '0'*everyByte - letter*('a'-10-'0')) ^ 0x80*everyByte
	bad = v&(0xe0*everyByte) | (v+(0x80-10)*everyByte)>>7&everyByte ^ letter // letters stand for 10 and more, and nothing else does
	v = v&0x001f001f001f001f | v>>3&0x03e003e003e003e0
	v = v&0x000003ff000003ff | v>>6&0x000ffc00000ffc00
	return v>>32<<44 | v&0xfffff<<24, bad
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
