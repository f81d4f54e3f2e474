package token

import (
	"crypto/cipher"
	"encoding/binary"
)

// mac is AES-CMAC (RFC 4493, SP 800-38B) under one key.
type mac struct {
	block  cipher.Block
	k1, k2 [16]byte // subkeys for a complete and for a padded last block
}

func newMAC(block cipher.Block) *mac {
	m := &mac{block: block}
	var zero [16]byte
	block.Encrypt(m.k1[:], zero[:])
	double(&m.k1)
	m.k2 = m.k1
	double(&m.k2)
	return m
}

// sum leaves the CMAC of message in s.x.
func (m *mac) sum(s *scratch, message []byte) {
	s.x = [16]byte{}
	m.finish(s, message)
}

// finish continues a CBC-MAC whose state is s.x over the rest of a message, and ends it.
func (m *mac) finish(s *scratch, rest []byte) {
	for len(rest) > 16 {
		xorBlock(&s.x, rest)
		m.block.Encrypt(s.x[:], s.x[:])
		rest = rest[16:]
	}
	if len(rest) == 16 {
		xorBlock(&s.x, rest)
		xorBlock(&s.x, m.k1[:])
	} else {
		for i, c := range rest {
			s.x[i] ^= c
		}
		s.x[len(rest)] ^= 0x80
		xorBlock(&s.x, m.k2[:])
	}
	m.block.Encrypt(s.x[:], s.x[:])
}

// prefixedMAC is a CMAC whose message always begins with the same block: its state after that block is kept.
type prefixedMAC struct {
	mac   *mac
	state [16]byte // CBC state after the prefix block
	empty [16]byte // the result for an empty rest, where the prefix is itself the last block
}

// after fixes the first block of the message: a label, padded with zeros.
func (m *mac) after(s *scratch, label string) prefixedMAC {
	var prefix [16]byte
	copy(prefix[:], label)
	p := prefixedMAC{mac: m}
	m.sum(s, prefix[:])
	p.empty = s.x
	s.x = prefix
	m.block.Encrypt(s.x[:], s.x[:])
	p.state = s.x
	return p
}

// sum leaves the CMAC of prefix and rest in s.x.
func (p *prefixedMAC) sum(s *scratch, rest []byte) {
	if len(rest) == 0 {
		s.x = p.empty
		return
	}
	s.x = p.state
	p.mac.finish(s, rest)
}

// double multiplies by x in GF(2^128), as RFC 4493 and RFC 5297 call it, in constant time.
func double(b *[16]byte) {
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	carry := hi >> 63
	binary.BigEndian.PutUint64(b[:8], hi<<1|lo>>63)
	binary.BigEndian.PutUint64(b[8:], lo<<1^carry*0x87)
}

// xorBlock is dst ^= src[:16].
func xorBlock(dst *[16]byte, src []byte) {
	_ = src[15]
	binary.LittleEndian.PutUint64(dst[:8], binary.LittleEndian.Uint64(dst[:8])^binary.LittleEndian.Uint64(src[:8]))
	binary.LittleEndian.PutUint64(dst[8:], binary.LittleEndian.Uint64(dst[8:])^binary.LittleEndian.Uint64(src[8:16]))
}
