package token

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"sallyport"
)

// TestCanonical lists what of a value is kept, and what stands for the same value.
func TestCanonical(t *testing.T) {
	for _, c := range []struct {
		scheme      sallyport.Scheme
		plain, want string
	}{
		{sallyport.Email, "jane.roe@example.com", "jane.roe@example.com"},
		{sallyport.Email, "  Jane.Roe@EXAMPLE.com\t\n", "jane.roe@example.com"},
		{sallyport.Email, "J\u00dcRGEN@M\u00dcLLER.example", "j\u00fcrgen@m\u00fcller.example"},
		{sallyport.Email, "ju\u0308rgen@mu\u0308ller.example", "j\u00fcrgen@m\u00fcller.example"},
		{sallyport.Email, `"Jane Roe"@example.com`, `"jane roe"@example.com`},
		{sallyport.Email, `"a@b"@example.com`, `"a@b"@example.com`},
		{sallyport.Email, "a@b", "a@b"},
		{sallyport.Email, "o'hara+x@example.com", "o'hara+x@example.com"},
		{sallyport.Email, "x@ok1.invalid", "x@ok1.invalid"},
		{sallyport.Phone, "+442071838750", "+442071838750"},
		{sallyport.Phone, "+44 (0)20 7183-8750", "+442071838750"},
		{sallyport.Phone, "0044 20 7183 8750", "+442071838750"},
		{sallyport.Phone, " +1 (415) 555.2671 ", "+14155552671"},
		{sallyport.Phone, "+49/30/1234567", "+49301234567"},
		{sallyport.Phone, "+123456", "+123456"},
		{sallyport.Phone, "+9999999999999", "+9999999999999"},
		{sallyport.Phone, "+883123456789", "+883123456789"},
		{sallyport.Number, "CS-4821-7730", "CS-4821-7730"},
		{sallyport.Number, " cs-4821-7730\n", "CS-4821-7730"},
		{sallyport.Number, "TK000001", "TK000001"},
		{sallyport.Number, "CS 48/21.77_30", "CS 48/21.77_30"},
		{sallyport.Number, "CS123456789012345678901234567890", "CS123456789012345678901234567890"},
		{sallyport.Name, " Jane  Roe ", " Jane  Roe "},
		{sallyport.Name, "", ""},
		{sallyport.Text, "\r\n tk1: is how it begins ", "\r\n tk1: is how it begins "},
		{sallyport.Text, "", ""},
		{sallyport.Date, "1980-02-29", "1980-02-29"},
		{sallyport.Date, "1800-01-01", "1800-01-01"},
		{sallyport.Date, "2199-12-31", "2199-12-31"},
		{sallyport.Date, " 1980-02-29 +01", "1980-02-29"},
		{sallyport.Date, "1980-02-29-05:30:00", "1980-02-29"},
		{sallyport.Timestamp, "1980-02-29 12:34:56", "1980-02-29 12:34:56"},
		{sallyport.Timestamp, "1980-02-29T12:34:56.120000", "1980-02-29 12:34:56.12"},
		{sallyport.Timestamp, " 1980-02-29 12:34 ", "1980-02-29 12:34:00"},
		{sallyport.Timestamp, "1980-02-29", "1980-02-29 00:00:00"},
		{sallyport.Timestamp, "1980-02-29 12:34:56.000001+01", "1980-02-29 12:34:56.000001"},
		{sallyport.Timestamp, "1980-02-29T12:34:56Z", "1980-02-29 12:34:56"},
		{sallyport.Timestamp, "1800-01-01 00:00:00", "1800-01-01 00:00:00"},
		{sallyport.Timestamp, "2199-12-31 23:59:59.999999", "2199-12-31 23:59:59.999999"},
		{sallyport.Timestamptz, "1980-03-01 00:34:56+01", "1980-02-29 23:34:56+00"},
		{sallyport.Timestamptz, "1980-02-29 12:34:56.5-05:30", "1980-02-29 18:04:56.5+00"},
		{sallyport.Timestamptz, "1980-02-29T12:34:56Z", "1980-02-29 12:34:56+00"},
		{sallyport.Timestamptz, "1893-04-01 00:00:00+00:53:28", "1893-03-31 23:06:32+00"},
		{sallyport.Timestamptz, "1980-02-29 12:34:56 +0100", "1980-02-29 11:34:56+00"},
		{sallyport.Int4, "0", "0"},
		{sallyport.Int4, " -0 ", "0"},
		{sallyport.Int4, "+0007", "7"},
		{sallyport.Int4, "-2147483648", "-2147483648"},
		{sallyport.Int4, "2147483647", "2147483647"},
		{sallyport.Int8, "-9223372036854775808", "-9223372036854775808"},
		{sallyport.Int8, "9223372036854775807", "9223372036854775807"},
		{sallyport.UUID, "f47ac10b-58cc-4372-a567-0e02b2c3d479", "f47ac10b-58cc-4372-a567-0e02b2c3d479"},
		{sallyport.UUID, " {F47AC10B58CC4372A5670E02B2C3D479} ", "f47ac10b-58cc-4372-a567-0e02b2c3d479"},
		{sallyport.UUID, "f47a-c10b58cc-4372-a5670e02-b2c3-d479", "f47ac10b-58cc-4372-a567-0e02b2c3d479"},
		{sallyport.UUID, "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"},
	} {
		codec := testCodec(t, c.scheme)
		if got, err := codec.Canonical([]byte("kept "), []byte(c.plain)); err != nil || string(got) != "kept "+c.want {
			t.Errorf("%s %q: canonical %q, %v, want %q", c.scheme, c.plain, got, err, c.want)
		}
		tok, err := codec.Tokenise([]byte("kept "), []byte(c.plain), rand.Reader)
		if err != nil || !bytes.HasPrefix(tok, []byte("kept ")) {
			t.Errorf("%s %q: tokenised to %q, %v", c.scheme, c.plain, tok, err)
			continue
		}
		if got, err := codec.Reveal([]byte("kept "), tok[5:]); err != nil || string(got) != "kept "+c.want {
			t.Errorf("%s %q: revealed %q, %v, want %q", c.scheme, c.plain, got, err, c.want)
		}
		if codec.Digest([]byte(c.plain)) != codec.Digest([]byte(c.want)) {
			t.Errorf("%s %q: its digest is not that of its canonical form", c.scheme, c.plain)
		}
	}
}

