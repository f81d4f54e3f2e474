package serve

import (
	"testing"
)

// TestLogInDiff shows in a difference whose passwords count: those are people, not secrets.
func TestLogInDiff(t *testing.T) {
	for key, want := range map[string]string{"login.passwords[0]": "s050", "people.s050.password": "(not shown)", "login.people.passwords[0]": "(not shown)"} {
		if got := shown(key, "s050"); got != want {
			t.Errorf("%s: %s", key, got)
		}
	}
}
