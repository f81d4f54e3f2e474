package discover_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"sallyport/catalog/discover"
)

func now() time.Time { return time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC) }

// TestReadIsBounded: of a large table a bounded number of rows is read, spread over it, and the same ones again.
func TestReadIsBounded(t *testing.T) {
	conn := newDatabase(t)
	run(t, conn, "CREATE TABLE people (id bigint PRIMARY KEY, note text)",
		"INSERT INTO people SELECT n, repeat('x', 6000) || n FROM generate_series(1, 200000) n WHERE n % 50 = 0",
		"INSERT INTO people SELECT n, n FROM generate_series(1, 200000) n WHERE n % 50 <> 0", "ANALYZE people")
	read := func() *discover.Table {
		db, err := discover.Read(t.Context(), connect(t, conn.Config().Database), discover.Limits{Rows: 500, Clock: now})
		if err != nil {
			t.Fatal(err)
		}
		return &db.Tables[0]
	}
	first, again := read(), read()
	if first.Sampled < 100 || first.Sampled > 500 {
		t.Errorf("%d rows were read, want about 500 and no more", first.Sampled)
	}
	if !reflect.DeepEqual(first.Columns, again.Columns) {
		t.Error("a second look at an unchanged table sees other rows")
	}
	far := false
	for _, column := range first.Columns {
		for _, v := range column.Values {
			far = far || column.Name == "id" && len(v) == 6
			if len(v) > 4000 {
				t.Fatalf("a value of %d bytes was read", len(v))
			}
		}
	}
	if !far {
		t.Error("the sample is the table's beginning")
	}
}

