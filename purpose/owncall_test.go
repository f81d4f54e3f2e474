package purpose

import (
	"fmt"
	"testing"
	"time"
)

// TestOwnCall: a contact of the protected database is a call of who took it, by the telephony's word alone, and for a while.
func TestOwnCall(t *testing.T) {
	at, err := time.Parse("2006-01-02 15:04:05-07", opened)
	if err != nil {
		t.Fatal(err)
	}
	now := at.Add(10 * time.Minute)
	w := newWorldOf(t, Options{Clock: func() time.Time { return now }}, func(c *Config) { c.Kinds = map[string]Kind{"call": {Source: OwnContacts, After: "20m"}} })
	refused := func(who Person, id int, want string) {
		t.Helper()
		w.later()
		cover := w.resolve(who, fmt.Sprintf("call:%d", id))
		if cover.Refused != want {
			t.Errorf("%d: %q, want %q", id, cover.Refused, want)
		}
		if want == "" && (len(cover.Subjects) != 1 || len(cover.Values) == 0 || !cover.Reason.Mine || !cover.Reason.Contacted || cover.Reason.OpenedByProgram != "svc_phone") {
			t.Errorf("%d: %v %+v", id, cover.Subjects, cover.Reason)
		}
	}
	call := func(n int, suffix string) string { return fmt.Sprintf("call %d %s", n, suffix) }
	good := w.contact(phone, "in", "s001", 0, 5, 2)
	refused(adam, good, "")
	refused(bea, good, call(good, "is somebody else's"))
	byHimself := w.contact(adam, "in", "s001", 0, 5, 2)
	refused(adam, byHimself, call(byHimself, "was written down by an account whose word about calls does not count"))
	byOther := w.contact(bea, "in", "s001", 0, 5, 2)
	refused(adam, byOther, call(byOther, "was written down by an account whose word about calls does not count"))
	byService := w.contact(biller, "in", "s001", 0, 5, 2)
	refused(adam, byService, call(byService, "was written down by an account whose word about calls does not count"))
	out := w.contact(phone, "out", "s001", 0, 5, 2)
	refused(adam, out, call(out, "was begun by us, and nobody else arranged it"))
	nobodys := w.contact(phone, "in", "", 0, 5, 2)
	refused(adam, nobodys, call(nobodys, "is assigned to nobody"))
	w.around(fmt.Sprintf("UPDATE support.contacts SET staff = 's001' WHERE id = %d", nobodys))
	refused(adam, nobodys, fmt.Sprintf("nobody is on record for call %d as it stands there", nobodys))
	w.around(fmt.Sprintf("UPDATE support.contacts SET customer_id = 3 WHERE id = %d", good))
	refused(adam, good, fmt.Sprintf("nobody is on record for call %d as it stands there", good))
	w.around(fmt.Sprintf("UPDATE support.contacts SET customer_id = 2 WHERE id = %d", good))
	refused(adam, good, "")
	refused(adam, 999, "there is no such call")
	now = at.Add(26 * time.Minute)
	refused(adam, good, call(good, "is over"))
	now = at.Add(2 * time.Minute)
	refused(adam, good, call(good, "has not begun"))
	if got := w.resolve(adam, "call:x-1").Refused; got != "there is no such call" {
		t.Error(got)
	}
}
