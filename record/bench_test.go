package record

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport"
)

func BenchmarkAppend(b *testing.B) {
	e := &sallyport.Event{
		Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Kind: sallyport.StatementKind,
		Who: sallyport.Who{Staff: "s001", Login: "s001", Session: "0123456789abcdef", Application: "psql"},
		Statement: &sallyport.Statement{
			ID: 1, Fingerprint: "0123456789abcdef", Verb: "SELECT",
			Columns: []sallyport.Column{{Schema: "support", Table: "customers", Name: "email"}},
		},
	}
	for _, workers := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("plain/", workers), func(b *testing.B) { benchAppend(b, e, workers, nil) })
		b.Run(fmt.Sprint("sealed/", workers), func(b *testing.B) { benchAppend(b, e, workers, testKey(b, 1)) })
	}
}

// BenchmarkEncodeStatement is what an entry of a statement costs, without and with what policies were told of it.
func BenchmarkEncodeStatement(b *testing.B) {
	e := fullEvent()
	e.Reveal, e.Touch, e.Facts, e.Order, e.Ties, e.Power, e.Decision, e.Counters, e.Limit, e.Note = nil, nil, nil, nil, nil, nil, nil, nil, nil, ""
	known := &sallyport.Known{Strength: "database", Reasons: []sallyport.KnownReason{{Is: sallyport.FactCovers | sallyport.FactOpen | sallyport.FactMine, State: "open", Team: "support-eu", Minutes: 190}}}
	for name, k := range map[string]*sallyport.Known{"without": nil, "known": known} {
		b.Run(name, func(b *testing.B) {
			s := mustOpen(b, b.TempDir(), Options{})
			buf := new(bytes.Buffer)
			e.Statement.Known = k
			b.ReportAllocs()
			for b.Loop() {
				buf.Reset()
				if err := s.encode(buf, e); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(buf.Len()), "bytes")
		})
	}
}

func BenchmarkAppendReveal10000(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchAppend(b, bigReveal(10_000), 1, nil) })
	b.Run("sealed", func(b *testing.B) { benchAppend(b, bigReveal(10_000), 1, testKey(b, 1)) })
}

func benchAppend(b *testing.B, e *sallyport.Event, workers int, key *Key) {
	s := mustOpen(b, b.TempDir(), Options{Key: key})
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := s.Append(e); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(s.log.Batches())/float64(b.N), "syncs/op")
}

func BenchmarkRead(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchRead(b, nil) })
	b.Run("sealed", func(b *testing.B) { benchRead(b, testKey(b, 1)) })
}

func benchRead(b *testing.B, key *Key) {
	s := mustOpen(b, b.TempDir(), Options{Key: key})
	e := fullEvent()
	for range 10_000 {
		if _, err := s.Enqueue(e); err == nil {
			continue
		}
		if _, err := s.Append(e); err != nil { // too many wait
			b.Fatal(err)
		}
	}
	if _, err := s.Append(e); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		n := 0
		if err := s.Read(1, func(*sallyport.Event) error { n++; return nil }); err != nil || n != 10_001 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_001, "ns/event")
}

// BenchmarkEncodeReveal10000 is what a batch of 10,000 values costs until its bytes can be written.
func BenchmarkEncodeReveal10000(b *testing.B) {
	for name, key := range map[string]*Key{"plain": nil, "sealed": testKey(b, 1)} {
		b.Run(name, func(b *testing.B) {
			s := mustOpen(b, b.TempDir(), Options{Key: key})
			e, buf, prev := bigReveal(10_000), new(bytes.Buffer), make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				buf.Reset()
				if err := s.encode(buf, e); err != nil {
					b.Fatal(err)
				}
				s.finishEntry(1, prev, buf.Bytes())
			}
			b.SetBytes(int64(buf.Len()))
		})
	}
}

// BenchmarkSeal is what encrypting one entry costs besides the disk: by a key of its own, by one with a digest (form 4, written before), and by one
// key for a run (form 3, written before that).
func BenchmarkSeal(b *testing.B) {
	key := testKey(b, 1)
	for _, size := range []int{300, 20_000} {
		payload := make([]byte, ciphertext+size+tagBytes)
		own, err := newSealer(key, [16]byte{1})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint("own/", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				own.seal(1, payload)
			}
		})
		base, err := key.each([16]byte{1}, own.run)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint("form 4/", size), func(b *testing.B) { benchForm4(b, own, base, payload) })
		whole, err := key.whole([16]byte{1}, own.run)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint("run/", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				plain := payload[ciphertext : len(payload)-tagBytes]
				whole.Seal(plain[:0], own.nonce[:], plain, own.bound[:])
			}
		})
	}
}

// benchForm4 seals as before.
func benchForm4(b *testing.B, s *sealer, base, payload []byte) {
	mac := hmac.New(sha256.New, base)
	info := append(numbered(7), 1)
	var own [KeySize]byte
	b.ReportAllocs()
	for b.Loop() {
		mac.Reset()
		mac.Write(info)
		mac.Sum(own[:0])
		check := checkOf(own[:])
		copy(payload[checkAt:], check[:])
		aead, err := gcm(own[:])
		if err != nil {
			b.Fatal(err)
		}
		plain := payload[ciphertext : len(payload)-tagBytes]
		aead.Seal(plain[:0], s.nonce[:], plain, s.bound[:])
	}
}
