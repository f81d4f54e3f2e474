package purpose

import (
	"fmt"
	"strings"
	"testing"
)

// TestTicketRules has a row for each case of docs/purposes.md, and for each attack on it. adam asks for his ticket.
func TestTicketRules(t *testing.T) {
	w := newWorld(t, Options{})
	const valid = ""
	for _, c := range []struct {
		what string
		make func() int // returns the ticket
		want string     // a part of the refusal
	}{
		// Who gave it to him.
		{"opened and assigned by a colleague", func() int { return w.open(bea, "s001") }, valid},
		{"opened and assigned by the router", func() int { return w.open(router, "s001") }, valid},
		{"assigned to his other log-in", func() int { return w.open(router, "s001_adm") }, valid},
		{"opened by a colleague, assigned by the lead", func() int {
			id := w.open(bea, "")
			w.set(lead, id, "assignee = 's001'", wroteAssignee)
			return id
		}, valid},
		{"handed over", func() int {
			id := w.open(router, "s002")
			w.set(bea, id, "assignee = 's001'", wroteAssignee)
			return id
		}, valid},
		{"there when protection began", func() int {
			w.ids++
			w.insert(w.ids, "s001")
			w.baseline()
			return w.ids
		}, valid},
		{"pending is open", func() int {
			id := w.open(router, "s001")
			w.set(adam, id, "state = 'pending'", wroteState)
			return id
		}, valid},
		{"closed by himself, reopened by the router", func() int {
			id := w.open(router, "s001")
			w.set(adam, id, "state = 'closed'", wroteState)
			w.set(router, id, "state = 'open'", wroteState)
			return id
		}, valid},
		{"worked on by himself, nothing that matters", func() int {
			id := w.open(router, "s001")
			w.set(adam, id, "subject = 'x', customer_id = customer_id, assignee = 's001', state = 'open'", wroteCustomer, wroteAssignee, wroteState)
			return id
		}, valid},

		// What is no reason.
		{"closed", func() int {
			id := w.open(router, "s001")
			w.set(bea, id, "state = 'closed'", wroteState)
			return id
		}, "is closed"},
		{"somebody else's", func() int { return w.open(router, "s002") }, "is somebody else's"},
		{"nobody's", func() int { return w.open(router, "") }, "is assigned to nobody"},
		{"unknown", func() int { return 99999 }, "there is no such ticket"},

		// His own witness.
		{"opened by himself", func() int { return w.open(adam, "s001") }, "you opened ticket"},
		{"opened by himself with his other log-in", func() int {
			return w.open(Person{Staff: adam.Staff, Logins: []string{"s001_adm"}}, "s001")
		}, "you opened ticket"},
		{"taken by himself", func() int {
			id := w.open(router, "s002")
			w.set(adam, id, "assignee = 's001'", wroteAssignee)
			return id
		}, "you assigned ticket"},
		{"taken from nobody by himself", func() int {
			id := w.open(router, "")
			w.set(adam, id, "assignee = 's001'", wroteAssignee)
			return id
		}, "you assigned ticket"},
		{"passed from one log-in to his other", func() int {
			id := w.open(router, "s002")
			w.set(adam, id, "assignee = 's001_adm'", wroteAssignee)
			w.set(adam, id, "assignee = 's001'", wroteAssignee)
			return id
		}, "you assigned ticket"},
		{"given away and taken back", func() int {
			id := w.open(router, "s001")
			w.set(adam, id, "assignee = 's002'", wroteAssignee)
			w.set(adam, id, "assignee = 's001'", wroteAssignee)
			return id
		}, "you assigned ticket"},
		{"re-pointed to another customer by himself", func() int {
			id := w.open(router, "s001")
			w.set(adam, id, "customer_id = 2", wroteCustomer)
			return id
		}, "you opened ticket"},
		{"reopened by himself", func() int {
			id := w.open(router, "s001")
			w.set(router, id, "state = 'closed'", wroteState)
			w.set(adam, id, "state = 'open'", wroteState)
			return id
		}, "you reopened ticket"},
		{"closed and reopened by himself", func() int {
			id := w.open(router, "s001")
			w.set(adam, id, "state = 'closed'", wroteState)
			w.set(adam, id, "state = 'open'", wroteState)
			return id
		}, "you reopened ticket"},
		{"laundered by a colleague who writes the whole row again", func() int {
			id := w.open(adam, "s001")
			w.set(bea, id, "subject = 'x'", wroteCustomer, wroteAssignee, wroteState)
			return id
		}, "you opened ticket"},
		{"laundered by the baseline of a second start", func() int {
			id := w.open(adam, "s001")
			w.baseline()
			return id
		}, "you opened ticket"},

		// Accounts whose word does not count.
		{"opened by a service that routes nothing", func() int { return w.open(biller, "s001") }, "whose word about tickets does not count"},
		{"opened by the telephony", func() int { return w.open(phone, "s001") }, "whose word about tickets does not count"},
		{"opened by a log-in that is nobody's", func() int { return w.open(ghost, "s001") }, "whose word about tickets does not count"},

		// Around the gateway.
		{"made around the gateway", func() int {
			w.ids++
			w.insert(w.ids, "s001")
			return w.ids
		}, "nobody is on record as the author of ticket"},
		{"closed when the record began, then reopened by himself", func() int {
			w.ids++
			w.insert(w.ids, "s001")
			w.around(fmt.Sprintf("UPDATE support.tickets SET state = 'closed' WHERE id = %d", w.ids))
			w.set(adam, w.ids, "state = 'open'", wroteState)
			return w.ids
		}, "you reopened ticket"},
		{"assigned around the gateway", func() int {
			id := w.open(router, "s002")
			w.around(fmt.Sprintf("UPDATE support.tickets SET assignee = 's001' WHERE id = %d", id))
			return id
		}, "nobody is on record for the assignee of ticket"},
		{"re-pointed around the gateway", func() int {
			id := w.open(router, "s001")
			w.around(fmt.Sprintf("UPDATE support.tickets SET customer_id = 3 WHERE id = %d", id))
			return id
		}, "the customer of ticket"},
		{"reopened around the gateway", func() int {
			id := w.open(router, "s001")
			w.set(router, id, "state = 'closed'", wroteState)
			w.around(fmt.Sprintf("UPDATE support.tickets SET state = 'open' WHERE id = %d", id))
			return id
		}, "the state of ticket"},
		{"assigned around the gateway, then a colleague writes something else", func() int {
			id := w.open(router, "s002")
			w.around(fmt.Sprintf("UPDATE support.tickets SET assignee = 's001' WHERE id = %d", id))
			w.set(bea, id, "state = 'pending'", wroteState)
			return id
		}, "the assignee of ticket"},
		{"re-pointed around the gateway, then the router assigns", func() int {
			id := w.open(router, "s002")
			w.around(fmt.Sprintf("UPDATE support.tickets SET customer_id = 3 WHERE id = %d", id))
			w.set(router, id, "assignee = 's001'", wroteAssignee)
			return id
		}, "the customer of ticket"},
		{"made around the gateway, then the router assigns", func() int {
			w.ids++
			w.insert(w.ids, "")
			w.set(router, w.ids, "assignee = 's001'", wroteAssignee)
			return w.ids
		}, "the customer of ticket"},
		{"assigned around the gateway, then written whole by the router", func() int {
			id := w.open(router, "s002")
			w.around(fmt.Sprintf("UPDATE support.tickets SET assignee = 's001' WHERE id = %d", id))
			w.set(router, id, "subject = 'x'", wroteCustomer, wroteAssignee, wroteState)
			w.set(router, id, "subject = 'y'", wroteCustomer, wroteAssignee, wroteState)
			return id
		}, "the assignee of ticket"},
		{"re-pointed around the gateway, then written whole by the router", func() int {
			id := w.open(router, "s001")
			w.around(fmt.Sprintf("UPDATE support.tickets SET customer_id = 3 WHERE id = %d", id))
			w.set(router, id, "subject = 'x'", wroteCustomer, wroteAssignee, wroteState)
			return id
		}, "the customer of ticket"},
		{"reopened around the gateway, then set to pending by the router", func() int {
			id := w.open(router, "s001")
			w.set(router, id, "state = 'closed'", wroteState)
			w.around(fmt.Sprintf("UPDATE support.tickets SET state = 'open' WHERE id = %d", id))
			w.set(router, id, "state = 'pending'", wroteState)
			return id
		}, "the state of ticket"},
		{"assigned around the gateway, then by the router to another and back", func() int {
			id := w.open(router, "s002")
			w.around(fmt.Sprintf("UPDATE support.tickets SET assignee = 's001' WHERE id = %d", id))
			w.set(router, id, "assignee = 's002'", wroteAssignee)
			w.set(router, id, "assignee = 's001'", wroteAssignee)
			return id
		}, valid},
		{"made around the gateway, then written whole by the router", func() int {
			w.ids++
			w.insert(w.ids, "s001")
			w.set(router, w.ids, "subject = 'x'", wroteCustomer, wroteAssignee, wroteState)
			return w.ids
		}, "of ticket"},
		{"closed around the gateway", func() int {
			id := w.open(router, "s001")
			w.around(fmt.Sprintf("UPDATE support.tickets SET state = 'closed' WHERE id = %d", id))
			return id
		}, "is closed"},
		{"taken away around the gateway", func() int {
			id := w.open(router, "s001")
			w.around(fmt.Sprintf("UPDATE support.tickets SET assignee = 's002' WHERE id = %d", id))
			return id
		}, "is somebody else's"},
		{"deleted and made again around the gateway as another customer's", func() int {
			id := w.open(router, "s001")
			w.around(fmt.Sprintf("DELETE FROM support.tickets WHERE id = %d", id), fmt.Sprintf(
				"INSERT INTO support.tickets VALUES (%d, 'ZQ-%d', 4, 's001', 'open', 'x', '%s')", id, id, opened))
			return id
		}, "the customer of ticket"},
	} {
		id := c.make()
		w.later()
		cover := w.resolve(adam, fmt.Sprintf("ticket:%d", id))
		checkRefused(t, c.what, cover, c.want)
	}
}

