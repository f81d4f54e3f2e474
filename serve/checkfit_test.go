package serve

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/config"
	"sallyport/entrance"
)

// fitTables are a small shop as people build it, with what stands against protecting it.
const fitTables = `
CREATE SCHEMA app;
CREATE TABLE app.customers (id bigint PRIMARY KEY, full_name text NOT NULL, email varchar(60) UNIQUE, phone text, birth_date date, notes text DEFAULT 'none', plan text);
INSERT INTO app.customers SELECT n, 'Maria Lopez' || chr(97 + n % 26), 'somebody' || n || '@mail.example', '+4915112' || 30000 + n, date '1950-01-01' + 97 * n, 'Call +4915112' || 30000 + n || ' in the evening', 'basic'
	FROM generate_series(1, 200) n;
CREATE TABLE app.tickets (id bigint PRIMARY KEY, ticket_no text UNIQUE, customer_id bigint NOT NULL REFERENCES app.customers, assignee text, state text CHECK (state IN ('open', 'closed')), subject text, opened_at timestamptz);
INSERT INTO app.tickets SELECT n, 'CS-' || 1000000 + n, n, 'nobody', 'open', 'Please write to somebody' || n || '@mail.example', now() FROM generate_series(1, 200) n;
CREATE VIEW app.open_tickets AS SELECT t.id, t.ticket_no, c.email FROM app.tickets t JOIN app.customers c ON c.id = t.customer_id WHERE t.state = 'open';
CREATE VIEW app.ours AS SELECT id, email FROM app.customers WHERE email LIKE '%@corp.example';
CREATE VIEW app.boss AS SELECT id, plan FROM app.customers WHERE email = 'boss@mail.example';
CREATE VIEW app.greetings AS SELECT id, 'Dear ' || full_name AS greeting FROM app.customers;
CREATE FUNCTION app.find(text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT id FROM app.customers WHERE email = $1';
CREATE TABLE app.inbox (id int PRIMARY KEY, sender text);
CREATE FUNCTION app.arrive() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE app.customers SET notes = NEW.sender WHERE email = NEW.sender; RETURN NEW; END';
CREATE TRIGGER arrive AFTER INSERT ON app.inbox FOR EACH ROW EXECUTE FUNCTION app.arrive();
CREATE INDEX low ON app.customers (lower(email));
ANALYZE;
`

// TestMovingIn goes the way of a company that moves in: init, check with what it says, the statements that help, protect, and check again.
func TestMovingIn(t *testing.T) {
	site := ownSite(t)
	dsn := site.database(t, fitTables)
	folder := t.TempDir()
	path := filepath.Join(folder, "sallyport.yaml")
	out, err := runMainOf(t, "init", dsn, "--out", path)
	if err != nil {
		t.Fatal(out, err)
	}
	t.Setenv("PGPASSWORD", site.cluster.Password)
	next := strings.Fields(out[strings.LastIndex(strings.TrimSpace(out), "\n"):]) // what init says to run next is run as it stands there
	if out, err = runMainOf(t, next[1:]...); exitCode(err) != ExitFound || next[1] != "check" || strings.Contains(fmt.Sprint(next), site.cluster.Password) {
		t.Fatal(next, out, err)
	}
	for _, want := range []string{
		"are plain still",
		path + ":", // findings about a column stand where it does
		"app.customers.email: it holds 60 characters, and a value that fills it has a token of up to ",
		"app.customers.email: the index app.low is over an expression or a condition of it",
		"app.customers.notes: it has a default, which would be written in plain",
		"app.ours: the view asks of its columns what tokens cannot answer",
		"app.boss: the view compares a protected column with a value that stands in its query in plain",
		"app.greetings: the view makes greeting of protected columns",
		"function find: app.find mentions app.customers: statements that give it a value are refused",
		"app.inbox: statements that write it are refused: trigger arrive runs app.arrive, which mentions app.customers",
		"app.customers.full_name", // nothing about it
	} {
		if has := strings.Contains(out, want); has != (want != "app.customers.full_name") {
			t.Errorf("%q in the output: %v\n%s", want, has, out)
		}
	}
	if strings.Contains(out, "open_tickets") || strings.Contains(out, "boss@mail") || strings.Contains(out, "corp.example") {
		t.Errorf("check speaks of a view that nothing is wrong with, or quotes a value:\n%s", out)
	}
	wantCount(t, out)

	wantLastFinding(t, out, "protect: the values in "+databaseOf(dsn)+" are plain still; once the rest is done: sallyport protect --config "+path)
	sql, err := runMainOf(t, "check", "--config", path, "--owner", dsn, "--sql")
	if err != nil || !strings.Contains(sql, "-- DROP INDEX app.low;") || strings.Contains(sql, "scram_verifier") || !strings.Contains(sql, `once there is the role "sallyport_reader"`) {
		t.Fatalf("%s, %v", sql, err)
	}
	site.exec(t, databaseOf(dsn), sql) // all of it, as it was printed
	out, _ = runMainOf(t, "check", "--config", path, "--owner", dsn)
	if strings.Contains(out, "it holds 60 characters") || strings.Contains(out, "it has a default") || !strings.Contains(out, "app.ours") {
		t.Errorf("after the statements that help check says\n%s", out)
	}

	config, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Protect(t.Context(), config, ProtectOptions{Owner: dsn, Data: filepath.Join(folder, "data"), KeyFile: filepath.Join(folder, "key.txt")}); err != nil {
		t.Fatal(err)
	}
	findings, err := checkAll(t.Context(), path)
	if err != nil || ToDo(findings) > 0 || len(findings) == 0 {
		t.Errorf("once protected, check finds %+v, %v; want notes and nothing to do", findings, err)
	}
	site.wantInstalls(t, path, dsn)
	site.exec(t, databaseOf(dsn), "ALTER TABLE app.customers ALTER notes SET DEFAULT 'none'", "ALTER TABLE app.customers ADD CONSTRAINT plain CHECK (email LIKE '%.example') NOT VALID")
	if findings, err = checkAll(t.Context(), path); err != nil || ToDo(findings) != 2 {
		t.Errorf("what breaks writes afterwards is %+v, %v; want 2 things to do", findings, err)
	}
}

