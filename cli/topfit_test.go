package cli

import (
	"testing"
)

// TestTopFits: lines are cut to the window, and what is too long for it ends before.
func TestTopFits(t *testing.T) {
	if got := fitted("12345678901\n2\n3\n4", 10, 3); got != "12345678…\n2" {
		t.Errorf("%q does not fit", got)
	}
}
