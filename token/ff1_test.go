package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"sync"
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
	r := new(big.Int).SetUint64(f.radix)
	w.narrow, w.pair, w.wide = false, nil, &ff1Wide{[2]*big.Int{
		new(big.Int).Exp(r, big.NewInt(int64(f.u)), nil), new(big.Int).Exp(r, big.NewInt(int64(f.v)), nil),
	}}
	if f.narrow {
		w.long = &ff1Long{fixed: make([]byte, 15-f.b)}
		binary.BigEndian.PutUint64(w.long.before[:8], f.hi)
		binary.BigEndian.PutUint64(w.long.before[8:], f.lo)
	}
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
	for _, c := range []struct{ radix, length int }{{10, 6}, {1000, 2}, {2, 20}, {65536, 2}, {65536, 16}, {2, 256}, {dateRadix, 2}} {
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

// TestAlphabet checks that characters are taken as they are.
func TestAlphabet(t *testing.T) {
	a, err := NewAlphabet("0aAäß€")
	if err != nil || a.Radix() != 6 {
		t.Fatal(a, err)
	}
	if got, err := a.Numerals(nil, "€aA0"); err != nil || !slices.Equal(got, []uint16{5, 1, 2, 0}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"b", "Ä", "ss", "a\u0308", "0\xff", "\ufffd"} {
		if got, err := a.Numerals([]uint16{7}, text); err == nil || len(got) != 1 {
			t.Errorf("%q: taken as %v", text, got)
		}
	}
	for _, characters := range []string{"", "0", "00", "abca", "\xff\xfe"} {
		if _, err := NewAlphabet(characters); err == nil {
			t.Errorf("%q: accepted", characters)
		}
	}
}

// counter counts the blocks that are encrypted.
type counter struct {
	cipher.Block
	n int
}

func (c *counter) Encrypt(dst, src []byte) {
	c.n++
	c.Block.Encrypt(dst, src)
}

// TestFF1CostsTenBlocks checks that whatever a tweak adds is worked out once: a number costs a block a round, with the longest
// prefix that a column may have as with none.
func TestFF1CostsTenBlocks(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, tweak := range []int{0, 8, maxNumberPrefix, 16, 100} {
		for _, digits := range []int{10, 13, maxNumber} {
			c := &counter{Block: block}
			f, err := newFF1(c, 10, digits, make([]byte, tweak), new(scratchPool))
			if err != nil {
				t.Fatal(err)
			}
			c.n = 0
			if err := f.Encrypt(make([]uint16, digits)); err != nil || c.n != 10 {
				t.Errorf("%d digits, a tweak of %d bytes: %d blocks, %v", digits, tweak, c.n, err)
			}
		}
	}
}

// TestFF1ConcurrentUse runs one permutation in many goroutines.
func TestFF1ConcurrentUse(t *testing.T) {
	for _, length := range []int{13, 60, 100} { // words, pairs of words, big integers
		f, err := NewFF1(make([]byte, 32), 10, length, []byte("tweak"))
		if err != nil {
			t.Fatal(err)
		}
		want := make([]uint16, length)
		if err := f.Encrypt(want); err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for range 200 {
					x := make([]uint16, length)
					if err := f.Encrypt(x); err != nil || !slices.Equal(x, want) {
						t.Errorf("length %d: got %v, %v", length, x, err)
						return
					}
				}
			})
		}
		wait.Wait()
	}
}

// FuzzFF1 holds every path to the one with big integers, and to its inverse.
func FuzzFF1(f *testing.F) {
	f.Add([]byte("key"), []byte("tweak"), uint32(10), []byte("0123456789"))
	f.Add([]byte{}, []byte{}, uint32(65536), bytes.Repeat([]byte{255}, 40))
	f.Add([]byte{1}, bytes.Repeat([]byte{7}, 60), uint32(2), bytes.Repeat([]byte{1, 0}, 200))
	f.Fuzz(func(t *testing.T, key, tweak []byte, radix uint32, text []byte) {
		sum := sha256.Sum256(key)
		size := 16 + 8*(len(key)%3)
		radix = 2 + radix%(ff1MaxRadix-1)
		plain := make([]uint16, min(len(text)/2, 120))
		for i := range plain {
			plain[i] = uint16(uint32(binary.BigEndian.Uint16(text[2*i:])) % radix)
		}
		fp, err := NewFF1(sum[:size], int(radix), len(plain), tweak)
		if err != nil {
			return
		}
		x, y := slices.Clone(plain), slices.Clone(plain)
		if err := fp.Encrypt(x); err != nil {
			t.Fatal(err)
		}
		if err := widened(fp).Encrypt(y); err != nil || !slices.Equal(x, y) {
			t.Fatalf("radix %d, %d numerals: %v, big integers %v, %v", radix, len(plain), x, y, err)
		}
		if err := fp.Decrypt(x); err != nil || !slices.Equal(x, plain) {
			t.Fatalf("radix %d, %d numerals: decrypted to %v, %v", radix, len(plain), x, err)
		}
	})
}
