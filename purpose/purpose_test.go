package purpose

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sallyport"
)

func TestCoverHoldsAllOfTheCustomer(t *testing.T) {
	w := newWorld(t, Options{})
	id := w.open(router, "s001")
	w.around("INSERT INTO support.tickets VALUES (1, 'ZQ-1', 1, 's002', 'closed', 'old subject', now()), (2, 'ZQ-2', 2, 's001', 'open', 'of another', now())",
		"INSERT INTO support.messages VALUES (1, 1, 'customer', 'old body'), (2, 2, 'customer', 'body of another')",
		"UPDATE support.customers SET phone = NULL WHERE id = 1")
	cover := w.resolve(adam, fmt.Sprintf("ticket:%d", id))
	want := strings.Join([]string{
		"2900-01-02=customers.birth_date@1",
		"ZQ-1=tickets.ticket_no@1",
		"ZQ-4701=tickets.ticket_no@1",
		"code1   =customers.code@1", // char(8), as the wire shows it
		"mail 1=customers.email@1",
		"name 1=customers.full_name@1",
		"old body=messages.body@1",
		"old subject=tickets.subject@1",
		"subject 4701=tickets.subject@1",
	}, "\n")
	if diff := cmp.Diff(want, texts(cover)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]sallyport.Subject{"1"}, cover.Subjects); diff != "" {
		t.Error(diff)
	}
	if got := cover.Values["mail 1"].Scheme; got != sallyport.Email {
		t.Errorf("the scheme is %s", got)
	}
	// The number's token names the ticket too.
	if byNumber := w.resolve(adam, "ticket:ZQ-4701"); texts(byNumber) != texts(cover) {
		t.Errorf("by number: %+v", byNumber)
	}
	w.around("INSERT INTO support.tickets VALUES (3, 'ZQ-4701', 3, 's001', 'open', 'x', now())")
	w.later()
	checkRefused(t, "two tickets with one number", w.resolve(adam, "ticket:ZQ-4701"), "several tickets")
	checkRefused(t, "an unknown number", w.resolve(adam, "ticket:ZQ-0000"), "no such ticket")
	checkRefused(t, "an id beyond bigint", w.resolve(adam, "ticket:9999999999999999999"), "no such ticket")
	checkRefused(t, "quotes", w.resolve(adam, `ticket:' OR true --`), "no such ticket")
}

// char(n) pads what it holds, and a cast to character without a length would cut it.
func TestPaddedColumns(t *testing.T) {
	w := newWorld(t, Options{})
	w.around("ALTER TABLE support.tickets ALTER assignee TYPE char(12), ALTER state TYPE char(8)",
		"ALTER TABLE support.contacts ALTER staff TYPE char(12), ALTER direction TYPE char(5)")
	if _, err := w.catalog.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.insert(1, "s001")
	w.around("INSERT INTO support.contacts VALUES (1, 1, NULL, 'in', 's001', '" + opened + "')")
	w.baseline()
	checkRefused(t, "from the baseline", w.resolve(adam, "ticket:1"), "")
	checkRefused(t, "the work list", w.resolve(adam, "work:mine"), "")
	w.set(adam, 1, "assignee = 's002'", wroteAssignee)
	w.set(adam, 1, "assignee = 's001'", wroteAssignee)
	w.later()
	checkRefused(t, "with a contact", w.resolve(adam, "ticket:1"), "")
}

func TestUncommittedChangesDoNotCount(t *testing.T) {
	w := newWorld(t, Options{})
	id := w.open(router, "s002")
	w.around("BEGIN")
	w.set(router, id, "assignee = 's001'", wroteAssignee) // told too early, to show that the database is asked as well
	checkRefused(t, "not committed", w.resolve(adam, fmt.Sprintf("ticket:%d", id)), "somebody else's")
	w.around("COMMIT")
	w.later()
	checkRefused(t, "committed", w.resolve(adam, fmt.Sprintf("ticket:%d", id)), "")
}

func TestRefusedKinds(t *testing.T) {
	w := newWorld(t, Options{})
	w.open(router, "s001")
	for _, c := range []struct {
		who           Person
		purpose, want string
	}{
		{adam, "call:1", "give ticket:NUMBER, ticket:ID or work:mine"},
		{adam, "job:1", "give ticket:NUMBER, ticket:ID or work:mine"},
		{adam, "grant:g1", "give ticket:NUMBER, ticket:ID or work:mine"},
		{adam, "own:1", "give ticket:NUMBER, ticket:ID or work:mine"},
		{adam, "TICKET:4701", "give ticket:NUMBER, ticket:ID or work:mine"},
		{adam, "work:s002", "the work list has one form"},
		{Person{Staff: "login:s001", Logins: []string{"s001"}}, "ticket:4701", "belongs to nobody"},
		{Person{Logins: []string{"s001"}}, "work:mine", "belongs to nobody"},
	} {
		checkRefused(t, c.purpose, w.resolve(c.who, c.purpose), c.want)
	}
}

