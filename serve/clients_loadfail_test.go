package serve

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport"
	"sallyport/exposure"
)

// TestClientLoadRefused sends rows of which nothing may be stored: the client reads why, the transaction is the server's, and
// the session goes on.
func TestClientLoadRefused(t *testing.T) {
	f := newLoadFort(t, rich)
	direct := f.direct()
	count := func() (n int) {
		if err := direct.QueryRow(t.Context(), "SELECT count(*) FROM support.customers WHERE id >= 8000000").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var stored string
	if err := direct.QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = 1").Scan(&stored); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), f.superWays()[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	good := "8000001\tgood@load.example\n"
	for _, tt := range []struct{ sql, data, want string }{
		{"COPY support.customers (id, email) FROM STDIN", good + "8000002\tno address\n", "SP005 sallyport: the value for support.customers.email does not fit"},
		{"COPY support.customers (id, email) FROM STDIN", good + "8000002\t" + stored + "\n", "SP004 sallyport: a token cannot be written into support.customers.email"},
		{"COPY support.customers (id, email) FROM STDIN CSV", "8000001,good@load.example\n8000002,\"" + stored + "\"\n", "SP004"},
		{"COPY support.customers (id, birth_date) FROM STDIN", good[:8] + "2345-01-01\n", "SP004"},
		{"COPY support.customers (id, birth_date) FROM STDIN", good[:8] + "yesterday\n", "SP005"},
		{"COPY support.customers (email, id) FROM STDIN", "a@load.example\tplain@load.example\n", "22P02 invalid input syntax for type bigint: \"plain@load.example\""},
		{"COPY support.customers (id, full_name) FROM STDIN", good[:8] + strings.Repeat("long", 100_000) + "\n", "SP005"},
		{"COPY support.customers (id, email) FROM STDIN WHERE email IS NULL", good, "SP003"},
		{"COPY support.customers (id, email) FROM STDIN (ENCODING 'LATIN1')", good, "SP003"},
		{"COPY support.open_cases FROM STDIN", good, "SP003"},
		{"COPY support.customers (id, email) FROM STDIN (DELIMITER 'ab')", good, "SP003"},
	} {
		said := copyIn(t, conn.PgConn(), tt.sql, tt.data)
		if !strings.HasPrefix(said, tt.want) || strings.Contains(said, "no address") {
			t.Errorf("%s: %s, want %s", tt.sql, said, tt.want)
		}
		if n := count(); n != 0 {
			t.Errorf("%s: %d rows were stored", tt.sql, n)
		}
	}
	// In a transaction: it has failed, as any COPY that fails would leave it.
	if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	copyIn(t, conn.PgConn(), "COPY support.customers (id, email) FROM STDIN", good+"8000002\tbad\n")
	if status := conn.PgConn().TxStatus(); status != 'E' {
		t.Errorf("the transaction is %q", status)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if said := copyIn(t, conn.PgConn(), "COPY support.customers (id, email) FROM STDIN", good); said != "COPY 1" || count() != 1 {
		t.Errorf("after all that: %s, %d rows", said, count())
	}
	if strings.Contains(f.log.String(), "load.example") {
		t.Error("the log holds a value")
	}
}

// TestClientLoadWire cuts the data everywhere, in both protocols, with Syncs that go unheard and Syncs that do not.
func TestClientLoadWire(t *testing.T) {
	f := newLoadFort(t, rich)
	f.superExec(f.database, "CREATE TABLE public.twin (LIKE support.customers INCLUDING DEFAULTS)")
	for name, at := range map[string][2]string{"ones": {"public.twin", "support.customers"}} {
		text := func(i int) string { return "COPY " + at[i] + " (id, email, plan) FROM STDIN" }
		cut := func(s string) (out []pgproto3.FrontendMessage) {
			for i := range len(s) {
				out = append(out, data(s[i:i+1]))
			}
			return out
		}
		rows := "8000001\ta@load.example\tx\\\ty\n8000002\t\\N\t\\N\n"
		var steps [2][][]pgproto3.FrontendMessage
		for i := range steps {
			simple := append(step(sql(text(i))), cut(rows)...)
			extended := append(step(parse("", text(i)), bind("", ""), describe('P', ""), execute("", 0)), cut(rows)...)
			steps[i] = [][]pgproto3.FrontendMessage{
				append(simple, &pgproto3.CopyDone{}), step(sql("SELECT count(*) FROM " + at[i] + " WHERE id >= 8000000")), step(sql("DELETE FROM " + at[i] + " WHERE id >= 8000000")),
				append(extended, &pgproto3.CopyDone{}, &pgproto3.Sync{}), step(sql("DELETE FROM " + at[i] + " WHERE id >= 8000000")),
				append(step(sql(text(i))), data(rows), &pgproto3.CopyFail{Message: "enough"}), step(sql("SELECT count(*) FROM " + at[i] + " WHERE id >= 8000000")),
				step(sql(text(i)+"; "+text(i)+"; SELECT 1"), data(rows), &pgproto3.CopyDone{}, data("8000003\tb@load.example\tz\n"), &pgproto3.CopyDone{}),
				step(sql("DELETE FROM " + at[i] + " WHERE id >= 8000000")), step(sql("SELECT 1")),
				step(sql(text(i)), data("8000001\ta@load.example\tx\ty\n"), data(rows), &pgproto3.CopyDone{}), step(sql("SELECT 2")),
				step(parse("", text(i)), bind("", ""), execute("", 0), data("8000001\ta@load.example\tx\ty\n"), &pgproto3.CopyDone{}, &pgproto3.Sync{}), step(sql("SELECT 3")),
			}
		}
		t.Run(name, func(t *testing.T) {
			var heard [2][]string
			for i, way := range f.superWays() {
				k := newTalk(t, way)
				for _, s := range steps[i] {
					said := strings.Join(k.say(s...), "\n")
					said = strings.ReplaceAll(said, "twin", "customers")
					heard[i] = append(heard[i], withoutContext(said))
				}
			}
			for n := range heard[0] {
				if heard[0][n] != heard[1][n] {
					t.Errorf("step %d directly:\n%s\nthrough the gateway:\n%s", n, heard[0][n], heard[1][n])
				}
			}
		})
	}
}

// withoutContext leaves out where in the data an error was found, which the server says of its own errors only.
func withoutContext(said string) string {
	var kept []string
	for line := range strings.SplitSeq(said, "\n") {
		if at := strings.Index(line, `"Where"`); at >= 0 {
			line = line[:at]
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}

// TestClientLoadCounts holds a COPY to the same budgets and record as an INSERT.
func TestClientLoadCounts(t *testing.T) {
	f := newLoadFort(t, "budgets: {default: {probed: {hour: 20, day: 20, month: 100}}}\n", func(o *Options) {
		o.Config.Budgets.Teams = map[string]exposure.Budgets{"bulk": {Probed: exposure.Budget{Hour: 5000, Day: 5000, Month: 5000}}}
		router := o.Config.Services["svc_router"]
		router.Team = "bulk"
		o.Config.Services["svc_router"] = router
	})
	f.superExec(f.database, "GRANT INSERT ON support.customers TO PUBLIC; GRANT INSERT ON support.tickets TO PUBLIC")
	rows := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%d\tp%d@load.example\n", 8_000_000+i, i)
		}
		return b.String()
	}
	const load = "COPY support.customers (id, email) FROM STDIN"
	// A service's bulk load has its own budget, and its probes stand in few entries.
	service := f.connect("svc_router")
	if said := copyIn(t, service.PgConn(), load, rows(3000)); said != "COPY 3000" {
		t.Fatalf("a service's load: %s", said)
	}
	statements, touches, probes := 0, 0, map[sallyport.Digest]bool{}
	for _, e := range f.events() {
		if e.Who.Staff != "svc_router" {
			continue
		}
		switch {
		case e.Kind == sallyport.StatementKind && e.Statement.Verb == "COPY":
			statements++
			if !e.Statement.Writes || len(e.Statement.Columns) != 1 {
				t.Errorf("the entry of the statement: %+v", e.Statement)
			}
		case e.Kind == sallyport.TouchKind:
			touches++
			for _, d := range e.Touch.Probes {
				probes[d] = true
			}
		}
	}
	if statements != 1 || touches == 0 || touches > 10 || len(probes) != 3000 {
		t.Errorf("%d statements, %d entries with %d probes", statements, touches, len(probes))
	}
	// A person's ends at his, and nothing of it is stored.
	who, ticket, customer := f.hasTicket(0)
	f.superExec(f.database, "DELETE FROM support.customers WHERE id >= 8000000")
	c := f.connect(who)
	_, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader(rows(40)), load)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "SP010" {
		t.Errorf("a load over the budget: %v", err)
	}
	var n int
	if err := f.direct().QueryRow(t.Context(), "SELECT count(*) FROM support.customers WHERE id >= 8000000").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows of it were stored, %v", n, err)
	}
	within(t, 5*time.Second, "the session has ended", func() bool { return f.server.gateway.Sessions() <= 1 })

	// What somebody writes under a purpose he reads back at once.
	other, ticket, customer := f.hasTicket(1)
	c = f.connect(other)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	c.must("BEGIN")
	number := "CS-7777-1234"
	if said := copyIn(t, c.PgConn(), "COPY support.tickets (id, ticket_no, customer_id, queue, state, subject, opened_at) FROM STDIN",
		fmt.Sprintf("900000009\t%s\t%d\tq\topen\tabout a bill\t2026-01-01\n", number, customer.ID)); said != "COPY 1" {
		t.Fatalf("a ticket: %s", said)
	}
	if got := c.must("SELECT ticket_no, subject FROM support.tickets WHERE id = 900000009"); got[0][0] != number || got[0][1] != "about a bill" {
		t.Errorf("written under a purpose, read back as %q", got)
	}
	c.must("ROLLBACK")
	for _, e := range f.events() {
		if e.Kind == sallyport.FactKind && e.Who.Staff == other {
			t.Error("a COPY made a fact")
		}
	}
}