// TestOutsideTheDomain lists what is refused, with a word of the sentence that says why.
func TestOutsideTheDomain(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		scheme      sallyport.Scheme
		plain, want string
	}{
		{sallyport.Email, "", "empty"},
		{sallyport.Email, " \t ", "empty"},
		{sallyport.Email, "jane.roe", "name@domain"},
		{sallyport.Email, "@example.com", "name@domain"},
		{sallyport.Email, "jane@", "name@domain"},
		{sallyport.Email, "jane roe@example.com", "space"},
		{sallyport.Email, "jane@roe@example.com", "second @"},
		{sallyport.Email, "jane@exam ple.com", "space"},
		{sallyport.Email, "jane\x00@example.com", "control"},
		{sallyport.Email, "jane\n@example.com", "control"},
		{sallyport.Email, "jane\u00a0@example.com", "white space"},
		{sallyport.Email, "jane\xff@example.com", "UTF-8"},
		{sallyport.Email, strings.Repeat("x", 130) + "@b.com", "longer than 134"},
		{sallyport.Email, long + "@example.com", "longer"},
		{sallyport.Email, "jane@k1.invalid", "domain of tokens"},
		{sallyport.Email, "jane@roe.K1.invalid", "domain of tokens"},
		{sallyport.Phone, "", "empty"},
		{sallyport.Phone, "020 7183 8750", "country code"},
		{sallyport.Phone, "+", "fewer"},
		{sallyport.Phone, "+4", "fewer"},
		{sallyport.Phone, "+12345", "fewer"},
		{sallyport.Phone, "+012345678", "begins with 0"},
		{sallyport.Phone, "000442071838750", "begins with 0"},
		{sallyport.Phone, "+12345678901234", "more than 13"},
		{sallyport.Phone, "+89123456789", "set aside"},
		{sallyport.Phone, "+83 123 456 789", "set aside"},
		{sallyport.Phone, "+442071838750 ext. 4", "other characters"},
		{sallyport.Phone, "+44207183875\x00", "other characters"},
		{sallyport.Phone, "+\uff14\uff14 2071838750", "other characters"},
		{sallyport.Phone, long, "longer"},
		{sallyport.Number, "", "empty"},
		{sallyport.Number, "4821-7730", "prefix"},
		{sallyport.Number, "AB-4821-7730", "prefix"},
		{sallyport.Number, "CSX-4821-7730", "prefix"},
		{sallyport.Number, "CS", "6 to 30"},
		{sallyport.Number, "CS-", "6 to 30"},
		{sallyport.Number, "CS-12345", "6 to 30"},
		{sallyport.Number, "CS-4821-7730-", "6 to 30"},
		{sallyport.Number, "CS--4821-7730", "6 to 30"},
		{sallyport.Number, "CS-4821-773O", "6 to 30"},
		{sallyport.Number, "CS-4821\x007730", "6 to 30"},
		{sallyport.Number, "CS-" + strings.Repeat("1", 31), "6 to 30"},
		{sallyport.Number, "CS-" + long, "longer"},
		{sallyport.Name, "Jane\x00", "NUL"},
		{sallyport.Name, "Jane \xff", "UTF-8"},
		{sallyport.Text, "\x00", "NUL"},
		{sallyport.Text, "caf\xe9", "UTF-8"},
		{sallyport.Date, "", "YYYY-MM-DD"},
		{sallyport.Date, "1980-02-30", "YYYY-MM-DD"},
		{sallyport.Date, "1900-02-29", "YYYY-MM-DD"},
		{sallyport.Date, "1980-13-01", "YYYY-MM-DD"},
		{sallyport.Date, "1980-00-01", "YYYY-MM-DD"},
		{sallyport.Date, "1980-2-1", "YYYY-MM-DD"},
		{sallyport.Date, "29.02.1980", "YYYY-MM-DD"},
		{sallyport.Date, "0044-03-15 BC", "YYYY-MM-DD"},
		{sallyport.Date, "1980-02-29 +1", "YYYY-MM-DD"},
		{sallyport.Date, "1980-02-29 12:00:00", "YYYY-MM-DD"},
		{sallyport.Date, "infinity", "YYYY-MM-DD"},
		{sallyport.Date, "1980-02-2\x00", "YYYY-MM-DD"},
		{sallyport.Date, "1799-12-31", "1800-01-01"},
		{sallyport.Date, "0001-01-01", "1800-01-01"},
		{sallyport.Date, "9999-12-31", "1800-01-01"},
		{sallyport.Date, long, "longer"},
		{sallyport.Timestamp, "", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "infinity", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "1980-02-30 00:00:00", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "1980-02-29 24:00:00", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "1980-02-29 12:60:00", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "1980-02-29 12:00:60", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "1980-02-29 12", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "1980-02-29 12:00:00.1234567", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "1980-02-29 12:00:00 AM", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "1980-02-29 12:00:00 BC", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "02/29/1980 12:00:00", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamp, "1799-12-31 23:59:59", "1800-01-01"},
		{sallyport.Timestamp, "9999-12-31 00:00:00", "1800-01-01"},
		{sallyport.Timestamp, long, "longer"},
		{sallyport.Timestamptz, "1980-02-29 12:00:00", "no time zone"},
		{sallyport.Timestamptz, "1980-02-29", "no time zone"},
		{sallyport.Timestamptz, "1980-02-29 12:00:00 CET", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamptz, "1980-02-29 12:00:00+99", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamptz, "1980-02-29 12:00:00+01:00:00:00", "YYYY-MM-DD HH:MM:SS"},
		{sallyport.Timestamptz, "2199-12-31 23:59:59-01", "1800-01-01"},
		{sallyport.Int4, "", "empty"},
		{sallyport.Int4, "2147483648", "32 bits"},
		{sallyport.Int4, "-2147483649", "32 bits"},
		{sallyport.Int4, "1e3", "whole number"},
		{sallyport.Int4, "4.0", "whole number"},
		{sallyport.Int4, "0x1f", "whole number"},
		{sallyport.Int4, "-", "whole number"},
		{sallyport.Int4, "--1", "whole number"},
		{sallyport.Int4, "1 2", "whole number"},
		{sallyport.Int8, "9223372036854775808", "64 bits"},
		{sallyport.Int8, "-9223372036854775809", "64 bits"},
		{sallyport.Int8, "99999999999999999999", "64 bits"},
		{sallyport.Int8, long, "whole number"},
		{sallyport.UUID, "", "uuid"},
		{sallyport.UUID, "f47ac10b-58cc-4372-a567-0e02b2c3d47", "uuid"},
		{sallyport.UUID, "f47ac10b-58cc-4372-a567-0e02b2c3d4790", "uuid"},
		{sallyport.UUID, "f47ac10b--58cc-4372-a567-0e02b2c3d479", "uuid"},
		{sallyport.UUID, "f47ac10-b58cc-4372-a567-0e02b2c3d479", "uuid"},
		{sallyport.UUID, "g47ac10b-58cc-4372-a567-0e02b2c3d479", "uuid"},
		{sallyport.UUID, long, "uuid"},
	} {
		codec := testCodec(t, c.scheme)
		got, err := codec.Tokenise([]byte("kept"), []byte(c.plain), rand.Reader)
		if !errors.Is(err, ErrDomain) || errors.Is(err, ErrAlreadyToken) || !strings.Contains(err.Error(), c.want) || string(got) != "kept" {
			t.Errorf("%s %.40q: got %.40q, %v, want a sentence with %q", c.scheme, c.plain, got, err, c.want)
		}
		if _, err := codec.Canonical(nil, []byte(c.plain)); !errors.Is(err, ErrDomain) {
			t.Errorf("%s %.40q: it has a canonical form", c.scheme, c.plain)
		}
		if codec.Digest([]byte(c.plain)) == (sallyport.Digest{}) {
			t.Errorf("%s %.40q: no digest", c.scheme, c.plain)
		}
	}
}