func TestHelp(t *testing.T) {
	w := newWorld(t, Options{})
	foreign := w.open(router, "s002")
	for _, c := range []struct {
		what string
		make func()
		want string
	}{
		{"no ticket of his own", func() {}, ""},
		{"one that he made himself", func() { w.open(adam, "s001") }, ""},
		{"one of another customer", func() { w.set(router, w.open(router, "s001"), "customer_id = 2", wroteCustomer) }, ""},
		{"one", func() { w.open(router, "s001") }, "SET sallyport.purpose = 'ticket:4704';"},
		{"an older one", func() {
			w.set(router, w.open(router, "s001"), "opened_at = opened_at - interval '1 day'")
		}, "SET sallyport.purpose = 'ticket:4704';"},
		{"a newer one", func() {
			w.set(router, w.open(router, "s001"), "opened_at = opened_at + interval '1 day'")
		}, "SET sallyport.purpose = 'ticket:4706';"},
	} {
		c.make()
		w.later()
		cover := w.resolve(adam, fmt.Sprintf("ticket:%d", foreign))
		if cover.Help != c.want || cover.Refused == "" {
			t.Errorf("%s: got %q, want %q", c.what, cover.Help, c.want)
		}
		id, ok := w.resolver.OwnTicket(t.Context(), adam, "1")
		if want := strings.TrimSuffix(strings.TrimPrefix(c.want, "SET sallyport.purpose = 'ticket:"), "';"); id != want || ok != (want != "") {
			t.Errorf("%s: the own ticket is %q, %v, want %q", c.what, id, ok, want)
		}
	}
	// A self-made ticket with a contact counts for the hint as it does for the purpose.
	w.around("UPDATE support.tickets SET state = 'closed'")
	w.open(adam, "s001")
	w.contact(phone, "in", "s001", 0, 0, 1)
	w.later()
	if id, ok := w.resolver.OwnTicket(t.Context(), adam, "1"); !ok || id != "4707" {
		t.Errorf("the own ticket is %q, %v", id, ok)
	}
	for _, subject := range []sallyport.Subject{"", "77"} {
		if id, ok := w.resolver.OwnTicket(t.Context(), adam, subject); ok || id != "" {
			t.Errorf("customer %q has the own ticket %q", subject, id)
		}
	}
}

func TestWorkList(t *testing.T) {
	w := newWorld(t, Options{})
	checkRefused(t, "nothing to do", w.resolve(adam, "work:mine"), "you have no open ticket")
	w.open(adam, "s001") // 4701, customer 1
	w.later()
	checkRefused(t, "only a ticket of his own making", w.resolve(adam, "work:mine"), "none of your open tickets counts: you opened ticket 4701 yourself")

	w.set(lead, w.open(router, "s001"), "customer_id = 2", wroteCustomer)                     // 4702: counts
	w.set(lead, w.open(router, "s001_adm"), "customer_id = 3", wroteCustomer)                 // 4703: counts
	w.set(lead, w.open(router, "s002"), "customer_id = 4", wroteCustomer)                     // 4704: bea's
	w.set(bea, w.open(router, "s001"), "state = 'closed', customer_id = 5", "state")          // 4705: closed
	w.around("INSERT INTO support.tickets VALUES (6, 'ZQ-6', 2, 's002', 'open', 'x', now())") // another one of customer 2
	w.later()
	cover := w.resolve(adam, "work:mine")
	want := strings.Join([]string{
		"ZQ-4702=tickets.ticket_no@2", "ZQ-4703=tickets.ticket_no@3", "name 2=customers.full_name@2", "name 3=customers.full_name@3",
	}, "\n")
	if diff := cmp.Diff(want, texts(cover)); diff != "" {
		t.Error(diff)
	}
	if len(cover.Subjects) != 2 {
		t.Errorf("covers %v", cover.Subjects)
	}
	// A call makes the first ticket count.
	w.contact(phone, "in", "", 4701, 0, 1)
	w.later()
	if cover := w.resolve(adam, "work:mine"); cover.Values["name 1"].Subject != "1" || cover.Values["ZQ-4701"].Subject != "1" {
		t.Errorf("a supported ticket is missing in %s", texts(cover))
	}
}

