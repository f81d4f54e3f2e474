package token

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"

	"sallyport"
)

// Dead appends a random token of the newest epoch in the place of one that is to stand for nothing any more. It is no longer than tokens
// of the scheme are, and tells nothing of that one, but for how a number is written. Reveal gives nothing for it, and no value becomes it, but where Total says that every token of the form
// stands for some value: there whoever uses it MUST keep a list.
func (c *Codec) Dead(dst, like []byte, random io.Reader) ([]byte, error) {
	d := dice{random: random}
	start, newest := len(dst), c.forms.Load()
	switch {
	case newest.email != nil:
		dst = newest.email.write(dst, d.bytes(sivOverhead+minEmail))
	case newest.phone != nil:
		dst = newest.phone.dead(dst, &d)
	case newest.number != nil:
		dst = c.deadNumber(dst, like, &d)
	case newest.sealed != nil:
		dst = newest.sealed.dead(dst, &d)
	case newest.date != nil:
		dst = AppendDay(dst, newest.date.dead(&d))
	case newest.moment != nil:
		f := newest.moment
		dst = f.appendMoment(dst, f.tokenAt+int64(f.permute(d.unsalted(uint64(f.tokMany)), true))) //nolint:gosec // below 2^57
	case newest.fixed != nil:
		dst = newest.fixed.random(dst, &d)
	}
	if d.err != nil {
		return dst[:start], fmt.Errorf("make a random token: read randomness: %w", d.err)
	}
	return dst, nil
}

// Total tells whether every text of the tokens' form stands for some value: nothing but a list tells a token that was made from one that
// was not.
func (c *Codec) Total() bool {
	switch c.spec.Scheme {
	case sallyport.Number, sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return true
	case sallyport.Email, sallyport.Phone, sallyport.Name, sallyport.Text, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz:
		return false
	}
	return true
}

// ListDigest is the keyed digest under which a token stands on a list: of a name or a text that of its handle, so that it is the same
// however the rest is altered; of a token without a form with its scheme, group and epoch: the same one is another value's in the next.
func (c *Codec) ListDigest(tok []byte) sallyport.Digest {
	switch {
	case !c.Deterministic():
		if h, ok := Handle(tok); ok {
			return c.ring.HandleDigest(h)
		}
	case !c.Recognisable():
		return c.ring.formlessDigest(c.spec, c.forms.Load().epoch, tok)
	}
	return c.TokenDigest(tok)
}

// HandleDigest is the keyed digest of a handle.
func (r *Ring) HandleDigest(h [HandleSize]byte) sallyport.Digest { return r.sum(&r.tokens, h[:]) }

// TokenDigest is Codec.TokenDigest.
func (r *Ring) TokenDigest(tok []byte) sallyport.Digest { return r.sum(&r.tokens, tok) }

// dice are random numbers; the first error stays.
type dice struct {
	random io.Reader
	err    error
}

func (d *dice) bytes(n int) []byte {
	b := make([]byte, n)
	if d.err == nil {
		_, d.err = io.ReadFull(d.random, b)
	}
	return b
}

// below is a number below n. What 2^64 leaves over n is too little to matter.
func (d *dice) below(n uint64) uint64 { return binary.BigEndian.Uint64(d.bytes(8)) % n }

// unsalted is a number below n that no date or moment has: they have the multiples of dateSalts.
func (d *dice) unsalted(n uint64) uint64 {
	return d.below(n/dateSalts)*dateSalts + 1 + d.below(dateSalts-1)
}

// dead is the image of a number under a country code that is set aside for tokens, which no value has.
func (f *phoneForm) dead(dst []byte, d *dice) []byte {
	const low = 100_000_000_000 // what stands behind the first two digits
	n := 89*low + d.below(low)
	s := f.ff1.pool.get()
	a, b := f.ff1.encrypt(s, n/phoneLow, n%phoneLow)
	f.ff1.pool.put(s)
	dst = append(append(dst, '+'), f.code...)
	return appendDigits(dst, a*phoneLow+b, phoneDigits)
}

// deadNumber keeps the prefix, the separators and how many digits there are.
func (c *Codec) deadNumber(dst, like []byte, d *dice) []byte {
	newest := c.forms.Load()
	prefix, body := newest.number.prefixes[0].token, []byte("000000000000")
	if of := newest.holds(like); of != nil {
		_, body, _ = of.number.parseToken(like)
		for i := range of.number.prefixes { // in the same order in all epochs
			if hasPrefix(like, of.number.prefixes[i].token) && len(like)-len(body) == len(of.number.prefixes[i].token) {
				prefix = newest.number.prefixes[i].token
			}
		}
	}
	dst = append(dst, prefix...)
	for _, c := range body {
		if isDigit(c) {
			c = byte('0' + d.below(10))
		}
		dst = append(dst, c)
	}
	return dst
}

// dead has random bytes where a tag would be, and the front of a name random ones, too.
func (f *sealedForm) dead(dst []byte, d *dice) []byte {
	sealed := d.bytes(sealedExtra)
	if sealed[0] = sealedHeader; f.own {
		sealed[0] = ownHeader
	}
	end := len(dst) + f.front
	dst = append(dst, f.head...)
	if f.index != nil {
		dst = f.text.AppendEncode(dst, d.bytes(indexSize))[:end]
	}
	return f.text.AppendEncode(dst, sealed)
}

func (f *dateForm) dead(d *dice) int32 {
	s := f.ff1.pool.get()
	defer f.ff1.pool.put(s)
	for x := d.unsalted(tokenDays); ; {
		a, b := f.ff1.encrypt(s, x/dateRadix, x%dateRadix)
		if x = a*dateRadix + b; x < tokenDays {
			return f.tokenDay + int32(x)
		}
	}
}

func (f *fixedForm) random(dst []byte, d *dice) []byte {
	if f.bits > 0 {
		return strconv.AppendInt(dst, f.signed(binary.BigEndian.Uint64(d.bytes(8))), 10)
	}
	b := d.bytes(16) // version 4 and the variant of RFC 9562
	return appendUUID(dst, u128{hi: binary.BigEndian.Uint64(b)&^0xf000 | 0x4000, lo: binary.BigEndian.Uint64(b[8:])&^(3<<62) | 2<<62})
}
