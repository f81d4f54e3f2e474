package serve

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// large says whether the expensive sizes are wanted.
func large() bool { return os.Getenv("SALLYPORT_SIEGE") != "" }

// memory is what the process holds of heap and stacks after a collection.
func memory() (heapBytes, stackBytes uint64) {
	var m runtime.MemStats
	for range 3 { // pools keep their content over one, stacks shrink by halves
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// TestLimitIdleSessions measures what a session holds that has worked and does nothing now: at most 64 KiB of heap and stacks
// beyond the kernel's buffers.
func TestLimitIdleSessions(t *testing.T) {
	f := newFort(t, rich)
	const sessions = 60
	for _, database := range []string{f.database, "postgres"} {
		t.Run(map[bool]string{true: "guarded", false: "relayed"}[database == f.database], func(t *testing.T) {
			f.idle(t, 0, database)
			var talks []*talk
			measured(t, sessions, func() {
				for range sessions {
					talks = append(talks, f.idle(t, 0, database))
				}
			})
			for _, k := range talks {
				_ = k.conn.Close() // the server has room for one half of them
			}
		})
	}
}

// idle is a session of an agent's that has worked and does nothing now.
func (f *fort) idle(t *testing.T, agent int, database string) *talk {
	t.Helper()
	who, ticket, customer := f.hasTicket(agent)
	k := newTalk(t, f.dsnOf(who, f.passwords[who], database))
	k.say(sql(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)))
	if database == f.database {
		k.say(sql(fmt.Sprintf("SELECT * FROM support.customers WHERE id = %d", customer.ID)))
		k.say(parse("a", "SELECT * FROM support.customers WHERE email = $1"), bind("", "a", "x@y.example"), execute("", 0), &pgproto3.Sync{})
	}
	k.front = nil // the client's own buffers do not count
	return k
}

// measured fails where a session that is opened holds more than 64 KiB of heap and stacks: the median of three times that many, because what else
// the process does meanwhile comes and goes.
func measured(t *testing.T, sessions int, open func()) {
	t.Helper()
	each := func(after, before uint64) int { return (int(after) - int(before)) / sessions } //nolint:gosec // sizes of a test
	var sums []int
	for range 3 {
		heapBefore, stackBefore := memory()
		open()
		heapAfter, stackAfter := memory()
		heap, stacks := each(heapAfter, heapBefore), each(stackAfter, stackBefore)
		t.Logf("of %d sessions that do nothing each holds %d bytes of heap and %d of stacks, the test's own client among them", sessions, heap, stacks)
		sums = append(sums, heap+stacks)
	}
	slices.Sort(sums)
	if sums[1] > 64<<10 {
		t.Errorf("an idle session holds %d bytes", sums[1])
	}
}

// TestLimitStatements keeps 10,000 prepared statements in a session, and all of them work.
func TestLimitStatements(t *testing.T) {
	f := newFort(t, rich)
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	n := 1000
	if large() {
		n = 10_000
	}
	heapBefore, _ := memory()
	for i := range n {
		text := fmt.Sprintf("SELECT %d::text", i)
		if i%10 == 0 {
			text = fmt.Sprintf("SELECT email FROM support.customers WHERE id = $1 AND %d = %d", i, i)
		}
		if _, err := c.PgConn().Prepare(t.Context(), fmt.Sprintf("s%d", i), text, nil); err != nil {
			t.Fatal(err)
		}
	}
	heapAfter, _ := memory()
	t.Logf("a prepared statement holds %d bytes", (int(heapAfter)-int(heapBefore))/n) //nolint:gosec // sizes of a test
	for _, i := range []int{0, n / 2, n - 10, n - 1, 7} {
		want, args := fmt.Sprint(i), [][]byte(nil)
		if i%10 == 0 {
			want, args = customer.Email, [][]byte{fmt.Append(nil, customer.ID)}
		}
		r := c.PgConn().ExecPrepared(t.Context(), fmt.Sprintf("s%d", i), args, nil, nil).Read()
		if r.Err != nil || len(r.Rows) != 1 || string(r.Rows[0][0]) != want {
			t.Errorf("statement %d: %v", i, r.Err)
		}
	}
	c.must("DEALLOCATE ALL")
	if _, err := c.PgConn().Prepare(t.Context(), "s1", "SELECT 1", nil); err != nil {
		t.Errorf("a name that was given back: %v", err)
	}
}

// TestLimitValues sends and reads a value of 100 MB, beside a value that is revealed and in a result where nothing can be.
func TestLimitValues(t *testing.T) {
	if !large() {
		t.Skip("takes much memory: `make siege` runs it; TestClientLargeRows has 10 MB")
	}
	f := newFort(t, rich)
	who, ticket, customer := f.hasTicket(0)
	const size = 100_000_000
	c := f.connect(who, pgx.QueryExecModeExec)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	value := strings.Repeat("x", size)
	for name, query := range map[string]string{
		"in":                        "SELECT length($1::text)::text",
		"out":                       fmt.Sprintf("SELECT repeat('y', %d)", size),
		"out beside a revealed one": fmt.Sprintf("SELECT repeat('y', %d), email FROM support.customers WHERE id = %d", size, customer.ID),
		"out as bytes":              fmt.Sprintf("SELECT decode(repeat('00', %d), 'hex')", size/2),
	} {
		before := heap()
		peak := watchHeap(t)
		var args []any
		if name == "in" {
			args = append(args, value)
		}
		rows, err := c.Query(t.Context(), query, args...)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for rows.Next() {
			n = len(rows.RawValues()[0])
		}
		if rows.Err() != nil || n == 0 {
			t.Errorf("%s: %v", name, rows.Err())
		}
		rows.Close()
		t.Logf("%s: the test and the gateway held %d MiB together", name, (int(peak())-int(before))>>20) //nolint:gosec // sizes of a test
	}
}

// TestLimitSlowReader asks for a large result and does not read it: the gateway's memory stays bounded whatever the result is.
func TestLimitSlowReader(t *testing.T) {
	f := newFort(t, rich)
	who, ticket, customer := f.hasTicket(0)
	before := heap()
	for _, text := range []string{
		"SELECT repeat('x', 1000000) FROM generate_series(1, 300)",
		fmt.Sprintf("SELECT c.*, repeat('x', 100000) FROM support.customers c, generate_series(1, 3000) WHERE id = %d", customer.ID),
		"COPY (SELECT repeat('x', 100000) FROM generate_series(1, 3000)) TO STDOUT",
	} {
		k := newTalk(t, f.dsn(who))
		k.say(sql(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)))
		out, _ := sql(text).Encode(nil)
		if _, err := k.conn.Write(out); err != nil {
			t.Fatal(err)
		}
	}
	f.awaitStalled(who, 3)
	if held := int(heap()) - int(before); held > 3*6<<20 { //nolint:gosec // sizes of a test
		t.Errorf("the gateway holds %d KiB for three clients that do not read", held>>10)
	}
}