// TestContactRules: adam opened the ticket himself; may a contact make it a reason?
func TestContactRules(t *testing.T) {
	w := newWorld(t, Options{})
	for _, c := range []struct {
		what string
		make func(ticket int)
		ok   bool
	}{
		{"no contact", func(int) {}, false},
		{"the telephony saw a call that adam took", func(id int) { w.contact(phone, "in", "s001", 0, -5, 1) }, true},
		{"that he took with his other log-in", func(id int) { w.contact(phone, "in", "s001_adm", 0, -5, 1) }, true},
		{"a mail that nobody took yet", func(id int) { w.contact(phone, "in", "", 0, -60, 1) }, true},
		{"a call that knows its ticket", func(id int) { w.contact(phone, "in", "s001", id, 10, 1) }, true},
		{"a call about another ticket", func(id int) { w.contact(phone, "in", "s001", w.open(router, "s002"), -5, 1) }, false},
		{"a call that bea took", func(id int) { w.contact(phone, "in", "s002", 0, -5, 1) }, false},
		{"a call of another customer", func(id int) { w.contact(phone, "in", "s001", 0, -5, 2) }, false},
		{"a call that adam made", func(id int) { w.contact(phone, "out", "s001", 0, -5, 1) }, false},
		{"24 hours before", func(id int) { w.contact(phone, "in", "s001", 0, -24*60, 1) }, true},
		{"a minute more", func(id int) { w.contact(phone, "in", "s001", 0, -24*60-1, 1) }, false},
		{"an hour after", func(id int) { w.contact(phone, "in", "s001", 0, 60, 1) }, true},
		{"a minute more than that", func(id int) { w.contact(phone, "in", "s001", 0, 61, 1) }, false},
		{"a contact that adam wrote", func(id int) { w.contact(adam, "in", "s001", 0, -5, 1) }, false},
		{"a contact that bea wrote for him", func(id int) { w.contact(bea, "in", "s001", 0, -5, 1) }, false},
		{"a contact that the router wrote", func(id int) { w.contact(router, "in", "s001", 0, -5, 1) }, false},
		{"a contact that stood there when protection began", func(id int) {
			w.ids++
			w.around(fmt.Sprintf("INSERT INTO support.contacts VALUES (%d, 1, NULL, 'in', NULL, '%s')", w.ids, opened))
			w.baseline()
		}, true},
		{"a contact around the gateway", func(id int) {
			w.ids++
			w.around(fmt.Sprintf("INSERT INTO support.contacts VALUES (%d, 1, NULL, 'in', 's001', '%s')", w.ids, opened))
		}, false},
		{"a contact re-pointed around the gateway", func(id int) {
			contact := w.contact(phone, "in", "s001", 0, -5, 2)
			w.around(fmt.Sprintf("UPDATE support.contacts SET customer_id = 1 WHERE id = %d", contact))
		}, false},
		{"a contact moved in time around the gateway", func(id int) {
			contact := w.contact(phone, "in", "s001", 0, -7*24*60, 1)
			w.around(fmt.Sprintf("UPDATE support.contacts SET at = '%s' WHERE id = %d", opened, contact))
		}, false},
		{"a contact turned round by adam", func(id int) {
			contact := w.contact(phone, "out", "s001", 0, -5, 1)
			w.around(fmt.Sprintf("UPDATE support.contacts SET direction = 'in' WHERE id = %d", contact))
			w.tellContact(adam, contact)
		}, false},
		{"a contact around the gateway that the telephony touches later", func(id int) {
			w.ids++
			w.around(fmt.Sprintf("INSERT INTO support.contacts VALUES (%d, 1, NULL, 'in', 's001', '%s')", w.ids, opened))
			w.tellContact(phone, w.ids)
		}, false},
		{"a genuine contact that adam touches without a change", func(id int) {
			contact := w.contact(phone, "in", "s001", 0, -5, 1)
			w.tellContact(adam, contact)
		}, true},
		{"messages of his own", func(id int) {
			w.ids++
			w.around(fmt.Sprintf("INSERT INTO support.messages VALUES (%d, %d, 'customer', 'please call me')", w.ids, id))
		}, false},
	} {
		w.around("DELETE FROM support.contacts") // of the cases before: their facts alone must not count either
		id := w.open(adam, "s001")
		c.make(id)
		w.later()
		want := "no contact of this customer supports it"
		if c.ok {
			want = ""
		}
		checkRefused(t, c.what, w.resolve(adam, fmt.Sprintf("ticket:%d", id)), want)
	}

	// A contact supports what he made, not what changed around the gateway.
	id := w.open(adam, "s001")
	w.contact(phone, "in", "s001", 0, -5, 1)
	w.around(fmt.Sprintf("UPDATE support.tickets SET customer_id = 2 WHERE id = %d", id))
	checkRefused(t, "supported, then re-pointed around the gateway", w.resolve(adam, fmt.Sprintf("ticket:%d", id)), "the customer of ticket")
	id = w.open(router, "s002")
	w.set(adam, id, "assignee = 's001'", wroteAssignee)
	w.later()
	checkRefused(t, "taken by himself after a call", w.resolve(adam, fmt.Sprintf("ticket:%d", id)), "")
}

func checkRefused(t *testing.T, what string, got *Cover, want string) {
	t.Helper()
	switch {
	case want == "" && got.Refused != "":
		t.Errorf("%s: refused: %s", what, got.Refused)
	case want == "" && (len(got.Subjects) == 0 || len(got.Values) == 0):
		t.Errorf("%s: covers nothing", what)
	case want != "" && !strings.Contains(got.Refused, want):
		t.Errorf("%s: got %q, want %q", what, got.Refused, want)
	case want != "" && (len(got.Subjects) > 0 || len(got.Values) > 0):
		t.Errorf("%s: refused, and covers %v", what, got.Subjects)
	}
}
