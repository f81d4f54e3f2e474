package apart_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sallyport"
	"sallyport/history"
	"sallyport/history/duck"
	"sallyport/history/historytest"
	"sallyport/record"
)

// TestFiguresFromRecord measures what serve does when history is made from the record: the record's own reader reads sealed entries from the
// disk, and another process takes them in. SALLYPORT_HISTORY_RECORD says how many values (make bench-history: 5,000,000).
func TestFiguresFromRecord(t *testing.T) {
	reveals, err := strconv.Atoi(os.Getenv("SALLYPORT_HISTORY_RECORD"))
	if err != nil {
		t.Skip("takes minutes: make bench-history")
	}
	key, err := record.NewKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := record.Open(t.TempDir(), record.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	n := writeRecord(t, stream, reveals)
	folder := t.TempDir()
	k := &history.Keeper{
		Record: stream, Now: time.Now, Tell: func(what string, cause error) { t.Errorf("%s: %v", what, cause) },
		Open: func() (history.Store, error) { return startFor(folder, stream.ID(), duck.DefaultMemory) },
		Wipe: func() error { return duck.Wipe(folder) },
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	began, used, theirs := time.Now(), cpuOf(syscall.RUSAGE_SELF), cpuOf(syscall.RUSAGE_CHILDREN)
	go func() { defer close(done); k.Run(ctx) }()
	for !taken(t, k, stream.Last()) {
		time.Sleep(20 * time.Millisecond)
	}
	took := time.Since(began)
	used = cpuOf(syscall.RUSAGE_SELF) - used
	stop()
	<-done
	theirs = cpuOf(syscall.RUSAGE_CHILDREN) - theirs // with what closing takes
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(n) / 1000 }
	t.Logf("from the record: %d reveals, %d entries in %s, %.0f k reveals/s; %.2f µs of CPU a reveal to read and send them, %.2f in history's process",
		n, stream.Last(), took.Round(time.Millisecond), float64(n)/took.Seconds()/1000, each(used), each(theirs))
}

func writeRecord(t *testing.T, stream *record.Stream, reveals int) (n int) {
	t.Helper()
	w := historytest.NewWork(reveals)
	for {
		events := w.Next(1000)
		if len(events) == 0 {
			return n
		}
		for _, e := range events {
			e.Seq = 0
			if _, err := stream.Enqueue(e); err != nil {
				if _, err := stream.Append(e); err != nil { // too many wait
					t.Fatal(err)
				}
			}
			if e.Reveal != nil {
				n += e.Reveal.Values.Len()
			}
		}
		if _, err := stream.Append(&sallyport.Event{Kind: sallyport.FactKind, Time: events[0].Time}); err != nil {
			t.Fatal(err)
		}
	}
}

func taken(t *testing.T, k *history.Keeper, to uint64) bool {
	t.Helper()
	store, release := k.Lend()
	defer release()
	if store == nil {
		return false
	}
	at, err := store.Position(t.Context())
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return at.Entry >= to
}

// cpuOf is what this process has used, or those that it started and that have ended.
func cpuOf(whose int) time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(whose, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
