package token

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"sallyport"
)

func overflowOf(t *testing.T, c *Codec) *Overflow {
	t.Helper()
	o, err := c.Overflow()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestOverflow takes values that a scheme has no token for through their canonical form, a random token and the seal.
func TestOverflow(t *testing.T) {
	for _, c := range []struct {
		scheme      sallyport.Scheme
		plain, want string
	}{
		{sallyport.Phone, " 00 4920-7183/8750 12345 ", "+49207183875012345"},
		{sallyport.Phone, "+1 (415) 555 2671 ext. 4", "+1 (415) 555 2671 ext. 4"},
		{sallyport.Phone, "030 1234567", "0301234567"},
		{sallyport.Email, strings.Repeat("X", 140) + "@EXAMPLE.com", strings.Repeat("x", 140) + "@example.com"},
		{sallyport.Email, " Ask her ", "ask her"},
		{sallyport.Number, "CS-12", "CS-12"},
		{sallyport.Date, " 9999-12-31 ", "9999-12-31"},
		{sallyport.Date, "0001-01-01 +01", "0001-01-01"},
		{sallyport.Date, "Infinity", "infinity"},
		{sallyport.Timestamp, "9999-12-31 23:59:59.90", "9999-12-31 23:59:59.9"},
		{sallyport.Timestamptz, "1500-06-01T12:00:00+02", "1500-06-01 10:00:00+00"},
		{sallyport.Timestamptz, "-infinity", "-infinity"},
	} {
		codec := testCodec(t, c.scheme)
		o := overflowOf(t, codec)
		if _, err := codec.Tokenise(nil, []byte(c.plain), rand.Reader); !errors.Is(err, ErrDomain) {
			t.Fatalf("%s %.20q: has a token: %v", c.scheme, c.plain, err)
		}
		value, err := o.Canonical([]byte("kept "), []byte(c.plain))
		if err != nil || string(value) != "kept "+c.want {
			t.Errorf("%s %.20q: canonical %.30q, %v", c.scheme, c.plain, value, err)
			continue
		}
		value = value[5:]
		tok, err := o.New(nil, rand.Reader)
		if err != nil || !codec.Overflowed(tok) || !codec.IsToken(tok) || codec.Overflowed([]byte(c.plain)) {
			t.Errorf("%s: token %q, %v", c.scheme, tok, err)
		}
		if _, err := codec.Reveal(nil, tok); !errors.Is(err, ErrNotToken) {
			t.Errorf("%s: a random token was opened without the vault: %v", c.scheme, err)
		}
		text := []byte("(1,\"" + string(tok) + "\")")
		if start, end, scheme, ok := codec.ring.Find(text, 0); c.scheme == sallyport.Timestamp || c.scheme == sallyport.Timestamptz { // by its day
			if !ok || string(text[start:end]) != string(tok[:10]) || scheme != sallyport.Date {
				t.Errorf("%s: in a text %q was found", c.scheme, text[start:end])
			}
		} else if !ok || string(text[start:end]) != string(tok) || scheme != c.scheme {
			t.Errorf("%s: in a text %q was found", c.scheme, text[start:end])
		}
		sealed, err := o.Seal(nil, tok, value, rand.Reader)
		if err != nil || bytes.Contains(sealed, value) {
			t.Fatal(err)
		}
		if got, err := o.Open(nil, tok, sealed); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%s: opened to %q, %v", c.scheme, got, err)
		}
		other, err := o.New(nil, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Open(nil, other, sealed); !errors.Is(err, ErrNotToken) {
			t.Errorf("%s: opened for another token", c.scheme)
		}
		for i := range sealed {
			forged := bytes.Clone(sealed)
			forged[i] ^= 1
			if _, err := o.Open(nil, tok, forged); err == nil {
				t.Errorf("%s: opened with byte %d altered", c.scheme, i)
			}
		}
		foreign := overflowOf(t, otherCodec(t, c.scheme, ""))
		if _, err := foreign.Open(nil, tok, sealed); err == nil || foreign.Key(value) == o.Key(value) || overflowOf(t, otherCodec(t, c.scheme, "x")).Key(value) == foreign.Key(value) {
			t.Errorf("%s: other keys or another group do the same", c.scheme)
		}
	}
}

// TestOverflowRefuses lists what no vault takes.
func TestOverflowRefuses(t *testing.T) {
	for scheme, values := range map[sallyport.Scheme][]string{
		sallyport.Phone:       {"", "  ", "\xff", "a\x00b", strings.Repeat("1", 5000), "+89 123", "0083123456789", "call +899475261013004 now", "+89123456789012"},
		sallyport.Date:        {"", "2300-01-01", "5812-03-04", "6100-01-01", "0044-03-15 BC", "12000-01-01", "2021-02-30", "today"},
		sallyport.Timestamptz: {"9999-12-31 23:59:59", "9999-12-31 23:59:59-01", "7000-01-01 00:00:00+00", "now"},
		sallyport.Email:       {"x@k1.invalid", "a b@roe.K1.INVALID", "see meer56357arnmhb8i3o1qi00ung0on4o1gkc47h1fnrkotnms7gc1ahaas@k1.invalid"},
	} {
		o := overflowOf(t, testCodec(t, scheme))
		for _, v := range values {
			if got, err := o.Canonical([]byte("kept"), []byte(v)); !errors.Is(err, ErrDomain) || string(got) != "kept" {
				t.Errorf("%s %.30q: taken as %q, %v", scheme, v, got, err)
			}
		}
	}
	for _, s := range []sallyport.Scheme{sallyport.Name, sallyport.Text, sallyport.Int4, sallyport.UUID} {
		if _, err := testCodec(t, s).Overflow(); !errors.Is(err, ErrNoOverflow) {
			t.Errorf("%s has a vault: %v", s, err)
		}
	}
}

// TestOverflowAbsent checks that a search for a day that is not kept never asks for one that may be given, of which there are few.
func TestOverflowAbsent(t *testing.T) {
	for _, scheme := range []sallyport.Scheme{sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz} {
		codec := testCodec(t, scheme)
		o := overflowOf(t, codec)
		absent, err := o.Absent(nil, rand.Reader)
		if err != nil || !codec.Overflowed(absent) {
			t.Fatalf("%s: absent is %q, %v", scheme, absent, err)
		}
		for _, room := range [][]byte{make([]byte, 20), bytes.Repeat([]byte{0xff}, 20)} {
			if tok, err := o.New(nil, bytes.NewReader(room)); err != nil || string(tok) == string(absent) || !codec.Overflowed(tok) {
				t.Errorf("%s: %q was given, %v", scheme, tok, err)
			}
		}
		for _, first := range []int32{firstTokenDay(1), firstTokenDay(2)} {
			for _, day := range []int32{first, first + tokenDays - 1} {
				if isVaultDay(day) {
					t.Errorf("a day of an epoch, %s, is one of the vault", AppendDay(nil, day))
				}
			}
		}
	}
}

// TestOverflowLength checks that the length of what is sealed says little.
func TestOverflowLength(t *testing.T) {
	o := overflowOf(t, testCodec(t, sallyport.Phone))
	for n, want := range map[int]int{1: 93, 62: 93, 63: 157, 126: 157} {
		sealed, err := o.Seal(nil, []byte("x"), bytes.Repeat([]byte{'1'}, n), rand.Reader)
		if err != nil || len(sealed) != want {
			t.Errorf("%d bytes are sealed in %d, %v, want %d", n, len(sealed), err, want)
		}
	}
}

// TestHandle checks that the handle is what is random in a token.
func TestHandle(t *testing.T) {
	random := bytes.Repeat([]byte{0xa1, 0xb2, 0xc3, 0xd4, 0xe5, 0xf6}, 2)
	for _, s := range []sallyport.Scheme{sallyport.Name, sallyport.Text} {
		tok, err := testCodec(t, s).Tokenise(nil, []byte("Jane Roe"), bytes.NewReader(random))
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := Handle(tok); !ok || !bytes.Equal(h[:], random) {
			t.Errorf("%s: the handle is %x, %t", s, h, ok)
		}
		for n := range 25 {
			if _, ok := Handle(tok[:n]); ok {
				t.Errorf("%s: %d characters have a handle", s, n)
			}
		}
	}
	for _, b := range []string{"", "tk1:", "+899475261013004", "jane roe", "tk1:a!!!!!!!!!!!!!!!!!!!!!!!!!!", "tk1:aAQAAAAAAAAAAAAAAAAAAAAAA"} {
		if _, ok := Handle([]byte(b)); ok {
			t.Errorf("%q has a handle", b)
		}
	}
}