// TestNotToken lists what Reveal refuses: other forms, other keys, other columns, and whatever was altered.
func TestNotToken(t *testing.T) {
	email := string(mustTokenise(t, testCodec(t, sallyport.Email), "jane.roe@example.com"))
	name := string(mustTokenise(t, testCodec(t, sallyport.Name), "Jane Roe"))
	other := string(mustTokenise(t, testCodec(t, sallyport.Name), "John Doe"))
	text := string(mustTokenise(t, testCodec(t, sallyport.Text), "hello"))
	date := string(mustTokenise(t, testCodec(t, sallyport.Date), "1980-02-29"))
	for _, c := range []struct {
		scheme sallyport.Scheme
		tok    string
	}{
		{sallyport.Email, ""},
		{sallyport.Email, "jane.roe@example.com"},
		{sallyport.Email, strings.ToUpper(email)},
		{sallyport.Email, email + " "},
		{sallyport.Email, email[1:]},
		{sallyport.Email, "0" + email},
		{sallyport.Email, strings.Replace(email, "@", "@0.", 1)},
		{sallyport.Email, strings.Replace(email, "@k1.", "@k2.", 1)},
		{sallyport.Email, flip(email, 5)},
		{sallyport.Email, "@k1.invalid"},
		{sallyport.Email, "0123@k1.invalid"},
		{sallyport.Email, strings.Repeat("0", 1<<20) + "@k1.invalid"},
		{sallyport.Phone, ""},
		{sallyport.Phone, "+442071838750"},
		{sallyport.Phone, "+89123456789012"},
		{sallyport.Phone, "+8912345678901234"},
		{sallyport.Phone, "+891234567890 12"},
		{sallyport.Phone, "+831234567890123"},
		{sallyport.Number, ""},
		{sallyport.Number, "CS-4821-7730"},
		{sallyport.Number, "zq-4821-7730"},
		{sallyport.Number, "ZQ-48217"},
		{sallyport.Number, "ZQ-4821-7730-"},
		{sallyport.Number, "ZQ-4821\x007730"},
		{sallyport.Name, ""},
		{sallyport.Name, "Jane Roe"},
		{sallyport.Name, "tk1:"},
		{sallyport.Name, "tk1:A"},
		{sallyport.Name, text},
		{sallyport.Name, name + "A"},
		{sallyport.Name, name + "\n"},
		{sallyport.Name, name[:len(name)-4]},
		{sallyport.Name, flip(name, 6)},
		{sallyport.Name, flip(name, 22)},
		{sallyport.Name, flip(name, 40)},
		{sallyport.Name, other[:NamePrefixLen] + name[NamePrefixLen:]},
		{sallyport.Text, name},
		{sallyport.Text, "tk1:a" + strings.Repeat("A", 1<<20)},
		{sallyport.Text, text[:20] + "\n" + text[20:]},
		{sallyport.Text, flip(text, 8)},
		{sallyport.Date, ""},
		{sallyport.Date, "1980-02-29"},
		{sallyport.Date, "9999-12-31"},
		{sallyport.Date, date + " +01"},
		{sallyport.Timestamp, ""},
		{sallyport.Timestamp, "1980-02-29 12:00:00"},
		{sallyport.Timestamp, "2500-01-01 12:00:00+00"},
		{sallyport.Timestamp, "2500-01-01T12:00:00"},
		{sallyport.Timestamp, "2500-01-01 12:00:00.10"},
		{sallyport.Timestamp, "2500-01-01"},
		{sallyport.Timestamptz, "2500-01-01 12:00:00"},
		{sallyport.Timestamptz, "2500-01-01 12:00:00+01"},
		{sallyport.Int4, "x"},
		{sallyport.Int4, "+1"},
		{sallyport.Int4, "01"},
		{sallyport.UUID, "F47AC10B-58CC-4372-A567-0E02B2C3D479"},
		{sallyport.Int4, "4294967296"},
		{sallyport.UUID, "x"},
	} {
		codec := testCodec(t, c.scheme)
		if got, err := codec.Reveal([]byte("kept"), []byte(c.tok)); !errors.Is(err, ErrNotToken) || string(got) != "kept" {
			t.Errorf("%s %.40q: revealed %.40q, %v", c.scheme, c.tok, got, err)
		}
	}

	spec := testSpec(sallyport.Name)
	spec.Column.Name = "maiden_name"
	elsewhere, err := testRing(t).Codec(spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere.Reveal(nil, []byte(name)); !errors.Is(err, ErrNotToken) {
		t.Errorf("a name was revealed under another column: %v", err)
	}
	foreign := otherCodec(t, sallyport.Email, "")
	if _, err := foreign.Reveal(nil, []byte(email)); !errors.Is(err, ErrNotToken) {
		t.Errorf("an e-mail was revealed under another root: %v", err)
	}
}

// TestNamesOfAnyLength: what stands in a column of names is a text, and however long it is there is a token for it, which is found like any other.
func TestNamesOfAnyLength(t *testing.T) {
	codec := otherCodec(t, sallyport.Name, "")
	for _, n := range []int{1, 1024, 1025, 2 << 20} {
		name := strings.Repeat("ÄB", n)[:2*n]
		name = strings.ToValidUTF8(name, "x")
		tok, err := codec.Tokenise(nil, []byte(name), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		got, err := codec.Reveal(nil, tok)
		search, searched := codec.Search(nil, []byte(name))
		if err != nil || searched != nil || string(got) != name || !codec.IsToken(tok) || string(tok[:NamePrefixLen]) != string(search) {
			t.Errorf("a name of %d bytes: %v, %v", len(name), err, searched)
		}
	}
}

// flip exchanges one character for another of both alphabets.
func flip(tok string, i int) string {
	c := byte('0')
	if tok[i] == c {
		c = '1'
	}
	return tok[:i] + string(c) + tok[i+1:]
}
