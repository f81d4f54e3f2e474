package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestInvariant4LeavingProbes: while protection is undone values are written in plain, and RETURNING still shows their tokens. So each
// value counts as a probe, as it did before.
func TestInvariant4LeavingProbes(t *testing.T) {
	f := newFort(t, "budgets: {default: {probed: {hour: 5, day: 5, month: 5}}}\n")
	f.superExec(f.database, "GRANT UPDATE (email) ON support.customers TO sallyport_reader")
	f.enter(nil, f.movingSet())
	c := f.connect(f.org.Agents()[0].ID)
	tokens := 0
	for i := range 10 {
		got, err := c.rows(fmt.Sprintf("INSERT INTO support.customers (id, full_name, email, country, plan, created_at, segment) VALUES (%d, 'Jane Guess', 'guess%d@example.org', 'DE', 'free', now(), 'x') RETURNING email", 900000+i, i))
		if err != nil {
			break
		}
		tokens += len(got)
	}
	if tokens == 0 || tokens > 5 {
		t.Errorf("%d tokens of chosen values are shown, with a budget of 5 probes", tokens)
	}
}

// TestInvariant3MovingPreparedRow reads whole rows by statements that were prepared before their columns began to move.
func TestInvariant3MovingPreparedRow(t *testing.T) {
	f := newFort(t, "")
	who, ticket, _ := f.hasTicket(1)
	victim := f.org.Customer(1)
	f.superExec(f.database, "CREATE FUNCTION support.shout(c support.customers) RETURNS text LANGUAGE sql AS 'SELECT upper($1.email)'")
	statements := []string{
		"SELECT c FROM support.customers c WHERE id = $1", "SELECT customers FROM support.customers WHERE id = $1", "SELECT c.* FROM support.customers c WHERE id = $1",
		"SELECT id, email, c FROM support.customers c WHERE c.id = $1", "SELECT c.shout FROM support.customers c WHERE c.id = $1",
	}
	c := f.connect(who, pgx.QueryExecModeCacheStatement)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), pgx.QueryExecModeSimpleProtocol)
	look := func(when string) {
		t.Helper()
		for _, sql := range statements {
			rows, err := c.rows(sql, victim.ID)
			said := strings.ToLower(fmt.Sprint(rows, err))
			for _, secret := range []string{victim.Email, victim.FullName, victim.Phone} {
				if strings.Contains(said, strings.ToLower(secret)) {
					t.Errorf("%s %s hands out %q", when, sql, secret)
					break
				}
			}
			if c.IsClosed() {
				c = f.connect(who, pgx.QueryExecModeCacheStatement)
			}
		}
	}
	look("before")
	f.enter(f.movingSet(), nil)
	f.makePlain(f.direct(), victim)
	look("while moving")
	look("again while moving")
}
