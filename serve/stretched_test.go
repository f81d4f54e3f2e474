package serve

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"sallyport"
)

// stretched is a bound, stretched as far as the machine has more to do than it has processors: what is bounded is our time, not that of what
// else runs. Where the load is not known the bound stands.
func stretched(d time.Duration) time.Duration {
	load := 1.0
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(b), &load)
	}
	return time.Duration(float64(d) * max(1, load/float64(runtime.NumCPU())))
}

// within waits for a condition, on a busy machine longer.
func within(t testing.TB, d time.Duration, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(stretched(d))
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", d, what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks at the condition
	}
}

// lock takes somebody's access away. The order counts from its log-in's end: a password's hash is slow on purpose, and how slow on a busy
// machine is measured first.
func (f *fort) lock(who sallyport.Staff) time.Time {
	f.t.Helper()
	officer, began := f.officer("o1"), time.Now()
	if _, err := officer.Status(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	at := time.Now()
	if err := officer.Lock(f.t.Context(), who, "test"); err != nil {
		f.t.Fatal(err)
	}
	return at.Add(at.Sub(began))
}