// TestLimitCycles connects and leaves 10,000 times: neither goroutines, descriptors nor memory stay behind.
func TestLimitCycles(t *testing.T) {
	if !large() {
		t.Skip("takes minutes: `make siege` runs it; TestClientCycles does 300")
	}
	f := newFort(t, rich)
	who, _, _ := f.hasTicket(0)
	cycle := func(i int) {
		c, err := pgconn.Connect(t.Context(), f.dsn(who)) // which nothing of the test holds afterwards
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if _, err := c.Exec(t.Context(), "SELECT id FROM support.customers WHERE id = 1").ReadAll(); err != nil {
				t.Fatal(err)
			}
			_ = c.Close(t.Context())
			return
		}
		_ = c.Conn().Close()
	}
	for i := range 200 {
		cycle(i)
	}
	settled := func() bool { return f.server.gateway.Sessions() == 0 }
	within(t, 20*time.Second, "no session is left", settled)
	goroutines, descriptors, before := runtime.NumGoroutine(), openFiles(t), heap()
	for i := range 10_000 {
		cycle(i)
	}
	within(t, 20*time.Second, "no session is left", settled)
	within(t, 10*time.Second, "goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines+3 })
	within(t, 10*time.Second, "descriptors are closed", func() bool { return openFiles(t) <= descriptors+3 })
	if grown := int(heap()) - int(before); grown > 4<<20 { //nolint:gosec // sizes of a test
		t.Errorf("%d KiB stayed behind", grown>>10)
	}
}
