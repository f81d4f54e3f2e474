package serve

import (
	"strings"
	"testing"

	"sallyport/config"
)

// TestMemoryGuard: a moment above the bound is borne and answered by giving back; staying there ends the process, with a sentence.
func TestMemoryGuard(t *testing.T) {
	now, freed := int64(0), 0
	g := &memoryGuard{limit: 100 << 20, resident: func() (int64, error) { return now, nil }, free: func() { freed++ }}
	for _, mib := range []int64{50, 120, 130, 140, 90, 120} {
		now = mib << 20
		if err := g.look(); err != nil {
			t.Fatalf("at %d MiB: %v", mib, err)
		}
	}
	if freed != 4 {
		t.Errorf("it gave back %d times, want 4", freed)
	}
	looks := 1
	err := g.look()
	for ; err == nil && looks < 100; looks++ {
		err = g.look()
	}
	if err == nil || looks != config.MemoryPatience-1 || !strings.Contains(err.Error(), "120 MiB of memory, and may have 100 (history.memory)") {
		t.Errorf("after %d looks: %v", looks, err)
	}
	if n, err := residentBytes(); err != nil || n < 1<<20 {
		t.Errorf("this process holds %d bytes, %v", n, err)
	}
}
