package serve

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
)

// kinds counts the ties and strays on record that name a customer.
func (f *fort) kinds(kind sallyport.EventKind, about int64) int {
	n := 0
	for _, e := range f.events() {
		if e.Kind == kind && slices.ContainsFunc(e.Ties, func(t sallyport.Tie) bool { return t.Subject == sallyport.Subject(fmt.Sprint(about)) }) {
			n++
		}
	}
	return n
}

// TestTiesHandles has a DBA put one customer's name and notes into the row of another, whom he may read: they are not revealed there, also
// after a restart and under a grant, and the record says so.
func TestTiesHandles(t *testing.T) {
	f := newFort(t, `
grants:
  standing:
    - {id: G1, for: s050, columns: [support.customers.full_name, support.customers.notes], customers: 1000, until: 2099-01-01T00:00:00Z, approved_by: [o1, o2]}
`)
	thief, ticket, own := f.hasTicket(0)
	agent, theirs, victim := f.hasTicket(1)
	if own.ID == victim.ID {
		t.Skip("both agents serve one customer")
	}
	read := func(id int64) string {
		return fmt.Sprintf("SELECT full_name, notes FROM support.customers WHERE id = %d", id)
	}
	a := f.connect(agent)
	a.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", theirs.ID))
	a.must(fmt.Sprintf("UPDATE support.customers SET notes = 'rang twice' WHERE id = %d", victim.ID))
	a.must("RESET sallyport.purpose")
	b := f.connect(agent)
	b.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", theirs.ID))
	within(t, 5*time.Second, "the victim's agent reads what stands there now", func() bool {
		return slices.Equal(b.must(read(victim.ID))[0], []string{victim.FullName, "rang twice"})
	})
	if f.kinds(sallyport.TieKind, victim.ID) == 0 {
		t.Error("no tie is on record")
	}

	f.superExec(f.database, fmt.Sprintf("UPDATE support.customers c SET full_name = v.full_name, notes = v.notes FROM support.customers v WHERE c.id = %d AND v.id = %d", own.ID, victim.ID))
	for _, when := range []string{"at once", "after a restart"} {
		c := f.connect(thief)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		for _, sql := range []string{read(own.ID), strings.Replace(read(own.ID), "full_name, notes", "upper(full_name), notes || ''", 1), fmt.Sprintf("SELECT to_json(c)::text, c::text FROM support.customers c WHERE id = %d", own.ID)} {
			for _, field := range c.must(sql)[0] {
				if strings.Contains(strings.ToLower(field), strings.ToLower(victim.FullName)) || strings.Contains(field, "rang twice") {
					t.Errorf("%s, %s: %q", when, sql, field)
				}
			}
		}
		if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", own.ID)); got != own.Email {
			t.Errorf("%s: what is the customer's own reads as %q", when, got)
		}
		if n := f.kinds(sallyport.StrayKind, own.ID); n == 0 {
			t.Errorf("%s: no stray token is on record", when)
		}
		f.restart()
	}

	g := f.connect("s050")
	if got := g.must(fmt.Sprintf("SELECT id, full_name, notes FROM support.customers WHERE id = %d", own.ID))[0]; got[1] == victim.FullName || got[2] == "rang twice" {
		t.Errorf("under a grant it reads %q", got)
	}
	if got := g.must(fmt.Sprintf("SELECT id, full_name, notes FROM support.customers WHERE id = %d", victim.ID))[0]; got[1] != victim.FullName || got[2] != "rang twice" {
		t.Errorf("under a grant the customer's own reads as %q", got)
	}

	// What the gateway itself writes has a token of its own, which is the customer's as soon as it is committed.
	c := f.connect(thief)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	c.must(fmt.Sprintf("UPDATE support.customers SET full_name = 'Ada Anew' WHERE id = %d", own.ID))
	d := f.connect(thief)
	d.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	within(t, 5*time.Second, "the new name is readable", func() bool {
		return d.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", own.ID)) == "Ada Anew"
	})
}
