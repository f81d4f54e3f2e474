package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// sivOverhead is how much longer than the plaintext a sealed text is: the synthetic initialisation vector in front.
const sivOverhead = 16

// SIV is AES-SIV (RFC 5297), deterministic authenticated encryption: equal plaintexts under equal associated data seal to
// equal texts, and nothing else is learnt. It is safe for concurrent use and does not allocate when dst has room.
type SIV struct {
	mac  *mac         // K1
	ctr  cipher.Block // K2
	zero [16]byte     // CMAC of the zero block, where S2V begins
	pool *scratchPool
}

// NewSIV takes a key of 32, 48 or 64 bytes: the first half authenticates, the second encrypts (RFC 5297 section 2.2).
func NewSIV(key []byte) (*SIV, error) { return newSIV(key, new(scratchPool)) }

func newSIV(key []byte, pool *scratchPool) (*SIV, error) {
	switch len(key) {
	case 32, 48, 64:
	default:
		return nil, fmt.Errorf("make AES-SIV: the key has %d bytes, not 32, 48 or 64", len(key))
	}
	k1, err := aes.NewCipher(key[:len(key)/2])
	if err != nil {
		return nil, fmt.Errorf("make AES-SIV: %w", err)
	}
	k2, err := aes.NewCipher(key[len(key)/2:])
	if err != nil {
		return nil, fmt.Errorf("make AES-SIV: %w", err)
	}
	v := &SIV{mac: newMAC(k1), ctr: k2, pool: pool}
	s := pool.get()
	var zero [16]byte
	v.mac.sum(s, zero[:])
	v.zero = s.x
	pool.put(s)
	return v, nil
}

// Seal appends the synthetic IV and the ciphertext of plain. ads are the associated strings S1 … Sn-1 of RFC 5297 in
// order, a nonce last. plain must not overlap dst's spare capacity.
func (v *SIV) Seal(dst, plain []byte, ads ...[]byte) []byte {
	s := v.pool.get()
	start := len(dst)
	dst = v.seal(s, dst, plain, v.associate(s, ads))
	v.pool.put(s)
	return dst[:start+sivOverhead+len(plain)]
}

// Open appends the plaintext of a sealed text and true; or returns dst as it came and false when it is not authentic.
// sealed must not overlap dst's spare capacity.
func (v *SIV) Open(dst, sealed []byte, ads ...[]byte) ([]byte, bool) {
	s := v.pool.get()
	dst, ok := v.open(s, dst, sealed, v.associate(s, ads))
	v.pool.put(s)
	return dst, ok
}

// associate is the part of S2V (RFC 5297 section 2.4) that depends on the associated strings only.
func (v *SIV) associate(s *scratch, ads [][]byte) [16]byte {
	d := v.zero
	for _, ad := range ads {
		double(&d)
		v.mac.sum(s, ad)
		xorBlock(&d, s.x[:])
	}
	return d
}

func (v *SIV) seal(s *scratch, dst, plain []byte, d [16]byte) []byte {
	v.vector(s, plain, &d)
	dst = append(dst, s.x[:]...)
	start := len(dst)
	dst = append(dst, plain...)
	v.crypt(s, dst[start:])
	return dst
}

func (v *SIV) open(s *scratch, dst, sealed []byte, d [16]byte) ([]byte, bool) {
	if len(sealed) < sivOverhead {
		return dst, false
	}
	start := len(dst)
	dst = append(dst, sealed[sivOverhead:]...)
	plain := dst[start:]
	copy(s.x[:], sealed)
	v.crypt(s, plain)
	v.vector(s, plain, &d)
	if subtle.ConstantTimeCompare(s.x[:], sealed[:sivOverhead]) != 1 {
		clear(plain) // unauthenticated plaintext must not be seen
		return dst[:start], false
	}
	return dst, true
}

