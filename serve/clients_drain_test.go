package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestClientDrain stops serve while some sessions are idle and some in a transaction: the first end at once, the others with
// their transaction, in which purposes and orders hold as ever.
func TestClientDrain(t *testing.T) {
	f := newFort(t, "", func(o *Options) { o.Drain = time.Minute })
	who, ticket, customer := f.hasTicket(0)
	other, _, _ := f.hasTicket(1)
	idle, busy := f.connect(who), f.connect(who)
	locked := f.connect(other)
	relayed, relayedBusy := f.connectTo(who, "postgres"), f.connectTo(who, "postgres")
	for _, c := range []*client{idle, relayed} {
		c.must("SELECT 1")
	}
	for _, c := range []*client{busy, relayedBusy, locked} {
		c.must("BEGIN")
	}
	late := make(chan error, 1)
	running := f.connect(who)
	go func() {
		_, err := running.Exec(context.Background(), "SELECT pg_sleep(1)")
		late <- err
	}()
	within(t, 10*time.Second, "the statement runs", func() bool { return f.active(t, "SELECT pg_sleep(1)") == 1 })
	officer := f.officer("o1")
	f.server.stop()
	for name, c := range map[string]*client{"guarded": idle, "relayed": relayed} {
		ctx, cancel := context.WithTimeout(t.Context(), stretched(5*time.Second))
		_, err := c.PgConn().ReceiveMessage(ctx)
		cancel()
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "57P01" {
			t.Errorf("an idle session, %s: %v", name, err)
		}
	}
	if conn, err := net.DialTimeout("tcp", f.server.Addr().String(), time.Second); err == nil {
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if n, _ := conn.Read(make([]byte, 1)); n > 0 {
			t.Error("somebody new was let in")
		}
	}
	if err := <-late; err != nil {
		t.Errorf("a statement under way: %v", err)
	}
	busy.must(fmt.Sprintf("SET LOCAL sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := busy.one("SELECT email FROM support.customers WHERE id = $1", customer.ID); got != customer.Email {
		t.Errorf("while draining a purpose reads %q", got)
	}
	if err := officer.Lock(t.Context(), other, "test"); err != nil {
		t.Errorf("an order while draining: %v", err)
	}
	if _, err := locked.rows("SELECT 1"); err == nil {
		t.Error("a lock did not bite while draining")
	}
	relayedBusy.must("SELECT 1")
	for name, c := range map[string]*client{"guarded": busy, "relayed": relayedBusy} {
		if _, err := c.Exec(t.Context(), "COMMIT"); err != nil {
			t.Errorf("%s: a transaction under way could not commit: %v", name, err)
		}
	}
	select {
	case <-f.server.Done():
	case <-time.After(stretched(10 * time.Second)):
		t.Error("serve waits though nothing is under way any more")
	}
}

// TestClientDrainEnds cuts what takes longer than the configuration allows.
func TestClientDrainEnds(t *testing.T) {
	f := newFort(t, "", func(o *Options) { o.Drain = 300 * time.Millisecond })
	who, _, _ := f.hasTicket(0)
	c := f.connect(who)
	c.must("BEGIN")
	begun := time.Now()
	f.server.stop()
	var pgErr *pgconn.PgError
	if _, err := c.PgConn().ReceiveMessage(t.Context()); !errors.As(err, &pgErr) || pgErr.Code != "57P01" {
		t.Errorf("a transaction that takes too long: %v", err)
	}
	if took := time.Since(begun); took < 250*time.Millisecond || took > 5*time.Second {
		t.Errorf("it was cut after %s", took)
	}
}

// active is how many sessions run that statement.
func (f *fort) active(t *testing.T, statement string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.cluster.SuperDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND state = 'active'", statement).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
