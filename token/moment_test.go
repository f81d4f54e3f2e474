package token

import (
	"errors"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"sallyport"
)

// TestMomentsForged checks that eight of nine moments that nobody tokenised are refused, wherever they lie.
func TestMomentsForged(t *testing.T) {
	c := testCodec(t, sallyport.Timestamp)
	opened, most := 0, 90_000
	for i := range most {
		at := c.forms.Load().moment.tokenAt + int64(i)*(c.forms.Load().moment.tokMany/int64(most))
		if _, err := c.Reveal(nil, AppendMoment(nil, at)); err == nil {
			opened++
		} else if !errors.Is(err, ErrNotToken) {
			t.Fatal(err)
		}
	}
	if opened < most/10 || opened > most/8 {
		t.Errorf("%d of %d moments open, want about one of nine", opened, most)
	}
}

// TestMomentsParse writes moments and reads them.
func TestMomentsParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Int64Range(-6e15, 2.4e17).Draw(t, "at") // years 1810 to 9605
		got, zoned, ok := ParseMoment(AppendMoment(nil, at))
		if !ok || zoned || got != at {
			t.Fatalf("%s was read as %d, %t, %t", AppendMoment(nil, at), got, zoned, ok)
		}
	})
}

// TestUUIDKeepsItsKind checks that a uuid of a version and variant becomes one of the same.
func TestUUIDKeepsItsKind(t *testing.T) {
	c := testCodec(t, sallyport.UUID)
	for _, id := range []string{
		"f47ac10b-58cc-4372-a567-0e02b2c3d479", "018f4a2b-7c1d-7abc-8def-0123456789ab", "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
		"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
	} {
		tok := string(mustTokenise(t, c, id))
		if tok[14] != id[14] || fromHex(tok[19])>>2 != fromHex(id[19])>>2 || tok == id {
			t.Errorf("%s became %s", id, tok)
		}
	}
}

func fromHex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// TestIntegersPermute takes a stretch around zero and at both ends: no two go to one place, and all come back.
func TestIntegersPermute(t *testing.T) {
	c := testCodec(t, sallyport.Int4)
	seen := map[string]bool{}
	for _, from := range []int64{-1 << 31, -5000, 1<<31 - 10_000} {
		for n := from; n < from+10_000; n++ {
			plain := strconv.FormatInt(n, 10)
			tok := string(mustTokenise(t, c, plain))
			if seen[tok] {
				t.Fatalf("two integers have the token %s", tok)
			}
			seen[tok] = true
			if got, err := c.Reveal(nil, []byte(tok)); err != nil || string(got) != plain {
				t.Fatalf("%s became %s and that %s, %v", plain, tok, got, err)
			}
		}
	}
}
