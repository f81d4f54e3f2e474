package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

// TestClientServerRestart ends the server's side of sessions: clients read the server's own words, and new sessions work,
// the gateway's own connections included.
func TestClientServerRestart(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	purpose := fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)
	idle, busy := f.connect(who), f.connect(who)
	idle.must(purpose)
	ended := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.Background(), "SELECT pg_sleep(30)")
		ended <- err
	}()
	direct := f.direct()
	within(t, 10*time.Second, "the statement runs", func() bool {
		var n int
		err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' AND datname = $1", f.database).Scan(&n)
		return err == nil && n == 1
	})
	if _, err := direct.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", f.database); err != nil {
		t.Fatal(err)
	}
	var pgErr *pgconn.PgError
	if err := <-ended; !errors.As(err, &pgErr) || pgErr.Code != "57P01" || pgErr.Severity != "FATAL" {
		t.Errorf("a statement whose server ended: %v", err)
	}
	if _, err := idle.rows("SELECT 1"); !errors.As(err, &pgErr) && !idle.IsClosed() {
		t.Errorf("an idle session whose server ended: %v", err)
	}
	within(t, 20*time.Second, "a new session reads what its purpose covers", func() bool {
		c, err := f.tryConnect(who)
		if err != nil {
			return false
		}
		defer c.Close(context.Background())
		if _, err := c.Exec(t.Context(), purpose); err != nil {
			return false
		}
		got, err := c.rows("SELECT email FROM support.customers WHERE id = $1", customer.ID)
		return err == nil && len(got) == 1 && got[0][0] == customer.Email
	})
	within(t, 10*time.Second, "the ended sessions are gone", func() bool { return f.server.gateway.Sessions() == 0 })
}

// TestClientVanishes drops clients in the middle of a result: the server's side ends too, and nothing stays behind.
func TestClientVanishes(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	direct := f.direct()
	for _, database := range []string{f.database, "postgres"} {
		for range 3 {
			k := newTalk(t, f.dsnOf(who, f.passwords[who], database))
			out, err := sql("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)").Encode(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.conn.Write(out); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(k.conn, make([]byte, 100000)); err != nil {
				t.Fatal(err)
			}
			_ = k.conn.Close()
		}
		within(t, 20*time.Second, "the server's side has ended", func() bool {
			var n int
			err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND usename = $2", database, string(who)).Scan(&n)
			return err == nil && n == 0
		})
	}
	within(t, 10*time.Second, "no session is left", func() bool { return f.server.gateway.Sessions() == 0 })
}

// TestClientSlow asks for much and reads nothing: the gateway holds a bounded part of it, and a lock still bites.
func TestClientSlow(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	before := heap()
	for _, database := range []string{f.database, f.database, "postgres", "postgres"} {
		k := newTalk(t, f.dsnOf(who, f.passwords[who], database))
		out, err := sql("SELECT repeat('x', 1000) FROM generate_series(1, 300000)").Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.conn.Write(out); err != nil {
			t.Fatal(err)
		}
	}
	f.awaitStalled(who, 4)
	if held := int(heap()) - int(before); held > 4*3<<20 { //nolint:gosec // sizes of a test
		t.Errorf("the gateway holds %d KiB for four clients that do not read", held>>10)
	}
	if err := f.officer("o1").Lock(t.Context(), who, "test"); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "the lock ends them", func() bool { return f.server.gateway.Sessions() == 0 })
	direct := f.direct()
	within(t, 5*time.Second, "the server's side has ended", func() bool {
		var n int
		err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", string(who)).Scan(&n)
		return err == nil && n == 0
	})
}

