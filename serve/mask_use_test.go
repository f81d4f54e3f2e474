package serve

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestMaskedOracles holds what would find out a masked value bit by bit, or carry it elsewhere, to be refused as such.
func TestMaskedOracles(t *testing.T) {
	s := newScreen(t)
	for _, who := range []string{"mara", "super"} {
		conn, _ := s.connect(who)
		for _, sql := range []string{
			"SELECT id FROM app.people WHERE email LIKE 'zq7a%'", "SELECT id FROM app.people WHERE email ILIKE 'ZQ7A%'", "SELECT id FROM app.people WHERE email ~ '^zq7a'", "SELECT id FROM app.people WHERE email SIMILAR TO 'zq7a%'",
			"SELECT id FROM app.people WHERE email < 'm'", "SELECT id FROM app.people WHERE email BETWEEN 'a' AND 'zq7az'", "SELECT id FROM app.people WHERE salary >= 7000000", "SELECT id FROM app.people WHERE born > '1930-01-01'", "SELECT id FROM app.people WHERE (email, id) < ('m', 1)",
			"SELECT id FROM app.people WHERE starts_with(email, 'zq7a')", "SELECT id FROM app.people WHERE left(email, 4) = 'zq7a'", "SELECT id FROM app.people WHERE length(email) = 19", "SELECT id FROM app.people WHERE email || '' = 'x'", "SELECT id FROM app.people WHERE position('a' in email) = 4",
			"SELECT id FROM app.people WHERE salary / 2 = 1", "SELECT id FROM app.people WHERE salary % 2 = 1", "SELECT id FROM app.people WHERE salary::text LIKE '7%'", "SELECT id FROM app.people WHERE ascii(name) = 122", "SELECT id FROM app.people WHERE md5(email) = 'x'", "SELECT id FROM app.people WHERE email ^@ 'zq7a'",
			"SELECT id FROM app.people ORDER BY email", "SELECT id, email FROM app.people ORDER BY 2", "SELECT id, email AS e FROM app.people ORDER BY e DESC", "SELECT id FROM app.people ORDER BY lower(name)", "SELECT row_number() OVER (ORDER BY salary) FROM app.people", "SELECT id FROM app.people ORDER BY email = 'x'",
			"SELECT string_agg(id::text, ',' ORDER BY email) FROM app.people", "SELECT count(*) FROM app.people GROUP BY left(email, 4)", "SELECT count(DISTINCT left(email, 4)) FROM app.people", "SELECT DISTINCT left(email, 4) FROM app.people", "SELECT left(email, 1) FROM app.people UNION SELECT 'z'",
			"SELECT count(*) FILTER (WHERE email LIKE 'zq7a%') FROM app.people", "SELECT id FROM app.people GROUP BY id HAVING min(email) < 'zzz'", "SELECT o.id FROM app.orders o JOIN app.people p ON p.name LIKE o.note", "SELECT p.id FROM app.people p JOIN app.open o ON o.note = p.email", "SELECT id FROM app.people WHERE email IN (SELECT note FROM app.open)",
			"SELECT p.id FROM app.people p JOIN (SELECT note AS email FROM app.open) o USING (email)", "SELECT id FROM app.people WHERE email = ANY (string_to_array('a,b', ','))", "SELECT id FROM app.people LIMIT (SELECT salary FROM app.people WHERE id = 1)",
			"SELECT * FROM generate_series(1, (SELECT salary FROM app.people WHERE id = 1))", "SELECT pg_sleep(salary / 1000000000.0) FROM app.people", "SELECT pg_sleep(ascii(name) / 10000.0) FROM app.people", "SELECT 1 / (salary - 7319461) FROM app.people", "SELECT salary + 2140164187 FROM app.people", "SELECT email::int FROM app.people",
			"SELECT sqrt(salary - 7319462) FROM app.people", "SELECT (ARRAY['a', 'b'])[salary] || '' FROM app.people ORDER BY (ARRAY['a', 'b'])[salary]", "SELECT id FROM app.people WHERE CASE WHEN vip THEN true ELSE false END", "SELECT id FROM app.contacts WHERE is_ann", "SELECT id FROM app.contacts WHERE shout = 'ZQ7ANN LEE'",
			"SELECT id FROM app.people WHERE data ->> 'k' = 'x'", "SELECT id FROM app.people WHERE data @> '{\"k\": \"x\"}'", "SELECT id FROM app.people WHERE data ->> 'k' IS NULL", "SELECT id FROM app.people WHERE nullif(left(email, 1), 'z') IS NULL", "SELECT attname FROM pg_stats WHERE most_common_vals::text LIKE '%zq7%'",
			"UPDATE app.people SET note = email", "UPDATE app.people SET email = name", "UPDATE app.people SET phone = left(email, 3)", "UPDATE app.people SET phone = coalesce(phone, email)", "SELECT (salary).pg_sleep FROM app.people", "SELECT (name).length FROM app.people", "SELECT (p).pg_typeof FROM app.people p", "INSERT INTO app.open SELECT id, email FROM app.people", "CREATE TEMP TABLE x AS SELECT email FROM app.people", "SELECT email INTO x FROM app.people", "UPDATE app.open SET note = 'y' FROM app.people p WHERE p.email > 'm'",
			"INSERT INTO app.open VALUES (1, (SELECT email FROM app.people LIMIT 1))", "UPDATE app.open SET id = (SELECT salary FROM app.people LIMIT 1)", "UPDATE app.open SET note = CASE WHEN (SELECT vip FROM app.people WHERE id = 1) THEN 'y' END", "UPDATE app.people SET note = (email = 'x')::text",
			"PREPARE p AS SELECT email FROM app.people; CREATE TEMP TABLE z AS EXECUTE p", "COPY (SELECT * FROM app.people, app.orders) TO STDOUT", "CREATE INDEX ON app.people (left(email, 2))", "SELECT * FROM pg_stat_get_activity(NULL)",
			"SELECT chunk_data FROM pg_toast.pg_toast_2619", "SET search_path = pg_toast; SELECT encode(chunk_data, 'escape') FROM pg_toast_2619", "SELECT (SELECT count(*) FROM pg_toast.pg_toast_2619 t WHERE t.chunk_data LIKE '\\x7a%')",
			// Whether something is NULL, and what can be counted of that.
			"SELECT count(json_build_object(left(email, 1), 1) ->> 'z') FROM app.people", "SELECT jsonb_build_object('a', 1, substr(name, 2, 1), 2) ->> 'q' FROM app.people", "SELECT (jsonb_build_object(left(email, 1), 1))['z']::text FROM app.people",
			"SELECT num_nulls(json_build_object(VARIADIC ARRAY[left(email, 1), '1']) ->> 'z') FROM app.people", "SELECT (ARRAY(SELECT 'x' FROM generate_series(1, 8000000)))[salary] FROM app.people", "SELECT count((ARRAY['a', 'b'])[salary]) FROM app.people",
			"SELECT lag('x'::text, salary) OVER () FROM app.people", "SELECT count(x) FROM (SELECT lead('x'::text, salary, NULL) OVER () FROM app.people) s(x)",
			// Which of two is larger: by what comes of it, how long that is, or whether both together are too much.
			"SELECT sum(CASE WHEN id = 1 THEN salary ELSE (repeat('9', 131065) || '2680539')::numeric END) FROM app.people", "SELECT avg(coalesce(salary, (repeat('9', 131065) || '2680539')::numeric)) FROM app.people", "SELECT sum(bonus) FROM app.people",
			"SELECT sum(CASE WHEN id = 1 THEN extract(year from born) ELSE (repeat('9', 131068) || '8069')::numeric END) FROM app.people", "SELECT sum(CASE WHEN id = 1 THEN age(born) ELSE interval '1 day' END) FROM app.people", "SELECT sum(length(email)) FROM app.people",
			"SELECT greatest(email, 'zq7b' || repeat('x', 1000000)) FROM app.people", "SELECT length(least(salary, 8000000)) FROM app.people", "SELECT max(CASE id WHEN 1 THEN email ELSE 'zq7b' || repeat('x', 1000000) END) FROM app.people", "SELECT max(coalesce(email, $$m$$)) FROM app.people",
			"SELECT max(x) FROM (SELECT email FROM app.people UNION ALL SELECT 'zq7b') s(x)", "SELECT max(x) FROM (VALUES ('zq7b'), ((SELECT email FROM app.people WHERE id = 1))) v(x)", "SELECT greatest(p, p) FROM app.people p", "SELECT min(lower(coalesce(email, 'm'))) FROM app.people",
			"SELECT max(email || '') OVER () FROM app.people", "SELECT max(email) FROM app.people p FULL JOIN (VALUES ('m')) v(email) USING (email)", "SELECT age('1931-07-20', born)::text FROM app.people", "SELECT timezone('XXX+167:59:59', born) FROM app.people", "SELECT timezone(interval '100000 hours', born) FROM app.people",
			"SELECT born AT TIME ZONE INTERVAL '9:00' FROM app.people",
			// How long something is, and by that what: it fails where it is too long.
			"SELECT quote_ident(left(email, 1)) FROM app.people", "SELECT quote_literal(left(email, 1)) FROM app.people", "SELECT format('%1$I', left(email, 1)) FROM app.people", "SELECT format('%L', email) FROM app.people", "SELECT replace(left(email, 1), 'z', 'ž') FROM app.people", "SELECT translate(email, 'z', 'ž') FROM app.people",
			"SELECT replace(replace(left(email, 1), 'z', '" + strings.Repeat("y", 9000) + "'), 'y', '" + strings.Repeat("x", 200000) + "') FROM app.people", "SELECT format('%1$*2$s%1$*2$s', note, salary) FROM app.people", "SELECT btrim(left(email, 1), 'z'), translate(name, 'z', '') FROM app.people", "SELECT format(note, email) FROM app.people",
			"DELETE FROM app.orders o USING app.people p WHERE p.id = o.person_id AND p.salary > 10", "MERGE INTO app.open o USING app.people p ON o.note < p.email WHEN MATCHED THEN DO NOTHING", "SELECT xmlelement(name a, email) FROM app.people", "SELECT JSON_VALUE(data, '$.k') FROM app.people",
		} {
			_, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
			if code := codeOf(err); code != "SP008" {
				t.Errorf("%s: %q, want SP008: %s (%v)", who, code, sql, err)
			}
			if err != nil && strings.Contains(err.Error(), "protected") {
				t.Errorf("%s: called protected: %v", who, err)
			}
			_, _ = conn.PgConn().Exec(t.Context(), "DEALLOCATE ALL").ReadAll()
		}
		for _, sql := range []string{
			// By these "equal" and "text" would mean what somebody wants to know.
			"CREATE COLLATION pg_temp.blur (provider = icu, locale = 'und-u-ks-level1', deterministic = false); SELECT id FROM app.people WHERE email = 'ZQ7ANN@corp.example' COLLATE pg_temp.blur",
			"CREATE DOMAIN pg_temp.text AS varchar CHECK (VALUE !~ '^zq7a'); SELECT email::text FROM app.people", "CREATE TEMP TABLE text (a varchar)", "CREATE TYPE app.text AS (a int)", "CREATE TYPE app.date AS ENUM ('a')", "CREATE TEMP VIEW bpchar AS SELECT 1",
			"CREATE TEMP TABLE mine (a int); ALTER TABLE mine RENAME TO text", "CREATE DOMAIN pg_temp.mine AS varchar CHECK (VALUE !~ '^zq7a'); ALTER DOMAIN pg_temp.mine RENAME TO text", "SELECT 1 AS a INTO TEMP text",
			"CREATE VIEW app.v AS SELECT email FROM app.people", "DO $$ BEGIN END $$", "ALTER TABLE app.people ADD x int", "CREATE TABLE people (id int)", "SELECT id FROM app.people NATURAL JOIN app.open", "SELECT app.mail(1)", "SELECT app.dyn('SELECT 1')", "DROP TABLE app.people", "GRANT SELECT ON app.people TO PUBLIC",
		} {
			_, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
			if code := codeOf(err); !strings.HasPrefix(code, "SP0") {
				t.Errorf("%s: %q, want a refusal: %s", who, code, sql)
			}
			if err != nil && strings.Contains(err.Error(), "protected") {
				t.Errorf("%s: called protected: %v", who, err)
			}
		}
	}
}

