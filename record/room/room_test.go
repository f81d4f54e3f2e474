package room

import "testing"

// TestRoomLevels holds the levels to figures.
func TestRoomLevels(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		name   string
		use    Use
		before Level
		want   Level
	}{
		{"a large disk", Use{Used: 32 * mib, Free: 100 * gib, Floor: UsualMinFree}, Fine, Fine},
		{"most is reached by half", Use{Used: 512 * mib, Free: 100 * gib, Most: gib, Floor: UsualMinFree}, Fine, Fine},
		{"at 80", Use{Used: 820 * mib, Free: 100 * gib, Most: gib, Floor: UsualMinFree}, Fine, Low},
		{"at 90", Use{Used: 925 * mib, Free: 100 * gib, Most: gib, Floor: UsualMinFree}, Low, Last},
		{"a sixteenth below the most", Use{Used: 961 * mib, Free: 100 * gib, Most: gib, Floor: UsualMinFree}, Last, Full},
		{"full, and not a segment below that yet", Use{Used: 950 * mib, Free: 100 * gib, Most: gib, Floor: UsualMinFree}, Full, Full},
		{"full, and a segment below that", Use{Used: 943 * mib, Free: 100 * gib, Most: gib, Floor: UsualMinFree}, Full, Last},
		{"the disk is what ends first", Use{Used: 800 * mib, Free: 400 * mib, Floor: UsualMinFree}, Fine, Low},
		{"the floor", Use{Used: 800 * mib, Free: 255 * mib, Floor: UsualMinFree}, Last, Full},
		{"a floor of one's own", Use{Used: 800 * mib, Free: 2 * gib, Floor: 3 * gib}, Fine, Full},
		{"nothing recorded on a full disk", Use{Free: 0, Floor: UsualMinFree}, Fine, Full},
	} {
		if got := c.use.At(c.before); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
