package protect_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/throwaway"
	"sallyport/protect"
	"sallyport/sim"
)

var cluster *throwaway.Cluster

func TestMain(m *testing.M) {
	os.Exit(throwaway.Main(m, throwaway.Options{Settings: map[string]string{"fsync": "off"}}, func(c *throwaway.Cluster) { cluster = c }))
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
