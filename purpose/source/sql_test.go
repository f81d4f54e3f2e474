package source

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/purpose"
)

// helpdesk makes a database of another system, once, and returns how a role that may only read reaches it.
var helpdesk = sync.OnceValues(func() (string, error) {
	ctx := context.Background()
	super, err := pgx.Connect(ctx, cluster.SuperDSN("postgres"))
	if err != nil {
		return "", err
	}
	defer super.Close(ctx)
	for _, sql := range []string{
		"CREATE DATABASE helpdesk", "CREATE ROLE helpdesk_ro LOGIN PASSWORD 'read-only-password'", "CREATE ROLE helpdesk_rw LOGIN PASSWORD 'read-only-password'",
	} {
		if _, err := super.Exec(ctx, sql); err != nil {
			return "", err
		}
	}
	owner, err := pgx.Connect(ctx, cluster.SuperDSN("helpdesk"))
	if err != nil {
		return "", err
	}
	defer owner.Close(ctx)
	_, err = owner.Exec(ctx, `
		CREATE TABLE tickets (id bigint PRIMARY KEY, number text, customer bigint, assignee text, state text, opened_by text, assigned_by text,
			reopened_by text, contacted_at timestamptz, begins_at timestamp, secret text DEFAULT 'hidden');
		INSERT INTO tickets VALUES (4711, 'CS-1', 1, 'Ada@Example.com', 'open', 'customer', 'grace', NULL, '2026-03-01 12:00+01', '2026-03-01 10:00'),
			(4712, 'CS-2', 2, 's002', 'open', 'customer', 'grace', NULL, NULL, '2026-03-01 11:00'),
			(4713, 'CS-2', 3, 's001', 'open', 's001', 's001', 's001', NULL, '2026-03-01 11:30');
		CREATE TABLE jobs (id text PRIMARY KEY, runs text); CREATE TABLE job_customers (job text, customer bigint);
		INSERT INTO jobs VALUES ('j1', 's001'); INSERT INTO job_customers SELECT 'j1', i FROM generate_series(1, 3) i;
		GRANT SELECT ON ALL TABLES IN SCHEMA public TO helpdesk_ro, helpdesk_rw; GRANT UPDATE (state) ON tickets TO helpdesk_rw`)
	return cluster.DSN("helpdesk_ro", "", "helpdesk"), err
})

const (
	findTickets = "SELECT id, number, customer, assignee, state, opened_by, assigned_by, reopened_by, contacted_at, begins_at FROM tickets WHERE $1 IN (id::text, number) ORDER BY id"
	mineTickets = "SELECT id, number, customer, assignee, state, opened_by, assigned_by, reopened_by, contacted_at, begins_at FROM tickets WHERE lower(assignee) = ANY ($1::text[]) ORDER BY begins_at DESC"
)

