package token

import (
	"bytes"

	"sallyport"
)

const (
	// A plain date is within the 400 years from 1800-01-01 to 2199-12-31: 146,097 days, whichever 400 years they are.
	firstYear = 1800
	plainDays = 146_097
	// Every day stands for dateSalts numbers, of which only the first is used: a date that nobody tokenised is then
	// noticed eight times in nine.
	dateSalts = 9
	tokenDays = plainDays * dateSalts
	// Tokens of odd epochs lie from 2200-01-01 on, those of even epochs from 6100-01-01: two epochs at a time can be told apart.
	tokenYear     = 2200
	evenTokenYear = 6100
	// FF1 works on two numerals of this radix: the least whose square holds tokenDays, so that walking on is rare.
	dateRadix = 1147
)

// dateForm is FF1 over the days, into years that no birth date has.
type dateForm struct {
	ff1                *FF1
	plainDay, tokenDay int32 // first of the plain and of the token days, in days since 2000-01-01
}

func (r *Ring) newDate(spec Spec, k DataKey) (*dateForm, error) {
	block, err := k.deriveBlock("ff1", spec.Group, sallyport.Date)
	if err != nil {
		return nil, err
	}
	ff1, err := newFF1(block, dateRadix, 2, nil, &r.pool)
	if err != nil {
		return nil, err
	}
	return &dateForm{ff1: ff1, plainDay: dayOf(firstYear, 1, 1), tokenDay: firstTokenDay(k.Epoch)}, nil
}

func (f *dateForm) tokeniseDay(day int32) (int32, error) {
	if f.isTokenDay(day) {
		return 0, ErrAlreadyToken
	}
	n := int64(day) - int64(f.plainDay)
	if n < 0 || n >= plainDays {
		return 0, errDate
	}
	s := f.ff1.pool.get()
	defer f.ff1.pool.put(s)
	// Cycle walking: the permutation is of 1,315,609 numbers; one beyond tokenDays is sent on until it is within.
	x := uint64(n) * dateSalts
	for {
		a, b := f.ff1.encrypt(s, x/dateRadix, x%dateRadix)
		if x = a*dateRadix + b; x < tokenDays {
			return f.tokenDay + int32(x), nil
		}
	}
}

func (f *dateForm) revealDay(day int32) (int32, error) {
	if !f.isTokenDay(day) {
		return 0, ErrNotToken
	}
	s := f.ff1.pool.get()
	defer f.ff1.pool.put(s)
	x := uint64(day - f.tokenDay)
	for {
		a, b := f.ff1.decrypt(s, x/dateRadix, x%dateRadix)
		if x = a*dateRadix + b; x < tokenDays {
			break
		}
	}
	if x%dateSalts != 0 {
		return 0, ErrNotToken
	}
	return f.plainDay + int32(x/dateSalts), nil
}

func (f *dateForm) isTokenDay(day int32) bool {
	return day >= f.tokenDay && int64(day) < int64(f.tokenDay)+tokenDays
}

func (f *dateForm) tokenise(dst, plain []byte) ([]byte, error) {
	day, err := parsePlainDate(plain)
	if err != nil {
		return dst, err
	}
	if day, err = f.tokeniseDay(day); err != nil {
		return dst, err
	}
	return AppendDay(dst, day), nil
}

func (f *dateForm) reveal(dst, tok []byte) ([]byte, error) {
	day, ok := ParseDay(tok)
	if !ok {
		return dst, ErrNotToken
	}
	day, err := f.revealDay(day)
	if err != nil {
		return dst, err
	}
	return AppendDay(dst, day), nil
}

func (f *dateForm) isToken(b []byte) bool {
	day, ok := ParseDay(b)
	return ok && f.isTokenDay(day)
}

func (f *dateForm) canonical(dst, plain []byte) ([]byte, error) {
	day, err := parsePlainDate(plain)
	if err != nil {
		return dst, err
	}
	if n := int64(day) - int64(f.plainDay); n < 0 || n >= plainDays {
		return dst, errDate
	}
	return AppendDay(dst, day), nil
}

var errDate = outside("the date is not within 1800-01-01 and 2199-12-31")

// parsePlainDate reads an ISO date as clients write it: white space around it, and a time zone behind it, which pgjdbc
// appends and PostgreSQL ignores.
func parsePlainDate(plain []byte) (int32, error) {
	if len(plain) > 64 {
		return 0, outside("it is longer than any date")
	}
	plain = bytes.TrimSpace(plain)
	if len(plain) > isoLength && isZone(plain[isoLength:]) {
		plain = plain[:isoLength]
	}
	day, ok := ParseDay(plain)
	if !ok {
		return 0, outside("it is no date of the form YYYY-MM-DD")
	}
	return day, nil
}

// isZone recognises " +01", "+01:00", " -05:30:00".
func isZone(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte(" "))
	if len(b) < 3 || b[0] != '+' && b[0] != '-' {
		return false
	}
	for b = b[1:]; ; b = b[1:] {
		if digitRun(b) != 2 {
			return false
		}
		if b = b[2:]; len(b) == 0 {
			return true
		}
		if b[0] != ':' {
			return false
		}
	}
}

// isoLength is the length of YYYY-MM-DD.
const isoLength = 10

// ParseDay reads a whole YYYY-MM-DD of a year after 0 into PostgreSQL's days since 2000-01-01.
func ParseDay(b []byte) (day int32, ok bool) {
	if len(b) != isoLength || b[4] != '-' || b[7] != '-' || digitRun(b) != 4 || digitRun(b[5:]) != 2 || digitRun(b[8:]) != 2 {
		return 0, false
	}
	y, m, d := int32(digitsValue(b[:4])), int32(digitsValue(b[5:7])), int32(digitsValue(b[8:]))
	if y < 1 || m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, false
	}
	day = dayOf(y, m, d)
	if yy, mm, dd := dateOf(day); yy != y || mm != m || dd != d {
		return 0, false // 30 February
	}
	return day, true
}

// AppendDay writes PostgreSQL's days since 2000-01-01 as YYYY-MM-DD. The year MUST be within 1 and 9999.
func AppendDay(dst []byte, day int32) []byte {
	y, m, d := dateOf(day)
	dst = append(appendDigits(dst, uint64(y), 4), '-')
	dst = append(appendDigits(dst, uint64(m), 2), '-')
	return appendDigits(dst, uint64(d), 2)
}

// epochShift is the days from 0000-03-01 to 2000-01-01 in the proleptic Gregorian calendar.
const epochShift = 730_425

// dayOf counts from 1 March of year 0, so that the leap day is the last of its year; see Howard Hinnant,
// "chrono-compatible low-level date algorithms", days_from_civil, here for years from 1 on.
func dayOf(y, m, d int32) int32 {
	if m <= 2 {
		y--
	}
	month := (m + 9) % 12
	return 365*y + y/4 - y/100 + y/400 + (153*month+2)/5 + d - 1 - epochShift
}

// dateOf is civil_from_days of the same paper.
func dateOf(day int32) (y, m, d int32) {
	z := day + epochShift
	era := z / 146_097
	inEra := z - era*146_097
	year := (inEra - inEra/1460 + inEra/36_524 - inEra/146_096) / 365
	ofYear := inEra - (365*year + year/4 - year/100)
	month := (5*ofYear + 2) / 153
	d = ofYear - (153*month+2)/5 + 1
	m = month + 3
	y = year + era*400
	if m > 12 {
		m -= 12
		y++
	}
	return y, m, d
}
