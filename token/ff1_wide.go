package token

import (
	"encoding/binary"
	"math/big"
)

// runWide is Algorithms 7 and 8 on big integers, for halves beyond 128 bits. No scheme of ours needs it; it makes the
// core complete, and is what the published vectors check the other paths against.
func (f *FF1) runWide(s *scratch, numerals []uint16, encrypt bool) {
	a, b := f.packWide(numerals[:f.u]), f.packWide(numerals[f.u:])
	for n := range 10 {
		if encrypt {
			m := f.wide.mod[n%2]
			a.Add(a, f.roundWide(s, byte(n), b))
			a, b = b, a.Mod(a, m)
		} else {
			i := 9 - n
			b.Sub(b, f.roundWide(s, byte(i), a))
			a, b = b.Mod(b, f.wide.mod[i%2]), a
		}
	}
	f.unpackWide(numerals[:f.u], a)
	f.unpackWide(numerals[f.u:], b)
}

// roundWide is y of one round, steps i to iv.
func (f *FF1) roundWide(s *scratch, i byte, half *big.Int) *big.Int {
	tail := len(f.long.fixed)
	q := s.room(tail + 1 + f.b)
	copy(q, f.long.fixed)
	q[tail] = i
	half.FillBytes(q[tail+1:])
	s.x = f.long.before
	for ; len(q) > 0; q = q[16:] {
		xorBlock(&s.x, q)
		f.block.Encrypt(s.x[:], s.x[:])
	}
	blocks := (f.d + 15) / 16
	stream := append(make([]byte, 0, 16*blocks), s.x[:]...)
	for j := 1; j < blocks; j++ {
		s.y = s.x
		low := binary.BigEndian.Uint64(s.y[8:])
		binary.BigEndian.PutUint64(s.y[8:], low^uint64(j))
		f.block.Encrypt(s.y[:], s.y[:])
		stream = append(stream, s.y[:]...)
	}
	return new(big.Int).SetBytes(stream[:f.d])
}

func (f *FF1) packWide(numerals []uint16) *big.Int {
	x, radix, digit := new(big.Int), new(big.Int).SetUint64(f.radix), new(big.Int)
	for _, n := range numerals {
		x.Add(x.Mul(x, radix), digit.SetUint64(uint64(n)))
	}
	return x
}

func (f *FF1) unpackWide(numerals []uint16, x *big.Int) {
	radix, digit := new(big.Int).SetUint64(f.radix), new(big.Int)
	for i := len(numerals) - 1; i >= 0; i-- {
		x.DivMod(x, radix, digit)
		numerals[i] = uint16(digit.Uint64())
	}
}
