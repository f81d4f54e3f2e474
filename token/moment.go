package token

import (
	"bytes"

	"sallyport"
)

// momentForm is FF1 over the microseconds of the same 400 years as dates, into the same years beyond 2200.
type momentForm struct {
	ff1                *FF1
	zoned              bool
	plainAt, tokenAt   int64 // first of the plain and of the token moments, in microseconds since 2000-01-01
	plainMany, tokMany int64
}

const (
	microsPerDay = 86_400_000_000
	// momentBits is the least with room for all tokens: 1.14 of 1.44 × 10^17, so that one try in five goes on.
	momentBits = 57
)

func (r *Ring) newMoment(spec Spec, k DataKey) (*momentForm, error) {
	block, err := k.deriveBlock("ff1", spec.Group, spec.Scheme)
	if err != nil {
		return nil, err
	}
	ff1, err := newFF1(block, 2, momentBits, nil, &r.pool)
	if err != nil {
		return nil, err
	}
	return &momentForm{
		ff1: ff1, zoned: spec.Scheme == sallyport.Timestamptz,
		plainAt: int64(dayOf(firstYear, 1, 1)) * microsPerDay, plainMany: plainDays * microsPerDay,
		tokenAt: int64(firstTokenDay(k.Epoch)) * microsPerDay, tokMany: tokenDays * microsPerDay,
	}, nil
}

func (f *momentForm) permute(x uint64, encrypt bool) uint64 {
	v := f.ff1.v
	s := f.ff1.pool.get()
	defer f.ff1.pool.put(s)
	for {
		a, b := x>>v, x&(1<<v-1)
		if encrypt {
			a, b = f.ff1.encrypt(s, a, b)
		} else {
			a, b = f.ff1.decrypt(s, a, b)
		}
		if x = a<<v | b; x < uint64(f.tokMany) { //nolint:gosec // positive
			return x
		}
	}
}

func (f *momentForm) tokenise(dst, plain []byte) ([]byte, error) {
	at, err := f.parse(plain)
	if err != nil {
		return dst, err
	}
	n := uint64(at-f.plainAt) * dateSalts                                //nolint:gosec // parse has looked
	return f.appendMoment(dst, f.tokenAt+int64(f.permute(n, true))), nil //nolint:gosec // below 2^57
}

func (f *momentForm) reveal(dst, tok []byte) ([]byte, error) {
	at, ok := f.tokenMoment(tok)
	if !ok {
		return dst, ErrNotToken
	}
	n := f.permute(uint64(at-f.tokenAt), false) //nolint:gosec // tokenMoment has looked
	if n%dateSalts != 0 {
		return dst, ErrNotToken
	}
	return f.appendMoment(dst, f.plainAt+int64(n/dateSalts)), nil //nolint:gosec // below 2^57
}

func (f *momentForm) isToken(b []byte) bool {
	_, ok := f.tokenMoment(b)
	return ok
}

// tokenMoment reads a token in the one way in which it is written; other spellings of the moment are none.
func (f *momentForm) tokenMoment(tok []byte) (int64, bool) {
	at, zone, ok := ParseMoment(tok)
	var room [32]byte
	if !ok || zone != f.zoned || at < f.tokenAt || at >= f.tokenAt+f.tokMany || !bytes.Equal(f.appendMoment(room[:0], at), tok) {
		return 0, false
	}
	return at, true
}

func (f *momentForm) canonical(dst, plain []byte) ([]byte, error) {
	at, err := f.parse(plain)
	if err != nil {
		return dst, err
	}
	return f.appendMoment(dst, at), nil
}

func (f *momentForm) appendMoment(dst []byte, at int64) []byte {
	dst = AppendMoment(dst, at)
	if f.zoned {
		dst = append(dst, "+00"...)
	}
	return dst
}

// parse reads a plain moment. Without time zones one behind it is ignored, as PostgreSQL does; with them it must be there, since
// what a session takes for its own is not known here.
func (f *momentForm) parse(plain []byte) (int64, error) {
	at, err := f.read(plain)
	if err == nil && (at < f.plainAt || at >= f.plainAt+f.plainMany) {
		err = outside("the timestamp is not within 1800-01-01 and 2199-12-31")
	}
	if err != nil {
		return 0, err
	}
	return at, nil
}

