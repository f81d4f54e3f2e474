package serve

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestInvariant5ALockBites(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	ended := make(chan time.Time, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		for { // a client that keeps trying
			rows, err := c.rows(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID))
			if err != nil || len(rows) == 0 {
				ended <- time.Now()
				return
			}
		}
	}()
	<-started
	ctx := t.Context()
	at := f.lock(who)
	select {
	case end := <-ended:
		t.Logf("the live session ended after %s", end.Sub(at))
		if end.Sub(at) > stretched(time.Second) {
			t.Error("more than a second")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the live session goes on")
	}
	refused := func(when string) {
		t.Helper()
		if _, err := f.tryConnect(who); err == nil || !strings.Contains(err.Error(), "locked") {
			t.Errorf("%s: %v", when, err)
		}
	}
	refused("locked")
	f.restart()
	refused("after a restart")
	id, err := f.officer("o1").Unlock(ctx, who, "it was a test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.officer("o1").Approve(ctx, id); err == nil {
		t.Error("who proposed it approved it")
	}
	refused("proposed only")
	if _, err := f.officer("o2").Approve(ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, err := f.tryConnect(who); err != nil {
		t.Errorf("unlocked: %v", err)
	}
}

// TestInvariant5ALockBitesWhoDoesNotRead locks somebody whose client asks for a long result and then reads nothing of it.
func TestInvariant5ALockBitesWhoDoesNotRead(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	c := f.connect(who)
	hijacked, err := c.PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer hijacked.Conn.Close()
	hijacked.Frontend.SendQuery(&pgproto3.Query{String: "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"})
	if err := hijacked.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(hijacked.Conn, make([]byte, 1)); err != nil { // the result has begun
		t.Fatal(err)
	}
	at := f.lock(who)
	within(t, 5*time.Second, "the session ends", func() bool { return f.server.gateway.Sessions() == 0 })
	if took := time.Since(at); took > stretched(time.Second) {
		t.Errorf("it ended after %s, more than a second", took)
	}
}
