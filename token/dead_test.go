package token

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"sallyport"
)

// TestDead draws tokens for every scheme: each has the form, is no longer than what it replaces, and stands for nothing unless the
// scheme says that all do.
func TestDead(t *testing.T) {
	ring := testRing(t)
	for scheme, plain := range map[sallyport.Scheme]string{
		sallyport.Email: "a@b.de", sallyport.Phone: "+49 30 123456", sallyport.Number: "CS-4821-7730", sallyport.Name: "Li", sallyport.Text: "x",
		sallyport.Date: "1990-02-28", sallyport.Timestamp: "2020-01-02 03:04:05", sallyport.Timestamptz: "2020-01-02 03:04:05+00",
		sallyport.Int4: "17", sallyport.Int8: "17", sallyport.UUID: "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
	} {
		spec := Spec{Column: sallyport.Column{Schema: "s", Table: "t", Name: "c"}, Scheme: scheme}
		if scheme == sallyport.Number {
			spec.Prefixes = map[string]string{"CS": "ZQ", "AB": "XY"}
		}
		c, err := ring.Codec(spec)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := c.Tokenise(nil, []byte(plain), rand.Reader)
		if err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
		seen := map[string]bool{}
		for range 300 {
			dead, err := c.Dead(nil, tok, rand.Reader)
			if err != nil {
				t.Fatalf("%s: %v", scheme, err)
			}
			seen[string(dead)] = true
			_, err = c.Reveal(nil, dead)
			switch {
			case c.Recognisable() && !c.IsToken(dead):
				t.Fatalf("%s: %s has not the form of a token", scheme, dead)
			case c.Recognisable() && scheme != sallyport.Timestamp && scheme != sallyport.Timestamptz && len(dead) > len(tok):
				t.Fatalf("%s: %s is longer than %s", scheme, dead, tok)
			case c.Total() && err != nil, !c.Total() && !errors.Is(err, ErrNotToken):
				t.Fatalf("%s: revealing %s: %v", scheme, dead, err)
			case scheme == sallyport.Number && !bytes.HasPrefix(dead, []byte("ZQ-")):
				t.Fatalf("%s became %s", tok, dead)
			}
		}
		if len(seen) < 290 {
			t.Errorf("%s: only %d different ones of 300", scheme, len(seen))
		}
		if _, err := c.Dead(nil, tok, bytes.NewReader(nil)); err == nil {
			t.Errorf("%s: drawn without randomness", scheme)
		}
	}
}

// TestListDigest: of a text the handle counts, and of a number its scheme.
func TestListDigest(t *testing.T) {
	ring := testRing(t)
	codec := func(scheme sallyport.Scheme) *Codec {
		c, err := ring.Codec(Spec{Column: sallyport.Column{Schema: "s", Table: "t", Name: string(scheme)}, Scheme: scheme})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	text := codec(sallyport.Text)
	tok, err := text.Tokenise(nil, []byte("rang twice, angry"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(tok)
	altered[len(altered)-2] ^= 1
	if text.ListDigest(tok) != text.ListDigest(altered) {
		t.Error("what is behind the handle counts")
	}
	if codec(sallyport.Int4).ListDigest([]byte("17")) == codec(sallyport.Int8).ListDigest([]byte("17")) {
		t.Error("equal numbers of two schemes have one digest")
	}
}
