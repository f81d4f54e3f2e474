package token

import (
	"bytes"
	"strconv"

	"sallyport"
)

// fixedForm is FF1 over all values of a type of fixed width: integers of 32 and 64 bits, and 122 bits of a uuid. Every value
// is some value's token, so nothing tells a token by its form.
type fixedForm struct {
	ff1  *FF1
	bits int // of an integer; 0: a uuid
}

// uuidBits are what a uuid's version and variant leave (RFC 9562 section 4).
const uuidBits = 122

func (r *Ring) newFixed(spec Spec, k DataKey) (*fixedForm, error) {
	return r.fixedUnder(k, "ff1", spec)
}

func (r *Ring) fixedUnder(k DataKey, purpose string, spec Spec) (*fixedForm, error) {
	f, width := &fixedForm{}, uuidBits
	switch spec.Scheme {
	case sallyport.Int4:
		f.bits, width = 32, 32
	case sallyport.Int8:
		f.bits, width = 64, 64
	default:
	}
	block, err := k.deriveBlock(purpose, spec.Group, spec.Scheme)
	if err != nil {
		return nil, err
	}
	f.ff1, err = newFF1(block, 2, width, nil, &r.pool)
	return f, err
}

func (f *fixedForm) permute(a, b uint64, encrypt bool) (uint64, uint64) {
	s := f.ff1.pool.get()
	if encrypt {
		a, b = f.ff1.encrypt(s, a, b)
	} else {
		a, b = f.ff1.decrypt(s, a, b)
	}
	f.ff1.pool.put(s)
	return a, b
}

// exchange appends the image of a value, which is read as a person may write it, or of a token, which is read as PostgreSQL does.
func (f *fixedForm) exchange(dst, text []byte, encrypt bool) ([]byte, error) {
	if f.bits == 0 {
		id, ok := parseUUID(text)
		if !ok {
			return dst, errUUID
		}
		return appendUUID(dst, f.exchangeUUID(id, encrypt)), nil
	}
	n, err := f.parseInt(text)
	if err != nil {
		return dst, err
	}
	half := f.bits / 2
	mask := uint64(1)<<half - 1
	u := uint64(n) & (mask<<half | mask) //nolint:gosec // two's complement
	a, b := f.permute(u>>half, u&mask, encrypt)
	return strconv.AppendInt(dst, f.signed(a<<half|b), 10), nil
}

// signed reads the lower bits as two's complement.
func (f *fixedForm) signed(u uint64) int64 {
	if f.bits == 32 {
		return int64(int32(uint32(u))) //nolint:gosec // two's complement
	}
	return int64(u) //nolint:gosec // two's complement
}

func (f *fixedForm) tokenise(dst, plain []byte) ([]byte, error) { return f.exchange(dst, plain, true) }

// reveal takes a token in the one way in which the database writes it.
func (f *fixedForm) reveal(dst, tok []byte) ([]byte, error) {
	var room [40]byte
	if own, err := f.canonical(room[:0], tok); err != nil || !bytes.Equal(own, tok) {
		return dst, ErrNotToken
	}
	out, err := f.exchange(dst, tok, false)
	if err != nil {
		return dst, ErrNotToken
	}
	return out, nil
}

func (f *fixedForm) canonical(dst, plain []byte) ([]byte, error) {
	if f.bits == 0 {
		id, ok := parseUUID(plain)
		if !ok {
			return dst, errUUID
		}
		return appendUUID(dst, id), nil
	}
	n, err := f.parseInt(plain)
	if err != nil {
		return dst, err
	}
	return strconv.AppendInt(dst, n, 10), nil
}

var (
	errEmptyFixed = outside("it is empty: write NULL where there is no value")
	errInteger    = outside("it is no whole number in decimal digits")
	errInt4       = outside("it is no integer of 32 bits, from -2147483648 to 2147483647")
	errInt8       = outside("it is no integer of 64 bits")
	errUUID       = outside("it is no uuid of 32 hexadecimal digits")
)

// parseInt reads a decimal integer with white space around it. It allocates nothing.
func (f *fixedForm) parseInt(text []byte) (int64, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return 0, errEmptyFixed
	}
	negative := text[0] == '-'
	if negative || text[0] == '+' {
		text = text[1:]
	}
	if len(text) == 0 || digitRun(text) != len(text) {
		return 0, errInteger
	}
	out := errInt8
	limit := uint64(1) << 63
	if f.bits == 32 {
		out, limit = errInt4, 1<<31
	}
	for len(text) > 1 && text[0] == '0' {
		text = text[1:]
	}
	if len(text) > 19 {
		return 0, out
	}
	n := digitsValue(text)
	if n > limit || !negative && n == limit {
		return 0, out
	}
	if negative {
		return -int64(n-1) - 1, nil //nolint:gosec // of 0 it is −(2^64−1)−1, which is 0
	}
	return int64(n), nil //nolint:gosec // below 2^63
}

// exchangeUUID keeps version and variant, so that a uuid of a kind stays one of that kind, and exchanges all other bits.
func (f *fixedForm) exchangeUUID(id u128, encrypt bool) u128 {
	const version, variant = uint64(0xf000), uint64(3) << 62
	front := id.hi>>16<<12 | id.hi&0xfff // 60 bits
	back := id.lo &^ variant             // 62 bits
	const half = uint64(1)<<61 - 1
	a, b := f.permute(front<<1|back>>61, back&half, encrypt)
	front, back = a>>1, a&1<<61|b
	return u128{front>>12<<16 | id.hi&version | front&0xfff, id.lo&variant | back}
}

// parseUUID reads what PostgreSQL does: 32 hexadecimal digits in either case, with hyphens behind any group of four, in braces or
// not (section 8.12).
func parseUUID(text []byte) (id u128, ok bool) {
	text = bytes.TrimSpace(text)
	if len(text) > 2 && text[0] == '{' && text[len(text)-1] == '}' {
		text = text[1 : len(text)-1]
	}
	digits := 0
	for i, c := range text {
		var n byte
		switch {
		case c == '-' && digits > 0 && digits < 32 && digits%4 == 0 && text[i-1] != '-':
			continue
		case isDigit(c):
			n = c - '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = c | 0x20 - 'a' + 10
		default:
			return u128{}, false
		}
		if digits++; digits > 32 {
			return u128{}, false
		}
		id = u128{id.hi<<4 | id.lo>>60, id.lo<<4 | uint64(n)}
	}
	return id, digits == 32
}

func appendUUID(dst []byte, id u128) []byte {
	const hex = "0123456789abcdef"
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			dst = append(dst, '-')
		}
		word, shift := id.hi, 60-4*(i%16)
		if i >= 16 {
			word = id.lo
		}
		dst = append(dst, hex[word>>shift&15])
	}
	return dst
}