// TestMaskedUse does what people and programs do all day with a database some of whose columns are masked.
func TestMaskedUse(t *testing.T) {
	s := newScreen(t)
	conn, _ := s.connect("mara")
	for _, tt := range []struct{ sql, want string }{
		{"SELECT id, name, email, phone, plan, note FROM app.people ORDER BY id", "1|z***|***@corp.example|***|gold|open note; 2|z***|***@corp.example|***|basic|-; 3|z***|-|-|basic|-"},
		{"SELECT salary, born, bonus, vip, tags, data, avatar FROM app.people WHERE id = 1", "-|-|-|-|-|-|-"},
		{"SELECT upper(email), name || '!', salary::text FROM app.people WHERE id = 1", "***|***|***"},
		{"SELECT count(*), count(email), count(DISTINCT email) FROM app.people", "3|2|2"},
		{"SELECT id FROM app.people WHERE email = 'zq7bob@corp.example'", "2"},
		{"SELECT id FROM app.people WHERE lower(email) = lower('ZQ7BOB@corp.example')", "2"},
		{"SELECT id FROM app.people WHERE email IN ('zq7bob@corp.example', 'x') OR email IS NULL ORDER BY id", "2; 3"},
		{"SELECT id FROM app.people WHERE email = ANY ('{zq7bob@corp.example}')", "2"},
		{"SELECT id FROM app.people WHERE email <> 'zq7bob@corp.example' AND salary = 7319461 AND born = date '1931-07-19' AND vip", "1"},
		{"SELECT id FROM app.people WHERE vip IS NOT TRUE ORDER BY id", "2; 3"},
		{"SELECT EXISTS (SELECT 1 FROM app.people WHERE email = 'zq7bob@corp.example')", "t"},
		{"SELECT id, email = 'zq7bob@corp.example' AS is_bob FROM app.people WHERE id = 2", "2|-"},
		{"SELECT CASE WHEN email IS NULL THEN 'none' ELSE 'some' END, id + 1, coalesce(note, 'none'), upper(plan) FROM app.people WHERE id = 3", "none|4|none|BASIC"},
		{"SELECT p.email, o.total * 2, o.note || '!' FROM app.people p JOIN app.orders o ON o.person_id = p.id ORDER BY o.total", "***@corp.example|20|first!; ***@corp.example|40|second!"},
		{"SELECT total, upper(orders.note) FROM app.people JOIN app.orders ON person_id = people.id ORDER BY total LIMIT 1", "10|FIRST"},
		{"SELECT o.*, p.name FROM app.orders o, app.people p WHERE p.id = o.person_id ORDER BY o.id", "1|1|10|first|z***; 2|2|20|second|z***"},
		{"SELECT plan, count(*) FROM app.people GROUP BY plan ORDER BY plan", "basic|2; gold|1"},
		{"SELECT count(*) FILTER (WHERE email = 'zq7bob@corp.example') FROM app.people", "1"},
		{"SELECT a.id, b.id FROM app.people a JOIN app.people b USING (email) ORDER BY a.id", "1|1; 2|2"},
		{"SELECT id, email, number, shout, is_ann FROM app.contacts WHERE id = 1", "1|***@corp.example|***|***|-"},
		{"SELECT email, loud FROM app.kept WHERE id = 1", "***@corp.example|***"},
		{"SELECT d.total, d.shout FROM app.deep d ORDER BY total LIMIT 1", "10|***"},
		{"SELECT id, email FROM app.events_now", "1|***"},
		{"SELECT handle FROM app.people WHERE id = 1", "***"},
		{"SELECT p FROM app.people p WHERE id = 1", "-"},
		{"SELECT row_to_json(o) FROM app.orders o WHERE id = 1", `{"id":1,"person_id":1,"total":10,"note":"first"}`},
		{"SELECT sum(total), string_agg(note, ',') FROM app.orders", "30|first,second"},
		{"SELECT note FROM app.orders WHERE note LIKE 'f%' ORDER BY note", "first"},
		{"SELECT attname, null_frac > 0.3 FROM pg_stats WHERE tablename = 'people' AND attname = 'email'", "email|t"},
		{"SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active'", "t"},
		{"SELECT email FROM app.people WHERE id = 1 UNION ALL SELECT 'x' ORDER BY 1", "!SP008"},
		{"SELECT email FROM app.people WHERE id = 1 UNION ALL SELECT 'x'", "***; ***"},
		{"BEGIN; DECLARE c CURSOR FOR SELECT id, name FROM app.people ORDER BY id; FETCH 1 c; COMMIT", "1|z***"},
		{"PREPARE one AS SELECT id, upper(email) FROM app.people WHERE id = $1; EXECUTE one(1); DEALLOCATE one", "1|***"},
		{"BEGIN; UPDATE app.people SET plan = 'none' WHERE email = 'zq7bob@corp.example' RETURNING id, email, plan; ROLLBACK", "2|***@corp.example|none"},
	} {
		for _, how := range []string{"simple", "text"} {
			if how == "text" && strings.Contains(tt.sql, ";") {
				continue
			}
			if got := s.rows(conn, how, tt.sql); got != tt.want {
				t.Errorf("%s: %s\n got %s\nwant %s", how, tt.sql, got, tt.want)
			}
		}
	}
	for _, tt := range []struct{ sql, want string }{
		{"BEGIN; DECLARE d CURSOR FOR SELECT id, id + 1, upper(note) FROM app.orders ORDER BY id; FETCH 1 d; COMMIT", "1|2|FIRST"},
		{"BEGIN; DECLARE e CURSOR FOR SELECT id, upper(email) FROM app.people ORDER BY id; FETCH 1 e; COMMIT", "1|***"},
		{"BEGIN; DECLARE e CURSOR FOR SELECT id, upper(note) FROM app.orders ORDER BY id; FETCH 1 e; COMMIT", "1|***"}, // a name keeps the stain
		{"BEGIN; DECLARE f CURSOR FOR SELECT upper(note) FROM app.orders ORDER BY id; FETCH 1 f; COMMIT", "FIRST"},
	} {
		if got := s.rows(conn, "simple", tt.sql); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.sql, got, tt.want)
		}
	}
}