// openDigest is open that sums up what it opened under another key too, as p.sum does: the sum is left in s.y. Both are
// chains of blocks over the same text, and side by side they take hardly longer than one. sealed is decrypted in its place, and has room for
// whole blocks.
func (v *SIV) openDigest(s *scratch, dst, sealed []byte, d [16]byte, p *prefixedMAC) ([]byte, bool) {
	n := len(sealed) - sivOverhead
	if n <= 16 {
		start := len(dst)
		dst, ok := v.open(s, dst, sealed, d)
		p.sum(s, dst[start:])
		s.y = s.x
		return dst, ok
	}
	size := (n + 15) &^ 15
	text := sealed[sivOverhead : sivOverhead+size]
	s.x = [16]byte(sealed)
	v.crypt(s, text)
	v.vectorDigest(s, text, n, &d, p)
	if subtle.ConstantTimeCompare(s.x[:], sealed[:sivOverhead]) != 1 {
		clear(text) // unauthenticated plaintext must not be seen
		return dst, false
	}
	return append(dst, text[:n]...), true
}

// vectorDigest is vector and p.sum in one: the synthetic IV of the first n bytes of text in s.x, their sum in s.y. text is whole blocks, of which
// n reaches into the last, which is not the first; it is padded here.
func (v *SIV) vectorDigest(s *scratch, text []byte, n int, d *[16]byte, p *prefixedMAC) {
	last, lastSum := &v.mac.k1, &p.mac.k1
	if n < len(text) {
		last, lastSum = &v.mac.k2, &p.mac.k2
		text[n] = 0x80
		clear(text[n+1:])
	}
	s.x, s.y = [16]byte{}, p.state
	for ; len(text) > 32; text, n = text[16:], n-16 {
		xorBlock(&s.x, text)
		xorBlock(&s.y, text)
		v.mac.block.Encrypt(s.x[:], s.x[:])
		p.mac.block.Encrypt(s.y[:], s.y[:])
	}
	s.tail = [32]byte(text)
	xorBlock((*[16]byte)(s.tail[n-16:]), d[:]) // RFC 5297 section 2.1, xorend: the last 16 bytes reach into both blocks
	xorBlock(&s.x, s.tail[:16])
	xorBlock(&s.y, text)
	v.mac.block.Encrypt(s.x[:], s.x[:])
	p.mac.block.Encrypt(s.y[:], s.y[:])
	xorBlock(&s.x, s.tail[16:])
	xorBlock(&s.x, last[:])
	xorBlock(&s.y, text[16:])
	xorBlock(&s.y, lastSum[:])
	v.mac.block.Encrypt(s.x[:], s.x[:])
	p.mac.block.Encrypt(s.y[:], s.y[:])
}

// vector leaves the synthetic IV of plain in s.x: the last step of S2V.
func (v *SIV) vector(s *scratch, plain []byte, d *[16]byte) {
	if len(plain) < 16 { // T = dbl(D) xor pad(Sn)
		double(d)
		for i, c := range plain {
			d[i] ^= c
		}
		d[len(plain)] ^= 0x80
		v.mac.sum(s, d[:])
		return
	}
	// T = Sn xorend D: only the last 16 bytes differ from plain, and they reach into the last two blocks.
	s.x = [16]byte{}
	for len(plain) >= 32 {
		xorBlock(&s.x, plain)
		v.mac.block.Encrypt(s.x[:], s.x[:])
		plain = plain[16:]
	}
	tail := s.tail[:copy(s.tail[:], plain)]
	xorBlock((*[16]byte)(tail[len(tail)-16:]), d[:])
	v.mac.finish(s, tail)
}

// crypt is CTR under the IV in s.x with the two bits cleared that RFC 5297 section 2.6 clears, which also means that the
// low half of the counter never overflows.
func (v *SIV) crypt(s *scratch, text []byte) {
	hi := binary.BigEndian.Uint64(s.x[:8])
	lo := binary.BigEndian.Uint64(s.x[8:]) &^ (1<<63 | 1<<31)
	for ; len(text) > 0; lo++ {
		binary.BigEndian.PutUint64(s.y[:8], hi)
		binary.BigEndian.PutUint64(s.y[8:], lo)
		v.ctr.Encrypt(s.y[:], s.y[:])
		if len(text) < 16 {
			subtle.XORBytes(text, text, s.y[:])
			return
		}
		xorBlock((*[16]byte)(text), s.y[:])
		text = text[16:]
	}
}
