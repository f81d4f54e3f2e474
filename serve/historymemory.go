package serve

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"sallyport/config"
)

// duckMemory is what of it DuckDB gets, in MiB.
func duckMemory(whole int) int { return whole / config.DuckShare }

// memoryGuard sees to it that a process keeps within its bound.
type memoryGuard struct {
	limit    int64 // bytes
	resident func() (int64, error)
	free     func() // gives back what is not used
	over     int    // looks in a row at which it was above
}

// look looks once. An error says that the process has stayed above its bound.
func (g *memoryGuard) look() error {
	n, err := g.resident()
	if err != nil || n <= g.limit {
		g.over = 0 // who cannot look bounds nothing: it is not Linux
		return nil
	}
	if g.over++; g.over < config.MemoryPatience {
		g.free()
		return nil
	}
	return fmt.Errorf("history takes %d MiB of memory, and may have %d (history.memory); it is begun anew", n>>20, g.limit>>20)
}

// keepWithin ends this process where it stays above its bound.
func keepWithin(mebibytes int) {
	debug.SetMemoryLimit(int64(mebibytes) << 20 / config.GoShare)
	g := &memoryGuard{limit: int64(mebibytes) << 20, resident: residentBytes, free: debug.FreeOSMemory}
	go func() {
		for range time.Tick(config.MemoryLooks) {
			if err := g.look(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(ExitFailed)
			}
		}
	}()
}

// residentBytes is what this process holds of memory.
func residentBytes() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("look at memory: %w", err)
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, fmt.Errorf("look at memory: %q", b)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("look at memory: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}
