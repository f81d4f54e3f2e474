package token

import (
	"bytes"
	"encoding/binary"
	"strings"

	"sallyport"
)

// Days and moments of a vault lie between those of the two sorts of epochs, which end with 5799 and begin with 6100. The first day is never given, so
// that a search for what is not kept finds nothing.
const (
	vaultYear    = 5800
	vaultDays    = 109_573 // to the end of 6099
	vaultMoments = vaultDays * microsPerDay
)

// What PostgreSQL writes for days and moments that never come or always were.
const (
	Infinity         = "infinity"
	NegativeInfinity = "-infinity"
)

// appendDated appends the canonical form of a day or a moment that lies outside of the scheme's years: of a year with four digits, or infinity.
func (o *Overflow) appendDated(dst, value []byte) ([]byte, error) {
	switch strings.ToLower(string(value)) {
	case Infinity, "+" + Infinity:
		return append(dst, Infinity...), nil
	case NegativeInfinity:
		return append(dst, NegativeInfinity...), nil
	}
	f := o.codec.forms.Load()
	if o.scheme == sallyport.Date {
		day, err := parsePlainDate(value)
		if err == nil && setAside(day) {
			err = errSetAside
		}
		if err != nil {
			return dst, err
		}
		return AppendDay(dst, day), nil
	}
	at, err := f.moment.read(value)
	if err != nil {
		return dst, err
	}
	if at < int64(dayOf(1, 1, 1))*microsPerDay || at >= int64(dayOf(9999, 12, 31)+1)*microsPerDay {
		return dst, outside("the year of the timestamp has no four digits in UTC")
	}
	if setAside(int32(at / microsPerDay)) { //nolint:gosec // four digits of a year
		return dst, errSetAside
	}
	return f.moment.appendMoment(dst, at), nil
}

var errSetAside = outside("the years 2200 to 9699 are set aside for tokens")

// setAside tells whether a day is one of tokens, of whatever epoch or the vault's.
func setAside(day int32) bool {
	return day >= dayOf(tokenYear, 1, 1) && day < dayOf(evenTokenYear, 1, 1)+tokenDays
}

// newDated appends a random day or moment of the vault; number 0 is that which is never given.
func (o *Overflow) newDated(dst []byte, random uint64) []byte {
	first := dayOf(vaultYear, 1, 1)
	if o.scheme == sallyport.Date {
		return AppendDay(dst, first+int32(random%vaultDays)) //nolint:gosec // below vaultDays
	}
	return o.codec.forms.Load().moment.appendMoment(dst, int64(first)*microsPerDay+int64(random%vaultMoments)) //nolint:gosec // below vaultMoments
}

// givenDate is a random number that newDated may be given.
func givenDate(room []byte, scheme sallyport.Scheme) uint64 {
	many := uint64(vaultMoments)
	if scheme == sallyport.Date {
		many = vaultDays
	}
	return 1 + binary.BigEndian.Uint64(room)%(many-1)
}

func isVaultDay(day int32) bool {
	first := dayOf(vaultYear, 1, 1)
	return day >= first && day < first+vaultDays
}

// vaultDated tells whether the whole of b is a day or a moment of the vault, written as the database does.
func (c *Codec) vaultDated(b []byte) bool {
	if c.spec.Scheme == sallyport.Date {
		day, ok := ParseDay(b)
		return ok && isVaultDay(day)
	}
	f := c.forms.Load().moment
	at, zoned, ok := ParseMoment(b)
	first := int64(dayOf(vaultYear, 1, 1)) * microsPerDay
	var room [32]byte
	return ok && zoned == f.zoned && at >= first && at < first+vaultMoments && bytes.Equal(f.appendMoment(room[:0], at), b)
}
