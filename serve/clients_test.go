package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

// These tests are other people's programs at the gateway. What the protected columns do not concern must be exactly what
// PostgreSQL says by itself, so most of them ask twice, directly and through the gateway, and compare.

// installed runs a client program as somebody and returns what it prints.
func installed(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...) //nolint:gosec // the test's own arguments
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "PGCONNECT_TIMEOUT=10"), env...)
	out, err := cmd.CombinedOutput()
	for _, refusal := range []string{"aborting because of server version mismatch", "client does not support streaming from server versions newer than"} {
		if strings.Contains(string(out), refusal) {
			t.Skipf("%s is older than the server and refuses it", name)
		}
	}
	return string(out), err
}

// ways are how a client gets to the same database: directly and through the gateway.
func (f *fort) ways(who sallyport.Staff, password string) [2]string {
	return [2]string{f.cluster.DSN(string(who), password, f.database), f.dsnOf(who, password, f.database)}
}

func (f *fort) dsnOf(who sallyport.Staff, password, database string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", who, password, f.server.Addr(), database)
}

func (f *fort) superWays() [2]string {
	return f.ways(sallyport.Staff(f.cluster.Superuser), f.cluster.Password)
}

// TestClientPsql lets the real psql do the same both ways: what it prints must not differ.
func TestClientPsql(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	folder := t.TempDir()
	csv := filepath.Join(folder, "staff.csv")
	for _, tt := range []struct {
		name  string
		super bool
		lines []string // one -c each; a name that ends in "script" makes them one file
	}{
		{"describe", false, []string{`\d`, `\d support.customers`, `\d support.tickets`, `\dv+ support.*`, `\df support.*`, `\dn`, `\dp support.*`, `\l`}},
		{"several statements", false, []string{"SELECT 1; SELECT 2; SELECT id FROM support.staff ORDER BY id LIMIT 2"}},
		{"an error in the middle", false, []string{"SELECT 1; SELECT 1/0; SELECT 2", "SELECT 3"}},
		{"caret", false, []string{"SELECT id, nosuch FROM support.staff"}},
		{"caret behind a literal that became a token", false, []string{"SELECT id FROM support.customers WHERE email = 'someone@example.com' AND plan + 1 = 2"}},
		{"caret behind several tokens", false, []string{
			"SELECT id FROM support.customers WHERE email IN ('ä@example.com', 'b@example.com')\n AND phone = '+4930123456' AND id = länge(plan)",
		}},
		{"caret before a token", false, []string{"SELECT nosuch FROM support.customers WHERE email = 'someone@example.com'"}},
		{"caret in a second statement", false, []string{"SELECT id FROM support.customers WHERE email = 'nobody@example.com'; SELECT nosuch"}},
		{"transactions", false, []string{
			"BEGIN", "UPDATE support.tickets SET state = state WHERE id = 1", "SAVEPOINT a", "SELECT 1/0", "ROLLBACK TO a", "SELECT count(*) FROM support.staff", "ROLLBACK",
		}},
		{"copy out", false, []string{`\copy (SELECT * FROM support.staff ORDER BY id LIMIT 5) TO STDOUT CSV HEADER`, `COPY support.staff (id, team) TO STDOUT`}},
		{"copy a file", true, []string{
			"CREATE TEMP TABLE t (LIKE support.staff)", `\copy support.staff TO '` + csv + `' CSV`, `\copy t FROM '` + csv + `' CSV`, "SELECT count(*) FROM t",
			`\copy t FROM '/nonexistent'`, "SELECT count(*) FROM t",
		}},
		{"a copy that fails", true, []string{"CREATE TEMP TABLE t (a int)", `\copy t FROM PROGRAM 'echo one'`, "SELECT count(*) FROM t"}},
		{"notices", true, []string{"DROP TABLE IF EXISTS nosuch", "COMMIT", "BEGIN", "BEGIN", "ROLLBACK"}},
		{"cursor", true, []string{`\set FETCH_COUNT 7`, "SELECT n FROM generate_series(1,20) n"}},
		{"gdesc script", false, []string{`SELECT id, name FROM support.staff \gdesc`, `SELECT format('SELECT %s', n) FROM generate_series(1,3) n \gexec`}},
		{"binding script", false, []string{`\set who s001`, `SELECT id FROM support.staff WHERE id = :'who';`, `\crosstabview`, `SELECT 1 AS x \gset`, `\echo :x`}},
		{"copy script", true, []string{"CREATE TEMP TABLE t (a int, b text);", "COPY t FROM STDIN;", "1\tone", "2\t\\N", `\.`, "SELECT * FROM t;", "COPY t TO STDOUT;"}},
		{"types", false, []string{"SELECT '{1,2}'::int[], row(1,'a b'), '{\"a\":1}'::jsonb, now() = now(), '1 day'::interval, '\\x00ff'::bytea, NULL"}},
		{"explain", false, []string{"EXPLAIN (COSTS OFF) SELECT * FROM support.staff WHERE id = 's001'"}},
		{"unicode", false, []string{"SELECT U&'d\\0061t\\+000061', E'\\u00e4', $$ä$$"}},
		{"syntax error", false, []string{"SELECT id FROM WHERE 1 = 1", "SELECT 1 +", "SELECT (1", "SELECT 1"}},
		{"empty", false, []string{"", ";", "-- nothing", "SELECT"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ways := f.ways(who, f.passwords[who])
			if tt.super {
				ways = f.superWays()
			}
			args := []string{"-X"}
			if strings.HasSuffix(tt.name, "script") {
				args = append(args, "-f", script(t, tt.lines))
			} else {
				for _, l := range tt.lines {
					args = append(args, "-c", l)
				}
			}
			var said [2]string
			for i, dsn := range ways {
				said[i], _ = installed(t, nil, "psql", append(args, dsn)...)
			}
			if said[0] != said[1] {
				t.Errorf("directly:\n%s\nthrough the gateway:\n%s", said[0], said[1])
			}
			if said[0] == "" && tt.name != "empty" {
				t.Error("psql printed nothing: this proves nothing")
			}
		})
	}
}

