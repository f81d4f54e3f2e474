package catalog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/query"
)

func TestTraceResults(t *testing.T) {
	super, reader := database(t, tables, `
		CREATE VIEW support.open_cases AS SELECT t.id, t.ticket_no, t.assignee, t.subject, c.full_name, c.email AS mail, t.customer_id
			FROM support.tickets t JOIN support.customers c ON c.id = t.customer_id WHERE t.state <> 'closed';
		CREATE VIEW support.nested AS SELECT o.mail AS address, upper(o.full_name) AS shout, o.customer_id AS who, o.assignee IS NULL AS free
			FROM support.open_cases o;
		CREATE MATERIALIZED VIEW support.stored AS SELECT id, birth_date FROM support.customers;
		CREATE VIEW support.over_stored AS SELECT * FROM support.stored;
		CREATE VIEW support.united AS SELECT id, email FROM support.customers UNION ALL SELECT id, ticket_no FROM support.tickets;
		CREATE VIEW support.harmless AS SELECT count(*) AS n, max(at) AS last FROM support.contacts;
		CREATE VIEW support.whole AS SELECT c FROM support.customers c;
		ALTER VIEW support.open_cases RENAME COLUMN subject TO about;
		CREATE TABLE support.copies AS SELECT email FROM support.customers;
		CREATE SCHEMA other;
		CREATE TABLE other.customers (id bigint, email text);`)
	s := open(t, reader, config()).Snapshot()
	for sql, want := range map[string]string{
		"SELECT id, full_name, email, phone, birth_date, country FROM support.customers":       "key customers.full_name customers.email customers.phone customers.birth_date -",
		"SELECT c.email AS a, t.customer_id FROM support.customers c, support.tickets t":       "customers.email key",
		"SELECT c FROM support.customers c":                                                    "opaque",
		"SELECT k FROM support.contacts k":                                                     "-",
		"SELECT ticket_id, customer_id FROM support.contacts":                                  "- key",
		"SELECT ctid, tableoid, email FROM support.customers":                                  "- - customers.email",
		"SELECT * FROM support.open_cases":                                                     "- tickets.ticket_no - tickets.subject customers.full_name customers.email key",
		"SELECT * FROM support.nested":                                                         "customers.email opaque key -",
		"SELECT * FROM support.stored":                                                         "key customers.birth_date",
		"SELECT * FROM support.over_stored":                                                    "key customers.birth_date",
		"SELECT * FROM support.united":                                                         "opaque opaque",
		"SELECT * FROM support.harmless":                                                       "- -",
		"SELECT * FROM support.whole":                                                          "opaque",
		"SELECT v FROM support.nested v":                                                       "opaque",
		"SELECT upper(email), 1 FROM support.customers":                                        "unknown unknown",
		"SELECT email FROM support.copies":                                                     "-",
		"SELECT email FROM other.customers":                                                    "-",
		"SELECT relname FROM pg_class":                                                         "unknown",
		"WITH x AS MATERIALIZED (SELECT email FROM support.customers) SELECT * FROM x LIMIT 1": "customers.email",
	} {
		if got := describe(t, super, s, sql); got != want {
			t.Errorf("%s\n got %s\nwant %s", sql, got, want)
		}
	}
	if len(s.Drift) > 0 {
		t.Error("drift in a database that fits:", s.Drift)
	}
}

func TestPartsInherit(t *testing.T) {
	super, reader := database(t, tables, `
		DROP TABLE support.messages;
		CREATE TABLE support.messages (id bigint, ticket_id bigint NOT NULL, body text) PARTITION BY RANGE (id);
		CREATE TABLE support.messages_1 PARTITION OF support.messages FOR VALUES FROM (0) TO (100) PARTITION BY LIST (ticket_id);
		CREATE TABLE support.messages_odd (body text, extra int, ticket_id bigint NOT NULL, id bigint);
		ALTER TABLE support.messages_odd DROP COLUMN extra;
		ALTER TABLE support.messages_1 ATTACH PARTITION support.messages_odd FOR VALUES IN (1);
		CREATE TABLE support.vip (rank int) INHERITS (support.customers);`)
	s := open(t, reader, config()).Snapshot()
	for sql, want := range map[string]string{
		"SELECT body FROM support.messages":                    "messages.body",
		"SELECT body, ticket_id FROM support.messages_1":       "messages.body -",
		"SELECT body, ticket_id, id FROM support.messages_odd": "messages.body - -",
		"SELECT rank, id, email, birth_date FROM support.vip":  "- key customers.email customers.birth_date",
	} {
		if got := describe(t, super, s, sql); got != want {
			t.Errorf("%s: got %s, want %s", sql, got, want)
		}
	}
	odd := find(t, s, "messages_odd")
	if !column(t, odd, "ticket_id").Link || column(t, odd, "body").Protect == nil {
		t.Error("the schema of a partition lacks what its parent has")
	}
}

