package cli

import (
	"testing"

	"sallyport/api"
)

// TestDecided says what became of a proposal in the words of the commands, also where it is about nobody.
func TestDecided(t *testing.T) {
	for _, c := range []struct {
		p    api.Proposal
		want string
	}{
		{api.Proposal{ID: "k3", Action: "unlock", About: "s017", Status: "approved"}, "k3: unlock s017 is approved."},
		{api.Proposal{ID: "k4", Action: "accept_mark", Status: "declined"}, "k4: accept-mark is declined."},
	} {
		if got := decided(c.p); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