// script writes lines into a file for psql -f.
func script(t *testing.T, lines []string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.sql")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestClientPgx is one program in all of pgx's ways to send a statement.
func TestClientPgx(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			c := f.connect(who, mode)
			c.t = t
			ctx := t.Context()
			if _, err := c.Exec(ctx, fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)); err != nil {
				t.Fatal(err)
			}
			for range 7 { // a prepared statement is used again and again
				var email, phone, name string
				var born time.Time
				err := c.QueryRow(ctx, "SELECT full_name, email, phone, birth_date FROM support.customers WHERE id = $1", customer.ID).
					Scan(&name, &email, &phone, &born)
				if err != nil {
					t.Fatal(err)
				}
				if name != customer.FullName || email != customer.Email || phone != customer.Phone || !born.Equal(customer.BirthDate) {
					t.Fatalf("own customer: %q %q %q %s", name, email, phone, born)
				}
				for _, by := range []struct {
					column string
					value  any
				}{
					{"email", customer.Email}, {"phone", customer.Phone}, {"full_name", customer.FullName}, {"birth_date", born},
				} {
					var n int
					if err := c.QueryRow(ctx, "SELECT count(*) FROM support.customers WHERE id = $2 AND "+by.column+" = $1", by.value, customer.ID).Scan(&n); err != nil || n != 1 {
						t.Fatalf("by %s: %d %v", by.column, n, err)
					}
				}
				var n int
				if err := c.QueryRow(ctx, "SELECT count(*) FROM support.customers WHERE email = ANY($1)", []string{customer.Email}).Scan(&n); err != nil || n != 1 {
					t.Fatalf("by a list: %d %v", n, err)
				}
			}
			notes := "calls back, " + mode.String() + "\n\"quoted\" and 'single' \\ back"
			tag, err := c.Exec(ctx, "UPDATE support.customers SET notes = $1 WHERE id = $2", notes, customer.ID)
			if err != nil || tag.String() != "UPDATE 1" {
				t.Fatalf("update: %s %v", tag, err)
			}
			var got string
			if err := c.QueryRow(ctx, "SELECT notes FROM support.customers WHERE id = $1", customer.ID).Scan(&got); err != nil || got != notes {
				t.Errorf("what was written reads as %q (%v)", got, err)
			}
			var stored string
			if err := f.direct().QueryRow(ctx, "SELECT notes FROM support.customers WHERE id = $1", customer.ID).Scan(&stored); err != nil || !strings.HasPrefix(stored, "tk1:") {
				t.Errorf("what is stored is no token (%v)", err)
			}
			if _, err := c.Exec(ctx, "SELECT 1/$1::int", 0); err == nil {
				t.Error("no division by zero")
			}
			if got := c.one("SELECT count(*) FROM support.staff WHERE id = $1", string(who)); got != "1" {
				t.Errorf("after an error: %s", got)
			}
		})
	}
}

