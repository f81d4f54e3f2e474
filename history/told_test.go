package history

import (
	"slices"
	"testing"
)

// TestStretches: what is wanted and what the store does not cover is read, each once and in order, and long stretches of which nothing is wanted are not.
func TestStretches(t *testing.T) {
	found := Found{From: 100, To: 1_000_000, Entries: []uint64{150, 151, 90_000, 600_000, 999_999}}
	for _, c := range []struct {
		what        string
		f           Found
		after, last uint64
		want        []stretch
	}{
		{"all", found, 0, 1_000_100, []stretch{{1, 90_000}, {600_000, 600_000}, {999_999, 1_000_100}}},
		{"after some", found, 500_000, 700_000, []stretch{{600_000, 600_000}}},
		{"what is behind the store", found, 999_999, 1_000_002, []stretch{{1_000_001, 1_000_002}}},
		{"nothing is wanted", Found{From: 1, To: 1_000_000}, 0, 1_000_000, nil},
		{"no store", Found{From: 1}, 7, 300_000, []stretch{{8, 300_000}}},
		{"nothing came", found, 1_000_100, 1_000_100, nil},
	} {
		if got := c.f.stretches(c.after, c.last); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, expected %v", c.what, got, c.want)
		}
	}
}
