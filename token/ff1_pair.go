package token

import (
	"encoding/binary"
	"math/bits"
)

// u128 is an unsigned integer of two words.
type u128 struct{ hi, lo uint64 }

func (a u128) less(b u128) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a u128) add(b u128) (sum u128, carry uint64) {
	sum.lo, carry = bits.Add64(a.lo, b.lo, 0)
	sum.hi, carry = bits.Add64(a.hi, b.hi, carry)
	return sum, carry
}

func (a u128) sub(b u128) (difference u128, borrow uint64) {
	difference.lo, borrow = bits.Sub64(a.lo, b.lo, 0)
	difference.hi, borrow = bits.Sub64(a.hi, b.hi, borrow)
	return difference, borrow
}

// ff1Pair is what halves of 63 to 128 bits need: the rounds run on pairs of machine words, without allocating.
type ff1Pair struct {
	mod [2]modulus128 // radix^u, radix^v
}

// modulus128 divides by a number of up to 128 bits; 0 stands for 2^128, by which words are divided by running over.
type modulus128 struct {
	m     u128
	high  u128 // m shifted left until its first bit is set, where it has two words
	shift uint
}

func newModulus128(m u128) modulus128 {
	out := modulus128{m: m}
	if m.hi != 0 {
		out.shift = uint(bits.LeadingZeros64(m.hi))
		out.high = u128{m.hi<<out.shift | m.lo>>(64-out.shift), m.lo << out.shift}
	}
	return out
}

// reduce is y mod m of a number of three words, by schoolbook division (Knuth, TAOCP volume 2, 4.3.1, algorithm D).
func (m *modulus128) reduce(y2, y1, y0 uint64) u128 {
	switch {
	case m.m == u128{}:
		return u128{y1, y0}
	case m.m.hi == 0:
		r := bits.Rem64(0, y2, m.m.lo)
		r = bits.Rem64(r, y1, m.m.lo)
		return u128{0, bits.Rem64(r, y0, m.m.lo)}
	}
	s := m.shift // a shift by 64 gives 0, so s may be 0
	r := u128{0, y2 >> (64 - s)}
	r = m.step(r, y2<<s|y1>>(64-s))
	r = m.step(r, y1<<s|y0>>(64-s))
	r = m.step(r, y0<<s)
	return u128{r.hi >> s, r.hi<<(64-s) | r.lo>>s}
}

// step is (r·2^64 + next) mod high, for r below high.
func (m *modulus128) step(r u128, next uint64) u128 {
	q := ^uint64(0)
	if r.hi < m.high.hi {
		q, _ = bits.Div64(r.hi, r.lo, m.high.hi)
	}
	// The estimated digit is never too small, and too large by two at most: subtract, and add back what is too much.
	low, p0 := bits.Mul64(q, m.high.lo)
	p2, p1 := bits.Mul64(q, m.high.hi)
	var c uint64
	p1, c = bits.Add64(p1, low, 0)
	p2 += c
	lo, b := bits.Sub64(next, p0, 0)
	hi, b := bits.Sub64(r.lo, p1, b)
	top, _ := bits.Sub64(r.hi, p2, b)
	out := u128{hi, lo}
	for top != 0 {
		out, c = out.add(m.high)
		top += c
	}
	return out
}

func (m *modulus128) add(a, b u128) u128 {
	sum, carry := a.add(b)
	if carry != 0 || !sum.less(m.m) {
		sum, _ = sum.sub(m.m)
	}
	return sum
}

func (m *modulus128) sub(a, b u128) u128 {
	difference, borrow := a.sub(b)
	if borrow != 0 {
		difference, _ = difference.add(m.m)
	}
	return difference
}

// runPair is Algorithms 7 and 8 on pairs of words.
func (f *FF1) runPair(s *scratch, numerals []uint16, encrypt bool) {
	a, b := f.packPair(numerals[:f.u]), f.packPair(numerals[f.u:])
	for n := range 10 {
		if encrypt {
			a, b = b, f.pair.mod[n%2].add(a, f.roundPair(s, byte(n), b))
		} else {
			i := 9 - n
			a, b = f.pair.mod[i%2].sub(b, f.roundPair(s, byte(i), a)), a
		}
	}
	f.unpackPair(numerals[:f.u], a)
	f.unpackPair(numerals[f.u:], b)
}

// roundPair is y mod radix^m of one round, steps i to vi. At most 20 bytes of S count.
func (f *FF1) roundPair(s *scratch, i byte, half u128) u128 {
	tail := len(f.long.fixed)
	q := s.tail[:tail+1+f.b] // the rest of Q: at most 15 bytes of tweak and padding, the round and 16 bytes of half
	copy(q, f.long.fixed)
	q[tail] = i
	binary.BigEndian.PutUint64(s.y[:8], half.hi)
	binary.BigEndian.PutUint64(s.y[8:], half.lo)
	copy(q[tail+1:], s.y[16-f.b:])
	s.x = f.long.before
	for ; len(q) > 0; q = q[16:] {
		xorBlock(&s.x, q)
		f.block.Encrypt(s.x[:], s.x[:])
	}
	y := u128{binary.BigEndian.Uint64(s.x[:8]), binary.BigEndian.Uint64(s.x[8:])}
	m := &f.pair.mod[i%2]
	switch f.d {
	case 12:
		return m.reduce(0, y.hi>>32, y.hi<<32|y.lo>>32)
	case 16:
		return m.reduce(0, y.hi, y.lo)
	}
	s.x[15] ^= 1
	f.block.Encrypt(s.y[:], s.x[:])
	next := uint64(binary.BigEndian.Uint32(s.y[:4]))
	return m.reduce(y.hi>>32, y.hi<<32|y.lo>>32, y.lo<<32|next)
}

func (f *FF1) packPair(numerals []uint16) u128 {
	var x u128
	for _, n := range numerals {
		carry, lo := bits.Mul64(x.lo, f.radix)
		lo, c := bits.Add64(lo, uint64(n), 0)
		x = u128{x.hi*f.radix + carry + c, lo}
	}
	return x
}

func (f *FF1) unpackPair(numerals []uint16, x u128) {
	for i := len(numerals) - 1; i >= 0; i-- {
		var r uint64
		x.hi, r = bits.Div64(0, x.hi, f.radix)
		x.lo, r = bits.Div64(r, x.lo, f.radix)
		numerals[i] = uint16(r)
	}
}
