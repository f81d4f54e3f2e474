package serve

import (
	"testing"
)

// TestStrangersAreTold: what the server hides of a session does not stand in the sentence as a gap.
func TestStrangersAreTold(t *testing.T) {
	for want, s := range map[string]stranger{
		"role dba has a session around the gateway, process 7 from 10.0.0.1, since 2026-03-02T10:00:00Z": {pid: 7, login: "dba", from: "10.0.0.1", began: "2026-03-02T10:00:00Z"},
		"role dba has a session around the gateway, process 7":                                           {pid: 7, login: "dba"},
	} {
		if got := s.says(); got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}
