package sources

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/internal/throwaway"
)

// secrets are literals that the statements of the test hold; none of them may be in anything that is read.
var secrets = []string{"ada@example.org", "Lovelace", "4711-secret", "fake-user", "parameter-secret", "copied-secret"}

// fakeLine is a statement's literal that looks like a line of the log.
const fakeLine = "\n2026-01-01 00:00:00.000 UTC,\"fake-user\",\"support\",1,\"[local]\",65f.1,1,\"SELECT\",2026-01-01 00:00:00 UTC,1/1,0,LOG,00000,\"AUDIT: SESSION,1,1,READ,SELECT,,,x,<none>\",,,,,,,,,\"psql\",\"client backend\",,0\n"

// auditedServer is a real PostgreSQL with pgAudit. It is skipped where that is not installed.
func auditedServer(t *testing.T) *throwaway.Cluster {
	t.Helper()
	bin, err := throwaway.FindBin()
	if err != nil {
		t.Skip(err)
	}
	found, err := filepath.Glob(filepath.Join(filepath.Dir(bin), "lib", "pgaudit.so"))
	if err != nil || len(found) == 0 {
		t.Skip("pgAudit is not installed beside PostgreSQL's server programs: apt-get install postgresql-15-pgaudit")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cluster, err := throwaway.Start(ctx, throwaway.Options{Settings: map[string]string{
		"shared_preload_libraries": "pgaudit", "logging_collector": "on", "log_destination": "csvlog,jsonlog", "log_directory": "log", "log_filename": "pg-%Y%m%d%H%M%S",
		"log_rotation_size": "0", "pgaudit.log": "read, write, ddl, role", "pgaudit.log_catalog": "off", "pgaudit.log_parameter": "on", "pgaudit.role": "auditor", "pgaudit.log_rows": "on",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

// TestPgAudit: what pgAudit wrote of a real server's work, in both forms of its log and over rotated files, becomes the same accesses; no
// literal is left, and a statement that looks like a line of the log is none.
func TestPgAudit(t *testing.T) {
	cluster := auditedServer(t)
	session := work(t, cluster)
	csv, jsonl := logsOf(t, cluster, "csv"), logsOf(t, cluster, "json")
	if len(csv) < 2 || len(jsonl) < 2 {
		t.Fatalf("%d and %d files: the log was not rotated", len(csv), len(jsonl))
	}
	fromCSV, fromJSON := readLogs(t, FormatCSV, csv), readLogs(t, FormatJSON, jsonl)
	if diff := cmp.Diff(fromCSV, fromJSON); diff != "" {
		t.Errorf("csvlog and jsonlog: %s", diff)
	}
	plain, err := json.Marshal(fromCSV)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if bytes.Contains(plain, []byte(secret)) {
			t.Errorf("%s is left", secret)
		}
	}
	seen := map[string]bool{}
	uids := map[string]bool{}
	for _, a := range fromCSV {
		if uids[a.UID] {
			t.Errorf("%s comes twice", a.UID)
		}
		uids[a.UID] = true
		if a.Staff == "login:anna" && a.Session == session {
			seen[fmt.Sprintf("%d %s %s refused=%v", a.Activity, a.Verb, a.Table, a.Refused)] = true
			if a.Application != "till" || a.Address != "127.0.0.1" || a.Database != "support" || a.Shape == "" {
				t.Errorf("%+v", a)
			}
		}
	}
	for _, want := range []string{
		"1 SELECT  refused=false", "1 SELECT customers refused=false", "5 INSERT  refused=false", "2 UPDATE  refused=false", "7 DELETE  refused=false",
		"5 COPY  refused=false", "1 COPY  refused=false", "6 CREATE TABLE notes refused=false", "1 SELECT  refused=true",
	} {
		if !seen[want] {
			t.Errorf("without %q: %v", want, seen)
		}
	}
	cutAnywhere(t, csv[0], fromCSV)
}

// work does what a day may bring, in two files of the log, and returns the session of it.
func work(t *testing.T, cluster *throwaway.Cluster) (session string) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	super, err := pgx.Connect(ctx, cluster.SuperDSN("postgres"))
	must(err)
	defer super.Close(context.WithoutCancel(ctx))
	for _, sql := range []string{"CREATE ROLE auditor", "CREATE ROLE anna LOGIN PASSWORD 'x'", "CREATE DATABASE support OWNER anna"} {
		_, err := super.Exec(ctx, sql)
		must(err)
	}
	owner, err := pgx.Connect(ctx, cluster.SuperDSN("support"))
	must(err)
	defer owner.Close(context.WithoutCancel(ctx))
	for _, sql := range []string{
		"CREATE EXTENSION pgaudit", "CREATE TABLE customers (id int, email text, name text)", "INSERT INTO customers VALUES (1, 'ada@example.org', 'Lovelace')",
		"GRANT ALL ON customers TO anna", "GRANT SELECT ON customers TO auditor", "CREATE TABLE payroll (id int, salary int)", "GRANT CREATE ON SCHEMA public TO anna",
	} {
		_, err := owner.Exec(ctx, sql)
		must(err)
	}
	anna, err := pgx.Connect(ctx, cluster.DSN("anna", "x", "support")+"&application_name=till")
	must(err)
	defer anna.Close(context.WithoutCancel(ctx))
	must(anna.QueryRow(ctx, "SELECT 'billing:' || to_hex(trunc(extract(epoch FROM backend_start))::bigint) || '.' || to_hex(pid) FROM pg_stat_activity WHERE pid = pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&session))
	simple := func(sql string) error {
		_, err := anna.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		return err
	}
	must(simple("SELECT email\n  FROM customers -- of \"Ada\"\n WHERE name = 'Lovelace'\n   AND email <> 'a\"b,c'"))
	must(simple("SELECT '" + fakeLine + "', count(*) FROM customers"))
	must(simple("INSERT INTO customers VALUES (2, 'ada@example.org', '4711-secret')"))
	rotate(t, cluster, super)
	_, err = anna.Exec(ctx, "UPDATE customers SET name = $1 WHERE id = $2", "parameter-secret", 2)
	must(err)
	must(simple("DELETE FROM customers WHERE email = 'nobody'"))
	_, err = anna.PgConn().CopyFrom(ctx, strings.NewReader("3,copied-secret,x\n"), "COPY customers FROM STDIN (FORMAT csv)")
	must(err)
	_, err = anna.PgConn().CopyTo(ctx, &bytes.Buffer{}, "COPY (SELECT email FROM customers) TO STDOUT")
	must(err)
	must(simple("CREATE TABLE notes (text text DEFAULT '4711-secret')"))
	for sql, state := range map[string]string{"SELECT salary FROM payroll WHERE id = 4711": "42501", "SELECT 1/(id-id) FROM customers": "22012", "SELEC 'Lovelace'": "42601"} {
		err := simple(sql)
		if err == nil || !strings.Contains(err.Error(), state) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	rotate(t, cluster, super)
	return session
}

// rotate has the server begin another file, whose name has the second in it.
func rotate(t *testing.T, cluster *throwaway.Cluster, super *pgx.Conn) {
	t.Helper()
	before := len(logsOf(t, cluster, "csv"))
	for deadline := time.Now().Add(30 * time.Second); len(logsOf(t, cluster, "csv")) == before; {
		if time.Now().After(deadline) {
			t.Fatal("the log is not rotated")
		}
		if _, err := super.Exec(t.Context(), "SELECT pg_rotate_logfile(), pg_sleep(0.1)"); err != nil {
			t.Fatal(err)
		}
	}
}

func logsOf(t *testing.T, cluster *throwaway.Cluster, ending string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(cluster.Dir, "data", "log", "*."+ending))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func readLogs(t *testing.T, format string, names []string) (list []sallyport.Access) {
	t.Helper()
	for _, name := range names {
		in, err := Open(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, r, err := Recognise(in)
		info, statErr := os.Stat(name)
		if statErr != nil {
			t.Fatal(statErr)
		}
		if err != nil || got != format && info.Size() > 0 { // the server may just have begun one
			t.Errorf("%s is taken for %q, %v", filepath.Base(name), got, err)
		}
		log := &AuditLog{Source: "billing", Use: func(a *sallyport.Access) error {
			list = append(list, *a)
			return nil
		}, Bad: func(line int, what string) error { return fmt.Errorf("%s:%d: %s", name, line, what) }}
		read := log.CSV
		if format == FormatJSON {
			read = log.JSON
		}
		if err := errors.Join(read(r), in.Close()); err != nil {
			t.Error(err)
		}
	}
	return list
}

// cutAnywhere cuts the log at each of many places and lets a restarted server go on behind: whatever was whole is read, but for the entry that
// was cut, which is told with its line.
func cutAnywhere(t *testing.T, name string, all []sallyport.Access) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, a := range all {
		known[a.UID] = true
	}
	rest := `2026-03-01 09:00:00.123 UTC,"anna","support",77,"10.0.0.1:5000",65aa.4d,3,"SELECT",2026-03-01 09:00:00 UTC,3/1,0,LOG,00000,"AUDIT: SESSION,9,1,READ,SELECT,,,select 1,<none>",,,,,,,,,"till","client backend",,0` + "\n"
	for at := len(text) / 3; at < len(text); at += 37 {
		var last string
		bad := 0
		log := &AuditLog{Source: "billing", Use: func(a *sallyport.Access) error {
			if last = a.UID; !known[a.UID] && a.UID != "pg:billing:65aa.4d:3" {
				t.Errorf("cut at %d: %+v was never made", at, a)
			}
			return nil
		}, Bad: func(line int, _ string) error {
			if bad++; line < 1 || line > bytes.Count(text[:at], []byte("\n"))+1 {
				t.Errorf("cut at %d: line %d", at, line)
			}
			return nil
		}}
		if err := log.CSV(strings.NewReader(string(text[:at]) + rest)); err != nil {
			t.Fatal(err)
		}
		if last != "pg:billing:65aa.4d:3" || bad > 1 {
			t.Errorf("cut at %d behind %q: the last access is %s, %d lines are bad", at, text[max(0, at-20):at], last, bad)
		}
	}
}

// TestLogTime: a time counts only where its zone is known.
func TestLogTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		text string
		zone *time.Location
		want string
	}{
		{"2026-03-01 09:00:00.123 UTC", nil, "2026-03-01T09:00:00.123Z"},
		{"2026-03-01 09:00:00.123 GMT", nil, "2026-03-01T09:00:00.123Z"},
		{"2026-03-01 09:00:00.123 +01", nil, "2026-03-01T08:00:00.123Z"},
		{"2026-03-01 09:00:00.123 CET", nil, ""},
		{"2026-03-01 09:00:00.123 CET", berlin, "2026-03-01T08:00:00.123Z"},
		{"2026-07-01 09:00:00.123 CEST", berlin, "2026-07-01T07:00:00.123Z"},
		{"2026-07-01 09:00:00.123 PDT", berlin, ""},
		{"yesterday", berlin, ""},
	} {
		got, ok := logTime(c.text, c.zone)
		if ok != (c.want != "") || ok && got.Format(time.RFC3339Nano) != c.want {
			t.Errorf("%s in %v: %v %v", c.text, c.zone, got, ok)
		}
	}
}

// FuzzCSVLog: no text makes the reader fail, or take a line from within a quoted field.
func FuzzCSVLog(f *testing.F) {
	f.Add(`2026-03-01 09:00:00.123 UTC,"anna","support",77,"10.0.0.1:5000",65aa.4d,3,"SELECT",2026-03-01 09:00:00 UTC,3/1,0,LOG,00000,"AUDIT: SESSION,9,1,READ,SELECT,,,""select
1"",<none>",,,,,,,,,"till","client backend",,0`)
	f.Add("\"\n\"\"\n2026-01-01 00:00:00.000 UTC,\"x")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + 1
		entries := 0
		log := &AuditLog{Source: "x", Use: func(*sallyport.Access) error { entries++; return nil }, Bad: func(line int, what string) error {
			if line < 1 || line > lines || what == "" {
				t.Errorf("line %d of %d: %q", line, lines, what)
			}
			return nil
		}}
		if err := log.CSV(strings.NewReader(text)); err != nil {
			t.Error(err)
		}
		quoted := `2026-03-01 09:00:00.123 UTC,"anna","support",77,"10.0.0.1:5000",65aa.4d,3,"SELECT",2026-03-01 09:00:00 UTC,3/1,0,LOG,00000,"AUDIT: SESSION,9,1,READ,SELECT,,,""` +
			strings.ReplaceAll(strings.ReplaceAll(text, `"`, `""`), `"`, `""`) + `"",<none>",,,,,,,,,"till","client backend",,0` + "\n"
		entries = 0
		if err := log.CSV(strings.NewReader(quoted)); err != nil || entries != 1 && len(quoted) < mostLog {
			t.Errorf("%d accesses in one entry, %v", entries, err)
		}
	})
}

func BenchmarkCSVLog(b *testing.B) {
	line := `2026-03-01 09:00:00.123 UTC,"anna","support",77,"10.0.0.1:5000",65aa.4d,3,"SELECT",2026-03-01 09:00:00 UTC,3/1,0,LOG,00000,"AUDIT: SESSION,9,1,READ,SELECT,TABLE,public.customers,""select email, phone from customers where id = 4711"",<none>",,,,,,,,,"till","client backend",,0` + "\n"
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	log := &AuditLog{Source: "x", Use: func(*sallyport.Access) error { return nil }, Bad: func(_ int, what string) error { return errors.New(what) }}
	text := strings.Repeat(line, b.N)
	b.ResetTimer()
	defer cpu(b)()
	if err := log.CSV(strings.NewReader(text)); err != nil {
		b.Fatal(err)
	}
}

// cpu reports the processor's time, which other work on the machine does not lengthen as it does the clock's.
func cpu(b *testing.B) func() {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}
