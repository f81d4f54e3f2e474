package token

import (
	"bytes"
	"crypto/aes"
	"testing"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"
	"pgregory.net/rapid"
)

// TestSIVRFC5297 is appendix A of RFC 5297: deterministic, and with a nonce.
func TestSIVRFC5297(t *testing.T) {
	for _, c := range []struct {
		name, key  string
		ads        []string
		plain, out string
	}{
		{
			"A.1", "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
			[]string{"101112131415161718191a1b1c1d1e1f2021222324252627"},
			"112233445566778899aabbccddee",
			"85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c",
		},
		{
			"A.2", "7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f",
			[]string{
				"00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100",
				"102030405060708090a0",
				"09f911029d74e35bd84156c5635688c0",
			},
			"7468697320697320736f6d6520706c61696e7465787420746f20656e6372797074207573696e67205349562d414553",
			"7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d",
		},
	} {
		v, err := NewSIV(unhex(t, c.key))
		if err != nil {
			t.Fatal(err)
		}
		var ads [][]byte
		for _, ad := range c.ads {
			ads = append(ads, unhex(t, ad))
		}
		sealed := v.Seal(nil, unhex(t, c.plain), ads...)
		if !bytes.Equal(sealed, unhex(t, c.out)) {
			t.Errorf("%s: sealed to %x", c.name, sealed)
		}
		if plain, ok := v.Open(nil, sealed, ads...); !ok || !bytes.Equal(plain, unhex(t, c.plain)) {
			t.Errorf("%s: opened to %x, %t", c.name, plain, ok)
		}
	}
}

// TestSIVTink compares with Tink byte for byte, both ways.
func TestSIVTink(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "key")
		ad := rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "ad")
		plain := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "plain")
		tink, err := subtle.NewAESSIV(key)
		if err != nil {
			t.Fatal(err)
		}
		v, err := NewSIV(key)
		if err != nil {
			t.Fatal(err)
		}
		want, err := tink.EncryptDeterministically(plain, ad)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Seal([]byte("kept"), plain, ad); !bytes.Equal(got, append([]byte("kept"), want...)) {
			t.Fatalf("sealed to %x, Tink to %x", got, want)
		}
		if got, ok := v.Open(nil, want, ad); !ok || !bytes.Equal(got, plain) {
			t.Fatalf("opened Tink's to %x, %t", got, ok)
		}
	})
}

// TestSIVForged flips each bit of a sealed text, and cuts it: nothing opens, and dst comes back as it went.
func TestSIVForged(t *testing.T) {
	for _, size := range []int{32, 48, 64} {
		v, err := NewSIV(make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		sealed := v.Seal(nil, []byte("jane.roe@example.com"), []byte("email"))
		for bit := range len(sealed) * 8 {
			forged := bytes.Clone(sealed)
			forged[bit/8] ^= 1 << (bit % 8)
			room := append(make([]byte, 0, 64), "kept"...)
			if got, ok := v.Open(room, forged, []byte("email")); ok || string(got) != "kept" {
				t.Fatalf("bit %d flipped: opened to %x, %t", bit, got, ok)
			}
			if rest := room[4:64]; !bytes.Equal(rest, make([]byte, 60)) {
				t.Fatalf("bit %d flipped: unauthenticated plaintext was left behind", bit)
			}
		}
		for n := range sealed {
			if _, ok := v.Open(nil, sealed[:n], []byte("email")); ok {
				t.Fatalf("cut to %d bytes: opened", n)
			}
		}
		if _, ok := v.Open(nil, sealed, []byte("phone")); ok {
			t.Error("opened under other associated data")
		}
		if _, ok := v.Open(nil, sealed); ok {
			t.Error("opened without associated data")
		}
	}
	for _, size := range []int{0, 16, 31, 33, 65, 128} {
		if _, err := NewSIV(make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes was accepted", size)
		}
	}
}

// TestMACRFC4493 is section 4 of RFC 4493, and the same with the first block kept.
func TestMACRFC4493(t *testing.T) {
	block, err := aes.NewCipher(unhex(t, "2b7e151628aed2a6abf7158809cf4f3c"))
	if err != nil {
		t.Fatal(err)
	}
	m, s := newMAC(block), new(scratch)
	message := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for length, want := range map[int]string{
		0:  "bb1d6929e95937287fa37d129b756746",
		16: "070a16b46b4d4144f79bdd9dd04a287c",
		40: "dfa66747de9ae63030ca32611497c827",
		64: "51f0bebf7e3b9d92fc49741779363cfe",
	} {
		if m.sum(s, message[:length]); !bytes.Equal(s.x[:], unhex(t, want)) {
			t.Errorf("%d bytes: got %x, want %s", length, s.x, want)
		}
	}
	for length := 16; length <= 64; length++ {
		p := m.after(s, string(message[:16]))
		p.sum(s, message[16:length])
		got := s.x
		if m.sum(s, message[:length]); got != s.x {
			t.Errorf("%d bytes behind a kept block: got %x, want %x", length, got, s.x)
		}
	}
}
