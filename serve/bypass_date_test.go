package serve

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestBypassDates compares and writes a birth date in every way of writing one. The year is the mark.
func TestBypassDates(t *testing.T) {
	s := newBesieged(t)
	from := len(s.heard.String())
	conn, _, err := s.dial(t, s.dsn(s.who), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	run := func(sql string, args ...string) {
		var values [][]byte
		for _, a := range args {
			values = append(values, []byte(a))
		}
		if args == nil {
			_, _ = conn.Exec(t.Context(), s.fill(0, sql)).ReadAll()
		}
		_ = conn.ExecParams(t.Context(), s.fill(0, sql), values, nil, nil, nil).Read()
	}
	run("SELECT id FROM support.customers WHERE id = 1")
	for _, condition := range []string{
		"birth_date = '1931-07-19'", "birth_date = date '1931-07-19'", "birth_date = '1931-07-19'::date", "birth_date = '1931-07-19'::timestamp", "birth_date = timestamp '1931-07-19'", "birth_date = '1931-07-19'::text::date", "birth_date = '19310719'",
		"birth_date = '19.07.1931'", "birth_date = 'July 19, 1931'", "birth_date = '1931-07-19 00:00:00'", "birth_date = '1931-200'", "birth_date = 'J2426542' AND '1931' <> ''", "birth_date IN ('1931-07-19', '1931-07-20')", "birth_date = ANY ('{1931-07-19}')", "birth_date = ANY ('{1931-07-19}'::date[])",
		"birth_date = ANY (ARRAY['1931-07-19'::date])", "birth_date::text = '1931-07-19'", "birth_date::text LIKE '1931%'", "to_char(birth_date, 'YYYY-MM-DD') = '1931-07-19'", "to_char(birth_date, 'YYYY') = '1931'", "birth_date = to_date('19071931', 'DDMMYYYY')", "birth_date = make_date(1931, 7, 19)",
		"extract(year FROM birth_date) = 1931", "date_part('year', birth_date) = 1931", "birth_date - '1931-07-19' = 0", "birth_date - date '1931-07-19' = 0", "birth_date + 1 = '1931-07-20'", "birth_date = date '1931-07-18' + 1", "birth_date = '1931-07-18'::date + interval '1 day'", "age(birth_date) = age('1931-07-19')",
		"birth_date >= '1931-07-19' AND birth_date <= '1931-07-19'", "birth_date BETWEEN '1931-07-19' AND '1931-07-19'", "birth_date <@ daterange('1931-07-19', '1931-07-20')", "daterange('[1931-07-19,1931-07-20)') @> birth_date", "(birth_date, birth_date) OVERLAPS ('1931-07-19', '1931-07-20')", "date_trunc('year', birth_date) = '1931-01-01'",
		"birth_date = least('1931-07-19', '1931-07-20')", "birth_date = coalesce(NULL, '1931-07-19')", "birth_date IS NOT DISTINCT FROM '1931-07-19'", "(birth_date, id) = ('1931-07-19', 1)", "birth_date = (SELECT '1931-07-19'::date)", "birth_date IN (SELECT generate_series('1931-01-01'::date, '1931-12-31', '1 day')::date)",
		"EXISTS (SELECT FROM generate_series('1931-01-01'::date, '1931-12-31', '1 day') g WHERE g = birth_date)", "width_bucket(birth_date, ARRAY['1931-07-19'::date]) = 1", "to_jsonb(birth_date) = '\"1931-07-19\"'", "birth_date::timestamptz = '1931-07-19'", "extract(epoch FROM birth_date) = 1931", "isfinite(birth_date) AND birth_date = '1931-07-19'",
		"birth_date = E'1931-07-19'", "birth_date = $$1931-07-19$$", "birth_date = date $$1931-07-19$$", "birth_date = pg_catalog.date '1931-07-19'", "birth_date = CAST('1931-07-19' AS date)", "date '1931-07-19' = birth_date", "date_eq(birth_date, '1931-07-19')", "date_larger(birth_date, '1931-07-19') = birth_date",
	} {
		run("SELECT id FROM support.customers WHERE " + condition)
	}
	for _, sql := range []string{
		"UPDATE support.customers SET birth_date = '1931-07-19' WHERE id = {own}", "UPDATE support.customers SET birth_date = date '1931-07-19' WHERE id = {own}", "UPDATE support.customers SET birth_date = '1931-07-18'::date + 1 WHERE id = {own}", "UPDATE support.customers SET birth_date = make_date(1931, 7, 19) WHERE id = {own}",
		"UPDATE support.customers SET birth_date = to_date('1931', 'YYYY') WHERE id = {own}", "UPDATE support.customers SET birth_date = '1931-07-19'::timestamp WHERE id = {own}", "UPDATE support.customers SET birth_date = birth_date + 1931 WHERE id = {own}", "UPDATE support.customers SET birth_date = '19.7.1931' WHERE id = {own}",
		"UPDATE support.customers SET birth_date = CASE WHEN true THEN '1931-07-19'::date END WHERE id = {own}", "UPDATE support.customers SET birth_date = current_date - 1931 WHERE id = {own}", "UPDATE support.customers SET birth_date = 'epoch'::date - 1931 WHERE id = {own}", "UPDATE support.customers SET birth_date = '2000-01-01'::date + 1931 WHERE id = {own}",
		"UPDATE support.customers SET birth_date = (now() - interval '1931 days')::date WHERE id = {own}", "UPDATE support.customers SET birth_date = created_at::date - 1931 WHERE id = {own}", "UPDATE support.customers SET birth_date = CURRENT_DATE WHERE id = {own} AND 1931 > 1", "UPDATE support.customers SET birth_date = 'infinity' WHERE id = {own} AND '1931' <> ''",
	} {
		run(sql)
	}
	for _, sql := range []string{
		"SELECT id FROM support.customers WHERE birth_date = $1", "SELECT id FROM support.customers WHERE birth_date = $1::date", "SELECT id FROM support.customers WHERE birth_date = $1::timestamp", "SELECT id FROM support.customers WHERE birth_date = $1::text::date",
		"SELECT id FROM support.customers WHERE birth_date::text = $1", "UPDATE support.customers SET birth_date = $1 WHERE id = {own}", "SELECT id FROM support.customers WHERE birth_date >= $1", "SELECT id FROM support.customers WHERE birth_date = to_date($1, 'YYYY')",
	} {
		for _, value := range []string{"1931-07-19", "19310719", "1931-07-19 00:00:00+00", "19.07.1931", " 1931-07-19 ", "1931-07-19T00:00:00Z", "July 19 1931", "1931-07-19\n"} {
			run(sql, value)
		}
	}
	binary := []byte{0xff, 0xff, 0x9e, 0x3a} // some day in 1931
	for _, oid := range []uint32{0, 1082, 1114, 1184, 25, 23} {
		batch := &pgconn.Batch{}
		batch.ExecParams("SELECT id FROM support.customers WHERE birth_date = $1", [][]byte{binary}, []uint32{oid}, []int16{1}, nil)
		_, _ = conn.ExecBatch(t.Context(), batch).ReadAll()
	}
	s.superExec(s.database, "SELECT 'the end of the siege'")
	within(t, 5*time.Second, "the server's log has everything", func() bool { return strings.Contains(s.heard.String()[from:], "the end of the siege") })
	for line := range strings.Lines(s.heard.String()[from:]) {
		if strings.Contains(line, "1931") {
			t.Errorf("the year reached the server: %s", line)
		}
	}
	var first time.Time
	if err := s.direct().QueryRow(t.Context(), "SELECT min(birth_date) FROM support.customers").Scan(&first); err != nil || first.Year() < 2200 {
		t.Errorf("a plain date stands in the table: %d, %v", first.Year(), err)
	}
}
