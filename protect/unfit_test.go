package protect_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/protect"
)

// TestUnfit: everything that stands against protecting is listed at once, and nothing changes.
func TestUnfit(t *testing.T) {
	database, _ := newDatabase(t, 300)
	conn := connect(t, cluster.SuperDSN(database))
	secret := "not-a-number-4711"
	for _, sql := range []string{
		"DROP VIEW support.open_cases",
		"ALTER TABLE support.customers ALTER email TYPE varchar(50)",
		"ALTER TABLE support.tickets ALTER subject TYPE char(100)",
		"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
		"CREATE TRIGGER audit BEFORE UPDATE ON support.messages FOR EACH ROW EXECUTE FUNCTION f()",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close(t.Context())
	o := options(t, database)
	o.Columns = append(o.Columns, protect.Column{Column: column("support.nobody.name"), Codec: o.Columns[0].Codec})
	waitAlone(t, database)
	_, err := protect.Run(t.Context(), o)
	wantProblems(t, err, "support.tickets.subject: its type is character", "trigger audit", "support.nobody.name: there is no such column in a table of this database")

	o.Columns = o.Columns[:5] // the customers' alone: types fit, now values speak
	waitAlone(t, database)
	_, err = protect.Run(t.Context(), o)
	wantProblems(t, err, "support.customers.email: it holds 50 characters and needs ")

	conn = connect(t, cluster.SuperDSN(database))
	for _, sql := range []string{
		"ALTER TABLE support.customers ALTER email TYPE text",
		"UPDATE support.customers SET phone = '" + secret + "' WHERE id IN (3, 5)",
		"UPDATE support.customers SET birth_date = '2300-01-01' WHERE id = 8",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close(t.Context())
	before := dumpText(t, database)
	waitAlone(t, database)
	_, err = protect.Run(t.Context(), o)
	wantProblems(t, err, "support.customers.phone: 2 values ", "rows 3, 5",
		"support.customers.birth_date: 1 values have the form of a token", "rows 8")
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error quotes a value: %v", err)
	}
	waitAlone(t, database)
	if dumpText(t, database) != before {
		t.Error("the database was changed before it was refused")
	}
}

// TestOwner: who owns the tables and may create roles need not be a superuser.
func TestOwner(t *testing.T) {
	database := emptyDatabase(t)
	conn := connect(t, cluster.SuperDSN(database))
	for _, sql := range []string{
		"CREATE ROLE " + database + " LOGIN PASSWORD 'owner' CREATEROLE",
		"GRANT CREATE ON DATABASE " + database + " TO " + database,
		"CREATE SCHEMA AUTHORIZATION " + database,
		// Since PostgreSQL 16 the mark's role, which the server has but once, belongs to whoever protected a database first.
		"DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sallyport_mark') THEN GRANT sallyport_mark TO " + database +
			" WITH ADMIN OPTION; END IF; END $$",
		"SET SESSION AUTHORIZATION " + database,
		"CREATE TABLE " + database + ".people (id int PRIMARY KEY, mail text)",
		"INSERT INTO " + database + ".people VALUES (1, 'somebody@mail.example')",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close(t.Context())
	waitAlone(t, database)
	o := options(t, database)
	o.DSN = cluster.DSN(database, "owner", database)
	// Another database's run made the usual roles, and only a superuser or their maker may change those.
	o.Reader = protect.Reader{User: "reader_" + database, Password: protect.NewPassword("reader-password")}
	o.Columns = []protect.Column{newColumn(t, newRing(t, 1), sallyport.Column{Schema: database, Table: "people", Name: "mail"}, sallyport.Email)}
	for range 2 {
		if report, err := protect.Run(t.Context(), o); err != nil || report.Columns[0].Tokens != 1 {
			t.Fatalf("%+v, %v", report, err)
		}
		waitAlone(t, database)
	}
	o.Reader.User = database
	if _, err := protect.Run(t.Context(), o); !errors.Is(err, protect.ErrRoleTaken) {
		t.Errorf("the owner became the reader: %v", err)
	}
}

func TestConnectedIsRefused(t *testing.T) {
	database, _ := newDatabase(t, 100)
	conn := connect(t, cluster.SuperDSN(database))
	o := options(t, database)
	_, err := protect.Run(t.Context(), o)
	if !errors.Is(err, protect.ErrConnected) || !strings.Contains(err.Error(), fmt.Sprint(conn.PgConn().PID())) {
		t.Errorf("got %v", err)
	}
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock(x'73616c6c79'::bigint)"); err != nil {
		t.Fatal(err)
	}
	if _, err := protect.Run(t.Context(), o); !errors.Is(err, protect.ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestWrongPasswordSaysWhereItIsRead(t *testing.T) {
	o := options(t, "postgres")
	o.DSN = cluster.DSN(cluster.Superuser, "wrong", "postgres")
	_, err := protect.Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "PGPASSWORD") {
		t.Errorf("got %v", err)
	}
}

// TestOddTables: composite keys, names that need quoting, materialised views, nulls, no rows.
func TestOddTables(t *testing.T) {
	database := emptyDatabase(t)
	conn := connect(t, cluster.SuperDSN(database))
	for _, sql := range []string{
		`CREATE SCHEMA "Odd ""one"`,
		`CREATE TABLE "Odd ""one"."Some People" (region text, "No" int, "E mail" varchar(200), born date, PRIMARY KEY (region, "No"))`,
		`INSERT INTO "Odd ""one"."Some People"
			SELECT chr(65 + n % 7), n, 'person' || n || '@mail.example', date '1980-01-01' + n FROM generate_series(1, 1000) AS n`,
		`UPDATE "Odd ""one"."Some People" SET "E mail" = NULL WHERE "No" % 3 = 0`,
		`CREATE TABLE "Odd ""one".empty (id uuid PRIMARY KEY, mail text)`,
		`CREATE VIEW people AS SELECT * FROM "Odd ""one"."Some People"`,
		`CREATE MATERIALIZED VIEW a_copy AS SELECT "E mail" FROM people`,
		`CREATE MATERIALIZED VIEW a_copy_of_it AS SELECT * FROM a_copy`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close(t.Context())
	waitAlone(t, database)
	ring := newRing(t, 1)
	o := options(t, database)
	o.Reader.Tables = nil
	o.RangeRows = 64
	o.Columns = []protect.Column{
		newColumn(t, ring, sallyport.Column{Schema: `Odd "one`, Table: "Some People", Name: "E mail"}, sallyport.Email),
		newColumn(t, ring, sallyport.Column{Schema: `Odd "one`, Table: "Some People", Name: "born"}, sallyport.Date),
		newColumn(t, ring, sallyport.Column{Schema: `Odd "one`, Table: "empty", Name: "mail"}, sallyport.Email),
	}
	report, err := protect.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.Columns[0].Tokens != 667 || report.Columns[1].Tokens != 1000 || report.Columns[2].Tokens != 0 {
		t.Errorf("report %+v", report)
	}
	conn = connect(t, cluster.SuperDSN(database))
	defer conn.Close(t.Context())
	for _, from := range []string{"a_copy", "a_copy_of_it"} {
		var n int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM `+from+` WHERE "E mail" LIKE '%@mail.example'`).Scan(&n); err != nil || n > 0 {
			t.Errorf("%s holds %d plain addresses: %v", from, n, err)
		}
	}
}

// TestServersErrorQuotesNothing: a unique violation's DETAIL and a CHECK's failing row hold values.
func TestServersErrorQuotesNothing(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{
			"UPDATE support.customers SET email = upper((SELECT email FROM support.customers WHERE id = 1)) WHERE id = 2",
			"customers_email_key",
		},
		{"ALTER TABLE support.customers ADD CONSTRAINT plain_only CHECK (email LIKE '%.example')", "plain_only"},
	} {
		database, org := newDatabase(t, 100)
		conn := connect(t, cluster.SuperDSN(database))
		if _, err := conn.Exec(t.Context(), c.sql); err != nil {
			t.Fatal(err)
		}
		conn.Close(t.Context())
		waitAlone(t, database)
		_, err := protect.Run(t.Context(), options(t, database))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v", err)
			continue
		}
		for _, part := range []string{".example", ".invalid", org.Customer(1).FullName} {
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), part) {
				t.Errorf("the error quotes a value: %v", err)
			}
		}
		if pgErr := (*pgconn.PgError)(nil); errors.As(err, &pgErr) {
			t.Error("the server's error is wrapped, and its detail quotes a value")
		}
	}
}

func TestPasswordIsRedacted(t *testing.T) {
	p := protect.NewPassword("hunter2")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text := fmt.Sprintf(format, struct{ P protect.Password }{p})
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74657232") {
			t.Errorf("%s shows the password: %s", format, text)
		}
	}
}

// BenchmarkRun protects the demonstration's 200,000 customers.
func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		database, _ := newDatabase(b, 200_000)
		o := options(b, database)
		waitAlone(b, database)
		b.StartTimer()
		if _, err := protect.Run(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
}