func TestAnswersGrowOld(t *testing.T) {
	w := newWorld(t, Options{})
	id := w.open(router, "s001")
	purpose := fmt.Sprintf("ticket:%d", id)
	first := w.resolve(adam, purpose)
	w.around(fmt.Sprintf("UPDATE support.tickets SET state = 'closed' WHERE id = %d", id))
	if again := w.resolve(adam, purpose); again != first {
		t.Error("an answer within its second was looked up again")
	}
	if other := w.resolve(bea, purpose); other.Refused == "" {
		t.Error("one person got another's answer")
	}
	w.clock.Add(int64(time.Second))
	checkRefused(t, "a second later", w.resolve(adam, purpose), "is closed")

	// A refusal ends with the next fact, within the same second.
	w.set(router, id, "state = 'open'", wroteState)
	checkRefused(t, "given back at once", w.resolve(adam, purpose), "")
	w.later()
	w.resolve(bea, "work:mine")
	if n := len(w.resolver.answers); n != 1 {
		t.Errorf("%d answers are kept after an hour", n)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	w := newWorld(t, Options{})
	id := w.open(router, "s001")
	covers := make([]*Cover, 32)
	var wg sync.WaitGroup
	for i := range covers {
		wg.Go(func() { covers[i] = w.resolve(adam, fmt.Sprintf("ticket:%d", id)) })
	}
	wg.Wait()
	for _, c := range covers {
		if c == nil || c != covers[0] || c.Refused != "" {
			t.Fatal("the same question was answered twice")
		}
	}
}

// TestNoDatabaseNoReveal: whatever goes wrong below, nothing is covered, and the error holds no value.
func TestNoDatabaseNoReveal(t *testing.T) {
	w := newWorld(t, Options{Timeout: 300 * time.Millisecond})
	id := w.open(router, "s001")
	p := sallyport.Purpose{Kind: "ticket", Ref: fmt.Sprint(id)}
	w.around("BEGIN", "LOCK TABLE support.messages")
	if cover, err := w.resolver.Resolve(t.Context(), adam, p); err == nil || cover != nil || !strings.Contains(err.Error(), "57014") {
		t.Errorf("a locked table: %v, %v", cover, err)
	}
	w.around("ROLLBACK")
	if cover, err := w.resolver.Resolve(t.Context(), adam, p); err != nil || cover.Refused != "" {
		t.Errorf("an error was kept: %v", err)
	}
	w.around("REVOKE SELECT ON support.customers FROM " + w.reader.User)
	w.later()
	if cover, err := w.resolver.Resolve(t.Context(), adam, p); err == nil || cover != nil || !strings.Contains(err.Error(), "42501") {
		t.Errorf("a table that may not be read: %v, %v", cover, err)
	}
	if _, ok := w.resolver.OwnTicket(t.Context(), bea, "1"); ok {
		t.Error("a hint out of nothing")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	w := newWorld(t, Options{})
	id := w.open(router, "s001")
	before := goleak.IgnoreCurrent()
	r, err := New(w.reader, w.catalog.Snapshot, config(), w.facts, Options{Services: services()})
	if err != nil {
		t.Fatal(err)
	}
	if cover, err := r.Resolve(t.Context(), adam, sallyport.Purpose{Kind: "ticket", Ref: fmt.Sprint(id)}); err != nil || cover.Refused != "" {
		t.Errorf("%+v, %v", cover, err)
	}
	r.Close()
	goleak.VerifyNone(t, before)
}

func TestReaderCannotWrite(t *testing.T) {
	w := newWorld(t, Options{})
	w.around("GRANT ALL ON ALL TABLES IN SCHEMA support TO " + w.reader.User)
	conn, err := w.resolver.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "DELETE FROM support.contacts"); err == nil || !strings.Contains(err.Error(), "25006") {
		t.Errorf("the resolver's connection wrote: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*Config)
		want   []string
	}{
		{"the reference", func(*Config) {}, nil},
		{"nothing", func(c *Config) { *c = Config{} }, nil},
		{"no contacts", func(c *Config) { c.Contact = ContactSource{} }, nil},
		{"contacts only", func(c *Config) { c.Ticket = TicketSource{} }, []string{"contact"}},
		{"a person as a router", func(c *Config) { c.Ticket.Routers = append(c.Ticket.Routers, "s001") }, []string{"ticket.routers[1]"}},
		{"a person as a writer", func(c *Config) { c.Contact.Writers = []sallyport.Staff{"s001"} }, []string{"contact.writers[0]"}},
		{"no columns", func(c *Config) { c.Ticket.Assignee, c.Contact.At = "", "" }, []string{"contact.at", "ticket.assignee"}},
		{"no states", func(c *Config) { c.Ticket.Open, c.Contact.Incoming = nil, nil }, []string{"contact.incoming", "ticket.open"}},
		{"a table without a schema", func(c *Config) { c.Ticket.Table = "tickets" }, []string{"ticket.table"}},
	} {
		changed := config()
		c.change(&changed)
		var got []string
		for _, p := range changed.Check(services()) {
			got = append(got, p.Path)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
	}
	w := newWorld(t, Options{})
	wrong := config()
	wrong.Ticket.Assignee = "owner"
	if _, err := New(w.reader, w.catalog.Snapshot, wrong, NewFacts(), Options{Services: services()}); err == nil || !strings.Contains(err.Error(), `no column "owner"`) {
		t.Errorf("a column that is not there: %v", err)
	}
}
