package purpose

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"sallyport"
)

// baseline does what protect does when protection begins.
func (w *world) baseline() {
	w.t.Helper()
	conn, err := pgx.ConnectConfig(w.t.Context(), w.reader)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close(w.t.Context()) }()
	err = Baseline(w.t.Context(), conn, config(), w.catalog.Snapshot(), func(facts []sallyport.Fact) error {
		w.facts.Apply(&sallyport.Event{Kind: sallyport.FactKind, Note: BaselineNote, Facts: facts})
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestBaseline(t *testing.T) {
	w := newWorld(t, Options{})
	w.around(`INSERT INTO support.tickets SELECT i, 'ZQ-' || i, 1, CASE WHEN i % 2 = 0 THEN 's001' END, CASE WHEN i % 3 = 0 THEN 'closed' ELSE 'open' END, 's', now()
		FROM generate_series(1, 3500) i`,
		`INSERT INTO support.contacts VALUES (1, 1, 4, 'in', 's001', '2026-03-01 12:00:00.123456+00'), (2, 1, NULL, 'out', NULL, '2026-02-28 12:00:00+00'),
			(3, 1, NULL, 'in', NULL, '2026-02-27 11:00:00+00')`)
	conn, err := pgx.ConnectConfig(t.Context(), w.reader)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var sizes []int
	tickets, contacts := 0, []sallyport.Fact(nil)
	var last sallyport.Fact
	err = Baseline(t.Context(), conn, config(), w.catalog.Snapshot(), func(facts []sallyport.Fact) error {
		sizes = append(sizes, len(facts))
		for _, f := range facts {
			if f.Table == ContactTable {
				contacts = append(contacts, f)
				continue
			}
			tickets++
			if last = f; !f.Open {
				t.Errorf("ticket %s is closed", f.ID)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1000, 1000, 336}, sizes); diff != "" {
		t.Error(diff)
	}
	all := []string{wroteCustomer, wroteAssignee, wroteState}
	if diff := cmp.Diff(sallyport.Fact{Table: TicketTable, ID: "3500", Customer: "1", Assignee: "s001", Open: true, Wrote: all}, last); diff != "" {
		t.Error(diff)
	}
	want := []sallyport.Fact{
		{Table: ContactTable, ID: "1", Customer: "1", Assignee: "s001", Ticket: "4", Incoming: true, At: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC), Wrote: all},
		{Table: ContactTable, ID: "2", Customer: "1", At: time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC), Wrote: all},
	}
	if diff := cmp.Diff(want, contacts); diff != "" {
		t.Error(diff)
	}
	if tickets != 2334 {
		t.Errorf("%d tickets", tickets)
	}
	// The transaction is over, and an error of the caller's comes back.
	full := fmt.Errorf("disk full")
	if err := Baseline(t.Context(), conn, config(), w.catalog.Snapshot(), func([]sallyport.Fact) error { return full }); err == nil {
		t.Error("an error while writing was lost")
	}
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Error(err)
	}
}

func TestFold(t *testing.T) {
	const a, b = sallyport.Staff("a"), sallyport.Staff("b")
	by := func(s sallyport.Staff) attestor { return attestor{staff: s} }
	type write struct {
		who                sallyport.Staff
		customer, assignee string
		open               bool
		wrote              string // c, a, s
	}
	for _, c := range []struct {
		what   string
		writes []write
		want   [3]attestor // customer, assignee, state
	}{
		{"an insert", []write{{a, "1", "x", true, "cas"}}, [3]attestor{by(a), by(a), by(a)}},
		{"a part of something unknown", []write{{a, "1", "x", true, "a"}}, [3]attestor{{}, by(a), {}}},
		{"another value", []write{{a, "1", "x", true, "cas"}, {b, "1", "y", true, "a"}}, [3]attestor{by(a), by(b), by(a)}},
		{"the same value", []write{{a, "1", "x", true, "cas"}, {b, "1", "x", true, "cas"}}, [3]attestor{by(a), by(a), by(a)}},
		{"there and back", []write{{a, "1", "x", true, "cas"}, {b, "1", "y", true, "a"}, {b, "1", "x", true, "a"}}, [3]attestor{by(a), by(b), by(a)}},
		{"changed unseen", []write{{a, "1", "x", true, "cas"}, {b, "2", "x", false, "a"}}, [3]attestor{{}, by(a), {}}},
		{"changed unseen, then written", []write{{a, "1", "x", true, "cas"}, {b, "2", "x", true, "a"}, {b, "2", "x", true, "c"}}, [3]attestor{by(b), by(a), by(a)}},
		{"nobody's word", []write{{"", "1", "x", true, "cas"}}, [3]attestor{}},
	} {
		f := NewFacts()
		for _, w := range c.writes {
			fact := sallyport.Fact{Table: TicketTable, ID: "7", Customer: sallyport.Subject(w.customer), Assignee: w.assignee, Open: w.open}
			for _, part := range w.wrote {
				fact.Wrote = append(fact.Wrote, map[rune]string{'c': wroteCustomer, 'a': wroteAssignee, 's': wroteState}[part])
			}
			f.Apply(&sallyport.Event{Kind: sallyport.FactKind, Who: sallyport.Who{Staff: w.who}, Facts: []sallyport.Fact{fact}})
		}
		got, ok := f.lookUpTicket("7")
		last := c.writes[len(c.writes)-1]
		if !ok || [3]attestor{got.byCustomer, got.byAssignee, got.byState} != c.want ||
			got.customer != last.customer || got.assignee != last.assignee || got.open != last.open {
			t.Errorf("%s: %+v", c.what, got)
		}
	}
}

// Ids are looked up as they are written: what PostgreSQL would take for the same number is not the same text.
func TestFoldIDs(t *testing.T) {
	f := NewFacts()
	ids := []string{"0", "7", "007", "+7", "9223372036854775807", "9223372036854775808", "99999999999999999999999", "a1b2", "", "\x00baseline"}
	for i, id := range ids {
		f.Apply(&sallyport.Event{Kind: sallyport.FactKind, Who: sallyport.Who{Staff: "a"}, Facts: []sallyport.Fact{
			{Table: TicketTable, ID: id, Customer: sallyport.Subject(fmt.Sprint(i)), Wrote: []string{wroteCustomer}},
		}})
	}
	for i, id := range ids {
		if got, ok := f.lookUpTicket(id); !ok || got.customer != fmt.Sprint(i) {
			t.Errorf("%q: %+v, %v", id, got, ok)
		}
	}
	for _, id := range []string{"1", "0007", "x"} {
		if _, ok := f.lookUpTicket(id); ok {
			t.Errorf("%q is known", id)
		}
	}
}

// Only the note with nobody in front is the baseline.
func TestBaselineCannotBeClaimed(t *testing.T) {
	for _, c := range []struct {
		event sallyport.Event
		want  attestor
	}{
		{sallyport.Event{Kind: sallyport.FactKind, Note: BaselineNote}, attestor{baseline: true}},
		{sallyport.Event{Kind: sallyport.FactKind, Note: BaselineNote, Who: sallyport.Who{Staff: "s001"}}, attestor{staff: "s001"}},
		{sallyport.Event{Kind: sallyport.FactKind, Who: sallyport.Who{Staff: BaselineNote}}, attestor{staff: BaselineNote}},
		{sallyport.Event{Kind: sallyport.FactKind, Note: "something"}, attestor{}},
	} {
		f := NewFacts()
		c.event.Facts = []sallyport.Fact{{Table: TicketTable, ID: "1", Wrote: []string{wroteCustomer}}}
		f.Apply(&c.event)
		if got, _ := f.lookUpTicket("1"); got.byCustomer != c.want {
			t.Errorf("%+v: attested by %+v", c.event.Who, got.byCustomer)
		}
	}
	f := NewFacts()
	f.Apply(&sallyport.Event{Kind: sallyport.StatementKind, Facts: []sallyport.Fact{{Table: TicketTable, ID: "1"}}})
	if _, ok := f.lookUpTicket("1"); ok || f.Version() != 0 {
		t.Error("an event of another kind is no fact")
	}
}

func TestOldContactsAreForgotten(t *testing.T) {
	f := NewFacts()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for day := range 100 {
		now := start.AddDate(0, 0, day)
		f.Apply(&sallyport.Event{Kind: sallyport.FactKind, Time: now, Facts: []sallyport.Fact{{Table: ContactTable, ID: fmt.Sprint(day), At: now}}})
	}
	if n := len(f.contacts); n != 32 {
		t.Errorf("%d contacts are kept", n)
	}
}

// A company of millions has millions of tickets, and the facts stay in memory.
func TestFactsAreLean(t *testing.T) {
	const n = 400_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	f := NewFacts()
	all := []string{wroteCustomer, wroteAssignee, wroteState}
	batch := make([]sallyport.Fact, 1000)
	for i := 0; i < n; i += len(batch) {
		for j := range batch {
			batch[j] = sallyport.Fact{
				Table: TicketTable, ID: fmt.Sprint(i + j), Customer: sallyport.Subject(fmt.Sprint((i + j) * 7)), Assignee: fmt.Sprintf("s%03d", j%60), Wrote: all,
			}
		}
		f.Apply(&sallyport.Event{Kind: sallyport.FactKind, Who: sallyport.Who{Staff: "svc_router"}, Facts: batch})
	}
	each := (heap() - before) / n
	t.Logf("%d bytes a ticket", each)
	if each > 150 {
		t.Errorf("a ticket takes %d bytes", each)
	}
	runtime.KeepAlive(f)
}
