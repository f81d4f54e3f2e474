package serve

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/goleak"
)

// TestBypassReach tries to have more customers' tokens come back than the budget of reach allows.
func TestBypassReach(t *testing.T) {
	const budget = 60
	f := newFort(t, fmt.Sprintf("budgets: {default: {reached: {day: %d}}}\n", budget))
	for i, k := range []struct {
		name, open string
		purpose    bool
		sessions   int // 0: one
		binary     bool
		sql        []string
	}{
		{name: "plain rows", sql: []string{"SELECT email FROM support.customers WHERE id <= 300"}},
		{name: "without the key", sql: []string{"SELECT notes, birth_date FROM support.customers WHERE id <= 300 AND notes IS NOT NULL"}},
		{name: "one array of all", sql: []string{"SELECT array_agg(email) FROM support.customers WHERE id <= 300"}},
		{name: "one text of all", sql: []string{"SELECT string_agg(email, ' ') FROM support.customers WHERE id <= 300"}},
		{name: "one document of all", sql: []string{"SELECT json_agg(c) FROM support.customers c WHERE id <= 300"}},
		{name: "many in a row", sql: []string{"SELECT a.email, b.email, c.email, d.email, e.email FROM support.customers a, support.customers b, support.customers c, support.customers d, support.customers e WHERE b.id = a.id + 60 AND c.id = a.id + 120 AND d.id = a.id + 180 AND e.id = a.id + 240 AND a.id <= 55"}},
		{name: "behind his own customer's id", purpose: true, sql: []string{"SELECT o.id, v.email FROM support.customers o, support.customers v WHERE o.id = {own} AND v.id <= 300"}},
		{name: "behind one id", sql: []string{"SELECT o.id, v.email FROM support.customers o, support.customers v WHERE o.id = 1 AND v.id <= 300"}},
		{name: "many in a row, computed", sql: []string{"SELECT a.email || '', b.email || '', c.email || '', d.email || '', e.email || '' FROM support.customers a, support.customers b, support.customers c, support.customers d, support.customers e WHERE b.id = a.id + 60 AND c.id = a.id + 120 AND d.id = a.id + 180 AND e.id = a.id + 240 AND a.id <= 55"}},
		{name: "behind one value", sql: []string{"SELECT o.email, v.phone FROM support.customers o, support.customers v WHERE o.id = 1 AND v.id <= 300"}},
		{name: "behind his own customer's value", purpose: true, sql: []string{"SELECT o.email, v.email FROM support.customers o, support.customers v WHERE o.id = {own} AND v.id <= 300"}},
		{name: "behind one id, in many sessions", sessions: 75, sql: []string{"SELECT o.id, v.email FROM support.customers o, support.customers v WHERE o.id = 1 AND v.id = {session}"}},
		{name: "texts behind one id", sql: []string{"SELECT o.id, v.subject FROM support.customers o, support.tickets v WHERE o.id = 1 AND v.id <= 300"}},
		{name: "a row of a row", sql: []string{"SELECT ROW(o.id, v) FROM support.customers o, (SELECT array_agg(email) FROM support.customers WHERE id <= 300) v WHERE o.id = 1"}},
		{name: "a write that returns them", sql: []string{"UPDATE support.customers SET plan = plan WHERE id <= 300 RETURNING email"}},
		{name: "a write that returns them behind one id", sql: []string{"UPDATE support.customers v SET plan = v.plan FROM support.customers o WHERE v.id <= 300 AND o.id = 1 RETURNING o.id, v.email"}},
		{name: "a long error that quotes them", sql: []string{"SELECT (string_agg(email, ' ') || repeat('x', 3000000))::int FROM support.customers WHERE id <= 300"}},
		{name: "XML", sql: []string{"SELECT xmlagg(xmlelement(name e, email)) FROM support.customers WHERE id <= 300"}},
		{name: "an array in COPY in binary", sql: []string{"COPY (SELECT array_agg(email), array_agg(ROW(phone)) FROM support.customers WHERE id <= 300) TO STDOUT (FORMAT binary)"}},
		{name: "an array in binary", binary: true, sql: []string{"SELECT array_agg(email) FROM support.customers WHERE id <= 300"}},
		{name: "a document in binary", binary: true, sql: []string{"SELECT jsonb_object_agg(id, email) FROM support.customers WHERE id <= 300"}},
		{name: "a vector in binary", binary: true, sql: []string{"SELECT array_to_tsvector(array_agg(phone)) FROM support.customers WHERE id <= 300"}},
		{name: "COPY", sql: []string{"COPY (SELECT email FROM support.customers WHERE id <= 300) TO STDOUT"}},
		{name: "COPY in binary", sql: []string{"COPY (SELECT email FROM support.customers WHERE id <= 300) TO STDOUT (FORMAT binary)"}},
		{name: "small steps", sql: []string{"SELECT email FROM support.customers WHERE id BETWEEN 1 AND 50", "SELECT email FROM support.customers WHERE id BETWEEN 51 AND 100", "SELECT email FROM support.customers WHERE id BETWEEN 101 AND 150"}},
		{name: "a cursor", sql: []string{"BEGIN", "DECLARE x CURSOR FOR SELECT email FROM support.customers WHERE id <= 300", "FETCH ALL x"}},
		{name: "a copy of the table", sql: []string{"CREATE TEMP TABLE x AS SELECT email FROM support.customers WHERE id <= 300", "TABLE x"}},
		{name: "an error that quotes them", sql: []string{"SELECT string_agg(email, ' ')::int FROM support.customers WHERE id <= 300"}},
	} {
		t.Run(k.name, func(t *testing.T) {
			s := &siege{fort: f} // a budget is a person's: each row is another agent's
			s.who, s.ticket, s.own = f.hasTicket(i)
			seen := map[string]bool{}
			for session := range max(k.sessions, 1) {
				conn, kept, err := s.dial(t, f.dsn(s.who), nil)
				if err != nil {
					break // suspended
				}
				if k.purpose {
					_, _ = conn.Exec(t.Context(), s.fill(0, "SET sallyport.purpose = 'ticket:{ticket}'")).ReadAll()
				}
				for _, sql := range k.sql {
					sql = strings.ReplaceAll(s.fill(0, sql), "{session}", strconv.Itoa(session+1))
					if k.binary {
						conn.ExecParams(t.Context(), sql, nil, nil, nil, []int16{1}).Read()
						continue
					}
					_, _ = conn.Exec(t.Context(), sql).ReadAll()
				}
				_ = conn.Close(t.Context())
				for _, tok := range tokenForm.FindAll(kept.bytes(), -1) {
					seen[string(tok)] = true
				}
			}
			t.Logf("%d tokens", len(seen))
			switch n := len(seen); {
			case n <= budget+10:
			case k.open != "":
				t.Logf("OPEN (%s): %d tokens came back, the budget is %d customers", k.open, n, budget)
			default:
				t.Errorf("%d tokens came back, the budget is %d customers", n, budget)
			}
		})
	}
}