// TestReadIsBoundedInBytes: wide rows are fewer, and what comes after the room is used up is judged by names.
func TestReadIsBoundedInBytes(t *testing.T) {
	conn := newDatabase(t)
	run(t, conn, "CREATE TABLE a_wide (id int, x text, y text)", "INSERT INTO a_wide SELECT n, repeat('x', 4000), repeat('y', 5000) FROM generate_series(1, 900) n",
		"CREATE TABLE b_next (id int, email text)", "INSERT INTO b_next VALUES (1, 'somebody@mail.example')")
	db, err := discover.Read(t.Context(), connect(t, conn.Config().Database), discover.Limits{Clock: now, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if wide := db.Tables[0]; wide.Sampled < 200 || wide.Sampled > 300 {
		t.Errorf("%d rows of 8,000 characters were read, want as many as 2 MiB hold", wide.Sampled)
	}
	if next := db.Tables[1]; next.Sampled > 0 || !strings.Contains(next.Note, "room for samples") {
		t.Errorf("%d rows were read beyond the bound: %q", next.Sampled, next.Note)
	}
}

// TestReadChangesNothing: what runs while rows are read cannot write, and the connection cannot afterwards.
func TestReadChangesNothing(t *testing.T) {
	conn := newDatabase(t)
	database := conn.Config().Database
	run(t, conn, "CREATE ROLE "+database+" LOGIN PASSWORD 'pw'", "CREATE TABLE seen (at int)", "GRANT ALL ON seen TO "+database,
		"CREATE FUNCTION spy() RETURNS bool LANGUAGE plpgsql VOLATILE AS 'BEGIN INSERT INTO public.seen VALUES (1); RETURN true; END'",
		"CREATE TABLE trap (id int PRIMARY KEY, email text)", "INSERT INTO trap VALUES (1, 'a@mail.example')", "GRANT SELECT ON trap TO "+database,
		"ALTER TABLE trap ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON trap USING (public.spy())")
	reader := connectAs(t, cluster.DSN(database, "pw", database))
	db, err := discover.Read(t.Context(), reader, discover.Limits{Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range db.Tables {
		if table.Name == "trap" && !strings.Contains(table.Note, "25006") { // read_only_sql_transaction
			t.Errorf("the trap was read: %q", table.Note)
		}
	}
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM seen").Scan(&n); err != nil || n > 0 {
		t.Errorf("reading wrote %d rows, %v", n, err)
	}
	_, err = reader.Exec(t.Context(), "INSERT INTO public.seen VALUES (2)")
	if server, ok := errors.AsType[*pgconn.PgError](err); !ok || server.Code != "25006" {
		t.Errorf("the connection may write: %v", err)
	}
}

// TestReadGoesOn: tables that cannot be read, are locked, or take too long are judged by their names, and the rest is read.
func TestReadGoesOn(t *testing.T) {
	conn := newDatabase(t)
	database := conn.Config().Database
	run(t, conn, "CREATE ROLE "+database+" LOGIN PASSWORD 'pw'")
	for _, table := range []string{"denied", "locked", "slow", "fine"} {
		run(t, conn, fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, email text)", table),
			fmt.Sprintf("INSERT INTO %s SELECT n, 'somebody' || n || '@mail.example' FROM generate_series(1, 100) n", table))
		if table != "denied" {
			run(t, conn, fmt.Sprintf("GRANT SELECT ON %s TO %s", table, database))
		}
	}
	run(t, conn, "ALTER TABLE slow ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON slow USING (pg_sleep(1) IS NOT NULL)")
	holder := connect(t, database)
	run(t, holder, "BEGIN", "LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
	db, err := discover.Read(t.Context(), connectAs(t, cluster.DSN(database, "pw", database)), discover.Limits{Clock: now, Statement: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"denied": "may not be read", "locked": "SQLSTATE 5", "slow": "57014", "fine": ""}
	for _, table := range db.Tables {
		if note := want[table.Name]; !strings.Contains(table.Note, note) || (note == "") != (table.Note == "") {
			t.Errorf("%s: %q, want %q", table.Name, table.Note, note)
		}
		if rows := map[bool]int{true: 100}[table.Name == "fine"]; table.Sampled != rows {
			t.Errorf("%s: %d rows were read, want %d", table.Name, table.Sampled, rows)
		}
	}
	p, err := discover.Propose(db, discover.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Notes) != 3 || p.Customer != "public.fine" {
		t.Errorf("notes %v, customer %q", p.Notes, p.Customer)
	}
	for _, c := range p.Columns {
		if c.Column.Table != "fine" && c.Proposed() {
			t.Errorf("%s is proposed though nobody looked at it", c.Column)
		}
	}
}

// TestProposeTellsNoValue: whatever stands in the rows, no part of a proposal holds any of it, but for letters that many numbers share.
func TestProposeTellsNoValue(t *testing.T) {
	names := []string{"email", "phone", "full_name", "birth_date", "notes", "iban", "street", "ticket_no", "card_number", "ssn", "ip", "plz", "data", "username"}
	rapid.Check(t, func(t *rapid.T) {
		table := discover.Table{Schema: "s", Name: "customers", Key: []string{"id"}, Sampled: 30, Rows: 30, Columns: []discover.Column{{Name: "id", Type: "bigint"}}}
		for _, name := range names {
			kind := rapid.SampledFrom([]string{"text", "character varying", "date", "jsonb", "bigint"}).Draw(t, "type")
			form := rapid.SampledFrom([]string{
				"zqx%d@mail.example", "+4915%07dzqx", "Zqx%d Maria", "zqx%dzqx %d zqx", "19%02d-01-01", "DE89 zqx%d", "Zqx-Straße %d", "Z-%07d", "%s", "\xff%dzqx", "zqx %d\nprotect:",
			}).Draw(t, "form")
			column := discover.Column{Name: name, Type: kind}
			for i := range rapid.IntRange(0, 30).Draw(t, "values") {
				column.Values = append(column.Values, strings.ReplaceAll(fmt.Sprintf(form, 7310000+i), "(", "zqx"))
			}
			table.Columns = append(table.Columns, column)
		}
		p, err := discover.Propose(&discover.Database{Tables: []discover.Table{table}, Year: 2026}, discover.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.ToLower(fmt.Sprintf("%+v", p)); strings.Contains(text, "zqx") || strings.Contains(text, "731000") {
			t.Fatalf("a value stands in the proposal: %s", text)
		}
	})
}

// FuzzPropose: no name, type or value makes discovery panic, or a proposal that its own rules forbid.
func FuzzPropose(f *testing.F) {
	for _, seed := range [][3]string{
		{"email", "text", "somebody@mail.example"},
		{"phone", "text", "0151 23456789"},
		{"iban", "text", "DE89 3704 0044 0532 0130 00"},
		{"e", "citext", "@"},
		{"Straße", "text", "Ring 1"},
		{"birth", "date", "1970-01-01"},
		{"data", "jsonb", "{\"a\": 1}"},
		{"ticket_no", "text", "CS-4821-7730"},
		{"", "text", "\xff\x00"},
		{"name", "text", "Éva  d'Or"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, name, kind, value string) {
		values := slices.Repeat([]string{value}, 20)
		table := discover.Table{Schema: "s", Name: name, Key: []string{"id"}, Sampled: 20, Rows: 20, Columns: []discover.Column{{Name: "id", Type: "bigint"}, {Name: name, Type: kind, Values: values}}}
		p, err := discover.Propose(&discover.Database{Tables: []discover.Table{table}, Year: 2026}, discover.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Columns {
			if c.Proposed() && (c.Confidence != discover.High || len(c.Evidence) == 0) {
				t.Errorf("%+v", c)
			}
		}
	})
}

func run(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func connectAs(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// TestStatisticsCount: where a sample's neighbours are alike, the server's statistics tell that the table's values are not.
func TestStatisticsCount(t *testing.T) {
	alike := make([]string, 100)
	for i := range alike {
		alike[i] = fmt.Sprintf("CS-100000%d", i%4)
	}
	look := func(distinct float64) discover.Confidence {
		table := discover.Table{Schema: "s", Name: "tickets", Key: []string{"id"}, Sampled: 100, Rows: 1e6, Columns: []discover.Column{
			{Name: "id", Type: "bigint"}, {Name: "ticket_no", Type: "text", Values: alike, Distinct: distinct},
		}}
		p, err := discover.Propose(&discover.Database{Tables: []discover.Table{table}, Year: 2026}, discover.Settings{Customer: "s.tickets"})
		if err != nil || len(p.Columns) != 1 {
			t.Fatal(p, err)
		}
		return p.Columns[0].Confidence
	}
	if look(-0.9) != discover.High || look(4) != discover.Low {
		t.Errorf("with 900,000 different values %s, with 4 %s", look(-0.9), look(4))
	}
}
