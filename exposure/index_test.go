package exposure

import (
	"math/rand/v2"
	"testing"
)

// TestIndexForgets adds and removes keys that crowd, so that searches pass others and the table's end, and compares with a map.
func TestIndexForgets(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var x index
		var s slots
		s.grow() // the anchor
		in := map[Key]int32{}
		var keys []Key
		for range 12 << rng.IntN(6) {
			k := Key{byte(rng.IntN(8)), byte(rng.IntN(3)), 15: byte(rng.IntN(64))}
			i := s.grow()
			s.at(i).group, s.at(i).in = k.split()
			keys = append(keys, k)
		}
		for range 4000 {
			slot := int32(rng.IntN(len(keys))) + 1 //nolint:gosec // some hundreds
			k := keys[slot-1]
			switch held, ok := in[k]; {
			case !ok:
				x.add(&s, slot)
				in[k] = slot
			case rng.IntN(3) > 0:
				x.remove(&s, held)
				delete(in, k)
			}
			if x.used != len(in) {
				t.Fatalf("seed %d: %d keys, not %d", seed, x.used, len(in))
			}
			look := keys[rng.IntN(len(keys))]
			if got := x.find(&s, &look); got != in[look] {
				t.Fatalf("seed %d: found slot %d, not %d", seed, got, in[look])
			}
		}
		for _, k := range keys {
			if got := x.find(&s, &k); got != in[k] {
				t.Fatalf("seed %d: in the end found slot %d, not %d", seed, got, in[k])
			}
		}
	}
}
