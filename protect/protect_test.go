package protect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/internal/throwaway"
	"sallyport/protect"
	"sallyport/sim"
)

var cluster *throwaway.Cluster

func TestMain(m *testing.M) {
	os.Exit(throwaway.Main(m, throwaway.Options{}, func(c *throwaway.Cluster) { cluster = c }))
}

const recordID = "00112233445566778899aabbccddeeff"

func TestEverythingProtected(t *testing.T) {
	database, org := newDatabase(t, 3000)
	o := options(t, database)
	var done, total int64
	o.Progress = func(table string, d, n int64) {
		if table == "support.customers" {
			done, total = d, n
		}
	}
	report, err := protect.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if done != total || total != 3*org.Customers {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	for _, c := range report.Columns {
		if c.Tokens == 0 || c.Tokens != c.Moved {
			t.Errorf("%s: %d tokens, %d moved", c.Column, c.Tokens, c.Moved)
		}
	}
	checkDump(t, database, org)
	checkRevealed(t, database, org, o)
	checkNoRemnants(t, database, org)

	conn := connect(t, cluster.SuperDSN(database))
	m, found, err := protect.ReadMark(t.Context(), conn)
	if err != nil || !found || m.RecordID != recordID || m.Position != 7 || m.ProtectedAt.IsZero() {
		t.Errorf("mark %+v, %v, %v", m, found, err)
	}
	conn.Close(t.Context())
	checkReader(t, database, o)

	waitAlone(t, database)
	again, err := protect.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range again.Columns {
		if c.Moved != 0 || c.Tokens != report.Columns[i].Tokens {
			t.Errorf("second run, %s: %d tokens, %d moved", c.Column, c.Tokens, c.Moved)
		}
	}
}

// checkDump looks for every plain value in what pg_dump writes of the whole database.
func checkDump(t *testing.T, database string, org *sim.Org) {
	t.Helper()
	dump := []byte(dumpText(t, database))
	if !bytes.Contains(dump, []byte("COPY support.customers")) {
		t.Fatal("the dump holds no customers")
	}
	words := wordsOf(dump)
	for id := int64(1); id <= org.Customers; id++ {
		c := org.Customer(id)
		for _, value := range []string{c.Email, c.Phone} {
			if value != "" && words[value] {
				t.Fatalf("a value of customer %d stands in the dump", id)
			}
		}
		if words[c.FullName] && !isStaffName(org, c.FullName) {
			t.Fatalf("the name of customer %d stands in the dump", id)
		}
	}
	for id := int64(1); id <= org.Tickets; id++ {
		if words[org.Ticket(id).No] {
			t.Fatalf("the number of ticket %d stands in the dump", id)
		}
	}
	for _, sentence := range []string{"Please help", "licence", "Prefers to be called"} {
		if bytes.Contains(dump, []byte(sentence)) {
			t.Errorf("%q stands in the dump", sentence)
		}
	}
}

// wordsOf are the parts of a dump between blanks, tabs and line ends, and whole fields: a search for thousands of values then
// takes one look-up each.
func wordsOf(dump []byte) map[string]bool {
	words := map[string]bool{}
	for _, cut := range []string{"\t\n", " \t\n'\",;()"} {
		for _, word := range bytes.FieldsFunc(dump, func(r rune) bool { return strings.ContainsRune(cut, r) }) {
			words[string(word)] = true
		}
	}
	return words
}

// isStaffName tells whether a member of staff is a customer's namesake: staff's names are not protected.
func isStaffName(org *sim.Org, name string) bool {
	return slices.ContainsFunc(org.Staff, func(p sim.Person) bool { return p.Name == name })
}

// checkNoRemnants looks into the files of the database: dead rows and statistics hold nothing plain either.
func checkNoRemnants(t *testing.T, database string, org *sim.Org) {
	t.Helper()
	conn := connect(t, cluster.SuperDSN(database))
	defer conn.Close(t.Context())
	for _, sql := range []string{"VACUUM (FULL) pg_statistic", "CHECKPOINT"} { // dead rows of the statistics are not ours to remove
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	var oid uint32
	if err := conn.QueryRow(t.Context(), "SELECT oid FROM pg_database WHERE datname = current_database()").Scan(&oid); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(cluster.Dir, "data", "base", strconv.Itoa(int(oid)), "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	emails := [][]byte{[]byte("@mail.example"), []byte("@post.example"), []byte("@inbox.example"), []byte(org.Customer(1).Phone)}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range emails {
			if bytes.Contains(content, value) {
				t.Errorf("%s of the server holds %q", filepath.Base(file), value)
			}
		}
	}
}

// checkRevealed reads tokens back.
func checkRevealed(t *testing.T, database string, org *sim.Org, o protect.Options) {
	t.Helper()
	conn := connect(t, cluster.SuperDSN(database))
	defer conn.Close(t.Context())
	for _, id := range []int64{1, 2, 1500, 3000} {
		want := org.Customer(id)
		var name, email, phone, notes, born []byte
		const query = `SELECT full_name, email, coalesce(phone, ''), coalesce(notes, ''), coalesce(birth_date::text, '')
			FROM support.customers WHERE id = $1`
		err := conn.QueryRow(t.Context(), query, pgx.QueryResultFormats{pgx.TextFormatCode}, id).Scan(&name, &email, &phone, &notes, &born)
		if err != nil {
			t.Fatal(err)
		}
		wantBorn := ""
		if !want.BirthDate.IsZero() {
			wantBorn = want.BirthDate.Format(time.DateOnly)
		}
		for i, pair := range []struct {
			token []byte
			want  string
		}{{name, want.FullName}, {email, want.Email}, {phone, want.Phone}, {born, wantBorn}, {notes, want.Notes}} {
			if (len(pair.token) == 0) != (pair.want == "") {
				t.Errorf("customer %d, %s: null became a value or a value null", id, o.Columns[i].Column)
				continue
			}
			if pair.want == "" {
				continue
			}
			if got, err := o.Columns[i].Codec.Reveal(nil, pair.token); err != nil || string(got) != pair.want {
				t.Errorf("customer %d, %s: revealed %q, want %q: %v", id, o.Columns[i].Column, got, pair.want, err)
			}
		}
		search, err := o.Columns[0].Codec.Search(nil, []byte(want.FullName))
		if err != nil {
			t.Fatal(err)
		}
		var plan string
		const explain = "EXPLAIN SELECT id FROM support.customers WHERE left(full_name, 20) = $1"
		rows, _ := conn.Query(t.Context(), explain, pgx.QueryExecModeSimpleProtocol, string(search))
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan += line + "\n"
		}
		if !strings.Contains(plan, "sallyport_name_") {
			t.Errorf("names are not found by the index:\n%s", plan)
		}
	}
}

