package serve

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Each short transaction wakes goroutines, and with processors to spare Go's scheduler wakes one of them to look for more work, which
// mostly is not there: with one processor for eight clients of pgbench serve takes a seventh less CPU. So it has as many as it has work for.
const (
	loadEvery    = 100 * time.Millisecond
	loadEach     = 0.6 // of its time a processor may work before there is another
	loadSyncs    = 200 // of the record a second: one holds its processor for as long as the disk takes, and somebody else has work meanwhile
	loadPatience = 10  // so many looks in turn have to say that fewer would do
)

// FitProcessors begins to fit the number of processors to the work, up to as many as there are. syncs counts those of the record. stop ends it.
func FitProcessors(syncs func() uint64) (stop func()) {
	most := runtime.GOMAXPROCS(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer runtime.GOMAXPROCS(most)
		tick := time.NewTicker(loadEvery)
		defer tick.Stop()
		f := fitting{most: most, now: most}
		at, cpu, synced := time.Now(), ownCPU(), syncs()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			before, cpuBefore, syncedBefore := at, cpu, synced
			at, cpu, synced = time.Now(), ownCPU(), syncs()
			passed := at.Sub(before).Seconds()
			if f.look((cpu-cpuBefore).Seconds()/passed, float64(synced-syncedBefore)/passed) {
				runtime.GOMAXPROCS(f.now)
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// fitting is how many processors there are now, of at most so many, and for how long fewer would have done.
type fitting struct{ most, now, idle int }

// look takes how many processors' time was used, and how many syncs a second there were; it says whether the number is another now. More
// are given at once, fewer one by one.
func (f *fitting) look(used, syncs float64) bool {
	need := 1 + int(max(used, 0)/loadEach)
	if syncs >= loadSyncs {
		need = max(need, 2)
	}
	need = min(need, f.most)
	if need >= f.now {
		f.idle = 0
		changed := need > f.now
		f.now = need
		return changed
	}
	if f.idle++; f.idle < loadPatience {
		return false
	}
	f.idle = 0
	f.now--
	return true
}

// ownCPU is what this process has used so far.
func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
