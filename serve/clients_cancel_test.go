package serve

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
		tries := 1
		for ; tries < 10 && !f.cancelsEarly(c, mode); tries++ {
			t.Logf("%s: the catalogue was waited for too long", mode)
		}
		if tries == 10 {
			t.Errorf("%s: never asked while the gateway was looking", mode)
		}
	}
}

// cancelsEarly keeps the catalogue from being read until the request was made. False: that took longer than the gateway waits for it, and
// the statement was refused.
func (f *fort) cancelsEarly(c *client, mode pgx.QueryExecMode) bool {
	t := f.t
	owner, watch := f.direct(), f.direct()
	if _, err := owner.Exec(t.Context(), "BEGIN; LOCK TABLE pg_catalog.pg_partitioned_table, sallyport.ddl IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	f.superExec("postgres", "SELECT pg_current_xact_id()") // what was read of the catalogue holds no more
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "SELECT count(email), pg_sleep(30) FROM support.customers")
		ended <- err
	}()
	within(t, 20*time.Second, "the gateway waits for the catalogue", func() bool {
		var waits bool
		err := watch.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'sallyport_reader'").Scan(&waits)
		return err == nil && waits || len(ended) > 0
	})
	asked := make(chan error, 1)
	go func() { asked <- c.PgConn().CancelRequest(context.Background()) }()
	early := false
	select {
	case <-asked:
		early = true
	case <-time.After(100 * time.Millisecond):
	}
	early = early && len(ended) == 0
	if _, err := owner.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	err := <-ended
	answer, _ := errors.AsType[*pgconn.PgError](err)
	switch {
	case answer != nil && answer.Code == "08001":
		return false
	case answer == nil || answer.Code != "57014" || time.Since(began) > 20*time.Second:
		t.Errorf("%s: a cancelled statement ended with %v after %s", mode, err, time.Since(began))
	case early:
		t.Errorf("%s: the request was passed on before the statement", mode)
	}
	return true
}