// awaitStalled waits until so many of somebody's servers wait for their clients to read.
func (f *fort) awaitStalled(who sallyport.Staff, want int) {
	f.t.Helper()
	direct := f.direct()
	within(f.t, 30*time.Second, "all servers wait for their clients", func() bool {
		var n int
		err := direct.QueryRow(f.t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND wait_event = 'ClientWrite'", string(who)).Scan(&n)
		return err == nil && n == want
	})
}

// heap is how much memory is in use after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools keep their content over one
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestClientCycles connects and leaves 300 times in different ways: nothing stays behind.
func TestClientCycles(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	cycle := func(i int) {
		switch i % 4 {
		case 0: // in good order
			c := f.connect(who)
			c.must("SELECT 1")
			_ = c.Close(t.Context())
		case 1: // without a word
			k := newTalk(t, f.dsn(who))
			_ = k.conn.Close()
		case 2: // with a wrong password
			if _, err := pgconn.Connect(t.Context(), f.dsnOf(who, "wrong", f.database)); err == nil {
				t.Error("a wrong password was accepted")
			}
		case 3: // in the middle of the log-in
			poke(t, f, []byte{0, 0, 0, 8, 4, 210, 22, 48})
		}
	}
	for i := range 8 {
		cycle(i)
	}
	settled := func() bool { return f.server.gateway.Sessions() == 0 }
	within(t, 10*time.Second, "no session is left", settled)
	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
	for i := range 300 {
		cycle(i)
	}
	within(t, 10*time.Second, "no session is left", settled)
	within(t, 10*time.Second, "goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines+3 })
	// History opens its two files in its own time; one of a hundred cycles that left something would show.
	within(t, 10*time.Second, "descriptors are closed", func() bool { return openFiles(t) <= descriptors+6 })
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not tell of open files")
	}
	return len(list)
}

// TestClientIdle keeps sessions that do nothing: none holds a buffer.
func TestClientIdle(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	open := func(database string) {
		k := newTalk(t, f.dsnOf(who, f.passwords[who], database))
		k.say(sql(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)))
		if database == f.database {
			k.say(sql(fmt.Sprintf("SELECT * FROM support.customers WHERE id = %d", customer.ID)))
		}
		k.front = nil // the client's own buffers do not count
	}
	open(f.database)
	const sessions = 50
	for _, database := range []string{f.database, "postgres"} {
		before := heap()
		for range sessions {
			open(database)
		}
		if each := (int(heap()) - int(before)) / sessions; each > 48<<10 { //nolint:gosec // sizes of a test
			t.Errorf("%s: an idle session holds %d bytes", database, each)
		}
	}
}

// TestClientMalformed keeps one session at work while others send what is no protocol.
func TestClientMalformed(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	c := f.connect(who)
	for _, raw := range [][]byte{
		{},
		{0},
		{0, 0, 0, 4},
		{0, 0, 0, 8, 0, 0, 0, 0},
		{0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0},
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		{0, 0, 0, 9, 0, 3, 0, 0, 1},
		{0, 0, 0, 12, 4, 210, 22, 46, 1, 2, 3, 4},
		bytes.Repeat([]byte{0, 0, 0, 8, 4, 210, 22, 47}, 10),
		append([]byte{0, 0, 39, 16, 0, 3, 0, 0}, bytes.Repeat([]byte{'a'}, 9992)...),
	} {
		poke(t, f, raw)
	}
	for _, raw := range [][]byte{
		{'Q', 0, 0, 0, 0},
		{'Q', 0x7f, 0xff, 0xff, 0xff},
		{'Q', 0, 0, 0, 5, 'x'},
		{'B', 0, 0, 0, 6, 0, 0},
		{'?', 0, 0, 0, 4},
		{'D', 0, 0, 0, 6, 'X', 0},
		{'P', 0, 0, 0, 8, 0, 0, 0xff, 0xff},
		{'p', 0, 0, 0, 5, 0},
		{'B', 0, 0, 0, 12, 0, 0, 0, 0, 0xff, 0xff, 0, 0},
		{'S', 0, 0, 0, 8, 0, 0, 0, 0},
	} {
		k := newTalk(t, f.dsn(who))
		_ = k.conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := k.conn.Write(raw); err != nil {
			t.Fatal(err)
		}
		_ = k.conn.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // what pgconn dials
		said, err := io.ReadAll(k.conn)
		if err != nil {
			t.Errorf("%v: %v", raw, err)
		}
		if raw[0] != 'S' && !bytes.Contains(said, []byte("08P01")) && raw[1] != 0x7f && raw[0] != 'p' {
			t.Errorf("%v was answered with %q", raw, said)
		}
	}
	if got := c.one("SELECT 1"); got != "1" {
		t.Error("another session noticed")
	}
}