// TestClientPgxBatch sends many statements in one go, with an error in the middle, and goes on.
func TestClientPgxBatch(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			c := f.connect(who, mode)
			c.t = t
			ctx := t.Context()
			b := &pgx.Batch{}
			b.Queue("SELECT 1")
			b.Queue(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
			b.Queue("SELECT email FROM support.customers WHERE id = $1", customer.ID)
			b.Queue("UPDATE support.tickets SET queue = queue WHERE id = $1", ticket.ID)
			b.Queue("SELECT count(*) FROM support.customers WHERE email = $1", customer.Email)
			var one, count int
			var email string
			r := c.SendBatch(ctx, b)
			if err := r.QueryRow().Scan(&one); err != nil || one != 1 {
				t.Fatalf("first: %d %v", one, err)
			}
			if _, err := r.Exec(); err != nil {
				t.Fatal(err)
			}
			if err := r.QueryRow().Scan(&email); err != nil || email != customer.Email {
				t.Errorf("under a purpose set in the same batch: %q %v", email, err)
			}
			if tag, err := r.Exec(); err != nil || tag.String() != "UPDATE 1" {
				t.Errorf("update: %s %v", tag, err)
			}
			if err := r.QueryRow().Scan(&count); err != nil || count != 1 {
				t.Errorf("count: %d %v", count, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}

			bad := &pgx.Batch{}
			bad.Queue("UPDATE support.tickets SET queue = 'lost' WHERE id = $1", ticket.ID)
			bad.Queue("SELECT 1/$1::int", 0)
			bad.Queue("SELECT email FROM support.customers WHERE id = $1", customer.ID)
			var pgErr *pgconn.PgError
			if err := c.SendBatch(ctx, bad).Close(); !errors.As(err, &pgErr) || pgErr.Code != "22012" {
				t.Errorf("a batch with an error: %v", err)
			}
			if got := c.one("SELECT queue = 'lost' FROM support.tickets WHERE id = $1", ticket.ID); got != "f" && got != "false" {
				t.Errorf("the failed batch was not rolled back: %s", got)
			}
			if got := c.one("SELECT email FROM support.customers WHERE id = $1", customer.ID); got != customer.Email {
				t.Error("the purpose is gone after the failed batch")
			}
		})
	}
}

