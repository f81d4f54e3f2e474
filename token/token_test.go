package token

import (
	"crypto/rand"
	"errors"
	"testing"

	"sallyport"
)

// testRoot is the root of every fixed example in tests and documentation: bytes 0x00 … 0x1f.
func testRoot(t testing.TB) Secret {
	t.Helper()
	b := make([]byte, SecretSize)
	for i := range b {
		b[i] = byte(i)
	}
	s, err := NewSecret(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testRing(t testing.TB) *Ring {
	t.Helper()
	r, err := NewRing(testRoot(t), Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// testSpec is a column of the reference schema for each scheme.
func testSpec(s sallyport.Scheme) Spec {
	spec := Spec{Scheme: s, Column: sallyport.Column{Schema: "support", Table: "customers", Name: string(s)}}
	if s == sallyport.Number {
		spec.Prefixes = map[string]string{"CS": "ZQ"}
	}
	return spec
}

func testCodec(t testing.TB, s sallyport.Scheme) *Codec {
	t.Helper()
	c, err := testRing(t).Codec(testSpec(s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSmoke(t *testing.T) {
	for s, v := range map[sallyport.Scheme]string{
		sallyport.Email: "jane.roe@example.com", sallyport.Phone: "+442071838750", sallyport.Number: "CS-4821-7730",
		sallyport.Name: "Jane Q. Roe", sallyport.Text: "hello", sallyport.Date: "1980-02-29",
	} {
		c := testCodec(t, s)
		tok, err := c.Tokenise(nil, []byte(v), rand.Reader)
		if err != nil {
			t.Fatal(s, err)
		}
		t.Logf("%s %s %d", s, tok, len(tok))
		got, err := c.Reveal(nil, tok)
		if err != nil || string(got) != v {
			t.Errorf("%s %q %v", s, got, err)
		}
		if !c.IsToken(tok) {
			t.Error(s, "not a token")
		}
		if _, err := c.Tokenise(nil, tok, rand.Reader); !errors.Is(err, ErrAlreadyToken) || !errors.Is(err, ErrDomain) {
			t.Error(s, err)
		}
		x := "see {" + string(tok) + ", and so on"
		st, en, sch, ok := c.ring.Find([]byte(x), 0)
		if !ok || x[st:en] != string(tok) {
			t.Error(s, st, en, sch, ok)
		}
	}
}