// rows are a text's rows: fields with | between them, - for NULL.
func (s *screen) rows(conn *pgx.Conn, how, sql string) string {
	s.t.Helper()
	var results []*pgconn.Result
	var err error
	if how == "simple" {
		results, err = conn.PgConn().Exec(s.t.Context(), sql).ReadAll()
	} else {
		r := conn.PgConn().ExecParams(s.t.Context(), sql, nil, nil, nil, nil).Read()
		results, err = []*pgconn.Result{r}, r.Err
	}
	if err != nil {
		_, _ = conn.PgConn().Exec(s.t.Context(), "ROLLBACK").ReadAll()
		return "!" + codeOf(err)
	}
	var lines []string
	for _, r := range results {
		for _, row := range r.Rows {
			var fields []string
			for _, f := range row {
				if f == nil {
					fields = append(fields, "-")
				} else {
					fields = append(fields, string(f))
				}
			}
			lines = append(lines, strings.Join(fields, "|"))
		}
	}
	return strings.Join(lines, "; ")
}

// TestMaskedTypes reads typed values in every way that pgx has, and holds the columns' types to the server's own.
func TestMaskedTypes(t *testing.T) {
	s := newScreen(t)
	const sql = "SELECT id, name, email, phone, salary, born, bonus, vip, tags, data, avatar, upper(email), salary::text FROM app.people WHERE id = $1"
	own, err := pgx.Connect(t.Context(), s.cluster.SuperDSN(s.database))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close(context.Background())
	want, err := own.Prepare(t.Context(), "", sql)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		conn, tap := s.connect("mara", func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = mode })
		for range 2 {
			var id int
			var name, email, phone, upper, salaryText *string
			var salary *int
			var born *time.Time
			var bonus *float64
			var vip *bool
			var tags []string
			var data map[string]any
			var avatar []byte
			rows, err := conn.Query(t.Context(), sql, 1)
			if err != nil {
				t.Fatalf("%s: %v", mode, err)
			}
			for i, f := range rows.FieldDescriptions() {
				if f.DataTypeOID != want.Fields[i].DataTypeOID || f.Name != want.Fields[i].Name {
					t.Errorf("%s: column %d is %s of type %d, the server has %s of %d", mode, i, f.Name, f.DataTypeOID, want.Fields[i].Name, want.Fields[i].DataTypeOID)
				}
			}
			if !rows.Next() {
				t.Fatalf("%s: no row: %v", mode, rows.Err())
			}
			if err := rows.Scan(&id, &name, &email, &phone, &salary, &born, &bonus, &vip, &tags, &data, &avatar, &upper, &salaryText); err != nil {
				t.Fatalf("%s: %v", mode, err)
			}
			rows.Close()
			if id != 1 || *name != "z***" || *email != "***@corp.example" || *phone != "***" || *upper != "***" || *salaryText != "***" {
				t.Errorf("%s: %d %s %s %s %s %s", mode, id, *name, *email, *phone, *upper, *salaryText)
			}
			if salary != nil || born != nil || bonus != nil || vip != nil || tags != nil || data != nil || avatar != nil {
				t.Errorf("%s: something else than NULL stands where a value that is no text is masked", mode)
			}
		}
		var found int
		if err := conn.QueryRow(t.Context(), "SELECT id FROM app.people WHERE email = $1 AND born = $2", "zq7bob@corp.example", time.Date(1931, 7, 19, 0, 0, 0, 0, time.UTC)).Scan(&found); err != nil || found != 2 {
			t.Errorf("%s: searched by value: %d, %v", mode, found, err)
		}
		if secret := secretIn(tap.take()); secret != "" {
			t.Errorf("%s: %q came", mode, secret)
		}
	}
}

