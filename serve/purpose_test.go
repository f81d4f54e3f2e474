package serve

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// TestTooManyPurposes says how many may be given.
func TestTooManyPurposes(t *testing.T) {
	f := newFort(t, "")
	who, ticket, _ := f.hasTicket(0)
	c := f.connect(who)
	list := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("ticket:%d,", ticket.ID), 51), ",")
	if err := c.fails("SET sallyport.purpose = '" + list + "'"); err.Code != "SP013" || !strings.Contains(err.Message, "51 purposes, at most 50 may be given at once") {
		t.Errorf("%s %s", err.Code, err.Message)
	}
}

// TestWhoSawNamesTickets shows a ticket that was given by its number, whose token is on record, by the id that people use.
func TestWhoSawNamesTickets(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%s'", ticket.No))
	if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got != customer.Email {
		t.Fatal("the ticket does not count")
	}
	list := f.whoSaw(sallyport.Subject(fmt.Sprint(customer.ID)))
	if len(list) != 1 || !slices.Equal(list[0].Purposes, []string{fmt.Sprintf("ticket:%d", ticket.ID)}) {
		t.Errorf("%+v", list)
	}
}

// TestClientPurposeInTransactions holds SET LOCAL to savepoints and roll-backs.
func TestClientPurposeInTransactions(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		t.Run(mode.String(), func(t *testing.T) {
			c := f.connect(who, mode)
			c.t = t
			set := fmt.Sprintf("SET LOCAL sallyport.purpose = 'ticket:%d'", ticket.ID)
			readable := func() bool {
				t.Helper()
				return c.one("SELECT email FROM support.customers WHERE id = $1", customer.ID) == customer.Email
			}
			for i, step := range []struct {
				sql  string
				want bool
			}{
				{"BEGIN", false},
				{set, true},
				{"COMMIT", false},
				{"BEGIN", false},
				{"SAVEPOINT a", false},
				{set, true},
				{"SAVEPOINT b", true},
				{"SET LOCAL sallyport.purpose = ''", false},
				{"ROLLBACK TO b", true},
				{"RELEASE b", true},
				{"ROLLBACK TO a", false},
				{set, true},
				{"ROLLBACK AND CHAIN", false},
				{set, true},
				{"COMMIT AND CHAIN", false},
				{"ROLLBACK", false},
				{set, false}, // outside a transaction it is gone with the statement
				{"BEGIN", false},
				{strings.Replace(set, "LOCAL ", "", 1), true},
				{"ROLLBACK", false},
				{"BEGIN", false},
				{strings.Replace(set, "LOCAL ", "", 1), true},
				{"COMMIT", true},
				{"RESET sallyport.purpose", false},
				{"PREPARE TRANSACTION 'nothing'", false},
			} {
				if _, err := c.Exec(t.Context(), step.sql); err != nil && !strings.HasPrefix(step.sql, "PREPARE") {
					t.Fatalf("step %d, %s: %v", i, step.sql, err)
				}
				if got := readable(); got != step.want {
					t.Errorf("step %d, after %s: readable %t", i, step.sql, got)
				}
			}
			c.must("BEGIN")
			c.must(set)
			c.must("SAVEPOINT s")
			c.fails("SELECT 1/0")
			c.must("ROLLBACK TO s")
			if !readable() {
				t.Error("a savepoint before the error keeps the purpose")
			}
			c.fails("SELECT 1/0")
			if got, err := c.Exec(t.Context(), "COMMIT"); !errors.Is(err, pgx.ErrTxCommitRollback) && got.String() != "ROLLBACK" {
				t.Errorf("commit of a failed transaction: %s %v", got, err)
			}
			if readable() {
				t.Error("a local purpose outlives its failed transaction")
			}
		})
	}
}
