package token

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"sallyport"
)

func formlessSchemes() map[sallyport.Scheme]string {
	return map[sallyport.Scheme]string{sallyport.Int4: "-123456789", sallyport.Int8: "123456789012", sallyport.UUID: "f47ac10b-58cc-4372-a567-0e02b2c3d479"}
}

// TestTurn walks columns whose tokens have no form through a rotation: a token of the older key becomes the one that the value has under the newer.
func TestTurn(t *testing.T) {
	for s, plain := range formlessSchemes() {
		ring := epochRing(t, 1)
		c := epochCodec(t, ring, s)
		first := mustTokenise(t, c, plain)
		if _, _, ok := c.Turning(); ok {
			t.Errorf("%s: one key, and tokens turn", s)
		}
		if _, err := c.Turn(nil, first); err == nil {
			t.Errorf("%s: a token was turned with one key", s)
		}
		if err := ring.Rotatable(string(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		// Before the newer key is used, the older one still makes and reveals tokens.
		if err := ring.Rekey(epochKeys(t, 1, 2)); err != nil {
			t.Fatal(err)
		}
		if got := mustTokenise(t, c, plain); !bytes.Equal(got, first) {
			t.Errorf("%s: a token of the newer key came too early", s)
		}
		if err := ring.Rekey(epochKeys(t, 2, 1)); err != nil {
			t.Fatal(err)
		}
		second := mustTokenise(t, c, plain)
		if from, to, ok := c.Turning(); !ok || from != 1 || to != 2 {
			t.Errorf("%s: turns from %d to %d, %v", s, from, to, ok)
		}
		turned, err := c.Turn([]byte("x"), first)
		if err != nil || string(turned) != "x"+string(second) || bytes.Equal(first, second) {
			t.Errorf("%s: %s turned to %s, %v, want %s", s, first, turned, err, second)
		}
		if _, err := c.Turn(nil, []byte("no token")); !errors.Is(err, ErrNotToken) {
			t.Errorf("%s: something else was turned: %v", s, err)
		}
		if c.Recognisable() || len(c.Epochs()) != 1 || c.Epochs()[0] != 2 {
			t.Errorf("%s: it claims to know tokens of %v", s, c.Epochs())
		}
		if _, changed, err := c.Renew(nil, first, nil); changed || err == nil {
			t.Errorf("%s: renewed by its form, which it has not", s)
		}
		if err := ring.Rekey(epochKeys(t, 2)); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Reveal(nil, second); err != nil || string(got) != plain {
			t.Errorf("%s: without the older key it reads %s, %v", s, got, err)
		}
	}
}

// TestTurnOneToOne: tokens that differ stay different, so that what was drawn at random never becomes a value's.
func TestTurnOneToOne(t *testing.T) {
	ring := epochRing(t, 2, 1)
	for s := range formlessSchemes() {
		c := epochCodec(t, ring, s)
		rapid.Check(t, func(t *rapid.T) {
			draw := func(name string) []byte {
				b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name)
				tok, err := c.Dead(nil, nil, bytes.NewReader(b))
				if err != nil {
					t.Fatal(err)
				}
				return tok
			}
			a, b := draw("a"), draw("b")
			x, errX := c.Turn(nil, a)
			y, errY := c.Turn(nil, b)
			if errX != nil || errY != nil || bytes.Equal(a, b) != bytes.Equal(x, y) {
				t.Fatalf("%s and %s became %s, %v and %s, %v", a, b, x, errX, y, errY)
			}
			before, err := c.Reveal(nil, x)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := c.forms.Load().before.fixed.reveal(nil, a); err != nil || !bytes.Equal(again, before) {
				t.Fatalf("%s stood for %s, %v, and %s for %s", a, again, err, x, before)
			}
		})
	}
}

// TestListDigestByEpoch: a random token that is on a list stands there for its own key only, and what it became for the other.
func TestListDigestByEpoch(t *testing.T) {
	ring := epochRing(t, 1)
	for s := range formlessSchemes() {
		c := epochCodec(t, ring, s)
		tok, err := c.Dead(nil, nil, zeros{})
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Rekey(epochKeys(t, 1)); err != nil {
			t.Fatal(err)
		}
		listed := c.ListDigest(tok)
		key := string(s) + "\x00" + c.Spec().Group + "\x00" + string(tok)
		if ring.KeyDigest(s, key) != listed {
			t.Errorf("%s: a cover's key is listed otherwise than its token", s)
		}
		if err := ring.Rekey(epochKeys(t, 2, 1)); err != nil {
			t.Fatal(err)
		}
		if c.BeforeDigest(tok) != listed {
			t.Errorf("%s: what was listed is not known as one of before", s)
		}
		if c.ListDigest(tok) == listed || ring.KeyDigest(s, key) == listed {
			t.Errorf("%s: what was listed under the older key counts under the newer, where it is another value's", s)
		}
		if ring.KeyDigest(s, key) != c.ListDigest(tok) {
			t.Errorf("%s: a cover's key is listed otherwise than its token in the second epoch", s)
		}
	}
}