// TestClientLoadPrograms loads with other people's programs: pgx in binary, psql from a file.
func TestClientLoadPrograms(t *testing.T) {
	f := newLoadFort(t, rich)
	super := f.superWays()[1]
	conn, err := pgx.Connect(t.Context(), super)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	day := time.Date(1980, 2, 3, 0, 0, 0, 0, time.UTC)
	n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"support", "customers"}, []string{"id", "email", "birth_date", "phone", "notes", "plan"}, pgx.CopyFromSlice(2000, func(i int) ([]any, error) {
		return []any{int64(8_000_000 + i), fmt.Sprintf("p%d@load.example", i), day.AddDate(0, 0, i), nil, strings.Repeat("note ", i%50), "basic"}, nil
	}))
	if err != nil || n != 2000 {
		t.Fatalf("pgx: %d rows, %v", n, err)
	}
	rows := readBack(t, f, conn, "support.customers")
	if len(rows) != 2000 || rows[1][2] != "p1@load.example" || rows[1][4] != "1980-02-04" || rows[3][5] != "note note note " || rows[3][3] != "∅" {
		t.Errorf("%d rows came back; the second is %q", len(rows), rows[1])
	}
	file := script(t, []string{"8000001,Ada Example,ada@load.example", "8000002,\"B, C\",b@load.example"})
	said, err := installed(t, nil, "psql", "-X", super, "-c", `\copy support.customers (id, full_name, email) from '`+file+`' csv`)
	if err != nil || said != "COPY 2\n" {
		t.Errorf("psql: %s %v", said, err)
	}
	if rows := readBack(t, f, conn, "support.customers"); len(rows) != 2 || rows[1][1] != "B, C" {
		t.Errorf("psql's rows came back as %q", rows)
	}
}

