package serve

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// seen counts what clients got, by customer and column. A value counts when it has arrived.
type seen struct {
	mu sync.Mutex // guards n
	n  map[string]int
}

func (s *seen) note(customer, column string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n[customer+" "+column]++
}

func (s *seen) total() (sum int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.n {
		sum += n
	}
	return sum
}

// TestJournalKilled kills the real serve (kill -9) at random moments under load: agents who look up their customers by pgx, somebody with a grant
// who streams all of them, and psql. Whatever arrived at a client is in the record after each kill, for ever; the chain of the encrypted record
// holds, and nothing of it is damaged. SALLYPORT_SIEGE=1 kills 200 times.
func TestJournalKilled(t *testing.T) {
	kills := 5
	if large() {
		kills = 200
	}
	f := newFort(t, shredGrants)
	f.stop()
	name := filepath.Join(t.TempDir(), "sallyport")
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, name))
	got := &seen{n: map[string]int{}}
	for kill := range kills {
		f.killedWhileRead(t, name, got)
		if t.Failed() || kill%20 == 19 || kill == kills-1 {
			expectRecorded(t, f, got)
		}
		if t.Failed() {
			t.Fatalf("after %d kills", kill+1)
		}
	}
	t.Logf("%d kills, %d reveals seen by clients, all on record", kills, got.total())
}

// killedWhileRead runs serve in a process of its own and kills it when clients have read for a while.
func (f *fort) killedWhileRead(t *testing.T, program string, got *seen) {
	t.Helper()
	address := freeAddress(t)
	serve := exec.Command(program, "serve", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, //nolint:gosec // this very test binary
		"--key-file", f.options.KeyFile, "--listen", address)
	serve.Stderr = f.log
	fatal(t, serve.Start())
	enough := got.total() + 1 + mathrand.IntN(400)
	var readers sync.WaitGroup
	alive, dead := context.WithCancel(t.Context()) // what is under way goes on to its end; nothing new begins
	defer dead()
	for i := range 3 {
		readers.Go(func() { f.looksUp(t, alive, address, i, got) })
	}
	readers.Go(func() { f.streams(t, alive, address, got) })
	readers.Go(func() { f.psqls(t, alive, address, got) })
	within(t, 30*time.Second, "clients read something", func() bool { return got.total() >= enough })
	select {
	case <-time.After(time.Duration(mathrand.IntN(20_000)) * time.Microsecond): // the random moment
	case <-t.Context().Done():
	}
	fatal(t, serve.Process.Kill())
	_ = serve.Wait()
	dead()
	readers.Wait()
}

// reach connects once serve takes clients; nil: it was killed before.
func (f *fort) reach(t *testing.T, alive context.Context, who sallyport.Staff, address string) *pgx.Conn {
	dsn := fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable&default_query_exec_mode=simple_protocol", who, f.passwords[who], address, f.database)
	deadline := time.Now().Add(stretched(30 * time.Second))
	for {
		conn, err := pgx.Connect(alive, dsn)
		if err == nil {
			return conn
		}
		if alive.Err() != nil {
			return nil
		}
		if time.Now().After(deadline) {
			t.Errorf("connect: %v", err)
			return nil
		}
		time.Sleep(10 * time.Millisecond) // between two looks whether serve listens
	}
}

// looksUp reads an agent's own customers one by one.
func (f *fort) looksUp(t *testing.T, alive context.Context, address string, agent int, got *seen) {
	who := f.org.Agents()[agent].ID
	conn := f.reach(t, alive, who, address)
	if conn == nil {
		return
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	own := f.org.OpenTickets(who)
	for i := 0; ; i++ {
		ticket := f.org.Ticket(own[i%len(own)])
		customer := f.org.Customer(ticket.Customer)
		if _, err := conn.Exec(t.Context(), fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)); err != nil {
			return
		}
		var email, phone string
		if err := conn.QueryRow(t.Context(), fmt.Sprintf("SELECT email, phone FROM support.customers WHERE id = %d", customer.ID)).Scan(&email, &phone); err != nil {
			return
		}
		if email != customer.Email {
			t.Errorf("own ticket %d is not readable", ticket.ID)
			return
		}
		got.note(fmt.Sprint(customer.ID), "email")
		got.note(fmt.Sprint(customer.ID), "phone")
	}
}

