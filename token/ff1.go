package token

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
)

// Limits of FF1: SP 800-38G Rev. 1, section 5 (radix, and a domain of at least a million); the other two are ours.
const (
	ff1MinRadix  = 2
	ff1MaxRadix  = 1 << 16
	ff1MinDomain = 1_000_000
	ff1MaxLength = 4096
	ff1MaxTweak  = 4096
)

// FF1 is format-preserving encryption (NIST SP 800-38G Rev. 1) for one key, tweak, radix and length: a permutation of
// the numeral strings of that length. All that does not depend on the message is worked out once. It is not
// authenticated. It is safe for concurrent use.
//
// Where both halves fit 62 bits, the rounds run on machine words, where they fit 128 bits on pairs of them, both without
// allocating; elsewhere on big integers.
type FF1 struct {
	block  cipher.Block
	pool   *scratchPool
	radix  uint64
	u, v   int // lengths of the halves A and B
	b, d   int // bytes of NUM(B) in Q, and bytes of S (Algorithm 7, steps 3 and 4)
	narrow bool

	// The last block of P || Q is fixed but for the round and B. These are the fixed part with the CBC state before it
	// added, what one round adds, and radix^u and radix^v.
	hi, lo           uint64
	roundHi, roundLo uint64
	mod              [2]modulus

	// Elsewhere long is set, and one of the other two.
	long *ff1Long
	pair *ff1Pair
	wide *ff1Wide
}

// ff1Long is what is fixed of P || Q where B does not fit one word.
type ff1Long struct {
	before [16]byte // CBC state after P and the blocks of Q that hold nothing but the tweak and its padding
	fixed  []byte   // tweak and padding that stand between those blocks and the round's byte
}

// ff1Wide is what only the path with big integers needs.
type ff1Wide struct {
	mod [2]*big.Int // radix^u, radix^v
}

// NewFF1 takes an AES key of 16, 24 or 32 bytes and refuses domains below a million.
func NewFF1(key []byte, radix, length int, tweak []byte) (*FF1, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make FF1: %w", err)
	}
	f, err := newFF1(block, radix, length, tweak, new(scratchPool))
	if err != nil {
		return nil, err
	}
	if new(big.Int).Exp(big.NewInt(int64(radix)), big.NewInt(int64(length)), nil).Cmp(big.NewInt(ff1MinDomain)) < 0 {
		return nil, fmt.Errorf("make FF1: %d numerals of radix %d are less than a million values", length, radix)
	}
	return f, nil
}

// newFF1 leaves the least domain to the caller.
func newFF1(block cipher.Block, radix, length int, tweak []byte, pool *scratchPool) (*FF1, error) {
	switch {
	case radix < ff1MinRadix || radix > ff1MaxRadix:
		return nil, fmt.Errorf("make FF1: radix %d is not within %d and %d", radix, ff1MinRadix, ff1MaxRadix)
	case length < 2 || length > ff1MaxLength:
		return nil, fmt.Errorf("make FF1: length %d is not within 2 and %d", length, ff1MaxLength)
	case len(tweak) > ff1MaxTweak:
		return nil, fmt.Errorf("make FF1: the tweak has %d bytes, more than %d", len(tweak), ff1MaxTweak)
	}
	f := &FF1{block: block, pool: pool, radix: uint64(radix), u: length / 2, v: length - length/2}
	r := big.NewInt(int64(radix))
	modU := new(big.Int).Exp(r, big.NewInt(int64(f.u)), nil)
	modV := new(big.Int).Exp(r, big.NewInt(int64(f.v)), nil)
	// ⌈v·log2(radix)⌉ is the bit length of radix^v − 1: exact, where logarithms in floating point are not.
	f.b = (new(big.Int).Sub(modV, big.NewInt(1)).BitLen() + 7) / 8
	f.d = 4*((f.b+3)/4) + 4

	before, fixed := f.prepare(tweak)
	f.narrow = modV.BitLen() <= 62
	if !f.narrow {
		f.long = &ff1Long{before: before, fixed: fixed}
		if f.b <= 16 {
			f.pair = &ff1Pair{[2]modulus128{newModulus128(twoWords(modU)), newModulus128(twoWords(modV))}}
		} else {
			f.wide = &ff1Wide{[2]*big.Int{modU, modV}}
		}
		return f, nil
	}
	var last [16]byte
	copy(last[:], fixed)
	xorBlock(&last, before[:])
	f.hi, f.lo = binary.BigEndian.Uint64(last[:8]), binary.BigEndian.Uint64(last[8:])
	if f.b < 8 {
		f.roundLo = 1 << (8 * f.b)
	} else {
		f.roundHi = 1
	}
	f.mod = [2]modulus{newModulus(modU.Uint64()), newModulus(modV.Uint64())}
	return f, nil
}

// twoWords is a number of up to 128 bits, and 0 for 2^128 itself.
func twoWords(x *big.Int) u128 {
	word := new(big.Int).SetUint64(^uint64(0))
	return u128{new(big.Int).And(new(big.Int).Rsh(x, 64), word).Uint64(), new(big.Int).And(x, word).Uint64()}
}