// ask opens a source over the helpdesk.
func askHelpdesk(t *testing.T, change func(c *purpose.SourceConfig), kinds ...string) *database {
	t.Helper()
	dsn, err := helpdesk()
	if err != nil {
		t.Fatal(err)
	}
	o, folder := options(t, newClock(), kinds...)
	write(t, filepath.Join(folder, "password"), "read-only-password\n", 0o600)
	c := &purpose.SourceConfig{SQL: purpose.SQLConfig{DSN: dsn, PasswordFile: "password", Find: findTickets, Mine: mineTickets}}
	if change != nil {
		change(c)
	}
	s := open(t, c, o).(*database)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestSQL: what the database says is what is found, whatever a reference looks like.
func TestSQL(t *testing.T) {
	s := askHelpdesk(t, nil, "ticket")
	want := `[{"id":"4711","number":"CS-1","customers":["1"],"assignee":"Ada@Example.com","state":"open","opened_by":"customer","assigned_by":"grace",` +
		`"contacted_at":"2026-03-01T11:00:00Z","begins_at":"2026-03-01T10:00:00Z"}]`
	for _, ref := range []string{"4711", "CS-1"} {
		if got := find(t, s, ref); got != want {
			t.Errorf("%s: %s", ref, got)
		}
	}
	if got := find(t, s, "CS-2"); !strings.Contains(got, "4712") || !strings.Contains(got, "4713") {
		t.Errorf("an ambiguous number: %s", got)
	}
	for _, ref := range []string{"", "9", "4711 ", "' OR true --", "4711'; DROP TABLE tickets; --", `\`, "$1", "%", "NULL", strings.Repeat("9", 70)} {
		if got := find(t, s, ref); got != "null" {
			t.Errorf("%q: %s", ref, got)
		}
	}
	things, err := s.Mine(t.Context(), []string{"s001", "ada@example.com", "') OR (true"}, 9)
	if err != nil || len(things) != 2 || things[0].ID != "4713" || things[1].ID != "4711" || things[0].ReopenedBy != "s001" {
		t.Errorf("%v, %v", things, err)
	}
	if things, err := s.Mine(t.Context(), []string{"s001", "ada@example.com"}, 1); err != nil || len(things) != 1 {
		t.Errorf("%v, %v", things, err)
	}
	if found := s.Check(t.Context()); len(found) > 0 {
		t.Error(found)
	}
}

// TestSQLJob: the customers of a job come from a query of their own.
func TestSQLJob(t *testing.T) {
	s := askHelpdesk(t, func(c *purpose.SourceConfig) {
		c.SQL.Find = "SELECT id, runs AS assignee, 'approved' AS state, 's002' AS opened_by, 's003' AS assigned_by, now() AS begins_at, now() AS ends_at FROM jobs WHERE id = $1"
		c.SQL.Mine, c.SQL.Customers = "", "SELECT customer FROM job_customers WHERE job = $1 ORDER BY 1"
	}, "job")
	if got := find(t, s, "j1"); !strings.Contains(got, `"customers":["1","2","3"],"assignee":"s001"`) {
		t.Error(got)
	}
	if got := find(t, s, "j2"); got != "null" {
		t.Error(got)
	}
	if found := s.Check(t.Context()); len(found) > 0 {
		t.Error(found)
	}
}

// TestSQLFails: what does not answer in time, or not what was asked, is an error that shows no value; check says what it is.
func TestSQLFails(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(c *purpose.SourceConfig)
		find     string
		complain string
	}{
		{"too slow", func(c *purpose.SourceConfig) {
			c.Timeout, c.SQL.Find = "200ms", strings.Replace(findTickets, "WHERE", "WHERE pg_sleep(5) IS NOT NULL AND", 1)
		}, "late", "the query find did not answer in 2"},
		{"a column is missing", func(c *purpose.SourceConfig) {
			c.SQL.Find = "SELECT id, customer, state FROM tickets WHERE id::text = $1"
		}, "? the answer lacks assignee", "the answer of find lacks assignee, opened_by"},
		{"a column means nothing", func(c *purpose.SourceConfig) { c.SQL.Find = "SELECT * FROM tickets WHERE id::text = $1" }, `? the answer has a column "secret"`, `has a column "secret"`},
		{"no such table", func(c *purpose.SourceConfig) { c.SQL.Find = "SELECT id FROM tikets WHERE id = $1" }, "? the database refused with SQLSTATE 42P01", `relation "tikets" does not exist`},
		{"several statements", func(c *purpose.SourceConfig) { c.SQL.Find += "; SELECT 1" }, "? the database refused with SQLSTATE 42601", "cannot insert multiple commands"},
		{"it writes", func(c *purpose.SourceConfig) { c.SQL.Find = "INSERT INTO jobs VALUES ($1) RETURNING id" }, "? the database refused with SQLSTATE 25006", "lacks"},
		{"a type that no reference has", func(c *purpose.SourceConfig) {
			c.SQL.Find = strings.Replace(findTickets, "$1 IN (id::text, number)", "id = $1", 1)
		}, "ok", ""},
		{"no parameter", func(c *purpose.SourceConfig) {
			c.SQL.Find = strings.Replace(findTickets, "WHERE $1 IN (id::text, number)", "", 1)
		}, "?", "has 0 parameters"},
		{"a role that may write", func(c *purpose.SourceConfig) { c.SQL.DSN = strings.Replace(c.SQL.DSN, "helpdesk_ro", "helpdesk_rw", 1) }, "ok", "it may write public.tickets"},
		{"a wrong password", func(c *purpose.SourceConfig) { c.SQL.PasswordFile = "secret" }, "? the database refused with SQLSTATE 28P01", "SQLSTATE 28P01"},
		{"nobody there", func(c *purpose.SourceConfig) {
			c.SQL.DSN = "postgres://helpdesk_ro@127.0.0.1:1/helpdesk?sslmode=disable"
		}, "? the database cannot be reached", "the source does not answer: the database cannot be reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := askHelpdesk(t, c.change, "ticket")
			began := time.Now()
			got := find(t, s, "4711")
			if c.find == "ok" && !strings.HasPrefix(got, `[{"id":"4711"`) || c.find != "ok" && !strings.HasPrefix(got, c.find) {
				t.Error(got)
			}
			t.Logf("%s after %s", got[:min(len(got), 60)], time.Since(began).Round(time.Millisecond))
			found := strings.Join(s.Check(t.Context()), "; ")
			if c.complain == "" && found != "" || !strings.Contains(found, c.complain) {
				t.Errorf("check: %s", found)
			}
			if strings.Contains(found+got, "read-only-password") {
				t.Error("the password shows")
			}
		})
	}
	s := askHelpdesk(t, func(c *purpose.SourceConfig) {
		c.SQL.Find = strings.Replace(findTickets, "$1 IN (id::text, number)", "id = $1", 1)
	}, "ticket")
	if got := find(t, s, "CS-1"); got != "null" {
		t.Errorf("a number where ids are: %s", got)
	}
}
