package exposure

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestNumbers holds the set to a map, over numbers that lie close together and far apart.
func TestNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set numbers
		want := map[uint64]bool{}
		add := func(n uint64) {
			if set.has(n) != want[n] || set.add(n) == want[n] || !set.has(n) {
				t.Fatalf("%d, which is in: %v", n, want[n])
			}
			want[n] = true
		}
		for range rapid.IntRange(1, 5).Draw(t, "runs") {
			from := rapid.OneOf(rapid.Uint64(), rapid.Uint64Max(1<<18)).Draw(t, "from")
			step := rapid.Uint64Max(70_000).Draw(t, "step")
			for i := range rapid.Uint64Max(6000).Draw(t, "count") {
				add(from + i*step)
			}
		}
		mixed := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range 6000 {
			add(mixed.Uint64N(1 << 17))
		}
		for n := range want {
			if !set.has(n) || set.add(n) {
				t.Fatalf("%d is not in any more", n)
			}
		}
	})
}
