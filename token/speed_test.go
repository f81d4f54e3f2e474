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
		sallyport.Timestamp: "1980-02-29 12:34:56.7", sallyport.Timestamptz: "1980-02-29 12:34:56.7+01:00", sallyport.Int4: "-123456789", sallyport.Int8: "1234567890123456789",
		sallyport.UUID: "F47AC10B-58CC-4372-A567-0E02B2C3D479",
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
	for _, length := range []int{16, 15} { // pairs of words, with and without a second block of S
		f, err := NewFF1(make([]byte, 32), 256, length*2, nil)
		if err != nil {
			t.Fatal(err)
		}
		x := make([]uint16, length*2)
		if n := testing.AllocsPerRun(200, func() { _ = f.Encrypt(x); _ = f.Decrypt(x) }); n != 0 {
			t.Errorf("FF1 on pairs of words: %v allocations", n)
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

// BenchmarkFF1Wider is the path of pairs of words, which no scheme needs: an identifier of 128 bits.
func BenchmarkFF1Wider(b *testing.B) {
	f, err := NewFF1(make([]byte, 32), 256, 16, nil)
	if err != nil {
		b.Fatal(err)
	}
	x := make([]uint16, 16)
	op := func() { _ = f.Encrypt(x) }
	b.ReportAllocs()
	for b.Loop() {
		op()
	}
	reportChains(b, op)
}

// BenchmarkFF1Interleaved is what a batch could gain: the rounds of several numbers in turns, so that a processor could begin one
// block before another is done. The figures are for one number. It gains nothing (docs/tokens), so there is no batch interface.
func BenchmarkFF1Interleaved(b *testing.B) {
	f, err := NewFF1(make([]byte, 32), 10, 13, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 2, 4, 8, 16} {
		b.Run(fmt.Sprintf("numbers=%d", n), func(b *testing.B) {
			s, x, y := make([]scratch, n), make([]uint64, n), make([]uint64, n)
			next := 0
			all := func() { // once in n calls, so that a call is one number
				if next++; next%n != 0 {
					return
				}
				for i := uint64(0); i < 10; i += 2 {
					for k := range x {
						x[k] = f.mod[0].add(x[k], f.round(&s[k], i, y[k], &f.mod[0]))
					}
					for k := range x {
						y[k] = f.mod[1].add(y[k], f.round(&s[k], i+1, x[k], &f.mod[1]))
					}
				}
			}
			for b.Loop() {
				all()
			}
			reportChains(b, all)
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
			sallyport.Timestamp: "1980-02-29 12:34:56.7", sallyport.Timestamptz: "1980-02-29 12:34:56.7+01:00", sallyport.Int4: "-123456789", sallyport.Int8: "1234567890123456789",
			sallyport.UUID: "f47ac10b-58cc-4372-a567-0e02b2c3d479",
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