// tokenForm finds tokens in the bytes of the protocol, where the length of a field may look like a letter in front of it.
var tokenForm = regexp.MustCompile(`[0-9a-v]{30,}@[0-9a-v.]*k1\.invalid|tk1:[A-Za-z0-9_-]+|\+8[39][0-9]{13}|ZQ-[0-9]{4}-[0-9]{4}`) //nolint:gochecknoglobals // a constant

// TestBypassStalePortal reads a cursor through a portal's name that a harmless result had before.
func TestBypassStalePortal(t *testing.T) {
	f := newFort(t, "budgets: {default: {reached: {day: 60}}}\n")
	s := &siege{fort: f}
	s.who, s.ticket, s.own = f.hasTicket(0)
	conn, kept, err := s.dial(t, f.dsn(s.who), nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWire(t, s, 0, conn, kept)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	w.ask(w.query("BEGIN"))
	w.ask(w.parse("a", "SELECT 1"), w.bind("p", "a"), runPortal("p"), theSync())
	w.ask(w.query("CLOSE p"))
	w.ask(w.query("DECLARE p CURSOR FOR SELECT email FROM support.customers"))
	w.send(runPortal("p"), theSync())
	rows := 0
	for _, m := range w.until(1) {
		if strings.HasPrefix(m, "row") {
			rows++
		}
	}
	if rows > 70 {
		t.Errorf("%d rows, the budget is 60 customers", rows)
	}
}

// TestBypassDictionary asks for tokens of guessed values in ways that are no searches.
func TestBypassDictionary(t *testing.T) {
	f := newFort(t, "budgets: {default: {probed: {day: 10}}}\n")
	for i, k := range []struct{ name, open, sql string }{
		{"a search", "", "SELECT 1 FROM support.tickets WHERE ticket_no = 'CS-%04d-0001'"},
		{"explained", "", "EXPLAIN SELECT 1 FROM support.tickets WHERE ticket_no = 'CS-%04d-0001'"},
		{"rolled back", "", "BEGIN; UPDATE support.customers SET phone = '+4915550%04d' WHERE id = -1; ROLLBACK"},
		{"failed", "", "SELECT 1/0 FROM support.customers WHERE email = 'g%d@x.example'"},
		{"prepared only", "", "PREPARE p%[1]d AS SELECT 1 FROM support.customers WHERE email = 'g%[1]d@x.example'"},
		{"an array", "", "SELECT 1 FROM support.customers WHERE email = ANY ('{g%[1]d@x.example,h%[1]d@x.example}')"},
		{"a purpose and SHOW", "", "SET sallyport.purpose = 'ticket:CS-%04d-0001'; SHOW sallyport.purpose"},
		{"a purpose for one statement", "", "SELECT 1 /*sallyport.purpose='ticket:CS-%04d-0001'*/"},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := f.connect(f.org.Agents()[i].ID)
			n := 0
			for ; n < 40; n++ {
				if _, err := c.PgConn().Exec(t.Context(), fmt.Sprintf(k.sql, n)).ReadAll(); err != nil && c.IsClosed() {
					break
				}
			}
			switch {
			case n <= 11:
			case k.open != "":
				t.Logf("OPEN (%s): %d guesses, the budget is 10", k.open, n)
			default:
				t.Errorf("%d guesses, the budget is 10", n)
			}
		})
	}
}

