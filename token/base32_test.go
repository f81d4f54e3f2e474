package token

import (
	"bytes"
	standard "encoding/base32"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport"
)

// TestBase32 holds decode to what encoding/base32 says of every text: it accepts exactly what encoding writes.
func TestBase32(t *testing.T) {
	e, rfc := newBase32(), standard.NewEncoding(base32Digits).WithPadding(standard.NoPadding)
	rapid.Check(t, func(t *rapid.T) {
		sealed := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "sealed")
		text := appendBase32(nil, sealed)
		if want := rfc.EncodeToString(sealed); string(text) != want {
			t.Fatalf("%x becomes %s; want %s", sealed, text, want)
		}
		if got, ok := e.decode(make([]byte, len(text)), text); !ok || !bytes.Equal(got, sealed) {
			t.Fatalf("%s becomes %x, %v; want %x", text, got, ok, sealed)
		}
		if len(text) == 0 {
			return
		}
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		for c := range 256 {
			altered := bytes.Clone(text)
			altered[at] = byte(c)
			want, err := rfc.DecodeString(string(altered))
			right := err == nil && rfc.EncodeToString(want) == string(altered)
			if got, ok := e.decode(bytes.Clone(altered), altered); ok != right || right && !bytes.Equal(got, want) {
				t.Fatalf("%q becomes %x, %v; want %x, %v", altered, got, ok, want, right)
			}
		}
	})
	for _, text := range []string{strings.Repeat("v", 8), strings.Repeat("0", 16), "00000001"} {
		room := []byte(text)
		if got, ok := e.decode(room, room); !ok || string(appendBase32(nil, got)) != text {
			t.Errorf("%s in its own place becomes %x, %v", text, got, ok)
		}
	}
}

// TestRevealDigest holds it to Reveal and Digest, for texts of every length.
func TestRevealDigest(t *testing.T) {
	values := map[sallyport.Scheme][]string{}
	for _, e := range examples() {
		values[e.scheme] = append(values[e.scheme], e.plain)
	}
	for n := 1; n <= 60; n++ {
		values[sallyport.Email] = append(values[sallyport.Email], strings.Repeat("a", n)+"@b")
	}
	for scheme, list := range values {
		c := testCodec(t, scheme)
		for _, value := range list {
			tok := mustTokenise(t, c, value)
			canonical, err := c.Canonical(nil, []byte(value))
			if err != nil {
				t.Fatal(err)
			}
			plain := string(canonical)
			got, digest, err := c.RevealDigest(new(Room), []byte("front "), tok)
			if err != nil || string(got) != "front "+plain || digest != c.Digest([]byte(plain)) {
				t.Errorf("%s of %d bytes: %v, %q, digest %x; want %x", scheme, len(plain), err, got, digest, c.Digest([]byte(plain)))
			}
			for _, wrong := range [][]byte{nil, []byte(plain), tok[1:], append(bytes.Clone(tok), 'x'), otherDigit(tok)} {
				want, wantErr := c.Reveal(nil, wrong)
				got, digest, err := c.RevealDigest(new(Room), []byte("front "), wrong)
				if (err == nil) != (wantErr == nil) || string(got) != "front "+string(want) || err != nil && digest != (sallyport.Digest{}) {
					t.Errorf("%s of %d bytes, altered: %v, %d bytes, digest %x", scheme, len(plain), err, len(got), digest)
				}
			}
		}
	}
}

// otherDigit is a token with another first character.
func otherDigit(tok []byte) []byte {
	altered := bytes.Clone(tok)
	if altered[0] == 'v' {
		altered[0] = 'u'
	} else {
		altered[0]++
	}
	return altered
}
