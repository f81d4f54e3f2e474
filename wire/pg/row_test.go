package pg

import (
	"errors"
	"slices"
	"testing"
)

// TestRowFront reads rows whose end is not as it should be: where all fields are asked for that is found.
func TestRowFront(t *testing.T) {
	whole := AppendDataRow(nil, [][]byte{[]byte("one"), nil, []byte("three")})
	longer := append(slices.Clone(whole), 0)
	shorter := slices.Clone(whole[:len(whole)-1])
	fewer := slices.Clone(whole)
	fewer[HeaderLen+1] = 4 // fields, of which three are there
	for _, c := range []struct {
		what   string
		m      []byte
		most   int
		fields int // −1: malformed
	}{
		{"whole", whole, 3, 3},
		{"whole, more asked for", whole, 9, 3},
		{"whole, its front", whole, 2, 2},
		{"whole, nothing of it", whole, 0, 0},
		{"longer", longer, 3, -1},
		{"longer, more asked for", longer, 9, -1},
		{"shorter", shorter, 3, -1},
		{"fewer", fewer, 4, -1},
		{"fewer, its front", fewer, 3, 3},
		{"no count", whole[:HeaderLen+1], 3, -1},
	} {
		fields, rest, count, err := ParseDataRowFront(nil, c.m, c.most)
		if c.fields < 0 {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %d fields, %v", c.what, len(fields), err)
			}
			continue
		}
		if err != nil || len(fields) != c.fields {
			t.Errorf("%s: %d fields, %v", c.what, len(fields), err)
			continue
		}
		if got := AppendDataRowFront(nil, fields, rest, count); c.m[0] == DataRow && !slices.Equal(got[HeaderLen:], c.m[HeaderLen:]) {
			t.Errorf("%s: becomes %x", c.what, got)
		}
	}
}
