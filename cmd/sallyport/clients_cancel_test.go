package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestClientCancelEarly asks to cancel a statement that the gateway is still looking at: the request is not passed on before it.
func TestClientCancelEarly(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec, pgx.QueryExecModeCacheStatement} {
		c := f.connect(who, mode)
		c.must("SELECT 1")
		owner := f.direct() // nobody can read the catalogue now, and what was read before holds no more
		if _, err := owner.Exec(t.Context(), "BEGIN; LOCK TABLE pg_catalog.pg_partitioned_table, sallyport.ddl IN ACCESS EXCLUSIVE MODE"); err != nil {
			t.Fatal(err)
		}
		f.superExec("postgres", "SELECT pg_current_xact_id()")
		began := time.Now()
		ended := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.Background(), "SELECT count(email), pg_sleep(30) FROM support.customers")
			ended <- err
		}()
		watch := f.direct()
		within(t, 2*time.Second, "the gateway waits for the catalogue", func() bool {
			var waits bool
			err := watch.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'sallyport_reader'").Scan(&waits)
			return err == nil && waits
		})
		asked := make(chan error, 1)
		go func() { asked <- c.PgConn().CancelRequest(context.Background()) }()
		select {
		case <-asked:
			t.Errorf("%s: the request was passed on before the statement", mode)
		case err := <-ended:
			t.Fatalf("%s: the statement ended with %v", mode, err)
		case <-time.After(100 * time.Millisecond):
		}
		if _, err := owner.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		var answer *pgconn.PgError
		if err := <-ended; !errors.As(err, &answer) || answer.Code != "57014" || time.Since(began) > 20*time.Second {
			t.Errorf("%s: a cancelled statement ended with %v after %s", mode, err, time.Since(began))
		}
	}
}
