package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport"
	"sallyport/exposure"
)

// TestProbes counts what each way to have values tokenised costs: a probe for each distinct value, ten for a date, whatever becomes
// of the statement.
func TestProbes(t *testing.T) {
	f := newFort(t, rich)
	who, ticket, own := f.hasTicket(0)
	probed := func() int {
		n, _, _ := f.server.gateway.Book.Count(f.server.gateway.Clock(), who, exposure.Probed)
		return n
	}
	simple := func(sql string) func(c *client) {
		return func(c *client) { _, _ = c.PgConn().Exec(t.Context(), sql).ReadAll() }
	}
	times := func(n int, sql string, args func(i int) []any, mode ...pgx.QueryExecMode) func(c *client) {
		return func(*client) {
			c := f.connect(who, mode...)
			for i := range n {
				_, _ = c.rows(sql, args(i)...)
			}
		}
	}
	bind := func(values [][]byte, formats []int16, execute bool) func(c *client) {
		return func(c *client) {
			front := c.PgConn().Frontend()
			front.Send(&pgproto3.Parse{Query: "SELECT id FROM support.customers WHERE email = ANY ($1::text[])"})
			front.Send(&pgproto3.Bind{Parameters: values, ParameterFormatCodes: formats})
			if execute {
				front.Send(&pgproto3.Execute{})
			}
			front.Send(&pgproto3.Sync{})
			_ = front.Flush()
			for {
				if m, err := front.Receive(); err != nil {
					t.Fatal(err)
				} else if _, ready := m.(*pgproto3.ReadyForQuery); ready {
					return
				}
			}
		}
	}
	copyIn := func(sql, data string) func(c *client) {
		return func(c *client) { _, _ = c.PgConn().CopyFrom(t.Context(), strings.NewReader(data), sql) }
	}
	const row = "INSERT INTO support.customers (id, full_name, email, phone, birth_date, country, plan, created_at) VALUES "
	for i, k := range []struct {
		name string
		do   func(c *client)
		want int
	}{
		{"searched", simple("SELECT id FROM support.customers WHERE email = 'searched@x.example'"), 1},
		{"the same in other letters", simple("SELECT id FROM support.customers WHERE email = 'SEARCHED@x.example'"), 0},
		{"and by another column", simple("SELECT id FROM support.customers WHERE phone = '+4915550000001' OR email = 'searched@x.example'"), 1},
		{"a name", simple("SELECT id FROM support.customers WHERE full_name = 'Nomen Nescio'"), 1},
		{"a date", simple("SELECT id FROM support.customers WHERE birth_date = '1933-01-01'"), 10},
		{"the same date", simple("SELECT id FROM support.customers WHERE birth_date = '1933-01-01'"), 0},
		{"the date in another form", simple("SELECT id FROM support.customers WHERE birth_date = date '19330101'"), 0},
		{"three dates", simple("SELECT id FROM support.customers WHERE birth_date IN ('1933-01-02', '1933-01-03', '1933-01-04')"), 30},
		{"a list", simple("SELECT id FROM support.customers WHERE email IN ('l1@x.example', 'l2@x.example', 'l3@x.example', 'l1@x.example')"), 3},
		{"excluded by <>", simple("SELECT id FROM support.customers WHERE email <> 'not@x.example' LIMIT 1"), 1},
		{"an array literal", simple("SELECT id FROM support.customers WHERE email = ANY ('{a1@x.example,a2@x.example,NULL}')"), 2},
		{"ARRAY[…]", simple("SELECT id FROM support.customers WHERE email = ANY (ARRAY['a3@x.example', 'a4@x.example'])"), 2},
		{"rows", simple("SELECT id FROM support.customers WHERE (email, phone) IN (('r1@x.example', '+4915550000002'), ('r2@x.example', '+4915550000003'))"), 4},
		{"joined with VALUES", simple("SELECT id FROM support.customers JOIN (VALUES ('v1@x.example'), ('v2@x.example')) v(e) ON v.e = email"), 2},
		{"in a CTE", simple("WITH v(e) AS (SELECT 'c1@x.example') SELECT id FROM support.customers, v WHERE email = e"), 1},
		{"explained", simple("EXPLAIN SELECT id FROM support.customers WHERE email = 'e1@x.example'"), 1},
		{"explained verbosely", simple("EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) SELECT id FROM support.customers WHERE email = 'e2@x.example'"), 1},
		{"failed", simple("SELECT 1/0 FROM support.customers WHERE email = 'f1@x.example'"), 1},
		{"failed at its names", simple("SELECT nothing FROM support.customers WHERE email = 'f2@x.example'"), 1},
		{"failed, a part of a string", simple("SELECT 1/0; SELECT id FROM support.customers WHERE email = 'f3@x.example'"), 1},
		{"in a failed transaction", simple("BEGIN; SELECT 1/0"), 0},
		{"and there", func(c *client) {
			_, _ = c.rows("BEGIN")
			_, _ = c.rows("SELECT 1/0")
			_, _ = c.rows("SELECT id FROM support.customers WHERE email = 'f4@x.example'")
			_, _ = c.rows("ROLLBACK")
		}, 1},
		{"written", simple(row + "(980001, 'Wanda Written', 'w1@x.example', '+4915550000004', '1934-01-01', 'DE', 'p', now())"), 13},
		{"written and rolled back", simple("BEGIN; " + row + "(980002, 'Rolf Rollback', 'w2@x.example', NULL, NULL, 'DE', 'p', now()) RETURNING email; ROLLBACK"), 2},
		{"written and refused by the server", simple(row + "(980001, 'Rolf Refused', 'w3@x.example', NULL, NULL, 'DE', 'p', now())"), 2},
		{"three rows", simple(row + "(980003, 'A Aa', 'w4@x.example', NULL, NULL, 'DE', 'p', now()), (980004, 'B Bb', 'w5@x.example', NULL, NULL, 'DE', 'p', now()), (980005, 'A Aa', 'w6@x.example', NULL, NULL, 'DE', 'p', now())"), 5},
		{"updated", simple("UPDATE support.customers SET email = 'u1@x.example' WHERE id = -1"), 1},
		{"merged", simple("MERGE INTO support.customers c USING (VALUES ('m1@x.example')) v(e) ON c.email = v.e WHEN MATCHED THEN DO NOTHING"), 1},
		{"deleted", simple("DELETE FROM support.customers WHERE email = 'd1@x.example'"), 1},
		{"a cursor", simple("BEGIN; DECLARE c CURSOR FOR SELECT id FROM support.customers WHERE email = 'd2@x.example'; COMMIT"), 1},
		{"PREPARE", simple("PREPARE p1 AS SELECT id FROM support.customers WHERE email = 'p1@x.example'"), 1},
		{"PREPARE by the protocol, EXECUTE by both", func(c *client) {
			for _, sql := range []string{"PREPARE p5 AS SELECT id FROM support.customers WHERE email = 'p5@x.example' OR email = $1", "SELECT 1"} {
				if err := c.PgConn().ExecParams(t.Context(), sql, nil, nil, nil, nil).Read().Err; err != nil {
					t.Error(err)
				}
			}
			if _, err := c.PgConn().Exec(t.Context(), "EXECUTE p5('p6@x.example')").ReadAll(); err != nil {
				t.Error(err)
			}
		}, 2},
		{"EXECUTE", simple("PREPARE p2 AS SELECT id FROM support.customers WHERE email = $1; EXECUTE p2('p2@x.example'); EXECUTE p2('p3@x.example'); EXECUTE p2('p2@x.example')"), 2},
		{"EXPLAIN EXECUTE", simple("PREPARE p3 AS SELECT id FROM support.customers WHERE email = $1; EXPLAIN EXECUTE p3('p4@x.example')"), 1},
		{"prepared by the protocol", times(20, "SELECT id FROM support.customers WHERE email = $1", func(i int) []any { return []any{fmt.Sprintf("q%d@x.example", i%10)} }, pgx.QueryExecModeCacheStatement), 10},
		{"unprepared by the protocol", times(20, "SELECT id FROM support.customers WHERE email = $1", func(i int) []any { return []any{fmt.Sprintf("n%d@x.example", i%10)} }, pgx.QueryExecModeExec), 10},
		{"a binary date", times(2, "SELECT id FROM support.customers WHERE birth_date = $1", func(i int) []any { return []any{time.Date(1935, 1, 1+i, 0, 0, 0, 0, time.UTC)} }, pgx.QueryExecModeCacheStatement), 20},
		{"a binary array", times(1, "SELECT id FROM support.customers WHERE email = ANY ($1)", func(int) []any { return []any{[]string{"b1@x.example", "b2@x.example", "b1@x.example"}} }, pgx.QueryExecModeCacheStatement), 2},
		{"an array in text", bind([][]byte{[]byte("{t1@x.example,t2@x.example}")}, nil, true), 2},
		{"bound, never executed", bind([][]byte{[]byte("{t3@x.example}")}, nil, false), 1},
		{"a parameter in an unnest", times(1, "SELECT id FROM support.customers JOIN unnest($1::text[]) u(e) ON u.e = email", func(int) []any { return []any{[]string{"un1@x.example", "un2@x.example"}} }, pgx.QueryExecModeCacheStatement), 2},
		{"COPY", copyIn("COPY support.customers (id, full_name, email, country, plan, created_at) FROM STDIN", "980011\tC C\tco1@x.example\tDE\tp\t2020-01-01\n980012\tC C\tco2@x.example\tDE\tp\t2020-01-01\n"), 3},
		{"COPY that fails at its end", copyIn("COPY support.customers (id, full_name, email, birth_date, country, plan, created_at) FROM STDIN", "980013\tD D\tco3@x.example\t1936-01-01\tDE\tp\t2020-01-01\n980013\tD D\tco4@x.example\t1936-01-02\tDE\tp\t2020-01-01\n"), 23},
		{"the number of a ticket", simple("SELECT id FROM support.tickets WHERE ticket_no = 'CS-0000-0001'"), 1},
		{"a purpose of nobody's number", simple("SET sallyport.purpose = 'ticket:CS-0000-0002'; SHOW sallyport.purpose"), 1},
		{"several", simple("SET sallyport.purpose = 'ticket:CS-0000-0003,ticket:CS-0000-0004,work:mine,ticket:12'; SHOW sallyport.purpose"), 2},
		{"in a comment", simple("SELECT 1 /*sallyport.purpose='ticket:CS-0000-0005'*/"), 1},
		{"one's own number", simple("SET sallyport.purpose = 'ticket:" + ticket.No + "'; SHOW sallyport.purpose"), 0},
		{"one's own customer", simple(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'; SELECT id FROM support.customers WHERE email = '%s'", ticket.ID, own.Email)), 0},
		{"an empty text, NULL and what is no value", simple("SELECT id FROM support.customers WHERE email = NULL OR email IS NULL"), 0},
		{"a token", simple("SELECT id FROM support.customers WHERE phone = '+890000000000000'"), 0},
		{"what the parser refuses", simple("SELECT id FROM support.customers WHERE email = 's1@x.example' WHERE"), 0},
	} {
		before := probed()
		c := f.connect(who)
		k.do(c)
		_ = c.Close(t.Context())
		if got := probed() - before; got != k.want {
			t.Errorf("%d %s: %d probes, want %d", i, k.name, got, k.want)
		}
	}

	// A start-up packet cannot ask for nothing.
	before := probed()
	config, err := pgconn.ParseConfig(f.dsn(who))
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["sallyport.purpose"] = "ticket:CS-0000-0006"
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "SHOW sallyport.purpose").ReadAll(); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	if got := probed() - before; got != 1 {
		t.Errorf("a purpose of the start-up packet: %d probes", got)
	}

	// All of it comes back from the record.
	before = probed()
	f.restart()
	if got := probed(); got != before {
		t.Errorf("%d probes, %d after a restart", before, got)
	}
}

// TestProbesAreThePersons shows that log-ins, sessions and protocols of one person share one budget, and that the date's weight
// bites: two dates are twenty probes.
func TestProbesAreThePersons(t *testing.T) {
	f := newFort(t, "budgets: {default: {probed: {hour: 25, day: 25, month: 25}}}\n")
	who := f.org.Agents()[0].ID
	first, second := f.connect(who), f.connect(who, pgx.QueryExecModeExec)
	for i := range 2 {
		c := []*client{first, second}[i]
		if _, err := c.rows(fmt.Sprintf("SELECT id FROM support.customers WHERE birth_date = '1937-01-%02d'", i+1)); err != nil {
			t.Fatalf("date %d: %v", i, err)
		}
	}
	if _, err := second.rows("SELECT id FROM support.customers WHERE birth_date = '1937-01-03'"); err == nil || !strings.Contains(err.Error(), "probed/") {
		t.Errorf("a third date passes: %v", err)
	}
	within(t, 2*time.Second, "he is let in no more", func() bool {
		_, err := f.tryConnect(who)
		return err != nil
	})
	within(t, 2*time.Second, "his other session ends", func() bool {
		_, err := first.rows("SELECT 1")
		return err != nil
	})
}

// TestAsideIsAResult sends tokens from the server's side of things: notifications, reports of settings, notices between statements.
func TestAsideIsAResult(t *testing.T) {
	const budget = 20
	f := newFort(t, fmt.Sprintf("budgets: {default: {reached: {hour: %d, day: %[1]d, month: %[1]d}}}\n", budget))
	who, ticket, own := f.hasTicket(0)

	// What the purpose covers is readable, recorded before it leaves.
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	from := len(f.events())
	c.must(fmt.Sprintf("LISTEN hall; CREATE TEMP TABLE t AS SELECT email AS e FROM support.customers WHERE id = %d; SELECT pg_notify('hall', 'say ' || e) IS NULL FROM t", own.ID))
	n, err := c.WaitForNotification(t.Context())
	if err != nil || n.Payload != "say "+own.Email {
		t.Errorf("a covered payload: %v", err)
	}
	if !revealedSince(f, from) {
		t.Error("a revealed payload is not on record")
	}

	for i, k := range []struct{ name, sql string }{
		{"payloads", "LISTEN hall; CREATE TEMP TABLE t AS SELECT email AS e FROM support.customers WHERE id > 100 LIMIT 200; SELECT count(pg_notify('hall', e)) FROM t"},
		{"a payload with many", "LISTEN hall; CREATE TEMP TABLE t AS SELECT email AS e FROM support.customers WHERE id > 100 LIMIT 90; SELECT pg_notify('hall', (SELECT string_agg(e, ' ') FROM t))"},
		{"reports of application_name", "CREATE TEMP TABLE t%[1]d AS SELECT phone AS p FROM support.customers WHERE id = %[1]d; SELECT set_config('application_name', p, false) IS NULL FROM t%[1]d"},
	} {
		t.Run(k.name, func(t *testing.T) {
			thief := f.org.Agents()[i+1].ID
			config, err := pgx.ParseConfig(f.dsn(thief))
			if err != nil {
				t.Fatal(err)
			}
			kept := keepRead(&config.Config)
			conn, err := pgconn.ConnectConfig(t.Context(), &config.Config)
			if err != nil {
				t.Fatal(err)
			}
			for id := range 200 {
				sql := k.sql
				if strings.Contains(sql, "%[1]d") {
					sql = fmt.Sprintf(sql, id+1)
				} else if id > 0 {
					break
				}
				if _, err := conn.Exec(t.Context(), sql).ReadAll(); err != nil {
					break
				}
			}
			_ = conn.Close(t.Context())
			seen := map[string]bool{}
			for _, tok := range tokenForm.FindAll(kept.bytes(), -1) {
				seen[string(tok)] = true
			}
			if len(seen) > budget {
				t.Errorf("%d tokens came back, the budget is %d", len(seen), budget)
			}
			within(t, 2*time.Second, "who used his budget up is let in no more", func() bool {
				_, err := f.tryConnect(thief)
				return err != nil
			})
		})
	}
}

// revealedSince tells whether a reveal is on record.
func revealedSince(f *fort, from int) bool {
	for _, e := range f.events()[from:] {
		if e.Kind == sallyport.RevealKind {
			return true
		}
	}
	return false
}
