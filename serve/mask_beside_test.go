package serve

import (
	"fmt"
	"testing"
)

// TestMaskedBesideProtected masks columns of tables that hold tokens too: tokens are revealed under a purpose as ever, masks
// stay, and who sees what is masked sees tokens where they are no more his than before.
func TestMaskedBesideProtected(t *testing.T) {
	f := newFort(t, `mask:
  columns:
    support.customers.plan: {show: first}
    support.tickets.state: {}
    support.staff.name: {show: first}
  seen_by: [svc_router]
`)
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	read := fmt.Sprintf("SELECT id, email, plan, upper(plan), full_name FROM support.customers WHERE id = %d", customer.ID)
	row := c.must(read)[0]
	if row[1] != customer.Email || row[4] != customer.FullName || row[2] == customer.Plan || row[2] != customer.Plan[:1]+"***" || row[3] != "***" {
		t.Errorf("got %q", row)
	}
	if got := c.one(fmt.Sprintf("SELECT count(*) FROM support.customers WHERE email = '%s' AND plan = '%s'", customer.Email, customer.Plan)); got != "1" {
		t.Errorf("found %s", got)
	}
	for _, sql := range []string{
		"SELECT id FROM support.customers WHERE plan LIKE 'g%'", "SELECT id FROM support.customers WHERE plan = email", "UPDATE support.customers SET country = left(plan, 2)", "SELECT state FROM support.tickets ORDER BY state",
	} {
		if err := c.fails(sql); err == nil || err.Code[:3] != "SP0" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	tag := c.must(fmt.Sprintf("UPDATE support.tickets SET state = 'pending' WHERE id = %d RETURNING id, state, upper(state)", ticket.ID))
	if len(tag) != 1 || tag[0][1] != "***" || tag[0][2] != "***" {
		t.Errorf("got %q", tag)
	}
	// The fact of that write was learnt from what is masked for the client.
	c.must("SET sallyport.purpose = 'work:mine'")
	if got := c.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", customer.ID)); got != customer.FullName {
		t.Errorf("work:mine does not reveal %q", got)
	}
	router := f.connect("svc_router")
	got := router.must(read)[0]
	if got[2] != customer.Plan || got[1] == customer.Email {
		t.Errorf("a service that sees masked columns got %q", got)
	}
	router.must("SELECT id FROM support.customers WHERE plan LIKE 'g%' ORDER BY plan LIMIT 1")
	if err := router.fails("SELECT id FROM support.customers WHERE email LIKE 'g%'"); err == nil || err.Code != "SP002" {
		t.Errorf("a protected column is searched: %v", err)
	}
}
