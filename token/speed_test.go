package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport"
)

// TestNoAllocations holds everything on the path of a row to none.
func TestNoAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools drop things at random")
	}
	room, space := make([]byte, 0, 4096), new(Room)
	for s, plain := range map[sallyport.Scheme]string{
		sallyport.Email: "Jane.Roe@example.com", sallyport.Phone: "+44 20 7183 8750", sallyport.Number: "CS-4821-7730",
		sallyport.Name: "Jane Q. Roe", sallyport.Text: strings.Repeat("hello ", 100), sallyport.Date: "1980-02-29",
	} {
		c := testCodec(t, s)
		value := []byte(plain)
		tok := mustTokenise(t, c, plain)
		text := []byte("a row with " + string(tok))
		for name, f := range map[string]func(){
			"Tokenise":     func() { _, _ = c.Tokenise(room, value, zeros{}) },
			"Search":       func() { _, _ = c.Search(room, value) },
			"Reveal":       func() { _, _ = c.Reveal(room, tok) },
			"RevealDigest": func() { _, _, _ = c.RevealDigest(space, room, tok) },
			"Not a token":  func() { _, _ = c.Reveal(room, value) },
			"IsToken":      func() { c.IsToken(tok) },
			"Canonical":    func() { _, _ = c.Canonical(room, value) },
			"Digest":       func() { c.Digest(value) },
			"TokenDigest":  func() { c.TokenDigest(tok) },
			"Find":         func() { c.ring.Find(text, 0) },
			"on the stack": func() {
				var dst, src [128]byte
				if len(plain) < 100 {
					_, _ = c.Tokenise(dst[:0], src[:copy(src[:], plain)], nil)
					_, _ = c.Reveal(dst[:0], src[:copy(src[:], tok)])
				}
			},
		} {
			if name == "on the stack" && (s == sallyport.Name || s == sallyport.Text) {
				continue // without randomness that is an error, which is allocated
			}
			if n := testing.AllocsPerRun(200, f); n != 0 {
				t.Errorf("%s %s: %v allocations", s, name, n)
			}
		}
	}
	c := testCodec(t, sallyport.Date)
	if n := testing.AllocsPerRun(200, func() { day, _ := c.TokeniseDay(-7000); _, _ = c.RevealDay(day) }); n != 0 {
		t.Errorf("days: %v allocations", n)
	}
	v, err := NewSIV(make([]byte, 64))
	if err != nil {
		t.Fatal(err)
	}
	plain, ad := make([]byte, 300), make([]byte, 20)
	sealed := v.Seal(nil, plain, ad)
	if n := testing.AllocsPerRun(200, func() { v.Seal(room, plain, ad, ad); v.Open(room, sealed, ad) }); n != 0 {
		t.Errorf("AES-SIV: %v allocations", n)
	}
}

// chainOfTen is the measure of FF1's speed: ten AES-256 blocks, each of which needs the one before.
func chainOfTen(block cipher.Block, x []byte) {
	for range 10 {
		block.Encrypt(x, x)
	}
}

// reportChains prints how many chains of ten blocks one operation costs. Both are measured in turns, and the quickest
// batch of each counts, so that the figure holds on a machine with other work.
func reportChains(b *testing.B, op func()) {
	b.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	x := make([]byte, 16)
	const batch = 500
	quickest := func(best time.Duration, f func()) time.Duration {
		start := time.Now()
		for range batch {
			f()
		}
		return min(best, time.Since(start))
	}
	ours, chain := time.Hour, time.Hour
	for range 200 {
		ours = quickest(ours, op)
		chain = quickest(chain, func() { chainOfTen(block, x) })
	}
	b.ReportMetric(float64(ours)/float64(chain), "×10AES")
	b.ReportMetric(float64(ours.Nanoseconds())/batch, "best-ns/op")
}

// BenchmarkFF1 is the bare permutation of 10 to 13 digits, and of 30.
func BenchmarkFF1(b *testing.B) {
	for _, n := range []int{10, 11, 12, 13, 16, 30} {
		b.Run(fmt.Sprintf("digits=%d", n), func(b *testing.B) {
			f, err := NewFF1(make([]byte, 32), 10, n, nil)
			if err != nil {
				b.Fatal(err)
			}
			s := new(scratch)
			x, y := uint64(12345), uint64(54321)
			b.ReportAllocs()
			for b.Loop() {
				x, y = f.encrypt(s, x, y)
			}
			reportChains(b, func() { x, y = f.encrypt(s, x, y) })
		})
	}
}

// BenchmarkCodec is each operation of each scheme, as the path calls it.
func BenchmarkCodec(b *testing.B) {
	room, space := make([]byte, 0, 4096), new(Room)
	for _, s := range schemes() {
		plain := map[sallyport.Scheme]string{
			sallyport.Email: "jane.roe@example.com", sallyport.Phone: "+442071838750", sallyport.Number: "CS-4821-7730",
			sallyport.Name: "Jane Q. Roe", sallyport.Text: "Called about her invoice; will call back on Monday.", sallyport.Date: "1980-02-29",
		}[s]
		c := testCodec(b, s)
		value, tok := []byte(plain), mustTokenise(b, c, plain)
		for _, op := range []struct {
			name string
			run  func()
		}{
			{"tokenise", func() { _, _ = c.Tokenise(room, value, zeros{}) }},
			{"reveal", func() { _, _ = c.Reveal(room, tok) }},
			{"reveal-digest", func() { _, _, _ = c.RevealDigest(space, room, tok) }},
			{"digest", func() { c.Digest(value) }},
			{"token-digest", func() { c.TokenDigest(tok) }},
		} {
			b.Run(string(s)+"/"+op.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					op.run()
				}
				reportChains(b, op.run)
			})
		}
	}
}

// BenchmarkFind is what every untraced field costs, mostly without a token in it.
func BenchmarkFind(b *testing.B) {
	r := testRing(b)
	tokens := exampleTokens(b, r)
	words := strings.Repeat("Called again about the invoice of last month, wants it in one go. ", 1000)
	for _, c := range []struct{ name, text string }{
		{"integer", "48211"},
		{"word", "consumer"},
		{"timestamp", "2026-01-05 08:25:05.123+00"},
		{"uuid", "7d444840-9dc0-11d1-b245-5ffdce74fad2"},
		{"text-200", words[:200]},
		{"text-4k", words[:4<<10]},
		{"json-200", strings.Repeat(`{"id":48211,"at":"2026-01-05"},`, 7)},
		{"email-token", tokens["EMAIL"]},
		{"composite", "(48211," + tokens["NAME"] + "," + tokens["EMAIL"] + ")"},
	} {
		b.Run(c.name, func(b *testing.B) {
			text := []byte(c.text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r.Find(text, 0)
			}
			reportChains(b, func() { r.Find(text, 0) })
		})
	}
}

// BenchmarkSIV is the bare construction.
func BenchmarkSIV(b *testing.B) {
	v, err := NewSIV(bytes.Repeat([]byte{1}, 64))
	if err != nil {
		b.Fatal(err)
	}
	room, ad := make([]byte, 0, 4096), []byte("email")
	for _, n := range []int{20, 64, 1024} {
		plain := make([]byte, n)
		sealed := v.Seal(nil, plain, ad)
		b.Run(fmt.Sprintf("seal/bytes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Seal(room, plain, ad)
			}
		})
		b.Run(fmt.Sprintf("open/bytes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Open(room, sealed, ad)
			}
		})
	}
}
