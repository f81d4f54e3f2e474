package purpose

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/catalog"
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
CREATE TABLE support.customers (id bigint PRIMARY KEY, full_name text NOT NULL, email text NOT NULL, phone text, birth_date date, code char(8));
CREATE TABLE support.tickets (id bigint PRIMARY KEY, ticket_no text NOT NULL, customer_id bigint NOT NULL REFERENCES support.customers,
	assignee text, state text NOT NULL, subject text NOT NULL, opened_at timestamptz NOT NULL);
CREATE TABLE support.messages (id bigint PRIMARY KEY, ticket_id bigint NOT NULL REFERENCES support.tickets, author text NOT NULL, body text NOT NULL);
CREATE TABLE support.contacts (id bigint PRIMARY KEY, customer_id bigint NOT NULL, ticket_id bigint, direction text NOT NULL, staff text, at timestamptz NOT NULL);
INSERT INTO support.customers SELECT i, 'name ' || i, 'mail ' || i, 'phone ' || i, date '2900-01-01' + i::int, 'code' || i FROM generate_series(1, 9) i;
`

// Who takes part. adam has two log-ins.
var (
	adam   = Person{Staff: "s001", Logins: []string{"s001", "s001_adm"}, Role: "agent"}
	bea    = Person{Staff: "s002", Logins: []string{"s002"}, Role: "agent"}
	lead   = Person{Staff: "s003", Logins: []string{"s003"}, Role: "lead"}
	router = Person{Staff: "svc_router", Logins: []string{"svc_router"}, Service: true}
	phone  = Person{Staff: "svc_phone", Logins: []string{"svc_phone"}, Service: true}
	biller = Person{Staff: "svc_billing", Logins: []string{"svc_billing"}, Service: true}
	ghost  = Person{Staff: sallyport.UnknownLogin("ghost"), Logins: []string{"ghost"}}
)

func services() []sallyport.Staff {
	return []sallyport.Staff{router.Staff, phone.Staff, biller.Staff}
}

func config() Config {
	return Config{
		Ticket: TicketSource{
			Table: "support.tickets", ID: "id", Number: "ticket_no", Customer: "customer_id", Assignee: "assignee", State: "state",
			Open: []string{"open", "pending"}, OpenedAt: "opened_at", Routers: []sallyport.Staff{router.Staff},
		},
		Contact: ContactSource{
			Table: "support.contacts", ID: "id", Customer: "customer_id", Ticket: "ticket_id", Staff: "staff", Direction: "direction",
			Incoming: []string{"in"}, At: "at", Writers: []sallyport.Staff{phone.Staff},
		},
	}
}

func protection() catalog.Config {
	column := func(c sallyport.Class, s sallyport.Scheme) catalog.ColumnConfig {
		return catalog.ColumnConfig{Class: c, Scheme: s}
	}
	return catalog.Config{
		Customer: catalog.CustomerTable{Table: "support.customers", Key: "id"},
		Columns: map[string]catalog.ColumnConfig{
			"support.customers.full_name":  column(sallyport.Identity, sallyport.Name),
			"support.customers.email":      column(sallyport.Contact, sallyport.Email),
			"support.customers.phone":      column(sallyport.Contact, sallyport.Phone),
			"support.customers.birth_date": column(sallyport.Identity, sallyport.Date),
			"support.customers.code":       column(sallyport.Identity, sallyport.Text),
			"support.tickets.ticket_no":    column(sallyport.Reference, sallyport.Number),
			"support.tickets.subject":      column(sallyport.Content, sallyport.Text),
			"support.messages.body":        column(sallyport.Content, sallyport.Text),
		},
		Paths: map[string]string{
			"support.tickets": "customer_id", "support.messages": "ticket_id -> support.tickets", "support.contacts": "customer_id",
		},
	}
}

// world is a database with a resolver over it, and hands that write: through the gateway, where the facts learn of it, or around it.
type world struct {
	t        testing.TB
	super    *pgx.Conn
	reader   *pgx.ConnConfig
	catalog  *catalog.Catalog
	facts    *Facts
	resolver *Resolver
	clock    atomic.Int64
	ids      int // of tickets and contacts
}

// opened is when the tests' tickets were opened.
const opened = "2026-03-01 12:00:00+00"

func newWorld(t testing.TB, o Options) *world {
	t.Helper()
	return newWorldOf(t, o, func(*Config) {})
}

// newWorldOf is newWorld with another configuration.
func newWorldOf(t testing.TB, o Options, change func(c *Config)) *world {
	t.Helper()
	name := fmt.Sprintf("purpose_%d", databases.Add(1))
	role := name + "_reader"
	w := &world{t: t, facts: NewFacts(), ids: 4700}
	w.super = connect(t, cluster.SuperDSN("postgres"))
	w.around("CREATE DATABASE "+name, "CREATE ROLE "+role+" LOGIN PASSWORD 'reader'",
		// What a database's owner may have set must not change what the resolver reads.
		"ALTER ROLE "+role+" SET datestyle = 'SQL, DMY'", "ALTER ROLE "+role+" SET timezone = 'Asia/Kolkata'")
	w.super = connect(t, cluster.SuperDSN(name))
	w.around(tables, "GRANT USAGE ON SCHEMA support TO "+role, "GRANT SELECT ON ALL TABLES IN SCHEMA support TO "+role)
	var err error
	if w.reader, err = pgx.ParseConfig(cluster.DSN(role, "reader", name)); err != nil {
		t.Fatal(err)
	}
	purposes := config()
	change(&purposes)
	if w.catalog, err = catalog.Open(t.Context(), w.reader, protection(), purposes.Tables()); err != nil {
		t.Fatal(err)
	}
	o.Services = services()
	o.Now = func() time.Time { return time.Unix(0, w.clock.Load()) }
	if w.resolver, err = New(w.reader, w.catalog.Snapshot, purposes, w.facts, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.resolver.Close()
		if err := w.catalog.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
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

// around writes past the gateway: nobody learns of it.
func (w *world) around(statements ...string) {
	w.t.Helper()
	for _, sql := range statements {
		if _, err := w.super.PgConn().Exec(w.t.Context(), sql).ReadAll(); err != nil {
			w.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// set changes a ticket through the gateway: "assignee = 's001'", and what of it the statement writes.
func (w *world) set(by Person, ticket int, what string, wrote ...string) {
	w.t.Helper()
	before := w.stands(ticket)
	w.around(fmt.Sprintf("UPDATE support.tickets SET %s WHERE id = %d", what, ticket))
	w.capture(by, false, factsOfTicket, ticket, wrote, before)
}

// stands is what the gateway has an UPDATE of a ticket return of the row before.
func (w *world) stands(ticket int) (before string) {
	w.t.Helper()
	err := w.super.QueryRow(w.t.Context(), "SELECT json_build_array(customer_id::text, assignee::text, state::text)::text FROM support.tickets WHERE id = $1", ticket).Scan(&before)
	if err != nil {
		w.t.Fatal(err)
	}
	return before
}

const factsOfTicket = "SELECT id::text, customer_id::text, assignee::text, state::text FROM support.tickets WHERE id = $1"

// tell is what the gateway says after somebody's committed INSERT of a ticket.
func (w *world) tell(by Person, ticket int, wrote ...string) {
	w.t.Helper()
	w.capture(by, false, factsOfTicket, ticket, wrote)
}

// open makes a ticket of customer 1 through the gateway.
func (w *world) open(by Person, assignee string) int {
	w.t.Helper()
	w.ids++
	w.insert(w.ids, assignee)
	w.tell(by, w.ids, wroteCustomer, wroteAssignee, wroteState)
	return w.ids
}

// insert makes a ticket of customer 1 around the gateway.
func (w *world) insert(id int, assignee string) {
	w.t.Helper()
	w.around(fmt.Sprintf("INSERT INTO support.tickets VALUES (%d, 'ZQ-%d', 1, nullif('%s', ''), 'open', 'subject %d', '%s')", id, id, assignee, id, opened))
}

// contact makes a contact through the gateway; values are direction, staff, ticket, minutes after the opening, customer.
func (w *world) contact(by Person, direction, staff string, ticket, minutes, customer int) int {
	w.t.Helper()
	w.ids++
	w.around(fmt.Sprintf("INSERT INTO support.contacts VALUES (%d, %d, nullif(%d, 0), '%s', nullif('%s', ''), timestamptz '%s' + interval '%d minutes')",
		w.ids, customer, ticket, direction, staff, opened, minutes))
	w.tellContact(by, w.ids, wroteCustomer, wroteAssignee, wroteState)
	return w.ids
}

func (w *world) tellContact(by Person, contact int, wrote ...string) {
	w.t.Helper()
	w.capture(by, true, "SELECT id::text, customer_id::text, staff::text, ticket_id::text, direction::text, extract(epoch FROM at) FROM support.contacts WHERE id = $1", contact, wrote)
}

// capture makes facts of a row as the gateway does.
func (w *world) capture(by Person, contact bool, sql string, id int, wrote []string, before ...string) {
	w.t.Helper()
	rows, err := w.super.Query(w.t.Context(), sql, pgx.QueryResultFormats{pgx.TextFormatCode}, id)
	if err != nil {
		w.t.Fatal(err)
	}
	var texts []string
	for rows.Next() {
		for _, raw := range rows.RawValues() {
			texts = append(texts, string(raw))
		}
	}
	if rows.Err() != nil {
		w.t.Fatal(rows.Err())
	}
	fact, ok := w.resolver.Fact(contact, append(texts, before...), wrote)
	if !ok {
		w.t.Fatalf("no fact of %v", texts)
	}
	w.facts.Apply(&sallyport.Event{
		Kind: sallyport.FactKind, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Who: sallyport.Who{Staff: by.Staff, Login: by.Logins[0]}, Facts: []sallyport.Fact{fact},
	})
}

func (w *world) resolve(who Person, purpose string) *Cover {
	w.t.Helper()
	list, err := sallyport.ParsePurposes(purpose)
	if err != nil || len(list) != 1 {
		w.t.Fatalf("%s: %v", purpose, err)
	}
	cover, err := w.resolver.Resolve(w.t.Context(), who, list[0])
	if err != nil {
		w.t.Fatalf("%s: %v", purpose, err)
	}
	return cover
}

// later lets every answer grow old.
func (w *world) later() { w.clock.Add(int64(time.Hour)) }

// texts are the values of a cover, sorted.
func texts(c *Cover) string {
	var list []string
	for text, v := range c.Values {
		list = append(list, fmt.Sprintf("%s=%s.%s@%s", text, v.Column.Table, v.Column.Name, v.Subject))
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}