func TestProblems(t *testing.T) {
	_, reader := database(t, tables, `
		CREATE VIEW support.open_cases AS SELECT email FROM support.customers;
		CREATE TABLE support.log (customer_id bigint, at int, day date, made text GENERATED ALWAYS AS ('x') STORED, note text);
		CREATE TABLE support.log_more () INHERITS (support.log);
		CREATE TABLE support.types (customer_id bigint, a smallint, b int, c bigint, d uuid, e timestamp, f timestamptz);
		CREATE TABLE support.orphan (ticket int, body text);
		CREATE TABLE support.nokey (a int, b int, customer_id bigint);
		CREATE DOMAIN support.address AS varchar(70);
		CREATE TABLE support.domains (customer_id bigint, mail support.address);`)
	text := ColumnConfig{Class: sallyport.Content, Scheme: sallyport.Text}
	day := ColumnConfig{Class: sallyport.Content, Scheme: sallyport.Date}
	typed := func(column string, scheme sallyport.Scheme) func(*Config) {
		return func(c *Config) {
			c.Columns["support.types."+column] = ColumnConfig{Class: sallyport.Identity, Scheme: scheme}
			c.Paths["support.types"] = "customer_id"
		}
	}
	for _, c := range []struct {
		what   string
		change func(*Config)
		want   string // path of the only problem, and a part of its sentence
	}{
		{"as it is", func(*Config) {}, ""},
		{"a domain over varchar", func(c *Config) {
			c.Columns["support.domains.mail"] = ColumnConfig{Class: sallyport.Contact, Scheme: sallyport.Email}
			c.Paths["support.domains"] = "customer_id"
		}, ""},
		{"no such table", func(c *Config) { c.Columns["support.custmers.email"] = text; c.Paths["support.custmers"] = "x" }, "columns.support.custmers.email: there is no table"},
		{"no such column", func(c *Config) { c.Columns["support.customers.mail"] = text }, "columns.support.customers.mail: the table support.customers has no column"},
		{"a view", func(c *Config) { c.Columns["support.open_cases.email"] = text; c.Paths["support.open_cases"] = "email" }, "columns.support.open_cases.email: support.open_cases is a view"},
		{"text over an integer", func(c *Config) { c.Columns["support.log.at"] = text; c.Paths["support.log"] = "customer_id" }, "columns.support.log.at.scheme: the column is of type integer"},
		{"text over a date", func(c *Config) { c.Columns["support.log.day"] = text; c.Paths["support.log"] = "customer_id" }, "columns.support.log.day.scheme: the column is of type date"},
		{"date over text", func(c *Config) { c.Columns["support.log.note"] = day; c.Paths["support.log"] = "customer_id" }, "columns.support.log.note.scheme: the column is of type text"},
		{"an integer by a column", typed("a", sallyport.Int4), "columns.support.types.a.scheme: the column is of type smallint: the scheme int4 needs integer (a smallint has too few values"},
		{"int4", typed("b", sallyport.Int4), ""},
		{"int4 over bigint", typed("c", sallyport.Int4), "columns.support.types.c.scheme: the column is of type bigint"},
		{"int8", typed("c", sallyport.Int8), ""},
		{"int8 over integer", typed("b", sallyport.Int8), "columns.support.types.b.scheme: the column is of type integer"},
		{"uuid", typed("d", sallyport.UUID), ""},
		{"uuid over integer", typed("b", sallyport.UUID), "columns.support.types.b.scheme"},
		{"timestamp", typed("e", sallyport.Timestamp), ""},
		{"timestamp with a zone", typed("f", sallyport.Timestamp), "columns.support.types.f.scheme"},
		{"timestamptz", typed("f", sallyport.Timestamptz), ""},
		{"date over timestamp", typed("e", sallyport.Date), "columns.support.types.e.scheme"},
		{"a generated column", func(c *Config) { c.Columns["support.log.made"] = text; c.Paths["support.log"] = "customer_id" }, "columns.support.log.made: the column is generated"},
		{"a part only", func(c *Config) {
			c.Columns["support.log_more.note"] = text
			c.Paths["support.log_more"] = "customer_id"
		}, "columns.support.log_more.note: support.log_more is a part of support.log"},
		{"a path over no column", func(c *Config) { c.Paths["support.contacts"] = "customer" }, `paths.support.contacts: the table support.contacts has no column "customer"`},
		{"a path to a table without a key", func(c *Config) {
			c.Paths["support.nokey"] = "customer_id"
			c.Paths["support.orphan"] = "ticket -> support.nokey"
		}, "paths.support.orphan: support.orphan.ticket has no foreign key to support.nokey"},
		{"no customer table", func(c *Config) { c.Customer.Key = "nr" }, "customer.key: the table support.customers has no column"},
	} {
		configured := config()
		c.change(&configured)
		_, err := Open(t.Context(), reader, configured, facts())
		got := ""
		if err != nil {
			got = err.Error()
		}
		if c.want == "" && got != "" || c.want != "" && (!strings.HasPrefix(firstProblem(got, c.want), c.want)) {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

// firstProblem is the line of an error that begins like want, or all of it.
func firstProblem(got, want string) string {
	for line := range strings.SplitSeq(got, "\n") {
		if strings.HasPrefix(line, want) {
			return line
		}
	}
	return got
}

func TestRefresh(t *testing.T) {
	super, reader := database(t, tables)
	c := open(t, reader, config())
	first := c.Snapshot()
	if changed, err := c.Refresh(t.Context()); err != nil || changed || c.Snapshot() != first {
		t.Fatalf("a refresh without a change: %v, %v", changed, err)
	}
	// What the catalogue does not speak of changes nothing: rows, statistics, temporary tables.
	run(t, super, `INSERT INTO support.customers (id, full_name, email, country) VALUES (1, 'a', 'b', 'DE')`, `ANALYZE support.customers`,
		`CREATE TEMP TABLE scratch AS SELECT * FROM support.customers`)
	if changed, err := c.Refresh(t.Context()); err != nil || changed {
		t.Fatalf("a refresh after a harmless change: %v, %v", changed, err)
	}
	for _, ddl := range []string{
		`CREATE VIEW support.mails AS SELECT email FROM support.customers`,
		`CREATE OR REPLACE VIEW support.mails AS SELECT full_name::varchar(160) AS email FROM support.customers`,
		`ALTER VIEW support.mails RENAME TO addresses`,
		`CREATE FUNCTION support.f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		`CREATE OR REPLACE FUNCTION support.f() RETURNS int LANGUAGE sql AS 'SELECT 2'`,
		`CREATE TABLE support.more () INHERITS (support.customers)`,
		`ALTER TABLE support.more NO INHERIT support.customers`,
		`DROP TABLE support.more`,
		`CREATE RULE nothing AS ON INSERT TO support.contacts DO INSTEAD NOTHING`,
		`ALTER TABLE support.contacts ADD COLUMN spare int`,
		`ALTER TABLE support.contacts DROP COLUMN spare`,
		`CREATE DOMAIN support.d AS text`,
		`ALTER SCHEMA support RENAME TO aid; ALTER SCHEMA aid RENAME TO support`,
	} {
		run(t, super, ddl)
		if changed, err := c.Refresh(t.Context()); err != nil || !changed {
			t.Errorf("%s: changed is %v, %v", ddl, changed, err)
		}
	}
	if got := describe(t, super, c.Snapshot(), "SELECT * FROM support.addresses"); got != "opaque" {
		t.Errorf("a replaced view means %s", got)
	}
	if first.Version() == c.Snapshot().Version() {
		t.Error("another database has the same version")
	}
}

// A protected column stays protected whatever it is called, and the snapshot says that the configuration is behind.
func TestRenamedColumnsStayProtected(t *testing.T) {
	super, reader := database(t, tables)
	c := open(t, reader, config())
	run(t, super, `ALTER TABLE support.customers RENAME COLUMN email TO mail`, `ALTER TABLE support.tickets RENAME COLUMN customer_id TO who`,
		`ALTER TABLE support.tickets RENAME TO cases`)
	s := refresh(t, c)
	check := func(sql, want string) {
		t.Helper()
		if got := describe(t, super, s, sql); got != want {
			t.Errorf("%s: got %s, want %s", sql, got, want)
		}
	}
	check("SELECT mail FROM support.customers", "customers.email")
	check("SELECT ticket_no, who FROM support.cases", "tickets.ticket_no key")
	if column(t, find(t, s, "customers"), "mail").Protect == nil {
		t.Error("query does not know the renamed column")
	}
	if !find(t, s, "cases").Ticket {
		t.Error("the renamed table's writes are no facts any more")
	}
	for _, want := range []string{"columns.support.customers.email", "columns.support.tickets.subject", "paths.support.tickets"} {
		if !drifted(s, want) {
			t.Errorf("no drift at %s: %v", want, s.Drift)
		}
	}
	// Once more, and another column takes the old name: both are protected.
	run(t, super, `ALTER TABLE support.customers ADD COLUMN email text`, `ALTER TABLE support.customers RENAME COLUMN mail TO old_mail`)
	s = refresh(t, c)
	check("SELECT old_mail, email FROM support.customers", "customers.email customers.email")
	check("SELECT who FROM support.cases", "key")
	run(t, super, `ALTER TABLE support.customers DROP COLUMN old_mail, DROP COLUMN email`)
	s = refresh(t, c)
	check("SELECT full_name FROM support.customers", "customers.full_name")
	if queries := s.CustomerQueries(sallyport.Email); len(queries) > 0 {
		t.Error("a column that is gone is still read")
	}
	for _, q := range s.CustomerQueries() {
		if _, err := super.Prepare(t.Context(), "", q.SQL); err != nil {
			t.Errorf("%s: %v", q.SQL, err)
		}
	}
}

func TestErrorKeepsTheSnapshot(t *testing.T) {
	super, reader := database(t, tables)
	c := open(t, reader, config())
	before := c.Snapshot()
	run(t, super, `ALTER TABLE support.customers RENAME TO clients`, `DROP TABLE support.messages, support.tickets CASCADE`)
	if _, err := c.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "support.tickets") {
		t.Errorf("no error that names the lost table: %v", err)
	}
	if c.Snapshot() != before {
		t.Error("the error replaced the snapshot")
	}
	if got := describe(t, super, c.Snapshot(), "SELECT email FROM support.clients"); got != "customers.email" {
		t.Errorf("the old snapshot says %s", got)
	}
	// A connection that broke is replaced.
	if err := c.conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, super, `CREATE TABLE support.tickets (id bigint PRIMARY KEY, ticket_no text, customer_id bigint, assignee text, state text, subject text, opened_at timestamptz)`,
		`CREATE TABLE support.messages (id bigint PRIMARY KEY, ticket_id bigint, body text)`)
	if changed, err := c.Refresh(t.Context()); err != nil || !changed {
		t.Errorf("after a broken connection: %v, %v", changed, err)
	}
}

func TestViewsThatTheReaderMayNotDescribe(t *testing.T) {
	super, reader := database(t, tables, `CREATE SCHEMA hidden; CREATE VIEW hidden.list AS SELECT email FROM support.customers;
		CREATE VIEW support.list AS SELECT email, 1 AS one FROM hidden.list;`)
	s := open(t, reader, config()).Snapshot()
	if got := describe(t, super, s, "SELECT * FROM support.list"); got != "opaque opaque" {
		t.Errorf("got %s", got)
	}
	if !drifted(s, "views.support.list") {
		t.Error("nobody is told why:", s.Drift)
	}
}

// TestPartsByManyWays has tables that inherit from the protected one by a billion ways.
func TestPartsByManyWays(t *testing.T) {
	var ddl []string
	above := "support.customers"
	for i := range 30 {
		for _, side := range []string{"left", "right"} {
			ddl = append(ddl, fmt.Sprintf("CREATE TABLE support.%s%d () INHERITS (%s)", side, i, above))
		}
		above = fmt.Sprintf("support.left%d, support.right%d", i, i)
	}
	_, reader := database(t, tables, "SET client_min_messages = warning; "+strings.Join(ddl, ";\n"))
	if c := column(t, find(t, open(t, reader, config()).Snapshot(), "left29"), "email"); c.Protect == nil {
		t.Error("a part of parts is not protected")
	}
}

// TestViewsInACircle has views that lie over each other, which the server takes and refuses to use, and many that lie over the same.
func TestViewsInACircle(t *testing.T) {
	circles := []string{
		"CREATE VIEW support.round AS SELECT 1 AS one; CREATE VIEW support.trip AS SELECT one FROM support.round; CREATE OR REPLACE VIEW support.round AS SELECT one FROM support.trip",
		"CREATE VIEW support.chicken AS SELECT email FROM support.customers; CREATE VIEW support.egg AS SELECT email FROM support.chicken; CREATE OR REPLACE VIEW support.chicken AS SELECT e.email FROM support.egg e JOIN support.customers c USING (email)",
		"CREATE VIEW support.level0 AS SELECT 1 AS one",
	}
	for i := range 40 {
		circles = append(circles, fmt.Sprintf("CREATE VIEW support.level%d AS SELECT a.one FROM support.level%d a, support.level%d b", i+1, i, i))
	}
	_, reader := database(t, tables, strings.Join(circles, ";\n"))
	s := open(t, reader, config()).Snapshot()
	for name, want := range map[string]bool{"chicken": true, "egg": true, "round": false, "trip": false, "level40": false} {
		r := find(t, s, name)
		if got := r.Columns[0].Opaque; got != want {
			t.Errorf("%s is opaque: %v", name, got)
		}
	}
}

func TestSchema(t *testing.T) {
	_, reader := database(t, tables, `ALTER TABLE support.customers ADD COLUMN shadow text GENERATED ALWAYS AS (lower(email)) STORED,
		ADD COLUMN land text GENERATED ALWAYS AS (lower(country)) STORED;
		CREATE TABLE support.humans (number bigint UNIQUE, name text);
		CREATE TABLE support.people (id bigint PRIMARY KEY REFERENCES support.humans (number) ON UPDATE CASCADE, also bigint REFERENCES support.people);
		ALTER TABLE support.contacts ADD FOREIGN KEY (customer_id) REFERENCES support.people ON UPDATE CASCADE`)
	s := open(t, reader, config()).Snapshot()
	email := column(t, find(t, s, "customers"), "email")
	want := query.ColumnInfo{
		Name: "email", TypeOID: 1043, Length: 160,
		Protect: &query.Protection{Column: sallyport.Column{Schema: "support", Table: "customers", Name: "email"}, Scheme: sallyport.Email, Group: "email"},
	}
	if diff := cmp.Diff(want, email); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		table, column string
		link, opaque  bool
	}{
		{"people", "id", true, false},     // contacts.customer_id follows it
		{"humans", "number", true, false}, // and it follows this
		{"people", "also", false, false},
		{"humans", "name", false, false},
		{"customers", "id", true, false},
		{"customers", "shadow", false, true},
		{"customers", "land", false, false},
		{"tickets", "customer_id", true, false},
		{"tickets", "id", true, false},
		{"tickets", "assignee", false, false},
		{"messages", "ticket_id", true, false},
		{"messages", "id", false, false},
		{"contacts", "customer_id", true, false},
	} {
		got := column(t, find(t, s, c.table), c.column)
		if key := c.column == "id"; got.Key != key {
			t.Errorf("%s.%s: a primary key is %v", c.table, c.column, got.Key)
		}
		if got.Link != c.link || got.Opaque != c.opaque {
			t.Errorf("%s.%s: link %v, opaque %v", c.table, c.column, got.Link, got.Opaque)
		}
	}
	if !find(t, s, "tickets").Ticket || !find(t, s, "contacts").Contact || find(t, s, "customers").Ticket {
		t.Error("the tables of facts are not marked")
	}
	if got := len(s.Columns()); got != 8 {
		t.Errorf("%d protected columns", got)
	}
	relation, ok := s.Table("support.tickets")
	if !ok || relation.SQL != `"support"."tickets"` || relation.Columns["id"].Type != "bigint" || relation.Columns["ticket_no"].Protected == nil {
		t.Errorf("support.tickets is %+v", relation)
	}
}

func TestCustomerQueries(t *testing.T) {
	super, reader := database(t, tables, `
		INSERT INTO support.customers VALUES (1, 'n1', 'e1', 'p1', '2961-04-05', 'DE', NULL), (2, 'n2', 'e2', NULL, NULL, 'DE', NULL);
		INSERT INTO support.tickets VALUES (10, 'ZQ-1', 1, 's001', 'open', 's10', now()), (20, 'ZQ-2', 2, 's001', 'open', 's20', now());
		INSERT INTO support.messages VALUES (100, 10, 'customer', 'b100'), (101, 10, 's001', 'b101'), (200, 20, 'customer', 'b200')`)
	s := open(t, reader, config()).Snapshot()
	got := map[string][]string{}
	for _, q := range s.CustomerQueries() {
		rows, err := super.Query(t.Context(), q.SQL, pgx.QueryResultFormats{pgx.TextFormatCode}, []string{"1"})
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			for i, value := range rows.RawValues()[1:] {
				if value != nil {
					name := q.Columns[i].Column.Name
					got[name] = append(got[name], string(value))
				}
			}
			if subject := string(rows.RawValues()[0]); subject != "1" {
				t.Errorf("a row of customer %s", subject)
			}
		}
		if rows.Err() != nil {
			t.Fatal(rows.Err())
		}
	}
	want := map[string][]string{
		"full_name": {"n1"}, "email": {"e1"}, "phone": {"p1"}, "birth_date": {"2961-04-05"}, "ticket_no": {"ZQ-1"}, "subject": {"s10"},
		"body": {"b100", "b101"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if names := s.CustomerQueries(sallyport.Name); len(names) != 1 || len(names[0].Columns) != 1 {
		t.Errorf("names are read by %v", names)
	}
}

func find(t testing.TB, s *Snapshot, name string) *query.Relation {
	t.Helper()
	found := s.Schema.Find("support", name)
	if len(found) != 1 {
		t.Fatalf("%d relations are called %s", len(found), name)
	}
	return found[0]
}

func column(t *testing.T, r *query.Relation, name string) query.ColumnInfo {
	t.Helper()
	for _, c := range r.Columns {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("%s has no column %s", r.Name, name)
	return query.ColumnInfo{}
}

func drifted(s *Snapshot, path string) bool {
	for _, p := range s.Drift {
		if p.Path == path {
			return true
		}
	}
	return false
}

// BenchmarkTrace is on the path of every result's columns.
func BenchmarkTrace(b *testing.B) {
	s := &Snapshot{relations: map[uint32]*relation{}}
	for oid := range uint32(2000) {
		s.relations[16384+oid*7] = &relation{origins: make([]Origin, 20)}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Trace(16384+7*99, 7); !ok {
			b.Fatal("unknown")
		}
	}
}

// BenchmarkFresh is what a statement that touches something protected waits for, while nobody writes and while somebody does.
func BenchmarkFresh(b *testing.B) {
	super, reader := database(b, tables, `DO $$ BEGIN FOR i IN 1..200 LOOP EXECUTE format('CREATE TABLE support.t%s (id bigint PRIMARY KEY, a text, b text, c text, d int, e date, f int, g int, h int, i int)', i); END LOOP; END $$`)
	c := open(b, reader, config())
	for i, busy := range []bool{false, true, true} {
		noted := i == 2
		if noted {
			run(b, super, NoteSQL(reader.User))
			if _, err := c.Refresh(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("busy=%t/noted=%t", busy, noted), func(b *testing.B) {
			for b.Loop() {
				if busy {
					b.StopTimer()
					if _, err := super.Exec(b.Context(), "INSERT INTO support.t1 (id) VALUES (nextval('support.s'))"); err != nil {
						if _, err := super.Exec(b.Context(), "CREATE SEQUENCE support.s"); err != nil {
							b.Fatal(err)
						}
					}
					b.StartTimer()
				}
				if _, err := c.Fresh(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