// read is parse of any moment of a year with four digits.
func (f *momentForm) read(plain []byte) (int64, error) {
	if len(plain) > 64 {
		return 0, outside("it is longer than any timestamp")
	}
	plain = bytes.TrimSpace(plain)
	at, zoned, ok := ParseMoment(plain)
	if ok && zoned && !f.zoned {
		at, _, ok = ParseMoment(plain[:momentEnd(plain)])
	}
	switch {
	case !ok:
		return 0, outside("it is no timestamp of the form YYYY-MM-DD HH:MM:SS")
	case f.zoned && !zoned:
		return 0, outside("the timestamp has no time zone: write its offset behind it, as in +01:00, or Z")
	}
	return at, nil
}

// AppendMoment writes microseconds since 2000-01-01 as PostgreSQL does in the style ISO, without a time zone. The year MUST have
// four digits.
func AppendMoment(dst []byte, at int64) []byte {
	day, within := at/microsPerDay, at%microsPerDay
	if within < 0 {
		day, within = day-1, within+microsPerDay
	}
	dst = append(AppendDay(dst, int32(day)), ' ') //nolint:gosec // four digits of a year
	seconds, fraction := within/1_000_000, within%1_000_000
	for i, part := range [3]int64{seconds / 3600, seconds / 60 % 60, seconds % 60} {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = append(dst, byte('0'+part/10), byte('0'+part%10))
	}
	if fraction == 0 {
		return dst
	}
	dst = appendDigits(append(dst, '.'), uint64(fraction), 6) //nolint:gosec // positive
	return bytes.TrimRight(dst, "0")
}

// ParseMoment reads YYYY-MM-DD, a time of day behind it or none (midnight), and an offset from UTC, which is taken off, or none.
func ParseMoment(b []byte) (at int64, zoned, ok bool) {
	if len(b) < isoLength {
		return 0, false, false
	}
	day, ok := ParseDay(b[:isoLength])
	if !ok {
		return 0, false, false
	}
	at = int64(day) * microsPerDay
	rest := b[isoLength:]
	if len(rest) > 0 && (rest[0] == ' ' || rest[0] == 'T') {
		var micros int64
		if micros, rest, ok = parseClock(rest[1:]); !ok {
			return 0, false, false
		}
		at += micros
	}
	if len(rest) == 0 {
		return at, false, true
	}
	offset, ok := parseOffset(bytes.TrimPrefix(rest, []byte(" ")))
	return at - offset, true, ok
}

// parseClock reads HH:MM, HH:MM:SS or HH:MM:SS.ffffff in front of rest.
func parseClock(b []byte) (micros int64, rest []byte, ok bool) {
	var part [3]int64
	n := 0
	for n < 3 && digitRun(b) == 2 {
		part[n] = int64(digitsValue(b[:2])) //nolint:gosec // two digits
		b, n = b[2:], n+1
		if n == 3 || len(b) == 0 || b[0] != ':' {
			break
		}
		b = b[1:]
	}
	if n < 2 || part[0] > 23 || part[1] > 59 || part[2] > 59 {
		return 0, b, false
	}
	micros = (part[0]*3600 + part[1]*60 + part[2]) * 1_000_000
	if n == 3 && len(b) > 0 && b[0] == '.' {
		digits := digitRun(b[1:])
		if digits == 0 || digits > 6 {
			return 0, b, false
		}
		fraction := int64(digitsValue(b[1 : 1+digits])) //nolint:gosec // six digits
		for range 6 - digits {
			fraction *= 10
		}
		micros, b = micros+fraction, b[1+digits:]
	}
	return micros, b, true
}

// parseOffset reads Z, +01, +0130, +01:30 or +01:30:15 as microseconds east of UTC.
func parseOffset(b []byte) (micros int64, ok bool) {
	if len(b) == 1 && b[0]|0x20 == 'z' {
		return 0, true
	}
	if len(b) < 3 || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	negative := b[0] == '-'
	b = b[1:]
	unit := int64(3600_000_000)
	for i := 0; len(b) > 0; i++ {
		if i > 0 && b[0] == ':' {
			b = b[1:]
		}
		if i > 2 || digitRun(b[:min(2, len(b))]) != 2 {
			return 0, false
		}
		n := int64(digitsValue(b[:2])) //nolint:gosec // two digits
		if n > 59 || i == 0 && n > 15 {
			return 0, false
		}
		micros, unit, b = micros+n*unit, unit/60, b[2:]
	}
	if negative {
		return -micros, true
	}
	return micros, true
}

// momentEnd is where the offset behind a moment begins.
func momentEnd(b []byte) int {
	end := len(b)
	for i := isoLength; i < len(b); i++ {
		if c := b[i]; c == '+' || c == '-' || c|0x20 == 'z' {
			end = i
			break
		}
	}
	return len(bytes.TrimRight(b[:end], " "))
}