// prepare runs the CBC-MAC over P and over the blocks of Q = T || 0… || round || NUM(B) that come before the round's
// byte; fixed are the bytes of the round's block in front of it.
func (f *FF1) prepare(tweak []byte) (state [16]byte, fixed []byte) {
	t := len(tweak)
	p := [16]byte{1, 2, 1, byte(f.radix >> 16), byte(f.radix >> 8), byte(f.radix), 10, byte(f.u)}
	binary.BigEndian.PutUint32(p[8:], uint32(f.u+f.v))
	binary.BigEndian.PutUint32(p[12:], uint32(t))
	zeros := (16 - (t+f.b+1)%16) % 16 // (−t−b−1) mod 16
	fixed = append(append(append(fixed, p[:]...), tweak...), make([]byte, zeros)...)
	s := f.pool.get()
	s.x = [16]byte{}
	for len(fixed) >= 16 {
		xorBlock(&s.x, fixed)
		f.block.Encrypt(s.x[:], s.x[:])
		fixed = fixed[16:]
	}
	state = s.x
	f.pool.put(s)
	return state, fixed
}

// encrypt runs Algorithm 7 over the halves of a narrow instance, as numbers below radix^u and radix^v.
func (f *FF1) encrypt(s *scratch, a, b uint64) (uint64, uint64) {
	for i := uint64(0); i < 10; i += 2 {
		a = f.mod[0].add(a, f.round(s, i, b, &f.mod[0]))
		b = f.mod[1].add(b, f.round(s, i+1, a, &f.mod[1]))
	}
	return a, b
}

// decrypt runs Algorithm 8.
func (f *FF1) decrypt(s *scratch, a, b uint64) (uint64, uint64) {
	for i := uint64(10); i > 0; i -= 2 {
		b = f.mod[1].sub(b, f.round(s, i-1, a, &f.mod[1]))
		a = f.mod[0].sub(a, f.round(s, i-2, b, &f.mod[0]))
	}
	return a, b
}

// round is y mod radix^m of one round: PRF over P and Q, of which only the last block is left to do, cut to d bytes.
func (f *FF1) round(s *scratch, i, half uint64, m *modulus) uint64 {
	binary.BigEndian.PutUint64(s.x[:8], f.hi^i*f.roundHi)
	binary.BigEndian.PutUint64(s.x[8:], f.lo^i*f.roundLo^half)
	f.block.Encrypt(s.x[:], s.x[:])
	y := binary.BigEndian.Uint64(s.x[:8])
	if f.d == 8 {
		return m.reduce(y)
	}
	// d is 12: half has at most 8 bytes.
	return bits.Rem64(y>>32, y<<32|uint64(binary.BigEndian.Uint32(s.x[8:12])), m.m)
}

// modulus divides by multiplying with a reciprocal made once.
type modulus struct {
	m, inverse uint64 // inverse is ⌊(2^64−1)/m⌋
}

func newModulus(m uint64) modulus { return modulus{m: m, inverse: ^uint64(0) / m} }

// reduce is y mod m. The quotient estimated is never too large, and too small by two at most.
func (m *modulus) reduce(y uint64) uint64 {
	q, _ := bits.Mul64(y, m.inverse)
	y -= q * m.m
	for y >= m.m {
		y -= m.m
	}
	return y
}

// add and sub take operands below m, which is below 2^62.
func (m *modulus) add(a, b uint64) uint64 {
	c := a + b
	if c >= m.m {
		c -= m.m
	}
	return c
}

func (m *modulus) sub(a, b uint64) uint64 {
	if a < b {
		a += m.m
	}
	return a - b
}

// errNumerals says that a text is not in the domain.
var errNumerals = errors.New("run FF1: the text is not of this length and radix")

// Encrypt replaces numerals, most significant first, by their image. It allocates only where big integers are needed.
func (f *FF1) Encrypt(numerals []uint16) error { return f.run(numerals, true) }

// Decrypt is the inverse of Encrypt.
func (f *FF1) Decrypt(numerals []uint16) error { return f.run(numerals, false) }

func (f *FF1) run(numerals []uint16, encrypt bool) error {
	if len(numerals) != f.u+f.v {
		return errNumerals
	}
	for _, n := range numerals {
		if uint64(n) >= f.radix {
			return errNumerals
		}
	}
	s := f.pool.get()
	defer f.pool.put(s)
	switch {
	case f.pair != nil:
		f.runPair(s, numerals, encrypt)
		return nil
	case f.wide != nil:
		f.runWide(s, numerals, encrypt)
		return nil
	}
	a, b := f.pack(numerals[:f.u]), f.pack(numerals[f.u:])
	if encrypt {
		a, b = f.encrypt(s, a, b)
	} else {
		a, b = f.decrypt(s, a, b)
	}
	f.unpack(numerals[:f.u], a)
	f.unpack(numerals[f.u:], b)
	return nil
}

// pack is NUM_radix, unpack STR_radix.
func (f *FF1) pack(numerals []uint16) uint64 {
	var x uint64
	for _, n := range numerals {
		x = x*f.radix + uint64(n)
	}
	return x
}

func (f *FF1) unpack(numerals []uint16, x uint64) {
	for i := len(numerals) - 1; i >= 0; i-- {
		numerals[i] = uint16(x % f.radix)
		x /= f.radix
	}
}
