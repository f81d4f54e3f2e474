package trace

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sallyport"
)

// BenchmarkTrace asks about 68,000 victims among 3,000 people and 100,000,000 reveals of 12,000,000 customers (SALLYPORT_TRACE=1; a hundredth of
// the reveals otherwise), with the index in memory.
func BenchmarkTrace(b *testing.B) {
	const people, customers, victims = 3000, 12_000_000, 68_000
	reveals := 1_000_000
	if os.Getenv("SALLYPORT_TRACE") != "" {
		reveals = 100_000_000
		if n, err := strconv.Atoi(os.Getenv("SALLYPORT_TRACE")); err == nil && n > 1 {
			reveals = n
		}
	}
	x := NewExposures()
	dice := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a benchmark
	for p := range people {
		x.person(sallyport.Staff(fmt.Sprint("s", p)))
	}
	for c := range customers {
		x.customer(sallyport.Subject(fmt.Sprint(c)))
	}
	x.rows = make([]seen, 0, reveals)
	begin := seconds(day(1))
	for range reveals {
		x.rows = append(x.rows, seen{dice.Uint32N(customers), viewerOf(dice.Uint32N(people), whole), begin + dice.Uint32N(20*86400), AllFields})
	}
	sold := map[uint32]bool{}
	for len(sold) < victims { // somebody sold them
		c := dice.Uint32N(customers)
		if !sold[c] {
			sold[c] = true
			x.rows = append(x.rows, seen{c, viewerOf(17, whole), begin + 1, AllFields})
		}
	}
	var list []Report
	for c := range sold {
		list = append(list, Report{Customer: subject(int(c)), At: day(25)})
	}
	start := time.Now()
	x.build()
	took := time.Since(start).Seconds()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.Logf("index of %d reveals in %.1f s, %.1f bytes a reveal", reveals, took, float64(m.HeapAlloc)/float64(reveals))
	before, n := cpu(b), 0
	for b.Loop() {
		n++
		if got := x.Trace(list, Options{Customers: customers}); got.Verdict != Named || got.Suspects[0].Staff[0] != "s17" {
			b.Fatalf("%s %+v", got.Verdict, got.Suspects[:1])
		}
	}
	b.ReportMetric((cpu(b)-before)/float64(n), "cpu-s/op") // a busy machine answers later, by no more work
}

// cpu is how long this process has computed, in seconds.
func cpu(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