// checkReader: the reader reads what it needs, moves the mark forward and nothing else.
func checkReader(t *testing.T, database string, o protect.Options) {
	t.Helper()
	conn := connect(t, cluster.DSN(o.Reader.User, "reader-password", database))
	defer conn.Close(t.Context())
	var n int
	for _, table := range []string{"customers", "tickets", "messages", "contacts"} {
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM support."+table).Scan(&n); err != nil || n == 0 {
			t.Errorf("the reader cannot read %s: %v", table, err)
		}
	}
	for _, sql := range []string{
		"SELECT * FROM support.staff", "UPDATE support.customers SET plan = 'x'", "UPDATE sallyport.mark SET record_id = 'x'",
		"DELETE FROM sallyport.mark", "CREATE TABLE support.mine (x int)",
	} {
		if _, err := conn.Exec(t.Context(), sql); err == nil {
			t.Errorf("the reader may %s", sql)
		}
	}
	for _, step := range []struct{ to, want uint64 }{{99, 99}, {42, 99}, {7_000_000, 7_000_000}, {0, 7_000_000}} {
		if err := protect.Advance(t.Context(), conn, step.to); err != nil {
			t.Fatal(err)
		}
		if m, _, err := protect.ReadMark(t.Context(), conn); err != nil || m.Position != step.want {
			t.Errorf("advanced to %d: mark at %d, want %d: %v", step.to, m.Position, step.want, err)
		}
	}
}

// TestResumable cuts a run in its middle, and another goes on.
func TestResumable(t *testing.T) {
	database, org := newDatabase(t, 3000)
	o := options(t, database)
	o.RangeRows = 100
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(table string, done, total int64) {
		if table == "support.customers" && done > total/3+1000 {
			cancel()
		}
	}
	report, err := protect.Run(ctx, o)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled run ended with %v", err)
	}
	conn := connect(t, cluster.SuperDSN(database))
	m, found, err := protect.ReadMark(t.Context(), conn)
	if err != nil || !found || !m.ProtectedAt.IsZero() {
		t.Errorf("mark of an interrupted run: %+v, %v, %v", m, found, err)
	}
	conn.Close(t.Context())
	first := report.Columns[0].Moved
	if first == 0 || first == org.Customers {
		t.Fatalf("the cancelled run moved %d of %d names", first, org.Customers)
	}

	o.Progress = nil
	waitAlone(t, database)
	report, err = protect.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	// A range whose commit was cut off by the cancel may have been committed without being counted.
	if c := report.Columns[0]; c.Tokens != org.Customers || c.Moved == 0 || c.Moved > org.Customers-first {
		t.Errorf("after %d, the second run moved %d and found %d tokens of %d", first, c.Moved, c.Tokens, org.Customers)
	}
	checkDump(t, database, org)
}

func TestOtherKeysAndRecordsAreRefused(t *testing.T) {
	database, _ := newDatabase(t, 200)
	o := options(t, database)
	if _, err := protect.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	other := o
	other.RecordID = strings.Repeat("ab", 16)
	if _, err := protect.Run(t.Context(), other); !errors.Is(err, protect.ErrOtherRecord) {
		t.Errorf("another record: %v", err)
	}
	strange := options(t, database)
	strange.Columns = columns(t, 2)
	unfit := (*protect.UnfitError)(nil)
	if _, err := protect.Run(t.Context(), strange); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "these keys") {
		t.Errorf("other keys: %v", err)
	}
}

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
	wantProblems(t, err, "support.tickets.subject: its type is character", "trigger audit", "support.nobody.name: there is no such table")

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
