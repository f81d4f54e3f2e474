package ledger

import (
	"context"
	"testing"

	"sallyport"
	"sallyport/record"
)

// BenchmarkFollow brings entries of an access stream into a ledger, from the record's files to the tiles' last sync: entries/s is what a
// gateway may write without the ledger falling behind.
func BenchmarkFollow(b *testing.B) {
	w := &world{t: b, dir: b.TempDir(), segment: 16 << 20}
	w.open()
	for range b.N {
		if _, err := w.access.Enqueue(&sallyport.Event{Kind: sallyport.CountersKind, Who: sallyport.Who{Staff: "s001", Session: "1"}, Note: "ninety bytes or so"}); err != nil {
			if err := w.access.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.access.Sync(); err != nil {
		b.Fatal(err)
	}
	l, err := Open(b.Context(), w.options())
	if err != nil {
		b.Fatal(err)
	}
	want := w.access.Last()
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan struct{})
	b.ResetTimer()
	go func() { defer close(done); l.Run(ctx) }()
	for l.Status().Size < want {
		rest(ctx, pace/100)
	}
	b.StopTimer()
	b.ReportMetric(float64(want)/b.Elapsed().Seconds(), "entries/s")
	stop()
	<-done
	w.close()
}

// BenchmarkVerify verifies a copy, bytes of record and ledger as they stand on disk.
func BenchmarkVerify(b *testing.B) {
	w := &world{t: b, dir: b.TempDir(), segment: 16 << 20}
	w.open()
	const entries = 20_000
	for range entries {
		if _, err := w.access.Enqueue(&sallyport.Event{Kind: sallyport.CountersKind, Who: sallyport.Who{Staff: "s001", Session: "1"}, Note: "ninety bytes or so"}); err != nil {
			b.Fatal(err)
		}
		if w.access.Failing() {
			b.Fatal(record.ErrUnwritable)
		}
	}
	if err := w.access.Sync(); err != nil {
		b.Fatal(err)
	}
	l := w.follow(w.options())
	w.close()
	b.ResetTimer()
	for b.Loop() {
		if r, err := Verify(dirOf(w), Outside{Key: l.Status().Key}); err != nil || r.Found > 0 {
			b.Fatal(err, r)
		}
	}
	b.ReportMetric(float64(b.N)*entries/b.Elapsed().Seconds(), "entries/s")
}
