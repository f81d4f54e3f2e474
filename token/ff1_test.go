package token

import (
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestFF1Samples holds FF1 to the nine samples that NIST publishes with SP 800-38G.
func TestFF1Samples(t *testing.T) {
	const (
		key128  = "2B7E151628AED2A6ABF7158809CF4F3C"
		key192  = key128 + "EF4359D8D580AA4F"
		key256  = key192 + "7F036D6F04FC6A94"
		digits  = "0123456789"
		letters = "0123456789abcdefghi"
		tweak10 = "39383736353433323130"
		tweak11 = "3737373770717273373737"
	)
	for i, c := range []struct {
		key         string
		radix       int
		tweak       string
		plain, want string
	}{
		{key128, 10, "", digits, "2433477484"},
		{key128, 10, tweak10, digits, "6124200773"},
		{key128, 36, tweak11, letters, "a9tv40mll9kdu509eum"},
		{key192, 10, "", digits, "2830668132"},
		{key192, 10, tweak10, digits, "2496655549"},
		{key192, 36, tweak11, letters, "xbj3kv35jrawxv32ysr"},
		{key256, 10, "", digits, "6657667009"},
		{key256, 10, tweak10, digits, "1001623463"},
		{key256, 36, tweak11, letters, "xs8a0azh2avyalyzuwd"},
	} {
		t.Run(fmt.Sprintf("sample %d", i+1), func(t *testing.T) {
			f, err := NewFF1(unhex(t, c.key), c.radix, len(c.plain), unhex(t, c.tweak))
			if err != nil {
				t.Fatal(err)
			}
			checkFF1(t, f, numerals(t, c.plain), numerals(t, c.want))
		})
	}
}

// checkFF1 encrypts, decrypts, and where words were used does both with big integers again.
func checkFF1(t *testing.T, f *FF1, plain, want []uint16) {
	t.Helper()
	for _, f := range []*FF1{f, widened(f)} {
		x := slices.Clone(plain)
		if err := f.Encrypt(x); err != nil || !slices.Equal(x, want) {
			t.Errorf("encrypt %v: got %v, %v, want %v", plain, x, err, want)
		}
		if err := f.Decrypt(x); err != nil || !slices.Equal(x, plain) {
			t.Errorf("decrypt %v: got %v, %v, want %v", want, x, err, plain)
		}
	}
}

// widened is the same permutation on the path with big integers. The words' path has added what is fixed of the last
// block to the CBC state already, which comes to the same.
func widened(f *FF1) *FF1 {
	w := *f
	if !f.narrow {
		return &w
	}
	w.narrow, w.wide = false, &ff1Wide{fixed: make([]byte, 15-f.b), mod: [2]*big.Int{
		new(big.Int).SetUint64(f.mod[0].m), new(big.Int).SetUint64(f.mod[1].m),
	}}
	binary.BigEndian.PutUint64(w.wide.before[:8], f.hi)
	binary.BigEndian.PutUint64(w.wide.before[8:], f.lo)
	return &w
}

func numerals(t *testing.T, s string) []uint16 {
	t.Helper()
	var list []uint16
	for _, c := range s {
		n, err := strconv.ParseUint(string(c), 36, 16)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, uint16(n))
	}
	return list
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFF1Refuses lists what is outside of SP 800-38G Rev. 1 or of our limits.
func TestFF1Refuses(t *testing.T) {
	key := make([]byte, 32)
	for _, c := range []struct {
		why           string
		key           []byte
		radix, length int
		tweak         int
	}{
		{"key size", key[:20], 10, 10, 0},
		{"no key", nil, 10, 10, 0},
		{"radix 1", key, 1, 30, 0},
		{"radix above 65536", key, 65537, 4, 0},
		{"one numeral", key, 65536, 1, 0},
		{"no numeral", key, 10, 0, 0},
		{"negative length", key, 10, -6, 0},
		{"domain below a million", key, 10, 5, 0},
		{"domain just below a million", key, 999, 2, 0},
		{"length", key, 10, ff1MaxLength + 1, 0},
		{"tweak", key, 10, 10, ff1MaxTweak + 1},
	} {
		if _, err := NewFF1(c.key, c.radix, c.length, make([]byte, max(c.tweak, 0))); err == nil {
			t.Errorf("%s: accepted", c.why)
		}
	}
	for _, c := range []struct{ radix, length int }{{10, 6}, {1000, 2}, {2, 20}, {65536, 2}, {dateRadix, 2}} {
		if _, err := NewFF1(key, c.radix, c.length, nil); err != nil {
			t.Errorf("radix %d, length %d: %v", c.radix, c.length, err)
		}
	}
	f, err := NewFF1(key, 10, 6, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range [][]uint16{nil, {1, 2, 3, 4, 5}, {1, 2, 3, 4, 5, 6, 7}, {1, 2, 3, 4, 5, 10}, {65535, 2, 3, 4, 5, 6}} {
		if f.Encrypt(x) == nil || f.Decrypt(x) == nil {
			t.Errorf("%v: accepted", x)
		}
	}
}

// TestFF1Permutes checks that it is a permutation of a whole domain, the one of dates.
func TestFF1Permutes(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFF1(block, dateRadix, 2, nil, new(scratchPool))
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, dateRadix*dateRadix)
	s := new(scratch)
	for a := range uint64(dateRadix) {
		for b := range uint64(dateRadix) {
			x, y := f.encrypt(s, a, b)
			if x >= dateRadix || y >= dateRadix || seen[x*dateRadix+y] {
				t.Fatalf("(%d, %d) goes outside or where another went", a, b)
			}
			seen[x*dateRadix+y] = true
		}
	}
}

// TestFF1WordsAndIntegersAgree draws radix, length, tweak and text: both paths and their inverses must agree.
func TestFF1WordsAndIntegersAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		radix := rapid.IntRange(2, 65536).Draw(t, "radix")
		length := rapid.IntRange(2, 60).Draw(t, "length")
		tweak := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "tweak")
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		f, err := newFF1(block, radix, length, tweak, new(scratchPool))
		if err != nil {
			t.Fatal(err)
		}
		plain := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, radix-1), func(n int) uint16 { return uint16(n) }), length, length).Draw(t, "plain")
		x, y := slices.Clone(plain), slices.Clone(plain)
		if err := f.Encrypt(x); err != nil {
			t.Fatal(err)
		}
		if err := widened(f).Encrypt(y); err != nil || !slices.Equal(x, y) {
			t.Fatalf("words give %v, integers %v, %v", x, y, err)
		}
		if err := f.Decrypt(x); err != nil || !slices.Equal(x, plain) {
			t.Fatalf("decrypted to %v, %v", x, err)
		}
	})
}
