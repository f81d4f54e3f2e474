package serve

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// TestLookupInDoubt has the catalogue change, or be out of reach, while a look-up by key is under way: what came back for it waits.
func TestLookupInDoubt(t *testing.T) {
	f := newFort(t, "")
	who, ticket, own := f.hasTicket(0)
	const text = "SELECT email FROM customers WHERE id = $1"
	open := func(mode pgx.QueryExecMode) *client {
		c := f.connect(who, mode)
		c.must("SET search_path = support")
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		return c
	}
	reads := func(c *client) (email string, err error) {
		err = c.QueryRow(t.Context(), text, own.ID).Scan(&email)
		return email, err
	}
	modes := []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec}
	for _, mode := range modes {
		c := open(mode)
		for range 3 {
			if email, err := reads(c); err != nil || email != own.Email {
				t.Fatalf("%s: %q, %v", mode, email, err)
			}
		}
		f.superExec(f.database, "CREATE TABLE public.beside (id int)")
		if email, err := reads(c); err != nil || email != own.Email {
			t.Errorf("%s, with another table: %q, %v", mode, email, err)
		}
		f.superExec(f.database, "DROP TABLE public.beside; CREATE SCHEMA twin; CREATE VIEW twin.customers AS SELECT id, email FROM support.customers")
		email, err := reads(c)
		refused := (*pgconn.PgError)(nil)
		if errors.As(err, &refused); email != "" || refused == nil || refused.Code != "40001" && refused.Code != "SP001" { // the latter where the watch was faster
			t.Errorf("%s, with a twin: %q, %v", mode, email, err)
		}
		if _, err := reads(open(mode)); err == nil || !strings.Contains(err.Error(), "SP001") {
			t.Errorf("%s, with a twin, again: %v", mode, err)
		}
		f.superExec(f.database, "DROP SCHEMA twin CASCADE")
		if email, err := reads(open(mode)); err != nil || email != own.Email {
			t.Errorf("%s, without the twin: %q, %v", mode, email, err)
		}
	}
	c := open(pgx.QueryExecModeCacheStatement)
	if _, err := reads(c); err != nil {
		t.Fatal(err)
	}
	owner := f.direct() // nobody can read the catalogue now, and what was read before holds no more
	if _, err := owner.Exec(t.Context(), "BEGIN; LOCK TABLE pg_catalog.pg_partitioned_table, sallyport.ddl IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	f.superExec("postgres", "SELECT pg_current_xact_id()")
	result := make(chan error, 1)
	go func() {
		email, err := reads(c)
		if email != "" {
			t.Errorf("in doubt: %q", email)
		}
		result <- err
	}()
	f.awaitQuery(t, "SELECT email FROM customers WHERE id = $1")
	at := f.lock(who)
	if err := <-result; err == nil || !strings.Contains(err.Error(), "SP011") {
		t.Errorf("locked while in doubt: %v", err)
	}
	if took := time.Since(at); took > stretched(time.Second) {
		t.Errorf("the lock took %s", took)
	}
	if _, err := owner.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
}

// awaitQuery waits until some session has executed a statement, and does nothing since.
func (f *fort) awaitQuery(t *testing.T, text string) {
	t.Helper()
	conn := f.direct()
	for range 1000 {
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND state = 'idle' AND clock_timestamp() - state_change < '1 s'", text).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
	t.Fatal("the statement did not come")
}

// TestLookupWithoutMoment has a server that tells its moment to nobody but the catalogue's reader: then that is asked.
func TestLookupWithoutMoment(t *testing.T) {
	f := newFort(t, "")
	who, ticket, own := f.hasTicket(0)
	f.superExec(f.database, "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_current_snapshot() FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_catalog.pg_current_snapshot() TO sallyport_reader")
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
		c := f.connect(who, mode)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		for range 3 {
			if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", own.ID)); got != own.Email {
				t.Errorf("%s: %q", mode, got)
			}
		}
	}
}

// TestLookupInPieces asks for the server's replies after each message: what a look-up has open on the server must not be ended by the
// question for its moment, which is a transaction of its own.
func TestLookupInPieces(t *testing.T) {
	f := newFort(t, "")
	who, ticket, own := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	raw, err := c.PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Conn.Close()
	flush, sync := &pgproto3.Flush{}, &pgproto3.Sync{}
	for i, pieces := range [][][]pgproto3.FrontendMessage{
		{{&pgproto3.Parse{Query: "SELECT email FROM support.customers WHERE id = $1"}, flush}, {&pgproto3.Bind{Parameters: [][]byte{fmt.Append(nil, own.ID)}}, flush}, {&pgproto3.Execute{}, sync}},
		{{&pgproto3.Bind{Parameters: [][]byte{fmt.Append(nil, own.ID)}}, flush}, {&pgproto3.Execute{}, flush}, {sync}}, // the unnamed statement is still there
		{{&pgproto3.Bind{Parameters: [][]byte{fmt.Append(nil, own.ID)}}, &pgproto3.Execute{}, sync}},
		{{&pgproto3.Query{String: fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", own.ID)}}},
	} {
		var said []string
		email := ""
		for _, piece := range pieces {
			for _, m := range piece {
				raw.Frontend.Send(m)
			}
			if err := raw.Frontend.Flush(); err != nil {
				t.Fatal(err)
			}
			last := piece[len(piece)-1]
			for done := false; !done; {
				m, err := raw.Frontend.Receive()
				if err != nil {
					t.Fatal(err)
				}
				said = append(said, strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3."))
				switch m := m.(type) {
				case *pgproto3.DataRow:
					email = string(m.Values[0])
				case *pgproto3.ErrorResponse:
					t.Errorf("%d: %s %s", i, m.Code, m.Message)
				case *pgproto3.ParseComplete, *pgproto3.BindComplete, *pgproto3.CommandComplete:
					done = last == flush
				case *pgproto3.ReadyForQuery:
					done = true
				}
			}
		}
		if email != own.Email {
			t.Errorf("%d: %q; it said %s", i, email, said)
		}
		want := []string{"ParseComplete BindComplete DataRow CommandComplete ReadyForQuery", "BindComplete DataRow CommandComplete ReadyForQuery", "BindComplete DataRow CommandComplete ReadyForQuery", "RowDescription DataRow CommandComplete ReadyForQuery"}[i]
		if got := strings.Join(said, " "); got != want {
			t.Errorf("%d: it said %s", i, got)
		}
	}
}
