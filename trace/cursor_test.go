package trace

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestCursor: it counts what a search counts, whichever time follows on which.
func TestCursor(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	for range 200 {
		times := make([]uint32, dice.IntN(50))
		for i := range times {
			times[i] = dice.Uint32N(40)
		}
		slices.Sort(times)
		c := cursor{times: times}
		for range 60 {
			at := dice.Uint32N(42)
			if got, want := c.upTo(at), upTo(times, at); got != want {
				t.Fatalf("%v up to %d: %d, expected %d", times, at, got, want)
			}
		}
	}
}
