package api

import (
	"fmt"
	"testing"
	"time"

	"sallyport"
)

// TestManyLocks: who has locked many within the hour only proposes the next, which bites once another person approves it.
func TestManyLocks(t *testing.T) {
	r := start(t)
	lead, other := NewClient(r.path, "s050", password), NewClient(r.path, "s060", password)
	defer lead.Close()
	defer other.Close()
	for i := range DefaultLocks {
		if proposal, err := lead.TryLock(t.Context(), sallyport.Staff(fmt.Sprintf("login:x%d", i)), "test"); err != nil || proposal != "" {
			t.Fatalf("lock %d: %q, %v", i, proposal, err)
		}
	}
	if proposal, err := lead.TryLock(t.Context(), "login:x3", "test"); err != nil || proposal != "" {
		t.Errorf("one who is locked already: %q, %v", proposal, err)
	}
	if err := lead.Lock(t.Context(), "s001", "test"); err == nil || r.state.Standing("s001").Locked {
		t.Errorf("one more: %v, locked: %v", err, r.state.Standing("s001").Locked)
	}
	proposal, err := lead.TryLock(t.Context(), "svc_billing", "test")
	if err != nil || proposal == "" {
		t.Fatalf("one more: %q, %v", proposal, err)
	}
	if _, err := lead.Approve(t.Context(), proposal); err == nil || r.state.Standing("svc_billing").Locked {
		t.Errorf("by himself: %v", err)
	}
	if _, err := other.Approve(t.Context(), proposal); err != nil || !r.state.Standing("svc_billing").Locked {
		t.Errorf("by another: %v", err)
	}
	if proposal, err := other.TryLock(t.Context(), "s051", "test"); err != nil || proposal != "" {
		t.Errorf("somebody else's first: %q, %v", proposal, err)
	}
	r.clock.add(time.Hour)
	if proposal, err := lead.TryLock(t.Context(), "s001", "test"); err != nil || proposal != "" || !r.state.Standing("s001").Locked {
		t.Errorf("an hour later: %q, %v", proposal, err)
	}
}
