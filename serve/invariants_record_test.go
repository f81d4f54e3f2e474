package serve

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// TestInvariant1NoRevealWithoutARecord kills serve at arbitrary moments while clients read: every value that a client
// got stands in the record.
func TestInvariant1NoRevealWithoutARecord(t *testing.T) {
	f := newFort(t, "")
	f.stop()
	name := filepath.Join(t.TempDir(), "sallyport")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	got := map[sallyport.Subject]int{}
	for range 6 {
		address := freeAddress(t)
		serve := exec.Command(name, "serve", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, //nolint:gosec // this very test binary
			"--key-file", f.options.KeyFile, "--listen", address)
		serve.Stderr = f.log
		if err := serve.Start(); err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		var mu sync.Mutex
		enough := total(got) + 40 + mathrand.IntN(100)
		for i := range 4 {
			readers.Go(func() { readUntilDead(t, f, address, i, &mu, got) })
		}
		within(t, 20*time.Second, "clients read something", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return total(got) >= enough
		})
		_ = serve.Process.Kill()
		_ = serve.Wait()
		readers.Wait()
	}
	f.start()
	recorded := map[sallyport.Subject]int{}
	type execution struct {
		session string
		id      uint64
	}
	statements := map[execution]bool{}
	for _, e := range f.events() {
		if e.Kind == sallyport.StatementKind {
			statements[execution{e.Who.Session, e.Statement.ID}] = true
		}
		if e.Reveal == nil {
			continue
		}
		if !statements[execution{e.Who.Session, e.Reveal.Statement}] {
			t.Errorf("entry %d reveals for statement %d of its session, which is not on record before it", e.Seq, e.Reveal.Statement)
		}
		for v := range e.Reveal.Values.All() {
			if e.Reveal.Columns[v.Column].Name == "email" {
				recorded[v.Subject]++
			}
		}
	}
	for subject, n := range got {
		if recorded[subject] < n {
			t.Errorf("customer %s was read %d times, the record knows %d", subject, n, recorded[subject])
		}
	}
	t.Logf("%d reveals over %d kills, all on record", total(got), 6)
	if total(got) == 0 {
		t.Error("nothing was read: this test proves nothing")
	}
}

func total(counts map[sallyport.Subject]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// readUntilDead reads the agent's own customers again and again and counts what it got.
func readUntilDead(t *testing.T, f *fort, address string, agent int, mu *sync.Mutex, got map[sallyport.Subject]int) {
	who := f.org.Agents()[agent].ID
	dsn := fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable&default_query_exec_mode=simple_protocol", who, f.passwords[who], address, f.database)
	var conn *pgx.Conn
	var err error
	deadline := time.Now().Add(stretched(15 * time.Second))
	for conn, err = pgx.Connect(t.Context(), dsn); err != nil; conn, err = pgx.Connect(t.Context(), dsn) {
		if time.Now().After(deadline) {
			t.Errorf("connect: %v", err)
			return
		}
		time.Sleep(10 * time.Millisecond) // between two looks whether serve listens
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for i := 0; ; i++ {
		own := f.org.OpenTickets(who)
		ticket := f.org.Ticket(own[i%len(own)])
		customer := f.org.Customer(ticket.Customer)
		var email string
		if _, err := conn.Exec(t.Context(), fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)); err != nil {
			return
		}
		if err := conn.QueryRow(t.Context(), fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)).Scan(&email); err != nil {
			return
		}
		if email != customer.Email {
			t.Errorf("own ticket %d is not readable", ticket.ID)
			return
		}
		mu.Lock()
		got[sallyport.Subject(fmt.Sprint(customer.ID))]++
		mu.Unlock()
	}
}

// freeAddress is a loopback address that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestInvariant1WithoutAJournal: where the record cannot be written, protected reads stop and other traffic goes on.
func TestInvariant1WithoutAJournal(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if err := f.server.AccessStream.Close(); err != nil { // as unwritable as it gets
		t.Fatal(err)
	}
	read := fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)
	if err := c.fails(read); err.Code != "SP012" {
		t.Errorf("a protected read without a record: %s %s", err.Code, err.Message)
	}
	if got := c.one("SELECT count(*) FROM support.staff"); got == "0" {
		t.Error("no staff")
	}
	if err := c.fails(read); err.Code != "SP012" {
		t.Errorf("the second one: %s", err.Code)
	}
	// What the statement does not tell of, a cursor that a function's text made, is stopped at its first batch.
	c.must("BEGIN")
	if err := c.fails("DECLARE cur CURSOR FOR " + read); err.Code != "SP012" {
		t.Errorf("a cursor: %s", err.Code)
	}
	_ = f.server.Close() // it complains that the test closed its record
	f.server = nil
}
