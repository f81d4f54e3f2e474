package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/catalog"
)

// TestVaultSearchedWhileMoving: a row of a value that the vault will keep becomes its token between a search's leaving and its coming to the row. The search finds it.
func TestVaultSearchedWhileMoving(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newVaultFort(t)
	who, ticket, _ := f.hasTicket(0)
	admin := f.direct()
	f.superExec(f.database, "GRANT UPDATE (email) ON support.customers TO sallyport_reader; GRANT UPDATE (ticket_no) ON support.tickets TO sallyport_reader")
	f.enter(f.movingSet(), nil)
	phones := &catalog.Protected{}
	for _, p := range f.server.guard.catalog.Snapshot().Columns() {
		if p.Column.String() == "support.customers.phone" {
			phones = p
		}
	}
	codec, err := f.server.guard.codecFor(phones)
	if err != nil {
		t.Fatal(err)
	}
	overflow, err := codec.Overflow()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ what, sql string }{ // of the value, and of its spelling
		{"an UPDATE, its value a literal", "UPDATE support.customers SET plan = 'found' WHERE phone = 'VALUE' RETURNING id"},
		{"a SELECT, its value a parameter", "SELECT id FROM support.customers WHERE phone = $1 FOR UPDATE"},
		{"a SELECT of several, spelt otherwise", "SELECT id FROM support.customers WHERE phone IN ('+4930123456', 'SPELT') FOR UPDATE"},
	} {
		id := int64(100 + i)
		phone, spelt := fmt.Sprintf("+49207183875%04d", 1000+i), fmt.Sprintf("+49 (20) 7183-875 %04d", 1000+i)
		if _, err := admin.Exec(t.Context(), "UPDATE support.customers SET phone = $1 WHERE id = $2", phone, id); err != nil {
			t.Fatal(err)
		}
		conn, sql, args := f.connect(who), strings.ReplaceAll(strings.ReplaceAll(c.sql, "VALUE", phone), "SPELT", spelt), []any(nil)
		if strings.Contains(sql, "$1") {
			conn, args = f.connect(who, pgx.QueryExecModeCacheStatement), []any{phone}
		}
		conn.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		mover, err := admin.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mover.Exec(t.Context(), "SELECT FROM support.customers WHERE id = $1 FOR UPDATE", id); err != nil {
			t.Fatal(err)
		}
		found := make(chan string, 1)
		go func() {
			var got int64
			err := conn.QueryRow(f.ctx, sql, args...).Scan(&got)
			found <- fmt.Sprint(got, " ", err)
		}()
		looks := f.direct()
		within(t, 10*time.Second, c.what+" waits for the row", func() bool {
			var waits bool
			err := looks.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))", admin.PgConn().PID()).Scan(&waits)
			return err == nil && waits
		})
		// As protect does: what the vault keeps is committed before the row.
		tok, _, err := f.server.guard.vault.Keep(t.Context(), overflow, []byte(phone))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mover.Exec(t.Context(), "UPDATE support.customers SET phone = $1 WHERE id = $2", string(tok), id); err != nil {
			t.Fatal(err)
		}
		if err := mover.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := <-found, fmt.Sprint(id, " <nil>"); got != want {
			t.Errorf("%s: found %s, want %s", c.what, got, want)
		}
	}
}