// wantInstalls: once there is a reader, what stands behind the statements that help can be installed, and the notes of changes stand there
// only where they are gone.
func (s *plainSite) wantInstalls(t *testing.T, path, dsn string) {
	t.Helper()
	for _, step := range []struct {
		before string
		notes  bool
	}{{"SELECT", false}, {"DROP EVENT TRIGGER sallyport_made", true}, {"SELECT", false}} {
		s.exec(t, databaseOf(dsn), step.before)
		sql, err := runMainOf(t, "check", "--config", path, "--owner", dsn, "--sql")
		if err != nil || !strings.Contains(sql, "scram_verifier") || strings.Contains(sql, "CREATE EVENT TRIGGER sallyport_made") != step.notes {
			t.Fatalf("after %s: %s, %v", step.before, sql, err)
		}
		s.exec(t, databaseOf(dsn), sql)
	}
	if out, err := runMainOf(t, "check", "--config", path, "--sql", "--json"); exitCode(err) != ExitUsage {
		t.Errorf("%s, %v", out, err)
	}
}

// TestCheckSecondDatabase: where another database of the server is protected already, the owner still sees what stands against protecting
// this one; a DSN that leads elsewhere is no finding.
func TestCheckSecondDatabase(t *testing.T) {
	site := ownSite(t)
	first, second := site.database(t, fitTables), site.database(t, fitTables)
	paths := map[string]string{}
	for _, dsn := range []string{first, second} {
		paths[dsn] = filepath.Join(t.TempDir(), "sallyport.yaml")
		if out, err := runMainOf(t, "init", dsn, "--out", paths[dsn]); err != nil {
			t.Fatal(out, err)
		}
	}
	sql, err := runMainOf(t, "check", "--config", paths[first], "--owner", first, "--sql")
	if err != nil {
		t.Fatal(sql, err)
	}
	site.exec(t, databaseOf(first), sql)
	settings, err := config.Load(paths[first])
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if _, err := Protect(t.Context(), settings, ProtectOptions{Owner: first, Data: filepath.Join(folder, "data"), KeyFile: filepath.Join(folder, "key.txt")}); err != nil {
		t.Fatal(err)
	}
	out, err := runMainOf(t, "check", "--config", paths[second], "--owner", second)
	if exitCode(err) != ExitFound || !strings.Contains(out, "app.customers.email: it holds 60 characters") || strings.Contains(out, "reader.password") {
		t.Errorf("%s, %v", out, err)
	}
	wantLastFinding(t, out, "protect: the values in "+databaseOf(second)+" are plain still")
	if out, err = runMainOf(t, "check", "--config", paths[second], "--owner", first); exitCode(err) != ExitUsage {
		t.Errorf("%s, %v", out, err)
	}

	if out, err := runMainOf(t, "init", first, "--out", paths[first], "--force"); err != nil || !strings.Contains(out, "note: Sallyport protects columns of this database already") {
		t.Errorf("%s, %v", out, err)
	}

	// Protecting it with a reader of the same name and another password would lock the first one's gateway out.
	other, err := config.Load(paths[second])
	if err != nil {
		t.Fatal(err)
	}
	site.exec(t, databaseOf(second), "DROP VIEW app.open_tickets, app.ours, app.boss, app.greetings; ALTER TABLE app.customers ALTER email TYPE text")
	options := ProtectOptions{Owner: second, Data: filepath.Join(folder, "data2"), KeyFile: filepath.Join(folder, "key2.txt")}
	if _, err := Protect(t.Context(), other, options); exitCode(err) != ExitUsage || !strings.Contains(err.Error(), "the role sallyport_reader is there already") {
		t.Errorf("protecting a second database with another password of the reader: %v", err)
	}
	if err := readerLogsIn(settings, t); err != nil {
		t.Errorf("the first database's reader then: %v", err)
	}
	other.Upstream.Reader.User = "second_reader"
	if _, err := Protect(t.Context(), other, options); err != nil {
		t.Error(err)
	}
}

