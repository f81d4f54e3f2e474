package api

import "testing"

// TestTrouble holds what *Now* and top put first to the words of serve's own status.
func TestTrouble(t *testing.T) {
	for _, x := range []struct {
		what, how string
		want      bool
	}{
		{"clients", "2 sessions on 127.0.0.1:5", false},
		{"clients", "are refused: the database does not answer", true},
		{"disk", "48 MiB recorded, 42 GiB free: 0 %", false},
		{"disk", "99 % used; FULL, nothing protected is reached", true},
		{"ledger", "5 leaves, 5 under the last checkpoint; 2 entries wait", false},
		{"ledger", "5 leaves, 0 under the last checkpoint; 900 entries wait, FOR TOO LONG", true},
		{"ledger", "5 leaves, 0 under the last checkpoint; 9 entries wait; it does not go on: no space", true},
		{"witness", "https://w.example cosigned 5 leaves", false},
		{"witness", "https://w.example cosigned 4 leaves; not the newest: it does not answer", true},
		{"checkpoint", "/mnt/c has the one of 4 leaves; not the newest: no such folder", true},
		{"source zendesk", "answers", false},
		{"source zendesk", "covers nothing: 401", true},
		{"failed", "s001-1/lock, 3 attempts: no answer", true},
		{"sealed", "b waits for 2 shares of its keys: sallyport keys unseal", true},
		{"gateways", "2 of 2 are here: a, b", false},
		{"gateways", "1 of 2 are here: a", true},
		{"leavers", "3 may not work, and their lock waits for a second person", true},
		{"files", "another configuration was approved; it holds from the next start of serve on", false},
		{"files", "those on disk are not approved, the approved ones hold", true},
		{"detects", "reads along, 2 lines found since the start", false},
		{"detects", "nobody looks for insiders (detect.off)", true},
		{"reports", "9 confirmed, 0 open, 0 denied; 0 messages were refused since the start", false},
		{"reports", "cannot be read: no such file", true},
		{"history", "has 5 of 5 entries", false},
	} {
		if got := (Standby{x.what, x.how}).Trouble(); got != x.want {
			t.Errorf("%s: %s: %v", x.what, x.how, got)
		}
	}
}
