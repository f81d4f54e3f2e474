package serve

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/config"
	"sallyport/internal/refdb"
	"sallyport/internal/throwaway"
	"sallyport/sim"
)

// TestObserve runs in front of plain values: everything stays readable, and what would have been done is printed.
func TestObserve(t *testing.T) {
	f := newPlainStage(t)
	out := &lockedBuffer{}
	data := shortDir(t)
	started := func() (*Server, error) {
		return Start(t.Context(), Options{Config: f.config, Data: data, Observe: out})
	}
	early, err := started()
	if err != nil {
		t.Fatal(err)
	}
	if err := early.Err(); err == nil || !strings.Contains(err.Error(), "give --owner DSN of the tables' owner once") {
		t.Errorf("observing without a reader: %v", err)
	}
	if err := PrepareReader(t.Context(), Options{Config: f.config}, f.cluster.SuperDSN("support")); err != nil {
		t.Fatal(err)
	}
	server, err := started()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	<-server.Ready()
	agent := f.org.Agents()[0].ID
	own := f.org.Ticket(f.org.OpenTickets(agent)[0])
	config, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s:%s@%s/support?sslmode=disable", agent, f.passwords[agent], server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { t.Errorf("a client was told %q", n.Message) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	customer := f.org.Customer(own.Customer)
	read := func() (email string) {
		if err := conn.QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = $1", own.Customer).Scan(&email); err != nil {
			t.Fatal(err)
		}
		return email
	}
	if _, err := conn.Exec(t.Context(), fmt.Sprintf("SET sallyport.purpose = 'ticket:%s'", own.No)); err != nil {
		t.Fatal(err)
	}
	if read() != customer.Email || strings.Contains(out.String(), "tokens") {
		t.Errorf("a covered read: %s", out)
	}
	if _, err := conn.Exec(t.Context(), "RESET sallyport.purpose"); err != nil {
		t.Fatal(err)
	}
	if read() != customer.Email || !strings.Contains(out.String(), "would have left 1 values as tokens") {
		t.Errorf("an uncovered read: %s", out)
	}
	rows, err := conn.Query(t.Context(), "SELECT * FROM support.customers")
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for rows.Next() {
		n++
	}
	if rows.Err() != nil || n != f.org.Customers {
		t.Errorf("%d rows: %v", n, rows.Err())
	}
	if !strings.Contains(out.String(), "would have cut the result and suspended: the budget reached/day") {
		t.Errorf("nothing said of the budget: %s", out)
	}
	if _, err := conn.Exec(t.Context(), "UPDATE support.customers SET email = lower('SOME@x.example') WHERE id = 1"); err != nil {
		t.Errorf("a statement that would be refused: %v", err)
	}
	if !strings.Contains(out.String(), "would have been refused") {
		t.Errorf("nothing said of the refusal: %s", out)
	}
	one := officer(t, server, officers[0])
	if err := one.Lock(t.Context(), agent, "a test"); err != nil {
		t.Fatal(err)
	}
	if status, err := one.Status(t.Context()); err != nil || !status.Observing {
		t.Errorf("status says nothing of observing: %+v, %v", status, err)
	}
	within(t, 5*time.Second, "the lock is printed", func() bool { return strings.Contains(out.String(), "would have ended 1 sessions") })
	if again, err := pgx.ConnectConfig(t.Context(), config); err != nil {
		t.Errorf("a locked person was barred: %v", err)
	} else {
		again.Close(t.Context())
	}
	if !strings.Contains(out.String(), "would have refused the log-in: you are locked: a test") {
		t.Errorf("nothing said of the log-in: %s", out)
	}
	stranger := own.Customer%f.org.Customers + 1
	if _, err := conn.Exec(t.Context(), fmt.Sprintf("SELECT id, phone FROM support.customers WHERE id = %d", stranger)); err != nil {
		t.Fatal(err)
	}
	seen, err := one.WhoSaw(t.Context(), sallyport.Subject(fmt.Sprint(stranger)))
	if err != nil || len(seen) == 0 || !seen[len(seen)-1].Observed || !slices.Contains(seen[len(seen)-1].Columns, "support.customers.phone") {
		t.Errorf("who saw customer %d while observing: %+v, %v", stranger, seen, err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	observeDoor(t, f, data, out, own)
	for _, value := range []string{customer.Email, customer.FullName, "SOME@x"} {
		if strings.Contains(out.String(), value) {
			t.Error("what is printed holds a value")
		}
	}
}

// observeDoor holds observing to letting nobody wait at the second door, and to saying who would have.
func observeDoor(t *testing.T, f *plainStage, data string, out *lockedBuffer, ticket sim.Ticket) {
	t.Helper()
	f.config.Demonstration = false
	server, err := Start(t.Context(), Options{Config: f.config, Data: data, Observe: out})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	<-server.Ready()
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("postgres://%s:%s@%s/support?sslmode=disable", ticket.Assignee, f.passwords[ticket.Assignee], server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var email string
	if _, err := conn.Exec(t.Context(), fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)); err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = $1", ticket.Customer).Scan(&email); err != nil || email != f.org.Customer(ticket.Customer).Email {
		t.Errorf("while observing a result waits or is no value: %v", err)
	}
	if !strings.Contains(out.String(), "would have waited: the database alone vouches for you") {
		t.Errorf("what the second door would have done is not told: %s", out)
	}
}

// plainStage is a server of its own with plain values: the shared one is marked.
type plainStage struct {
	*stage
	config *config.Config
}

func newPlainStage(t *testing.T) *plainStage {
	t.Helper()
	s := &stage{folder: t.TempDir()}
	var err error
	if s.cluster, err = throwaway.Start(t.Context(), throwaway.Options{Settings: map[string]string{"fsync": "off"}}); errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cluster.Stop() })
	if s.org, err = sim.New(1, 600, time.Now()); err != nil {
		t.Fatal(err)
	}
	f := &fort{stage: s, t: t, ctx: t.Context()}
	f.superExec("postgres", "CREATE DATABASE support")
	s.passwords, err = refdb.Load(t.Context(), refdb.Options{DSN: s.cluster.SuperDSN("support"), Org: s.org, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	p := &plainStage{stage: s}
	p.config, err = s.config(s.folder, "support", "budgets: {default: {revealed: {day: 3}, reached: {day: 50}, probed: {day: 5}}}\n")
	if err != nil {
		t.Fatal(err)
	}
	return p
}