// TestMaskedWrites stores plain values, as the database has them at rest; who is named sees them.
func TestMaskedWrites(t *testing.T) {
	s := newScreen(t)
	conn, _ := s.connect("mara")
	for _, sql := range []string{
		"INSERT INTO app.people (id, name, email, salary) VALUES (10, 'Dora Fey', lower('DORA@corp.example'), 5 + 5)", "UPDATE app.people SET phone = '+1' || '555', born = now()::date WHERE email = 'dora@corp.example'",
		"INSERT INTO app.people (id, name) VALUES (10, 'Dora Fay') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO app.people (id, name, email) VALUES ($1, $2, $3)", 11, "Eli Gow", "eli@corp.example"); err != nil {
		t.Error(err)
	}
	copied, err := conn.CopyFrom(t.Context(), pgx.Identifier{"app", "people"}, []string{"id", "name", "email", "salary"}, pgx.CopyFromRows([][]any{{12, "Fay Hux", "fay@corp.example", 12}}))
	if err != nil || copied != 1 {
		t.Errorf("copied %d: %v", copied, err)
	}
	open, _ := s.connect("crm")
	if got, want := s.rows(open, "simple", "SELECT name, email, phone, salary FROM app.people WHERE id >= 10 ORDER BY id"), "Dora Fay|dora@corp.example|+1555|10; Eli Gow|eli@corp.example|-|-; Fay Hux|fay@corp.example|-|12"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := s.rows(conn, "simple", "SELECT name, email FROM app.people WHERE id = 12"); got != "F***|***@corp.example" {
		t.Errorf("got %s", got)
	}
}