// TestClientPipeline is pgconn's pipeline with errors in the middle.
func TestClientPipeline(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	ctx := t.Context()
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	p := c.PgConn().StartPipeline(ctx)
	read := "SELECT email FROM support.customers WHERE id = $1"
	id := [][]byte{fmt.Append(nil, customer.ID)}
	p.SendQueryParams(read, id, nil, nil, nil)
	p.SendPrepare("broken", "SELECT nosuch FROM support.customers WHERE email = 'a@example.com'", nil)
	p.SendQueryParams(read, id, nil, nil, nil)
	if err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	p.SendPrepare("fine", read, nil)
	p.SendQueryPrepared("fine", id, nil, nil)
	if err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	var emails []string
	var errs []string
	for syncs := 0; syncs < 2; {
		results, err := p.GetResults()
		if err != nil {
			var pgErr *pgconn.PgError
			if !errors.As(err, &pgErr) {
				t.Fatal(err)
			}
			errs = append(errs, fmt.Sprintf("%s at %d", pgErr.Code, pgErr.Position))
			continue
		}
		switch r := results.(type) {
		case *pgconn.ResultReader:
			read := r.Read()
			if read.Err != nil {
				t.Fatal(read.Err)
			}
			for _, row := range read.Rows {
				emails = append(emails, string(row[0]))
			}
		case *pgconn.PipelineSync:
			syncs++
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if len(emails) != 2 || emails[0] != customer.Email || emails[1] != customer.Email {
		t.Errorf("%d values came", len(emails))
	}
	if len(errs) != 1 || errs[0] != "42703 at 8" {
		t.Errorf("errors: %v", errs)
	}
}

// TestClientPgbench runs the real pgbench in its three modes.
func TestClientPgbench(t *testing.T) {
	f := newFort(t, "")
	host, port, _ := strings.Cut(f.server.Addr().String(), ":")
	env := []string{"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + f.cluster.Superuser, "PGPASSWORD=" + f.cluster.Password, "PGDATABASE=" + f.database}
	if out, err := installed(t, env, "pgbench", "-i", "-s", "1", "-q"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, mode := range []string{"simple", "extended", "prepared"} {
		for _, script := range []string{"tpcb-like", "select-only"} {
			out, err := installed(t, env, "pgbench", "-n", "-c", "4", "-t", "100", "-b", script, "-M", mode)
			if err != nil || !strings.Contains(out, "number of transactions actually processed: 400/400") {
				t.Errorf("%s %s: %v\n%s", mode, script, err, out)
			}
		}
	}
	pipelined := filepath.Join(t.TempDir(), "pipeline.sql")
	err := os.WriteFile(pipelined, []byte("\\startpipeline\nBEGIN;\nSELECT 1;\nUPDATE pgbench_branches SET bbalance = bbalance + 1 WHERE bid = 1;\nEND;\nSELECT 2;\n\\endpipeline\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"extended", "prepared"} {
		out, err := installed(t, env, "pgbench", "-n", "-c", "2", "-t", "100", "-f", pipelined, "-M", mode)
		if err != nil || !strings.Contains(out, "number of transactions actually processed: 200/200") {
			t.Errorf("pipeline, %s: %v\n%s", mode, err, out)
		}
	}
}

// TestClientPgDump dumps both ways: definitions, and rows that are not protected.
func TestClientPgDump(t *testing.T) {
	f := newFort(t, "")
	for _, args := range [][]string{{"--schema-only"}, {"--data-only", "-t", "support.staff"}, {"--inserts", "-t", "support.staff"}, {"--data-only", "-t", "support.contacts"}} {
		var said [2]string
		for i, dsn := range f.superWays() {
			out, err := installed(t, nil, "pg_dump", append(args, "-d", dsn)...)
			if err != nil {
				t.Fatalf("%v: %v\n%.2000s", args, err, out)
			}
			said[i] = restrictKey(out)
		}
		if said[0] != said[1] {
			t.Errorf("pg_dump %v differs: %d bytes directly, %d through the gateway", args, len(said[0]), len(said[1]))
		}
	}
}

// restrictKey removes the random key that newer pg_dumps write into their output.
func restrictKey(dump string) string {
	var kept []string
	for line := range strings.Lines(dump) {
		if !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// TestClientCancel ends a statement by a cancel request, as psql does on Ctrl-C.
func TestClientCancel(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	for _, database := range []string{f.database, "postgres"} {
		c := f.connectTo(who, database)
		began := time.Now()
		failed := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.Background(), "SELECT pg_sleep(30)")
			failed <- err
		}()
		direct := f.direct()
		within(t, 10*time.Second, "the statement runs", func() bool {
			var n int
			err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' AND datname = $1", database).Scan(&n)
			return err == nil && n == 1
		})
		if err := c.PgConn().CancelRequest(t.Context()); err != nil {
			t.Fatal(err)
		}
		var pgErr *pgconn.PgError
		if err := <-failed; !errors.As(err, &pgErr) || pgErr.Code != "57014" || time.Since(began) > 20*time.Second {
			t.Errorf("%s: a cancelled statement ended with %v", database, err)
		}
		if got := c.one("SELECT 1"); got != "1" {
			t.Error("the session is of no use after the cancel")
		}
	}
}

// connectTo logs in to any database.
func (f *fort) connectTo(who sallyport.Staff, database string) *client {
	f.t.Helper()
	config, err := pgx.ParseConfig(f.dsnOf(who, f.passwords[who], database))
	if err != nil {
		f.t.Fatal(err)
	}
	c := f.connectWith(config)
	f.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// connectWith logs in by the simple protocol; whoever called closes.
func (f *fort) connectWith(config *pgx.ConnConfig) *client {
	f.t.Helper()
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(f.ctx, config)
	if err != nil {
		f.t.Fatal(err)
	}
	return &client{t: f.t, Conn: conn}
}

// TestClientNotify listens and is notified, while idle and in the middle of statements.
func TestClientNotify(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	listener, speaker := f.connect(who), f.connect(who, pgx.QueryExecModeCacheStatement)
	listener.must("LISTEN work")
	for i := range 3 {
		payload := fmt.Sprintf("payload %d", i)
		speaker.must("SELECT pg_notify('work', $1)", payload)
		ctx, cancel := context.WithTimeout(t.Context(), stretched(10*time.Second))
		n, err := listener.WaitForNotification(ctx)
		cancel()
		if err != nil || n.Channel != "work" || n.Payload != payload {
			t.Fatalf("notification %d: %+v %v", i, n, err)
		}
	}
	listener.must("NOTIFY work, 'myself'")
	ctx, cancel := context.WithTimeout(t.Context(), stretched(10*time.Second))
	defer cancel()
	if n, err := listener.WaitForNotification(ctx); err != nil || n.Payload != "myself" {
		t.Errorf("to oneself: %+v %v", n, err)
	}
	listener.must("UNLISTEN *")
}
