package serve

import (
	"runtime"
	"testing"
	"time"
)

// TestFitting follows the number of processors through a day: idle, a busy hour, one result, many reveals.
func TestFitting(t *testing.T) {
	f := fitting{most: 4, now: 4}
	for i, step := range []struct {
		used, syncs float64
		times, want int
	}{
		{0.1, 0, loadPatience - 1, 4},
		{0.1, 0, 1, 3},
		{0.1, 0, 3 * loadPatience, 1},
		{0.59, 0, 1, 1},
		{0.61, 0, 1, 2},
		{3.9, 0, 1, 4},
		{0.1, 0, loadPatience - 1, 4},
		{1.9, 0, 1, 4}, // it begins again to be patient
		{0.1, 0, loadPatience - 1, 4},
		{0.1, 0, 1 + 2*loadPatience, 1},
		{0.3, loadSyncs - 1, 20, 1},
		{0.3, loadSyncs, 20, 2},
	} {
		for range step.times {
			f.look(step.used, step.syncs)
		}
		if f.now != step.want {
			t.Errorf("step %d: %d processors, want %d", i, f.now, step.want)
		}
	}
	one := fitting{most: 1, now: 1}
	if one.look(0.9, 5000) || one.now != 1 {
		t.Errorf("%d processors of one", one.now)
	}
}

// TestFitProcessors leaves the number as it was.
func TestFitProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	looked := make(chan struct{}, 1000)
	stop := FitProcessors(func() uint64 {
		select {
		case looked <- struct{}{}:
		default:
		}
		return 0
	})
	for range 3 {
		select {
		case <-looked:
		case <-time.After(time.Minute):
			t.Fatal("it does not look")
		}
	}
	stop()
	if now := runtime.GOMAXPROCS(0); now != before {
		t.Errorf("%d processors, before %d", now, before)
	}
	if ownCPU() <= 0 {
		t.Error("it has used nothing so far")
	}
}