// TestMaskedComplaints reads what is left of errors: enough to know what went wrong.
func TestMaskedComplaints(t *testing.T) {
	s := newScreen(t)
	conn, tap := s.connect("mara")
	for _, tt := range []struct{ sql, code, says string }{
		{"INSERT INTO app.people (id, name, email) VALUES (20, 'x', 'zq7bob@corp.example')", "23505", `duplicate key value violates unique constraint "people_email_key"`},
		{"UPDATE app.people SET plan = 'bad' WHERE id = 1", "23514", `violates check constraint "plan_known"`},
		{"SELECT nosuch FROM app.people", "42703", `column "nosuch" does not exist`},
		{"DELETE FROM app.people WHERE id = 1", "23505", "may hold a masked value"},
		{"UPDATE app.people SET name = NULL WHERE id = 1", "23502", `null value in column "name"`},
		{"INSERT INTO app.orders VALUES (1, 1, 1, 'x')", "23505", `"orders_pkey"`},
		{"SELECT 1 / 0 FROM app.orders", "22012", "division by zero"},
		{"SELECT 'x'::int FROM app.orders", "22P02", `invalid input syntax for type integer: "x"`},
	} {
		_, err := conn.PgConn().Exec(t.Context(), tt.sql).ReadAll()
		if codeOf(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %s and %q", tt.sql, err, tt.code, tt.says)
		}
	}
	heard := tap.take()
	heard = []byte(strings.ReplaceAll(string(heard), "zq7bob@corp.example\x00", "")) // nothing of ours comes back either
	if secret := secretIn(heard); secret != "" {
		t.Errorf("%q came in an error", secret)
	}
}

