package catalog

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/internal/throwaway"
)

// cluster is the private PostgreSQL of this package's tests; TestMain sets it once.
var cluster *throwaway.Cluster

// databases numbers the tests' databases.
var databases atomic.Int32

func TestMain(m *testing.M) {
	os.Exit(throwaway.Main(m, throwaway.Options{Settings: map[string]string{"fsync": "off"}}, func(c *throwaway.Cluster) { cluster = c }))
}

// tables is the part of the reference schema that the tests speak of.
const tables = `
CREATE SCHEMA support;
CREATE TABLE support.customers (id bigint PRIMARY KEY, full_name text NOT NULL, email varchar(160) NOT NULL UNIQUE, phone text,
	birth_date date, country char(2) NOT NULL, notes text);
CREATE TABLE support.tickets (id bigint PRIMARY KEY, ticket_no text NOT NULL UNIQUE, customer_id bigint NOT NULL REFERENCES support.customers,
	assignee text, state text NOT NULL, subject text NOT NULL, opened_at timestamptz NOT NULL);
CREATE TABLE support.messages (id bigint PRIMARY KEY, ticket_id bigint NOT NULL REFERENCES support.tickets, author text NOT NULL, body text NOT NULL);
CREATE TABLE support.contacts (id bigint PRIMARY KEY, customer_id bigint NOT NULL, ticket_id bigint, direction text, staff text, at timestamptz);
`

func config() Config {
	return Config{
		Customer: CustomerTable{Table: "support.customers", Key: "id"},
		Columns: map[string]ColumnConfig{
			"support.customers.full_name":  {Class: sallyport.Identity, Scheme: sallyport.Name},
			"support.customers.email":      {Class: sallyport.Contact, Scheme: sallyport.Email},
			"support.customers.phone":      {Class: sallyport.Contact, Scheme: sallyport.Phone},
			"support.customers.birth_date": {Class: sallyport.Identity, Scheme: sallyport.Date},
			"support.customers.notes":      {Class: sallyport.Content, Scheme: sallyport.Text},
			"support.tickets.ticket_no":    {Class: sallyport.Reference, Scheme: sallyport.Number, Prefixes: map[string]string{"CS": "ZQ"}},
			"support.tickets.subject":      {Class: sallyport.Content, Scheme: sallyport.Text},
			"support.messages.body":        {Class: sallyport.Content, Scheme: sallyport.Text},
		},
		Paths: map[string]string{
			"support.tickets": "customer_id", "support.messages": "ticket_id -> support.tickets", "support.contacts": "customer_id",
		},
		EmailDomain: "k1.invalid",
	}
}

func facts() FactTables { return FactTables{Ticket: "support.tickets", Contact: "support.contacts"} }

// known leaves out the lines that end in "-- since N" where the server is older than that.
func known(ddl string) string {
	var kept []string
	for line := range strings.Lines(ddl) {
		_, since, ok := strings.Cut(line, "-- since ")
		if n, _ := strconv.Atoi(strings.TrimSpace(since)); !ok || n <= cluster.Major {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// database makes a database with some DDL. The reader may use the schema support and read nothing in it.
func database(t testing.TB, ddl ...string) (super *pgx.Conn, reader *pgx.ConnConfig) {
	t.Helper()
	name := fmt.Sprintf("catalog_%d", databases.Add(1))
	role := name + "_reader"
	admin := connect(t, cluster.SuperDSN("postgres"))
	run(t, admin, "CREATE DATABASE "+name, "CREATE ROLE "+role+" LOGIN PASSWORD 'reader'")
	super = connect(t, cluster.SuperDSN(name))
	for _, text := range ddl {
		run(t, super, known(text))
	}
	run(t, super, "GRANT USAGE ON SCHEMA support TO "+role)
	reader, err := pgx.ParseConfig(cluster.DSN(role, "reader", name))
	if err != nil {
		t.Fatal(err)
	}
	return super, reader
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func run(t testing.TB, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func open(t testing.TB, reader *pgx.ConnConfig, c Config) *Catalog {
	t.Helper()
	catalog, err := Open(t.Context(), reader, c, facts())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := catalog.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return catalog
}

func refresh(t *testing.T, c *Catalog) *Snapshot {
	t.Helper()
	changed, err := c.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !changed {
		t.Fatal("the refresh saw no change")
	}
	return c.Snapshot()
}

// describe says what each column of a query's result means, as the gateway finds out: the server describes, the snapshot traces.
func describe(t testing.TB, conn *pgx.Conn, s *Snapshot, sql string) string {
	t.Helper()
	d, err := conn.PgConn().Prepare(t.Context(), "", sql, nil)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	var meanings []string
	for _, f := range d.Fields {
		origin, ok := s.Trace(f.TableOID, f.TableAttributeNumber)
		meaning := "-"
		switch {
		case !ok:
			meaning = "unknown"
		case origin.Protected != nil:
			meaning = origin.Protected.Column.Table + "." + origin.Protected.Column.Name
		case origin.Opaque:
			meaning = "opaque"
		case origin.CustomerKey:
			meaning = "key"
		}
		meanings = append(meanings, meaning)
	}
	return strings.Join(meanings, " ")
}