// TestClientLoadLarge loads a field of 100 MB that passes, in one message: it is not held.
func TestClientLoadLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	f := newLoadFort(t, rich)
	f.superExec(f.database, "ALTER TABLE support.customers ALTER COLUMN plan TYPE text")
	k := newTalk(t, f.superWays()[1])
	k.say(sql("SELECT 1"))
	_ = k.conn.SetDeadline(time.Now().Add(2 * time.Minute)) // behind what say allows itself
	const large = 100_000_000
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // else garbage lies until the heap has doubled, whatever other tests left in it
	before := heap()
	peak := watchHeap(t)
	out, _ := sql("COPY support.customers (id, email, plan, segment) FROM STDIN").Encode(nil)
	if _, err := k.conn.Write(out); err != nil {
		t.Fatal(err)
	}
	if m, err := k.front.Receive(); err != nil {
		t.Fatalf("%T %v", m, err)
	}
	head, tail := "8000001\ta@load.example\tpro\t", "\n8000002\tb@load.example\tpro\t\\N\n"
	message := append([]byte{'d'}, binary.BigEndian.AppendUint32(nil, uint32(4+len(head)+large+len(tail)))...)
	if _, err := k.conn.Write(append(message, head...)); err != nil {
		t.Fatal(err)
	}
	piece := bytes.Repeat([]byte("x"), 1_000_000)
	for range large / len(piece) {
		if _, err := k.conn.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(k.conn, tail); err != nil {
		t.Fatal(err)
	}
	said := k.say(&pgproto3.CopyDone{}, sql("SELECT length(segment) FROM support.customers WHERE id = 8000001"))
	held := (int(peak()) - int(before)) >> 20 //nolint:gosec // sizes of a test
	if text := strings.Join(said, "\n"); !strings.Contains(text, "COPY 2") {
		t.Fatalf("a row of 100 MB: %s", text)
	}
	if held > 80 {
		t.Errorf("the gateway held %d MiB of a field of 100 MB that passes", held)
	}
	var n int
	if err := f.direct().QueryRow(t.Context(), "SELECT length(segment) FROM support.customers WHERE id = 8000001").Scan(&n); err != nil || n != large {
		t.Errorf("%d characters were stored, %v", n, err)
	}
}

// watchHeap looks at the heap until peak is called, which returns the most that was in use.
func watchHeap(t *testing.T) (peak func() uint64) {
	t.Helper()
	most := uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var m runtime.MemStats
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return most
	}
}