// TestMaskedPsql copies and fetches as psql does.
func TestMaskedPsql(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("no psql on this machine")
	}
	s := newScreen(t)
	name, password := s.role("mara")
	file := filepath.Join(t.TempDir(), "out.csv")
	for _, c := range []struct{ sql, want string }{
		{"SELECT id, name, email, salary FROM app.people ORDER BY id", "1|z***|***@corp.example|\n2|z***|***@corp.example|\n3|z***||\n"},
		{"COPY app.people (id, name, email, phone, salary) TO STDOUT", "1\tz***\t***@corp.example\t***\t\\N\n2\tz***\t***@corp.example\t***\t\\N\n3\tz***\t\\N\t\\N\t\\N\n"},
		{"COPY (SELECT id, upper(name), email, plan FROM app.people) TO STDOUT (FORMAT csv, HEADER)", "id,upper,email,plan\n1,,\"***@corp.example\",gold\n2,,\"***@corp.example\",basic\n3,,,basic\n"},
		{`\copy (SELECT id, email FROM app.people WHERE id < 3) TO '` + file + `' (FORMAT csv)`, "COPY 2\n"},
		{`\d app.open`, "id|integer|||\nnote|text|||\n"},
	} {
		cmd := exec.CommandContext(t.Context(), psql, "-X", "-A", "-t", "-v", "FETCH_COUNT=2", "-c", c.sql, fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", name, s.server.Addr(), s.database))
		cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%s: %v\n%q, want\n%q", c.sql, err, out, c.want)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "1,\"***@corp.example\"\n2,\"***@corp.example\"\n" {
		t.Errorf("copied %q, %v", b, err)
	}
}

// TestMaskedCheck lists what is masked under words of its own, and says where a column stands that the database does not have.
func TestMaskedCheck(t *testing.T) {
	s := newScreen(t)
	findings, err := checkAll(t.Context(), s.config.File)
	if err != nil || len(findings) != 0 {
		t.Errorf("%v, %v", findings, err)
	}
	line := s.config.MaskedLine()
	if !strings.HasPrefix(line, "masked, not protected: app.events.email (shows none), ") || !strings.Contains(line, "app.people.email (shows domain)") {
		t.Error(line)
	}
	var out strings.Builder
	m := &Main{Stdout: &out, Stderr: &out}
	_ = m.Run(t.Context(), []string{"check", "--config", s.config.File}) // roles of other tests are nobody's here
	if !strings.Contains(out.String(), line+"\n") {
		t.Errorf("check prints %s", out.String())
	}
	text, err := os.ReadFile(s.config.File)
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(text), "app.people.born: {}", "app.people.birth: {}", 1)
	if err := os.WriteFile(s.config.File, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	findings, err = checkAll(t.Context(), s.config.File)
	want := fmt.Sprintf("%s:%d:", s.config.File, 1+strings.Count(wrong[:strings.Index(wrong, "app.people.birth")], "\n"))
	if err != nil || len(findings) != 1 || !strings.HasPrefix(findings[0].Where, want) || !strings.Contains(findings[0].What, `has no column "birth"`) {
		t.Errorf("%v, %v, want %s", findings, err, want)
	}
}