// TestBypassKillers sends what could end the process or take it away from everybody else.
func TestBypassKillers(t *testing.T) {
	onlyInASiege(t)
	s := newBesieged(t)
	repeat := strings.Repeat
	var nested, recursive string
	for i := range 30 {
		nested = fmt.Sprintf("WITH u%d AS (UPDATE t SET (a, b) = (%s) RETURNING a, b) SELECT a, b FROM u%d", i, or(nested, "SELECT 1, 1"), i)
		recursive = fmt.Sprintf("WITH RECURSIVE r%d AS (SELECT 1 UNION ALL (%s)) SELECT * FROM r%d", i, or(recursive, "SELECT 1"), i)
	}
	for name, sql := range map[string]string{
		"terms":             "SELECT 1" + repeat("+1", 100_000),
		"unions":            "SELECT 1" + repeat(" UNION ALL SELECT 1", 30_000),
		"parentheses":       "SELECT " + repeat("(", 100_000) + "1" + repeat(")", 100_000),
		"case as a label":   "SELECT 1" + repeat("-a.case"+repeat("-1", 1800)+"-a.end", 60) + " FROM a",
		"select as a label": "SELECT 1" + repeat(repeat("-1", 1800)+"-a.select", 60) + " FROM a",
		"labels of unions":  repeat("SELECT 1 AS case"+repeat(" UNION SELECT 1", 1800)+" UNION SELECT 1 AS end UNION ", 20) + "SELECT 1",
		"and or not":        "SELECT " + repeat("NOT ", 50_000) + "true", "casts": "SELECT 1" + repeat("::int", 50_000), "brackets": "SELECT a" + repeat("[1]", 50_000),
		"joins": "SELECT 1 FROM a" + repeat(" JOIN a ON true", 50_000), "grouping": "SELECT 'x' AS x" + repeat(", 'x' AS x", 1250) + " GROUP BY x" + repeat(", x", 1250),
		"stars": "SELECT x.*" + repeat(", x.*", 1250) + " FROM (SELECT 1" + repeat(", 'a'", 1250) + ") x", "comments": "SELECT 1 " + repeat("/*sallyport.*/", 60_000),
		"arguments": "SELECT concat('a'" + repeat(",'a'", 60_000) + ")", "greatest": "SELECT greatest('a'" + repeat(",'a'", 60_000) + ")", "a list": "SELECT 1 WHERE 'x' IN ('a'" + repeat(",'a'", 100_000) + ")",
		"commas": "SELECT " + repeat("1,", 500_000) + "1", "statements": repeat("SELECT 1;", 10_000), "a megabyte": "SELECT '" + repeat("x", 1_000_000) + "'", "too long": "SELECT '" + repeat("x", 1_100_000) + "'",
		"nested": nested, "recursive": recursive, "values": "VALUES (1)" + repeat(",('a')", 100_000), "dots": "SELECT " + repeat("a.", 100_000) + "a", "prefix": "SELECT " + repeat("- ", 100_000) + "1",
		"dollars": repeat("$a$", 100_000), "quotes": repeat("'", 300_001), "comment in comment": repeat("/*", 20_000), "else": "SELECT " + repeat("CASE WHEN a THEN 1 ELSE ", 20_000) + "1" + repeat(" END", 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			conn, kept, err := s.dial(t, s.dsn(s.who), nil)
			if err != nil {
				t.Fatal(err)
			}
			w, err := newWire(t, s, 0, conn, kept)
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			at := time.Now()
			w.send(&pgproto3.Query{String: sql})
			w.untilWithin(1, stretched(10*time.Second))
			if took := time.Since(at); took > stretched(5*time.Second) {
				t.Errorf("%d bytes took %s", len(sql), took)
			}
		})
	}
	s.control(t)
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// newBesieged is a siege for tests that look at no bytes.
func newBesieged(t *testing.T) *siege {
	f := newFort(t, rich)
	s := &siege{fort: f, emails: map[string]bool{}, numbers: map[string]bool{}}
	s.who, s.ticket, s.own = f.hasTicket(0)
	return s
}