// readerLogsIn tries the reader with the password of the configuration's file.
func readerLogsIn(c *config.Config, t *testing.T) error {
	t.Helper()
	server, err := c.Server(config.Place{})
	if err != nil {
		return err
	}
	reader, err := entrance.Reader(c, server)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(t.Context(), reader)
	if err != nil {
		return err
	}
	return conn.Close(t.Context())
}

// wantLastFinding: what is to be done last stands last.
func wantLastFinding(t *testing.T, out, want string) {
	t.Helper()
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) < 2 || !strings.HasPrefix(lines[len(lines)-2], want) {
		t.Errorf("the last finding is not %q:\n%s", want, out)
	}
}

// TestCheckJSON: programs get the statements too, and what is a note is said to be one.
func TestCheckJSON(t *testing.T) {
	site := plainSiteOf(t)
	dsn := site.database(t, fitTables)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if out, err := runMainOf(t, "init", dsn, "--out", path); err != nil {
		t.Fatal(out, err)
	}
	out, err := runMainOf(t, "check", "--config", path, "--owner", dsn, "--json")
	var report struct {
		OK       bool
		Findings []Finding
	}
	if exitCode(err) != ExitFound || json.Unmarshal([]byte(out), &report) != nil || report.OK {
		t.Fatal(out, err)
	}
	alter := ""
	for _, f := range report.Findings {
		if f.Kind == "width" {
			alter = strings.Join(f.SQL, " ")
		}
	}
	if !strings.Contains(alter, "ALTER TABLE app.customers ALTER COLUMN email TYPE text") {
		t.Errorf("the findings are %+v", report.Findings)
	}
}

// TestCheckWithoutOwner: before there is a reader, check says that nobody has looked, and counts that for nothing.
func TestCheckWithoutOwner(t *testing.T) {
	site := plainSiteOf(t)
	dsn := site.database(t, fitTables)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if out, err := runMainOf(t, "init", dsn, "--out", path); err != nil {
		t.Fatal(out, err)
	}
	out, err := runMainOf(t, "check", "--config", path)
	if exitCode(err) != ExitFound || !strings.Contains(out, "note: upstream.reader: nobody has looked at") || !strings.HasSuffix(out, "1 thing to do\n") {
		t.Errorf("%s, %v", out, err)
	}
	sql, err := runMainOf(t, "check", "--config", path, "--sql")
	if err != nil || !strings.HasPrefix(sql, "-- Nobody has looked at the tables") {
		t.Errorf("%s, %v", sql, err)
	}
}

// wantCount holds the last line to the lines before it.
func wantCount(t *testing.T, out string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	n := 0
	for _, line := range lines[:len(lines)-1] {
		if !strings.HasPrefix(line, "note: ") && !strings.HasPrefix(line, "  ") {
			n++
		}
	}
	if last := lines[len(lines)-1]; last != fmt.Sprintf("%d things to do", n) {
		t.Errorf("the last line is %q after %d findings", last, n)
	}
}