// streams reads everybody under a grant, and notes each row as it comes.
func (f *fort) streams(t *testing.T, alive context.Context, address string, got *seen) {
	conn := f.reach(t, alive, "s050", address)
	if conn == nil {
		return
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for {
		rows, err := conn.Query(t.Context(), "SELECT id, full_name, email FROM support.customers")
		if err != nil {
			return
		}
		for rows.Next() {
			var id int64
			var name, email string
			if err := rows.Scan(&id, &name, &email); err != nil {
				t.Errorf("a row: %v", err)
				break
			}
			if !strings.Contains(email, ".invalid") {
				got.note(fmt.Sprint(id), "email")
			}
			if !strings.HasPrefix(name, "tk1:") {
				got.note(fmt.Sprint(id), "full_name")
			}
		}
		if rows.Err() != nil {
			return
		}
	}
}

// psqls has psql read, again and again; what it printed has arrived, also of a run that was cut off.
func (f *fort) psqls(t *testing.T, alive context.Context, address string, got *seen) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Log("psql is not installed: without it")
		return
	}
	who := f.org.Agents()[3].ID
	ticket := f.org.Ticket(f.org.OpenTickets(who)[0])
	dsn := fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", who, f.passwords[who], address, f.database)
	for alive.Err() == nil {
		cmd := exec.CommandContext(t.Context(), psql, "-X", "-A", "-t", "-q", dsn, "-c", fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), //nolint:gosec // our own arguments
			"-c", fmt.Sprintf("SELECT 'got', id, email FROM support.customers WHERE id = %d", ticket.Customer))
		out, err := cmd.Output()
		for line := range strings.Lines(string(out)) {
			if fields := strings.Split(strings.TrimSpace(line), "|"); len(fields) == 3 && fields[0] == "got" && fields[2] == f.org.Customer(ticket.Customer).Email {
				got.note(fields[1], "email")
			}
		}
		var status *exec.ExitError
		switch {
		case err == nil:
		case !errors.As(err, &status):
			t.Errorf("run psql: %v", err)
			return
		default:
			time.Sleep(20 * time.Millisecond) // serve does not listen yet, or not any more
		}
	}
}

// expectRecorded starts serve again and holds what clients got to the record.
func expectRecorded(t *testing.T, f *fort, got *seen) {
	t.Helper()
	f.start()
	defer f.stop()
	recorded := map[string]int{}
	statements := map[string]bool{}
	for _, e := range f.events() { // any damage, or a break of the chain, ends the test there
		if e.Kind == sallyport.StatementKind {
			statements[e.Who.Session+" "+strconv.FormatUint(e.Statement.ID, 10)] = true
		}
		if e.Reveal == nil {
			continue
		}
		if !statements[e.Who.Session+" "+strconv.FormatUint(e.Reveal.Statement, 10)] {
			t.Errorf("entry %d reveals for a statement that is not on record before it", e.Seq)
		}
		for v := range e.Reveal.Values.All() {
			recorded[string(v.Subject)+" "+e.Reveal.Columns[v.Column].Name]++
		}
	}
	if !f.server.AccessStream.Sealed() || !f.server.ControlStream.Sealed() {
		t.Error("the record is not encrypted")
	}
	for what, n := range got.n {
		if recorded[what] < n {
			t.Errorf("%s was seen %d times, the record knows %d", what, n, recorded[what])
		}
	}
	if got.total() == 0 {
		t.Error("nothing was read: this test proves nothing")
	}
}