// TestBypassFloods sends more than it reads.
func TestBypassFloods(t *testing.T) {
	onlyInASiege(t)
	s := newBesieged(t)
	for _, k := range []struct {
		name, open string
		first      string
		message    pgproto3.FrontendMessage
		n          int
	}{
		{"CopyDone behind a statement that sleeps", "", "SELECT pg_sleep(3)", &pgproto3.CopyDone{}, 2_000_000},
		{"Sync behind a statement that sleeps", "", "SELECT pg_sleep(3)", &pgproto3.Sync{}, 1_000_000},
		{"Flush behind a statement that sleeps", "", "SELECT pg_sleep(3)", &pgproto3.Flush{}, 1_000_000},
		{"CopyDone without end", "", "SELECT 1", &pgproto3.CopyDone{}, 2_000_000},
		{"portals", "", "BEGIN", &pgproto3.Describe{ObjectType: 'P', Name: "x"}, 200_000},
	} {
		t.Run(k.name, func(t *testing.T) {
			conn, kept, err := s.dial(t, s.dsn(s.who), nil)
			if err != nil {
				t.Fatal(err)
			}
			w, err := newWire(t, s, 0, conn, kept)
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w.send(&pgproto3.Query{String: k.first})
			one := sure(k.message.Encode(nil))
			block := []byte(strings.Repeat(string(one), 10_000))
			_ = kept.Conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
			sent := 0
			for sent < k.n {
				if _, err := kept.Conn.Write(block); err != nil {
					break
				}
				sent += 10_000
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			grown := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20 //nolint:gosec // sizes
			t.Logf("%d messages of %d bytes: %d MiB more", sent, len(one), grown)
			switch {
			case grown < 40:
			case k.open != "":
				t.Logf("OPEN (%s)", k.open)
			default:
				t.Errorf("one session holds %d MiB", grown)
			}
		})
	}
	s.control(t)
}

// TestBypassLeaves counts what stays behind of sessions whose clients left at a bad moment.
func TestBypassLeaves(t *testing.T) {
	s := newBesieged(t)
	for _, k := range []struct {
		name, open string
		do         func(w *wire)
	}{
		{"in a COPY with a transaction behind it", "", func(w *wire) {
			w.send(w.query("CREATE TEMP TABLE x (a int)"), w.query("BEGIN; COPY x FROM STDIN; COMMIT"), w.query("SET sallyport.purpose = 'ticket:{ticket}'"), w.query("SELECT email FROM support.customers WHERE id = 1"))
			w.until(1)
		}},
		{"in a COPY", "", func(w *wire) {
			w.send(w.query("CREATE TEMP TABLE x (a int)"), w.query("COPY x FROM STDIN"), &pgproto3.CopyData{Data: []byte("1\n")})
			w.until(1)
		}},
		{"behind Parses that fail", "", func(w *wire) {
			w.ask(w.query("PREPARE s AS SELECT 1"))
			w.ask(w.parse("s", "SELECT 2"), w.parse("s", "SELECT 3"), theSync())
			w.send(w.bind("", "s"), runPortal(""), theSync())
		}},
		{"in mid-result", "", func(w *wire) { w.send(w.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)")) }},
		{"in mid-message", "", func(w *wire) { w.raw("Q\x00\x00\xff\xff half") }},
		{"without Sync", "", func(w *wire) {
			w.send(w.parse("", "SET sallyport.purpose = 'ticket:{ticket}'"), w.bind("", ""), runPortal(""), w.parse("", "SELECT email FROM support.customers WHERE id = {own}"), w.bind("", ""), runPortal(""))
		}},
		{"in a transaction", "", func(w *wire) { w.ask(w.query("BEGIN; UPDATE support.customers SET plan = plan WHERE id = {own}")) }},
		{"while it waits for a lock", "", func(w *wire) { w.ask(w.query("LISTEN x")) }},
	} {
		t.Run(k.name, func(t *testing.T) {
			conn, kept, err := s.dial(t, s.dsn(s.who), nil)
			if err != nil {
				t.Fatal(err)
			}
			w, err := newWire(t, s, 0, conn, kept)
			if err != nil {
				t.Fatal(err)
			}
			k.do(w)
			w.close()
			deadline := time.Now().Add(4 * time.Second)
			for s.server.gateway.Sessions() > 0 && time.Now().Before(deadline) {
				time.Sleep(5 * time.Millisecond) // between two looks
			}
			switch n := s.server.gateway.Sessions(); {
			case n == 0:
			case k.open != "":
				t.Logf("OPEN (%s): the session stays", k.open)
			default:
				t.Errorf("%d sessions stay", n)
			}
		})
	}
}

// TestBypassCycles connects and leaves many times.
func TestBypassCycles(t *testing.T) {
	onlyInASiege(t)
	s := newBesieged(t)
	s.control(t)
	before := goleak.IgnoreCurrent()
	for i := range 500 {
		conn, _, err := s.dial(t, s.dsn(s.who), nil)
		if err != nil {
			t.Fatalf("cycle %d: %v", i, err)
		}
		switch i % 3 {
		case 0:
			_, _ = conn.Exec(t.Context(), s.fill(0, "SELECT * FROM support.customers WHERE id = {own}")).ReadAll()
			_ = conn.Close(t.Context())
		case 1:
			_ = conn.Conn().Close()
		default:
			poke(t, s.fort, []byte("Q\x00\x00\x00\x03"))
			_ = conn.Close(t.Context())
		}
	}
	within(t, 10*time.Second, "all sessions are gone", func() bool { return s.server.gateway.Sessions() == 0 })
	if err := goleak.Find(before, goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck")); err != nil {
		t.Error(err)
	}
}
